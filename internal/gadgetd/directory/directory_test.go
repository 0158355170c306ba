package directory

import (
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

func addr(s string) jid.JID {
	j, err := jid.ParseLenient(s)
	if err != nil {
		panic(err)
	}
	return j
}

// client holds views as somebody does who knows nothing but what it was told.
type client struct {
	t     testing.TB
	self  jid.JID
	views map[string]*mirror
}

type mirror struct {
	kind       gadget.Kind
	size       int
	buddies    map[jid.JID]told
	activities map[jid.JID]gadget.Activity
	inside     map[jid.JID]map[jid.JID]bool // who is in which activity
}

type told struct {
	alias   string
	props   olpc.Properties
	current olpc.Activity
}

func (c *client) opened(content gadget.Content) {
	m := &mirror{kind: content.Kind, size: content.Size, buddies: make(map[jid.JID]told), activities: make(map[jid.JID]gadget.Activity), inside: make(map[jid.JID]map[jid.JID]bool)}
	c.views[content.View] = m
	c.added(m, content.Buddies, content.Activities)
}

func (c *client) added(m *mirror, buddies []gadget.Buddy, activities []gadget.Activity) {
	for _, b := range buddies {
		if _, known := m.buddies[b.JID]; known && m.kind == gadget.Buddies {
			c.t.Fatalf("%s is told of %s twice", c.self, b.JID)
		}
		m.buddies[b.JID] = told{alias: b.Alias, props: b.Properties}
	}
	for _, a := range activities {
		if _, known := m.activities[a.Room]; known {
			c.t.Fatalf("%s is told of %s twice", c.self, a.Room)
		}
		m.activities[a.Room], m.inside[a.Room] = a, make(map[jid.JID]bool)
		c.joined(m, a.Room, a.Buddies)
	}
	if n := len(m.activities); m.kind == gadget.Activities && n > m.size || m.kind == gadget.Buddies && len(m.buddies) > m.size {
		c.t.Fatalf("view of %s grows over its size", c.self)
	}
}

func (c *client) joined(m *mirror, room jid.JID, who []gadget.Buddy) {
	for _, b := range who {
		if m.inside[room][b.JID] {
			c.t.Fatalf("%s joins twice", b.JID)
		}
		m.inside[room][b.JID] = true
		m.buddies[b.JID] = told{b.Alias, b.Properties, m.buddies[b.JID].current}
	}
}

func (c *client) notified(n gadget.Notification) {
	switch n := n.(type) {
	case gadget.Added:
		c.added(c.views[n.View], n.Buddies, n.Activities)
	case gadget.Removed:
		m := c.views[n.View]
		for _, b := range n.Buddies {
			if _, known := m.buddies[b]; !known {
				c.t.Fatalf("%s goes and was not there", b)
			}
			delete(m.buddies, b)
		}
		for _, a := range n.Activities {
			if _, known := m.activities[a.Room]; !known {
				c.t.Fatalf("%s goes and was not there", a.Room)
			}
			delete(m.activities, a.Room)
			delete(m.inside, a.Room)
		}
	case gadget.Membership:
		m := c.views[n.View]
		if _, known := m.activities[n.Room]; !known {
			c.t.Fatalf("membership of unknown %s", n.Room)
		}
		c.joined(m, n.Room, n.Joined)
		for _, b := range n.Left {
			if !m.inside[n.Room][b] {
				c.t.Fatalf("%s leaves and was not in", b)
			}
			delete(m.inside[n.Room], b)
		}
	case gadget.ActivityChange:
		a, known := c.views[n.View].activities[n.Room]
		if !known {
			c.t.Fatalf("change of unknown %s", n.Room)
		}
		a.Properties = n.Properties
		c.views[n.View].activities[n.Room] = a
	case gadget.BuddyChange:
		m := c.views[n.View]
		b, known := m.buddies[n.JID]
		if !known {
			c.t.Fatalf("change of unknown %s", n.JID)
		}
		if n.Alias != "" {
			b.alias = n.Alias
		}
		if n.Properties != nil {
			b.props = n.Properties
		}
		if n.Moved {
			b.current = n.Current
		}
		m.buddies[n.JID] = b
	}
	c.prune(n)
}

// prune forgets, as clients do, who is in no activity of a view any more.
func (c *client) prune(gadget.Notification) {
	for _, m := range c.views {
		if m.kind == gadget.Buddies {
			continue
		}
		for who := range m.buddies {
			in := false
			for _, members := range m.inside {
				in = in || members[who]
			}
			if !in {
				delete(m.buddies, who)
			}
		}
	}
}

// world is a directory with clients.
type world struct {
	*Directory
	clients map[jid.JID]*client
}

func newWorld(t testing.TB, limits Limits) *world {
	w := &world{clients: make(map[jid.JID]*client)}
	dirty := 0
	w.Directory = New(Config{
		Notify: func(owner jid.JID, n gadget.Notification) {
			if c := w.clients[owner]; c != nil {
				c.notified(n)
			}
		},
		Dirty:  func() { dirty++ },
		Limits: limits,
	})
	return w
}

func (w *world) open(t testing.TB, owner jid.JID, r gadget.Request) *client {
	t.Helper()
	c := w.clients[owner]
	if c == nil {
		c = &client{t: t, self: owner, views: make(map[string]*mirror)}
		w.clients[owner] = c
	}
	content, err := w.Open(owner, r)
	if err != nil {
		t.Fatal(err)
	}
	c.opened(content)
	return c
}

// check compares what a client knows with what there is.
func (w *world) check(t testing.TB) {
	t.Helper()
	w.Flush()
	for owner, c := range w.clients {
		for id, m := range c.views {
			v := w.views[owner][id]
			fitting := 0
			for _, p := range w.people {
				if v.kind == gadget.Buddies && v.takes(&p.item) {
					fitting++
				}
			}
			for _, a := range w.activities {
				if v.kind == gadget.Activities && v.takes(&a.item) {
					fitting++
				}
			}
			if want := min(fitting, v.size); len(v.members) != want || v.waiting != (want < v.size) {
				t.Fatalf("view %s of %s has %d of %d, wants %d, waiting %v", id, owner, len(v.members), fitting, want, v.waiting)
			}
			w.checkMirror(t, v, m)
		}
	}
}

func (w *world) checkMirror(t testing.TB, v *view, m *mirror) {
	t.Helper()
	for it := range v.members {
		if p := it.person; p != nil {
			want := told{p.alias, p.props, w.known(p)}
			if diff := cmp.Diff(want, m.buddies[p.jid], cmp.AllowUnexported(told{}), byValue); diff != "" {
				t.Fatalf("%s (-want +told):\n%s", p.jid, diff)
			}
			continue
		}
		a := it.activity
		got := m.activities[a.Room]
		if got.ID != a.ID || !got.Properties.Equal(a.props) || len(m.inside[a.Room]) != len(a.members) {
			t.Fatalf("%s: told %v with %v, is %v with %d", a.Room, got, m.inside[a.Room], a.props, len(a.members))
		}
		for p := range a.members {
			b := m.buddies[p.jid]
			if !m.inside[a.Room][p.jid] || !b.props.Equal(p.props) || p.shown && b.alias != p.alias || b.current != w.known(p) {
				t.Fatalf("%s in %s: told %v, is %v %v %v", p.jid, a.Room, b, p.alias, p.props, w.known(p))
			}
		}
	}
	if m.kind == gadget.Buddies && len(m.buddies) != len(v.members) || len(m.activities) > len(v.members) {
		t.Fatalf("told of %d and %d, has %d", len(m.buddies), len(m.activities), len(v.members))
	}
}

var byValue = cmp.Comparer(func(a, b jid.JID) bool { return a == b })

// Whatever happens, in whatever order, who knows nothing but the answer and the
// notifications knows what there is.
func TestDirectory_clientsKnowWhatThereIs(t *testing.T) {
	for seed := range int64(40) {
		r := rand.New(rand.NewSource(seed))
		w := newWorld(t, Limits{Views: 8, Size: 10})
		who := func() jid.JID { return addr(fmt.Sprintf("b%d@school.test", r.Intn(14))) }
		room := func() jid.JID { return addr(fmt.Sprintf("r%d@conference.school.test", r.Intn(8))) }
		props := func() olpc.Properties {
			return olpc.Properties{"color": fmt.Sprint(r.Intn(3)), "private": false, "key": []byte(strings.Repeat("k", r.Intn(30000)))}
		}
		criteria := func(k gadget.Kind) gadget.Criteria {
			switch c := (gadget.Criteria{}); r.Intn(6) {
			case 0:
				c.Properties = olpc.Properties{"color": fmt.Sprint(r.Intn(3))}
				return c
			case 1:
				if k == gadget.Buddies {
					c.Alias = []string{"To", "tomá", "as", "x"}[r.Intn(4)]
				} else {
					c.Participants = []jid.JID{who()}
				}
				return c
			case 2:
				if k == gadget.Buddies {
					c.JID = who()
				} else {
					c.Activity.Room = room()
				}
				return c
			default:
				return c
			}
		}
		for range 600 {
			switch r.Intn(12) {
			case 0, 1:
				w.ShowBuddy(gadget.Buddy{JID: who(), Alias: []string{"Tom", "Thomas", "tomas", "Ünal"}[r.Intn(4)], Properties: props()})
			case 2:
				w.HideBuddy(who())
			case 3, 4:
				rm := room()
				w.ShowActivity(olpc.Activity{ID: fmt.Sprint(rm.Local(), r.Intn(10)/9), Room: rm}, props())
			case 5:
				w.HideActivity(room())
			case 6, 7:
				w.Join(room(), who())
			case 8:
				w.Leave(room(), who())
			case 9:
				rm := room()
				w.SetCurrent(who(), []olpc.Activity{{}, {ID: "x", Room: rm}}[r.Intn(2)])
			case 10:
				if r.Intn(3) == 0 {
					k := gadget.Kind(r.Intn(2))
					w.open(t, who().WithResource("xo"), gadget.Request{Kind: k, View: fmt.Sprint(r.Intn(4)), Size: 1 + r.Intn(6), Criteria: criteria(k)})
				}
			case 11:
				w.check(t)
			}
		}
		w.check(t)
		for owner := range w.clients {
			w.CloseAll(owner)
		}
		for p := range w.people {
			w.HideBuddy(p)
		}
		for _, rm := range slices.Collect(maps.Keys(w.activities)) {
			w.HideActivity(rm)
		}
		if s := w.Stats(); s != (Stats{}) || len(w.people)+len(w.at)+len(w.Directory.clients)+len(w.halls[0].byKey)+len(w.halls[1].byKey)+len(w.halls[0].hungry)+len(w.halls[1].hungry) > 0 {
			t.Fatalf("seed %d: something is left: %+v", seed, s)
		}
	}
}

func names(c gadget.Content) []string {
	var list []string
	for _, b := range c.Buddies {
		list = append(list, b.JID.Local())
	}
	for _, a := range c.Activities {
		list = append(list, a.Room.Local())
	}
	slices.Sort(list)
	return list
}

func TestSearch(t *testing.T) {
	w := newWorld(t, Limits{Views: 8, Size: 10})
	for name, alias := range map[string]string{"tom": "Tom", "thomas": "Thomás", "ana": "Ana María", "li": "李"} {
		w.ShowBuddy(gadget.Buddy{JID: addr(name + "@s"), Alias: alias, Properties: olpc.Properties{"color": name[:1], "key": []byte(name)}})
	}
	for _, name := range []string{"chat", "paint"} {
		a := olpc.Activity{ID: "id-" + name, Room: addr(name + "@c")}
		w.ShowActivity(a, olpc.Properties{"type": name, "private": false})
		w.Join(a.Room, addr("tom@s"))
	}
	w.Join(addr("chat@c"), addr("stranger@s"))
	for _, c := range []struct {
		name string
		kind gadget.Kind
		what gadget.Criteria
		want string
	}{
		{"anybody", gadget.Buddies, gadget.Criteria{}, "ana li thomas tom"},
		{"part of a name", gadget.Buddies, gadget.Criteria{Alias: "OM"}, "thomas tom"},
		{"without accents", gadget.Buddies, gadget.Criteria{Alias: "thomas"}, "thomas"},
		{"with accents", gadget.Buddies, gadget.Criteria{Alias: "ÁNA"}, "ana"},
		{"one letter", gadget.Buddies, gadget.Criteria{Alias: "李"}, "li"},
		{"nobody", gadget.Buddies, gadget.Criteria{Alias: "tomtom"}, ""},
		{"property", gadget.Buddies, gadget.Criteria{Properties: olpc.Properties{"color": "t"}}, "thomas tom"},
		{"bytes", gadget.Buddies, gadget.Criteria{Properties: olpc.Properties{"key": []byte("ana")}}, "ana"},
		{"value of another type", gadget.Buddies, gadget.Criteria{Properties: olpc.Properties{"key": "ana"}}, ""},
		{"all that is asked for", gadget.Buddies, gadget.Criteria{Alias: "tom", Properties: olpc.Properties{"color": "a"}}, ""},
		{"address", gadget.Buddies, gadget.Criteria{JID: addr("li@s")}, "li"},
		{"who is no buddy but takes part", gadget.Buddies, gadget.Criteria{JID: addr("stranger@s")}, ""},
		{"any activity", gadget.Activities, gadget.Criteria{}, "chat paint"},
		{"by property", gadget.Activities, gadget.Criteria{Properties: olpc.Properties{"type": "chat"}}, "chat"},
		{"by room", gadget.Activities, gadget.Criteria{Activity: olpc.Activity{Room: addr("paint@c")}}, "paint"},
		{"by id", gadget.Activities, gadget.Criteria{Activity: olpc.Activity{ID: "id-paint"}}, "paint"},
		{"by id and another room", gadget.Activities, gadget.Criteria{Activity: olpc.Activity{ID: "id-paint", Room: addr("chat@c")}}, ""},
		{"by participant", gadget.Activities, gadget.Criteria{Participants: []jid.JID{addr("tom@s")}}, "chat paint"},
		{"by all participants", gadget.Activities, gadget.Criteria{Participants: []jid.JID{addr("tom@s"), addr("stranger@s")}}, "chat"},
		{"by property and participant", gadget.Activities, gadget.Criteria{Participants: []jid.JID{addr("stranger@s")}, Properties: olpc.Properties{"type": "paint"}}, ""},
	} {
		if got := strings.Join(names(w.Search(gadget.Request{Kind: c.kind, Criteria: c.what})), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if got := w.Search(gadget.Request{Kind: gadget.Buddies, Size: 2}); len(got.Buddies) != 2 {
		t.Errorf("%d buddies of 2", len(got.Buddies))
	}
}

// A random choice is not always the same.
func TestSearch_random(t *testing.T) {
	w := newWorld(t, Limits{Views: 8, Size: 10})
	const n = 100
	for i := range n {
		w.ShowBuddy(gadget.Buddy{JID: addr(fmt.Sprintf("b%d@s", i)), Properties: olpc.Properties{}})
	}
	seen := make(map[jid.JID]int)
	for range 200 {
		for _, b := range w.Search(gadget.Request{Size: 10}).Buddies {
			seen[b.JID]++
		}
	}
	if len(seen) != n {
		t.Errorf("%d of %d are ever seen", len(seen), n)
	}
}

func TestOpen_limits(t *testing.T) {
	w := newWorld(t, Limits{Views: 3, Size: 5})
	ana := addr("ana@s/xo")
	for i := range 3 {
		c, err := w.Open([]jid.JID{ana, addr("ana@s/other")}[i%2], gadget.Request{View: fmt.Sprint(i), Size: 1000})
		if err != nil || c.Size != 5 {
			t.Errorf("view %d: size %d, %v", i, c.Size, err)
		}
	}
	if _, err := w.Open(ana, gadget.Request{View: "9", Size: 1}); err == nil || err.Condition != stanza.ResourceConstraint || err.Type != stanza.TypeWait {
		t.Errorf("one too many: %v", err)
	}
	if _, err := w.Open(ana, gadget.Request{Kind: gadget.Activities, View: "0", Size: 1}); err != nil {
		t.Errorf("the same again: %v", err)
	}
	w.Close(ana, gadget.Close{Kind: gadget.Buddies, View: "0"}) // of the other kind
	if s := w.Stats(); s.ActivityViews != 1 || s.BuddyViews != 2 {
		t.Errorf("%+v", s)
	}
	w.Close(ana, gadget.Close{Kind: gadget.Activities, View: "0"})
	if _, err := w.Open(ana, gadget.Request{View: "9", Size: 1}); err != nil {
		t.Errorf("after a close: %v", err)
	}
}

// Thousands in one activity are told in pieces that servers take.
func TestFlush_pieces(t *testing.T) {
	w := newWorld(t, Limits{Views: 3, Size: 200})
	largest := 0
	room := olpc.Activity{ID: "a", Room: addr("r@c")}
	w.ShowActivity(room, olpc.Properties{"private": false})
	for i := range 500 {
		who := addr(fmt.Sprintf("b%d@s", i))
		w.ShowBuddy(gadget.Buddy{JID: who, Alias: "B", Properties: olpc.Properties{"key": []byte(strings.Repeat("k", 600))}})
		w.Join(room.Room, who)
	}
	w.open(t, addr("ana@s/xo"), gadget.Request{Kind: gadget.Activities, View: "1", Size: 5})
	w.open(t, addr("ana@s/xo"), gadget.Request{Kind: gadget.Buddies, View: "2", Size: 200})
	notify := w.cfg.Notify
	w.cfg.Notify = func(owner jid.JID, n gadget.Notification) {
		largest = max(largest, len(gadget.Message(owner, n).String()))
		notify(owner, n)
	}
	w.check(t)
	if largest == 0 || largest > 64<<10 {
		t.Errorf("largest stanza has %d bytes", largest)
	}
}
