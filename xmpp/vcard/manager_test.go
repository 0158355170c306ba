package vcard

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

const self = "ada@school.test"

// world is a server that answers when it is told to, and a clock that stands
// still. What happens is written down in order.
type world struct {
	t      *testing.T
	log    []string
	asked  []func(*stanza.Element, error)
	timers []*timer
}

type timer struct {
	d time.Duration
	f func() // nil once it is stopped or over
}

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	text := "get"
	if iq.Attr("type") == "set" {
		text = "set " + strings.Join(names(iq.Child(NS, "vCard")), " ")
	}
	if to := iq.Attr("to"); to != "" {
		text += " " + to
	}
	w.log = append(w.log, text)
	w.asked = append(w.asked, done)
}

// names describes a vCard shortly.
func names(card *stanza.Element) (list []string) {
	for _, c := range card.Children() {
		list = append(list, c.Local()+"="+c.Text())
	}
	return list
}

func (w *world) after(d time.Duration, label string, f func()) func() {
	t := &timer{d, f}
	w.timers = append(w.timers, t)
	return func() { t.f = nil }
}

// answer answers the oldest question with a vCard of these elements.
func (w *world) answer(elements string) {
	w.t.Helper()
	w.next()(parse(w.t, "<iq type='result'>"+card(elements)+"</iq>"), nil)
}

// ok answers it without anything.
func (w *world) ok() { w.t.Helper(); w.next()(parse(w.t, "<iq type='result'/>"), nil) }

func (w *world) fail(c stanza.Condition) { w.t.Helper(); w.next()(nil, stanza.NewError(c, "")) }

func (w *world) next() func(*stanza.Element, error) {
	w.t.Helper()
	if len(w.asked) == 0 {
		w.t.Fatalf("nothing is asked; happened: %q", w.log)
	}
	done := w.asked[0]
	w.asked = w.asked[1:]
	return done
}

// ring lets the oldest timer that is still set end.
func (w *world) ring() {
	w.t.Helper()
	for _, t := range w.timers {
		if f := t.f; f != nil {
			t.f = nil
			f()
			return
		}
	}
	w.t.Fatalf("no timer is set; happened: %q", w.log)
}

func (w *world) happened(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.log); diff != "" {
		w.t.Errorf("(-want +got):\n%s", diff)
	}
	w.log = nil
}

// done returns a callback that writes down the end.
func (w *world) done(name string) func(error) {
	return func(err error) { w.log = append(w.log, name+": "+describe(err)) }
}

func describe(err error) string {
	if err != nil {
		return err.Error()
	}
	return "ok"
}

// request requests and writes down the answer.
func (w *world) request(m *Manager, who string) {
	m.Request(addr(w.t, who), func(card *stanza.Element, err error) {
		text := describe(err)
		if err == nil {
			text = strings.Join(names(card), " ")
		}
		w.log = append(w.log, who+": "+text)
	})
}

func start(t *testing.T) (*world, *Manager) {
	w := &world{t: t}
	return w, NewManager(w, w.after, addr(t, self+"/sugar"))
}

func TestEdit_keepsWhatIsThere(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("nick"))
	w.answer("<FN>x</FN><NICKNAME>y</NICKNAME><X-OTHER>z</X-OTHER>")
	w.ok()
	w.happened("get", "set FN=x NICKNAME=Ada X-OTHER=z", "nick: ok")
}

func TestEdit_noVCard(t *testing.T) {
	for name, answer := range map[string]func(*world){
		"item not found": func(w *world) { w.fail(stanza.ItemNotFound) },
		"empty":          func(w *world) { w.answer("") },
		"nothing":        (*world).ok,
	} {
		t.Run(name, func(t *testing.T) {
			w, m := start(t)
			m.Edit(SetNickname("Ada"), nil)
			answer(w)
			w.ok()
			w.happened("get", "set NICKNAME=Ada")
		})
	}
}

func TestEdit_nothingToChange(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("nick"))
	w.answer("<NICKNAME>Ada</NICKNAME>")
	w.happened("get", "nick: ok")
}

func TestEdit_whileReading(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("first"))
	m.Edit(SetNickname("Ada L."), w.done("second"))
	w.answer("")
	w.ok()
	w.happened("get", "set NICKNAME=Ada L.", "first: ok", "second: ok")
}

func TestEdit_whileWriting(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("first"))
	w.answer("")
	m.Edit(SetNickname("Ada L."), w.done("second"))
	m.Edit(SetPhoto(Photo{Data: []byte("x")}), w.done("third"))
	w.happened("get", "set NICKNAME=Ada")
	w.ok()
	w.happened("first: ok", "get")
	w.answer("<NICKNAME>Ada</NICKNAME><FN>by another program</FN>")
	w.ok()
	w.happened("set NICKNAME=Ada L. FN=by another program PHOTO=", "second: ok", "third: ok")
}

func TestEdit_neverWritesUnread(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("first"))
	m.Edit(SetNickname("Ada L."), w.done("second"))
	w.fail(stanza.ServiceUnavailable)
	w.happened("get", "first: read own vCard: service-unavailable", "second: read own vCard: service-unavailable")
	m.Edit(SetNickname("Ada"), w.done("third"))
	w.happened("get")
}

func TestEdit_refused(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("first"))
	w.answer("")
	m.Edit(SetNickname("Ada L."), w.done("second"))
	w.fail(stanza.NotAllowed)
	w.happened("get", "set NICKNAME=Ada", "first: write own vCard: not-allowed", "get")
}

func TestEdit_timeouts(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("first"))
	w.ring()
	w.answer("<FN>late</FN>") // does not count any more
	w.happened("get", "first: read own vCard: no answer in time")
	m.Edit(SetNickname("Ada"), w.done("second"))
	w.answer("")
	w.ring()
	w.ok()
	w.happened("get", "set NICKNAME=Ada", "second: write own vCard: no answer in time")
	if w.timers[0].d != ownTimeout {
		t.Errorf("waited %v", w.timers[0].d)
	}
}

func TestEdit_withinDone(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), func(error) { m.Edit(SetNickname("Bo"), w.done("second")) })
	w.answer("")
	w.ok()
	w.answer("<NICKNAME>Ada</NICKNAME>")
	w.happened("get", "set NICKNAME=Ada", "get", "set NICKNAME=Bo")
}

func TestRequest_shared(t *testing.T) {
	w, m := start(t)
	w.request(m, "bob@school.test")
	w.request(m, "bob@school.test")
	w.answer("<NICKNAME>Bob</NICKNAME>")
	w.happened("get bob@school.test", "bob@school.test: NICKNAME=Bob", "bob@school.test: NICKNAME=Bob")
	w.request(m, "bob@school.test")
	w.happened("get bob@school.test")
}

func TestRequest_answers(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(*world)
		want   string
	}{
		{"none", func(w *world) { w.fail(stanza.ItemNotFound) }, ""},
		{"none, in other words", func(w *world) { w.fail(stanza.ServiceUnavailable) }, ""},
		{"nothing", (*world).ok, ""},
		{"refused", func(w *world) { w.fail(stanza.Forbidden) }, "request vCard of bob@school.test: forbidden"},
		{"no answer", (*world).ring, "request vCard of bob@school.test: no answer in time"},
	} {
		w, m := start(t)
		w.request(m, "bob@school.test")
		c.answer(w)
		w.happened("get bob@school.test", "bob@school.test: "+c.want)
	}
}

func TestRequest_own(t *testing.T) {
	w, m := start(t)
	w.request(m, self)
	w.request(m, "room@rooms.school.test/Bob")
	w.happened("get", "get room@rooms.school.test/Bob")
}

func TestRequest_boundUnderWay(t *testing.T) {
	w, m := start(t)
	for i := range maxUnderWay + 3 {
		w.request(m, fmt.Sprintf("%d@school.test", i))
	}
	if len(w.asked) != maxUnderWay {
		t.Fatalf("%d requests under way", len(w.asked))
	}
	w.log = nil
	w.answer("")
	w.happened("0@school.test: ", fmt.Sprintf("get %d@school.test", maxUnderWay))
	w.ring() // the second never answers: its place goes to the next
	w.happened("1@school.test: request vCard of 1@school.test: no answer in time", fmt.Sprintf("get %d@school.test", maxUnderWay+1))
}

// Servers that never answer delay nobody but who asks them, and many of them
// only who asks yet another one.
func TestRequest_silentServers(t *testing.T) {
	w, m := start(t)
	for _, server := range []string{"a", "b", "c", "d", "e"} {
		for i := range 3 {
			w.request(m, fmt.Sprintf("%d@%s.test", i, server))
		}
	}
	w.request(m, "bob@school.test")
	w.happened("get 0@a.test", "get 1@a.test", "get 0@b.test", "get 1@b.test", "get 0@c.test", "get 1@c.test", "get 0@d.test", "get 1@d.test",
		"get bob@school.test")
	w.ring()
	w.happened("0@a.test: request vCard of 0@a.test: no answer in time", "get 2@a.test")
	w.ring() // a has had its turn, and all others their two
	w.happened("1@a.test: request vCard of 1@a.test: no answer in time", "get 0@e.test")
	w.ring()
	w.happened("0@b.test: request vCard of 0@b.test: no answer in time", "get 2@b.test")
}

// However many of a silent server's are asked for, others have their turn.
func TestRequest_inTurn(t *testing.T) {
	w, m := start(t)
	for i := range 5 {
		for _, server := range []string{"a", "b", "c", "d"} {
			w.request(m, fmt.Sprintf("%d@%s.test", i, server))
		}
	}
	w.request(m, "0@e.test")
	w.log = nil
	var got []string
	for range 5 {
		w.ring()
		got = append(got, w.log[len(w.log)-1])
		w.log = nil
	}
	if want := []string{"get 2@a.test", "get 2@b.test", "get 2@c.test", "get 2@d.test", "get 0@e.test"}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
}

func TestRequest_boundWaiting(t *testing.T) {
	w, m := start(t)
	for i := range maxWaiting + maxUnderWay {
		m.Request(addr(t, fmt.Sprintf("%d@school.test", i)), func(*stanza.Element, error) {})
	}
	w.log = nil
	w.request(m, "bob@school.test")
	w.request(m, fmt.Sprintf("%d@school.test", maxWaiting)) // asked for already
	w.happened("bob@school.test: too many requests")
	m.Close(errors.New("gone"))
	w.happened(fmt.Sprintf("%d@school.test: gone", maxWaiting))
}

// atOnce is a session that is gone: every answer comes before Ask returns.
type atOnce struct{ asked int }

func (a *atOnce) Ask(_ *stanza.Element, done func(*stanza.Element, error)) {
	a.asked++
	done(nil, errors.New("lost"))
}

func TestRequest_answersAtOnce(t *testing.T) {
	w := &world{t: t}
	a := &atOnce{}
	m := NewManager(a, w.after, addr(t, self))
	answers := 0
	var again func(*stanza.Element, error)
	again = func(*stanza.Element, error) {
		if answers++; answers < 10_000 {
			m.Request(addr(t, fmt.Sprintf("%d@school.test", answers)), again)
		}
	}
	m.Request(addr(t, "0@school.test"), again)
	if answers != 10_000 || a.asked != 10_000 || len(m.lanes.lanes) != 0 || len(m.requests) != 0 {
		t.Errorf("%d answers, %d asked, %d servers, %d requests", answers, a.asked, len(m.lanes.lanes), len(m.requests))
	}
}

func TestClose(t *testing.T) {
	w, m := start(t)
	m.Edit(SetNickname("Ada"), w.done("under way"))
	w.answer("")
	m.Edit(SetNickname("Ada"), w.done("waiting"))
	w.request(m, "bob@school.test")
	w.log = nil
	m.Close(errors.New("gone"))
	m.Close(errors.New("twice"))
	w.happened("under way: gone", "waiting: gone", "bob@school.test: gone")
	w.ok()
	w.answer("")
	m.Edit(SetNickname("Ada"), w.done("late"))
	w.request(m, "bob@school.test")
	w.happened("late: gone", "bob@school.test: gone")
}

func TestCached(t *testing.T) {
	w, m := start(t)
	bob := addr(t, "bob@school.test")
	if _, ok := m.Cached(bob); ok {
		t.Error("cached before it was seen")
	}
	w.request(m, "bob@school.test")
	w.answer("<NICKNAME>Bob</NICKNAME><PHOTO><BINVAL>AA==</BINVAL></PHOTO>")
	got, ok := m.Cached(bob)
	if diff := cmp.Diff([]Field{{"nickname", nil, []string{"Bob"}}}, got); diff != "" || !ok {
		t.Errorf("ok %v (-want +got):\n%s", ok, diff)
	}
	m.Forget(bob)
	if _, ok := m.Cached(bob); ok {
		t.Error("cached after it was forgotten")
	}
	m.Edit(SetNickname("Ada"), nil)
	w.answer("<FN>x</FN>")
	w.ok()
	if got, _ := m.Cached(addr(t, self)); len(got) != 2 || got[1].Values[0] != "Ada" {
		t.Errorf("own vCard cached as %v", got)
	}
	m.Edit(SetNickname("Bo"), nil)
	w.answer("<FN>x</FN>")
	w.fail(stanza.InternalServerError)
	if _, ok := m.Cached(addr(t, self)); ok {
		t.Error("own vCard cached after it may have changed")
	}
}

func TestCache_limits(t *testing.T) {
	var c cache
	who := func(i int) jid.JID { return addr(t, fmt.Sprintf("%d@school.test", i)) }
	for i := range 2 * maxCached {
		c.put(who(i), nil)
		c.get(who(0))
	}
	if _, ok := c.get(who(0)); !ok || len(c.entries) != maxCached || c.order.Len() != maxCached {
		t.Errorf("%d entries; the one in use is kept: %v", len(c.entries), ok)
	}
	large := []Field{{"note", nil, []string{strings.Repeat("x", maxFieldsBytes)}}}
	for i := range 100 {
		c.put(who(i), large)
		c.put(who(i), large)
	}
	bytes := 0
	for e := c.order.Front(); e != nil; e = e.Next() {
		bytes += e.Value.(*cached).bytes
	}
	if c.bytes > maxCachedBytes || c.bytes != bytes || len(c.entries) != c.order.Len() {
		t.Errorf("%d bytes counted, %d there, %d entries, %d in order", c.bytes, bytes, len(c.entries), c.order.Len())
	}
}

// BenchmarkRequest is an address book that asks for 5,000 vCards.
func BenchmarkRequest(b *testing.B) {
	reply := parse(b, "<iq type='result'>"+example+"</iq>")
	var asked []func(*stanza.Element, error)
	asker := askFunc(func(_ *stanza.Element, done func(*stanza.Element, error)) { asked = append(asked, done) })
	var who []jid.JID
	for i := range 5000 {
		who = append(who, addr(b, fmt.Sprintf("%d@school.test", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		m := NewManager(asker, func(time.Duration, string, func()) func() { return func() {} }, addr(b, self))
		for _, j := range who {
			m.Request(j, func(*stanza.Element, error) {})
		}
		for len(asked) > 0 {
			done := asked[0]
			asked = asked[1:]
			done(reply, nil)
		}
	}
}

type askFunc func(*stanza.Element, func(*stanza.Element, error))

func (f askFunc) Ask(iq *stanza.Element, done func(*stanza.Element, error)) { f(iq, done) }
