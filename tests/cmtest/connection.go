package cmtest

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// Connection is a CM with a connection requested from it.
type Connection struct {
	*CM
	Path dbus.ObjectPath // of the Connection object
	Name string          // its bus name
}

// Connect starts everything and logs in with Sugar's parameters. What happened
// up to then is past.
func Connect(t testing.TB, opts ...Option) *Connection {
	t.Helper()
	c := Start(t, opts...).Request()
	c.Login()
	c.Sync()
	c.queue.forget()
	return c
}

// Request requests a connection with the parameters given at the start, and
// those given here.
func (cm *CM) Request(opts ...Option) *Connection {
	cm.T.Helper()
	reply := cm.Call(cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters(opts...))
	c := &Connection{CM: cm, Name: As[string](cm.T, reply.Arg(0)), Path: As[dbus.ObjectPath](cm.T, reply.Arg(1))}
	cm.links = append(cm.links, c)
	return c
}

// Parameters are those of a connection request as Sugar makes it.
func (cm *CM) Parameters(opts ...Option) map[string]dbus.Variant {
	o := cm.options
	for _, option := range opts {
		option(&o)
	}
	given := make(map[string]dbus.Variant, len(o.params)+1)
	given["port"] = dbus.MakeVariant(uint32(cm.Server.Port)) // Sugar sends the q as u
	for name, value := range o.params {
		given[name] = dbus.MakeVariant(value)
	}
	if password, is := o.params["password"].(string); is {
		cm.Server.noteSecret(password)
	}
	return given
}

// Login connects and waits for the status CONNECTED.
func (c *Connection) Login() {
	c.T.Helper()
	broken := c.Forbid(Signal(tp.SignalConnectionConnectionError).At(c.Path))
	c.Call(c.Path, tp.InterfaceConnection, "Connect")
	c.Expect(c.Status(tp.ConnectionStatusConnected, tp.ConnectionStatusReasonRequested))
	broken.Lift()
}

// Status matches the connection's StatusChanged.
func (c *Connection) Status(s tp.ConnectionStatus, why tp.ConnectionStatusReason) Match {
	return Signal(tp.SignalConnectionStatusChanged).At(c.Path).Args(uint32(s), uint32(why))
}

// Fails connects and wants the attempt to end with that error and that reason, in
// the order: ConnectionError, StatusChanged(DISCONNECTED), bus name gone.
func (c *Connection) Fails(name tp.ErrorName, why tp.ConnectionStatusReason) {
	c.T.Helper()
	defer c.attempt().Lift()
	c.Ends(name, why)
}

// FailsBecause is Fails where any error will do that goes with the reason.
func (c *Connection) FailsBecause(why tp.ConnectionStatusReason) {
	c.T.Helper()
	defer c.attempt().Lift()
	c.EndsBecause(why)
}

// attempt connects what must not get through.
func (c *Connection) attempt() *Ban {
	c.T.Helper()
	connected := c.Forbid(c.Status(tp.ConnectionStatusConnected, tp.ConnectionStatusReasonRequested))
	c.Call(c.Path, tp.InterfaceConnection, "Connect")
	c.Expect(c.Status(tp.ConnectionStatusConnecting, tp.ConnectionStatusReasonRequested))
	return connected
}

// Ends waits for the connection to end with that error and that reason.
func (c *Connection) Ends(name tp.ErrorName, why tp.ConnectionStatusReason) {
	c.T.Helper()
	broken := c.EndsBecause(why)
	Equal(c.T, broken.Arg(0), name)
}

// EndsBecause is Ends where any error will do that goes with the reason. It
// returns the ConnectionError.
func (c *Connection) EndsBecause(why tp.ConnectionStatusReason) *Event {
	c.T.Helper()
	broken := c.Expect(Signal(tp.SignalConnectionConnectionError).At(c.Path))
	changed := c.Expect(Signal(tp.SignalConnectionStatusChanged).At(c.Path))
	Equal(c.T, changed.Arg(0), tp.ConnectionStatusDisconnected)
	Equal(c.T, changed.Arg(1), why)
	c.Expect(NameGone(c.Name))
	return broken
}

// Handle is the handle of a contact.
func (c *Connection) Handle(id string) uint32 {
	c.T.Helper()
	return c.handle(tp.HandleTypeContact, id)
}

// Room is the handle of a room.
func (c *Connection) Room(id string) uint32 {
	c.T.Helper()
	return c.handle(tp.HandleTypeRoom, id)
}

func (c *Connection) handle(kind tp.HandleType, id string) uint32 {
	c.T.Helper()
	handles := As[[]uint32](c.T, c.Call(c.Path, tp.InterfaceConnection, "RequestHandles", uint32(kind), []string{id}).Arg(0))
	if len(handles) != 1 {
		c.T.Fatalf("RequestHandles of one name gave %v", handles)
	}
	return handles[0]
}

// Disconnect asks the connection to end and waits until it has.
func (c *Connection) Disconnect() {
	c.T.Helper()
	c.Call(c.Path, tp.InterfaceConnection, "Disconnect")
	c.Expect(c.Status(tp.ConnectionStatusDisconnected, tp.ConnectionStatusReasonRequested))
	c.Expect(NameGone(c.Name))
}

// Sync is a round trip with everything on both sides. All that the binary had
// to do on account of what was sent to it before, and can do without hearing
// more from outside, has shown as events when it returns: a call's stanzas, a
// stanza's signals.
func (cm *CM) Sync() {
	cm.T.Helper()
	cm.syncBus()
	for _, server := range cm.servers {
		for _, stream := range server.ready() {
			stream.Ping(cm.T)
		}
	}
	cm.syncBus()
	if broken := cm.queue.failure(); broken != "" {
		cm.T.Fatal(broken)
	}
}

// syncBus pings each object whose calls have an order of their own: the
// manager's and the connections' that are alive.
func (cm *CM) syncBus() {
	cm.T.Helper()
	paths := []dbus.ObjectPath{cm.Path}
	for _, c := range cm.links {
		paths = append(paths, c.Path)
	}
	for _, path := range paths {
		ping := message(cm.unique, path, tp.InterfaceDBusPeer, "Ping")
		call := cm.control.Send(ping, make(chan *dbus.Call, 1))
		select {
		case <-cm.monitor.answered(ping.Serial()):
		case <-time.After(patience):
			cm.T.Fatalf("%s does not answer a ping: %v", path, call.Err)
		}
	}
}
