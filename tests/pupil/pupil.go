// Package pupil is a child whose laptop has no connection manager: a session
// with a school server that a test or a load tool plays itself.
//
// Each pupil has a loop of its own. The methods may be called from any
// goroutine but that loop.
package pupil

import (
	"context"
	"errors"
	"fmt"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Pupil is somebody who is logged in.
type Pupil struct {
	Self jid.JID // the full address

	loop    *loop.Loop
	session *xmpp.Session
	lost    chan error // holds why the session was lost
}

// ErrLoggedOut says that the session is over.
var ErrLoggedOut = errors.New("logged out")

// Login connects and returns when the server has bound an address. prepare, which
// may be nil, runs on the loop before that and sets handlers.
func Login(ctx context.Context, cfg xmpp.Config, prepare func(*xmpp.Session)) (*Pupil, error) {
	p := &Pupil{loop: loop.New(loop.Config{}), lost: make(chan error, 1)}
	ready := make(chan jid.JID, 1)
	p.session = xmpp.NewSession(cfg, p.loop, xmpp.Events{
		Ready: func(self jid.JID) { ready <- self },
		Lost:  func(err error) { p.lost <- err },
	})
	go p.loop.Run()
	p.loop.Post("log in", func() {
		if prepare != nil {
			prepare(p.session)
		}
		p.session.Connect()
	})
	var err error
	select {
	case p.Self = <-ready:
		return p, nil
	case err = <-p.lost:
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.Logout()
	return nil, fmt.Errorf("log in as %s: %w", cfg.Account, err)
}

// Do runs f on the loop and waits for it.
func (p *Pupil) Do(f func(*xmpp.Session)) error {
	done := make(chan struct{})
	posted := p.loop.Post("do", func() {
		defer close(done)
		f(p.session)
	})
	if !posted {
		return ErrLoggedOut
	}
	<-done
	return nil
}

// After calls f on the loop when d is over, unless stop is called before. It is
// for the loop, unlike the rest.
func (p *Pupil) After(d time.Duration, label string, f func()) (stop func()) {
	return p.loop.After(d, label, f).Stop
}

// Send sends a stanza.
func (p *Pupil) Send(e *stanza.Element) error {
	return p.Do(func(s *xmpp.Session) { s.Send(e) })
}

// Ask sends a question and waits for the answer.
func (p *Pupil) Ask(ctx context.Context, iq *stanza.Element) (*stanza.Element, error) {
	type answer struct {
		reply *stanza.Element
		err   error
	}
	came := make(chan answer, 1)
	err := p.Do(func(s *xmpp.Session) {
		s.Ask(iq, func(reply *stanza.Element, err error) { came <- answer{reply, err} })
	})
	if err != nil {
		return nil, err
	}
	select {
	case a := <-came:
		return a.reply, a.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Ping asks somebody for a sign of life, XEP-0199, and waits for it.
func (p *Pupil) Ping(ctx context.Context, whom jid.JID) error {
	iq := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", whom.String()), stanza.New(xmpp.NSPing, "ping"))
	if _, err := p.Ask(ctx, iq); err != nil {
		return fmt.Errorf("ping %s: %w", whom, err)
	}
	return nil
}

// Lost tells why the session was lost, nil while it was not.
func (p *Pupil) Lost() error {
	select {
	case err := <-p.lost:
		p.lost <- err
		return err
	default:
		return nil
	}
}

// Logout says goodbye and returns when all has ended. A second call does nothing.
func (p *Pupil) Logout() {
	p.loop.Post("log out", func() { p.session.Close(p.loop.Close) })
	<-p.loop.Done()
}
