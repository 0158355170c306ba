package bus

import (
	"context"

	"github.com/godbus/dbus/v5"
)

// Signal is a signal of somebody else's, see [Conn.Watch].
type Signal struct {
	Sender            string // unique bus name
	Path              dbus.ObjectPath
	Interface, Member string
	Body              []any
}

// Ask calls a method of somebody on the bus, or of the bus itself, and waits
// for the answer or the end of ctx. Nobody is started for it. The answer may
// come from anybody whom the bus lets answer the call. It must not be called on
// a loop.
func (c *Conn) Ask(ctx context.Context, to string, path dbus.ObjectPath, iface, member, signature string, args ...any) ([]any, error) {
	type outcome struct {
		body []any
		err  error
	}
	answered := make(chan outcome, 1)
	err := c.send(&outgoing{
		kind: dbus.TypeMethodCall, flags: dbus.FlagNoAutoStart,
		dest: to, path: path, iface: iface, member: member, signature: signature, body: args,
	}, func(body []any, err error) { answered <- outcome{body, err} })
	if err != nil {
		return nil, err
	}
	select {
	case o := <-answered:
		return o.body, o.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// AskBus is [Conn.Ask] for the bus itself.
func (c *Conn) AskBus(ctx context.Context, member, signature string, args ...any) ([]any, error) {
	return c.Ask(ctx, driverName, driverPath, driverInterface, member, signature, args...)
}

// Watch has handle called with the signals that a rule selects, D-Bus
// specification, "Match Rules", and with those that the bus sends unasked: on
// the reader's goroutine, in the order of the bus. There is one handler; a
// second call of Watch adds a rule.
func (c *Conn) Watch(ctx context.Context, rule string, handle func(Signal)) error {
	c.mu.Lock()
	c.signals = handle
	c.mu.Unlock()
	_, err := c.AskBus(ctx, "AddMatch", "s", rule)
	return err
}

// handleSignal gives a signal to whoever watches; one that is malformed is
// nobody's.
func (c *Conn) handleSignal(m *message, body []byte) {
	args, err := decodeBody(m, body)
	if err != nil {
		return
	}
	s := Signal{Sender: m.sender, Path: m.path, Interface: m.iface, Member: m.member, Body: args}
	c.handleLeaver(s)
	c.mu.RLock()
	handle := c.signals
	c.mu.RUnlock()
	if handle != nil {
		handle(s)
	}
}
