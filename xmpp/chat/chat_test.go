package chat

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const inMessage = `<message from='romeo@montague.net/orchard' type='chat' id='m1'>`

var romeo = jidOf("romeo@montague.net/orchard")

// parseTable has the examples of the extensions, what a school's server was
// seen to send, and what else comes.
var parseTable = []struct {
	name, in string
	by       string
	want     *Message // nil for none
}{
	{"RFC 6121 §5.2", `<message from='romeo@montague.net/orchard' id='sl3nx51f' to='juliet@example.com/balcony' type='chat' xml:lang='en'><body>Neither, fair saint, if either thee dislike.</body></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "sl3nx51f", Body: "Neither, fair saint, if either thee dislike.", HasBody: true}},
	{"no type, no id", `<message from='romeo@montague.net/orchard'><body/></message>`, "",
		&Message{From: romeo, Type: Normal, HasBody: true}},
	{"unknown type", `<message from='romeo@montague.net/orchard' type='shout'/>`, "", &Message{From: romeo, Type: Normal}},
	{"own account", `<message type='headline'><body>a</body></message>`, "", &Message{Type: Headline, Body: "a", HasBody: true}},
	{"seen on ejabberd", `<message xml:lang='en' to='b@school.test/sugar' from='r@conference.school.test/Alice' type='groupchat' id='32b4'><active xmlns='http://jabber.org/protocol/chatstates'/><body>private hello</body></message>`, "r@conference.school.test",
		&Message{From: jidOf("r@conference.school.test/Alice"), Type: Groupchat, ID: "32b4", Body: "private hello", HasBody: true, State: Active}},
	{"body without language", inMessage + `<body xml:lang='cs'>č</body><body>e</body><body xml:lang='el'>ε</body></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Body: "e", HasBody: true}},
	{"first language", inMessage + `<body xml:lang='cs'>č</body><body xml:lang='el'>ε</body></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Body: "č", HasBody: true}},
	{"body of another namespace", inMessage + `<body xmlns='x'>no</body></message>`, "", &Message{From: romeo, Type: Chat, ID: "m1"}},
	{"XEP-0085 composing", inMessage + `<composing xmlns='http://jabber.org/protocol/chatstates'/></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", State: Composing}},
	{"unknown state", inMessage + `<dancing xmlns='http://jabber.org/protocol/chatstates'/></message>`, "", &Message{From: romeo, Type: Chat, ID: "m1"}},
	{"XEP-0184 request", inMessage + `<body>a</body><request xmlns='urn:xmpp:receipts'/></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Body: "a", HasBody: true, WantsReceipt: true}},
	{"request without id", `<message from='romeo@montague.net/orchard'><request xmlns='urn:xmpp:receipts'/></message>`, "",
		&Message{From: romeo, Type: Normal}},
	{"request in a room", `<message from='romeo@montague.net/orchard' type='groupchat' id='1'><request xmlns='urn:xmpp:receipts'/></message>`, "",
		&Message{From: romeo, Type: Groupchat, ID: "1"}},
	{"XEP-0184 receipt", `<message from='romeo@montague.net/orchard' id='bi29sg183b4v'><received xmlns='urn:xmpp:receipts' id='richard2-4.1.247'/></message>`, "",
		&Message{From: romeo, Type: Normal, ID: "bi29sg183b4v", Received: "richard2-4.1.247"}},
	{"XEP-0203 offline", inMessage + `<body>a</body><delay xmlns='urn:xmpp:delay' from='capulet.com' stamp='2002-09-10T23:08:25Z'>Offline Storage</delay></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Body: "a", HasBody: true, Delayed: true, Stamp: time.Date(2002, 9, 10, 23, 8, 25, 0, time.UTC)}},
	{"time zone and fraction", inMessage + `<delay xmlns='urn:xmpp:delay' stamp='2002-09-10T17:08:25.5-06:00'/></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Delayed: true, Stamp: time.Date(2002, 9, 10, 23, 8, 25, 5e8, time.UTC)}},
	{"XEP-0091", inMessage + `<x xmlns='jabber:x:delay' stamp='20020910T23:08:25'/></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Delayed: true, Stamp: time.Date(2002, 9, 10, 23, 8, 25, 0, time.UTC)}},
	{"both forms", inMessage + `<x xmlns='jabber:x:delay' stamp='20010910T23:08:25'/><delay xmlns='urn:xmpp:delay' stamp='2002-09-10T23:08:25Z'/></message>`, "",
		&Message{From: romeo, Type: Chat, ID: "m1", Delayed: true, Stamp: time.Date(2002, 9, 10, 23, 8, 25, 0, time.UTC)}},
	{"forged beside the room's", inMessage + `<delay xmlns='urn:xmpp:delay' stamp='1999-01-01T00:00:00Z'/><delay xmlns='urn:xmpp:delay' from='r@c' stamp='2002-09-10T23:08:25Z'/></message>`, "r@c",
		&Message{From: romeo, Type: Chat, ID: "m1", Delayed: true, Stamp: time.Date(2002, 9, 10, 23, 8, 25, 0, time.UTC)}},
	{"time that is none", inMessage + `<delay xmlns='urn:xmpp:delay' stamp='yesterday'/></message>`, "", &Message{From: romeo, Type: Chat, ID: "m1", Delayed: true}},
	{"error", `<message from='romeo@montague.net/orchard' type='error' id='m1'><body>a</body><received xmlns='urn:xmpp:receipts' id='2'/><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>`, "",
		&Message{From: romeo, Type: Failed, ID: "m1", Body: "a", HasBody: true, Err: stanza.NewError(stanza.ServiceUnavailable, "")}},
	{"error without error", `<message from='romeo@montague.net/orchard' type='error'/>`, "",
		&Message{From: romeo, Type: Failed, Err: stanza.NewError(stanza.UndefinedCondition, "")}},
	{"forged copy received", inMessage + `<received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client'><body>a</body></message></forwarded></received></message>`, "", nil},
	{"forged copy sent, with a body", inMessage + `<body>b</body><sent xmlns='urn:xmpp:carbons:2'/></message>`, "", nil},
	{"not to be copied", inMessage + `<private xmlns='urn:xmpp:carbons:2'/></message>`, "", &Message{From: romeo, Type: Chat, ID: "m1"}},
	{"no address", `<message from='@'/>`, "", nil},
	{"not a message", `<presence from='a@b'/>`, "", nil},
}

var byValue = cmp.AllowUnexported(jid.JID{})

func TestParse(t *testing.T) {
	for _, c := range parseTable {
		t.Run(c.name, func(t *testing.T) {
			var by jid.JID
			if c.by != "" {
				by = jidOf(c.by)
			}
			got, ok := Parse(parse(t, c.in), by)
			if ok != (c.want != nil) {
				t.Fatalf("read %v", ok)
			}
			if c.want == nil {
				return
			}
			if diff := cmp.Diff(*c.want, got, byValue); diff != "" {
				t.Errorf("message (-want +got):\n%s", diff)
			}
		})
	}
	if _, ok := Parse(nil, jid.JID{}); ok {
		t.Error("a message out of nothing")
	}
}

func TestBuild(t *testing.T) {
	for _, c := range []struct {
		name string
		got  *stanza.Element
		want string
	}{
		{"message", Build(romeo, Chat, "m1", "a", Active.Element(), ReceiptRequest()), `<message to='romeo@montague.net/orchard' type='chat' id='m1'><body>a</body>` +
			`<active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>`},
		{"empty body", Build(romeo, Chat, "", ""), `<message to='romeo@montague.net/orchard' type='chat'><body/></message>`},
		{"state", BuildBare(romeo, Groupchat, "", Paused.Element()), `<message to='romeo@montague.net/orchard' type='groupchat'><paused xmlns='http://jabber.org/protocol/chatstates'/></message>`},
		{"receipt", Receipt(Message{From: romeo, Type: Chat, ID: "m1"}), `<message to='romeo@montague.net/orchard' type='chat'><received xmlns='urn:xmpp:receipts' id='m1'/></message>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.got.String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// FuzzParse asserts that what was read says the same when it is written and
// read again, as far as we write it.
func FuzzParse(f *testing.F) {
	for _, c := range parseTable {
		f.Add(c.in, c.by)
	}
	f.Fuzz(func(t *testing.T, in, by string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		room, _ := jid.ParseLenient(by)
		m, ok := Parse(e, room)
		if !ok {
			return
		}
		if (m.Err != nil) != (m.Type == Failed) || !m.Stamp.IsZero() && !m.Delayed || m.WantsReceipt && m.ID == "" || m.Body != "" && !m.HasBody {
			t.Fatalf("contradiction in %+v", m)
		}
		var parts []stanza.Part
		if m.State != "" {
			parts = append(parts, m.State.Element())
		}
		if m.WantsReceipt {
			parts = append(parts, ReceiptRequest())
		}
		build := BuildBare
		if m.HasBody {
			build = func(to jid.JID, typ Type, id string, parts ...stanza.Part) *stanza.Element {
				return Build(to, typ, id, m.Body, parts...)
			}
		}
		again, ok := Parse(build(m.From, m.Type, m.ID, parts...).With(stanza.A("from", m.From.String())), room)
		m.Delayed, m.Stamp, m.Received, m.Err, again.Err = false, time.Time{}, "", nil, nil
		if diff := cmp.Diff(m, again, byValue); !ok || diff != "" {
			t.Errorf("built and read again (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	e := parse(b, inMessage+`<body>`+strings.Repeat("a", 200)+`</body><active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/></message>`)
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := Parse(e, jid.JID{}); !ok {
			b.Fatal("not read")
		}
	}
}

var parse = xmpptest.Element

func jidOf(s string) jid.JID {
	j, err := jid.ParseLenient(s)
	if err != nil {
		panic(err)
	}
	return j
}
