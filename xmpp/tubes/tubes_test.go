package tubes

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const (
	ns       = ` xmlns='` + NS + `'`
	nsClient = ` xmlns='jabber:client'`
	room     = "a1b2@conference.school.example"
)

var (
	addr     = xmpptest.JID
	parseXML = xmpptest.Element
)

func checkXML(t *testing.T, got *stanza.Element, want string) {
	t.Helper()
	if !got.Equal(parseXML(t, want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Of the protocol's own example, and of a tube with parameters of all types.
const golden = `<tubes` + ns + `><tube type='dbus' service='org.laptop.Chat' id='77' stream-id='1700000000-42' initiator='` + room + `/Ada' dbus-name=':2.QWRh'><parameters/></tube>` +
	`<tube type='stream' service='http' id='9'><parameters>` +
	`<parameter name='b' type='bool'>1</parameter><parameter name='i' type='int'>-7</parameter>` +
	`<parameter name='s' type='str'>hi</parameter><parameter name='u' type='uint'>7</parameter>` +
	`<parameter name='y' type='bytes'>AAE=</parameter></parameters></tube></tubes>`

func goldenTubes(t testing.TB) []Tube {
	return []Tube{
		{Type: DBus, Service: "org.laptop.Chat", ID: 77, Parameters: olpc.Properties{},
			StreamID: "1700000000-42", Initiator: addr(t, room+"/Ada"), DBusName: ":2.QWRh"},
		{Type: Stream, Service: "http", ID: 9, Parameters: olpc.Properties{
			"b": true, "i": int32(-7), "s": "hi", "u": uint32(7), "y": []byte{0, 1}}},
	}
}

func presence(from, inner string) string {
	return `<presence` + nsClient + ` from='` + from + `'>` + inner + `</presence>`
}

func TestAnnouncement(t *testing.T) {
	checkXML(t, BuildAnnouncement(goldenTubes(t)), golden)
	checkXML(t, BuildAnnouncement(nil), `<tubes`+ns+`/>`)
	got, ok := ParseAnnouncement(parseXML(t, presence(room+"/Bob", golden)))
	if want := goldenTubes(t); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
}

func TestParseAnnouncement(t *testing.T) {
	const from = room + "/Bob"
	dbus := func(attrs string) string { return `<tubes` + ns + `><tube type='dbus' ` + attrs + `/></tubes>` }
	const whole = `service='s' id='1' stream-id='x' initiator='` + room + `/Ada' dbus-name=':1.1'`
	stream := func(attrs string) string { return `<tubes` + ns + `><tube type='stream' ` + attrs + `/></tubes>` }
	for _, c := range []struct {
		name, in string
		ids      []uint32
		ok       bool
	}{
		{"nothing said", "", nil, false},
		{"other namespace", `<tubes/>`, nil, false},
		{"none", `<tubes` + ns + `/>`, nil, true},
		{"dbus", dbus(whole), []uint32{1}, true},
		{"dbus without stream", dbus(strings.Replace(whole, "stream-id='x'", "", 1)), nil, true},
		{"dbus without initiator", dbus(strings.Replace(whole, "initiator", "i", 1)), nil, true},
		{"dbus without name", dbus(strings.Replace(whole, "dbus-name", "n", 1)), nil, true},
		{"initiator is the room", dbus(strings.Replace(whole, "/Ada", "", 1)), nil, true},
		{"initiator elsewhere", dbus(strings.Replace(whole, "a1b2", "x", 1)), nil, true},
		{"initiator is nothing", dbus(strings.Replace(whole, room+"/Ada", "@", 1)), nil, true},
		{"stream", stream(`service='s' id='4294967295'`), []uint32{4294967295}, true},
		{"without service", stream(`id='1'`), nil, true},
		{"long service", stream(`id='1' service='` + strings.Repeat("s", MaxText+1) + `'`), nil, true},
		{"without id", stream(`service='s'`), nil, true},
		{"id 0", stream(`service='s' id='0'`), nil, true},
		{"id too large", stream(`service='s' id='4294967296'`), nil, true},
		{"id negative", stream(`service='s' id='-1'`), nil, true},
		{"id not decimal", stream(`service='s' id='0x1'`), nil, true},
		{"other type", `<tubes` + ns + `><tube type='x' service='s' id='1'/></tubes>`, nil, true},
		{"a bad one among good ones", `<tubes` + ns + `><tube type='stream' service='s' id='1'/><tube/><other/><tube type='stream' service='s' id='2'/></tubes>`, []uint32{1, 2}, true},
		{"one id twice", `<tubes` + ns + `><tube type='stream' service='s' id='1'/><tube type='stream' service='t' id='1'/></tubes>`, []uint32{1}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseAnnouncement(parseXML(t, presence(from, c.in)))
			var ids []uint32
			for _, tube := range got {
				ids = append(ids, tube.ID)
			}
			if ok != c.ok || !reflect.DeepEqual(ids, c.ids) {
				t.Errorf("got %v %v, want %v %v", ids, ok, c.ids, c.ok)
			}
		})
	}
}

func TestParseAnnouncement_limits(t *testing.T) {
	var b strings.Builder
	long := strings.Repeat("x", olpc.MaxPropertiesBytes-1)
	for i := range 1000 {
		fmt.Fprintf(&b, "<tube type='stream' service='s' id='%d'><parameters><parameter name='p' type='str'>%s</parameter></parameters></tube>", i+1, long)
	}
	e := stanza.New(stanza.NSClient, "presence", stanza.A("from", room+"/Eve"))
	for i := range 1000 {
		e = e.With(stanza.New(NS, "x", stanza.A("n", fmt.Sprint(i))))
	}
	tubes := stanza.New(NS, "tubes")
	for i := range 1000 {
		tubes = tubes.With(Tube{Type: Stream, Service: "s", ID: uint32(i + 1), Parameters: olpc.Properties{"p": long}}.Element())
	}
	got, ok := ParseAnnouncement(e.With(tubes))
	size := 0
	for _, tube := range got {
		if p, ok := tube.Parameters["p"].(string); ok {
			size += len(p)
		}
	}
	if !ok || len(got) != MaxTubes || size > maxParametersBytes || size < maxParametersBytes/2 {
		t.Errorf("%d tubes with %d bytes of parameters", len(got), size)
	}
}

func TestOffer(t *testing.T) {
	to := addr(t, "4e5f@school.example/sugar")
	tube := Tube{Type: Stream, Service: "http", ID: 1402, Parameters: olpc.Properties{}}
	const amp = `<amp xmlns='http://jabber.org/protocol/amp'><rule condition='deliver-at' value='stored' action='error'/>` +
		`<rule condition='match-resource' value='exact' action='error'/></amp>`
	offer := BuildOffer(to, tube)
	checkXML(t, offer, `<message`+nsClient+` to='4e5f@school.example/sugar'><tube`+ns+` type='stream' service='http' id='1402'><parameters/></tube>`+amp+`</message>`)
	if got, ok := ParseOffer(offer); !ok || !reflect.DeepEqual(got, tube) {
		t.Errorf("offer reads as %v, %v", got, ok)
	}
	for _, typ := range []string{"error", "groupchat"} {
		if _, ok := ParseOffer(offer.With(stanza.A("type", typ))); ok {
			t.Errorf("an offer in a message of type %s counts", typ)
		}
	}
	checkXML(t, BuildClose(to, 1402), `<message`+nsClient+` to='4e5f@school.example/sugar'><close`+ns+` tube='1402' id='1402'/>`+amp+`</message>`)
	for in, want := range map[string]uint32{
		`<message` + nsClient + `><close` + ns + ` tube='3'/></message>`:              3,
		`<message` + nsClient + `><close` + ns + ` id='4'/></message>`:                4,
		`<message` + nsClient + `><close` + ns + ` tube='x' id='4'/></message>`:       4,
		`<message` + nsClient + `><close` + ns + `/></message>`:                       0,
		`<message` + nsClient + `><close` + ns + ` tube='0'/></message>`:              0,
		`<message` + nsClient + `><close tube='3'/></message>`:                        0,
		`<message` + nsClient + ` type='error'><close` + ns + ` tube='3'/></message>`: 0,
	} {
		if got, ok := ParseClose(parseXML(t, in)); got != want || ok != (want != 0) {
			t.Errorf("%s: %d %v", in, got, ok)
		}
	}
}

func TestPayload(t *testing.T) {
	tube := Tube{Type: DBus, Service: "org.laptop.Chat", ID: 5, Parameters: olpc.Properties{"a": "b"}}
	checkXML(t, BuildConnection(MUCStreamConnection, 9), `<muc-stream`+ns+` tube='9'/>`)
	checkXML(t, Accepted, `<tube`+ns+`/>`)
	for _, c := range []struct {
		name    string
		payload *stanza.Element
		want    Payload
		err     bool
	}{
		{"tube", tube.Element(), Payload{NewTube, 5, tube}, false},
		{"stream", BuildConnection(StreamConnection, 1402), Payload{Purpose: StreamConnection, ID: 1402}, false},
		{"muc-stream", BuildConnection(MUCStreamConnection, 9), Payload{Purpose: MUCStreamConnection, ID: 9}, false},
		{"bad tube", Accepted, Payload{}, true},
		{"no number", stanza.New(NS, "stream"), Payload{}, true},
		{"number 0", stanza.New(NS, "stream", stanza.A("tube", "0")), Payload{}, true},
		{"no payload", nil, Payload{}, true},
		{"another", stanza.New(NS, "stone"), Payload{}, true},
	} {
		got, err := ParsePayload(stanza.New("http://jabber.org/protocol/si", "si", c.payload))
		if !reflect.DeepEqual(got, c.want) || (err != nil) != c.err || err != nil && err.Condition != stanza.BadRequest {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestFeature(t *testing.T) {
	for feature, want := range map[string][2]string{
		Feature(DBus, "org.laptop.Chat"): {"dbus", "org.laptop.Chat"},
		Feature(Stream, "http"):          {"stream", "http"},
		NS:                               {},
		NS + "/":                         {},
		NS + "/stream#":                  {},
		NS + "/other#x":                  {},
		"jabber:iq:version":              {},
	} {
		typ, service, ok := ParseFeature(feature)
		if ok != (want[0] != "") || typ != Type(want[0]) || service != want[1] {
			t.Errorf("%s: %q %q %v", feature, typ, service, ok)
		}
	}
	if Feature(Stream, "http") != "http://telepathy.freedesktop.org/xmpp/tubes/stream#http" {
		t.Error(Feature(Stream, "http"))
	}
	if !Supported([]string{"a", NS + "/"}) || !Supported([]string{NS}) || Supported([]string{"a"}) {
		t.Error("Supported")
	}
}

// The vectors are those that the proto-XEP publishes.
func TestUniqueName(t *testing.T) {
	digits := strings.Repeat("0123456789", 20)
	for nick, want := range map[string]string{
		"short":        ":2.c2hvcnQA",
		"FirstWitch":   ":2.Rmlyc3RXaXRjaAAA",
		"Second witch": ":2.U2Vjb25kIHdpdGNo",
	} {
		if got := UniqueName(nick); got != want {
			t.Errorf("%q: %s, want %s", nick, got, want)
		}
	}
	for _, c := range []struct {
		nick, tail string
		length     int
	}{
		{digits[:186], "MDEyMzQ1", 251},
		{digits[:187], "EVd9C5NgmmRD6jp1ftG6XUEc11x", 255},
		{digits, "O-utwRnwcoUFhnJVMKg5pm9Hxal", 255},
	} {
		if got := UniqueName(c.nick); len(got) != c.length || !strings.HasSuffix(got, c.tail) {
			t.Errorf("%d characters: %d, %s", len(c.nick), len(got), got)
		}
	}
	if got := UniqueName("?>~?"); got != ":2.Pz5_PwAA" {
		t.Errorf("where base64 has slash or plus: %s", got)
	}
}

func TestCheckName(t *testing.T) {
	for _, c := range []struct {
		name string
		want bool
	}{
		{UniqueName("Ada"), true},
		{UniqueName("Bob"), false},
		{":1.42", true},
		{":1.a-B_9.x", true},
		{":1." + strings.Repeat("x", 252), true},
		{":1." + strings.Repeat("x", 253), false},
		{":1.", false},
		{":1..a", false},
		{":1.a.", false},
		{":1.a..b", false},
		{":1.é", false},
		{":1.a b", false},
		{":3.QWRh", false},
		{"org.laptop.Chat", false},
		{"", false},
	} {
		if got := CheckName(c.name, "Ada"); got != c.want {
			t.Errorf("%q: %v", c.name, got)
		}
	}
}

// FuzzAnnouncement asserts that what is read keeps its limits, and reads the
// same once it is written.
func FuzzAnnouncement(f *testing.F) {
	f.Add(golden)
	f.Add(`<tubes` + ns + `><tube type='stream' service='s' id='007'><parameters><parameter name='' type='str'/></parameters></tube></tubes>`)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(presence(room+"/Bob", in))
		if err != nil {
			return
		}
		got, _ := ParseAnnouncement(e)
		ids := make(map[uint32]bool)
		for _, tube := range got {
			if tube.ID == 0 || ids[tube.ID] || len(tube.Service) > MaxText {
				t.Fatalf("tube %v", tube)
			}
			ids[tube.ID] = true
			if tube.Parameters.Check() != nil {
				return // base64 may take more bytes than it came in
			}
		}
		again, ok := ParseAnnouncement(stanza.New(stanza.NSClient, "presence", stanza.A("from", room+"/Bob"), BuildAnnouncement(got)))
		if !ok || !reflect.DeepEqual(again, got) {
			t.Fatalf("%s\nreads as %v, which reads as %v", in, got, again)
		}
	})
}

// FuzzSingle asserts the same of offers, closes and stream initiations.
func FuzzSingle(f *testing.F) {
	f.Add(`<tube` + ns + ` type='dbus' service='s' id='1'/>`)
	f.Add(`<close` + ns + ` tube='x' id='1'/>`)
	f.Add(`<muc-stream` + ns + ` tube='1'/>`)
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(`<message` + nsClient + `>` + in + `</message>`)
		if err != nil {
			return
		}
		ParseClose(e)
		if p, err := ParsePayload(e); err == nil && p.ID == 0 {
			t.Fatalf("%s: %v", in, p)
		}
		to, _ := jid.ParseLenient("a@b/c")
		if tube, ok := ParseOffer(e); ok && tube.Parameters.Check() == nil {
			if again, ok := ParseOffer(BuildOffer(to, tube)); !ok || !reflect.DeepEqual(again, tube) {
				t.Fatalf("%s\nreads as %v, which reads as %v", in, tube, again)
			}
		}
	})
}
