package text

import (
	"strconv"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// How many people can have a chat open with us at a time before somebody new is
// told to wait. Of strangers there can be fewer, so that they take no place
// from those whom the user knows.
const (
	maxChats     = 512
	maxStrangers = 64
)

// Host is what chats need of their Connection.
type Host interface {
	channels.Host
	Send(*stanza.Element)
	// SeesUs tells whether somebody, a bare address, is told of our presence.
	SeesUs(who jid.JID) bool
	// HasFeature tells whether a device or, for a bare address, any device of
	// a contact is known to have a feature.
	HasFeature(who jid.JID, feature string) bool
}

// Classes are the channel classes of chats.
var Classes = []channels.Class{{
	Fixed: map[string]any{
		tp.PropertyChannelChannelType:      tp.InterfaceChannelText.Name,
		tp.PropertyChannelTargetHandleType: tp.HandleTypeContact,
	},
	Allowed: []string{tp.PropertyChannelTargetHandle, tp.PropertyChannelTargetID},
}}

// Features are what we do in chats, for service discovery.
var Features = []string{chat.NSStates, chat.NSReceipts}

// Chats are the text channels with one person, each with a contact or, for
// private messages in a room, an occupant. A channel comes into being by a
// request or by the first message; what somebody merely does opens none.
type Chats struct {
	host   Host
	isRoom func(bare jid.JID) bool
	open   map[jid.JID]*dialogue // by bare address, occupants by their full one
	made   int                   // channels so far
}

var _ channels.Server = (*Chats)(nil)

// NewChats opens no chat yet. isRoom tells whether a bare address is that of a
// room in which we are.
func NewChats(h Host, isRoom func(bare jid.JID) bool) *Chats {
	return &Chats{host: h, isRoom: isRoom, open: make(map[jid.JID]*dialogue)}
}

// Request gives the chat with the target.
func (c *Chats) Request(r *channels.Request) {
	who, _ := c.host.Handles().Contacts.ID(r.Target.Handle)
	if d := c.open[who]; d != nil {
		r.Existing(d.Channel)
		return
	}
	d := c.start(who)
	d.show(c.host.SelfHandle(), true)
	c.host.Opened(d.Channel, r)
}

// start makes a chat that has no channel yet.
func (c *Chats) start(who jid.JID) *dialogue {
	d := &dialogue{chats: c, who: who, to: who, contact: c.host.Handles().Contacts.Ensure(who)}
	d.Conversation = New(Config{
		Handles:   c.host.Handles(),
		Self:      c.host.SelfHandle,
		Recipient: d.contact,
		Send:      d.send,
		SetState:  d.setState,
	})
	c.open[who] = d
	return d
}

// HandleMessage takes all messages but those of rooms. It is the last to be
// asked, for what others know to read can have a text too.
func (c *Chats) HandleMessage(e *stanza.Element) bool {
	m, ok := chat.Parse(e, jid.JID{})
	if !ok || m.Type == chat.Groupchat {
		return false
	}
	who, is := c.partner(m.From)
	if !is {
		return false
	}
	d := c.open[who]
	if d == nil && m.HasBody && m.Type != chat.Failed {
		if d = c.admit(who, e); d == nil {
			return true
		}
	}
	if d == nil {
		return false
	}
	d.handle(&m, e)
	return true
}

// HandleError takes messages of chats that come back. It is asked before rooms
// are, which take all errors that come from there.
func (c *Chats) HandleError(e *stanza.Element) bool {
	return e.Attr("type") == string(chat.Failed) && c.HandleMessage(e)
}

// partner tells whose chat a message from this address belongs to. A room is
// nobody to chat with.
func (c *Chats) partner(from jid.JID) (who jid.JID, is bool) {
	if from.IsZero() { // it concerns our own account, RFC 6120 §8.1.2.1
		return c.host.Handles().Contacts.ID(c.host.SelfHandle())
	}
	if c.isRoom(from.Bare()) {
		return from, !from.IsBare()
	}
	return from.Bare(), true
}

// admit opens a chat that somebody else begins, nil if there are too many.
func (c *Chats) admit(who jid.JID, e *stanza.Element) *dialogue {
	if len(c.open) >= maxChats || len(c.open) >= maxStrangers && !c.host.SeesUs(who.Bare()) {
		c.host.Send(stanza.ReplyError(e, stanza.NewError(stanza.ResourceConstraint, "")))
		return nil
	}
	d := c.start(who)
	d.show(d.contact, false)
	c.host.Opened(d.Channel)
	return d
}

// Seen notes a presence of somebody's device, available or not. It ends the
// preference for the device that wrote last: another one may be at hand now
// (RFC 6121 §5.1).
func (c *Chats) Seen(device jid.JID) {
	if d := c.open[device.Bare()]; d != nil {
		d.unlock()
	}
}

// Left notes that a device has gone, and with it what somebody was doing there.
func (c *Chats) Left(device jid.JID) {
	d := c.open[device.Bare()]
	if d == nil {
		return
	}
	if d.to == device {
		d.SetContactState(d.contact, tp.ChannelChatStateInactive)
	}
	d.unlock()
}

// show makes the channel and exports it.
func (d *dialogue) show(initiator uint32, requested bool) {
	h := d.chats.host
	d.chats.made++
	ch := &channels.Channel{
		Path:       h.ChannelPath("ImChannel" + strconv.Itoa(d.chats.made)),
		Type:       tp.InterfaceChannelText,
		Target:     channels.Target{Type: tp.HandleTypeContact, Handle: d.contact, ID: d.who.String()},
		Initiator:  initiator,
		Requested:  requested,
		Interfaces: append(d.Interfaces(), d.destroyable()),
		Immutable:  d.Immutable(),
		OnClose: func(call *bus.Call) {
			d.close(true)
			call.Return()
		},
	}
	// Sugar's Chat takes every text channel for one with a group.
	group := &channels.Group{Channel: ch, Self: h.SelfHandle()}
	group.Add = func(call *bus.Call, _ []uint32, _ string) { refuseMembers(call) }
	group.Remove = func(call *bus.Call, _ []uint32, _ string, _ tp.ChannelGroupChangeReason) { refuseMembers(call) }
	ch.Unlisted = []bus.Interface{group.Interface()}
	ch.Export(h)
	group.Fill(channels.Change{Added: []uint32{h.SelfHandle(), d.contact}})
	d.Channel = ch
}

func refuseMembers(call *bus.Call) {
	call.Fail(tp.Errorf(tp.ErrorPermissionDenied, "a chat is between two"))
}

// destroyable is Channel.Interface.Destroyable.
func (d *dialogue) destroyable() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelDestroyable,
		Methods: map[string]func(*bus.Call){"Destroy": func(call *bus.Call) {
			d.close(false)
			call.Return()
		}},
	}
}

// close ends the channel. When messages are left that nobody has acknowledged,
// because they came too late for who closes it, or nobody was there, a new
// channel takes its place (specification, Channel.Type.Text), unless it is to
// be destroyed.
func (d *dialogue) close(rescue bool) {
	h := d.chats.host
	d.sayGone()
	h.Closed(d.Channel)
	if rescue && d.Rescue() {
		d.own = tp.ChannelChatStateInactive
		d.show(d.contact, false)
		h.Opened(d.Channel)
	} else {
		delete(d.chats.open, d.who)
	}
}

// nickOf is the name that the sender of a message gives, XEP-0172 §4.3.
func nickOf(e *stanza.Element) string {
	nick, _ := pep.ParseNick(e.Child(pep.NodeNick, "nick"))
	return nick
}
