package pep

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
)

// As ejabberd 23.01 sent it.
const goldenEvent = `<message to='e82a57a0affd3bbbfce7e5d7b22e717f25e4f09b@schoolserver.test/sugar' from='` + bob + `' type='headline'>` +
	`<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='http://laptop.org/xmpp/current-activity'><item id='703547341F477'>` +
	`<activity xmlns='http://laptop.org/xmpp/current-activity' type='' room=''/></item></items></event>` +
	`<addresses xmlns='http://jabber.org/protocol/address'><address jid='` + bob + `/sugar' type='replyto'/></addresses></message>`

func TestParseEvent(t *testing.T) {
	payload := parse(t, "<a xmlns='x'/>")
	owner := addr(t, "ada@school.test")
	message := func(attrs, event string) string {
		return "<message " + attrs + "><event xmlns='" + NSEvent + "'>" + event + "</event></message>"
	}
	const from = "from='ada@school.test' "
	const item = "<items node='n'><item id='1'><a xmlns='x'/></item></items>"
	published := Event{owner, "n", Published, Item{"1", payload}}
	for _, c := range []struct {
		name, in string
		want     Event // zero: not an event
	}{
		{"recorded", goldenEvent, Event{addr(t, bob), "http://laptop.org/xmpp/current-activity", Published,
			Item{"703547341F477", parse(t, "<activity xmlns='http://laptop.org/xmpp/current-activity' type='' room=''/>")}}},
		{"headline", message(from+"type='headline'", item), published},
		{"no type", message(from, item), published},
		{"normal", message(from+"type='normal'", item), published},
		{"from a resource", message("from='ada@school.test/sugar'", item), published},
		{"chat", message(from+"type='chat'", item), Event{}},
		{"groupchat", message(from+"type='groupchat'", item), Event{}},
		{"coming back", message(from+"type='error'", item), Event{}},
		{"no sender", message("", item), Event{}},
		{"bad sender", message("from='@'", item), Event{}},
		{"a service", message("from='pubsub.school.test'", item), Event{}},
		{"speaking for another", "<message from='mallory@school.test'><event xmlns='" + NSEvent + "'><items node='n'>" +
			"<item id='1' publisher='ada@school.test'><a xmlns='x'/></item></items></event>" +
			"<addresses xmlns='http://jabber.org/protocol/address'><address jid='ada@school.test' type='ofrom'/></addresses></message>",
			Event{addr(t, "mallory@school.test"), "n", Published, Item{"1", payload}}},
		{"forwarded", "<message " + from + "><forwarded xmlns='urn:xmpp:forward:0'>" + message(from, item) + "</forwarded></message>", Event{}},
		{"no payload", message(from, "<items node='n'><item id='1'/></items>"), Event{owner, "n", Published, Item{"1", nil}}},
		{"several items", message(from, "<items node='n'><item id='1'><a xmlns='x'/></item><item id='2'><b xmlns='x'/></item></items>"), published},
		{"no node", message(from, "<items><item id='1'><a xmlns='x'/></item></items>"), Event{}},
		{"no items", message(from, "<items node='n'/>"), Event{}},
		{"retracted", message(from, "<items node='n'><retract id='1'/></items>"), Event{owner, "n", Retracted, Item{ID: "1"}}},
		{"replaced", message(from, "<items node='n'><retract id='0'/><item id='1'><a xmlns='x'/></item></items>"), published},
		{"purged", message(from, "<purge node='n'/>"), Event{owner, "n", Emptied, Item{}}},
		{"deleted", message(from, "<delete node='n'><redirect uri='xmpp:x'/></delete>"), Event{owner, "n", Emptied, Item{}}},
		{"deleted, node not named", message(from, "<delete/>"), Event{}},
		{"of another kind", message(from, "<configuration node='n'/>"), Event{}},
		{"empty", message(from, ""), Event{}},
		{"only a message", "<message " + from + "><body>x</body></message>", Event{}},
		{"not a message", "<presence " + from + "><event xmlns='" + NSEvent + "'>" + item + "</event></presence>", Event{}},
	} {
		got, ok := ParseEvent(parse(t, c.in))
		if diff := cmp.Diff(c.want, got, byTree, byValue); diff != "" || ok != !c.want.Owner.IsZero() {
			t.Errorf("%s: ok %v (-want +got):\n%s", c.name, ok, diff)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add(goldenEvent)
	f.Add("<message from='a@b/c'><event xmlns='" + NSEvent + "'><items node='n'><retract id='1'/></items></event></message>")
	f.Add("<message from='a@b/c'><event xmlns='" + NSEvent + "'><purge node='n'/></event></message>")
	f.Add("<iq type='result'><pubsub xmlns='" + NS + "'><items node='n'><item id='1'><a/></item></items></pubsub></iq>")
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		ParseItems(e, "n")
		event, ok := ParseEvent(e)
		if !ok {
			return
		}
		if event.Node == "" || event.Owner != addr(t, e.Attr("from")).Bare() || event.Owner.Local() == "" {
			t.Fatalf("%s gave %+v", in, event)
		}
		if event.Kind != Published && event.Item.Payload != nil {
			t.Fatalf("%s gave %+v", in, event)
		}
	})
}
