package gadget

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/amp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

var byValue = cmp.Comparer(func(a, b jid.JID) bool { return a == b })

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)

// The participants of the protocol's examples.
const (
	bobProps  = `<properties xmlns='http://laptop.org/xmpp/buddy-properties'><property name='color' type='str'>#005FE4,#00A0FF</property></properties>`
	chatProps = `<properties xmlns='http://laptop.org/xmpp/activity-properties'><property name='color' type='str'>#005FE4,#00A0FF</property>` +
		`<property name='type' type='str'>org.laptop.RolePlay</property></properties>`
	chat = `<activity xmlns='http://laptop.org/xmpp/activity' id='testactivity' room='room1@conference.localhost'>` + chatProps +
		`<buddy jid='lucien@localhost'>` + bobProps + `</buddy><buddy jid='jean@localhost'/></activity>`
)

func bob(t testing.TB) olpc.Properties { return olpc.Properties{"color": "#005FE4,#00A0FF"} }

func chatActivity(t testing.TB) Activity {
	return Activity{
		Activity:   olpc.Activity{ID: "testactivity", Room: addr(t, "room1@conference.localhost")},
		Properties: olpc.Properties{"color": "#005FE4,#00A0FF", "type": "org.laptop.RolePlay"},
		Buddies:    []Buddy{{JID: addr(t, "lucien@localhost"), Properties: bob(t)}, {JID: addr(t, "jean@localhost")}},
	}
}

func TestRequest(t *testing.T) {
	gadget := addr(t, "gadget.localhost")
	for _, c := range []struct {
		name, in string
		want     Request
	}{
		{"buddies by properties", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='10'><buddy>` + bobProps + `</buddy></view>`,
			Request{Kind: Buddies, View: "1", Size: 10, Criteria: Criteria{Properties: bob(t)}}},
		{"by alias too", `<view xmlns='http://laptop.org/xmpp/buddy' id='q' size='1'><buddy alias='tom'>` + bobProps + `</buddy></view>`,
			Request{Kind: Buddies, View: "q", Size: 1, Criteria: Criteria{Alias: "tom", Properties: bob(t)}}},
		{"random buddies", `<view xmlns='http://laptop.org/xmpp/buddy' id='0' size='3'><buddy/></view>`, Request{Kind: Buddies, View: "0", Size: 3}},
		{"activities by property and participants", `<view xmlns='http://laptop.org/xmpp/activity' id='2' size='20'><activity>` + chatProps +
			`<buddy jid='jean@localhost'/><buddy jid='lucien@localhost'/></activity></view>`,
			Request{Kind: Activities, View: "2", Size: 20, Criteria: Criteria{Properties: chatActivity(t).Properties,
				Participants: []jid.JID{addr(t, "jean@localhost"), addr(t, "lucien@localhost")}}}},
		{"by room", `<view xmlns='http://laptop.org/xmpp/activity' id='3' size='1'><activity room='room1@conference.localhost'/></view>`,
			Request{Kind: Activities, View: "3", Size: 1, Criteria: Criteria{Activity: olpc.Activity{Room: addr(t, "room1@conference.localhost")}}}},
		{"by id", `<view xmlns='http://laptop.org/xmpp/activity' id='3' size='1'><activity id='testactivity'/></view>`,
			Request{Kind: Activities, View: "3", Size: 1, Criteria: Criteria{Activity: olpc.Activity{ID: "testactivity"}}}},
		{"random activities", `<view xmlns='http://laptop.org/xmpp/activity' id='4' size='5'><activity/></view>`, Request{Kind: Activities, View: "4", Size: 5}},
		{"one buddy, once", `<query xmlns='http://laptop.org/xmpp/buddy'><buddy jid='jean@localhost'/></query>`,
			Request{Kind: Buddies, Criteria: Criteria{JID: addr(t, "jean@localhost")}}},
		{"activities, once", `<query xmlns='http://laptop.org/xmpp/activity' size='7'><activity/></query>`, Request{Kind: Activities, Size: 7}},
	} {
		iq := parse(t, `<iq type='get' to='gadget.localhost'>`+c.in+`</iq>`)
		got, err := ParseRequest(iq)
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
		if built := c.want.IQ(gadget); !built.Equal(iq) {
			t.Errorf("%s: built %s", c.name, built)
		}
	}
}

func TestParseRequest_lenient(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Request
	}{
		{"the first programs' random", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='3'><random/></view>`, Request{Kind: Buddies, View: "1", Size: 3}},
		{"nothing said", `<view xmlns='http://laptop.org/xmpp/activity' id='1' size='3'/>`, Request{Kind: Activities, View: "1", Size: 3}},
		{"no properties", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='3'><buddy><properties xmlns='` + olpc.NodeBuddyProperties + `'/></buddy></view>`,
			Request{Kind: Buddies, View: "1", Size: 3}},
		{"id in its old attribute", `<view xmlns='http://laptop.org/xmpp/activity' id='1' size='3'><activity activity='a'/></view>`,
			Request{Kind: Activities, View: "1", Size: 3, Criteria: Criteria{Activity: olpc.Activity{ID: "a"}}}},
		{"address of a device", `<query xmlns='http://laptop.org/xmpp/buddy'><buddy jid='jean@localhost/xo'/></query>`,
			Request{Kind: Buddies, Criteria: Criteria{JID: addr(t, "jean@localhost")}}},
	} {
		got, err := ParseRequest(parse(t, `<iq type='get'>`+c.in+`</iq>`))
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, err, diff)
		}
	}
}

func TestParseRequest_refused(t *testing.T) {
	many := strings.Repeat(`<buddy jid='a@b'/>`, maxParticipants+1)
	var properties strings.Builder
	for i := range maxSought + 1 {
		fmt.Fprintf(&properties, `<property name='p%d' type='str'>v</property>`, i)
	}
	for _, c := range []struct {
		name, in string
		want     stanza.Condition
	}{
		{"no payload", ``, stanza.ServiceUnavailable},
		{"something else", `<view xmlns='x' id='1' size='1'/>`, stanza.ServiceUnavailable},
		{"unknown question", `<look xmlns='http://laptop.org/xmpp/buddy'/>`, stanza.FeatureNotImplemented},
		{"no id", `<view xmlns='http://laptop.org/xmpp/buddy' size='1'><buddy/></view>`, stanza.BadRequest},
		{"long id", `<view xmlns='http://laptop.org/xmpp/buddy' size='1' id='` + strings.Repeat("x", 256) + `'><buddy/></view>`, stanza.BadRequest},
		{"no size", `<view xmlns='http://laptop.org/xmpp/buddy' id='1'><buddy/></view>`, stanza.BadRequest},
		{"no number", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='all'><buddy/></view>`, stanza.BadRequest},
		{"size 0", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='0'><buddy/></view>`, stanza.BadRequest},
		{"size below 0", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='-1'><buddy/></view>`, stanza.BadRequest},
		{"enormous size", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='99999999999'><buddy/></view>`, stanza.BadRequest},
		{"a union", `<view xmlns='http://laptop.org/xmpp/activity' id='1' size='1'><activity/><activity/></view>`, stanza.FeatureNotImplemented},
		{"of the other kind", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='1'><activity xmlns='http://laptop.org/xmpp/activity'/></view>`, stanza.BadRequest},
		{"bad address", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='1'><buddy jid='@'/></view>`, stanza.JIDMalformed},
		{"address of a server", `<query xmlns='http://laptop.org/xmpp/buddy'><buddy jid='localhost'/></query>`, stanza.JIDMalformed},
		{"bad room", `<view xmlns='http://laptop.org/xmpp/activity' id='1' size='1'><activity room='@'/></view>`, stanza.JIDMalformed},
		{"bad participant", `<view xmlns='http://laptop.org/xmpp/activity' id='1' size='1'><activity><buddy/></activity></view>`, stanza.JIDMalformed},
		{"too many participants", `<view xmlns='http://laptop.org/xmpp/activity' id='1' size='1'><activity>` + many + `</activity></view>`, stanza.PolicyViolation},
		{"too many properties", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='1'><buddy><properties xmlns='` + olpc.NodeBuddyProperties + `'>` +
			properties.String() + `</properties></buddy></view>`, stanza.PolicyViolation},
		{"a property that is none", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='1'><buddy><properties xmlns='` + olpc.NodeBuddyProperties +
			`'><property name='n' type='int'>x</property></properties></buddy></view>`, stanza.BadRequest},
		{"long alias", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='1'><buddy alias='` + strings.Repeat("x", 256) + `'/></view>`, stanza.BadRequest},
	} {
		if got, err := ParseRequest(parse(t, `<iq type='get'>`+c.in+`</iq>`)); err == nil || err.Condition != c.want {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	set := parse(t, `<iq type='set'><view xmlns='http://laptop.org/xmpp/buddy' id='1' size='1'><buddy/></view></iq>`)
	if _, err := ParseRequest(set); err == nil || err.Condition != stanza.NotAllowed {
		t.Errorf("set: %v", err)
	}
}

func TestContent(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Content
	}{
		{"activities", `<view xmlns='http://laptop.org/xmpp/activity' id='2' size='20'>` + chat + `</view>`,
			Content{Kind: Activities, View: "2", Size: 20, Activities: []Activity{chatActivity(t)}}},
		{"buddies", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='10'><buddy jid='bob@localhost'>` + bobProps + `</buddy></view>`,
			Content{Kind: Buddies, View: "1", Size: 10, Buddies: []Buddy{{JID: addr(t, "bob@localhost"), Properties: bob(t)}}}},
		{"with alias", `<query xmlns='http://laptop.org/xmpp/buddy'><buddy jid='bob@localhost' alias='Bob'>` + bobProps + `</buddy></query>`,
			Content{Kind: Buddies, Buddies: []Buddy{{JID: addr(t, "bob@localhost"), Alias: "Bob", Properties: bob(t)}}}},
		{"nobody", `<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='10'/>`, Content{Kind: Buddies, View: "1", Size: 10}},
	} {
		reply := parse(t, `<iq type='result'>`+c.in+`</iq>`)
		got, ok := ParseContent(reply)
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || !ok {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, ok, diff)
		}
		if built := c.want.Element(); !built.Equal(reply.First()) {
			t.Errorf("%s: built %s", c.name, built)
		}
	}
}

func TestParseContent_odd(t *testing.T) {
	got, ok := ParseContent(parse(t, `<iq type='result'><view xmlns='http://laptop.org/xmpp/activity' id='2' size='x'>`+
		`<activity/><activity id='a'/><activity id='a' room='@'/><activity room='r@c'/><other/>`+
		`<activity activity='old' room='r@c'><buddy/><buddy jid='@'/><buddy jid='a@b/c'/></activity></view></iq>`))
	want := Content{Kind: Activities, View: "2", Activities: []Activity{{
		Activity: olpc.Activity{ID: "old", Room: addr(t, "r@c")}, Buddies: []Buddy{{JID: addr(t, "a@b")}}}}}
	if diff := cmp.Diff(want, got, byValue); diff != "" || !ok {
		t.Errorf("%v (-want +got):\n%s", ok, diff)
	}
	for _, in := range []string{`<iq/>`, `<iq><view xmlns='x'/></iq>`, `<iq><added xmlns='` + NSBuddy + `'/></iq>`} {
		if got, ok := ParseContent(parse(t, in)); ok {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestClose(t *testing.T) {
	message := parse(t, `<message to='gadget.localhost'><close xmlns='http://laptop.org/xmpp/buddy' id='1'/></message>`)
	want := Close{Buddies, "1"}
	if got := ParseClose(message); len(got) != 1 || got[0] != want {
		t.Errorf("got %v", got)
	}
	if built := want.Message(addr(t, "gadget.localhost")); !built.Equal(message) {
		t.Errorf("built %s", built)
	}
	for _, in := range []string{
		`<message/>`, `<message><close xmlns='x' id='1'/></message>`, `<message><close xmlns='` + NSActivity + `'/></message>`,
		`<message type='error'><close xmlns='` + NSActivity + `' id='1'/></message>`,
	} {
		if got := ParseClose(parse(t, in)); got != nil {
			t.Errorf("%s: %v", in, got)
		}
	}
}

func TestNotifications(t *testing.T) {
	room := addr(t, "room1@conference.localhost")
	for _, c := range []struct {
		name, in string
		want     Notification
	}{
		{"buddy's properties", `<change xmlns='http://laptop.org/xmpp/buddy' jid='bob@localhost' id='1'>` + bobProps + `</change>`,
			BuddyChange{View: "1", Buddy: Buddy{JID: addr(t, "bob@localhost"), Properties: bob(t)}}},
		{"buddy's current activity", `<change xmlns='http://laptop.org/xmpp/buddy' jid='bob@localhost' id='1'>` +
			`<activity xmlns='http://laptop.org/xmpp/current-activity' id='a' room='room1@conference.localhost'/></change>`,
			BuddyChange{View: "1", Buddy: Buddy{JID: addr(t, "bob@localhost")}, Moved: true, Current: olpc.Activity{ID: "a", Room: room}}},
		{"no current activity", `<change xmlns='http://laptop.org/xmpp/buddy' jid='bob@localhost' alias='B' id='1'>` +
			`<activity xmlns='http://laptop.org/xmpp/current-activity' id='' room=''/></change>`,
			BuddyChange{View: "1", Buddy: Buddy{JID: addr(t, "bob@localhost"), Alias: "B"}, Moved: true}},
		{"activity's properties", `<change xmlns='http://laptop.org/xmpp/activity' activity='a' room='room1@conference.localhost' id='1'>` + chatProps + `</change>`,
			ActivityChange{View: "1", Activity: olpc.Activity{ID: "a", Room: room}, Properties: chatActivity(t).Properties}},
		{"buddies added", `<added xmlns='http://laptop.org/xmpp/buddy' id='1'><buddy jid='bob@localhost'>` + bobProps + `</buddy></added>`,
			Added{Kind: Buddies, View: "1", Buddies: []Buddy{{JID: addr(t, "bob@localhost"), Properties: bob(t)}}}},
		{"buddies removed", `<removed xmlns='http://laptop.org/xmpp/buddy' id='1'><buddy jid='bob@localhost'/></removed>`,
			Removed{Kind: Buddies, View: "1", Buddies: []jid.JID{addr(t, "bob@localhost")}}},
		{"activities added", `<added xmlns='http://laptop.org/xmpp/activity' id='1'>` + chat + `</added>`,
			Added{Kind: Activities, View: "1", Activities: []Activity{chatActivity(t)}}},
		{"activities removed", `<removed xmlns='http://laptop.org/xmpp/activity' id='1'><activity id='a' room='room1@conference.localhost'/></removed>`,
			Removed{Kind: Activities, View: "1", Activities: []olpc.Activity{{ID: "a", Room: room}}}},
		{"membership", `<activity xmlns='http://laptop.org/xmpp/activity' room='room1@conference.localhost' view='1'>` +
			`<joined jid='bob@localhost'>` + bobProps + `</joined><left jid='jean@localhost'/></activity>`,
			Membership{View: "1", Room: room, Joined: []Buddy{{JID: addr(t, "bob@localhost"), Properties: bob(t)}}, Left: []jid.JID{addr(t, "jean@localhost")}}},
	} {
		for _, typ := range []string{"", "type='headline'", "type='notice'", "type='normal'"} { // of all programs there were
			got := ParseNotifications(parse(t, `<message `+typ+`>`+c.in+amp.Immediate.String()+`</message>`))
			if diff := cmp.Diff([]Notification{c.want}, got, byValue); diff != "" {
				t.Errorf("%s %s (-want +got):\n%s", c.name, typ, diff)
			}
		}
		want := parse(t, `<message to='ada@localhost/xo' type='headline'>`+c.in+amp.Immediate.String()+`</message>`)
		if built := Message(addr(t, "ada@localhost/xo"), c.want); !built.Equal(want) {
			t.Errorf("%s: built %s", c.name, built)
		}
	}
}

func TestParseNotifications_lenient(t *testing.T) {
	room := addr(t, "r@c")
	for _, c := range []struct {
		name, in string
		want     []Notification
	}{
		{"membership with the view in its old attribute", `<activity xmlns='` + NSActivity + `' room='r@c' id='1'><left jid='a@b'/></activity>`,
			[]Notification{Membership{View: "1", Room: room, Left: []jid.JID{addr(t, "a@b")}}}},
		{"activity with its id in the old attribute", `<added xmlns='` + NSActivity + `' id='1'><activity activity='a' room='r@c'/></added>`,
			[]Notification{Added{Kind: Activities, View: "1", Activities: []Activity{{Activity: olpc.Activity{ID: "a", Room: room}}}}}},
		{"current activity as in its node", `<change xmlns='` + NSBuddy + `' jid='a@b' id='1'><activity xmlns='` + olpc.NodeCurrentActivity + `' type='a' room='r@c'/></change>`,
			[]Notification{BuddyChange{View: "1", Buddy: Buddy{JID: addr(t, "a@b")}, Moved: true, Current: olpc.Activity{ID: "a", Room: room}}}},
		{"removed by room alone", `<removed xmlns='` + NSActivity + `' id='1'><activity room='r@c'/><activity id='a'/></removed>`,
			[]Notification{Removed{Kind: Activities, View: "1", Activities: []olpc.Activity{{Room: room}}}}},
		{"two in one", `<removed xmlns='` + NSBuddy + `' id='1'/><added xmlns='` + NSBuddy + `' id='1'/>`,
			[]Notification{Removed{View: "1"}, Added{View: "1"}}},
		{"no view", `<change xmlns='` + NSBuddy + `' jid='a@b'/><added xmlns='` + NSBuddy + `'/><activity xmlns='` + NSActivity + `' room='r@c'/>`, nil},
		{"nobody", `<change xmlns='` + NSBuddy + `' id='1'/><change xmlns='` + NSActivity + `' id='1'/>`, nil},
		{"of others", `<added xmlns='x' id='1'/><other xmlns='` + NSBuddy + `' id='1'/><body>hi</body>`, nil},
	} {
		got := ParseNotifications(parse(t, `<message type='notice'>`+c.in+`</message>`))
		if diff := cmp.Diff(c.want, got, byValue); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	if got := ParseNotifications(parse(t, `<message type='error'><added xmlns='`+NSBuddy+`' id='1'/></message>`)); got != nil {
		t.Errorf("our own words came back: %v", got)
	}
}

func TestParse_hostile(t *testing.T) {
	buddies := strings.Repeat(`<buddy jid='a@b'/>`, MaxEntries+1)
	n := ParseNotifications(parse(t, `<message><added xmlns='`+NSBuddy+`' id='1'>`+buddies+`</added></message>`))
	if len(n) != 1 || len(n[0].(Added).Buddies) != MaxEntries {
		t.Errorf("%d notifications", len(n))
	}
	if n := ParseNotifications(parse(t, `<message>`+strings.Repeat(`<added xmlns='`+NSBuddy+`' id='1'/>`, MaxEntries+1)+`</message>`)); len(n) != MaxEntries {
		t.Errorf("%d notifications", len(n))
	}
}

// FuzzParse asserts that what is read reads the same once written, and limits.
func TestIntroduction(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Introduction
	}{
		{"asks", `<buddy xmlns='http://laptop.org/xmpp/buddy' jid='bob@localhost' alias='Bob' asks='true'>` + bobProps + `</buddy>`,
			Introduction{Buddy{addr(t, "bob@localhost"), "Bob", bob(t)}, true}},
		{"answers", `<buddy xmlns='http://laptop.org/xmpp/buddy' jid='bob@localhost'/>`, Introduction{Buddy: Buddy{JID: addr(t, "bob@localhost")}}},
		{"without an address", `<buddy xmlns='http://laptop.org/xmpp/buddy' asks='true'/>`, Introduction{Asks: true}},
		{"malformed", `<buddy xmlns='http://laptop.org/xmpp/buddy' jid='@'/>`, Introduction{}},
		{"of a service", `<buddy xmlns='http://laptop.org/xmpp/buddy' jid='localhost'/>`, Introduction{}},
		{"something else", `<buddy xmlns='x' jid='bob@localhost'/>`, Introduction{}},
	} {
		presence := parse(t, `<presence>`+c.in+`</presence>`)
		got, is := ParseIntroduction(presence)
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || is != !c.want.JID.IsZero() {
			t.Errorf("%s: %v (-want +got):\n%s", c.name, is, diff)
		}
		if built := c.want.Element(); is && !built.Equal(presence.First()) {
			t.Errorf("%s: built %s", c.name, built)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<iq type='get'><view xmlns='` + NSBuddy + `' id='1' size='10'><buddy alias='tom'>` + bobProps + `</buddy></view></iq>`,
		`<iq type='get'><view xmlns='` + NSActivity + `' id='1' size='10'><activity room='r@c'>` + chatProps + `<buddy jid='a@b'/></activity></view></iq>`,
		`<iq type='result'><view xmlns='` + NSActivity + `' id='1' size='10'>` + chat + `</view></iq>`,
		`<message type='notice'><added xmlns='` + NSActivity + `' id='1'>` + chat + `</added></message>`,
		`<message><change xmlns='` + NSBuddy + `' jid='a@b' id='1'><activity xmlns='` + olpc.NodeCurrentActivity + `' id='a' room='r@c'/></change></message>`,
		`<message><activity xmlns='` + NSActivity + `' room='r@c' view='1'><joined jid='a@b'>` + bobProps + `</joined><left jid='b@b'/></activity></message>`,
		`<message><close xmlns='` + NSBuddy + `' id='1'/></message>`,
		`<presence><buddy xmlns='` + NSBuddy + `' jid='a@b' alias='A' asks='true'>` + bobProps + `</buddy></presence>`,
	} {
		f.Add(s)
	}
	to := addr(f, "a@b/c")
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		same := func(a, b any) {
			t.Helper()
			if diff := cmp.Diff(a, b, byValue); diff != "" {
				t.Fatalf("%s (-first +again):\n%s", in, diff)
			}
		}
		if i, is := ParseIntroduction(e); is {
			again, is := ParseIntroduction(stanza.New(stanza.NSClient, "presence", i.Element()))
			same(i, again)
			same(true, is)
		}
		if r, bad := ParseRequest(e); bad == nil {
			again, bad := ParseRequest(r.IQ(to))
			if bad != nil {
				t.Fatal(bad)
			}
			same(r, again)
		}
		if c, ok := ParseContent(e); ok {
			again, _ := ParseContent(stanza.New("x", "iq", c.Element()))
			same(c, again)
		}
		for _, n := range ParseNotifications(e) {
			same([]Notification{n}, ParseNotifications(Message(to, n)))
		}
		for _, c := range ParseClose(e) {
			same([]Close{c}, ParseClose(c.Message(to)))
		}
	})
}
