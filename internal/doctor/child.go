package doctor

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

// child is a laptop that the doctor plays: a session on a loop of its own. Its
// methods are for the doctor's goroutine; they wait.
type child struct {
	account   jid.JID
	password  xmpp.Secret
	throwaway bool // made by the doctor, to be removed

	loop    *loop.Loop
	session *xmpp.Session
	over    chan struct{} // closed by Lost
	lost    error         // why; set before
	outcome error         // of the first login; of the doctor's goroutine

	self jid.JID // full address, once logged in; of the loop's making, then constant

	seen  map[jid.JID]bool // bare addresses in rosters and presences; of the loop
	group string           // a group of the roster; of the loop
	wake  func()           // called after seen has changed; of the loop

	search *services.Search // of the loop; made before it is used there
}

// name makes the name of a throwaway account, which an administrator can tell.
func name() string {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return "doctor-" + hex.EncodeToString(b[:])
}

// newChild is a laptop that has not connected.
func (e *exam) newChild() *child {
	if !e.opts.Account.IsZero() {
		return &child{account: e.opts.Account.Bare(), password: e.opts.Password}
	}
	account, err := jid.New(name(), e.domain, "")
	if err != nil {
		return nil
	}
	return &child{account: account, password: xmpp.NewSecret(rand.Text()), throwaway: true}
}

// logIn connects, registers first if it is a new account, and waits for the
// outcome.
func (c *child) logIn(ctx context.Context, cfg xmpp.Config) error {
	c.loop = loop.New(loop.Config{})
	c.over = make(chan struct{})
	c.seen = make(map[jid.JID]bool)
	ready := make(chan struct{})
	c.session = xmpp.NewSession(cfg, c.loop, xmpp.Events{
		Ready: func(self jid.JID) {
			c.self = self
			c.listen()
			close(ready)
		},
		Lost: func(err error) {
			c.lost = err
			close(c.over)
		},
	})
	go c.loop.Run()
	c.loop.Post("connect", c.session.Connect)
	select {
	case <-ready:
		return nil
	case <-c.over:
		return c.lost
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close ends the session and waits for its end.
func (c *child) close() {
	if c.loop == nil {
		return
	}
	c.loop.Post("close", func() { c.session.Close(c.loop.Close) })
	<-c.loop.Done()
	c.loop = nil
}

func (c *child) isOnline() bool {
	if c.loop == nil || c.self.IsZero() {
		return false
	}
	select {
	case <-c.over:
		return false
	default:
		return true
	}
}

// wait has f begin something on the loop and waits until f's done is called.
func (c *child) wait(ctx context.Context, f func(done func())) error {
	over := make(chan struct{})
	closed := false
	done := func() { // on the loop
		if !closed {
			closed = true
			close(over)
		}
	}
	c.loop.Post("doctor", func() { f(done) })
	select {
	case <-over:
		return nil
	case <-c.over:
		return xmpp.ErrLost
	case <-ctx.Done():
		return xmpp.ErrTimeout
	}
}

// ask asks a question and waits for the answer.
func (c *child) ask(ctx context.Context, iq *stanza.Element) (*stanza.Element, error) {
	type outcome struct {
		reply *stanza.Element
		err   error
	}
	answered := make(chan outcome, 1)
	c.loop.Post("ask", func() {
		c.session.Ask(iq, func(reply *stanza.Element, err error) { answered <- outcome{reply, err} })
	})
	select {
	case o := <-answered:
		return o.reply, o.err
	case <-c.loop.Done():
		return nil, xmpp.ErrLost
	case <-ctx.Done():
		return nil, xmpp.ErrTimeout
	}
}

// After is what packages of the XMPP side want for their timers.
func (c *child) after(d time.Duration, label string, f func()) func() {
	return c.loop.After(d, label, f).Stop
}

// listen notes whom the server shows.
func (c *child) listen() {
	c.session.HandleIQ(nsRoster, func(iq *stanza.Element) {
		if c.session.FromAccount(iq) {
			c.note(iq.Child(nsRoster, "query"))
			c.session.Send(stanza.Reply(iq))
		}
	})
	c.session.HandlePresence(func(p *stanza.Element) bool {
		if from, err := jid.ParseLenient(p.Attr("from")); err == nil && p.Attr("type") == "" {
			c.see(from.Bare())
		}
		return false
	})
}

const nsRoster = "jabber:iq:roster"

// note takes a roster, or a change of one, RFC 6121 §2.1.
func (c *child) note(query *stanza.Element) {
	for item := range query.Each(nsRoster, "item") {
		who, err := jid.ParseLenient(item.Attr("jid"))
		if err != nil || item.Attr("subscription") == "remove" {
			continue
		}
		if g := item.Child(nsRoster, "group").Text(); g != "" {
			c.group = g
		}
		c.see(who.Bare())
	}
}

func (c *child) see(who jid.JID) {
	if who != c.account && who.Local() != "" {
		c.seen[who] = true
	}
	if c.wake != nil {
		c.wake()
	}
}

// isRefusal tells a server's answer from the absence of one.
func isRefusal(err error) bool { return errors.As(err, new(*stanza.Error)) }
