package xmpp

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// hang bounds what would otherwise wait for ever; no test waits that long.
const hang = 20 * time.Second

const (
	streamHeader = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='1' from='school.test' version='1.0'>"
	offerTLS     = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>"
	offerPlain   = "<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><mechanism>PLAIN</mechanism></mechanisms>"
	offerBind    = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>"
	offerSM      = "<sm xmlns='urn:xmpp:sm:3'/>"
	success      = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>"
)

// features is what a server sends first in a stream.
func features(offers ...string) string {
	return streamHeader + "<stream:features>" + strings.Join(offers, "") + "</stream:features>"
}

// scripted is a server that says what the test says.
type scripted struct {
	t        *testing.T
	listener net.Listener
}

func newScripted(t *testing.T) *scripted {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return &scripted{t, l}
}

// config is an account on the server, without encryption.
func (s *scripted) config() Config {
	account, err := jid.Parse("ana@school.test")
	if err != nil {
		s.t.Fatal(err)
	}
	return Config{
		Account: account, Resource: "sugar", Password: NewSecret("hush-hush"),
		Server: "127.0.0.1", Port: portOf(s.listener), IgnoreTLSErrors: true,
	}
}

// peer is the server's end of one connection.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *stanza.Reader
}

func (s *scripted) accept() *peer {
	s.t.Helper()
	s.listener.(*net.TCPListener).SetDeadline(time.Now().Add(hang))
	conn, err := s.listener.Accept()
	if err != nil {
		s.t.Fatalf("wait for a client: %v", err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(hang))
	return &peer{s.t, conn, stanza.NewReader(conn, stanza.Limits{Bytes: 16 << 20})}
}

// startTLS is the handshake of the server's end.
func (p *peer) startTLS() {
	p.t.Helper()
	authority := newAuthority(p.t, "school", nil)
	p.conn = tls.Server(p.conn, &tls.Config{Certificates: []tls.Certificate{newLeaf(p.t, authority, named("school.test")).chain()}})
	p.in = stanza.NewReader(p.conn, stanza.Limits{})
}

func (p *peer) send(xml string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, xml); err != nil {
		p.t.Errorf("send %.80s: %v", xml, err)
	}
}

// open reads the client's header and answers.
func (p *peer) open(answer string) {
	p.t.Helper()
	header, err := p.in.Open()
	if err != nil || !header.Is(stanza.NSStream, "stream") || header.Attr("to") != "school.test" || header.Attr("version") != "1.0" {
		p.t.Fatalf("header %v, %v", header, err)
	}
	p.send(answer)
}

// read reads the next element, which must have this name.
func (p *peer) read(space, local string) *stanza.Element {
	p.t.Helper()
	e, err := p.in.Next()
	if err != nil || !e.Is(space, local) {
		p.t.Fatalf("got %v, %v; want <%s xmlns='%s'/>", e, err, local, space)
	}
	return e
}

func (p *peer) iq(typ string) *stanza.Element {
	p.t.Helper()
	iq := p.read(stanza.NSClient, "iq")
	if iq.Attr("type") != typ || iq.Attr("id") == "" {
		p.t.Fatalf("got %v, want type %s", iq, typ)
	}
	return iq
}

// answer sends the result of an IQ.
func (p *peer) answer(iq *stanza.Element, payload string) {
	p.t.Helper()
	from := ""
	if iq.Attr("to") != "" {
		from = " from='" + iq.Attr("to") + "'"
	}
	p.send(fmt.Sprintf("<iq type='result' id='%s'%s>%s</iq>", iq.Attr("id"), from, payload))
}

// authenticate is the whole way to the stream after login.
func (p *peer) authenticate(offers ...string) {
	p.t.Helper()
	p.open(features(offerPlain))
	p.read(nsSASL, "auth")
	p.send(success)
	p.open(features(offers...))
}

// logIn is the whole login.
func (p *peer) logIn(offers ...string) {
	p.t.Helper()
	p.authenticate(append(offers, offerBind)...)
	p.bind()
}

func (p *peer) bind() {
	p.t.Helper()
	p.answer(p.iq("set"), "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>ana@school.test/sugar</jid></bind>")
}

// sync returns when the client has handled all that was sent to it.
func (p *peer) sync() {
	p.t.Helper()
	p.send("<iq type='get' id='sync' from='school.test'><ping xmlns='urn:xmpp:ping'/></iq>")
	if pong := p.iq("result"); pong.Attr("id") != "sync" {
		p.t.Fatalf("got %v, want the answer to a ping", pong)
	}
}

// closed reads to the end of the client's stream.
func (p *peer) closed() {
	p.t.Helper()
	if e, err := p.in.Next(); err != stanza.ErrEnd {
		p.t.Fatalf("got %v, %v; want the end of the stream", e, err)
	}
}

// client is a session on a loop of its own, with what it reports.
type client struct {
	*Session
	t      *testing.T
	loop   *loop.Loop
	events chan event
	logged logged
}

// logged takes the messages of a log.
type logged chan string

func (logged) Levels() []logrus.Level { return []logrus.Level{logrus.DebugLevel} }

func (l logged) Fire(e *logrus.Entry) error {
	l <- e.Message
	return nil
}

// event is one call of [Events]: one field is set.
type event struct {
	ready  jid.JID
	lost   error
	stanza *stanza.Element
}

func newClient(t *testing.T, cfg Config) *client {
	t.Helper()
	c := &client{t: t, loop: loop.New(loop.Config{}), events: make(chan event, 10_000), logged: make(logged, 1000)}
	log := logrus.New()
	log.SetOutput(io.Discard)
	log.SetLevel(logrus.TraceLevel) // what is formatted must not fail
	log.AddHook(c.logged)
	cfg.Log = logrus.NewEntry(log)
	c.Session = NewSession(cfg, c.loop, Events{
		Ready:  func(self jid.JID) { c.events <- event{ready: self} },
		Lost:   func(err error) { c.events <- event{lost: err} },
		Stanza: func(e *stanza.Element) { c.events <- event{stanza: e} },
	})
	go c.loop.Run()
	t.Cleanup(func() {
		c.close()
		c.loop.Close()
		<-c.loop.Done()
	})
	return c
}

// connect makes a client and lets it connect.
func connect(t *testing.T, cfg Config) *client {
	t.Helper()
	c := newClient(t, cfg)
	c.on(c.Connect)
	return c
}

// on runs f on the loop and waits for it.
func (c *client) on(f func()) {
	c.t.Helper()
	ran := make(chan struct{})
	c.loop.Post("test", func() { f(); close(ran) })
	c.await(ran, "loop")
}

func (c *client) await(done <-chan struct{}, what string) {
	c.t.Helper()
	select {
	case <-done:
	case <-time.After(hang):
		c.t.Fatalf("%s: nothing in %v", what, hang)
	}
}

// close closes the session and waits until it is gone.
func (c *client) close() {
	c.t.Helper()
	gone := make(chan struct{})
	c.on(func() { c.Close(func() { close(gone) }) })
	c.await(gone, "close")
}

func (c *client) next() event {
	c.t.Helper()
	select {
	case e := <-c.events:
		return e
	case <-time.After(hang):
		c.t.Fatalf("no event in %v", hang)
		return event{}
	}
}

func (c *client) wantReady() {
	c.t.Helper()
	if e := c.next(); e.ready.String() != "ana@school.test/sugar" {
		c.t.Fatalf("got %+v, want ready", e)
	}
}

// wantLost waits for the end, with an error that is want or, if want is a
// pointer to an error type, one of these.
func (c *client) wantLost(want any) {
	c.t.Helper()
	e := c.next()
	if e.lost == nil {
		c.t.Fatalf("got %+v, want an end with %v", e, want)
	}
	if target, ok := want.(error); ok && errors.Is(e.lost, target) {
		return
	} else if !ok && errors.As(e.lost, want) {
		return
	}
	c.t.Fatalf("ended with %v (%[1]T), want %v (%[2]T)", e.lost, want)
}

// wantLog waits for a message in the log.
func (c *client) wantLog(message string) {
	c.t.Helper()
	for {
		select {
		case got := <-c.logged:
			if got == message {
				return
			}
		case <-time.After(hang):
			c.t.Fatalf("no %q in the log in %v", message, hang)
		}
	}
}

// wantNothing asserts that nothing was reported up to now; a sync goes before.
func (c *client) wantNothing() {
	c.t.Helper()
	select {
	case e := <-c.events:
		c.t.Fatalf("got %+v, want nothing", e)
	default:
	}
}

// loggedIn is a client that has logged in, and its peer.
func loggedIn(t *testing.T, change func(*Config), offers ...string) (*client, *peer) {
	t.Helper()
	server := newScripted(t)
	cfg := server.config()
	if change != nil {
		change(&cfg)
	}
	c := connect(t, cfg)
	p := server.accept()
	p.logIn(offers...)
	c.wantReady()
	return c, p
}

var parse = xmpptest.Element
