package roster

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

var byValue = cmp.AllowUnexported(jid.JID{})

// world is the server and the listener of one roster.
type world struct {
	t       testing.TB
	r       *Roster
	asked   []*stanza.Element
	done    []func(*stanza.Element, error)
	changes [][]Change
}

func newWorld(t testing.TB) *world {
	w := &world{t: t}
	w.r = New(Config{Asker: w, Self: addr(t, "juliet@example.com/balcony"), Changed: func(c []Change) { w.changes = append(w.changes, c) }})
	return w
}

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	w.asked, w.done = append(w.asked, iq), append(w.done, done)
}

// fetch starts a fetch; what it came to is in the result after the answer.
func (w *world) fetch(cached *Cached) (result *string) {
	result = new(string)
	w.r.Fetch(cached, func(err error) { *result += fmt.Sprint(err) })
	return result
}

// answer answers the request under way with a payload.
func (w *world) answer(payload string) {
	w.t.Helper()
	if len(w.done) != 1 {
		w.t.Fatalf("%d requests under way", len(w.done))
	}
	done := w.done[0]
	w.done = nil
	done(parse(w.t, `<iq type='result'>`+payload+`</iq>`), nil)
}

// push gives the condition of the answer to a push, "" for a result.
func (w *world) push(from, payload string) stanza.Condition {
	w.t.Helper()
	iq := parse(w.t, `<iq type='set' id='p1'>`+payload+`</iq>`).With(stanza.A("from", from))
	answer := w.r.HandlePush(iq)
	if answer.Attr("id") != "p1" || answer.Attr("to") != from {
		w.t.Errorf("answer %s to a push from %q", answer, from)
	}
	switch answer.Attr("type") {
	case "result":
		return ""
	case "error":
		return stanza.ErrorOf(answer).Condition
	}
	w.t.Errorf("answer %s", answer)
	return ""
}

// wantChanges takes what was announced since the last call, by "old>new" of
// names, with a dash for none.
func (w *world) wantChanges(want ...string) {
	w.t.Helper()
	name := func(i *Item) string {
		if i == nil {
			return "-"
		}
		return i.JID.Local() + i.Name
	}
	var got []string
	for _, stanza := range w.changes {
		var line []string
		for _, c := range stanza {
			line = append(line, name(c.Old)+">"+name(c.New))
		}
		got = append(got, strings.Join(line, " "))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		w.t.Errorf("changes (-want +got):\n%s", diff)
	}
	w.changes = nil
}

func query(items string) string {
	return `<query xmlns='jabber:iq:roster' ver='v1'>` + items + `</query>`
}

func TestFetch(t *testing.T) {
	w := newWorld(t)
	result := w.fetch(nil)
	if want := `<iq type='get'><query xmlns='jabber:iq:roster'/></iq>`; w.asked[0].String() != want {
		t.Errorf("asked %s, want %s", w.asked[0], want)
	}
	// RFC 6121 §2.2, with more in it.
	w.answer(query(`<item jid='romeo@example.net' name='Romeo' subscription='both'><group>Friends</group></item>
		<item jid='mercutio@example.com' name='Mercutio' subscription='from'/>
		<item jid='benvolio@example.net' name='Benvolio' subscription='to' ask='subscribe' approved='true'><group>B</group><group>A</group><group/><group>B</group></item>
		<item jid='gateway.example.net/registered' subscription='odd' approved='1'/>
		<item name='nobody'/><item jid='@'/><other jid='x'/>`))
	if *result != "<nil>" || w.r.Version() != "v1" || w.r.Len() != 4 {
		t.Errorf("result %q, version %q, %d contacts", *result, w.r.Version(), w.r.Len())
	}
	want := []Item{
		{JID: addr(t, "romeo@example.net"), Name: "Romeo", Groups: []string{"Friends"}, Subscription: Both},
		{JID: addr(t, "mercutio@example.com"), Name: "Mercutio", Subscription: From},
		{JID: addr(t, "benvolio@example.net"), Name: "Benvolio", Groups: []string{"A", "B"}, Subscription: To, Ask: true, Approved: true},
		{JID: addr(t, "gateway.example.net"), Approved: true},
	}
	if len(w.changes) != 1 || len(w.changes[0]) != len(want) {
		t.Fatalf("changes %v", w.changes)
	}
	for i, c := range w.changes[0] {
		if diff := cmp.Diff(Change{New: &want[i]}, c, byValue); diff != "" {
			t.Errorf("change %d (-want +got):\n%s", i, diff)
		}
		if w.r.Get(want[i].JID) != c.New {
			t.Errorf("%v is not what was announced", want[i].JID)
		}
	}
	if n := len(slices.Collect(w.r.All())); n != len(want) {
		t.Errorf("All gives %d contacts", n)
	}
}

func TestFetch_versions(t *testing.T) {
	cached := []Item{{JID: addr(t, "a@s"), Name: "1", Groups: []string{"g"}, Subscription: Both}, {JID: addr(t, "b@s")}}
	for _, c := range []struct {
		name, ask, answer, version string
		cached                     *Cached
		want                       []string
	}{
		{"first time", `<query xmlns='jabber:iq:roster' ver=''/>`, query(`<item jid='a@s'/>`), "v1", &Cached{}, []string{"->a"}},
		{"first time, empty", `<query xmlns='jabber:iq:roster' ver=''/>`, "", "", &Cached{}, nil},
		{"unchanged", `<query xmlns='jabber:iq:roster' ver='v0'/>`, "", "v0", &Cached{"v0", cached}, []string{"->a1 ->b"}},
		{"changed", `<query xmlns='jabber:iq:roster' ver='v0'/>`, query(`<item jid='c@s'/>`), "v1", &Cached{"v0", cached}, []string{"->c"}},
		{"without versions, empty", `<query xmlns='jabber:iq:roster'/>`, "", "", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			result := w.fetch(c.cached)
			if got := w.asked[0].First().String(); got != c.ask {
				t.Errorf("asked %s, want %s", got, c.ask)
			}
			w.answer(c.answer)
			if *result != "<nil>" || w.r.Version() != c.version {
				t.Errorf("result %q, version %q, want %q", *result, w.r.Version(), c.version)
			}
			w.wantChanges(c.want...)
		})
	}
}

func TestFetch_fails(t *testing.T) {
	w := newWorld(t)
	result := w.fetch(nil)
	second := w.fetch(nil)
	if *second != errFetching.Error() {
		t.Errorf("second fetch: %s", *second)
	}
	w.push("", query(`<item jid='a@s'/>`))
	w.done[0](nil, stanza.NewError(stanza.NotAllowed, ""))
	w.done = nil
	if !strings.HasPrefix(*result, "fetch roster: ") {
		t.Errorf("result %q", *result)
	}
	w.wantChanges("->a")
	w.fetch(nil)
	w.answer(query(``))
	w.wantChanges("a>-")
}

// TestFetch_pushOvertakes has pushes between request and answer: none is lost,
// and nothing is announced that was not so.
func TestFetch_pushOvertakes(t *testing.T) {
	w := newWorld(t)
	w.fetch(nil)
	w.push("", query(`<item jid='a@s' name='2' subscription='both'/>`))
	w.push("", query(`<item jid='b@s' subscription='remove'/>`))
	w.push("", `<query xmlns='jabber:iq:roster' ver='v3'><item jid='d@s'/></query>`)
	w.wantChanges("->a2", "->d")
	w.answer(query(`<item jid='a@s' name='1'/><item jid='b@s'/><item jid='c@s'/>`))
	w.wantChanges("->c")
	if w.r.Version() != "v3" || w.r.Len() != 3 {
		t.Errorf("version %q, %d contacts", w.r.Version(), w.r.Len())
	}
}

func TestFetch_again(t *testing.T) {
	w := newWorld(t)
	w.fetch(nil)
	w.answer(query(`<item jid='a@s'/><item jid='b@s'/><item jid='b@s' name='twice'/>`))
	w.wantChanges("->a ->b b>btwice")
	w.fetch(nil)
	w.answer(query(`<item jid='b@s' name='twice'/><item jid='c@s'/>`))
	w.wantChanges("->c a>-")
}

func TestHandlePush(t *testing.T) {
	w := newWorld(t)
	for _, c := range []struct {
		name, from, payload string
		answer              stanza.Condition
		want                []string
	}{
		{"RFC 6121 §2.1.6", "", query(`<item jid='nurse@example.com'/>`), "", []string{"->nurse"}},
		{"from the account", "juliet@example.com", query(`<item jid='nurse@example.com' name='N' subscription='both'/>`), "", []string{"nurse>nurseN"}},
		{"the same once more", "juliet@example.com", query(`<item jid='nurse@example.com' name='N' subscription='both'/>`), "", nil},
		{"from this session, as ejabberd 2.1", "juliet@example.com/balcony", query(`<item jid='a@s'/>`), "", []string{"->a"}},
		{"several", "", query(`<item jid='b@s'/><item jid='a@s' subscription='remove'/>`), "", []string{"->b a>-"}},
		{"removal", "", query(`<item jid='nurse@example.com' subscription='remove'/>`), "", []string{"nurseN>-"}},
		{"removal of nobody", "", query(`<item jid='nurse@example.com' subscription='remove'/>`), "", nil},
		{"no item", "", query(``), stanza.BadRequest, nil},
		{"item without address", "", query(`<item name='x'/>`), stanza.BadRequest, nil},
		{"no query", "", `<vCard xmlns='vcard-temp'/>`, stanza.BadRequest, nil},
		{"from a contact", "b@s/x", query(`<item jid='evil@s'/>`), stanza.ServiceUnavailable, nil},
		{"from another session", "juliet@example.com/chamber", query(`<item jid='evil@s'/>`), stanza.ServiceUnavailable, nil},
		{"from the server", "example.com", query(`<item jid='evil@s'/>`), stanza.ServiceUnavailable, nil},
		{"from nonsense", "@", query(`<item jid='evil@s'/>`), stanza.ServiceUnavailable, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			w.t = t
			if got := w.push(c.from, c.payload); got != c.answer {
				t.Errorf("answered %q, want %q", got, c.answer)
			}
			w.wantChanges(c.want...)
		})
	}
	get := parse(t, `<iq type='get' id='1' from='b@s/x'><query xmlns='jabber:iq:roster'/></iq>`)
	if e := stanza.ErrorOf(w.r.HandlePush(get)); e.Condition != stanza.ServiceUnavailable {
		t.Errorf("a get: %v", e)
	}
}

func TestHandlePush_version(t *testing.T) {
	w := newWorld(t)
	w.push("", query(`<item jid='a@s'/>`))
	w.push("", `<query xmlns='jabber:iq:roster'><item jid='b@s'/></query>`)
	if w.r.Version() != "v1" {
		t.Errorf("version %q", w.r.Version())
	}
	w.push("b@s", `<query xmlns='jabber:iq:roster' ver='evil'><item jid='b@s'/></query>`)
	w.push("", `<query xmlns='jabber:iq:roster' ver='bad'/>`)
	if w.r.Version() != "v1" {
		t.Errorf("version %q of a refused push", w.r.Version())
	}
}

func TestParseItems_limits(t *testing.T) {
	var table groupTable
	groups := ""
	for i := range maxGroups + 5 {
		groups += fmt.Sprintf("<group>%03d</group>", i)
	}
	long := strings.Repeat("ä", maxName)
	in := query(`<item jid='a@s' name='` + long + `'><group>` + long + `</group></item><item jid='b@s'>` + groups + `</item>`)
	got := parseItems(parse(t, in), &table)
	if len(got[0].item.Name) != maxName-1 || got[0].item.Groups != nil || len(got[1].item.Groups) != maxGroups {
		t.Errorf("%d bytes of name, groups %d and %d", len(got[0].item.Name), len(got[0].item.Groups), len(got[1].item.Groups))
	}
	for i := range 3 * maxGroupLists {
		table.share([]string{fmt.Sprint(i), "x"})
	}
	if len(table.lists) > maxGroupLists {
		t.Errorf("%d lists kept", len(table.lists))
	}
}

func TestRoster_tooManyContacts(t *testing.T) {
	w := newWorld(t)
	for i := range 3 {
		items := make([]stanza.Part, maxItems/2)
		for j := range items {
			items[j] = stanza.New(NS, "item", stanza.A("jid", fmt.Sprintf("%d-%d@s", i, j)))
		}
		w.r.HandlePush(stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.New(NS, "query", items...)))
	}
	if w.r.Len() != maxItems {
		t.Errorf("%d contacts", w.r.Len())
	}
}

func TestGroups_shared(t *testing.T) {
	w := newWorld(t)
	w.fetch(&Cached{"v0", []Item{{JID: addr(t, "c@s"), Groups: []string{"y", "x"}}}})
	w.answer(``)
	w.push("", query(`<item jid='a@s'><group>x</group><group>y</group></item><item jid='b@s'><group>y</group><group>x</group></item>`))
	a, b, c := w.r.Get(addr(t, "a@s")), w.r.Get(addr(t, "b@s")), w.r.Get(addr(t, "c@s"))
	if &a.Groups[0] != &b.Groups[0] || &a.Groups[0] != &c.Groups[0] || a.Groups[0] != "x" {
		t.Error("the same groups are kept twice")
	}
}

func TestSubscription(t *testing.T) {
	for _, c := range []struct {
		s        Subscription
		to, from bool
	}{{None, false, false}, {To, true, false}, {From, false, true}, {Both, true, true}} {
		if c.s.IsTo() != c.to || c.s.IsFrom() != c.from {
			t.Errorf("%d: to %v, from %v", c.s, c.s.IsTo(), c.s.IsFrom())
		}
	}
}

func TestQueries(t *testing.T) {
	who := addr(t, "nurse@example.com/x")
	for _, c := range []struct {
		name string
		got  *stanza.Element
		want string
	}{
		{"RFC 6121 §2.3.1", SetQuery(who, "Nurse", []string{"Servants"}),
			`<iq type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com' name='Nurse'><group>Servants</group></item></query></iq>`},
		{"without name and groups", SetQuery(who, "", nil), `<iq type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com'/></query></iq>`},
		{"RFC 6121 §2.5.1", RemoveQuery(who), `<iq type='set'><query xmlns='jabber:iq:roster'><item jid='nurse@example.com' subscription='remove'/></query></iq>`},
		{"RFC 6121 §3.1.1", Subscribe(who, ""), `<presence type='subscribe' to='nurse@example.com'/>`},
		{"with words", Subscribe(who, "Hi"), `<presence type='subscribe' to='nurse@example.com'><status>Hi</status></presence>`},
		{"RFC 6121 §3.1.4", Subscribed(who), `<presence type='subscribed' to='nurse@example.com'/>`},
		{"RFC 6121 §3.3.1", Unsubscribe(who), `<presence type='unsubscribe' to='nurse@example.com'/>`},
		{"RFC 6121 §3.2.1", Unsubscribed(who), `<presence type='unsubscribed' to='nurse@example.com'/>`},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzRoster holds a roster, however it came, to be the one that is announced:
// whoever keeps the changes has the same contacts.
func FuzzRoster(f *testing.F) {
	f.Add(query(`<item jid='a@s' subscription='both'><group>g</group></item><item jid='a@s'/>`), query(`<item jid='a@s' subscription='remove'/>`))
	f.Add(`<query xmlns='jabber:iq:roster' ver=''/>`, query(`<item jid='@'/><item jid='b'/>`))
	f.Fuzz(func(t *testing.T, whole, pushed string) {
		first, err := stanza.Parse(whole)
		if err != nil {
			return
		}
		second, err := stanza.Parse(pushed)
		if err != nil {
			return
		}
		mirror := map[jid.JID]*Item{}
		w := newWorld(t)
		w.r.cfg.Changed = func(changes []Change) {
			for _, c := range changes {
				if c.Old != nil && mirror[c.Old.JID] != c.Old {
					t.Errorf("%v was not known", c.Old)
				}
				if c.New == nil {
					delete(mirror, c.Old.JID)
				} else {
					mirror[c.New.JID] = c.New
				}
			}
		}
		push := stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), second)
		for range 2 {
			w.fetch(nil)
			w.r.HandlePush(push)
			w.done[0](stanza.New(stanza.NSClient, "iq", first), nil)
			w.done = nil
			w.r.HandlePush(push)
		}
		if diff := cmp.Diff(w.r.items, mirror, byValue, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("roster and what was announced (-roster +announced):\n%s", diff)
		}
	})
}

// BenchmarkFetch measures what a school's roster costs once it was read off the
// wire.
func BenchmarkFetch(b *testing.B) {
	for _, n := range []int{5000, 50_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			answer := school(b, n)
			b.ReportAllocs()
			for b.Loop() {
				fetchSchool(b, answer, n)
			}
		})
	}
}

// BenchmarkFetch_memory reports what stays of it, beside the texts.
func BenchmarkFetch_memory(b *testing.B) {
	const n = 5000
	answer := school(b, n)
	var before, after runtime.MemStats
	for b.Loop() {
		runtime.GC()
		runtime.ReadMemStats(&before)
		r := fetchSchool(b, answer, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/n, "live-B/contact")
		runtime.KeepAlive(r)
	}
}

func fetchSchool(b *testing.B, answer *stanza.Element, n int) *Roster {
	changed := 0
	r := New(Config{
		Asker:   askerFunc(func(_ *stanza.Element, done func(*stanza.Element, error)) { done(answer, nil) }),
		Changed: func(c []Change) { changed += len(c) },
	})
	r.Fetch(nil, func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	})
	if changed != n {
		b.Fatalf("%d changed", changed)
	}
	return r
}

// school is the shared roster of n children, as read from the wire.
func school(b *testing.B, n int) *stanza.Element {
	var items strings.Builder
	for i := range n {
		fmt.Fprintf(&items, "<item jid='7f3ec0ffee%030d@schoolserver.test' name='Child %d' subscription='both'><group>Online</group></item>", i, i)
	}
	r := stanza.NewReader(strings.NewReader(`<iq type='result'>`+query(items.String())+`</iq>`), stanza.Limits{Bytes: items.Len() + 1000, Children: n})
	e, err := r.Next()
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// BenchmarkPush measures a child coming and going in a school of 5,000.
func BenchmarkPush(b *testing.B) {
	r := fetchSchool(b, school(b, 5000), 5000)
	r.cfg.Changed = func([]Change) {}
	come := parse(b, `<iq type='set' id='1'>`+query(`<item jid='new@schoolserver.test' subscription='both'><group>Online</group></item>`)+`</iq>`)
	leave := parse(b, `<iq type='set' id='1'>`+query(`<item jid='new@schoolserver.test' subscription='remove'/>`)+`</iq>`)
	b.ReportAllocs()
	for b.Loop() {
		r.HandlePush(come)
		r.HandlePush(leave)
	}
}

type askerFunc func(*stanza.Element, func(*stanza.Element, error))

func (f askerFunc) Ask(iq *stanza.Element, done func(*stanza.Element, error)) { f(iq, done) }

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)
