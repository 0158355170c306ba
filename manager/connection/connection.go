// Package connection serves the Connection object of the Telepathy
// specification: one account's session with its server, seen from D-Bus.
//
// Each Connection has one loop. D-Bus calls, stanzas and timers are events on
// it, handled one after another, so its state needs no locks. New and End may
// be called from any goroutine; everything else runs on the loop.
//
// Order, on which clients rely: a stanza or call is handled whole, with its
// signals, before the next. At CONNECTED the own handle and presence are known
// before StatusChanged. At the end ConnectionError precedes StatusChanged, and
// the object and its bus name go last.
package connection

import (
	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/services"
)

// Connection is one requested login, from RequestConnection until it has left
// the bus.
type Connection struct {
	cfg  Config
	path dbus.ObjectPath
	bus  *bus.Conn
	loop *loop.Loop
	log  *logrus.Entry
	life Life

	status   tp.ConnectionStatus
	ended    bool // nothing new begins any more
	handles  handle.Set
	self     uint32 // 0 until the session is ready
	hasPEP   bool
	server   *disco.Info   // what the server tells of itself; nil if it told nothing
	session  *xmpp.Session // nil until Connect
	services *services.Search
	// conference is where rooms without a service in their name are; empty
	// until somebody has wanted to know.
	conference string
	served     []serving
	people
}

// Life tells the owner of a Connection how it comes to its end. Both are called
// once, in this order, on the Connection's loop.
type Life struct {
	Ended func() // before clients hear that it is over; it says goodbye now
	Gone  func() // it has left the bus
}

// New makes a disconnected Connection and exports it.
func New(cfg Config, b *bus.Conn, log *logrus.Entry, life Life) *Connection {
	c := &Connection{
		cfg:    cfg,
		path:   cfg.Path(),
		bus:    b,
		life:   life,
		status: tp.ConnectionStatusDisconnected,
		log:    log.WithField("conn", cfg.BusName()[len(tp.InterfaceConnection.Name)+1:]),
	}
	c.loop = loop.New(loop.Config{OnSlow: c.slow, OnPanic: c.panicked, Busy: b.Hold, Idle: b.Release})
	c.meet()
	object := bus.Object{Path: c.path, Interfaces: []bus.Interface{c.serveConnection()}}
	for _, o := range optional {
		s := o.serve(c)
		c.served = append(c.served, s)
		object.Interfaces = append(object.Interfaces, s.Interface)
	}
	b.Serve(c.path, c.loop)
	b.Export(object)
	go c.loop.Run()
	return c
}

// End disconnects as if a client had asked for it.
func (c *Connection) End() {
	c.loop.Post("end", func() { c.finish(requested) })
}

func (c *Connection) serveConnection() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnection,
		Methods: map[string]func(*bus.Call){
			"Connect":              c.connect,
			"Disconnect":           c.disconnect,
			"GetInterfaces":        func(call *bus.Call) { call.Return(Interfaces()) },
			"GetProtocol":          func(call *bus.Call) { call.Return(c.cfg.Protocol) },
			"GetStatus":            func(call *bus.Call) { call.Return(c.status) },
			"GetSelfHandle":        c.whileConnected(func(call *bus.Call) { call.Return(c.self) }),
			"RequestHandles":       c.whileConnected(c.requestHandles),
			"InspectHandles":       c.whileConnected(c.inspectHandles),
			"HoldHandles":          c.whileConnected(c.holdHandles),
			"ReleaseHandles":       c.whileConnected(c.holdHandles),
			"RequestChannel":       c.whileConnected(c.requests.requestChannel),
			"ListChannels":         c.whileConnected(c.requests.listChannels),
			"AddClientInterest":    acceptInterest,
			"RemoveClientInterest": acceptInterest,
		},
		Properties: map[string]func() any{
			"Interfaces":         func() any { return Interfaces() },
			"SelfHandle":         func() any { return c.self },
			"SelfID":             func() any { return c.selfID() },
			"Status":             func() any { return c.status },
			"HasImmortalHandles": bus.Fixed(true),
		},
	}
}

// acceptInterest takes tokens of any interface: those that no notification
// here depends on are to be ignored (Connection.AddClientInterest).
func acceptInterest(call *bus.Call) { call.Return() }

// whileConnected answers Disconnected unless the status is CONNECTED.
func (c *Connection) whileConnected(serve func(*bus.Call)) func(*bus.Call) {
	return func(call *bus.Call) {
		if c.status != tp.ConnectionStatusConnected {
			call.Fail(tp.Errorf(tp.ErrorDisconnected, "the connection is not connected"))
			return
		}
		serve(call)
	}
}

func (c *Connection) selfID() string {
	self, _ := c.handles.Contacts.ID(c.self)
	return self.String()
}

func (c *Connection) connect(call *bus.Call) {
	if c.ended {
		call.Fail(tp.Errorf(tp.ErrorDisconnected, "the connection has ended"))
		return
	}
	if c.session == nil {
		c.setStatus(tp.ConnectionStatusConnecting, tp.ConnectionStatusReasonRequested)
		c.login()
	}
	call.Return()
}

func (c *Connection) disconnect(call *bus.Call) {
	c.finish(requested)
	call.Return()
}

func (c *Connection) setStatus(s tp.ConnectionStatus, reason tp.ConnectionStatusReason) {
	c.status = s
	c.Emit(tp.SignalConnectionStatusChanged, s, reason)
}

// finish tells clients that the Connection is over, says goodbye to the server
// and leaves the bus. Only the first call has an effect.
func (c *Connection) finish(e ending) {
	if c.ended {
		return
	}
	c.ended = true
	c.life.Ended()
	c.files.Close()
	c.tubes.Close(e.ofTubes())
	c.requests.closeAll()
	if e.err != "" {
		c.Emit(tp.SignalConnectionConnectionError, e.err, e.details())
		c.log.WithField("error", e.err).WithField("message", e.message).Info("Connection failed")
	}
	c.setStatus(tp.ConnectionStatusDisconnected, e.reason)
	if c.session == nil {
		c.leave()
		return
	}
	c.depart()
	c.session.Close(c.leave)
}

func (c *Connection) leave() {
	c.bus.Unexport(c.path)
	c.bus.ReleaseName(c.cfg.BusName())
	c.bus.Unserve(c.path)
	c.loop.Close()
	c.life.Gone()
}
