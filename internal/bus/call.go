package bus

import (
	"errors"
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// Call is one method call. It is used on the loop that it was given to, and
// gets exactly one answer, at once or later.
type Call struct {
	conn      *Conn
	object    *Object
	method    *tp.Method
	path      dbus.ObjectPath
	iface     string // empty if the caller gave none
	member    string
	sender    string
	signature string
	body      []any
	size      int64 // of the encoded body
	serial    uint32
	silent    bool // the caller wants no reply
	answered  bool
}

func newCall(c *Conn, m *message, body []any) *Call {
	return &Call{
		conn:      c,
		path:      m.path,
		iface:     m.iface,
		member:    m.member,
		sender:    m.sender,
		signature: m.signature,
		body:      body,
		size:      int64(m.bodyLen),
		serial:    m.serial,
		silent:    m.flags&dbus.FlagNoReplyExpected != 0,
	}
}

// Sender is the caller's unique bus name.
func (call *Call) Sender() string { return call.sender }

// Path is the path of the called object.
func (call *Call) Path() dbus.ObjectPath { return call.path }

// Member is the method's name.
func (call *Call) Member() string { return call.member }

// Answered says whether Return or Fail has been called.
func (call *Call) Answered() bool { return call.answered }

// Args stores the arguments, into Go structs for D-Bus' structs. If they do
// not fit it answers the call and is false. Map and slice values are the
// caller's own.
func (call *Call) Args(dst ...any) bool {
	if len(dst) != len(call.body) {
		call.conn.defect(fmt.Errorf("%d arguments wanted, %d there", len(dst), len(call.body)), "Arguments not stored", call.member)
		call.fail(tp.ErrorDBusFailed, "internal error")
		return false
	}
	for k := range dst {
		if err := store(call.body[k], dst[k]); err != nil {
			call.fail(tp.ErrorDBusInvalidArgs, fmt.Sprintf("argument %d: %v", k+1, err))
			return false
		}
	}
	return true
}

// store is dbus.Store for one value. The common types go without reflection,
// and so do the variants in maps, in which dbus.Store would change the type of
// structs.
func store(v, dst any) error {
	ok := false
	switch d := dst.(type) {
	case *string:
		*d, ok = v.(string)
	case *bool:
		*d, ok = v.(bool)
	case *uint32:
		*d, ok = v.(uint32)
	case *dbus.ObjectPath:
		*d, ok = v.(dbus.ObjectPath)
	case *dbus.Variant:
		*d, ok = v.(dbus.Variant)
	case *[]uint32:
		*d, ok = v.([]uint32)
	case *[]string:
		*d, ok = v.([]string)
	case *[]byte:
		*d, ok = v.([]byte)
	case *map[string]dbus.Variant:
		*d, ok = v.(map[string]dbus.Variant)
	}
	if ok {
		return nil
	}
	return dbus.Store([]any{v}, dst)
}

// Return answers with the method's results, in the types of the facts.
func (call *Call) Return(v ...any) {
	if !call.begin() {
		return
	}
	if call.silent {
		return
	}
	m := call.answer(dbus.TypeMethodReply)
	m.signature, m.body = call.method.OutSignature(), v
	err := call.conn.send(m, nil)
	if err != nil && !errors.Is(err, errClosed) {
		call.sendError(tp.ErrorDBusFailed, "internal error")
		call.conn.defect(err, "Reply not sent", call.member)
	}
}

// Fail answers with an error. The [tp.Error] in err's chain decides which; any
// other error is for the log, and the caller gets NotAvailable.
func (call *Call) Fail(err error) {
	var e *tp.Error
	if errors.As(err, &e) {
		call.fail(e.Name, e.Message)
		return
	}
	call.conn.log.WithError(err).WithField("member", call.member).Debug("Call failed")
	call.fail(tp.ErrorNotAvailable, err.Error())
}

func (call *Call) fail(name tp.ErrorName, text string) {
	if call.begin() {
		call.sendError(name, text)
	}
}

// begin makes sure that there is one answer only.
func (call *Call) begin() bool {
	if call.answered {
		call.conn.defect(errors.New("answered before"), "Second answer dropped", call.member)
		return false
	}
	call.answered = true
	return true
}

func (call *Call) sendError(name tp.ErrorName, text string) {
	if call.silent {
		return
	}
	m := call.answer(dbus.TypeError)
	m.errorName = string(name)
	m.signature, m.body = "s", []any{sendable(text)}
	err := call.conn.send(m, nil)
	if err == nil || errors.Is(err, errClosed) {
		return
	}
	if name != tp.ErrorDBusFailed { // then it was the name
		call.sendError(tp.ErrorDBusFailed, text)
	}
	call.conn.defect(err, "Error not sent", call.member)
}

// sendable makes a text fit for D-Bus, in which a string is UTF-8 without NUL.
func sendable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// answer begins a reply to the call.
func (call *Call) answer(kind dbus.Type) *outgoing {
	return &outgoing{
		kind:        kind,
		flags:       dbus.FlagNoReplyExpected,
		dest:        call.sender,
		replySerial: call.serial,
	}
}
