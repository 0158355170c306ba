package bus

import (
	"errors"
	"os"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// standard has the interfaces of every object: D-Bus specification, "Standard
// Interfaces".
var standard = [...]Interface{
	{Facts: tp.InterfaceDBusProperties, Methods: map[string]func(*Call){
		"Get": handleGet, "GetAll": handleGetAll, "Set": handleSet,
	}},
	{Facts: tp.InterfaceDBusIntrospectable, Methods: map[string]func(*Call){
		"Introspect": handleIntrospect,
	}},
	{Facts: tp.InterfaceDBusPeer, Methods: map[string]func(*Call){
		"Ping": handlePing, "GetMachineId": handleGetMachineID,
	}},
}

// route runs on the reader's goroutine and hands a call to its loop.
func (c *Conn) route(call *Call) {
	l := c.loopFor(call.path)
	if l == nil {
		call.handleNoObject()
		return
	}
	if c.pending.Add(call.size) > maxPending {
		c.pending.Add(-call.size)
		call.fail(tp.ErrorDBusLimitsExceeded, "too many calls are waiting")
		return
	}
	if !l.Post(call.member, call.handle) {
		c.pending.Add(-call.size)
		call.handleNoObject()
	}
}

// handle runs on the loop. Whether the object is still there is seen now, not
// when the call came in.
func (call *Call) handle() {
	call.conn.pending.Add(-call.size)
	call.object = call.conn.object(call.path)
	if call.object == nil {
		call.handleNoObject()
		return
	}
	run, err := call.resolve()
	if err != nil {
		call.Fail(err)
		return
	}
	returned := false
	defer func() {
		if !returned && !call.answered { // a panic is on its way to the loop
			call.fail(tp.ErrorDBusFailed, "internal error")
		}
	}()
	if call.object.Called != nil {
		call.object.Called(call)
	}
	run(call)
	returned = true
}

// resolve finds the handler of a call and checks the signature of its body.
func (call *Call) resolve() (func(*Call), error) {
	i, err := call.findInterface()
	if err != nil {
		return nil, err
	}
	call.method = i.Facts.Method(call.member)
	if call.method == nil {
		return nil, tp.Errorf(tp.ErrorDBusUnknownMethod, "%s has no method %q", i.Facts.Name, call.member)
	}
	if !takes(call.method, call.signature) {
		return nil, tp.Errorf(tp.ErrorDBusInvalidArgs, "%s takes arguments of type %q, not %q",
			call.member, call.method.InSignature(), call.signature)
	}
	return i.Methods[call.member], nil
}

// findInterface gives the interface that a call is meant for. Without one in
// the call it is the first that has such a method, and the object's own come
// first: D-Bus specification, "Message Types".
func (call *Call) findInterface() (*Interface, error) {
	o := call.object
	if call.iface != "" {
		if i := o.own(call.iface); i != nil {
			return i, nil
		}
		for k := range standard {
			if standard[k].Facts.Name == call.iface {
				return &standard[k], nil
			}
		}
		return nil, tp.Errorf(tp.ErrorDBusUnknownInterface, "%s has no interface %q", o.Path, call.iface)
	}
	for k := range o.Interfaces {
		if o.Interfaces[k].Facts.Method(call.member) != nil {
			return &o.Interfaces[k], nil
		}
	}
	for k := range standard {
		if standard[k].Facts.Method(call.member) != nil {
			return &standard[k], nil
		}
	}
	return nil, tp.Errorf(tp.ErrorDBusUnknownMethod, "%s has no method %q", o.Path, call.member)
}

// takes compares a signature with a method's, argument by argument.
func takes(m *tp.Method, signature string) bool {
	for _, a := range m.In {
		var ok bool
		if signature, ok = strings.CutPrefix(signature, a.Type); !ok {
			return false
		}
	}
	return signature == ""
}

// handleNoObject answers a call to a path at which there is nothing: nodes
// above objects can be introspected, and a peer is everywhere.
func (call *Call) handleNoObject() {
	for k := range standard {
		i := &standard[k]
		if i.Facts == tp.InterfaceDBusProperties || call.iface != "" && call.iface != i.Facts.Name {
			continue
		}
		call.method = i.Facts.Method(call.member)
		if call.method == nil || !takes(call.method, call.signature) {
			continue
		}
		if i.Facts == tp.InterfaceDBusPeer || call.conn.hasChildren(call.path) {
			i.Methods[call.member](call)
			return
		}
	}
	call.fail(tp.ErrorDBusUnknownObject, "no object "+string(call.path))
}

func handlePing(call *Call) { call.Return() }

// machineIDFiles are where the machine's identity may be, machine-id(5) and
// dbus-uuidgen(1).
var machineIDFiles = [...]string{"/var/lib/dbus/machine-id", "/etc/machine-id"}

func handleGetMachineID(call *Call) {
	var errs []error
	for _, name := range machineIDFiles {
		id, err := os.ReadFile(name)
		if err == nil {
			call.Return(strings.TrimSpace(string(id)))
			return
		}
		errs = append(errs, err)
	}
	call.fail(tp.ErrorDBusFailed, errors.Join(errs...).Error())
}

// Emit sends a signal from an object. The arguments belong to the caller again
// afterwards.
func (c *Conn) Emit(path dbus.ObjectPath, s tp.Signal, args ...any) {
	err := c.send(&outgoing{
		kind: dbus.TypeSignal,
		path: path, iface: s.Interface, member: s.Name,
		signature: s.Signature,
		body:      args,
	}, nil)
	if err != nil && !errors.Is(err, errClosed) {
		c.defect(err, "Signal not sent", s.Name)
	}
}
