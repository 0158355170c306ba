package gadgetd

import (
	"fmt"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/olpc"
)

func TestPublish(t *testing.T) {
	w := newWorld(t, nil)
	w.gets(view("eve@school.test/xo", "buddy", "1"))
	w.sent("<view xmlns='http://laptop.org/xmpp/buddy' id='1' size='10'/>")
	w.gets("<presence from='ana@school.test' type='subscribe'/>")
	w.sent("to='ana@school.test' type='subscribed'", "to='ana@school.test' type='subscribe'")
	w.gets(colorEvent("ana", "early"))
	w.silent("before it is granted")
	w.gets("<presence from='ana@school.test' type='subscribed'/>")
	w.sent("http://jabber.org/protocol/caps", "type='probe'")
	w.gets(colorEvent("ana", "early"))
	w.silent("before she is on-line")
	w.gets("<presence from='ana@school.test/xo'/>", "<presence from='ana@school.test/phone'/>")
	w.silent("before it is known what she looks like")
	w.gets(colorEvent("ana", "red"))
	w.sent("<added xmlns='http://laptop.org/xmpp/buddy' id='1'><buddy jid='ana@school.test'>")
	w.gets(event("ana", "http://jabber.org/protocol/nick", "<nick xmlns='http://jabber.org/protocol/nick'>Ana</nick>"))
	w.sent("alias='Ana'")
	w.gets("<presence from='ana@school.test/phone' type='unavailable'/>")
	w.silent("one device of two has gone")
	w.gets("<presence from='ana@school.test/xo' type='unavailable'/>")
	w.sent("<removed xmlns='http://laptop.org/xmpp/buddy' id='1'><buddy jid='ana@school.test'/>")
	w.gets("<presence from='ana@school.test/xo'/>", colorEvent("ana", "red"))
	w.sent("<added")
	w.gets("<presence from='ana@school.test' type='unsubscribed'/>")
	w.sent("<removed")
	w.gets("<presence from='ana@school.test' type='unsubscribe'/>")
	w.sent("type='unsubscribed'")
	if len(w.memory.publishers)+len(w.publishers) > 0 {
		t.Errorf("kept: %v, %v", w.memory.publishers, w.publishers)
	}
}

// Nobody publishes another, and strangers nothing.
func TestPublish_forged(t *testing.T) {
	w := newWorld(t, nil)
	w.publisher("ana")
	w.gets(view("ana@school.test/xo", "buddy", "1"))
	w.sent()
	w.gets(colorEvent("bob", "forged"),
		"<presence from='bob@school.test/xo'/>", "<presence from='bob@school.test' type='subscribed'/>", colorEvent("bob", "forged"))
	w.silent("who has not asked to")
	w.gets("<presence from='eve@other.test' type='subscribe'/>")
	w.sent("to='eve@other.test' type='unsubscribed'")
	w.gets("<presence from='eve@other.test' type='subscribed'/>", "<presence from='eve@other.test/x'/>",
		strings.ReplaceAll(colorEvent("eve", "x"), "eve@school.test", "eve@other.test"))
	w.silent("a stranger")
	w.gets(view("eve@other.test/x", "buddy", "1"))
	w.sent("forbidden")
	w.gets(view("school.test", "buddy", "1"))
	w.sent("forbidden")
	w.gets(view("bob@school.test", "buddy", "1")) // no device
	w.sent("forbidden")
}

func TestViews_endWithTheirClient(t *testing.T) {
	w := newWorld(t, nil)
	w.publisher("ana")
	for name, end := range map[string]string{
		"goes off-line":     "<presence from='bob@school.test/xo' type='unavailable'/>",
		"all of it":         "<presence from='bob@school.test' type='unavailable'/>",
		"a message returns": "<message from='bob@school.test/xo' type='error'><error type='cancel'/></message>",
		"a presence too":    "<presence from='bob@school.test/xo' type='error'><error type='cancel'/></presence>",
		"closed":            "<message from='bob@school.test/xo'><close xmlns='http://laptop.org/xmpp/buddy' id='1'/></message>",
	} {
		w.gets(view("bob@school.test/xo", "buddy", "1"))
		w.sent("jid='ana@school.test'")
		w.gets(end)
		if s := w.Stats(); s.BuddyViews != 0 {
			t.Errorf("%s: %d views are left", name, s.BuddyViews)
		}
		w.gets(colorEvent("ana", name))
		w.silent(name)
	}
}

func TestRequests_bounded(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Requests, c.Limits.Views, c.Limits.Publishers = 10, 3, 1 })
	for i := range 4 {
		w.gets(view("bob@school.test/xo", "buddy", fmt.Sprint(i)))
	}
	w.sent("resource-constraint")
	for range 10 {
		w.gets(`<iq from='bob@school.test/xo' type='get' id='q'><query xmlns='http://laptop.org/xmpp/buddy'/></iq>`)
	}
	w.sent("Too many requests")
	w.gets(`<iq from='ana@school.test/xo' type='get' id='q'><query xmlns='http://laptop.org/xmpp/buddy'/></iq>`)
	w.sent("type='result'")
	w.gets("<presence from='ana@school.test' type='subscribe'/>")
	w.sent("type='subscribed'")
	w.gets("<presence from='bob@school.test' type='subscribe'/>")
	w.silent("who has asked too much already")
	w.gets("<presence from='cid@school.test' type='subscribe'/>")
	w.sent("type='unsubscribed'")
	for i := range 1000 {
		w.gets(fmt.Sprintf("<presence from='ana@school.test/%d'/>", i))
	}
	if n := len(w.publishers[addr(t, "ana@school.test")].devices); n > maxDevices {
		t.Errorf("%d devices", n)
	}
	w.gets("<iq from='ana@school.test/xo' type='get' id='q'><view xmlns='http://laptop.org/xmpp/buddy' id='1'/></iq>")
	w.sent("bad-request")
}

const (
	room    = "a1@conference.school.test"
	public  = `<property name='type' type='str'>org.laptop.Chat</property><property name='private' type='bool'>0</property>`
	private = `<property name='type' type='str'>org.laptop.Chat</property><property name='private' type='bool'>1</property>`
)

func pseudo(from, properties string) string {
	return `<message from='` + from + `'><properties xmlns='` + olpc.NodeActivityProperties + `' activity='a1' room='` + room + `'>` + properties + `</properties></message>`
}

func invitation(from string) string {
	return `<message from='` + room + `'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='` + from + `'><reason>Share activity</reason></invite></x></message>`
}

func occupant(nick, who, typ string, codes ...string) string {
	s := `<presence from='` + room + `/` + nick + `' type='` + typ + `'><x xmlns='http://jabber.org/protocol/muc#user'><item jid='` + who + `' affiliation='none' role='participant'/>`
	if typ == "" {
		s = strings.Replace(s, " type=''", "", 1)
	}
	for _, c := range codes {
		s += "<status code='" + c + "'/>"
	}
	return s + "</x></presence>"
}

func roomSays(nick, properties string) string {
	return `<message type='groupchat' from='` + room + `/` + nick + `'><properties xmlns='` + olpc.NodeActivityProperties + `' activity='a1'>` + properties + `</properties></message>`
}

// shared is an activity of ana's that eve has a view of.
func shared(t *testing.T) *world {
	w := newWorld(t, nil)
	w.publisher("ana")
	w.gets(view("eve@school.test/xo", "activity", "2"))
	w.sent()
	w.gets(pseudo("ana@school.test/xo", public), invitation("ana@school.test/xo"))
	w.sent("to='" + room + "/inspector'")
	w.gets(occupant("Ana", "ana@school.test/xo", ""), occupant("inspector", "gadget.school.test", "", "110"))
	w.sent("<added xmlns='http://laptop.org/xmpp/activity' id='2'><activity id='a1' room='"+room+"'>", "jid='ana@school.test'")
	return w
}

func TestActivity(t *testing.T) {
	w := shared(t)
	if len(w.memory.activities) != 1 {
		t.Errorf("kept %v", w.memory.activities)
	}
	w.gets(occupant("Bob", "bob@school.test/xo", ""))
	w.sent("<joined jid='bob@school.test'/>")
	w.gets(occupant("Zoe", "zoe@other.test/xo", ""))
	w.silent("who is not served")
	w.gets(roomSays("Bob", strings.Replace(public, "Chat", "Talk", 1)))
	w.sent("<change", "org.laptop.Talk")
	w.gets(strings.Replace(roomSays("Bob", private), "activity='a1'", "activity='other'", 1))
	w.silent("of another activity")
	w.gets(occupant("Bob", "bob@school.test/xo", "unavailable"))
	w.sent("<left jid='bob@school.test'/>")
	w.gets(occupant("Ana", "ana@school.test/xo", "unavailable"), occupant("Zoe", "zoe@other.test/xo", "unavailable"))
	w.sent("<removed xmlns='http://laptop.org/xmpp/activity' id='2'>", "to='"+room+"/inspector' type='unavailable'")
	if s := w.Stats(); len(w.memory.activities)+len(w.activities)+len(w.perInviter)+s.Rooms > 0 {
		t.Errorf("kept %v %v %v %+v", w.memory.activities, w.activities, w.perInviter, s)
	}
}

// What anybody in the room has made private is shown no more, whoever lists it.
func TestActivity_turnsPrivate(t *testing.T) {
	w := shared(t)
	list := event("ana", olpc.NodeActivities, "<activities xmlns='"+olpc.NodeActivities+"'><activity type='a1' room='"+room+"'/></activities>")
	details := event("ana", olpc.NodeActivityProperties, "<activities xmlns='"+olpc.NodeActivityProperties+"'><properties xmlns='"+olpc.NodeActivityProperties+
		"' activity='a1' room='"+room+"'>"+public+"</properties></activities>")
	current := event("ana", olpc.NodeCurrentActivity, "<activity xmlns='"+olpc.NodeCurrentActivity+"' type='a1' room='"+room+"'/>")
	w.gets(list, details, current)
	w.sent("current-activity' id='a1'")
	w.gets(roomSays("Ana", private))
	w.sent("<removed", "type='unavailable'")
	w.gets(details, list, current)
	w.silent("her lists of before")
	w.gets(pseudo("ana@school.test/xo", private), invitation("ana@school.test/xo"))
	w.silent("an invitation to what is private")
	w.hints[addr(t, room).WithResource("ana@school.test")].timer.Stop()
	clear(w.hints)
	w.gets(invitation("ana@school.test/xo"), pseudo("ana@school.test/xo", public)) // in the other order
	w.gets(occupant("Ana", "ana@school.test/xo", ""), occupant("inspector", "gadget.school.test", "", "110"))
	w.sent("<added")
}

// What is listed is public although nobody has invited us.
func TestActivity_listed(t *testing.T) {
	w := newWorld(t, nil)
	w.publisher("ana")
	w.publisher("bob")
	w.gets(view("eve@school.test/xo", "activity", "2"))
	w.sent()
	list := "<activities xmlns='" + olpc.NodeActivities + "'><activity type='a1' room='" + room + "'/><activity type='x' room='x@elsewhere.test'/></activities>"
	details := func(p string) string {
		return "<activities xmlns='" + olpc.NodeActivityProperties + "'><properties xmlns='" + olpc.NodeActivityProperties + "' activity='a1' room='" + room + "'>" + p + "</properties></activities>"
	}
	w.gets(event("ana", olpc.NodeActivities, list))
	w.silent("without properties")
	w.gets(event("ana", olpc.NodeActivityProperties, details(private)))
	w.silent("private")
	w.gets(event("ana", olpc.NodeActivityProperties, details(public)))
	w.sent("<added")
	w.gets(event("bob", olpc.NodeActivityProperties, details(strings.Replace(public, "Chat", "Rude", 1))), event("bob", olpc.NodeActivities, list))
	for _, s := range w.sent("jid='bob@school.test'") {
		if strings.Contains(s, "Rude") {
			t.Errorf("who came later is believed: %s", s)
		}
	}
	w.gets("<presence from='bob@school.test/xo' type='unavailable'/>", event("ana", olpc.NodeActivities, "<activities xmlns='"+olpc.NodeActivities+"'/>"))
	w.sent("<removed")
	if len(w.activities) > 0 {
		t.Errorf("kept %v", w.activities)
	}
}

func TestInvitation_refused(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []string
		want string
	}{
		{"by who does not publish", []string{pseudo("eve@school.test/xo", public), invitation("eve@school.test/xo")}, "<decline"},
		{"into somebody else's name", []string{pseudo("eve@school.test/xo", public), invitation("ana@school.test/xo")}, ""},
		{"to a room elsewhere", []string{strings.ReplaceAll(pseudo("ana@school.test/xo", public), room, "r@rooms.other.test"),
			strings.ReplaceAll(invitation("ana@school.test/xo"), room, "r@rooms.other.test")}, "<decline"},
		{"directly", []string{pseudo("ana@school.test/xo", public), `<message from='ana@school.test/xo'><x xmlns='jabber:x:conference' jid='` + room + `'/></message>`}, ""},
	} {
		w := newWorld(t, nil)
		w.publisher("ana")
		w.gets(c.in...)
		for _, s := range w.sent(c.want) {
			if strings.Contains(s, "inspector") {
				t.Errorf("%s: goes in: %s", c.name, s)
			}
		}
		for _, h := range w.hints {
			h.timer.Stop()
		}
	}
	for name, in := range map[string][]string{
		"a room that did not exist":          {occupant("inspector", "gadget.school.test", "", "110", "201")},
		"a room in which the inviter is not": {occupant("Bob", "bob@school.test/xo", ""), occupant("inspector", "gadget.school.test", "", "110")},
		"a room that hides who is in it":     {occupant("Ana", "", ""), occupant("inspector", "gadget.school.test", "", "110")},
	} {
		w := newWorld(t, nil)
		w.publisher("ana")
		w.gets(view("eve@school.test/xo", "activity", "2"), pseudo("ana@school.test/xo", public), invitation("ana@school.test/xo"))
		w.sent()
		w.gets(in...)
		for len(w.asked) > 0 { // the form of a new room
			answer := w.asked[0]
			w.asked = w.asked[1:]
			answer(nil, nil)
		}
		for _, s := range w.sent("inspector' type='unavailable'") {
			if strings.Contains(s, "<added") {
				t.Errorf("%s: shown", name)
			}
		}
	}
}

// A room after a restart is public only if somebody in it still says so.
func TestRestart(t *testing.T) {
	w := shared(t)
	w.Down()
	w.restart(nil)
	w.sent("<presence to='ana@school.test'><c", "to='ana@school.test' type='probe'", "disco#info")
	w.gets(view("eve@school.test/xo", "activity", "2"))
	w.sent()
	info := w.asked[0]
	w.asked = nil
	info(parse(t, "<iq type='result'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>"), nil)
	w.gets(occupant("Ana", "ana@school.test/xo", ""), occupant("inspector", "gadget.school.test", "", "110"))
	for _, s := range w.sent("/inspector'") {
		if strings.Contains(s, "<added") {
			t.Errorf("shown too early: %s", s)
		}
	}
	w.gets("<presence from='ana@school.test/xo'/>",
		event("ana", olpc.NodeActivityProperties, "<activities xmlns='"+olpc.NodeActivityProperties+"'><properties xmlns='"+olpc.NodeActivityProperties+
			"' activity='a1' room='"+room+"'>"+public+"</properties></activities>"),
		event("ana", olpc.NodeActivities, "<activities xmlns='"+olpc.NodeActivities+"'><activity type='a1' room='"+room+"'/></activities>"))
	w.sent("<added xmlns='http://laptop.org/xmpp/activity'")
}

// The greeting of a school waits for the network.
func TestRestart_paced(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 100 {
		w.gets(fmt.Sprintf("<presence from='b%d@school.test' type='subscribe'/>", i))
	}
	w.Down()
	w.waiting = maxWaiting
	w.restart(nil)
	w.silent("while the network is full")
	w.waiting = 0
	w.work()
	if n := len(w.sent()); n != 100 {
		t.Errorf("%d of 100 are greeted", n)
	}
}

func TestReload(t *testing.T) {
	w := newWorld(t, nil)
	w.publisher("ana")
	w.gets(view("bob@school.test/xo", "buddy", "1"))
	w.sent()
	w.SetConfig(Config{Domains: []string{"other.test"}, Limits: DefaultLimits})
	w.sent("to='ana@school.test' type='unsubscribed'")
	if s := w.Stats(); s.Buddies+s.BuddyViews+s.Publishers > 0 {
		t.Errorf("%+v", s)
	}
}

func TestGoodbye(t *testing.T) {
	w := shared(t)
	w.Goodbye()
	w.sent("to='ana@school.test' type='unavailable'", "/inspector'")
	if len(w.memory.activities) != 1 || len(w.memory.publishers) != 1 {
		t.Errorf("kept %v, %v", w.memory.activities, w.memory.publishers)
	}
}
