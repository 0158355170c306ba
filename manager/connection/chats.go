package connection

import (
	"telepathy-olpc/channels"
	"telepathy-olpc/channels/text"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/presence"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// chatHost is the Connection as chats need it.
type chatHost struct{ *Connection }

// SeesUs tells whether somebody is told of our presence.
func (h chatHost) SeesUs(who jid.JID) bool {
	return h.contactList.PublishState(who) == tp.SubscriptionStateYes || h.acquaintances.Knows(who)
}

// Opened announces a chat. With whom the user begins one is told who that is.
func (h chatHost) Opened(ch *channels.Channel, answered ...*channels.Request) {
	if who, known := h.handles.Contacts.ID(ch.Target.Handle); known && len(answered) > 0 {
		h.acquaintances.Introduce(who)
	}
	h.Connection.Opened(ch, answered...)
}

// HasFeature tells what somebody's client is known to have.
func (h chatHost) HasFeature(who jid.JID, feature string) bool {
	return h.capabilities.HasFeature(who, feature)
}

// newChats makes the chats with one person.
func newChats(c *Connection) *text.Chats {
	chats := text.NewChats(chatHost{c}, c.rooms.IsRoom)
	c.people.people.Watch(presence.Watcher{
		Presence: func(_ *presence.Contact, from jid.JID, _ *stanza.Element) { chats.Seen(from) },
		Left:     func(_ *presence.Contact, from jid.JID) { chats.Left(from) },
	})
	c.capabilities.Advertise(text.Features...)
	for _, class := range text.Classes {
		c.capabilities.Offer(presence.ContactClass{Fixed: class.Fixed, Allowed: class.Allowed})
	}
	return chats
}
