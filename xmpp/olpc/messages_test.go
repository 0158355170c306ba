package olpc

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
)

const bob = "926bbd1ae5a207bc97ea472bb484499d3871be18@schoolserver.test"

func TestBuildMessages(t *testing.T) {
	a, to := golden(t), addr(t, bob+"/sugar")
	checkXML(t, BuildRoomMessage(a), `<message type='groupchat' to='`+goldenRoom+`'>`+goldenProperties+`</message>`)
	checkXML(t, BuildInvitation(to, a), `<message to='`+bob+`'>`+goldenProperties+`</message>`)
	checkXML(t, BuildUninvite(to, a.Activity), `<message to='`+bob+`'><uninvite xmlns='http://laptop.org/xmpp/activity-properties' id='`+
		goldenID+`' room='`+goldenRoom+`'/></message>`)
}

func TestParseProperties(t *testing.T) {
	const ns = " xmlns='" + NodeActivityProperties + "'"
	activity := func(room string) ActivityProperties {
		a := ActivityProperties{Activity: Activity{ID: "a"}, Properties: Properties{}}
		if room != "" {
			a.Room = addr(t, room)
		}
		return a
	}
	for _, c := range []struct {
		name, in string
		want     ActivityProperties
		ok       bool
	}{
		{"recorded", "<message type='groupchat' from='" + goldenRoom + "/Alice'>" + goldenProperties + "</message>", golden(t), true},
		{"no type, after a body", "<message><body>x</body>" + goldenProperties + "</message>", golden(t), true},
		{"no room", "<message type='groupchat'><properties" + ns + " activity='a'/></message>", activity(""), true},
		{"bad room", "<message><properties" + ns + " activity='a' room='/'/></message>", activity(""), true},
		{"id in place of activity", "<message><properties" + ns + " id='a' room='r@c'/></message>", activity("r@c"), true},
		{"no id", "<message><properties" + ns + " room='r@c'/></message>", ActivityProperties{}, false},
		{"our own invitation coming back", "<message type='error'>" + goldenProperties + "<error type='cancel'/></message>", ActivityProperties{}, false},
		{"within something forwarded", "<message><forwarded xmlns='urn:xmpp:forward:0'>" + goldenProperties + "</forwarded></message>", ActivityProperties{}, false},
		{"none", "<message><body>x</body></message>", ActivityProperties{}, false},
		{"not a message", "<presence>" + goldenProperties + "</presence>", ActivityProperties{}, false},
	} {
		got, ok := ParseProperties(parse(t, c.in))
		if diff := cmp.Diff(c.want, got, byValue); diff != "" || ok != c.ok {
			t.Errorf("%s: ok %v (-want +got):\n%s", c.name, ok, diff)
		}
	}
}

func TestParseUninvite(t *testing.T) {
	const ns = " xmlns='" + NodeActivityProperties + "'"
	want := Activity{"a", addr(t, "r@c")}
	for _, c := range []struct {
		name, in string
		want     Activity
	}{
		{"usual", "<message><uninvite" + ns + " id='a' room='r@c'/></message>", want},
		{"activity in place of id", "<message type='normal'><uninvite" + ns + " activity='a' room='r@c'/></message>", want},
		{"no id", "<message><uninvite" + ns + " room='r@c'/></message>", Activity{}},
		{"no room", "<message><uninvite" + ns + " id='a'/></message>", Activity{}},
		{"coming back", "<message type='error'><uninvite" + ns + " id='a' room='r@c'/></message>", Activity{}},
		{"none", "<message/>", Activity{}},
	} {
		if got, ok := ParseUninvite(parse(t, c.in)); got != c.want || ok != (c.want != Activity{}) {
			t.Errorf("%s: got %v, %v", c.name, got, ok)
		}
	}
}

// FuzzMessages asserts that an invitation that is read can be sent on.
func FuzzMessages(f *testing.F) {
	f.Add("<message>" + goldenProperties + "</message>")
	f.Add("<message><uninvite xmlns='" + NodeActivityProperties + "' id='a' room='r@c'/></message>")
	to := addr(f, bob)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		if a, ok := ParseProperties(e); ok && a.Properties.Check() == nil {
			if again, ok := ParseProperties(BuildInvitation(to, a)); !ok || again.Activity != a.Activity || !again.Properties.Equal(a.Properties) {
				t.Fatalf("%s: %v, then %v", in, a, again)
			}
		}
		if a, ok := ParseUninvite(e); ok {
			if again, ok := ParseUninvite(BuildUninvite(to, a)); !ok || again != a {
				t.Fatalf("%s: %v, then %v", in, a, again)
			}
		}
	})
}
