package mucbytestream

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const (
	roomName = "a1b2@conference.school.example"
	sid      = "1700000000-42"
	attrs    = ` xmlns='` + NS + `' sid='` + sid + `'`
)

var (
	addr     = xmpptest.JID
	parseXML = xmpptest.Element
)

// link is a session that keeps what is sent, and questions until they are answered.
type link struct {
	out   []*stanza.Element
	asked []func(*stanza.Element, error)
}

func (l *link) Send(e *stanza.Element) { l.out = append(l.out, e) }

func (l *link) Ask(_ *stanza.Element, answer func(*stanza.Element, error)) {
	l.asked = append(l.asked, answer)
}

func (l *link) answer(err error) {
	a := l.asked[0]
	l.asked = l.asked[1:]
	a(nil, err)
}

func TestSender_oneBlock(t *testing.T) {
	for _, c := range []struct{ to, want string }{
		{roomName, `<message to='` + roomName + `' type='groupchat'>`},
		{roomName + "/Bob", `<message to='` + roomName + `/Bob'>`},
	} {
		l, done := &link{}, 0
		NewSender(l).Send(addr(t, c.to), sid, []byte("l\x04\x00\x01"), func() { done++ })
		want := parseXML(t, strings.Replace(c.want, "<message", "<message xmlns='jabber:client'", 1)+
			`<data`+attrs+`>bAQAAQ==</data>`+
			`<amp xmlns='http://jabber.org/protocol/amp'><rule condition='deliver-at' value='stored' action='error'/>`+
			`<rule condition='match-resource' value='exact' action='error'/></amp></message>`)
		if len(l.out) != 1 || !l.out[0].Equal(want) || done != 1 {
			t.Errorf("to %s: done %d times, sent %v\nwant %s", c.to, done, l.out, want)
		}
	}
}

func TestSender_fragments(t *testing.T) {
	for size, want := range map[int]string{
		0:                "[]",
		MaxBlock:         "[]",
		MaxBlock + 1:     "[first last]",
		2 * MaxBlock:     "[first last]",
		2*MaxBlock + 100: "[first middle last]",
	} {
		l := &link{}
		NewSender(l).Send(addr(t, roomName), sid, make([]byte, size), func() {})
		var frags []string
		for _, e := range l.out {
			if f := e.Child(NS, "data").Attr("frag"); f != "" {
				frags = append(frags, f)
			}
			if len(e.String()) > 64<<10-2048 {
				t.Errorf("%d bytes: a stanza of %d", size, len(e.String()))
			}
		}
		if got := fmt.Sprint(frags); got != want {
			t.Errorf("%d bytes: fragments %s, want %s", size, got, want)
		}
	}
}

// Messages of two tubes wait for each other, and for the server.
func TestSender_window(t *testing.T) {
	l, s := &link{}, (*Sender)(nil)
	s = NewSender(l)
	var done []string
	big := make([]byte, 3*window)
	s.Send(addr(t, roomName), "one", big, func() {
		done = append(done, "one")
		s.Send(addr(t, roomName), "three", []byte("3"), func() { done = append(done, "three") })
	})
	s.Send(addr(t, roomName), "two", []byte("2"), func() { done = append(done, "two") })
	if n := len(l.out); n < window/MaxBlock || n > window/MaxBlock+1 {
		t.Fatalf("%d stanzas went out before the server answered", n)
	}
	before := len(l.out)
	l.answer(xmpp.ErrTimeout) // no progress, but it is asked again
	if len(l.out) != before || len(l.asked) != 1 {
		t.Fatalf("after no answer %d stanzas, %d questions", len(l.out)-before, len(l.asked))
	}
	for i := 0; len(l.asked) > 0; i++ {
		if s.sent-s.taken > window+MaxBlock {
			t.Fatalf("%d bytes ahead of the server", s.sent-s.taken)
		}
		l.answer([]error{nil, stanza.NewError(stanza.ServiceUnavailable, ""), xmpp.ErrLost}[i%3])
	}
	if got, want := fmt.Sprint(done), "[one two three]"; got != want {
		t.Errorf("done %s, want %s", got, want)
	}
	var order []string
	for _, e := range l.out {
		order = append(order, e.Child(NS, "data").Attr("sid"))
	}
	if got := fmt.Sprint(slices.Compact(order)); got != "[one two three]" {
		t.Errorf("order on the wire: %s", got)
	}
}

func TestSender_tooLong(t *testing.T) {
	l, done := &link{}, 0
	NewSender(l).Send(addr(t, roomName), sid, make([]byte, MaxMessage+1), func() { done++ })
	if len(l.out) != 0 || done != 1 {
		t.Errorf("sent %d stanzas, done %d times", len(l.out), done)
	}
}

// heard is a receiver with one stream and what came out of it.
type heard struct {
	*Receiver
	t   testing.TB
	got []string
}

func listen(t testing.TB) *heard {
	h := &heard{Receiver: NewReceiver(), t: t}
	h.Open(addr(t, roomName), sid, func(from jid.JID, m []byte) {
		if len(m) > 32 {
			m = fmt.Appendf(nil, "%d bytes", len(m))
		}
		h.got = append(h.got, from.Resource()+" "+string(m))
	})
	return h
}

func (h *heard) hear(nick string, part frag, data []byte) bool {
	h.t.Helper()
	e := buildBlock(addr(h.t, roomName), sid, part, data)
	return h.HandleMessage(e.With(stanza.A("from", roomName+"/"+nick)))
}

func (h *heard) check(want ...string) {
	h.t.Helper()
	if fmt.Sprint(h.got) != fmt.Sprint(want) {
		h.t.Errorf("got %q, want %q", h.got, want)
	}
	size := 0
	for _, u := range h.parts {
		size += u.size()
	}
	if size != h.size || size > maxUnfinished {
		h.t.Errorf("keeps %d bytes and counts %d", size, h.size)
	}
	h.got = nil
}

func TestReceiver_parts(t *testing.T) {
	type step struct {
		nick string
		part frag
		data string
	}
	for _, c := range []struct {
		name  string
		steps []step
		want  []string
	}{
		{"without frag", []step{{"Ada", "", "x"}}, []string{"Ada x"}},
		{"complete", []step{{"Ada", complete, "x"}}, []string{"Ada x"}},
		{"in three", []step{{"Ada", first, "a"}, {"Ada", middle, "b"}, {"Ada", last, "c"}}, []string{"Ada abc"}},
		{"two senders at once", []step{{"Ada", first, "a"}, {"Bob", first, "b"}, {"Ada", last, "A"}, {"Bob", last, "B"}}, []string{"Ada aA", "Bob bB"}},
		{"complete replaces", []step{{"Ada", first, "a"}, {"Ada", complete, "x"}, {"Ada", last, "b"}}, []string{"Ada x"}},
		{"first replaces", []step{{"Ada", first, "a"}, {"Ada", first, "x"}, {"Ada", last, "y"}}, []string{"Ada xy"}},
		{"nothing begun", []step{{"Ada", middle, "a"}, {"Ada", last, "b"}}, nil},
		{"unknown part", []step{{"Ada", first, "a"}, {"Ada", "next", "b"}, {"Ada", last, "c"}}, []string{"Ada ac"}},
		{"after the last", []step{{"Ada", first, "a"}, {"Ada", last, "b"}, {"Ada", last, "c"}}, []string{"Ada ab"}},
		{"empty ones", []step{{"Ada", first, ""}, {"Ada", middle, ""}, {"Ada", last, "b"}}, []string{"Ada b"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := listen(t)
			for _, s := range c.steps {
				h.hear(s.nick, s.part, []byte(s.data))
			}
			h.check(c.want...)
		})
	}
}

func TestReceiver_stanzas(t *testing.T) {
	const data = `<data` + attrs + `>aGk=</data>`
	for _, c := range []struct {
		name, in string
		ours     bool
		want     []string
	}{
		{"to all", `<message from='` + roomName + `/Ada' type='groupchat'>` + data + `</message>`, true, []string{"Ada hi"}},
		{"to us", `<message from='` + roomName + `/Ada'>` + data + `</message>`, true, []string{"Ada hi"}},
		{"lines in the base64", `<message from='` + roomName + `/Ada'><data` + attrs + ">aG\nk=\n</data></message>", true, []string{"Ada hi"}},
		{"an error", `<message from='` + roomName + `/Ada' type='error'>` + data + `</message>`, true, nil},
		{"from the room", `<message from='` + roomName + `'>` + data + `</message>`, true, nil},
		{"from another room", `<message from='x@conference.school.example/Ada'>` + data + `</message>`, true, nil},
		{"from nowhere", `<message>` + data + `</message>`, true, nil},
		{"not base64", `<message from='` + roomName + `/Ada'><data` + attrs + `>a*</data></message>`, true, nil},
		{"loose base64", `<message from='` + roomName + `/Ada'><data` + attrs + `>aGl=</data></message>`, true, nil},
		{"no padding", `<message from='` + roomName + `/Ada'><data` + attrs + `>aGk</data></message>`, true, nil},
		{"unknown stream", `<message from='` + roomName + `/Ada'><data xmlns='` + NS + `' sid='9'>aGk=</data></message>`, true, nil},
		{"without stream", `<message from='` + roomName + `/Ada'><data xmlns='` + NS + `'>aGk=</data></message>`, true, nil},
		{"a chat", `<message from='` + roomName + `/Ada' type='groupchat'><body>aGk=</body></message>`, false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := listen(t)
			in := strings.Replace(c.in, "<message", "<message xmlns='jabber:client'", 1)
			if ours := h.HandleMessage(parseXML(t, in)); ours != c.ours {
				t.Errorf("ours: %v", ours)
			}
			h.check(c.want...)
		})
	}
}

func TestReceiver_badBlockEndsItsMessage(t *testing.T) {
	h := listen(t)
	h.hear("Ada", first, []byte("a"))
	e := buildBlock(addr(t, roomName), sid, middle, nil).With(stanza.A("from", roomName+"/Ada"))
	bad := stanza.New(NS, "data", stanza.A("sid", sid), stanza.A("frag", "middle"), stanza.Text("*"))
	h.HandleMessage(stanza.New(stanza.NSClient, "message", stanza.A("from", e.Attr("from")), bad))
	h.hear("Ada", last, []byte("b"))
	h.check()
}

func TestReceiver_leftAndClosed(t *testing.T) {
	h := listen(t)
	h.hear("Ada", first, []byte("a"))
	h.hear("Bob", first, []byte("b"))
	h.Left(addr(t, roomName+"/Ada"))
	h.hear("Ada", last, []byte("a"))
	h.hear("Bob", last, []byte("b"))
	h.check("Bob bb")
	h.hear("Bob", first, []byte("b"))
	h.Close(addr(t, roomName), sid)
	h.hear("Bob", last, []byte("b"))
	h.check()
	if len(h.parts) != 0 {
		t.Errorf("%d parts are kept", len(h.parts))
	}
}

func TestReceiver_endless(t *testing.T) {
	h := listen(t)
	block := make([]byte, MaxBlock)
	h.hear("Eve", first, block)
	for range MaxMessage/MaxBlock + 10 {
		h.hear("Eve", middle, block)
		h.check()
	}
	h.hear("Eve", last, block)
	h.check()
}

// Who begins messages and never ends them does not keep others from theirs.
func TestReceiver_manyUnfinished(t *testing.T) {
	h := listen(t)
	const rounds, often = maxUnfinished / partOverhead * 2, 500
	for i := range rounds {
		if i%often == 0 { // so the honest one is heard now and then
			h.hear("Ada", map[bool]frag{true: first, false: middle}[i == 0], []byte("a"))
		}
		h.hear(fmt.Sprintf("Eve%d", i), first, nil)
		if i%997 == 0 {
			h.check()
		}
	}
	h.hear("Ada", last, []byte("z"))
	h.check("Ada " + strings.Repeat("a", rounds/often+1) + "z")
}

func TestRoundTrip(t *testing.T) {
	h, l := listen(t), &link{}
	var got []byte
	h.Open(addr(t, roomName), sid, func(_ jid.JID, m []byte) { got = m })
	want := bytes.Repeat([]byte("0123456789"), 1<<20)
	NewSender(l).Send(addr(t, roomName), sid, want, func() {})
	for len(l.asked) > 0 {
		l.answer(nil)
	}
	for _, e := range l.out {
		h.HandleMessage(parseXML(t, e.With(stanza.A("from", roomName+"/Ada")).String()))
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes arrived of %d", len(got), len(want))
	}
}

// FuzzReceiver asserts that two senders' blocks, in any order, give what their
// parts say and never more than they hold.
func FuzzReceiver(f *testing.F) {
	f.Add("0first bGk=\n0last bGk=\n", sid)
	f.Add("0complete bGk=\n1first *\n1middle bGk=\n0last \n", sid)
	f.Fuzz(func(t *testing.T, in, name string) {
		h, sent := listen(t), 0
		for line := range strings.Lines(in) {
			if line == "" {
				continue
			}
			part, text, _ := strings.Cut(line[1:], " ")
			if n := base64.StdEncoding.DecodedLen(len(text)); n > 0 {
				sent += n
			}
			h.HandleMessage(stanza.New(stanza.NSClient, "message", stanza.A("from", roomName+"/"+line[:1]),
				stanza.New(NS, "data", stanza.A("sid", name), stanza.A("frag", part), stanza.Text(text))))
		}
		size := 0
		for _, u := range h.parts {
			size += u.size()
		}
		if size != h.size || size > sent+2*256*partOverhead {
			t.Fatalf("keeps %d of %d bytes and counts %d", size, sent, h.size)
		}
	})
}

func BenchmarkSendAndReceive(b *testing.B) {
	for _, size := range []int{200, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			h, l := listen(b), &link{}
			h.Open(addr(b, roomName), sid, func(jid.JID, []byte) {})
			s, message, room := NewSender(l), make([]byte, size), addr(b, roomName)
			from := stanza.A("from", roomName+"/Ada")
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				s.Send(room, sid, message, func() {})
				for len(l.asked) > 0 {
					l.answer(nil)
				}
				for _, e := range l.out {
					h.HandleMessage(e.With(from))
				}
				l.out = l.out[:0]
			}
		})
	}
}
