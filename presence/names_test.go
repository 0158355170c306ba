package presence

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// namesHost is a Connection of ada@school.test whose server is the test.
type namesHost struct {
	t       *testing.T
	handles handle.Set
	noPEP   bool
	told    []string // signals
	sent    []*stanza.Element
	asked   []*namesQuestion
	timers  []namesTimer
	log     *logrus.Entry
}

type namesQuestion struct {
	iq     *stanza.Element
	answer func(*stanza.Element, error)
}

type namesTimer struct {
	d     time.Duration
	label string
	f     func()
}

var _ Host = (*namesHost)(nil)

func (h *namesHost) Emit(s tp.Signal, args ...any) {
	if s.Interface != tp.InterfaceConnectionContactList.Name && s.Interface != tp.InterfaceConnectionSimplePresence.Name {
		h.told = append(h.told, strings.TrimSuffix(fmt.Sprintln(append([]any{s.Name}, args...)...), "\n"))
	}
}
func (h *namesHost) Send(e *stanza.Element) { h.sent = append(h.sent, e) }
func (h *namesHost) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	h.asked = append(h.asked, &namesQuestion{iq, answer})
}
func (h *namesHost) After(d time.Duration, label string, f func()) *loop.Timer {
	h.timers = append(h.timers, namesTimer{d, label, f})
	return nil
}
func (h *namesHost) FlushSoon(f func())   { f() }
func (h *namesHost) AfterOutput(f func()) { f() }
func (h *namesHost) Log() *logrus.Entry   { return h.log }
func (h *namesHost) IsConnected() bool    { return true }
func (h *namesHost) HasPEP() bool         { return !h.noPEP }
func (h *namesHost) Handles() *handle.Set { return &h.handles }
func (h *namesHost) SelfHandle() uint32   { return 1 }
func (h *namesHost) Self() jid.JID        { return namesJID("ada@school.test/sugar") }
func (h *namesHost) Priority() int8       { return 0 }

func namesJID(s string) jid.JID {
	j, err := jid.Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// namesRig holds all that the tests need, with an empty roster.
type namesRig struct {
	*namesHost
	people   *People
	events   *PersonalEvents
	cards    *VCards
	list     *ContactList
	presence *SimplePresence
	aliasing *Aliasing
}

func newNamesRig(t *testing.T, items ...string) *namesRig {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	r := &namesRig{namesHost: &namesHost{t: t, log: logrus.NewEntry(log)}}
	r.handles.Contacts.Ensure(r.Self().Bare())
	r.people = NewPeople(r)
	r.events = NewPersonalEvents(r)
	r.cards = NewVCards(r, r.Self().Bare())
	r.presence = NewSimplePresence(r, r.people)
	r.list = NewContactList(r, r.people, r.Self(), "", nil)
	r.aliasing = NewAliasing(r, r.people, r.events, r.cards, r.list)
	r.list.Connected(false)
	r.answer("jabber:iq:roster", "<query xmlns='jabber:iq:roster'>"+strings.Join(items, "")+"</query>")
	return r
}

func namesItem(who, name string) string {
	return "<item jid='" + who + "' name='" + name + "' subscription='both'><group>Online</group></item>"
}

func (r *namesRig) contact(who string) uint32 { return r.handles.Contacts.Ensure(namesJID(who)) }

// next takes the first question whose XML holds all of what.
func (r *namesRig) next(what ...string) *namesQuestion {
	r.t.Helper()
	for i, q := range r.asked {
		if !slices.ContainsFunc(what, func(w string) bool { return !strings.Contains(q.iq.String(), w) }) {
			r.asked = slices.Delete(r.asked, i, i+1)
			return q
		}
	}
	r.t.Fatalf("nobody asks for %q, only %s", what, r.questions())
	return nil
}

func (r *namesRig) questions() string {
	var all []string
	for _, q := range r.asked {
		all = append(all, q.iq.String())
	}
	return strings.Join(all, "\n")
}

// answer gives the result to the first question that holds what.
func (r *namesRig) answer(what, payload string) {
	r.t.Helper()
	q := r.next(what)
	q.answer(namesParse(r.t, "<iq type='result'>"+payload+"</iq>"), nil)
}

// refuse answers the first question that holds what with an error.
func (r *namesRig) refuse(what string, c stanza.Condition) {
	r.t.Helper()
	r.next(what).answer(nil, stanza.NewError(c, ""))
}

func namesParse(t *testing.T, xml string) *stanza.Element {
	t.Helper()
	e, err := stanza.Parse(xml)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// fire ends the waits with the label.
func (r *namesRig) fire(label string) {
	timers := r.timers
	r.timers = nil
	for _, timer := range timers {
		if timer.label == label {
			timer.f()
		}
	}
}

func (r *namesRig) appear(who string) {
	r.people.HandlePresence(namesParse(r.t, "<presence from='"+who+"/sugar'/>"))
}

func (r *namesRig) leave(who string) {
	r.people.HandlePresence(namesParse(r.t, "<presence type='unavailable' from='"+who+"/sugar'/>"))
}

func (r *namesRig) nickEvent(who, nick string) {
	r.events.HandleMessage(namesParse(r.t, "<message from='"+who+"'><event xmlns='"+pep.NSEvent+"'><items node='"+pep.NodeNick+
		"'><item><nick xmlns='"+pep.NodeNick+"'>"+nick+"</nick></item></items></event></message>"))
}

func (r *namesRig) push(items ...string) {
	r.list.HandlePush(namesParse(r.t, "<iq type='set' id='p'><query xmlns='jabber:iq:roster'>"+strings.Join(items, "")+"</query></iq>"))
}

func namesNick(nick string) string {
	return "<pubsub xmlns='" + pep.NS + "'><items node='" + pep.NodeNick + "'><item><nick xmlns='" + pep.NodeNick + "'>" + nick + "</nick></item></items></pubsub>"
}

// heard compares the signals since the last call.
func (r *namesRig) heard(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.told); diff != "" && len(want)+len(r.told) > 0 {
		r.t.Errorf("signals (-want +got):\n%s", diff)
	}
	r.told = nil
}

func (r *namesRig) called(contact uint32, want string) {
	r.t.Helper()
	if got := r.aliasing.Attributes(contact)[tp.ContactAttributeConnectionAliasingAlias]; got != want {
		r.t.Errorf("contact %d is called %q, want %q", contact, got, want)
	}
}

// unasked fails when somebody was asked something.
func (r *namesRig) unasked() {
	r.t.Helper()
	if len(r.asked) > 0 {
		r.t.Errorf("asked: %s", r.questions())
	}
	r.asked = nil
}
