package xmpp

import (
	"errors"
	"time"
)

// resumeBackoff is the pause after the first attempt that failed; it doubles.
const resumeBackoff = 500 * time.Millisecond

// resumeWindow is how long after its loss a session may come back: as long
// again as a silent link is trusted, because the user sees people meanwhile who
// may be gone, but not for minutes, and no longer than the server keeps the
// session.
func (s *Session) resumeWindow() time.Duration {
	const longest = defaultKeepalive + defaultDeadAfter
	window := longest
	if s.cfg.Keepalive > 0 {
		window = min(longest, s.cfg.Keepalive+s.cfg.DeadAfter)
	}
	if s.sm.kept > 0 {
		window = min(window, s.sm.kept)
	}
	return window
}

// resume begins to replace a lost link, XEP-0198 §5. Nobody outside notices
// unless it fails.
func (s *Session) resume(lostBy error) {
	s.cfg.Log.WithError(lostBy).Debug("Link lost, resuming the session")
	s.phase, s.lostBy, s.attempts = resuming, lostBy, 0
	s.resumeUntil = time.Now().Add(s.resumeWindow())
	s.attempt()
}

func (s *Session) attempt() {
	left := time.Until(s.resumeUntil)
	if left <= 0 || !s.sm.resumable() {
		s.lose(s.lostBy)
		return
	}
	s.attempts++
	s.logIn(min(left, s.cfg.LoginTimeout), &resumption{self: s.self, id: s.sm.id, handled: s.sm.handled})
}

// tryAgain goes on after an attempt that failed, where another may do better.
func (s *Session) tryAgain(err error) {
	if !isPassing(err) {
		s.lose(err)
		return
	}
	s.cfg.Log.WithError(err).Debug("Resuming failed, trying again")
	pause := resumeBackoff << (s.attempts - 1)
	s.resumeTimer = s.loop.After(min(pause, max(0, time.Until(s.resumeUntil))), "resume again", s.attempt)
}

// isPassing tells a network that is not there now from an answer that will be
// the same next time.
func isPassing(err error) bool {
	return err != errExpired && (errors.Is(err, ErrLost) || errors.Is(err, ErrTimeout) || errors.Is(err, ErrStreamClosed) ||
		errors.Is(err, ErrTLSFailed) || errors.As(err, new(*DialError)) || errors.As(err, new(*DNSError)))
}

// resumed goes on where the old link was lost: what the server has not got is
// sent again.
func (s *Session) resumed(result *outcome) {
	s.phase = online
	switch {
	case !s.sm.confirm(result.handled):
		s.giveUp(errExpired) // what it has of ours nobody knows
		return
	case s.sm.again && s.lostBy == errSilent:
		// Prosody 0.12 goes on with the parser of the link before, and hears
		// nothing more, however often, if that broke within a stanza.
		s.giveUp(errDeaf)
		return
	}
	s.sm.again = len(s.sm.unacked) > 0
	for _, b := range s.sm.unacked {
		s.link.write(b)
	}
	s.cfg.Log.WithField("again", len(s.sm.unacked)).Debug("Session resumed")
	if s.ev.Resumed != nil {
		s.ev.Resumed()
	}
}

// giveUp ends a session that was resumed in vain.
func (s *Session) giveUp(why error) {
	s.link.end(why, closeTag)
	s.sm.forget()
}
