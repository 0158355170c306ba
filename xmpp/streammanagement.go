package xmpp

import (
	"fmt"
	"strconv"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// nsManagement is XEP-0198, stream management.
const nsManagement = "urn:xmpp:sm:3"

const (
	// ackEvery is after how many stanzas an acknowledgement goes out unasked:
	// ejabberd 23.01 ends a session with more than 5,000 unacknowledged ones
	// and does not always ask in time.
	ackEvery = 200
	// askEvery and askBytes are after how much of ours we ask for one.
	askEvery, askBytes = 50, 64 << 10
	// ackPause is the least time between two answers to the server. ejabberd
	// asks after each stanza as soon as the last question is answered: in a busy
	// room that doubles what both have to read and write. XEP-0198 §4 lets an
	// answer wait for a time-out.
	ackPause = 250 * time.Millisecond
	// largeStanza is from where on the memory of an acknowledged stanza is worth
	// keeping, and maxSpare how many: a tube or an in-band file sends a window of
	// them again and again, and each would be garbage.
	largeStanza, maxSpare = 16 << 10, 4
	// maxUnacked and maxUnackedBytes bound what is kept for a server that
	// does not acknowledge; beyond, the session cannot be resumed.
	maxUnacked, maxUnackedBytes = 10_000, 8 << 20
)

// management is the state of XEP-0198 in one session. It lives on the loop.
type management struct {
	enabled  bool          // the server counts what we send, or has not said that it does not
	counting bool          // we count what the server sends
	tracking bool          // unacked is complete
	id       string        // to resume with; "" if that is not possible
	kept     time.Duration // how long the server keeps a lost session; 0 if it does not say

	handled uint32        // stanzas of the server that we have handled
	ackedAt time.Duration // [sinceEpoch] of our last acknowledgement; 0 if there was none
	ackDue  *loop.Timer   // of an answer that waits
	acked   uint32        // stanzas of ours that the server has handled
	unacked [][]byte
	bytes   int      // in unacked
	spare   [][]byte // large stanzas that were acknowledged, to be written over
	again   bool     // all of unacked was sent again, and nothing of it is acknowledged yet

	sinceAsk, sinceAskBytes int // sent since we last asked
}

// resumption is what a new connection needs to go on with the session.
type resumption struct {
	self    jid.JID
	id      string
	handled uint32
}

// track keeps a stanza until the server has acknowledged it.
func (m *management) track(b []byte) {
	if !m.tracking {
		return
	}
	if len(m.unacked) == maxUnacked || m.bytes+len(b) > maxUnackedBytes {
		m.forget()
		return
	}
	m.unacked = append(m.unacked, append(m.takeSpare(len(b)), b...))
	m.bytes += len(b)
}

// takeSpare finds memory for a large stanza; nil if there is none.
func (m *management) takeSpare(size int) []byte {
	last := len(m.spare) - 1
	if size < largeStanza || last < 0 {
		return nil
	}
	b := m.spare[last]
	m.spare = m.spare[:last]
	return b[:0]
}

// keepSpare keeps the memory of a stanza that was acknowledged, if a stream of
// large ones is likely to ask for it.
func (m *management) keepSpare(b []byte) {
	if largeStanza <= len(b) && len(b) <= keepBuffer && len(m.spare) < maxSpare {
		m.spare = append(m.spare, b)
	}
}

// forget gives up on resuming.
func (m *management) forget() { m.tracking, m.unacked, m.bytes, m.spare = false, nil, 0, nil }

// resumable tells whether the session can survive its connection.
func (m *management) resumable() bool { return m.tracking && m.id != "" }

// wantAck tells, after a stanza of n bytes, whether to ask for an
// acknowledgement.
func (m *management) wantAck(n int) bool {
	m.sinceAsk++
	m.sinceAskBytes += n
	if !m.enabled || m.sinceAsk < askEvery && m.sinceAskBytes < askBytes {
		return false
	}
	m.sinceAsk, m.sinceAskBytes = 0, 0
	return true
}

// confirm takes an acknowledgement: the server has handled h stanzas, modulo
// 2^32. It is false for a number that cannot be.
func (m *management) confirm(h uint32) bool {
	n := h - m.acked
	if !m.tracking {
		return true // nobody wants to know
	}
	if uint64(n) > uint64(len(m.unacked)) {
		return false
	}
	for _, b := range m.unacked[:n] {
		m.bytes -= len(b)
		m.keepSpare(b)
	}
	if n > 0 {
		m.again = false
	}
	clear(m.unacked[:n])
	m.unacked = m.unacked[n:]
	m.acked = h
	return true
}

// handleEnabled takes the answer to <enable/>, XEP-0198 §3.
func (m *management) handleEnabled(e *stanza.Element) {
	if m.counting || !m.enabled {
		return // not asked for
	}
	m.counting = true
	if resume := e.Attr("resume"); resume == "true" || resume == "1" {
		m.id = e.Attr("id")
	}
	if seconds, err := strconv.ParseUint(e.Attr("max"), 10, 31); err == nil {
		m.kept = time.Duration(seconds) * time.Second
	}
	if m.id == "" {
		m.forget()
	}
}

// enableManagement starts counting; it is the first thing after bind.
func (s *Session) enableManagement() {
	s.sm = management{enabled: true, tracking: true}
	s.link.write([]byte("<enable xmlns='" + nsManagement + "' resume='true'/>"))
}

// handleManagement handles the elements of XEP-0198.
func (s *Session) handleManagement(e *stanza.Element) {
	switch e.Local() {
	case "enabled":
		s.sm.handleEnabled(e)
	case "failed":
		s.sm = management{}
	case "r":
		s.answerAck()
	case "a":
		h, err := strconv.ParseUint(e.Attr("h"), 10, 32)
		if err == nil && !s.sm.confirm(uint32(h)) {
			s.cfg.Log.WithField("h", h).Debug("Server acknowledges what was never sent")
			s.sm.forget()
		}
	}
}

// countHandled takes account of a stanza that was handled.
func (s *Session) countHandled() {
	if !s.sm.counting {
		return
	}
	s.sm.handled++
	if s.sm.handled%ackEvery == 0 {
		s.sendAck()
	}
}

// answerAck answers the server's question at once, or when [ackPause] is over.
func (s *Session) answerAck() {
	pause := s.sm.ackedAt + ackPause - sinceEpoch()
	switch {
	case s.sm.ackDue != nil:
	case s.sm.ackedAt == 0 || pause <= 0:
		s.sendAck()
	default:
		s.sm.ackDue = s.loop.After(pause, "acknowledge", s.sendAck)
	}
}

func (s *Session) sendAck() {
	if !s.sm.counting {
		return
	}
	s.sm.holdAck()
	s.sm.ackedAt = sinceEpoch()
	s.link.write(fmt.Appendf(nil, "<a xmlns='%s' h='%d'/>", nsManagement, s.sm.handled))
}

// holdAck ends the wait of an answer: it has been given, or its link is gone.
func (m *management) holdAck() {
	m.ackDue.Stop()
	m.ackDue = nil
}

func (s *Session) askAck() { s.link.write([]byte("<r xmlns='" + nsManagement + "'/>")) }

// resume asks to go on with the old session, XEP-0198 §5. An old session that
// is no more is [ErrLost]: a new one would have to begin with everything that
// [Events.Ready] begins.
func (l *login) resume(old *resumption) (handled uint32, err error) {
	answer, err := l.wire.exchange(stanza.New(nsManagement, "resume", stanza.A("previd", old.id), stanza.A("h", strconv.FormatUint(uint64(old.handled), 10))))
	if err != nil {
		return 0, err
	}
	if answer.Is(nsManagement, "failed") {
		return 0, errExpired
	}
	h, err := strconv.ParseUint(answer.Attr("h"), 10, 32)
	if !answer.Is(nsManagement, "resumed") || err != nil {
		return 0, unexpected(answer)
	}
	return uint32(h), nil
}

// Ends of a session that cannot be resumed.
var (
	errExpired = fmt.Errorf("%w: server has given up the session", ErrLost)
	errDeaf    = fmt.Errorf("%w: server hears nothing in the resumed session", ErrLost)
)
