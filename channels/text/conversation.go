// Package text serves Channel.Type.Text: what people write to each other.
//
// A [Conversation] is the text in any channel, with one person or with a room
// full of them: the older interface Text, Messages, and ChatState, over one
// queue of messages that nobody has acknowledged yet. [Chats] are the channels
// with one person.
//
// Order, for what comes in: MessageReceived, Received, then SendError if it
// says that something of ours was not delivered. For what goes out: the reply,
// MessageSent, Sent (specification, SendMessage: "This method MUST return
// before the MessageSent signal is emitted").
//
// Limits: see maxPending, maxPendingBytes and maxText. When nobody
// acknowledges, the oldest messages go, because clients have heard of them:
// PendingMessagesRemoved names them and LostMessage says that they are lost to
// whoever comes later. A new message is always told.
package text

import (
	"crypto/rand"
	"time"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/stanza"
)

// maxText bounds a text, in bytes, as it comes and as it is written on the
// wire: the packages of ejabberd and Prosody end the session of a client that
// sends a stanza of more than 256 KiB.
const maxText = 240 << 10

// Config says what a conversation is for.
type Config struct {
	Handles *handle.Set
	// Self is the user, as others in the conversation see him.
	Self func() uint32
	// Recipient is the contact to whom messages go, 0 in a room.
	Recipient uint32
	// Send hands a message over. After an error nobody hears of it but who
	// wanted to send it.
	Send func(Outgoing) error
	// SetState tells others what the user is doing; never Gone. Nil: there
	// are no chat states here.
	SetState func(tp.ChannelChatState) error
}

// Outgoing is a message of the user's.
type Outgoing struct {
	Token   string // the id to send it with, nobody's to guess
	Type    tp.ChannelTextMessageType
	Text    string // fit for XML
	Receipt bool   // a client wants to know when it has arrived
}

// action is what a text begins with that tells of a deed, XEP-0245.
const action = "/me "

// Body is the text as it goes over the wire.
func (o Outgoing) Body() string {
	if o.Type == tp.ChannelTextMessageTypeAction {
		return action + o.Text
	}
	return o.Text
}

// Message is a message of somebody else's.
type Message struct {
	Sender     uint32 // 0 if it is not known who that is
	Nickname   string // that the sender has in this message, if any
	Type       tp.ChannelTextMessageType
	Token      string    // the sender's id, if any
	Sent       time.Time // zero if not known
	Text       string
	Scrollback bool // from before we came
}

// Read gives what a message says; who said it is for the caller to know.
func Read(m *chat.Message) Message {
	r := Message{Token: m.ID, Sent: m.Stamp, Text: m.Body}
	switch {
	case len(r.Text) > len(action) && r.Text[:len(action)] == action:
		r.Type, r.Text = tp.ChannelTextMessageTypeAction, r.Text[len(action):]
	case m.Type == chat.Headline: // "to which no reply is expected", RFC 6121 §5.2.2
		r.Type = tp.ChannelTextMessageTypeNotice
	}
	return r
}

// types can be sent.
var types = []tp.ChannelTextMessageType{
	tp.ChannelTextMessageTypeNormal, tp.ChannelTextMessageTypeAction, tp.ChannelTextMessageTypeNotice,
}

// Conversation is the text of one channel.
type Conversation struct {
	// Channel is set by the owner, before anything happens, and again when
	// the channel of a conversation is replaced.
	Channel *channels.Channel

	cfg     Config
	pending queue
	sent    memory
	states  map[uint32]tp.ChannelChatState // of others, those that are not inactive
	own     tp.ChannelChatState
}

// New makes a conversation in which nothing was said.
func New(cfg Config) *Conversation {
	return &Conversation{cfg: cfg, own: tp.ChannelChatStateInactive}
}

// Interfaces are the D-Bus side, the channel's type first.
func (c *Conversation) Interfaces() []bus.Interface {
	list := []bus.Interface{c.text(), c.messages()}
	if c.cfg.SetState != nil {
		list = append(list, c.chatState())
	}
	return list
}

// Immutable are the properties that NewChannels tells.
func (c *Conversation) Immutable() map[string]any {
	return map[string]any{
		tp.PropertyChannelMessagesSupportedContentTypes:    contentTypes,
		tp.PropertyChannelMessagesMessageTypes:             types,
		tp.PropertyChannelMessagesMessagePartSupportFlags:  partSupport,
		tp.PropertyChannelMessagesDeliveryReportingSupport: c.reporting(),
	}
}

// Receive tells of a message.
func (c *Conversation) Receive(m Message) {
	p := pending{Message: m, at: time.Now().Unix()}
	if len(p.Text) > maxText {
		p.Text, p.truncated = clip(p.Text, maxText), true
	}
	c.accept(p)
}

// accept queues and announces.
func (c *Conversation) accept(p pending) {
	lost := c.pending.add(&p)
	if len(lost) > 0 {
		c.emitRemoved(lost)
		c.Channel.Emit(tp.SignalChannelTextLostMessage)
	}
	c.Channel.Emit(tp.SignalChannelMessagesMessageReceived, c.parts(&p))
	c.Channel.Emit(tp.SignalChannelTextReceived, p.id, uint32(p.at), p.Sender, p.kind(), p.flags(), p.Text)
}

func (c *Conversation) emitRemoved(ids []uint32) {
	c.Channel.Emit(tp.SignalChannelMessagesPendingMessagesRemoved, ids)
}

// send hands a message over; answer gets its token before others hear of it.
func (c *Conversation) send(o Outgoing, answer func(token string)) error {
	o.Text = stanza.Clean(o.Text)
	if written(o.Text) > maxText {
		return tp.Errorf(tp.ErrorInvalidArgument, "the text is too long")
	}
	o.Token = rand.Text()
	if err := c.cfg.Send(o); err != nil {
		return err
	}
	now := time.Now().Unix()
	c.sent.add(o, now)
	answer(o.Token)
	var flags tp.MessageSendingFlags
	if o.Receipt {
		flags = tp.MessageSendingFlagsReportDelivery
	}
	c.Channel.Emit(tp.SignalChannelMessagesMessageSent, c.sentParts(&o, now), flags, o.Token)
	c.Channel.Emit(tp.SignalChannelTextSent, uint32(now), o.Type, o.Text)
	if c.cfg.SetState != nil {
		c.setOwn(tp.ChannelChatStateActive)
	}
	return nil
}

// written is the length of a text on the wire; exact only if it could be too
// long.
func written(text string) int {
	const longest = len("&quot;")
	if len(text) <= maxText/longest || len(text) > maxText {
		return len(text)
	}
	const tags = len("<a></a>")
	return len(stanza.New("", "a", stanza.Text(text)).AppendXML(nil, "")) - tags
}

// Rescue prepares the conversation for another channel, because messages are
// pending that nobody has acknowledged (specification, Channel.Type.Text). It
// is false when there are none but delivery reports: Sugar acknowledges no
// reports, and its closed chats would come back for ever.
func (c *Conversation) Rescue() bool {
	needed := false
	for i := range c.pending.list {
		p := &c.pending.list[i]
		p.rescued = true
		needed = needed || p.report == nil
	}
	return needed
}
