package xmpp

import (
	"fmt"
	"time"

	"telepathy-olpc/xmpp/stanza"
)

// NSPing is XEP-0199. The session answers such questions itself.
const NSPing = "urn:xmpp:ping"

// errSilent is the end of a link on which nothing comes any more.
var errSilent = fmt.Errorf("%w: no sign of life from the server", ErrLost)

// watch looks for signs of life on the link and comes back when the next is
// due. TCP alone would notice a dead peer after a quarter of an hour, and a
// peer that swallows everything never.
func (s *Session) watch() {
	l := s.link
	now := time.Now()
	heard := time.Unix(0, l.lastRead.Load())
	if !l.asked.IsZero() && (heard.After(l.asked) || !l.room.idle()) {
		l.asked = time.Time{} // also if what came still waits for the loop
	}
	next := s.cfg.Keepalive - now.Sub(heard)
	switch {
	case !l.asked.IsZero():
		next = s.cfg.DeadAfter - now.Sub(l.asked)
		if next <= 0 {
			l.cut(errSilent)
			return
		}
	case next <= 0:
		s.askForLife()
		l.asked = now
		next = s.cfg.DeadAfter
	case now.Sub(time.Unix(0, l.out.lastWrite.Load())) >= s.cfg.Keepalive:
		// Servers and NAT routers forget who only listens (RFC 6120 §4.6.1).
		l.write([]byte(" "))
	}
	s.watchTimer = s.loop.After(min(next, s.cfg.Keepalive), "keepalive", s.watch)
}

// askForLife sends what the server has to answer.
func (s *Session) askForLife() {
	if s.sm.enabled {
		s.askAck()
		return
	}
	ping := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", s.cfg.Account.Domain()), stanza.New(NSPing, "ping"))
	s.Ask(ping, func(*stanza.Element, error) {}) // an error is a sign of life as well
}

// answerPing answers XEP-0199 questions.
func (s *Session) answerPing(iq *stanza.Element) { s.Send(stanza.Reply(iq)) }
