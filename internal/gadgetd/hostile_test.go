package gadgetd

import (
	"fmt"
	"testing"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// Who tells a thousand things that have to be asked for is asked once.
func TestEvents_askedForOnce(t *testing.T) {
	w := newWorld(t, nil)
	w.publisher("ana")
	for range 1000 {
		w.gets(`<message from='ana@school.test' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'><items node='` +
			olpc.NodeBuddyProperties + `'><retract id='1'/></items></event></message>`)
	}
	if n := len(w.sent()); n != 1 {
		t.Errorf("%d questions", n)
	}
}

// A thousand changes in a moment are one for who looks on.
func TestEvents_summedUp(t *testing.T) {
	w := newWorld(t, nil)
	w.publisher("ana")
	w.gets(view("bob@school.test/xo", "buddy", "1"))
	w.sent()
	for i := range 1000 {
		w.message(parse(t, colorEvent("ana", fmt.Sprint(i))))
	}
	if out := w.sent(">999<"); len(out) != 1 {
		t.Errorf("%d messages", len(out))
	}
}

// One account cannot take all rooms.
func TestInvitations_bounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Activities = 5 })
	w.publisher("ana")
	for i := range 100 {
		a := olpc.ActivityProperties{Activity: olpc.Activity{ID: fmt.Sprint(i), Room: addr(t, fmt.Sprintf("r%d@conference.school.test", i))}, Properties: olpc.Properties{"private": false}}
		w.gets(olpc.BuildInvitation(w.Self(), a).With(stanza.A("from", "ana@school.test/xo")).String(),
			fmt.Sprintf(`<message from='%s'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='ana@school.test/xo'/></x></message>`, a.Room))
	}
	w.sent("<decline")
	if s := w.Stats(); s.Rooms != 5 || len(w.activities) != 5 {
		t.Errorf("%+v, %d", s, len(w.activities))
	}
	list := make([]olpc.Activity, 50)
	for i := range list {
		list[i] = olpc.Activity{ID: "x", Room: addr(t, fmt.Sprintf("l%d@conference.school.test", i))}
	}
	w.gets(event("ana", olpc.NodeActivities, olpc.BuildActivities(list).String()))
	if len(w.activities) != 10 {
		t.Errorf("%d activities", len(w.activities))
	}
}

// FuzzStanzas asserts that no stanza harms more than itself, and that nobody is
// shown who does not publish.
func FuzzStanzas(f *testing.F) {
	for _, s := range []string{
		"<presence from='ana@school.test' type='subscribe'/>", "<presence from='bob@school.test' type='subscribed'/>", "<presence from='bob@school.test/xo'/>",
		view("ana@school.test/xo", "buddy", "1"), view("ana@school.test/xo", "activity", "2"), colorEvent("bob", "x"), colorEvent("eve", "x"),
		pseudo("bob@school.test/xo", public), invitation("bob@school.test/xo"), occupant("Bob", "bob@school.test/xo", ""), occupant("inspector", "gadget.school.test", "", "110"),
		roomSays("Bob", private), event("bob", olpc.NodeActivities, "<activities xmlns='"+olpc.NodeActivities+"'><activity type='a1' room='"+room+"'/></activities>"),
		event("bob", pep.NodeNick, "<nick xmlns='"+pep.NodeNick+"'>B</nick>"), "<iq type='get' from='a@b' id='1'><query xmlns='" + disco.NSInfo + "'/></iq>",
	} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		w := newWorld(t, nil)
		w.publisher("bob")
		w.gets(pseudo("bob@school.test/xo", public), invitation("bob@school.test/xo"))
		for _, in := range []string{first, second} {
			e, err := stanza.Parse(in)
			if err != nil || e.Space() != stanza.NSClient {
				continue
			}
			switch handle := w.iq[e.First().Space()]; {
			case e.Local() == "message":
				w.message(e)
			case e.Local() == "presence":
				w.presence(e)
			case e.Local() == "iq" && handle != nil:
				handle(e)
			}
		}
		for _, b := range w.dir.Search(gadget.Request{Kind: gadget.Buddies}).Buddies {
			if p := w.publishers[b.JID]; p == nil || !p.publishes {
				t.Errorf("%s is shown", b.JID)
			}
		}
		w.Down()
		for _, h := range w.hints {
			h.timer.Stop()
		}
	})
}
