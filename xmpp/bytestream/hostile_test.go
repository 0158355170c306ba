package bytestream

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

// ask sends an IQ as somebody and waits for the answer.
func (c *child) ask(to *child, payload *stanza.Element) error {
	c.t.Helper()
	got := make(chan error, 1)
	c.do(func() { c.Ask(set(to.self, payload), func(_ *stanza.Element, err error) { got <- err }) })
	return await(c.t, got, "an answer to "+payload.String())
}

// offer is an offer with this id.
func offer(id string) *stanza.Element {
	return si.Offer{ID: id, Profile: tubes, Methods: []string{socks5.NS, ibb.NS}, Multiple: true}.Element()
}

func TestHostile_questions(t *testing.T) {
	a, b := two(t, nil)
	long := string(bytes.Repeat([]byte("a"), 300))
	for _, c := range []struct {
		name    string
		payload *stanza.Element
		want    stanza.Condition
	}{
		{"offer without id", offer(""), stanza.BadRequest},
		{"offer with a long id", offer(long), stanza.BadRequest},
		{"offer without form", stanza.New(si.NS, "si", stanza.A("id", "x"), stanza.A("profile", tubes)), stanza.BadRequest},
		{"offer of nothing", stanza.New(si.NS, "si"), stanza.BadRequest},
		{"something else of SI", stanza.New(si.NS, "is", stanza.A("profile", tubes)), stanza.BadRequest},
		{"in-band unasked", ibb.Open{SID: "x", BlockSize: 4096}.Element(), stanza.BadRequest},
		{"in-band malformed", stanza.New(ibb.NS, "open"), stanza.BadRequest},
		{"in-band unknown word", stanza.New(ibb.NS, "shut"), stanza.BadRequest},
		{"block for nobody", ibb.Data{SID: "x"}.Element(), stanza.ItemNotFound},
		{"end of nothing", ibb.Close("x"), stanza.ItemNotFound},
		{"end without id", ibb.Close(""), stanza.ItemNotFound},
		{"streamhosts for nobody", socks5.Query{SID: "x"}.Element(), stanza.ItemNotFound},
		{"streamhosts without id", socks5.Query{}.Element(), stanza.BadRequest},
		{"another mode", socks5.Query{SID: "x"}.Element().With(stanza.A("mode", "udp")), stanza.BadRequest},
	} {
		if err := a.ask(b, c.payload); !isError(err, c.want) {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	got := make(chan error, 3)
	a.do(func() {
		for _, payload := range []*stanza.Element{offer("x"), ibb.Open{SID: "x", BlockSize: 1}.Element(), socks5.AskAddress()} {
			a.Ask(set(b.self, payload).With(stanza.A("type", "get")), func(_ *stanza.Element, err error) { got <- err })
		}
	})
	for _, want := range []stanza.Condition{stanza.BadRequest, stanza.BadRequest, stanza.ServiceUnavailable} {
		if err := await(t, got, "an answer"); !isError(err, want) {
			t.Errorf("question: %v, want %s", err, want)
		}
	}
	b.do(b.checkEmpty)
}

// Offers that nobody answers have an end, for one address and for all.
func TestHostile_manyOffers(t *testing.T) {
	n := newServer()
	b := n.child(t, "bob@school.test/sugar")
	ana := n.child(t, "ana@school.test/sugar")
	count := func(from *child) (refused int) {
		got := make(chan error, 100)
		from.do(func() {
			for i := range 100 {
				from.Ask(set(b.self, offer(fmt.Sprint("id", i))), func(_ *stanza.Element, err error) { got <- err })
			}
		})
		for range 100 - maxWaiting {
			if err := await(t, got, "a refusal"); isError(err, stanza.ResourceConstraint) {
				refused++
			} else {
				t.Fatal(err)
			}
		}
		return refused
	}
	if got := count(ana); got != 100-maxWaiting {
		t.Errorf("refused %d", got)
	}
	if err := ana.ask(b, offer("id0")); !isError(err, stanza.Conflict) {
		t.Errorf("the same again: %v", err)
	}
	if got := count(n.child(t, "eve@school.test/sugar")); got != 100-maxWaiting { // the others are not hers
		t.Errorf("refused %d", got)
	}
	b.do(func() { b.used = maxStreams })
	if err := n.child(t, "zoe@school.test/sugar").ask(b, offer("x")); !isError(err, stanza.ResourceConstraint) {
		t.Error(err)
	}
	b.do(func() { b.used = 2 * maxWaiting })
}

// Our own user is bounded as well.
func TestOpen_tooMany(t *testing.T) {
	a, b := two(t, func(*stanza.Element) *stanza.Element { return nil }) // nobody answers
	for range maxPerPeer {
		a.open(b)
	}
	got, _ := a.open(b)
	if o := await(t, got, "the refusal"); o.err != ErrTooMany {
		t.Error(o.err)
	}
	a.do(a.Manager.Close)
	got, _ = a.open(b)
	if o := await(t, got, "the refusal"); o.err != ErrClosed {
		t.Error(o.err)
	}
	got, cancel := a.open(b)
	a.do(cancel)
	a.do(func() {})
	if len(got) > 1 {
		t.Error("told after cancel")
	}
}

// The same ids of somebody else are other streams.
func TestHostile_forgedSender(t *testing.T) {
	n := newServer()
	a, b, eve := n.child(t, "ana@school.test/sugar"), n.child(t, "bob@school.test/sugar"), n.child(t, "eve@school.test/sugar")
	a.do(func() { a.SetMethods(ibb.NS) })
	var sid string
	n.mu.Lock()
	n.tap = func(st *stanza.Element) *stanza.Element {
		if is(st, ibb.NS, "open") && sid == "" {
			sid = st.First().Attr("sid")
		}
		return st
	}
	n.mu.Unlock()
	x, y := pair(t, a, b)
	n.mu.Lock()
	n.tap = nil
	n.mu.Unlock()
	for payload, want := range map[*stanza.Element]stanza.Condition{
		ibb.Open{SID: sid, BlockSize: 4096}.Element():       stanza.BadRequest,
		ibb.Data{SID: sid, Bytes: []byte("evil")}.Element(): stanza.ItemNotFound,
		ibb.Close(sid):                   stanza.ItemNotFound,
		socks5.Query{SID: sid}.Element(): stanza.ItemNotFound,
	} {
		if err := eve.ask(b, payload); !isError(err, want) {
			t.Errorf("%s: %v, want %s", payload, err, want)
		}
	}
	eve.do(func() {
		eve.Send(stanza.New(stanza.NSClient, "message", stanza.A("to", b.self.String()), ibb.Data{SID: sid, Bytes: []byte("evil")}.Element()))
	})
	if err := a.ask(b, offer(sid)); !isError(err, stanza.Conflict) {
		t.Errorf("the id of an open stream: %v", err)
	}
	if err := eve.ask(b, si.Offer{ID: sid, Profile: "other", Methods: []string{ibb.NS}}.Element()); !isError(err, stanza.BadRequest) {
		t.Error(err)
	}
	x.Write([]byte("good"))
	x.CloseWrite()
	if got, err := io.ReadAll(y); string(got) != "good" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	closeBoth(t, a, b, x, y)
}

// Whoever accepts an offer cannot have another stream, or method, than that.
func TestHostile_answers(t *testing.T) {
	for name, answer := range map[string]*stanza.Element{
		"nothing":        nil,
		"empty":          stanza.New(si.NS, "si"),
		"other methods":  si.Offer{Multiple: true}.Accept([]string{"jabber:iq:oob"}),
		"something else": stanza.New("x", "si"),
	} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, nil)
			b.do(func() {
				b.iqs[si.NS] = func(iq *stanza.Element) {
					if answer == nil {
						b.Send(stanza.Reply(iq))
						return
					}
					b.Send(stanza.Reply(iq, answer))
				}
			})
			got, _ := a.open(b)
			if o := await(t, got, "the end"); o.err != si.ErrNoMethods {
				t.Errorf("got %v", o.err)
			}
			a.do(a.checkEmpty)
		})
	}
}

// Who says that he is connected, and is not, gets the other method.
func TestHostile_usedWithoutConnecting(t *testing.T) {
	for name, who := range map[string]string{"initiator": "ana@school.test/sugar", "relay": "relay.school.test", "nobody": ""} {
		t.Run(name, func(t *testing.T) {
			a, b := two(t, nil)
			b.do(func() {
				b.iqs[socks5.NS] = func(iq *stanza.Element) {
					used := stanza.New(socks5.NS, "query")
					if who != "" {
						used = socks5.Used(iq.First().Attr("sid"), addr(t, who))
					}
					b.Send(stanza.Reply(iq, used))
				}
			})
			atA, _ := a.open(b)
			atB, _ := b.take()
			works(t, a, b, atA, atB)
		})
	}
}

// Blocks are agreed on within limits, and asked for smaller if need be.
func TestOpen_blockSize(t *testing.T) {
	a, b := two(t, nil)
	a.do(func() { a.SetMethods(ibb.NS) })
	var sizes []string
	a.net.mu.Lock()
	a.net.tap = func(st *stanza.Element) *stanza.Element {
		if !is(st, ibb.NS, "open") {
			return st
		}
		sizes = append(sizes, st.First().Attr("block-size"))
		if len(sizes) == 1 {
			return replace(st, st.First().With(stanza.A("block-size", "65535")))
		}
		return st
	}
	a.net.mu.Unlock()
	atA, _ := a.open(b)
	atB, _ := b.take()
	works(t, a, b, atA, atB)
	if fmt.Sprint(sizes) != "[8192 4096]" {
		t.Errorf("asked for %v", sizes)
	}
}

// Two streams of the server's are not all there may be, but there is an end.
func TestOpen_inBandLimit(t *testing.T) {
	a, b := two(t, nil)
	a.do(func() { a.SetMethods(ibb.NS) })
	var conns []Conn
	for range maxInBandPerPeer {
		x, y := pair(t, a, b)
		conns = append(conns, x, y)
	}
	atA, _ := a.open(b)
	_, cancel := b.take()
	if o := await(t, atA, "the refusal"); o.err != ErrTooMany {
		t.Error(o.err)
	}
	b.do(cancel)
	for _, c := range conns {
		c.Close()
	}
}
