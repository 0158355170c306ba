package dbuspeer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"telepathy-olpc/internal/dbuswire"
)

// Kinds of messages: D-Bus specification, "Message Format". Others do not exist.
const (
	KindCall   = 1
	KindReturn = 2
	KindError  = 3
	KindSignal = 4
)

// FlagNoReply in a call says that nobody waits for an answer.
const FlagNoReply = 1

const (
	fixedLen  = 16        // what every message begins with
	maxSize   = 128 << 20 // of any message: D-Bus specification, "Message Format"
	maxFields = 64 << 10  // of a header: no valid one comes near, but paths have no limit
	localName = "org.freedesktop.DBus.Local"
	localPath = "/org/freedesktop/DBus/Local"
)

// errFormat is in the chain of all errors of [ParseMessage] and [SetSender].
var errFormat = errors.New("invalid D-Bus message")

func invalid(what string) error { return fmt.Errorf("%w: %s", errFormat, what) }

// Header is what the header of a message says. What a field that is absent
// would hold is empty.
type Header struct {
	Kind, Flags         byte
	Serial, ReplySerial uint32

	Path, Interface, Member, ErrorName string
	Destination, Sender, Signature     string
}

// Codes of the header's fields.
const (
	fieldPath              = 1
	fieldInterface         = 2
	fieldMember            = 3
	fieldErrorName         = 4
	fieldReplySerial       = 5
	fieldDestination       = 6
	fieldSender            = 7
	fieldSignature         = 8
	fieldUnixFDs           = 9
	fieldContainerInstance = 10 // of newer buses
	lastField              = fieldContainerInstance
)

// ParseMessage reads the header of a message, which b must hold to the last
// byte, and proves that no receiver has a reason to refuse it: that all is of
// its type and in its place, in the header and in the body. Nothing is kept of b.
func ParseMessage(b []byte) (Header, error) {
	fixed, err := parseFixed(b)
	if err != nil {
		return Header{}, err
	}
	if fixed.size() != int64(len(b)) {
		return Header{}, invalid("its length")
	}
	h := Header{Kind: b[1], Flags: b[2], Serial: fixed.order.Uint32(b[8:])}
	if h.Kind < KindCall || h.Kind > KindSignal || h.Serial == 0 {
		return Header{}, invalid("its kind or serial")
	}
	body := fixedLen + pad8(int(fixed.fieldsLen))
	for _, c := range b[fixedLen+fixed.fieldsLen : body] {
		if c != 0 {
			return Header{}, invalid("padding of the header")
		}
	}
	if err := h.parseFields(fixed.order, b[fixedLen:fixedLen+fixed.fieldsLen]); err != nil {
		return Header{}, err
	}
	w := walker{order: fixed.order, b: b[body:]}
	if !w.values(h.Signature, 0) || w.pos != len(w.b) {
		return Header{}, invalid("its body")
	}
	return h, nil
}

// fixedPart is what a message begins with.
type fixedPart struct {
	order              byteOrder
	bodyLen, fieldsLen uint32
}

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// size gives the length of the whole message.
func (f fixedPart) size() int64 {
	return int64(fixedLen+pad8(int(f.fieldsLen))) + int64(f.bodyLen)
}

// parseFixed reads the part that tells where the message ends. An error means
// that this cannot be known.
func parseFixed(b []byte) (f fixedPart, err error) {
	if len(b) < fixedLen {
		return f, invalid("its length")
	}
	switch b[0] {
	case 'l':
		f.order = binary.LittleEndian
	case 'B':
		f.order = binary.BigEndian
	default:
		return f, invalid("byte order")
	}
	if b[3] != 1 {
		return f, invalid("protocol version")
	}
	f.bodyLen, f.fieldsLen = f.order.Uint32(b[4:]), f.order.Uint32(b[12:])
	if f.fieldsLen > maxFields || f.bodyLen > maxSize || f.size() > maxSize {
		return f, invalid("it is too long")
	}
	return f, nil
}

func pad8(n int) int { return (n + 7) &^ 7 }

// field is one field of the header as it stands in the message.
type field struct {
	code       byte
	signature  string
	begin, end int // in the array, without padding
	value      int // where its value begins, if that is text: behind the length
}

// nextField goes over one field of the header's a(yv).
func (w *walker) nextField() (f field, ok bool) {
	if !w.align(8) {
		return f, false
	}
	f.begin = w.pos
	if f.code, ok = w.byte(); !ok || f.code == 0 {
		return f, false
	}
	// The value is nested in an array, a structure and the variant itself.
	if f.signature, ok = w.variant(2); !ok {
		return f, false
	}
	f.end = w.pos
	f.value = f.begin + 8
	if f.signature == "g" {
		f.value = f.begin + 5
	}
	return f, true
}

// parseFields reads the header's fields and checks what the specification asks
// of them in "Header Fields".
func (h *Header) parseFields(order byteOrder, b []byte) error {
	w := walker{order: order, b: b}
	all := string(b) // the names are parts of it
	var seen [lastField + 1]bool
	for w.pos < len(b) {
		f, ok := w.nextField()
		if !ok {
			return invalid("a header field")
		}
		if f.code > lastField {
			continue // of a newer specification, to be passed over
		}
		if seen[f.code] || f.signature != fieldTypes[f.code] {
			return invalid("a header field is of the wrong type, or there twice")
		}
		seen[f.code] = true
		text, number := "", uint32(0)
		if f.signature == "u" {
			number = order.Uint32(b[f.value-4:])
		} else {
			text = all[f.value : f.end-1]
		}
		if !h.setField(f.code, text, number) {
			return invalid("a value in the header")
		}
	}
	for _, code := range required[h.Kind] {
		if !seen[code] {
			return invalid("a header field is missing")
		}
	}
	return nil
}

var fieldTypes = [lastField + 1]string{
	fieldPath: "o", fieldInterface: "s", fieldMember: "s", fieldErrorName: "s",
	fieldReplySerial: "u", fieldDestination: "s", fieldSender: "s", fieldSignature: "g",
	fieldUnixFDs: "u", fieldContainerInstance: "o",
}

// required has the fields that each kind of message must have.
var required = [KindSignal + 1][]byte{
	KindCall:   {fieldPath, fieldMember},
	KindReturn: {fieldReplySerial},
	KindError:  {fieldErrorName, fieldReplySerial},
	KindSignal: {fieldPath, fieldInterface, fieldMember},
}

// setField takes a field over if its value is one that it can have. Names that
// end in Local are for a library's messages to its own program.
func (h *Header) setField(code byte, text string, number uint32) bool {
	switch code {
	case fieldPath:
		h.Path = text
		return text != localPath // that it is a path was seen
	case fieldInterface:
		h.Interface = text
		return dbuswire.IsInterface(text) && text != localName
	case fieldMember:
		h.Member = text
		return dbuswire.IsMember(text)
	case fieldErrorName:
		h.ErrorName = text
		return dbuswire.IsInterface(text)
	case fieldReplySerial:
		h.ReplySerial = number
		return number != 0
	case fieldDestination:
		h.Destination = text
		return dbuswire.IsBusName(text)
	case fieldSender:
		h.Sender = text
		return dbuswire.IsBusName(text)
	case fieldSignature:
		h.Signature = text
	case fieldUnixFDs:
		return number == 0
	}
	return true
}
