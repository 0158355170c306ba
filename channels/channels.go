// Package channels has what all Channel objects of the Telepathy specification
// have in common: the Channel interface, the Group interface, and the way a
// request finds the channel type that serves it. Each channel type is a
// package below this one.
//
// Everything runs on the loop of the Connection that owns the channels. A
// channel is exported before its path leaves the process; a request is
// answered before NewChannels announces the channel made for it
// (specification, Connection.Interface.Requests, since 0.17.14).
package channels

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/tp"
)

// Class is Requestable_Channel_Class: what a client may ask CreateChannel for.
type Class struct {
	Fixed   map[string]any // full property name to value
	Allowed []string       // further full property names
	// Unknown is the error for a property that is neither; empty for
	// NotImplemented, as the specification wants.
	Unknown tp.ErrorName
}

// Server makes and keeps the channels of one type on one Connection.
type Server interface {
	// Request answers through r, at once or later, exactly once. It gets
	// only requests that match one of the type's classes.
	Request(r *Request)
}

// Host is what channels need of their Connection.
type Host interface {
	// ChannelPath makes an object path below the Connection's.
	ChannelPath(name string) dbus.ObjectPath
	Export(o bus.Object)
	EmitFrom(path dbus.ObjectPath, s tp.Signal, args ...any)
	Handles() *handle.Set
	SelfHandle() uint32
	// Opened answers the requests that led to ch, if any, and announces it.
	Opened(ch *Channel, requests ...*Request)
	// Closed takes ch off the bus and announces that.
	Closed(ch *Channel)
}

// Target is whom or what a channel is with.
type Target struct {
	Type   tp.HandleType
	Handle uint32 // 0 when Type is None
	ID     string
}

// Channel is the D-Bus object of one channel. Its type fills the fields before
// [Channel.Export] and leaves them alone afterwards.
type Channel struct {
	Path      dbus.ObjectPath
	Type      *tp.Interface
	Target    Target
	Initiator uint32 // contact handle, 0 for the server's own
	Requested bool   // by a local client
	// Interfaces are the type's own and the optional ones, in the order
	// clients see; the first is that of Type.
	Interfaces []bus.Interface
	// Unlisted are served but not announced, for clients that call what
	// they were never told of.
	Unlisted []bus.Interface
	// Immutable are properties besides Channel's own that never change, by
	// full name; NewChannels tells them.
	Immutable map[string]any
	// OnClose is what Close means to the type; it ends with Host.Closed.
	OnClose func(call *bus.Call)

	host Host
}

// Export puts the channel on the bus. It is not announced yet.
func (c *Channel) Export(h Host) {
	c.host = h
	o := bus.Object{Path: c.Path, Interfaces: []bus.Interface{c.channelInterface()}}
	o.Interfaces = append(o.Interfaces, c.Interfaces...)
	o.Interfaces = append(o.Interfaces, c.Unlisted...)
	h.Export(o)
}

// Emit sends a signal of this channel.
//
//go:noinline
func (c *Channel) Emit(s tp.Signal, args ...any) { c.host.EmitFrom(c.Path, s, args...) }

func (c *Channel) channelInterface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannel,
		Methods: map[string]func(*bus.Call){
			"Close":          c.OnClose,
			"GetChannelType": func(call *bus.Call) { call.Return(c.Type.Name) },
			"GetHandle":      func(call *bus.Call) { call.Return(c.Target.Type, c.Target.Handle) },
			"GetInterfaces":  func(call *bus.Call) { call.Return(c.interfaceNames()) },
		},
		Properties: map[string]func() any{
			"ChannelType":      bus.Fixed(c.Type.Name),
			"Interfaces":       func() any { return c.interfaceNames() },
			"TargetHandleType": bus.Fixed(c.Target.Type),
			"TargetHandle":     bus.Fixed(c.Target.Handle),
			"TargetID":         bus.Fixed(c.Target.ID),
			"Requested":        bus.Fixed(c.Requested),
			"InitiatorHandle":  bus.Fixed(c.Initiator),
			"InitiatorID":      bus.Fixed(c.initiatorID()),
		},
	}
}

// interfaceNames lists the optional interfaces, without the type's own.
func (c *Channel) interfaceNames() []string {
	names := []string{}
	for _, i := range c.Interfaces {
		if i.Facts != c.Type {
			names = append(names, i.Facts.Name)
		}
	}
	return names
}

func (c *Channel) initiatorID() string {
	id, _ := c.host.Handles().Contacts.ID(c.Initiator)
	return id.String()
}

// Details are the channel's immutable properties, by full name.
func (c *Channel) Details() map[string]dbus.Variant {
	d := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(c.Type.Name),
		tp.PropertyChannelInterfaces:       dbus.MakeVariant(c.interfaceNames()),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(c.Target.Type),
		tp.PropertyChannelTargetHandle:     dbus.MakeVariant(c.Target.Handle),
		tp.PropertyChannelTargetID:         dbus.MakeVariant(c.Target.ID),
		tp.PropertyChannelRequested:        dbus.MakeVariant(c.Requested),
		tp.PropertyChannelInitiatorHandle:  dbus.MakeVariant(c.Initiator),
		tp.PropertyChannelInitiatorID:      dbus.MakeVariant(c.initiatorID()),
	}
	for name, value := range c.Immutable {
		d[name] = dbus.MakeVariant(value)
	}
	return d
}
