package bus

import (
	"fmt"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/loop"
)

// The bus itself, D-Bus specification, "Message Bus Messages".
const (
	driverName                      = "org.freedesktop.DBus"
	driverPath      dbus.ObjectPath = "/org/freedesktop/DBus"
	driverInterface                 = "org.freedesktop.DBus"
)

// RequestName takes a well-known name, or fails if somebody else has it. It
// blocks, and so must not be called on a loop.
func (c *Conn) RequestName(name string) error {
	reply, err := c.ask("RequestName", "su", name, uint32(dbus.NameFlagDoNotQueue))
	return claimed(name, reply, err)
}

// ClaimName is [Conn.RequestName] for loops: the bus handles it after what was
// sent before, and the result comes as an event of l.
func (c *Conn) ClaimName(name string, l *loop.Loop, done func(error)) {
	c.call("RequestName", "su", func(reply []any, err error) {
		l.Post("bus name claimed", func() { done(claimed(name, reply, err)) })
	}, name, uint32(dbus.NameFlagDoNotQueue))
}

// ReleaseName gives a name back, after what was sent before.
func (c *Conn) ReleaseName(name string) { c.call("ReleaseName", "s", nil, name) }

// claimed reads the answer to RequestName.
func claimed(name string, reply []any, err error) error {
	var result uint32
	if err == nil {
		err = dbus.Store(reply, &result)
	}
	if err != nil {
		return fmt.Errorf("request bus name %s: %w", name, err)
	}
	switch dbus.RequestNameReply(result) {
	case dbus.RequestNameReplyPrimaryOwner, dbus.RequestNameReplyAlreadyOwner:
		return nil
	}
	return fmt.Errorf("request bus name %s: it is taken", name)
}

// ask calls a method of the bus and waits for the answer.
func (c *Conn) ask(member, signature string, args ...any) (reply []any, err error) {
	answered := make(chan struct{})
	c.call(member, signature, func(body []any, e error) {
		reply, err = body, e
		close(answered)
	}, args...)
	<-answered
	return reply, err
}

// call calls a method of the bus. Done is called once; without it no answer is asked for.
func (c *Conn) call(member, signature string, done func(body []any, err error), args ...any) {
	m := &outgoing{
		kind:  dbus.TypeMethodCall,
		dest:  driverName,
		path:  driverPath,
		iface: driverInterface, member: member,
		signature: signature,
		body:      args,
	}
	if done == nil {
		m.flags = dbus.FlagNoReplyExpected
	}
	if err := c.send(m, done); err != nil && done == nil {
		c.log.WithError(err).WithField("member", member).Debug("Call to the bus not sent")
	}
}
