package room

import (
	"slices"
	"time"

	"telepathy-olpc/channels/text"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

func (r *Room) newConversation() *text.Conversation {
	t := text.New(text.Config{
		Handles:  r.host.Handles(),
		Self:     func() uint32 { return r.group.Self },
		Send:     r.send,
		SetState: r.sendState,
	})
	t.Channel = r.channel
	return t
}

func (r *Room) isJoined() bool { return r.muc != nil && r.muc.IsJoined() }

// send says something to everybody in the room.
func (r *Room) send(o text.Outgoing) error {
	if !r.isJoined() {
		return tp.Errorf(tp.ErrorNotAvailable, "the room is not joined")
	}
	r.host.Send(chat.Build(r.jid, chat.Groupchat, o.Token, o.Body()))
	return nil
}

// sendState tells everybody what the user is doing.
func (r *Room) sendState(s tp.ChannelChatState) error {
	if !r.isJoined() {
		return tp.Errorf(tp.ErrorNotAvailable, "the room is not joined")
	}
	r.host.Send(chat.BuildBare(r.jid, chat.Groupchat, "", text.WireState(s).Element()))
	return nil
}

// received takes what somebody has said. What the user said comes back from the
// room, and is no news. Sugar expects to hear nothing of before it came; what
// the room repeats of that, though not asked to, is marked.
func (r *Room) received(m muc.Message) {
	if m.Own || m.Type != chat.Groupchat {
		return
	}
	sender := uint32(0)
	if m.Nick != "" {
		sender = r.occupant(m.Nick)
	}
	if s, is := text.StateOf(m.State); is && !m.Delayed && sender != 0 {
		r.talk.SetContactState(sender, s)
	}
	if !m.HasBody {
		return
	}
	in := text.Read(&m.Message)
	in.Sender, in.Nickname, in.Scrollback = sender, m.Nick, m.Delayed
	if in.Sent.IsZero() && !m.Delayed {
		in.Sent = time.Now()
	}
	r.talk.Receive(in)
}

// failed takes a message of the user's that came back.
func (r *Room) failed(id, _ string, err *stanza.Error) {
	if i := slices.IndexFunc(r.subjects, func(w wish) bool { return w.id == id }); i >= 0 {
		r.answerSubject(i, configError(err))
		return
	}
	r.talk.Failed(id, err)
}
