package olpc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

var byValue = cmp.Comparer(func(a, b jid.JID) bool { return a == b })

// The activity of the recorded session, as telepathy-gabble wrote it.
const (
	goldenID         = "46f0e2e659383f8833003330f4ec25bccdf8ab42"
	goldenRoom       = goldenID + "@conference.schoolserver.test"
	goldenActivities = `<activities xmlns='http://laptop.org/xmpp/activities'><activity type='` + goldenID + `' room='` + goldenRoom + `'/></activities>`
	goldenProperties = `<properties room='` + goldenRoom + `' activity='` + goldenID + `' xmlns='http://laptop.org/xmpp/activity-properties'>` +
		`<property name='color' type='str'>#FF2B34,#005FE4</property><property name='name' type='str'>Chat Activity</property>` +
		`<property name='private' type='bool'>0</property><property name='type' type='str'>org.laptop.Chat</property></properties>`
	goldenList    = `<activities xmlns='http://laptop.org/xmpp/activity-properties'>` + goldenProperties + `</activities>`
	goldenCurrent = `<activity type='` + goldenID + `' room='` + goldenRoom + `' xmlns='http://laptop.org/xmpp/current-activity'/>`
	goldenNone    = `<activity type='' room='' xmlns='http://laptop.org/xmpp/current-activity'/>`
)

func golden(t testing.TB) ActivityProperties {
	return ActivityProperties{
		Activity:   Activity{ID: goldenID, Room: addr(t, goldenRoom)},
		Properties: Properties{"private": false, "color": "#FF2B34,#005FE4", "name": "Chat Activity", "type": "org.laptop.Chat"},
	}
}

func TestBuild(t *testing.T) {
	a := golden(t)
	checkXML(t, BuildActivities([]Activity{a.Activity}), goldenActivities)
	checkXML(t, BuildActivities(nil), `<activities xmlns='http://laptop.org/xmpp/activities'/>`)
	checkXML(t, BuildActivityProperties([]ActivityProperties{a}), goldenList)
	checkXML(t, BuildActivityProperties(nil), `<activities xmlns='http://laptop.org/xmpp/activity-properties'/>`)
	checkXML(t, BuildCurrentActivity(a.Activity), goldenCurrent)
	checkXML(t, BuildCurrentActivity(Activity{}), goldenNone)
}

func TestParseActivities(t *testing.T) {
	const open = "<activities xmlns='" + NodeActivities + "'>"
	one := []Activity{{ID: "a", Room: addr(t, "r@c")}}
	for _, c := range []struct {
		name, in string
		want     []Activity
		ok       bool
	}{
		{"recorded", goldenActivities, []Activity{golden(t).Activity}, true},
		{"none", open + "</activities>", nil, true},
		{"no payload", "<item xmlns='x'/>", nil, false},
		{"the other node's payload", goldenList, nil, false},
		{"id as Gadget writes it", open + "<activity id='a' room='r@c'/></activities>", one, true},
		{"type before id", open + "<activity type='a' id='b' room='r@c'/></activities>", one, true},
		{"empty type, id", open + "<activity type='' id='a' room='r@c'/></activities>", one, true},
		{"bad ones hide no others", open + "<activity/><activity type='x'/><activity room='y@c'/><activity type='x' room='c'/>" +
			"<activity type='x' room='r@c/nick'/><other type='x' room='z@c'/><activity type='" + strings.Repeat("x", 256) + "' room='l@c'/>" +
			"<activity type='a' room='r@c'/></activities>", one, true},
		{"room twice: first counts", open + "<activity type='a' room='r@c'/><activity type='b' room='r@c'/></activities>", one, true},
		{"room twice in other letters", open + "<activity type='a' room='r@c'/><activity type='b' room='R@C'/></activities>", one, true},
		{"id twice", open + "<activity type='a' room='r@c'/><activity type='a' room='s@c'/></activities>",
			append(one, Activity{ID: "a", Room: addr(t, "s@c")}), true},
	} {
		got, ok := ParseActivities(parse(t, c.in))
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || ok != c.ok {
			t.Errorf("%s: ok %v (-want +got):\n%s", c.name, ok, diff)
		}
	}
}

func TestParseActivityProperties(t *testing.T) {
	const open = "<activities xmlns='" + NodeActivityProperties + "'>"
	const prop = "<property name='n' type='str'>1</property>"
	room := func(id, room, value string) ActivityProperties {
		return ActivityProperties{Activity{id, addr(t, room)}, Properties{"n": value}}
	}
	for _, c := range []struct {
		name, in string
		want     []ActivityProperties
		ok       bool
	}{
		{"recorded", goldenList, []ActivityProperties{golden(t)}, true},
		{"none", open + "</activities>", nil, true},
		{"no payload", goldenActivities, nil, false},
		{"no wrapper", goldenProperties, nil, false},
		{"no id", open + "<properties room='r@c'>" + prop + "</properties></activities>", []ActivityProperties{room("", "r@c", "1")}, true},
		{"no room, bad room, no properties", open + "<properties activity='a'>" + prop + "</properties><properties activity='a' room='c'>" + prop +
			"</properties><properties activity='a' room='r@c'/><properties activity='b' room='s@c'>" + prop + "</properties></activities>",
			[]ActivityProperties{room("b", "s@c", "1")}, true},
		{"room twice: last counts, in its place", open + "<properties activity='a' room='r@c'>" + prop + "</properties><properties activity='b' room='s@c'>" + prop +
			"</properties><properties activity='a' room='r@c'><property name='n' type='str'>2</property></properties><properties room='r@c'/></activities>",
			[]ActivityProperties{room("a", "r@c", "2"), room("b", "s@c", "1")}, true},
	} {
		got, ok := ParseActivityProperties(parse(t, c.in))
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || ok != c.ok {
			t.Errorf("%s: ok %v (-want +got):\n%s", c.name, ok, diff)
		}
	}
}

func TestParseCurrentActivity(t *testing.T) {
	const open = "<activity xmlns='" + NodeCurrentActivity + "' "
	for _, c := range []struct {
		name, in string
		want     Activity
		ok       bool
	}{
		{"recorded", goldenCurrent, golden(t).Activity, true},
		{"recorded, none", goldenNone, Activity{}, true},
		{"no attributes", open + "/>", Activity{}, true},
		{"id as Gadget writes it", open + "id='a' room='r@c'/>", Activity{"a", addr(t, "r@c")}, true},
		{"no room", open + "type='a'/>", Activity{}, true},
		{"bad room", open + "type='a' room='@'/>", Activity{}, true},
		{"no id", open + "room='r@c'/>", Activity{"", addr(t, "r@c")}, true},
		{"no payload", goldenActivities, Activity{}, false},
	} {
		if got, ok := ParseCurrentActivity(parse(t, c.in)); got != c.want || ok != c.ok {
			t.Errorf("%s: got %v, %v", c.name, got, ok)
		}
	}
}

func TestVisible(t *testing.T) {
	for _, c := range []struct {
		name, id string
		p        Properties
		want     bool
	}{
		{"public", "a", Properties{"private": false}, true},
		{"private", "a", Properties{"private": true}, false},
		{"no id", "", Properties{"private": false}, false},
		{"no properties", "a", nil, false},
		{"not said", "a", Properties{"type": "org.laptop.Chat"}, false},
		{"not a bool", "a", Properties{"private": "0"}, false},
		{"not a bool", "a", Properties{"private": uint32(0)}, false},
	} {
		if got := (ActivityProperties{Activity{ID: c.id}, c.p}).Visible(); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// A contact that lists more than it can take part in costs no more than one
// that lists what it may.
func TestParseActivities_hostile(t *testing.T) {
	var list, properties strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&list, "<activity type='%d' room='%d@c'/>", i, i)
	}
	got, ok := ParseActivities(parse(t, "<activities xmlns='"+NodeActivities+"'>"+list.String()+"</activities>"))
	if len(got) != MaxActivities || !ok || got[0].ID != "0" {
		t.Errorf("%d activities", len(got))
	}
	text := strings.Repeat("x", 3<<10)
	for i := range 300 {
		fmt.Fprintf(&properties, "<properties activity='%d' room='%d@c'><property name='n' type='str'>%s</property></properties>", i, i, text)
	}
	all, ok := ParseActivityProperties(parse(t, "<activities xmlns='"+NodeActivityProperties+"'>"+properties.String()+"</activities>"))
	size := 0
	for _, a := range all {
		size += len(a.Properties["n"].(string))
	}
	if len(all) == 0 || len(all) > MaxActivities || size > maxListBytes || !ok {
		t.Errorf("%d activities with %d bytes", len(all), size)
	}
}

// FuzzNodes asserts limits and that what is read reads the same once written.
func FuzzNodes(f *testing.F) {
	for _, s := range []string{goldenActivities, goldenList, goldenCurrent, goldenNone, goldenProperties} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		if list, ok := ParseActivities(e); ok {
			again, _ := ParseActivities(BuildActivities(list))
			if diff := cmp.Diff(list, again, byValue); diff != "" || len(list) > MaxActivities {
				t.Fatalf("%s (-first +again):\n%s", in, diff)
			}
		}
		if list, ok := ParseActivityProperties(e); ok {
			again, _ := ParseActivityProperties(BuildActivityProperties(list))
			if len(list) > MaxActivities || len(again) > len(list) {
				t.Fatalf("%s: %d, then %d", in, len(list), len(again))
			}
		}
		if a, ok := ParseCurrentActivity(e); ok {
			if again, ok := ParseCurrentActivity(BuildCurrentActivity(a)); !ok || again != a {
				t.Fatalf("%s: %v, then %v", in, a, again)
			}
		}
	})
}

// BenchmarkParseActivityProperties is what an event costs that a contact in
// five activities sends to everybody.
func BenchmarkParseActivityProperties(b *testing.B) {
	var list []ActivityProperties
	for i := range 5 {
		a := golden(b)
		a.Room = addr(b, fmt.Sprintf("%d%s", i, goldenRoom))
		list = append(list, a)
	}
	e := BuildActivityProperties(list)
	b.ReportAllocs()
	for b.Loop() {
		ParseActivityProperties(e)
	}
}

// BenchmarkParseActivities_hostile is how long the loop stands still for a list
// of addresses that are hard to prepare.
func BenchmarkParseActivities_hostile(b *testing.B) {
	e := stanza.New(NodeActivities, "activities")
	for i := range 10_000 {
		e = e.With(stanza.New(NodeActivities, "activity", stanza.A("type", "a"), stanza.A("room", fmt.Sprintf("%sÄ%d@C", strings.Repeat("É", 30), i))))
	}
	b.ReportAllocs()
	for b.Loop() {
		ParseActivities(e)
	}
}
