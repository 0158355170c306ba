package mucbytestream

import (
	"errors"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// window is how much of messages may be on its way to the server, and askAfter
// how much goes out between two questions. In base64 and with a block more, the
// window fits in the buffer that a session keeps for output; and on a link of 1
// Mbit/s, what a child says in a chat waits for two seconds at most.
const (
	window   = 128 << 10
	askAfter = window / 4
)

// Session is what a [Sender] needs of an *xmpp.Session.
type Session interface {
	Send(*stanza.Element)
	Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error))
}

// Sender sends the messages of all streams of a session, one after the other, so
// that fragments of two are never mixed. Now and then it asks the server for a
// sign of life (XEP-0199), which comes back when the server has taken what was
// sent before, and it goes on no further than a window ahead of that.
type Sender struct {
	session Session
	queue   []*outgoing

	// Bytes of messages: all that were sent, and of them those before the last
	// question and before the last one that was answered.
	sent, asked, taken int
	asking             bool
	running            bool
}

// outgoing is one message that is not sent whole yet.
type outgoing struct {
	to    jid.JID
	sid   string
	begun bool
	rest  []byte
	done  func()
}

// NewSender returns the sender of a session.
func NewSender(s Session) *Sender { return &Sender{session: s} }

// Send sends a message to a room, or to one occupant of it. When the last of it
// has gone to the session, done is called, perhaps at once: who waits for that
// with the next message is held back to what the connection carries. Until then
// the message must not change. One over [MaxMessage] is not sent, as nobody
// would take it.
func (s *Sender) Send(to jid.JID, sid string, message []byte, done func()) {
	if len(message) > MaxMessage {
		done()
		return
	}
	s.queue = append(s.queue, &outgoing{to: to, sid: sid, rest: message, done: done})
	s.run()
}

// run sends as far as the window goes. It may be called from within itself, by
// who sends the next message as soon as one is done.
func (s *Sender) run() {
	if s.running {
		return
	}
	s.running = true
	defer func() { s.running = false }()
	for len(s.queue) > 0 && s.sent-s.taken < window {
		o := s.queue[0]
		s.sent += min(len(o.rest), MaxBlock)
		s.session.Send(o.next())
		s.ask()
		if len(o.rest) == 0 {
			s.queue = s.queue[1:]
			o.done()
		}
	}
}

// next takes the next block off the message.
func (o *outgoing) next() *stanza.Element {
	n := min(len(o.rest), MaxBlock)
	b := o.rest[:n]
	o.rest = o.rest[n:]
	part := middle
	switch whole := len(o.rest) == 0; {
	case whole && !o.begun:
		part = "" // as telepathy-gabble writes a message of one block
	case whole:
		part = last
	case !o.begun:
		part = first
	}
	o.begun = true
	return buildBlock(o.to, o.sid, part, b)
}

// ask asks how far the server has come, if enough was sent.
func (s *Sender) ask() {
	if s.asking || s.sent-s.asked < askAfter {
		return
	}
	s.asking, s.asked = true, s.sent
	ping := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.New(xmpp.NSPing, "ping"))
	s.session.Ask(ping, func(_ *stanza.Element, err error) {
		s.asking = false
		if errors.Is(err, xmpp.ErrTimeout) {
			s.asked = s.taken // so slow that only the answer is late
		}
		s.taken = s.asked // an error of the server is an answer as well
		s.ask()
		s.run()
	})
}
