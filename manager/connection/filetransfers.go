package connection

import (
	"telepathy-olpc/channels/filetransfer"
	"telepathy-olpc/presence"
	xmppfile "telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/jid"
)

// fileHost is the Connection as file transfers need it.
type fileHost struct{ *Connection }

// FindDevice finds the device to which something for somebody can go.
func (h fileHost) FindDevice(who jid.JID, feature string, done func(device jid.JID, err error)) {
	h.capabilities.FindDevice(who, h.rooms.Devices(who), feature, done)
}

// IsRoom tells whether a bare address is that of a room.
func (h fileHost) IsRoom(bare jid.JID) bool { return h.rooms.IsRoom(bare) }

// RoomSelf is who we are for the occupants of a room.
func (h fileHost) RoomSelf(room jid.JID) jid.JID { return h.rooms.Self(room) }

// newFiles makes the file transfers. That we take files is announced always:
// activities take them without telling (UpdateCapabilities).
func newFiles(c *Connection) *filetransfer.Transfers {
	files := filetransfer.New(fileHost{c}, c.streams)
	c.people.people.Watch(presence.Watcher{Left: func(_ *presence.Contact, from jid.JID) { files.Left(from) }})
	c.capabilities.Advertise(filetransfer.Features...)
	for _, class := range filetransfer.Classes {
		c.capabilities.Offer(presence.ContactClass{Feature: xmppfile.NS, Fixed: class.Fixed, Allowed: class.Allowed})
	}
	return files
}
