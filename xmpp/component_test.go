package xmpp

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// component is a component under test, with its loop.
type component struct {
	t *testing.T
	*Component
	ready  chan struct{}
	lost   chan error
	stanza chan *stanza.Element
}

func newComponent(t *testing.T, s *scripted, change func(*ComponentConfig)) *component {
	t.Helper()
	address, err := jid.Parse("gadget.school.test")
	if err != nil {
		t.Fatal(err)
	}
	cfg := ComponentConfig{
		Address: address, Server: "127.0.0.1", Port: portOf(s.listener), Secret: NewSecret("hush-hush"), Keepalive: -1,
		MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond,
	}
	if change != nil {
		change(&cfg)
	}
	c := &component{t: t, ready: make(chan struct{}, 1), lost: make(chan error, 100), stanza: make(chan *stanza.Element, 100)}
	l := loop.New(loop.Config{})
	c.Component = NewComponent(cfg, l, ComponentEvents{
		Ready: func() { c.ready <- struct{}{} },
		Lost:  func(err error) { c.lost <- err },
	})
	keep := func(e *stanza.Element) bool { c.stanza <- e; return true }
	c.HandleMessage(keep)
	c.HandlePresence(keep)
	go l.Run()
	c.on(c.Connect)
	t.Cleanup(func() {
		c.loop.Post("close", func() { c.Close(l.Close) })
		<-l.Done()
	})
	return c
}

func (c *component) on(f func()) {
	done := make(chan struct{})
	c.loop.Post("test", func() { defer close(done); f() })
	<-done
}

func await[T any](t *testing.T, from chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(hang):
		t.Fatalf("nothing came")
		panic("unreachable")
	}
}

const componentHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='gadget.school.test'>"

// acceptComponent takes a component in, if it knows the secret.
func (s *scripted) acceptComponent() *peer {
	s.t.Helper()
	p := s.accept()
	header, err := p.in.Open()
	if err != nil || header.Attr("to") != "gadget.school.test" {
		s.t.Fatalf("header %v, %v", header, err)
	}
	p.send(componentHeader)
	sum := sha1.Sum([]byte("s1hush-hush"))
	if e := p.read(stanza.NSClient, "handshake"); e.Text() != hex.EncodeToString(sum[:]) {
		s.t.Fatalf("handshake %s", e)
	}
	p.send("<handshake/>")
	return p
}

func TestComponent(t *testing.T) {
	s := newScripted(t)
	c := newComponent(t, s, nil)
	p := s.acceptComponent()
	await(t, c.ready)
	p.send("<presence from='ana@school.test' to='gadget.school.test' type='subscribe'><status>x</status></presence>")
	if e := await(t, c.stanza); e.Attr("type") != "subscribe" || e.Child(stanza.NSClient, "status").Text() != "x" {
		t.Errorf("got %s", e)
	}
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence", stanza.A("to", "ana@school.test"))) })
	if e := p.read(stanza.NSClient, "presence"); e.Attr("from") != "gadget.school.test" {
		t.Errorf("sent %s", e)
	}
	answers := make(chan error, 2)
	question := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", "ana@school.test"), stanza.New("x", "q"))
	c.on(func() {
		c.Ask(question, func(_ *stanza.Element, err error) { answers <- err })
	})
	id := p.read(stanza.NSClient, "iq").Attr("id")
	p.send("<iq type='result' from='eve@school.test' to='gadget.school.test' id='" + id + "'/>") // a forgery
	p.send("<iq type='get' from='ana@school.test' to='gadget.school.test' id='p'><ping xmlns='urn:xmpp:ping'/></iq>")
	if e := p.read(stanza.NSClient, "iq"); e.Attr("type") != "result" || e.Attr("id") != "p" {
		t.Errorf("ping: %s", e)
	}
	p.send("<iq type='get' from='ana@school.test' to='who@gadget.school.test' id='n'><ping xmlns='urn:xmpp:ping'/></iq>")
	if e := p.read(stanza.NSClient, "iq"); e.Attr("type") != "error" || e.Attr("from") != "who@gadget.school.test" {
		t.Errorf("another address: %s", e)
	}
	if len(answers) > 0 {
		t.Errorf("a forged answer was taken")
	}
	p.send("<iq type='result' from='ana@school.test' to='gadget.school.test' id='" + id + "'/>")
	if err := await(t, answers); err != nil {
		t.Error(err)
	}
	c.on(func() { c.Ask(question, func(_ *stanza.Element, err error) { answers <- err }) })
	p.read(stanza.NSClient, "iq")
	p.conn.Close()
	if err := await(t, answers); !errors.Is(err, ErrLost) {
		t.Errorf("question of a lost stream: %v", err)
	}
	if err := await(t, c.lost); !errors.Is(err, ErrLost) {
		t.Errorf("lost: %v", err)
	}
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence")) }) // goes nowhere
	p = s.acceptComponent()
	await(t, c.ready)
	go c.loop.Post("close", func() { c.Close(func() {}) })
	if _, err := p.in.Next(); err != stanza.ErrEnd {
		t.Errorf("end of the stream: %v", err)
	}
	p.conn.Close()
}

func TestComponent_refused(t *testing.T) {
	for _, c := range []struct {
		name, say string
		want      any
	}{
		{"wrong secret", componentHeader + "<stream:error><not-authorized xmlns='" + nsStreams + "'/></stream:error></stream:stream>", new(*StreamError)},
		{"no XMPP", "HTTP/1.0 400 Bad Request\r\n", new(*stanza.SyntaxError)},
		{"another stream", "<stream xmlns='x'>", nil},
		{"no handshake", componentHeader + "<message/>", nil},
	} {
		s := newScripted(t)
		comp := newComponent(t, s, nil)
		p := s.accept()
		p.send(c.say)
		err := await(t, comp.lost)
		if c.want != nil && !errors.As(err, c.want) || c.want == nil && !errors.Is(err, ErrNotXMPP) {
			t.Errorf("%s: %v", c.name, err)
		}
		p.conn.Close()
		s.acceptComponent() // it comes again
		await(t, comp.ready)
	}
}

// A server that takes nothing, or says nothing, is noticed.
func TestComponent_deadLink(t *testing.T) {
	s := newScripted(t)
	c := newComponent(t, s, func(cfg *ComponentConfig) { cfg.Keepalive, cfg.DeadAfter = 20*time.Millisecond, 50*time.Millisecond })
	p := s.acceptComponent()
	await(t, c.ready)
	if e := p.read(stanza.NSClient, "iq"); e.Attr("to") != "gadget.school.test" || e.First().Space() != NSPing {
		t.Errorf("sign of life: %s", e)
	}
	if err := await(t, c.lost); !errors.Is(err, ErrLost) {
		t.Errorf("got %v", err)
	}
}

func TestComponent_silentServer(t *testing.T) {
	s := newScripted(t)
	c := newComponent(t, s, func(cfg *ComponentConfig) { cfg.LoginTimeout = 20 * time.Millisecond })
	s.accept()
	if err := await(t, c.lost); !errors.Is(err, ErrTimeout) {
		t.Errorf("got %v", err)
	}
}
