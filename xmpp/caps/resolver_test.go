package caps

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// world stands for everybody a resolver deals with: questions wait until the
// test answers them, time passes when it says so.
type world struct {
	t       testing.TB
	r       *Resolver
	asked   []*asked
	timers  []*timer
	changes [][]string
}

type asked struct {
	to, node string
	done     func(*stanza.Element, error)
}

type timer struct {
	run     func()
	stopped bool
}

func newWorld(t testing.TB) *world {
	w := &world{t: t}
	w.r = NewResolver(Config{Asker: w, After: w.after, Changed: func(contacts []jid.JID) {
		var names []string
		for _, c := range contacts {
			names = append(names, c.String())
		}
		w.changes = append(w.changes, names)
	}})
	return w
}

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	w.asked = append(w.asked, &asked{iq.Attr("to"), iq.First().Attr("node"), done})
}

func (w *world) after(d time.Duration, _ string, f func()) func() {
	if d != patience {
		w.t.Errorf("a timer of %v", d)
	}
	timer := &timer{run: f}
	w.timers = append(w.timers, timer)
	return func() { timer.stopped = true }
}

// pass lets the patience with all questions end.
func (w *world) pass() {
	timers := w.timers
	w.timers = nil
	for _, timer := range timers {
		if !timer.stopped {
			timer.run()
		}
	}
}

// seen announces k from each contact.
func (w *world) seen(k Known, contacts ...string) {
	for _, c := range contacts {
		w.r.Seen(w.jid(c), Caps{Node: "urn:n", Hash: k.Hash, Ver: k.Ver})
	}
}

// questions gives whom the open questions are to, in order.
func (w *world) questions() []string {
	var to []string
	for _, a := range w.asked {
		to = append(to, a.to)
	}
	return to
}

// answer answers the open question to a contact; nil is a refusal.
func (w *world) answer(to string, info *disco.Info) {
	w.t.Helper()
	for i, a := range w.asked {
		if a.to != to {
			continue
		}
		w.asked = append(w.asked[:i:i], w.asked[i+1:]...)
		if info == nil {
			a.done(nil, stanza.NewError(stanza.ServiceUnavailable, ""))
		} else {
			a.done(stanza.New(stanza.NSClient, "iq", stanza.A("type", "result"), info.Element()), nil)
		}
		return
	}
	w.t.Fatalf("no question to %s, only to %v", to, w.questions())
}

func (w *world) wantQuestions(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.questions()); diff != "" {
		w.t.Errorf("questions (-want +got):\n%s", diff)
	}
}

// wantChanges takes what was announced since the last call.
func (w *world) wantChanges(want ...[]string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.changes); diff != "" {
		w.t.Errorf("changes (-want +got):\n%s", diff)
	}
	w.changes = nil
}

// wantInfo looks what is known; nil is nothing.
func (w *world) wantInfo(who string, want *disco.Info) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.r.Info(w.jid(who))); diff != "" {
		w.t.Errorf("info of %s (-want +got):\n%s", who, diff)
	}
}

// wantNothingLeft looks whether anything stays of who is gone.
func (w *world) wantNothingLeft() {
	w.t.Helper()
	r := w.r
	if len(r.contacts)+len(r.versions)+r.queue.Len()+r.underWay+len(r.perPerson)+r.unshared != 0 {
		w.t.Errorf("left: %d contacts, %d versions, %d in the queue, %d under way, %d persons, %d bytes",
			len(r.contacts), len(r.versions), r.queue.Len(), r.underWay, len(r.perPerson), r.unshared)
	}
}

func (w *world) jid(s string) jid.JID {
	w.t.Helper()
	j, err := jid.ParseLenient(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return j
}

func TestResolver_oneQuestionPerHash(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar", "urn:x")
	var all []string
	for i := range 5000 {
		all = append(all, fmt.Sprintf("child%d@school.test/sugar", i))
	}
	w.seen(k, all...)
	w.wantQuestions(all[0])
	if w.asked[0].node != "urn:n#"+k.Ver {
		t.Errorf("asked for node %s", w.asked[0].node)
	}
	w.wantChanges()
	w.answer(all[0], k.Info)
	w.wantQuestions()
	w.wantChanges(all)
	w.wantInfo(all[4999], k.Info)
	if !w.r.Seen(w.jid("late@school.test/sugar"), Caps{Node: "other", Hash: k.Hash, Ver: k.Ver}) {
		t.Error("a known hash is not known at once")
	}
	w.wantInfo("late@school.test/sugar", k.Info)
	w.wantQuestions()
	w.wantChanges()
	if w.r.Seen(w.jid(all[1]), Caps{Node: "urn:n", Hash: k.Hash, Ver: k.Ver}) {
		t.Error("the same presence once more is a change")
	}
}

func TestResolver_nextHolderWhenOneFails(t *testing.T) {
	k := kind(t, "Sugar", "urn:x")
	for _, c := range []struct {
		name string
		fail func(w *world)
	}{
		{"no answer", func(w *world) { w.pass(); w.asked = w.asked[1:] }},
		{"refused", func(w *world) { w.answer("a@s/1", nil) }},
		{"payload missing", func(w *world) {
			w.asked[0].done(stanza.New(stanza.NSClient, "iq", stanza.A("type", "result")), nil)
			w.asked = w.asked[1:]
		}},
		{"gone", func(w *world) { w.r.Forget(w.jid("a@s/1")); w.answer("a@s/1", nil) }},
		{"changed", func(w *world) { w.seen(k, "a@s/1"); w.answer("a@s/1", nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.seen(k, "a@s/1", "b@s/1", "c@s/1")
			w.wantQuestions("a@s/1")
			c.fail(w)
			w.wantQuestions("b@s/1", "c@s/1") // one more at a time than before
			w.answer("c@s/1", k.Info)
			w.wantInfo("b@s/1", k.Info)
			if len(w.changes) != 1 {
				t.Errorf("changes %v", w.changes)
			}
			w.answer("b@s/1", k.Info)
			if len(w.changes) != 1 {
				t.Errorf("the second answer changes something: %v", w.changes)
			}
			w.pass()
			w.wantQuestions()
		})
	}
}

func TestResolver_lateAnswerCounts(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar")
	w.seen(k, "a@s/1")
	w.pass()
	w.wantInfo("a@s/1", nil)
	w.r.Forget(w.jid("a@s/1"))
	w.wantNothingLeft()
	w.answer("a@s/1", k.Info)
	w.wantChanges()
	w.seen(k, "b@s/1")
	w.wantQuestions()
	w.wantInfo("b@s/1", k.Info)
}

func TestResolver_lieHoldsForTheLiar(t *testing.T) {
	w := newWorld(t)
	k, lie := kind(t, "Sugar", "urn:x"), kind(t, "Sugar", "urn:lie")
	w.seen(k, "liar@s/1", "b@s/1", "c@s/1")
	w.answer("liar@s/1", lie.Info)
	w.wantChanges([]string{"liar@s/1"})
	w.wantInfo("liar@s/1", lie.Info)
	w.wantInfo("b@s/1", nil)
	if w.r.Unsaved() || len(w.r.Snapshot()) != 0 {
		t.Error("the lie is remembered")
	}
	w.answer("b@s/1", k.Info)
	w.wantChanges([]string{"liar@s/1", "b@s/1", "c@s/1"})
	w.wantInfo("liar@s/1", k.Info)
	if !w.r.Unsaved() || len(w.r.Snapshot()) != 1 || w.r.Unsaved() {
		t.Error("the truth is not remembered once")
	}
	w.answer("c@s/1", lie.Info)
	w.wantChanges()
	for _, who := range []string{"liar@s/1", "b@s/1", "c@s/1"} {
		w.r.Forget(w.jid(who))
	}
	w.wantNothingLeft()
}

func TestResolver_nobodyTellsTheTruth(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar", "urn:x")
	lies := map[string]*disco.Info{}
	var all []string
	for i := range 50 {
		who := fmt.Sprintf("c%d@s/1", i)
		all = append(all, who)
		lies[who] = kind(t, "Sugar", fmt.Sprint(i)).Info
	}
	w.seen(k, all...)
	for len(w.asked) > 0 {
		if len(w.asked) > maxPerVersion {
			t.Fatalf("%d questions about one hash", len(w.asked))
		}
		w.answer(w.asked[0].to, lies[w.asked[0].to])
	}
	for _, who := range all {
		w.wantInfo(who, lies[who])
	}
	w.seen(k, all...)
	w.wantQuestions()
}

func TestResolver_withoutUsableHash(t *testing.T) {
	old := disco.Info{Features: []string{"urn:old"}}
	for _, c := range []struct {
		name string
		caps Caps
		node string
	}{
		{"old form", Caps{Node: "n", Ver: "0.9", Ext: "a"}, ""},
		{"unknown function", Caps{Node: "n", Ver: "v", Hash: "sha-9"}, "n#v"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			for _, who := range []string{"a@s/1", "b@s/1"} {
				w.r.Seen(w.jid(who), c.caps)
				w.r.Seen(w.jid(who), c.caps)
			}
			w.wantQuestions("a@s/1", "b@s/1")
			if w.asked[0].node != c.node {
				t.Errorf("asked for node %q, want %q", w.asked[0].node, c.node)
			}
			w.answer("a@s/1", &old)
			w.wantChanges([]string{"a@s/1"})
			w.wantInfo("a@s/1", &old)
			w.wantInfo("b@s/1", nil)
			if len(w.r.Snapshot()) != 0 {
				t.Error("remembered without a hash")
			}
			w.answer("b@s/1", nil)
			w.wantQuestions()
			newer := c.caps
			newer.Ver = "1.0"
			w.r.Seen(w.jid("a@s/1"), newer)
			w.wantQuestions("a@s/1")
			w.wantInfo("a@s/1", &old) // until the new is known
			w.r.Forget(w.jid("a@s/1"))
			w.r.Forget(w.jid("b@s/1"))
			w.pass()
			w.wantNothingLeft()
		})
	}
}

func TestResolver_changeWhileAsked(t *testing.T) {
	w := newWorld(t)
	k1, k2 := kind(t, "1"), kind(t, "2")
	w.seen(k1, "a@s/1")
	w.seen(k2, "a@s/1")
	w.wantQuestions("a@s/1", "a@s/1")
	w.answer("a@s/1", k1.Info)
	w.wantChanges()
	w.wantInfo("a@s/1", nil)
	w.answer("a@s/1", k2.Info)
	w.wantChanges([]string{"a@s/1"})
	w.wantInfo("a@s/1", k2.Info)
	if !w.r.Seen(w.jid("a@s/1"), Caps{Node: "urn:n", Hash: k1.Hash, Ver: k1.Ver}) {
		t.Error("the first hash is not known")
	}
	w.wantInfo("a@s/1", k1.Info)
}

func TestResolver_boundedQuestions(t *testing.T) {
	w := newWorld(t)
	for i := range 100 {
		w.seen(kind(t, fmt.Sprint("flood", i)), fmt.Sprintf("hog@s/%d", i))
	}
	if len(w.asked) != maxPerPerson {
		t.Errorf("%d questions to one person", len(w.asked))
	}
	infos := map[string]*disco.Info{}
	for i := range 100 {
		k, who := kind(t, fmt.Sprint(i)), fmt.Sprintf("c%d@s/1", i)
		infos[who] = k.Info
		w.seen(k, who)
	}
	most := 0
	for len(infos) > 0 {
		most = max(most, len(w.asked))
		var next string
		for _, to := range w.questions() {
			if infos[to] != nil {
				next = to
				break
			}
		}
		if next == "" {
			t.Fatalf("%d are never asked, only %v", len(infos), w.questions())
		}
		w.answer(next, infos[next])
		delete(infos, next)
	}
	if most != maxUnderWay {
		t.Errorf("%d questions at a time", most)
	}
	for range 60 {
		w.pass() // the hog does not answer
	}
	if got := w.r.queue.Len(); got != 0 {
		t.Errorf("%d hashes of the hog are never asked for", got)
	}
}

// TestResolver_flipping has a contact who announces something else all the
// time.
func TestResolver_flipping(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar")
	w.seen(k, "good@s/1")
	for i := range 2000 {
		w.seen(Known{Hash: "sha-1", Ver: fmt.Sprint(i)}, "bad@s/1")
		w.seen(k, "bad@s/1")
	}
	if len(w.r.versions) > 1+maxPerPerson || len(w.r.versions[key{caps: Caps{Hash: k.Hash, Ver: k.Ver}}].holders) != 2 || w.r.queue.Len() > 1 {
		t.Errorf("%d versions, %d in the queue", len(w.r.versions), w.r.queue.Len())
	}
	w.answer("good@s/1", k.Info)
	w.wantChanges([]string{"good@s/1", "bad@s/1"})
}

func TestResolver_tooMuchUnshared(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar")
	const n = 200
	for i := range n {
		who := fmt.Sprintf("c%d@s/1", i)
		w.seen(k, who)
		w.answer(who, kind(t, "Sugar", strings.Repeat("f", 50_000)).Info)
	}
	known := 0
	for i := range n {
		who := w.jid(fmt.Sprintf("c%d@s/1", i))
		if w.r.Info(who) != nil {
			known++
		}
		w.r.Forget(who)
	}
	if known < 50 || known > maxUnsharedBytes/50_000 {
		t.Errorf("%d infos kept", known)
	}
	w.wantNothingLeft()
}

func TestResolver_tooManyContacts(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar")
	w.r.Learn(Caps{Hash: k.Hash, Ver: k.Ver}, k.Info)
	for i := range maxContacts + 10 {
		w.seen(k, fmt.Sprintf("c@s/%d", i))
	}
	if len(w.r.contacts) != maxContacts {
		t.Errorf("%d contacts", len(w.r.contacts))
	}
}

func TestResolver_Restore(t *testing.T) {
	w := newWorld(t)
	a, b, c := kind(t, "a"), kind(t, "b"), kind(t, "c")
	w.seen(a, "1@s/a", "2@s/a")
	w.seen(b, "3@s/b")
	w.seen(c, "4@s/c")
	w.r.Restore([]Known{a, b})
	w.wantChanges([]string{"3@s/b", "1@s/a", "2@s/a"})
	w.wantInfo("2@s/a", a.Info)
	w.wantInfo("4@s/c", nil)
	if w.r.Unsaved() {
		t.Error("what was restored is unsaved")
	}
	if diff := cmp.Diff([]Known{a, b}, w.r.Snapshot()); diff != "" {
		t.Errorf("snapshot (-want +got):\n%s", diff)
	}
	w.answer("1@s/a", a.Info)
	w.wantChanges()
}

func TestResolver_closed(t *testing.T) {
	w := newWorld(t)
	k := kind(t, "Sugar")
	w.seen(k, "a@s/1", "b@s/1")
	w.r.Close()
	w.answer("a@s/1", k.Info)
	w.pass()
	w.seen(k, "c@s/1")
	w.wantQuestions()
	w.wantChanges()
}

// lost fails every question at once, as a session does that is no more.
type lost struct{ questions int }

func (l *lost) Ask(_ *stanza.Element, done func(*stanza.Element, error)) {
	l.questions++
	done(nil, errors.New("lost"))
}

func TestResolver_answersAtOnce(t *testing.T) {
	l := &lost{}
	r := NewResolver(Config{Asker: l, After: func(time.Duration, string, func()) func() { return func() {} }, Changed: func([]jid.JID) { t.Error("changed") }})
	w := &world{t: t, r: r}
	for i := range 300 {
		w.seen(Known{Hash: "sha-1", Ver: fmt.Sprint(i)}, fmt.Sprintf("a@s/%d", i))
	}
	if l.questions != 300 || r.queue.Len() != 0 {
		t.Errorf("%d questions, %d in the queue", l.questions, r.queue.Len())
	}
}

// BenchmarkResolver measures what 5,000 contacts coming online with one hash
// cost, from the announcements to the one answer.
func BenchmarkResolver(b *testing.B) {
	k := kind(b, "Sugar", "urn:a", "urn:b", "urn:c")
	c := Caps{Node: "urn:n", Hash: k.Hash, Ver: k.Ver}
	answer := stanza.New(stanza.NSClient, "iq", stanza.A("type", "result"), k.Info.Element())
	w := &world{t: b}
	var contacts []jid.JID
	for i := range 5000 {
		contacts = append(contacts, w.jid(fmt.Sprintf("7f3ec0ffee%030d@schoolserver.test/sugar", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		var done func(*stanza.Element, error)
		changed := 0
		r := NewResolver(Config{
			Asker:   askerFunc(func(_ *stanza.Element, f func(*stanza.Element, error)) { done = f }),
			After:   func(time.Duration, string, func()) func() { return func() {} },
			Changed: func(contacts []jid.JID) { changed += len(contacts) },
		})
		for _, who := range contacts {
			r.Seen(who, c)
		}
		done(answer, nil)
		if changed != len(contacts) {
			b.Fatalf("%d changed", changed)
		}
	}
}

// BenchmarkResolver_again measures the presence of a contact that says what is
// known.
func BenchmarkResolver_again(b *testing.B) {
	w := newWorld(b)
	k := kind(b, "Sugar")
	who, c := w.jid("a@s/1"), Caps{Node: "urn:n", Hash: k.Hash, Ver: k.Ver}
	w.r.Seen(who, c)
	b.ReportAllocs()
	for b.Loop() {
		w.r.Seen(who, c)
	}
}

type askerFunc func(*stanza.Element, func(*stanza.Element, error))

func (f askerFunc) Ask(iq *stanza.Element, done func(*stanza.Element, error)) { f(iq, done) }
