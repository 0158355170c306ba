// Package manager serves the ConnectionManager and Protocol objects of the
// Telepathy specification and turns RequestConnection into Connections.
//
// All objects of this package live on one loop, apart from the loops of the
// Connections.
package manager

import (
	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager/connection"
)

// Definition is what makes one connection manager differ from another.
type Definition struct {
	Name      string // as in bus name, object path and .manager file
	Protocols []*Protocol
}

// BusName is the well-known name the connection manager owns.
func (d Definition) BusName() string {
	return tp.InterfaceConnectionManager.Name + "." + d.Name
}

// Path is the object path of the ConnectionManager object.
func (d Definition) Path() dbus.ObjectPath {
	return dbus.ObjectPath("/org/freedesktop/Telepathy/ConnectionManager/" + d.Name)
}

// Manager is a ConnectionManager object with its Protocol objects.
type Manager struct {
	Definition
	bus  *bus.Conn
	loop *loop.Loop
	log  *logrus.Entry
	// connections holds what was requested and is not gone yet.
	connections map[dbus.ObjectPath]*entry
	changed     func() // called when the number of connections has changed
}

// entry is one Connection and who waits for it to go.
type entry struct {
	*connection.Connection
	ended   bool
	waiting []func() // requests for the same account
}

// newManager exports the objects of d. changed is called on l whenever the
// number of connections changes.
func newManager(d Definition, b *bus.Conn, l *loop.Loop, log *logrus.Entry, changed func()) *Manager {
	m := &Manager{
		Definition:  d,
		bus:         b,
		loop:        l,
		log:         log.WithField("manager", d.Name),
		connections: make(map[dbus.ObjectPath]*entry),
		changed:     changed,
	}
	b.Serve(d.Path(), l)
	for _, p := range d.Protocols {
		b.Export(p.object(m.protocolPath(p)))
	}
	b.Export(m.object())
	return m
}

func (m *Manager) protocolPath(p *Protocol) dbus.ObjectPath {
	return m.Path() + dbus.ObjectPath("/"+p.pathName())
}

func (m *Manager) object() bus.Object {
	return bus.Object{Path: m.Path(), Interfaces: []bus.Interface{{
		Facts: tp.InterfaceConnectionManager,
		Methods: map[string]func(*bus.Call){
			"ListProtocols":     m.listProtocols,
			"GetParameters":     m.getParameters,
			"RequestConnection": m.requestConnection,
		},
		Properties: map[string]func() any{
			"Interfaces": bus.Fixed([]string{}),
			"Protocols":  func() any { return m.protocols() },
		},
	}}}
}

func (m *Manager) protocols() map[string]map[string]dbus.Variant {
	all := make(map[string]map[string]dbus.Variant, len(m.Protocols))
	for _, p := range m.Protocols {
		all[p.Name] = p.immutable()
	}
	return all
}

// protocol finds a protocol by name, else answers NotImplemented.
func (m *Manager) protocol(call *bus.Call, name string) *Protocol {
	for _, p := range m.Protocols {
		if p.Name == name {
			return p
		}
	}
	call.Fail(tp.Errorf(tp.ErrorNotImplemented, "protocol %q is not offered by %s", name, m.Name))
	return nil
}

func (m *Manager) listProtocols(call *bus.Call) {
	names := make([]string, len(m.Protocols))
	for i, p := range m.Protocols {
		names[i] = p.Name
	}
	call.Return(names)
}

func (m *Manager) getParameters(call *bus.Call) {
	var name string
	if !call.Args(&name) {
		return
	}
	if p := m.protocol(call, name); p != nil {
		call.Return(p.paramSpecs())
	}
}

func (m *Manager) requestConnection(call *bus.Call) {
	var name string
	var given map[string]dbus.Variant
	if !call.Args(&name, &given) {
		return
	}
	p := m.protocol(call, name)
	if p == nil {
		return
	}
	values, err := parseValues(p.Parameters, given)
	if err != nil {
		call.Fail(err)
		return
	}
	cfg, err := p.Configure(values)
	if err != nil {
		call.Fail(err)
		return
	}
	m.create(call, p, cfg)
}

// create exports the Connection, claims its bus name, announces and answers,
// in this order: Sugar introspects a Connection as soon as its name appears,
// and NewConnection precedes the reply.
func (m *Manager) create(call *bus.Call, p *Protocol, cfg connection.Config) {
	cfg.Manager = m.Name
	path := cfg.Path()
	if old := m.connections[path]; old != nil {
		m.createAfter(old, call, func() { m.create(call, p, cfg) })
		return
	}
	c := new(entry)
	c.Connection = connection.New(cfg, m.bus, m.log, connection.Life{
		Ended: func() { m.loop.Post("connection ended", func() { c.ended = true }) },
		Gone:  func() { m.loop.Post("connection gone", func() { m.remove(path) }) },
	})
	m.connections[path] = c
	m.changed()
	m.bus.ClaimName(cfg.BusName(), m.loop, func(err error) {
		if err != nil {
			c.End()
			call.Fail(tp.Errorf(tp.ErrorNotAvailable, "bus name %s: %v", cfg.BusName(), err))
			return
		}
		m.bus.Emit(m.Path(), tp.SignalConnectionManagerNewConnection, cfg.BusName(), path, p.Name)
		call.Return(cfg.BusName(), path)
	})
}

// createAfter refuses a second Connection of an account; but when the first is
// over and only says goodbye to its server, the request waits for that: clients
// try again as soon as they hear that a Connection is DISCONNECTED.
func (m *Manager) createAfter(old *entry, call *bus.Call, create func()) {
	if !old.ended {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "a connection of this account exists already"))
		return
	}
	old.waiting = append(old.waiting, create)
}

func (m *Manager) remove(path dbus.ObjectPath) {
	waiting := m.connections[path].waiting
	delete(m.connections, path)
	m.changed()
	for _, create := range waiting {
		create()
	}
}

// endAll ends every Connection; they report back through changed.
func (m *Manager) endAll() {
	for _, c := range m.connections {
		c.End()
	}
}
