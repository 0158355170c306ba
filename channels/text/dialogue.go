package text

import (
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// dialogue is a conversation with one person.
type dialogue struct {
	*Conversation
	chats   *Chats
	who     jid.JID // bare, an occupant's is full
	contact uint32
	to      jid.JID // who, or the device that wrote last
	states  support
	used    bool // the other has heard of us since the channel opened
}

// support says whether the device we write to reads chat states, XEP-0085 §5.1.
type support uint8

const (
	unsettled support = iota
	supported
	unsupported
)

// nsMUCUser marks a message as private in a room, XEP-0045 §7.5.
const nsMUCUser = "http://jabber.org/protocol/muc#user"

func (d *dialogue) send(o Outgoing) error {
	kind := chat.Chat
	var active, receipt *stanza.Element
	switch {
	case o.Type == tp.ChannelTextMessageTypeNotice:
		kind = chat.Normal // a headline would be lost where nobody is on-line
	case d.states != unsupported:
		active = chat.Active.Element()
	}
	if o.Receipt {
		receipt = chat.ReceiptRequest()
	}
	d.chats.host.Send(chat.Build(d.to, kind, o.Token, o.Body(), active, receipt, d.mark()))
	d.used = true
	return nil
}

// setState tells the other what the user is doing, if that is of use there.
func (d *dialogue) setState(s tp.ChannelChatState) error {
	if d.readsStates() {
		d.sendState(WireState(s))
		d.used = true
	}
	return nil
}

// readsStates tells whether a state may go without a message: once the other
// has shown that it is understood, XEP-0085 §5.1, or announced it, §5.2.
func (d *dialogue) readsStates() bool {
	return d.states == supported || d.states == unsettled && d.chats.host.HasFeature(d.to, chat.NSStates)
}

func (d *dialogue) sendState(s chat.State) {
	d.chats.host.Send(chat.BuildBare(d.to, chat.Chat, "", s.Element(), d.mark()))
}

// sayGone tells the other that the channel is closed, if it knows of one
// (specification, Channel.Interface.ChatState).
func (d *dialogue) sayGone() {
	if d.used && d.readsStates() {
		d.sendState(chat.Gone)
	}
	d.used = false
}

func (d *dialogue) mark() *stanza.Element {
	if d.who.IsBare() {
		return nil
	}
	return stanza.New(nsMUCUser, "x")
}

// handle takes a message from the other.
func (d *dialogue) handle(m *chat.Message, e *stanza.Element) {
	if m.Type == chat.Failed {
		d.Failed(m.ID, m.Err)
		return
	}
	if !m.Delayed {
		d.lock(m)
	}
	if m.HasBody {
		r := Read(m)
		r.Sender, r.Nickname = d.contact, nickOf(e)
		d.Receive(r)
	}
	if m.WantsReceipt && m.HasBody && !m.From.IsZero() && (!d.who.IsBare() || d.chats.host.SeesUs(d.who)) {
		d.chats.host.Send(chat.Receipt(*m)) // it tells that we are on-line, XEP-0184 §9
	}
	if m.Received != "" {
		d.Delivered(m.Received)
	}
	if !m.Delayed {
		d.handleState(m)
	}
}

// lock has the next messages go to the device that wrote this one, RFC 6121
// §5.1. What was kept on the way says nothing of where the other is now.
func (d *dialogue) lock(m *chat.Message) {
	if m.Type != chat.Chat || m.Received != "" && !m.HasBody {
		return // sent by no person
	}
	if d.to != m.From {
		d.states = unsettled
	}
	if d.who.IsBare() && !m.From.IsZero() {
		d.to = m.From
	}
	switch {
	case m.State != "":
		d.states = supported
	case m.HasBody:
		d.states = unsupported
	}
}

// unlock has the next messages go to whatever device the server chooses.
func (d *dialogue) unlock() {
	if d.to != d.who {
		d.to, d.states = d.who, unsettled
	}
}

// handleState takes what the other is doing. Who writes without saying so is
// not composing any more.
func (d *dialogue) handleState(m *chat.Message) {
	state, said := StateOf(m.State)
	if !said {
		if m.HasBody && d.contactState(d.contact) != tp.ChannelChatStateInactive {
			d.SetContactState(d.contact, tp.ChannelChatStateActive)
		}
		return
	}
	d.SetContactState(d.contact, state)
	if state == tp.ChannelChatStateGone {
		d.unlock()
	}
}
