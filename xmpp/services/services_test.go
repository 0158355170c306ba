package services

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// world is the server of one search.
type world struct {
	t     testing.TB
	s     *Search
	asked []string // "items school.test"
	open  map[string]func(*stanza.Element, error)
	timer func()
	log   []string // what waiters were told
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, open: make(map[string]func(*stanza.Element, error))}
	w.s = New(Config{Asker: w, After: w.after, Server: addr(t, "school.test")})
	return w
}

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	_, what, _ := strings.Cut(iq.First().Space(), "#")
	question := what + " " + iq.Attr("to")
	if w.open[question] != nil {
		w.t.Errorf("asked twice: %s", question)
	}
	w.asked, w.open[question] = append(w.asked, question), done
}

func (w *world) after(d time.Duration, label string, f func()) func() {
	if d != patience || w.timer != nil {
		w.t.Errorf("timer %q of %v", label, d)
	}
	w.timer = f
	return func() { w.timer = nil }
}

// answer answers a question; without a payload it is refused.
func (w *world) answer(question, payload string) {
	w.t.Helper()
	done := w.open[question]
	if done == nil {
		w.t.Fatalf("not asked: %s; but %v", question, w.asked)
	}
	delete(w.open, question)
	if payload == "" {
		done(nil, stanza.NewError(stanza.ServiceUnavailable, ""))
		return
	}
	what, _, _ := strings.Cut(question, " ")
	e, err := stanza.Parse(`<iq type='result'><query xmlns='http://jabber.org/protocol/disco#` + what + `'>` + payload + `</query></iq>`)
	if err != nil {
		w.t.Fatal(err)
	}
	done(e, nil)
}

// items answers what the server has.
func (w *world) items(names ...string) {
	w.t.Helper()
	payload := "<other/>"
	for _, n := range names {
		payload += `<item jid='` + n + `'/>`
	}
	w.answer("items school.test", payload)
}

func (w *world) first(name string, k Kind) {
	w.s.First(k, func(found Service, ok bool) { w.log = append(w.log, fmt.Sprintf("%s: %s %v", name, found.JID, ok)) })
}

func (w *world) want(want ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, want) {
		w.t.Errorf("told %q, want %q", w.log, want)
	}
	w.log = nil
}

// Services as they describe themselves: ejabberd's as in the golden traces, its
// IRC gateway as its documentation has it.
const (
	rooms = `<identity type='text' category='conference'/><feature var='http://jabber.org/protocol/muc'/>`
	irc   = `<identity type='irc' category='conference'/><feature var='http://jabber.org/protocol/muc'/>`
	talk  = `<identity type='text' category='conference'/><feature var='gc-1.0'/>`
	relay = `<identity type='bytestreams' category='proxy'/><feature var='http://jabber.org/protocol/bytestreams'/>`
)

func TestSearch_takesTheFirstThatAnswersAndFits(t *testing.T) {
	w := newWorld(t)
	w.first("a", Conference)
	w.first("b", Relay)
	w.items("irc.school.test", "old.school.test", "conference.school.test", "proxy.school.test", "late.school.test")
	w.answer("info irc.school.test", irc)
	w.answer("info old.school.test", talk)
	w.want()
	w.answer("info late.school.test", rooms)
	w.want("a: late.school.test true")
	w.first("c", Conference)
	w.want("c: late.school.test true")
	w.answer("info conference.school.test", rooms)
	w.first("d", Conference)
	w.want("d: late.school.test true")
	w.answer("info proxy.school.test", "")
	w.want("b:  false")
	w.first("e", Relay)
	w.want("e:  false")
	if w.timer != nil {
		t.Error("timer left behind")
	}
	var all []string
	for f := range w.s.All(Conference) {
		all = append(all, f.JID.String())
	}
	if want := []string{"late.school.test", "conference.school.test"}; !slices.Equal(all, want) {
		t.Errorf("all are %v, want %v", all, want)
	}
}

func TestSearch_again(t *testing.T) {
	w := newWorld(t)
	w.s.Again() // before the first
	w.first("a", Relay)
	w.s.Again() // in the midst of it
	w.items("conference.school.test", "proxy.school.test")
	w.answer("info conference.school.test", rooms)
	w.answer("info proxy.school.test", "")
	w.s.Again()
	w.first("b", Conference)
	w.want("a:  false", "b: conference.school.test true")
	w.first("c", Relay)
	w.items("conference.school.test", "proxy.school.test", "new.school.test")
	w.answer("info new.school.test", irc)
	w.answer("info proxy.school.test", relay)
	w.want("c: proxy.school.test true")
	if want := []string{"items school.test", "info conference.school.test", "info proxy.school.test", "items school.test", "info proxy.school.test", "info new.school.test"}; !slices.Equal(w.asked, want) {
		t.Errorf("asked %v, want %v", w.asked, want)
	}
}

func TestSearch_asksOnce(t *testing.T) {
	w := newWorld(t)
	w.s.Start()
	w.s.Start()
	w.first("a", Relay)
	w.items("proxy.school.test", "proxy.school.test")
	w.s.Start()
	w.answer("info proxy.school.test", relay)
	w.first("b", Relay)
	w.want("a: proxy.school.test true", "b: proxy.school.test true")
	if want := []string{"items school.test", "info proxy.school.test"}; !slices.Equal(w.asked, want) {
		t.Errorf("asked %v, want %v", w.asked, want)
	}
}

func TestSearch_nothingThere(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(w *world)
	}{
		{"refused", func(w *world) { w.answer("items school.test", "") }},
		{"no items", func(w *world) { w.items() }},
		{"nodes only", func(w *world) { w.answer("items school.test", `<item jid='school.test' node='config'/>`) }},
		{"silence", func(w *world) { w.timer() }},
		{"silence of a service", func(w *world) { w.items("a.school.test"); w.timer() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.first("a", Conference)
			w.want()
			c.answer(w)
			w.want("a:  false")
			w.first("b", Conference)
			w.want("b:  false")
		})
	}
}

func TestSearch_late(t *testing.T) {
	w := newWorld(t)
	w.first("a", Conference)
	w.items("a.school.test", "b.school.test")
	w.answer("info a.school.test", relay)
	w.timer()
	w.answer("info b.school.test", rooms)
	w.first("b", Conference)
	w.first("c", Relay)
	w.want("a:  false", "b:  false", "c: a.school.test true")

	w = newWorld(t)
	w.first("a", Conference)
	w.timer()
	w.items("a.school.test")
	if len(w.asked) != 1 {
		t.Errorf("asked %v after the end", w.asked)
	}
}

func TestSearch_limits(t *testing.T) {
	w := newWorld(t)
	w.s.Start()
	var names []string
	for i := range maxItems + 5 {
		names = append(names, fmt.Sprintf("%d.school.test", i))
	}
	w.items(names...)
	if len(w.asked) != 1+maxItems {
		t.Errorf("asked %d questions", len(w.asked))
	}
}

// The callbacks of some who wait ask again for others.
func TestSearch_askedInCallback(t *testing.T) {
	w := newWorld(t)
	w.s.First(Conference, func(Service, bool) { w.first("a", Relay); w.first("b", Conference) })
	w.items("conference.school.test", "proxy.school.test")
	w.answer("info conference.school.test", rooms)
	w.want("b: conference.school.test true")
	w.answer("info proxy.school.test", relay)
	w.want("a: proxy.school.test true")
}

var addr = xmpptest.JID
