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

// epoch is what times of a link are counted from. Counted so they go on evenly,
// while the clock on the wall is set: an XO without a battery starts in 1970.
var epoch = time.Now()

func sinceEpoch() time.Duration { return time.Since(epoch) }

// watch looks for signs of life on the link and comes back when the next is
// due.
func (s *Session) watch() {
	if next := s.link.watch(s.cfg.Keepalive, s.cfg.DeadAfter, s.askForLife); next > 0 {
		s.watchTimer = s.loop.After(next, "keepalive", s.watch)
	}
}

// watch looks for signs of life: TCP alone would notice a dead peer after a
// quarter of an hour, and a peer that swallows everything never. After so long
// a silence it asks for one, and ends a link on which none comes. It gives the
// time until the next look; 0 if the link has ended.
func (l *link) watch(keepalive, deadAfter time.Duration, ask func()) time.Duration {
	now := sinceEpoch()
	heard := time.Duration(l.lastRead.Load())
	if l.asked != 0 && (heard > l.asked || !l.room.idle()) {
		l.asked = 0 // also if what came still waits for the loop
	}
	next := keepalive - (now - heard)
	switch {
	case l.asked != 0:
		next = deadAfter - (now - l.asked)
		if next <= 0 {
			l.cut(errSilent)
			return 0
		}
	case next <= 0:
		ask()
		l.asked = now
		next = deadAfter
	case now-time.Duration(l.out.lastWrite.Load()) >= keepalive:
		// Servers and NAT routers forget who only listens (RFC 6120 §4.6.1).
		l.write([]byte(" "))
	}
	return min(next, keepalive)
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
