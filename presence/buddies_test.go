package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

var (
	look    = propertiesXML("color", "#1,#2", "key", []byte("KEY"))
	looks   = "{color=#1,#2 key=[75 69 89]}"
	board   = descriptionXML(chess, "type", "org.laptop.Chess", "private", false)
	boardIs = "{private=false type=org.laptop.Chess}"
)

func TestBuddyInfo_answersFromEvents(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.event(bob, look)
		r.event(bob, descriptionsXML(board))
		r.event(bob, activitiesXML(chess))
		r.event(bob, currentXML(chess))
		r.expect(
			"PropertiesChanged bob "+looks,
			"ActivityPropertiesChanged chess "+boardIs,
			"ActivitiesChanged bob [id-chess@chess]",
			`CurrentActivityChanged bob "id-chess" chess`)
		r.getProperties(bob)
		r.getActivities(bob)
		r.getCurrentActivity(bob)
		r.expect(
			"GetProperties bob -> "+looks,
			"GetActivities bob -> [id-chess@chess]",
			`GetCurrentActivity bob -> "id-chess" chess`)
	})
}

func TestBuddyInfo_fetchedOnceForAll(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.getProperties(bob)
		r.getProperties(bob)
		r.getActivities(bob)
		r.getCurrentActivity(bob)
		r.expect("fetch buddy-properties of bob", "fetch activities of bob", "fetch current-activity of bob")
		r.answer("fetch buddy-properties of bob", look)
		r.expect("PropertiesChanged bob "+looks, "GetProperties bob -> "+looks, "GetProperties bob -> "+looks)
		r.answer("fetch activities of bob", activitiesXML(chess))
		r.expect("fetch activity-properties of bob", "ActivitiesChanged bob [id-chess@chess]")
		r.answer("fetch activity-properties of bob", descriptionsXML(board))
		r.expect("ActivityPropertiesChanged chess "+boardIs, "GetActivities bob -> [id-chess@chess]")
		r.answer("fetch current-activity of bob", currentXML(jid.JID{}))
		r.expect(`GetCurrentActivity bob -> "" nothing`)
		r.getProperties(bob)
		r.getActivities(bob)
		r.getCurrentActivity(bob)
		r.expect("GetProperties bob -> "+looks, "GetActivities bob -> [id-chess@chess]", `GetCurrentActivity bob -> "" nothing`)
	})
}

func TestBuddyInfo_nothingPublished(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		for range 2 {
			r.getProperties(bob)
			r.getActivities(bob)
			r.getCurrentActivity(bob)
			for _, q := range slices.Clone(r.asked) {
				r.refuse(q.what, stanza.ItemNotFound)
			}
		}
		r.expect("fetch buddy-properties of bob", "fetch activities of bob", "fetch current-activity of bob",
			"GetProperties bob -> {}", "GetActivities bob -> []", `GetCurrentActivity bob -> "" nothing`,
			"GetProperties bob -> {}", "GetActivities bob -> []", `GetCurrentActivity bob -> "" nothing`)
	})
}

func TestBuddyInfo_refused(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.getProperties(bob)
		r.getActivities(bob)
		r.getCurrentActivity(bob)
		r.refuse("fetch buddy-properties of bob", stanza.NotAuthorized)
		r.refuse("fetch activities of bob", stanza.RemoteServerTimeout)
		r.refuse("fetch current-activity of bob", stanza.NotAuthorized)
		r.expect("fetch buddy-properties of bob", "fetch activities of bob", "fetch current-activity of bob",
			"GetProperties bob -> PermissionDenied", "GetActivities bob -> NetworkError", `GetCurrentActivity bob -> "" nothing`)
		r.getProperties(bob) // a refusal is no answer to remember
		r.answer("fetch buddy-properties of bob", look)
		r.expect("fetch buddy-properties of bob", "PropertiesChanged bob "+looks, "GetProperties bob -> "+looks)
	})
}

// The event that is on its way makes the question unnecessary.
func TestBuddyInfo_grace(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.appear(bob, eve)
		r.expect("PresencesChanged bob=available eve=available")
		r.getProperties(bob)
		r.getProperties(eve)
		r.pass(grace / 2)
		r.event(bob, look)
		r.expect("PropertiesChanged bob "+looks, "GetProperties bob -> "+looks)
		r.pass(grace)
		r.expect("fetch buddy-properties of eve")
		r.answer("fetch buddy-properties of eve", look)
		r.expect("PropertiesChanged eve "+looks, "GetProperties eve -> "+looks)
	})
}

// Who goes within the grace is asked after all: the caller waits.
func TestBuddyInfo_goneWithinGrace(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.appear(bob)
		r.getProperties(bob)
		r.leave(bob)
		r.expect("PresencesChanged bob=available", "PresencesChanged bob=offline", "fetch buddy-properties of bob")
		r.answer("fetch buddy-properties of bob", look)
		r.expect("GetProperties bob -> " + looks)
		r.pass(time.Minute)
	})
}

// Of who is off-line nothing is sure for longer than the answer takes.
func TestBuddyInfo_offline(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		for range 2 {
			r.getProperties(bob)
			r.getActivities(bob)
			r.answer("fetch buddy-properties of bob", look)
			r.answer("fetch activities of bob", activitiesXML(chess))
			r.expect("fetch buddy-properties of bob", "fetch activities of bob",
				"GetProperties bob -> "+looks, "GetActivities bob -> [id-chess@chess]")
		}
		r.getProperties(bob)
		r.refuse("fetch buddy-properties of bob", stanza.RemoteServerTimeout)
		r.expect("fetch buddy-properties of bob", "GetProperties bob -> "+looks)
	})
}

// ejabberd loses events, and Sugar shows nobody without a key.
func TestBuddyInfo_keyIsFetchedAgain(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob, eve)
		for _, who := range []jid.JID{bob, eve} {
			r.getProperties(who)
			r.refuse("fetch buddy-properties of "+who.Local(), stanza.ItemNotFound)
		}
		r.log = nil
		r.event(eve, look)
		r.expect("PropertiesChanged eve " + looks)
		r.pass(5 * time.Second)
		r.expect("fetch buddy-properties of bob")
		r.getProperties(bob)
		r.refuse("fetch buddy-properties of bob", stanza.NotAuthorized)
		r.expect("GetProperties bob -> {}")
		r.pass(30 * time.Second)
		r.answer("fetch buddy-properties of bob", propertiesXML("color", "#1,#2"))
		r.expect("fetch buddy-properties of bob", "PropertiesChanged bob {color=#1,#2}")
		r.pass(time.Hour)
		r.getProperties(bob)
		r.expect("GetProperties bob -> {color=#1,#2}")
	})
}

func TestBuddyInfo_keyOfWhoHasGone(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.getProperties(bob)
		r.refuse("fetch buddy-properties of bob", stanza.ItemNotFound)
		r.leave(bob)
		r.log = nil
		r.pass(time.Hour)
	})
}

// What is told of a contact comes after the contact itself.
func TestActivities_signalsBeginWithPresence(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.event(bob, look)
		r.event(bob, descriptionsXML(board))
		r.event(bob, activitiesXML(chess))
		r.event(bob, currentXML(chess))
		r.expect()
		r.appear(bob)
		r.expect("PresencesChanged bob=available", "PropertiesChanged bob "+looks)
		r.do(func() { r.Introduced(r.contact(bob)) })
		r.expect("ActivityPropertiesChanged chess "+boardIs, "ActivitiesChanged bob [id-chess@chess]",
			`CurrentActivityChanged bob "id-chess" chess`)
		r.do(func() { r.Introduced(r.contact(bob)) })
		r.pass(time.Minute)
	})
}

func TestActivities_introducedByAsking(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.event(bob, descriptionsXML(board))
		r.event(bob, activitiesXML(chess))
		r.appear(bob)
		r.getActivities(bob)
		r.expect("PresencesChanged bob=available", "GetActivities bob -> [id-chess@chess]",
			"ActivityPropertiesChanged chess "+boardIs, "ActivitiesChanged bob [id-chess@chess]")
	})
}

func TestActivities_introducedByTime(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.appear(bob)
		r.pass(introduction / 2)
		r.event(bob, currentXML(chess))
		r.event(bob, activitiesXML(chess))
		r.expect("PresencesChanged bob=available", "fetch activity-properties of bob")
		r.answer("fetch activity-properties of bob", descriptionsXML(board))
		r.pass(introduction / 2)
		r.expect("ActivityPropertiesChanged chess "+boardIs, "ActivitiesChanged bob [id-chess@chess]",
			`CurrentActivityChanged bob "id-chess" chess`)
	})
}

func TestActivities_nothingNew(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		for range 2 {
			r.event(bob, look)
			r.event(bob, descriptionsXML(board))
			r.event(bob, activitiesXML(chess))
			r.event(bob, currentXML(chess))
		}
		r.expect("PropertiesChanged bob "+looks, "ActivityPropertiesChanged chess "+boardIs,
			"ActivitiesChanged bob [id-chess@chess]", `CurrentActivityChanged bob "id-chess" chess`)
	})
}

// Everything is replaced, nothing merged.
func TestActivities_replaced(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.event(bob, look)
		r.event(bob, propertiesXML("color", "#3,#4"))
		r.event(bob, descriptionsXML(board, descriptionXML(drawing, "name", "Trees")))
		r.event(bob, activitiesXML(chess, drawing))
		r.event(bob, activitiesXML(drawing))
		r.event(bob, descriptionsXML(descriptionXML(drawing, "tags", "oak")))
		r.event(bob, activitiesXML())
		r.expect("PropertiesChanged bob "+looks, "PropertiesChanged bob {color=#3,#4}",
			"ActivityPropertiesChanged chess "+boardIs, "ActivityPropertiesChanged drawing {name=Trees}",
			"ActivitiesChanged bob [id-chess@chess id-drawing@drawing]", "ActivitiesChanged bob [id-drawing@drawing]",
			"ActivityPropertiesChanged drawing {tags=oak}", "ActivitiesChanged bob []")
	})
}

// The activities go while clients know whose they are.
func TestActivities_leaving(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.event(bob, look)
		r.event(bob, descriptionsXML(board))
		r.event(bob, activitiesXML(chess))
		r.event(bob, currentXML(chess))
		r.log = nil
		r.leave(bob)
		r.expect("ActivitiesChanged bob []", `CurrentActivityChanged bob "" nothing`, "PresencesChanged bob=offline")
		r.pass(time.Minute)
		r.appear(bob)
		r.getProperties(bob)
		r.getActivities(bob)
		r.getCurrentActivity(bob)
		r.event(bob, propertiesXML("color", "#5,#6", "key", []byte("KEY")))
		r.pass(grace)
		r.expect("PresencesChanged bob=available",
			"PropertiesChanged bob {color=#5,#6 key=[75 69 89]}", "GetProperties bob -> {color=#5,#6 key=[75 69 89]}",
			"fetch activities of bob", "fetch current-activity of bob")
		r.answer("fetch activities of bob", activitiesXML())
		r.answer("fetch current-activity of bob", currentXML(jid.JID{}))
		r.expect("GetActivities bob -> []", `GetCurrentActivity bob -> "" nothing`)
	})
}

// A device that goes while another stays changes nothing.
func TestActivities_oneOfTwoDevicesLeaves(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.event(bob, activitiesXML(chess))
		r.refuse("fetch activity-properties of bob", stanza.ItemNotFound)
		r.log = nil
		r.do(func() {
			r.people.HandlePresence(sugarXML(t, "<presence from='bob@school.test/phone'/>"))
			r.people.HandlePresence(sugarXML(t, "<presence from='bob@school.test/phone' type='unavailable'/>"))
		})
		r.getActivities(bob)
		r.expect("GetActivities bob -> [id-chess@chess]")
	})
}

// Who goes and comes within one burst is not announced again, so that nobody
// asks again either.
func TestActivities_thereAndBack(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.getActivities(bob)
		r.answer("fetch activities of bob", activitiesXML(chess))
		r.answer("fetch activity-properties of bob", descriptionsXML(board))
		r.log = nil
		r.do(func() {
			r.people.HandlePresence(sugarXML(t, "<presence from='bob@school.test/sugar' type='unavailable'/>"))
			r.people.HandlePresence(sugarXML(t, "<presence from='bob@school.test/sugar'/>"))
		})
		r.expect("ActivitiesChanged bob []")
		r.pass(grace)
		r.expect("fetch activities of bob", "fetch activity-properties of bob")
		r.answer("fetch activity-properties of bob", descriptionsXML(board))
		r.answer("fetch activities of bob", activitiesXML(drawing))
		r.expect("ActivityPropertiesChanged chess "+boardIs, "fetch activity-properties of bob", "ActivitiesChanged bob [id-drawing@drawing]")
	})
}

func TestActivities_changesWithoutItem(t *testing.T) {
	items := func(node, inside string) string {
		return "<message from='" + bob.String() + "'><event xmlns='" + pep.NSEvent + "'><items node='" + node + "'>" + inside + "</items></event></message>"
	}
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.eventID(bob, "old", look)
		r.eventID(bob, "new", propertiesXML("key", []byte("K")))
		r.log = nil
		r.message(items(olpc.NodeBuddyProperties, "<retract id='old'/>"))
		r.expect()
		r.message(items(olpc.NodeBuddyProperties, "<retract id='new'/>"))
		r.expect("PropertiesChanged bob {}")
		r.event(bob, look)
		r.message("<message from='" + bob.String() + "'><event xmlns='" + pep.NSEvent + "'><purge node='" + olpc.NodeBuddyProperties + "'/></event></message>")
		r.expect("PropertiesChanged bob "+looks, "PropertiesChanged bob {}")
		r.message(items(olpc.NodeBuddyProperties, "<item id='x'/>"))
		r.expect() // nobody has asked
		r.getProperties(bob)
		r.message(items(olpc.NodeBuddyProperties, "<item id='y'/>"))
		r.answer("fetch buddy-properties of bob", look)
		r.expect("fetch buddy-properties of bob", "PropertiesChanged bob "+looks, "GetProperties bob -> "+looks,
			"fetch buddy-properties of bob")
		r.answer("fetch buddy-properties of bob", propertiesXML("key", []byte("K")))
		r.message(items(olpc.NodeBuddyProperties, "<item><junk xmlns='junk'/></item>"))
		r.getProperties(bob)
		r.expect("PropertiesChanged bob {key=[75]}", "GetProperties bob -> {key=[75]}")
	})
}

// The event that comes while a question is under way is newer than its answer.
func TestBuddyInfo_eventOvertakesAnswer(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.getProperties(bob)
		r.event(bob, look)
		r.answer("fetch buddy-properties of bob", propertiesXML("color", "#old,#old"))
		r.getProperties(bob)
		r.expect("fetch buddy-properties of bob", "PropertiesChanged bob "+looks, "GetProperties bob -> "+looks, "GetProperties bob -> "+looks)
	})
}

// Nobody speaks for another: whose data they are says the sender alone.
func TestActivities_forgedSender(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob, eve)
		r.joined[chess] = true
		r.event(bob, look)
		r.log = nil
		r.message("<message from='eve@school.test/x'><event xmlns='" + pep.NSEvent + "'><items node='" + olpc.NodeBuddyProperties +
			"' publisher='bob@school.test'><item publisher='bob@school.test'>" + propertiesXML("color", "#666,#666") + "</item></items></event></message>")
		r.expect("PropertiesChanged eve {color=#666,#666}")
		r.event(chess.WithResource("bob"), propertiesXML("color", "#666,#666"))
		r.event(ada, activitiesXML(drawing)) // our own echo
		r.getProperties(bob)
		r.getActivities(ada)
		r.expect("GetProperties bob -> "+looks, "GetActivities ada -> []")
	})
}

// A room may be named like a person; the person is heard all the same.
func TestActivities_roomNamedLikeAPerson(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob, eve)
		r.event(eve, activitiesXML(bob))
		r.event(bob, look)
		r.expect("fetch activity-properties of eve", "ActivitiesChanged eve [id-bob@bob]", "PropertiesChanged bob "+looks)
	})
}

func TestActivities_hostileLists(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob, eve)
		var rooms []jid.JID
		for n := range 20_000 {
			rooms = append(rooms, sugarJID(fmt.Sprintf("r%d@rooms.school.test", n)))
		}
		for n := range 20 {
			r.event(eve, activitiesXML(rooms[n*1000:(n+1)*1000]...))
		}
		r.event(eve, propertiesXML("a", strings.Repeat("x", olpc.MaxPropertiesBytes+1)))
		r.event(bob, activitiesXML(chess))
		r.log = nil
		if named := r.room(chess); named > maxRooms+1 {
			t.Errorf("eve has named %d rooms, want at most %d", named-1, maxRooms)
		}
		if held := len(r.book); held > olpc.MaxActivities+1 {
			t.Errorf("%d activities are kept", held)
		}
		r.getActivities(bob)
		r.answer("fetch activity-properties of bob", descriptionsXML(board))
		r.expect("ActivityPropertiesChanged chess "+boardIs, "GetActivities bob -> [id-chess@chess]")
		r.leave(eve)
		r.leave(bob)
		if held := len(r.book); held > 0 {
			t.Errorf("%d activities are kept of nobody", held)
		}
		r.log = nil
	})
}

func TestActivities_strangers(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.rostered[bob] = true
		for n := range 2 * maxStrangers {
			r.event(sugarJID(fmt.Sprintf("s%d@elsewhere.test", n)), look)
		}
		if kept := len(r.buddies); kept != maxStrangers {
			t.Errorf("%d strangers are kept, want %d", kept, maxStrangers)
		}
		r.event(bob, look)
		r.appear(bob, sugarJID("s0@elsewhere.test"))
		r.event(eve, look) // there is room for one again
		r.appear(eve)
		r.expect("PresencesChanged bob=available s0=available", "PropertiesChanged bob "+looks, "PropertiesChanged s0 "+looks,
			"PresencesChanged eve=available", "PropertiesChanged eve "+looks)
	})
}

// A big neighborhood is not asked all at once, and who never answers keeps
// nobody else waiting for long.
func TestBuddyInfo_fewQuestionsAtOnce(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		var many []jid.JID
		for n := range 3 * maxFetches {
			many = append(many, sugarJID(fmt.Sprintf("c%d@school.test", n)))
		}
		r.meet(many...)
		for _, who := range many {
			r.getProperties(who)
		}
		if len(r.asked) != maxFetches {
			t.Fatalf("%d questions at once, want %d", len(r.asked), maxFetches)
		}
		r.refuse("fetch buddy-properties of c0", stanza.ItemNotFound)
		if len(r.asked) != maxFetches {
			t.Fatalf("%d questions after one answer, want %d", len(r.asked), maxFetches)
		}
		r.event(many[maxFetches+1], look) // need not be asked any more
		r.pass(fetchPatience)
		if len(r.asked) != 2*maxFetches || r.asked[maxFetches].what != fmt.Sprintf("fetch buddy-properties of c%d", maxFetches+2) {
			t.Fatalf("%d questions when the first are overdue: %v", len(r.asked), r.asked)
		}
		r.refuse("fetch buddy-properties of c1", stanza.ItemNotFound) // late, but an answer
		if last := r.log[len(r.log)-1]; last != "GetProperties c1 -> {}" {
			t.Errorf("late answer gives %q", last)
		}
		r.do(r.Disconnecting)
		answered := slices.DeleteFunc(r.log, func(s string) bool { return !strings.Contains(s, "->") })
		if len(answered) != len(many) || answered[len(many)-1][strings.Index(answered[len(many)-1], "->"):] != "-> Disconnected" {
			t.Errorf("%d calls answered, want %d; last %s", len(answered), len(many), answered[len(answered)-1])
		}
		r.log = nil
	})
}

// Of two contacts who name an activity differently both are right about
// themselves; what it is the last says.
func TestActivities_shared(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob, eve)
		r.event(bob, descriptionsXML(board))
		r.event(bob, activitiesXML(chess))
		r.event(eve, "<activities xmlns='"+olpc.NodeActivities+"'><activity type='other' room='"+chess.String()+"'/><activity type='id-chess' room='"+drawing.String()+"'/></activities>")
		r.event(eve, descriptionsXML(descriptionXML(chess, "name", "Chess!")))
		r.expect("ActivityPropertiesChanged chess "+boardIs, "ActivitiesChanged bob [id-chess@chess]",
			"fetch activity-properties of eve", "ActivitiesChanged eve [other@chess id-chess@drawing]",
			"ActivityPropertiesChanged chess {name=Chess!}")
		if got := r.findRoom("id-chess"); got != "chess" {
			t.Errorf("GetActivity gives %s, want the room named first", got)
		}
		if got := r.findRoom("other"); got != "chess" {
			t.Errorf("GetActivity gives %s, want chess", got)
		}
		r.leave(bob)
		r.expect("ActivitiesChanged bob []", "PresencesChanged bob=offline")
		if got := r.describeRoom(r.room(chess)); got != "{name=Chess!}" {
			t.Errorf("the activity eve is in has properties %s", got)
		}
	})
}

func TestCurrentActivity_withoutID(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.event(bob, descriptionsXML(board))
		r.event(bob, activitiesXML(chess))
		r.event(bob, "<activity xmlns='"+olpc.NodeCurrentActivity+"' room='"+chess.String()+"'/>")
		r.event(bob, "<activity xmlns='"+olpc.NodeCurrentActivity+"' room='"+drawing.String()+"'/>")
		r.event(bob, "<activity xmlns='"+olpc.NodeCurrentActivity+"' id='7' room='"+drawing.String()+"'/>")
		r.log = r.log[2:]
		r.expect(`CurrentActivityChanged bob "id-chess" chess`, `CurrentActivityChanged bob "" drawing`, `CurrentActivityChanged bob "7" drawing`)
	})
}

func TestActivityProperties_get(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		unheard := r.room(drawing)
		for room, want := range map[uint32]string{unheard: "NotAvailable", 99: "InvalidHandle"} {
			if got := r.describeRoom(room); got != want {
				t.Errorf("GetProperties(%d) gives %s, want %s", room, got, want)
			}
		}
		if got := r.findRoom("id-chess"); got != "NotAvailable" {
			t.Errorf("GetActivity gives %s, want NotAvailable", got)
		}
		r.event(bob, activitiesXML(chess))
		if got := r.describeRoom(r.room(chess)); got != "{}" {
			t.Errorf("GetProperties gives %s before they are known, want {}", got)
		}
		r.event(bob, descriptionsXML(board))
		if got := r.describeRoom(r.room(chess)); got != boardIs {
			t.Errorf("GetProperties gives %s, want %s", got, boardIs)
		}
		if got := r.findRoom("id-chess"); got != "chess" {
			t.Errorf("GetActivity gives %s, want chess", got)
		}
		r.log = nil
	})
}

func TestBuddyInfo_noPEP(t *testing.T) {
	sugarTestFrom(t, func(r *sugarRig) {
		r.noPEP = true
		r.do(func() { r.setProperties(olpc.Properties{"color": "x"}, r.done("SetProperties")) })
		r.connect()
		r.getProperties(bob)
		r.getActivities(ada)
		r.getCurrentActivity(bob)
		r.do(func() { r.setProperties(olpc.Properties{"color": "x"}, r.done("SetProperties")) })
		r.expect("SetProperties -> done", "GetProperties bob -> NetworkError", "GetActivities ada -> NetworkError",
			"GetCurrentActivity bob -> NetworkError", "SetProperties -> NetworkError")
		if got := r.findRoom("id-chess"); got != "NotAvailable" {
			t.Errorf("GetActivity gives %s: Sugar would start no activity", got)
		}
		if got := refusal(checkPEP(r)).(*tp.Error).Message; got != "Server does not support PEP" {
			t.Errorf("message %q", got)
		}
	})
}

func TestBuddyInfo_badHandles(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.do(func() {
			r.info.propertiesOf(99, func(_ olpc.Properties, err error) { r.answered("GetProperties 99", err, "") })
			r.info.activitiesOf(0, func(_ []reference, err error) { r.answered("GetActivities 0", err, "") })
			r.info.currentOf(99, func(_ string, _ uint32, err error) { r.answered("GetCurrentActivity 99", err, "") })
			_, err := roomOf(r, 7)
			r.answered("room 7", err, "")
		})
		r.expect("GetProperties 99 -> InvalidHandle", "GetActivities 0 -> InvalidHandle", "GetCurrentActivity 99 -> InvalidHandle",
			"room 7 -> InvalidHandle")
		occupant := chess.WithResource("Bob")
		r.getProperties(occupant)
		r.getActivities(occupant)
		r.getCurrentActivity(occupant)
		r.expect("GetProperties chess -> {}", "GetActivities chess -> []", `GetCurrentActivity chess -> "" nothing`)
	})
}
