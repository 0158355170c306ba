package muc

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// coven is the room of XEP-0045's examples, hag66 is who enters it there.
const (
	coven = "coven@chat.shakespeare.lit"
	hag66 = "hag66@shakespeare.lit/pda"
)

// world is the server of one room and the listener of its events.
type world struct {
	t      testing.TB
	r      *Room
	sent   []*stanza.Element
	asked  []*stanza.Element
	open   []func(*stanza.Element, error)
	timers map[string]func()
	log    []string
	mirror map[string]Occupant // the occupants as events tell them
	on     map[string]func()   // called within the event of this name
	over   bool
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, timers: make(map[string]func()), on: make(map[string]func())}
	w.r = New(Config{Host: w, After: w.after, Self: addr(t, hag66), Room: addr(t, coven), Events: w.events()})
	return w
}

func (w *world) Send(e *stanza.Element) { w.sent = append(w.sent, e) }

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	w.asked, w.open = append(w.asked, iq), append(w.open, done)
}

func (w *world) after(d time.Duration, label string, f func()) func() {
	if w.timers[label] != nil {
		w.t.Errorf("two timers %q", label)
	}
	w.timers[label] = f
	return func() { delete(w.timers, label) }
}

// fire lets a timer run out.
func (w *world) fire(label string) {
	w.t.Helper()
	f := w.timers[label]
	if f == nil {
		w.t.Fatalf("no timer %q, but %v", label, slices.Collect(maps.Keys(w.timers)))
	}
	delete(w.timers, label)
	f()
}

// said logs an event.
func (w *world) said(event, format string, a ...any) {
	if w.over {
		w.t.Errorf("%s after the end", event)
	}
	w.log = append(w.log, strings.TrimSpace(event+" "+fmt.Sprintf(format, a...)))
	if f := w.on[event]; f != nil {
		f()
	}
}

func (w *world) events() Events {
	return Events{
		Joined: func(a Arrival) {
			w.mirror = make(map[string]Occupant)
			var nicks []string
			for _, o := range a.Occupants {
				w.mirror[o.Nick] = o
				nicks = append(nicks, o.Nick)
			}
			text := strings.Join(nicks, ",")
			if a.Created {
				text += " created"
			}
			if a.SettingsErr != nil {
				text += " (" + a.SettingsErr.Error() + ")"
			}
			w.said("joined", "%s", text)
		},
		Rejoined: func() { w.said("rejoined", "") },
		Entered: func(o Occupant) {
			if _, known := w.mirror[o.Nick]; known {
				w.t.Errorf("%q entered twice", o.Nick)
			}
			w.mirror[o.Nick] = o
			w.said("entered", "%s", describe(o))
		},
		Left: func(o Occupant, d Departure) {
			w.forget(o.Nick)
			w.said("left", "%s %s", o.Nick, describeDeparture(d))
		},
		Renamed: func(old string, o Occupant) {
			w.forget(old)
			w.mirror[o.Nick] = o
			w.said("renamed", "%s %s", old, o.Nick)
		},
		Changed:      func(old, new Occupant) { w.changed("changed", old, new) },
		SelfChanged:  func(old, new Occupant) { w.changed("self", old, new) },
		Subject:      func(s Subject) { w.said("subject", "%q %s", s.Text, s.Nick) },
		Message:      func(m Message) { w.said("message", "%s %s %q own=%v", m.Type, m.Nick, m.Body, m.Own) },
		Failed:       func(id, nick string, err *stanza.Error) { w.said("failed", "%s %s %v", id, nick, err) },
		Declined:     func(d Decline) { w.said("declined", "%s %q", d.From, d.Reason) },
		Reconfigured: func() { w.said("reconfigured", "") },
		Ended: func(e Ending) {
			text := describeDeparture(e.Departure)
			if e.Err != nil {
				text += " (" + e.Err.Error() + ")"
			}
			if !e.Venue.IsZero() {
				text += " to " + e.Venue.String() + " " + e.Password
			}
			w.said("ended", "%s", text)
			w.over = true
			if len(w.timers) != 0 {
				w.t.Errorf("timers left behind: %v", slices.Collect(maps.Keys(w.timers)))
			}
		},
	}
}

func (w *world) changed(event string, old, new Occupant) {
	if diff := cmp.Diff(w.mirror[new.Nick], old, byValue); diff != "" {
		w.t.Errorf("%s from what was not known (-known +told):\n%s", event, diff)
	}
	w.mirror[new.Nick] = new
	w.said(event, "%s", describe(new))
}

func (w *world) forget(nick string) {
	if _, known := w.mirror[nick]; !known {
		w.t.Errorf("%q is gone who was not there", nick)
	}
	delete(w.mirror, nick)
}

var (
	affiliationNames = [...]string{"none", "outcast", "member", "admin", "owner"}
	roleNames        = [...]string{"none", "visitor", "participant", "moderator"}
	causeNames       = [...]string{"parted", "kicked", "banned", "not affiliated", "members only", "disconnected", "shutdown", "destroyed", "refused", "timed out", "nicknames taken"}
)

func describe(o Occupant) string {
	return strings.TrimSpace(fmt.Sprintf("%s %s %s %s", o.Nick, affiliationNames[o.Affiliation], roleNames[o.Role], o.Real))
}

func describeDeparture(d Departure) string {
	s := causeNames[d.Cause]
	if d.Actor != (Actor{}) {
		s += fmt.Sprintf(" by %s<%s>", d.Actor.Nick, d.Actor.JID)
	}
	if d.Reason != "" {
		s += fmt.Sprintf(" %q", d.Reason)
	}
	if d.Message != "" {
		s += fmt.Sprintf(" saying %q", d.Message)
	}
	return s
}

// want takes what was told since the last call.
func (w *world) want(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.log); diff != "" && len(want)+len(w.log) > 0 {
		w.t.Errorf("events (-want +got):\n%s", diff)
	}
	w.log = nil
	w.checkMirror()
}

// checkMirror compares the occupants as told with those on the books.
func (w *world) checkMirror() {
	w.t.Helper()
	if !w.r.telling() {
		return
	}
	got := make(map[string]Occupant)
	for _, o := range w.r.Occupants() {
		got[o.Nick] = o
	}
	if diff := cmp.Diff(w.mirror, got, byValue); diff != "" {
		w.t.Errorf("occupants (-told +known):\n%s", diff)
	}
}

// wantSent takes what was sent since the last call.
func (w *world) wantSent(want ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.sent {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		w.t.Errorf("sent (-want +got):\n%s", diff)
	}
	w.sent = nil
}

// wantAsked takes the questions asked since the last call.
func (w *world) wantAsked(want ...string) {
	w.t.Helper()
	var got []string
	for _, e := range w.asked {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(want, got); diff != "" && len(want)+len(got) > 0 {
		w.t.Errorf("asked (-want +got):\n%s", diff)
	}
	w.asked = nil
}

// answer answers the oldest open question with a payload.
func (w *world) answer(payload string) {
	w.t.Helper()
	w.reply(parse(w.t, `<iq type='result'>`+payload+`</iq>`), nil)
}

// refuse answers the oldest open question with an error.
func (w *world) refuse(c stanza.Condition) {
	w.t.Helper()
	w.reply(nil, stanza.NewError(c, ""))
}

var errSilence = errors.New("no answer in time")

func (w *world) reply(e *stanza.Element, err error) {
	w.t.Helper()
	if len(w.open) == 0 {
		w.t.Fatal("nothing asked")
	}
	done := w.open[0]
	w.open = w.open[1:]
	done(e, err)
}

// get receives stanzas from the server.
func (w *world) get(stanzas ...string) {
	w.t.Helper()
	for _, s := range stanzas {
		if !w.receive(parse(w.t, s)) {
			w.t.Errorf("not taken: %s", s)
		}
	}
}

func (w *world) receive(e *stanza.Element) bool {
	if e.Is(stanza.NSClient, "message") {
		return w.r.HandleMessage(e)
	}
	return w.r.HandlePresence(e)
}

// presence is that of an occupant, as the server sends it; x is what the room
// adds.
func presence(nick, x string) string {
	return `<presence from='` + coven + `/` + nick + `' to='` + hag66 + `'><x xmlns='http://jabber.org/protocol/muc#user'>` + x + `</x></presence>`
}

func unavailable(nick, x string) string {
	return strings.Replace(presence(nick, x), "<presence ", "<presence type='unavailable' ", 1)
}

func refusal(nick, id, condition string) string {
	if nick != "" {
		nick = "/" + nick
	}
	return `<presence type='error' from='` + coven + nick + `' id='` + id + `'><error type='cancel'><` + condition + ` xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>`
}

const (
	member_  = `<item affiliation='member' role='participant'/>`
	owner_   = `<item affiliation='owner' role='moderator'/>`
	selfCode = `<status code='110'/>`
)

// join enters as thirdwitch.
func (w *world) join(e Entry) {
	w.t.Helper()
	if e.Nick == "" {
		e.Nick = "thirdwitch"
	}
	if e.Presence == nil {
		e.Presence = func() *stanza.Element { return stanza.New(stanza.NSClient, "presence") }
	}
	w.r.Join(e)
}

// enter is join, and what the server of XEP-0045's examples 21 to 24 answers.
func (w *world) enter(e Entry) {
	w.t.Helper()
	w.join(e)
	w.get(presence("firstwitch", owner_), presence("secondwitch", `<item affiliation='admin' role='moderator'/>`), presence("thirdwitch", member_+selfCode))
	w.want("joined firstwitch,secondwitch,thirdwitch")
	w.sent = nil
}

var byValue = cmp.AllowUnexported(jid.JID{})

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)
