package bytestream

import (
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tubes is the profile of these tests.
const tubes = "http://telepathy.freedesktop.org/xmpp/tubes"

// wait only ends a hang.
const wait = 30 * time.Second

// server passes stanzas between children, each of which has a loop.
type server struct {
	mu       sync.Mutex
	children map[string]*child
	// tap sees each stanza before it is passed on, and may return another one,
	// or nil to lose it.
	tap func(st *stanza.Element) *stanza.Element
	// occupants has who is who in a room.
	occupants map[string]string
}

// child is the Host and the Session of one Manager.
type child struct {
	*Manager
	t    testing.TB
	net  *server
	self jid.JID
	loop *loop.Loop
	log  *logrus.Entry

	lastID    int
	questions map[string]func(*stanza.Element, error)
	iqs       map[string]func(*stanza.Element)
	messages  []func(*stanza.Element) bool

	offers chan *Offer
	relays []socks5.StreamHost
}

func newServer() *server { return &server{children: make(map[string]*child)} }

var addr = xmpptest.JID

func (n *server) child(t testing.TB, name string) *child {
	t.Helper()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	c := &child{
		t: t, net: n, self: addr(t, name), loop: loop.New(loop.Config{}), log: logrus.NewEntry(quiet),
		questions: make(map[string]func(*stanza.Element, error)), iqs: make(map[string]func(*stanza.Element)),
		offers: make(chan *Offer, 1000),
	}
	c.Manager = New(c, c)
	c.Manager.Listen(c)
	c.Serve(tubes, func(o *Offer) { c.offers <- o })
	n.mu.Lock()
	n.children[name] = c
	n.mu.Unlock()
	go c.loop.Run()
	t.Cleanup(c.end)
	return c
}

// end ends the session of a child and checks that nothing is left.
func (c *child) end() {
	select {
	case <-c.loop.Done():
		return
	default:
	}
	c.do(func() {
		c.Manager.Close()
		for id, answer := range c.questions {
			delete(c.questions, id)
			answer(nil, ErrClosed)
		}
	})
	c.do(c.checkEmpty)
	c.loop.Close()
	<-c.loop.Done()
}

func (c *child) checkEmpty() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.Manager.offers)+len(c.openings)+len(c.inBand)+len(c.conns)+c.awaiting != 0 || c.server != nil {
		c.t.Errorf("%s is left with %d offers, %d openings, %d in-band, %d direct, %d awaited",
			c.self, len(c.Manager.offers), len(c.openings), len(c.inBand), len(c.conns), c.awaiting)
	}
}

// do runs f on the loop and waits for it.
func (c *child) do(f func()) {
	c.t.Helper()
	done := make(chan struct{})
	if !c.loop.Post("test", func() { defer close(done); f() }) {
		return
	}
	await(c.t, done, "the loop of "+c.self.String())
}

func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(wait):
		t.Fatalf("waited %v for %s", wait, what)
		panic("unreachable")
	}
}

func (c *child) Relays(done func([]socks5.StreamHost))          { done(c.relays) }
func (c *child) Self() jid.JID                                  { return c.self }
func (c *child) Log() *logrus.Entry                             { return c.log }
func (c *child) Post(label string, f func()) bool               { return c.loop.Post(label, f) }
func (c *child) HandleIQ(space string, f func(*stanza.Element)) { c.iqs[space] = f }
func (c *child) HandleMessage(f func(*stanza.Element) bool)     { c.messages = append(c.messages, f) }
func (c *child) After(d time.Duration, label string, f func()) *loop.Timer {
	return c.loop.After(d, label, f)
}
func (c *child) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	c.AskWithin(time.Minute, iq, answer)
}

func (c *child) AskWithin(limit time.Duration, iq *stanza.Element, answer func(*stanza.Element, error)) {
	c.lastID++
	id := fmt.Sprint("q", c.lastID)
	c.questions[id] = answer
	c.Send(iq.With(stanza.A("id", id)))
}

func (c *child) Send(st *stanza.Element) { c.net.pass(st.With(stanza.A("from", c.self.String()))) }

// pass brings a stanza to whom it is for.
func (n *server) pass(st *stanza.Element) {
	n.mu.Lock()
	tap := n.tap
	n.mu.Unlock()
	if tap != nil {
		if st = tap(st); st == nil {
			return
		}
	}
	n.mu.Lock()
	st = n.throughRoom(st)
	to, from := n.children[st.Attr("to")], n.children[st.Attr("from")]
	n.mu.Unlock()
	typ := st.Attr("type")
	switch {
	case to != nil:
		to.loop.Post("stanza", func() { to.receive(st) })
	case st.Local() == "iq" && typ != "error" && typ != "result" && from != nil:
		from.loop.Post("stanza", func() {
			from.receive(stanza.ReplyError(st, stanza.NewError(stanza.ServiceUnavailable, "")).With(stanza.A("from", st.Attr("to")), stanza.A("to", from.self.String())))
		})
	}
}

// throughRoom gives a stanza to an occupant the addresses that the room does.
func (n *server) throughRoom(st *stanza.Element) *stanza.Element {
	real, inRoom := n.occupants[st.Attr("to")]
	if !inRoom {
		return st
	}
	for occupant, who := range n.occupants {
		if who == st.Attr("from") {
			return st.With(stanza.A("to", real), stanza.A("from", occupant))
		}
	}
	return st
}

func (c *child) receive(st *stanza.Element) {
	switch typ := st.Attr("type"); {
	case st.Local() == "message":
		for _, f := range c.messages {
			if f(st) {
				return
			}
		}
	case typ == "result" || typ == "error":
		answer := c.questions[st.Attr("id")]
		delete(c.questions, st.Attr("id"))
		switch {
		case answer == nil:
		case typ == "error":
			answer(nil, stanza.ErrorOf(st))
		default:
			answer(st, nil)
		}
	case c.iqs[st.First().Space()] != nil:
		c.iqs[st.First().Space()](st)
	}
}

// outcome is what an opening ended with.
type outcome struct {
	conn   Conn
	accept *stanza.Element
	err    error
}

// open offers a stream.
func (c *child) open(to *child, change ...func(*Proposal)) (result chan outcome, cancel func()) {
	result = make(chan outcome, 2)
	p := Proposal{To: to.self, Profile: tubes, Payload: []stanza.Part{stanza.New(tubes, "stream", stanza.A("tube", "7"))}}
	for _, f := range change {
		f(&p)
	}
	c.do(func() {
		cancel = c.Open(p, func(conn Conn, accept *stanza.Element, err error) { result <- outcome{conn, accept, err} })
	})
	return result, cancel
}

// take waits for an offer and accepts it.
func (c *child) take() (result chan outcome, cancel func()) {
	c.t.Helper()
	o := await(c.t, c.offers, "an offer")
	result = make(chan outcome, 2)
	c.do(func() {
		cancel = o.Accept([]stanza.Part{stanza.New(tubes, "tube")}, func(conn Conn, err error) { result <- outcome{conn, nil, err} })
	})
	return result, cancel
}

// pair opens a stream between two children.
func pair(t testing.TB, a, b *child) (Conn, Conn) {
	t.Helper()
	atA, _ := a.open(b)
	atB, _ := b.take()
	x, y := await(t, atA, "the initiator"), await(t, atB, "the target")
	if x.err != nil || y.err != nil {
		t.Fatalf("no stream: %v, %v", x.err, y.err)
	}
	if x.accept.Child(tubes, "tube") == nil {
		t.Errorf("accepted by %s", x.accept)
	}
	return x.conn, y.conn
}

// kinds are the ways in which a stream can go.
var kinds = []struct {
	name   string
	method string
}{{"SOCKS5", socks5.NS}, {"IBB", ibb.NS}}

// each runs a test with two children for each kind.
func each(t *testing.T, test func(t *testing.T, a, b *child)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			n := newServer()
			a, b := n.child(t, "ana@school.test/sugar"), n.child(t, "bob@school.test/sugar")
			a.do(func() { a.SetMethods(k.method) })
			test(t, a, b)
		})
	}
}

// is tells whether a stanza's payload has this name.
func is(st *stanza.Element, space, local string) bool {
	return st.First().Is(space, local) && (st.Attr("type") == "set" || st.Local() == "message")
}

// search is a search for services that finds none.
func search(c *child) *services.Search {
	return services.New(services.Config{
		Asker: c, Server: c.self.Bare(),
		After: func(d time.Duration, label string, f func()) func() { return c.After(d, label, f).Stop },
	})
}

func isError(err error, c stanza.Condition) bool {
	e, ok := err.(*stanza.Error)
	return ok && e.Condition == c
}
