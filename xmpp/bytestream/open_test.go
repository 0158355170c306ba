package bytestream

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

// two are two children on a server whose stanzas tap may see.
func two(t testing.TB, tap func(*stanza.Element) *stanza.Element) (a, b *child) {
	n := newServer()
	n.tap = tap
	return n.child(t, "ana@school.test/sugar"), n.child(t, "bob@school.test/sugar")
}

// works checks that a stream carries something and can be closed.
func works(t *testing.T, a, b *child, atA, atB chan outcome) {
	t.Helper()
	x, y := await(t, atA, "the initiator"), await(t, atB, "the target")
	if x.err != nil || y.err != nil {
		t.Fatalf("no stream: %v, %v", x.err, y.err)
	}
	if _, err := x.conn.Write([]byte("hello")); err != nil {
		t.Error(err)
	}
	if _, err := io.ReadFull(y.conn, make([]byte, 5)); err != nil {
		t.Error(err)
	}
	closeBoth(t, a, b, x.conn, y.conn)
}

// When SOCKS5 does not work, for whatever reason, the bytes go in-band.
func TestOpen_fallback(t *testing.T) {
	refused := stanza.ReplyError
	for name, change := range map[string]func(st *stanza.Element) *stanza.Element{
		"nothing can be reached": func(st *stanza.Element) *stanza.Element {
			return replace(st, socks5.Query{SID: st.First().Attr("sid"), Hosts: []socks5.StreamHost{closedPort(t)}}.Element())
		},
		"no streamhost": func(st *stanza.Element) *stanza.Element {
			return replace(st, socks5.Query{SID: st.First().Attr("sid")}.Element())
		},
		"unknown stream": func(st *stanza.Element) *stanza.Element {
			return replace(st, socks5.Query{SID: "other"}.Element())
		},
		"malformed": func(st *stanza.Element) *stanza.Element { return replace(st, socks5.AskAddress()) },
		"another mode": func(st *stanza.Element) *stanza.Element {
			return replace(st, st.First().With(stanza.A("mode", "udp")))
		},
		"a service that is no SOCKS5": func(st *stanza.Element) *stanza.Element {
			return replace(st, socks5.Query{SID: st.First().Attr("sid"), Hosts: []socks5.StreamHost{otherService(t)}}.Element())
		},
		"refused by the server": func(st *stanza.Element) *stanza.Element {
			return refused(st, stanza.NewError(stanza.NotAllowed, "")).With(stanza.A("from", st.Attr("to")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, func(st *stanza.Element) *stanza.Element {
				if is(st, socks5.NS, "query") {
					return change(st)
				}
				return st
			})
			atA, _ := a.open(b)
			atB, _ := b.take()
			works(t, a, b, atA, atB)
		})
	}
}

// replace puts another payload into an IQ.
func replace(iq, payload *stanza.Element) *stanza.Element {
	parts := []stanza.Part{payload}
	for _, at := range iq.Attrs() {
		parts = append(parts, at)
	}
	return stanza.New(iq.Space(), iq.Local(), parts...)
}

// local is a streamhost that listens here.
func local(t testing.TB, l net.Listener) socks5.StreamHost {
	t.Helper()
	return socks5.StreamHost{JID: addr(t, "relay.school.test"), Host: ownAddress(t), Port: uint16(l.Addr().(*net.TCPAddr).Port)}
}

func ownAddress(t testing.TB) string {
	hosts := socks5.LocalAddresses()
	if len(hosts) == 0 {
		t.Skip("no network at all")
	}
	return hosts[0]
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func closedPort(t testing.TB) socks5.StreamHost {
	l := listen(t)
	h := local(t, l)
	l.Close()
	return h
}

// otherService says hello as mail servers do.
func otherService(t testing.TB) socks5.StreamHost {
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 mail.school.test\r\n")
			c.Close()
		}
	}()
	return local(t, l)
}

// relay is a minimal one: two who name the same stream are joined once it is
// activated.
type relay struct {
	*child
	mu    sync.Mutex
	conns map[string][]net.Conn
}

func newRelay(t testing.TB, n *server) *relay {
	r := &relay{child: n.child(t, "relay.school.test"), conns: make(map[string][]net.Conn)}
	l := listen(t)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go r.serve(c)
		}
	}()
	r.do(func() {
		r.iqs[socks5.NS] = func(iq *stanza.Element) {
			if iq.First().Child(socks5.NS, "activate") != nil {
				r.activate(iq)
				return
			}
			h := local(t, l)
			r.Send(stanza.Reply(iq, socks5.Query{SID: "x", Hosts: []socks5.StreamHost{h}}.Element()))
		}
	})
	return r
}

func (r *relay) serve(c net.Conn) {
	b := make([]byte, 3+47)
	io.ReadFull(c, b[:3])
	c.Write([]byte{5, 0})
	if _, err := io.ReadFull(c, b[3:]); err != nil {
		c.Close()
		return
	}
	r.mu.Lock()
	hash := string(b[8:48])
	r.conns[hash] = append(r.conns[hash], c)
	r.mu.Unlock()
	c.Write(append([]byte{5, 0}, b[5:]...))
}

func (r *relay) activate(iq *stanza.Element) {
	from, _ := jid.ParseLenient(iq.Attr("from"))
	to, _ := jid.ParseLenient(iq.First().Child(socks5.NS, "activate").Text())
	r.mu.Lock()
	pair := r.conns[socks5.Hash(iq.First().Attr("sid"), from, to)]
	r.mu.Unlock()
	if len(pair) != 2 {
		r.refuse(iq, stanza.NotAllowed)
		return
	}
	for i := range pair {
		go func() {
			io.Copy(pair[i], pair[1-i])
			pair[i].Close()
			pair[1-i].Close()
		}()
	}
	r.Send(stanza.Reply(iq))
}

// hosts are the streamhosts of the queries that pass.
func withoutDirect(st *stanza.Element) *stanza.Element {
	if !is(st, socks5.NS, "query") || st.First().Child(socks5.NS, "activate") != nil {
		return st
	}
	q, err := socks5.ParseQuery(st.First())
	if err != nil {
		return st
	}
	var relays []socks5.StreamHost
	for _, h := range q.Hosts {
		if h.JID.Local() == "" {
			relays = append(relays, h)
		}
	}
	q.Hosts = relays
	return replace(st, q.Element())
}

func TestOpen_relay(t *testing.T) {
	for _, c := range []struct {
		name    string
		working bool
	}{{"relay", true}, {"relay that does not activate", false}} {
		t.Run(c.name, func(t *testing.T) {
			n := newServer()
			n.tap = withoutDirect
			a, b, r := n.child(t, "ana@school.test/sugar"), n.child(t, "bob@school.test/sugar"), newRelay(t, n)
			var inBand sync.Map
			n.tap = func(st *stanza.Element) *stanza.Element {
				if is(st, ibb.NS, "open") {
					inBand.Store("open", true)
				}
				if !c.working && st.First().Child(socks5.NS, "activate") != nil {
					return stanza.ReplyError(st, stanza.NewError(stanza.InternalServerError, "")).With(stanza.A("from", st.Attr("to")))
				}
				return withoutDirect(st)
			}
			a.do(func() {
				a.Manager.relays = NewRelays(a, search(a), []string{"relay.school.test", "nobody.school.test", "@"})
			})
			_ = r
			atA, _ := a.open(b)
			atB, _ := b.take()
			if c.working {
				works(t, a, b, atA, atB)
			} else {
				// The target is connected with the relay and knows of nothing else.
				if y := await(t, atB, "the target"); y.err != nil {
					t.Error(y.err)
				} else {
					y.conn.Close()
				}
				if x := await(t, atA, "the initiator"); x.err == nil {
					t.Error("opened")
				}
			}
			if _, used := inBand.Load("open"); used == c.working {
				t.Errorf("in-band: %v", used)
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, pair := range r.conns {
				for _, c := range pair {
					c.Close()
				}
			}
		})
	}
}

// In rooms, both sides are their occupants, and no relay is told.
func TestOpen_room(t *testing.T) {
	n := newServer()
	room := "chess@rooms.school.test/"
	a, b := n.child(t, "ana@school.test/sugar"), n.child(t, "bob@school.test/sugar")
	a.relays = []socks5.StreamHost{{JID: addr(t, "relay.school.test"), Host: "192.0.2.1", Port: 7777}}
	n.mu.Lock()
	n.tap = func(st *stanza.Element) *stanza.Element { // the room
		if is(st, socks5.NS, "query") {
			if q, _ := socks5.ParseQuery(st.First()); len(q.Hosts) == 0 || strings.Contains(fmt.Sprint(q), "relay") {
				t.Errorf("told %v", q)
			}
		}
		return st
	}
	n.occupants = map[string]string{room + "Ana": a.self.String(), room + "Bob": b.self.String()}
	n.mu.Unlock()
	atA, _ := a.open(b, func(p *Proposal) { p.To, p.From, p.InRoom = addr(t, room+"Bob"), addr(t, room+"Ana"), true })
	o := await(t, b.offers, "an offer")
	if o.From != addr(t, room+"Ana") || o.To != b.self {
		t.Errorf("offered from %s to %s", o.From, o.To)
	}
	atB := make(chan outcome, 1)
	b.do(func() {
		o.To = addr(t, room+"Bob")
		o.Accept(nil, func(c Conn, err error) { atB <- outcome{c, nil, err} })
	})
	x, y := await(t, atA, "the initiator"), await(t, atB, "the target")
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	if _, ok := x.conn.(*tcpConn); !ok {
		t.Errorf("went by %T", x.conn)
	}
	closeBoth(t, a, b, x.conn, y.conn)
}

func TestOpen_refused(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile string
		answer  func(o *Offer)
		want    stanza.Error
	}{
		{"declined", tubes, func(o *Offer) { o.Refuse(nil) }, stanza.Error{Condition: stanza.Forbidden, Text: "Offer Declined"}},
		{"bad", tubes, func(o *Offer) { o.Refuse(stanza.NewError(stanza.BadRequest, "")) }, stanza.Error{Condition: stanza.BadRequest}},
		{"profile", "chess", nil, *si.BadProfile()},
		{"no method", tubes, nil, *si.NoValidStreams()},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := two(t, nil)
			if c.name == "no method" {
				b.do(func() { b.SetMethods() })
			}
			got, _ := a.open(b, func(p *Proposal) { p.Profile = c.profile })
			if c.answer != nil {
				o := await(t, b.offers, "an offer")
				b.do(func() {
					c.answer(o)
					c.answer(o) // the second counts for nothing
					o.Accept(nil, func(Conn, error) { t.Error("accepted what was refused") })
				})
			}
			x := await(t, got, "the answer")
			var e *stanza.Error
			if !errors.As(x.err, &e) || e.Condition != c.want.Condition || e.Text != c.want.Text || e.App != c.want.App {
				t.Errorf("got %v, want %v", x.err, &c.want)
			}
			closeBoth(t, a, b, io2{}, io2{})
		})
	}
}

// io2 is a Conn that does nothing.
type io2 struct{ Conn }

func (io2) Close() error { return nil }

// Each side gives up at each step, and nothing is left on either.
func TestOpen_cancel(t *testing.T) {
	steps := []struct {
		name string
		at   func(st *stanza.Element) bool
	}{
		{"offered", func(st *stanza.Element) bool { return is(st, si.NS, "si") }},
		{"accepted", func(st *stanza.Element) bool { return st.First().Is(si.NS, "si") && st.Attr("type") == "result" }},
		{"asked to connect", func(st *stanza.Element) bool { return is(st, socks5.NS, "query") }},
		{"connected", func(st *stanza.Element) bool { return st.First().Is(socks5.NS, "query") && st.Attr("type") == "result" }},
		{"in-band opened", func(st *stanza.Element) bool { return is(st, ibb.NS, "open") }},
	}
	for _, step := range steps {
		for _, who := range []string{"initiator", "target"} {
			t.Run(step.name+", "+who, func(t *testing.T) {
				hold := make(chan *stanza.Element, 1)
				var once sync.Once
				a, b := two(t, func(st *stanza.Element) *stanza.Element {
					if step.at(st) {
						once.Do(func() { hold <- st; st = nil })
					}
					return st
				})
				if step.name == "in-band opened" {
					a.do(func() { a.SetMethods(ibb.NS) })
				}
				atA, cancelA := a.open(b)
				cancelB := func() {}
				var atB chan outcome
				if step.name != "offered" {
					atB, cancelB = b.take()
				}
				held := await(t, hold, "the step")
				if who == "initiator" {
					a.do(func() { cancelA(); cancelA() })
				} else {
					b.do(func() { cancelB(); cancelB() })
				}
				a.net.pass(held)
				if step.name == "offered" {
					o := await(t, b.offers, "the offer")
					b.do(func() {
						if who == "target" {
							o.Refuse(nil)
						}
						o.Accept(nil, func(c Conn, err error) {
							if c != nil {
								c.Close()
							}
						})
					})
				}
				// Whoever was not told to stop gets an end that he closes, if not
				// before, with his session.
				c, got, other := a, atA, atB
				if who == "target" {
					c, got, other = b, atB, atA
				}
				go closeWhatComes(other)
				if step.name == "connected" && who == "target" {
					if o := await(t, got, "the stream that was open already"); o.conn != nil {
						o.conn.Close()
					}
				}
				for range 5 {
					a.do(func() {})
					b.do(func() {})
				}
				c.do(c.checkEmpty)
				select {
				case o := <-got:
					t.Errorf("told of %v after cancel", o)
				default:
				}
				a.do(a.Manager.Close)
				b.do(b.Manager.Close)
			})
		}
	}
}

func closeWhatComes(got chan outcome) {
	select {
	case o := <-got:
		if o.conn != nil {
			o.conn.Close()
		}
		got <- o
	case <-time.After(100 * time.Millisecond):
	}
}
