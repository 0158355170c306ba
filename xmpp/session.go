// Package xmpp is a client's session with its server (RFC 6120): it dials,
// encrypts, registers and logs in, sends and receives stanzas, asks and
// answers IQs, notices a link that is dead and survives one that is lost
// (XEP-0198).
//
// All methods of [Session], and all callbacks, are for the loop; they take no
// locks and never block. Behind them are, for one connection at a time, a
// goroutine that logs in and then reads, and one that writes. A stanza is
// handled whole before the next one.
//
// The session sends no presence and fetches no roster. Nothing that a server
// or stranger sends panics, or takes memory without bound: see
// [stanza.Limits], maxPosted, maxOutput and maxUnacked.
package xmpp

import (
	"context"
	"errors"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Events tells what happens to a session. All run on the loop.
type Events struct {
	// Ready runs once, when the resource is bound and before any stanza.
	Ready func(self jid.JID)
	// Lost runs at most once and is final: the login failed or the session
	// ended, with a [*SASLError], [*RegisterError], [*BindError],
	// [*StreamError], [*CertificateError], [*DNSError], [*DialError],
	// [*stanza.LimitError] or one of the Err values in the chain. It does
	// not run after Close.
	Lost func(err error)
	// Resumed runs when a lost link was replaced, XEP-0198; may be nil.
	Resumed func()
	// Stanza gets the messages and presences that no handler wanted; may be
	// nil.
	Stanza func(*stanza.Element)
}

// Session is one session from login to end; it does not begin again.
type Session struct {
	exchange
	cfg Config
	ev  Events

	phase    phase
	self     jid.JID
	features *stanza.Element
	link     *link              // nil while there is none
	cancel   context.CancelFunc // ends the login that is under way
	sm       management
	scratch  []byte
	onClosed []func()

	watchTimer  *loop.Timer
	closeTimer  *loop.Timer
	resumeTimer *loop.Timer
	resumeUntil time.Time
	attempts    int   // to resume
	lostBy      error // why there is something to resume
}

// phase is where a session stands. It only ever grows, except that online and
// resuming take turns.
type phase int

const (
	idle phase = iota
	connecting
	online
	resuming // the link is lost and a new one is on its way
	closing  // Close was called
	over
)

// NewSession makes a session; nothing happens before [Session.Connect].
func NewSession(cfg Config, l *loop.Loop, ev Events) *Session {
	s := &Session{exchange: newExchange(l), cfg: cfg.withDefaults(), ev: ev}
	s.send, s.isOpen, s.mayAnswer, s.unhandled = s.Send, s.isOnline, s.mayAnswerAccount, ev.Stanza
	s.HandleIQ(NSPing, s.answerPing)
	return s
}

// Connect begins to log in. It may be called once.
func (s *Session) Connect() {
	if s.phase == idle {
		s.phase = connecting
		s.logIn(s.cfg.LoginTimeout, nil)
	}
}

// Self returns the full address that the server bound; zero before Ready.
func (s *Session) Self() jid.JID { return s.self }

// Features returns the stream features that the server offered after login,
// nil before Ready.
func (s *Session) Features() *stanza.Element { return s.features }

// isOnline tells whether what is sent goes out, now or when a lost link is
// replaced.
func (s *Session) isOnline() bool { return s.phase == online || s.phase == resuming }

// Send sends a stanza. Without a session it is dropped; while a lost link is
// being replaced it waits.
func (s *Session) Send(e *stanza.Element) {
	if !s.isOnline() {
		s.cfg.Log.WithField("stanza", e.Local()).Debug("Not sent, there is no session")
		return
	}
	tracer{s.cfg.Log}.sent(e)
	s.scratch = e.AppendXML(s.scratch[:0], stanza.NSClient)
	s.sm.track(s.scratch)
	if s.link != nil {
		s.link.write(s.scratch)
		if s.sm.wantAck(len(s.scratch)) {
			s.askAck()
		}
	}
	if cap(s.scratch) > keepBuffer {
		s.scratch = nil
	}
}

// Close says goodbye: unavailable presence, end of stream, and at most two
// seconds for the server to do the same. Then, when the connection and its
// goroutines are gone, done runs; if they are gone already, within Close. Close
// may be called in any state, and more than once.
func (s *Session) Close(done func()) {
	if s.phase == over {
		done()
		return
	}
	s.onClosed = append(s.onClosed, done)
	was := s.phase
	if was == closing {
		return
	}
	s.stopTimers()
	switch {
	case s.link != nil:
		s.sayGoodbye()
		s.phase = closing
	case s.cancel != nil:
		s.phase = closing
		s.cancel()
	default: // nothing was begun, or nothing is under way between two attempts
		s.finish()
	}
}

// sayGoodbye begins an orderly end of the stream, RFC 6120 §4.4.
func (s *Session) sayGoodbye() {
	s.Send(stanza.New(stanza.NSClient, "presence", stanza.A("type", "unavailable")))
	s.sendAck()
	l := s.link
	l.out.finish([]byte(closeTag), false)
	s.closeTimer = s.loop.After(goodbyeTimeout, "goodbye overdue", func() { l.cut(ErrStreamClosed) })
}

// finish ends a session that was closed.
func (s *Session) finish() {
	s.end()
	for _, done := range s.onClosed {
		done()
	}
}

// lose ends a session that was not closed.
func (s *Session) lose(err error) {
	s.end()
	s.ev.Lost(err)
}

func (s *Session) end() {
	s.phase = over
	s.stopTimers()
	s.abandonQuestions()
}

func (s *Session) stopTimers() {
	s.watchTimer.Stop()
	s.closeTimer.Stop()
	s.resumeTimer.Stop()
}

// logIn starts the goroutine of one connection.
func (s *Session) logIn(timeout time.Duration, old *resumption) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	s.cancel = cancel
	go s.connection(ctx, old)
}

// connection is the goroutine of one connection: it logs in, reads, and tells
// the loop. It ends with loginFailed or linkDown, or with the loop.
func (s *Session) connection(ctx context.Context, old *resumption) {
	result, err := s.cfg.login(ctx, old)
	if err != nil {
		s.loop.Post("login failed", func() { s.loginFailed(err) })
		return
	}
	l := newLink(result.wire, s.cfg.DeadAfter)
	go l.out.run(l.wire)
	if !s.loop.Post("logged in", func() { s.loggedIn(l, result) }) {
		l.abandon()
	}
	err = l.read(func(e *stanza.Element, cost int) bool {
		return s.loop.Post(label(e), func() {
			defer l.room.give(cost)
			s.received(l, e)
		})
	})
	s.loop.Post("link down", func() { s.linkDown(l, err) })
}

// label names the event of an element: each kind of stanza has its own, so that
// [loop.Loop.AfterBurst] sees where a burst of presences ends.
func label(e *stanza.Element) string {
	switch e.Local() {
	case "presence":
		return "presence"
	case "message":
		return "message"
	case "iq":
		return "iq"
	}
	return "stream element"
}

func (s *Session) loginFailed(err error) {
	s.endLogin()
	switch s.phase {
	case closing:
		s.finish()
	case resuming:
		s.tryAgain(err)
	default:
		s.lose(err)
	}
}

// endLogin frees what a login takes.
func (s *Session) endLogin() {
	s.cancel()
	s.cancel = nil
}

func (s *Session) loggedIn(l *link, result *outcome) {
	s.endLogin()
	s.link = l
	switch {
	case s.phase == closing:
		l.cut(ErrStreamClosed)
		return
	case result.resumed:
		s.resumed(result)
	default:
		s.begin(result)
	}
	if s.link == l && s.phase == online && s.cfg.Keepalive > 0 {
		s.watch()
	}
}

// begin begins the session itself.
func (s *Session) begin(result *outcome) {
	s.phase, s.self, s.features = online, result.self, result.features
	if result.managed {
		s.enableManagement()
	}
	s.ev.Ready(s.self)
}

// received handles one element of the stream.
func (s *Session) received(l *link, e *stanza.Element) {
	if s.phase != online {
		return // we have said goodbye
	}
	l.trace.received(e)
	switch e.Space() {
	case stanza.NSClient:
		if s.dispatch(e) {
			s.countHandled()
		}
	case nsManagement:
		s.handleManagement(e)
	case stanza.NSStream:
		if e.Local() == "error" {
			l.end(parseStreamError(e), closeTag)
		}
	}
}

// linkDown runs when both goroutines of a link have ended.
func (s *Session) linkDown(l *link, err error) {
	s.link = nil
	s.watchTimer.Stop()
	s.sm.holdAck()
	if l.cause != nil {
		err = l.cause
	}
	switch {
	case s.phase == closing:
		s.finish()
	case s.phase == online && s.sm.resumable() && isLoss(err):
		s.resume(err)
	default:
		s.lose(err)
	}
}

// isLoss tells whether the network failed, and neither the server nor we have
// ended the stream.
func isLoss(err error) bool { return errors.Is(err, ErrLost) && err != errOverflow }
