package connection

import (
	"telepathy-olpc/channels/tubes"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/presence"
	"telepathy-olpc/xmpp/jid"
	wire "telepathy-olpc/xmpp/tubes"
)

// FindTubeDevice finds a contact's device that takes tubes.
func (c *Connection) FindTubeDevice(contact jid.JID, done func(device jid.JID, err error)) {
	c.capabilities.FindDevice(contact, c.rooms.Devices(contact), wire.NS, done)
}

// tubeClasses say what can be requested of contacts who take tubes, for any
// service, and for those that their programs serve.
func tubeClasses() (all []presence.ContactClass) {
	for _, c := range []struct {
		facts    *tp.Interface
		kind     wire.Type
		property string
	}{
		{tp.InterfaceChannelStreamTube, wire.Stream, tp.PropertyChannelStreamTubeService},
		{tp.InterfaceChannelDBusTube, wire.DBus, tp.PropertyChannelDBusTubeServiceName},
	} {
		fixed := map[string]any{
			tp.PropertyChannelChannelType:      c.facts.Name,
			tp.PropertyChannelTargetHandleType: tp.HandleTypeContact,
		}
		target := []string{tp.PropertyChannelTargetHandle, tp.PropertyChannelTargetID}
		all = append(all,
			presence.ContactClass{Feature: wire.NS, Fixed: fixed, Allowed: append([]string{c.property}, target...)},
			presence.ContactClass{Feature: wire.Feature(c.kind, ""), Suffix: c.property, Fixed: fixed, Allowed: target})
	}
	return all
}

// newTubes makes the tubes, which live in rooms and with contacts.
func newTubes(c *Connection) *tubes.Tubes {
	t := tubes.New(c, c.rooms, c.streams)
	c.rooms.Accompany(t)
	c.streams.Serve(wire.NS, t.HandleStream)
	c.people.people.Watch(presence.Watcher{
		Left: func(_ *presence.Contact, from jid.JID) { t.DeviceLeft(from) },
	})
	c.capabilities.Advertise(wire.NS)
	c.capabilities.Offer(tubeClasses()...)
	return t
}
