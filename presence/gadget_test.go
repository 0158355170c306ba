package presence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

// inspector is the server's component.
var inspector = func() jid.JID {
	j, err := jid.New("", "gadget.school.test", "")
	if err != nil {
		panic(err)
	}
	return j
}()

// gadgetRig is the rig with a component that is on-line.
type gadgetRig struct {
	*sugarRig
	gadget *Gadget
	seen   *View // the view of the client, after open
}

func gadgetTest(t *testing.T, sizes Sizes, test func(r *gadgetRig)) {
	t.Helper()
	sugarTest(t, func(s *sugarRig) {
		r := &gadgetRig{sugarRig: s}
		r.gadget = NewGadget(s, s.people, s.Activities, func(who jid.JID, alias string) {
			s.note("%s is called %s", who.Local(), alias)
		}, sizes)
		r.do(func() {
			r.gadget.buddies, r.gadget.rooms = inspector, inspector
			r.gadget.found()
		})
		r.presence("")
		defer r.do(r.gadget.Close)
		test(r)
	})
}

// presence hands in a presence of the component.
func (r *gadgetRig) presence(kind string) {
	e := stanza.New(stanza.NSClient, "presence", stanza.A("from", inspector.String()), stanza.A("type", kind))
	r.do(func() {
		if !r.gadget.HandlePresence(e) {
			r.t.Error("presence not taken")
		}
	})
}

// news hands in a message of the component.
func (r *gadgetRig) news(n gadget.Notification) {
	e := gadget.Message(ada, n).With(stanza.A("from", inspector.String()))
	r.do(func() {
		if !r.gadget.HandleMessage(e) {
			r.t.Error("message not taken")
		}
	})
}

// open opens a view for a client, whose signals go into the log.
func (r *gadgetRig) open(q gadget.Request) {
	r.do(func() {
		r.gadget.Open(q, func(v *View, err error) {
			if err != nil {
				r.note("open: %v", err)
				return
			}
			r.seen = v
			v.Watch(ViewEvents{
				BuddiesChanged: func(added, removed []uint32) {
					r.note("View.BuddiesChanged +%s -%s", r.names(added), r.names(removed))
				},
				ActivitiesChanged: func(added, removed []ActivityReference) {
					r.note("View.ActivitiesChanged +%s -%s", r.showActivities(added), r.showActivities(removed))
				},
				Closed: func() { r.note("View.Closed") },
			})
		})
	})
}

func (r *gadgetRig) names(handles []uint32) string {
	all := []string{}
	for _, h := range handles {
		all = append(all, r.nameOf(r.handles.Contacts.ID(h)))
	}
	return fmt.Sprint(all)
}

// reply answers the oldest question that begins so.
func (r *gadgetRig) reply(begin string, c gadget.Content) {
	r.t.Helper()
	for _, q := range r.asked {
		if strings.HasPrefix(q.what, begin) {
			q := r.next(q.what)
			r.do(func() { q.answer(stanza.New(stanza.NSClient, "iq", c.Element()), nil) })
			return
		}
	}
	r.t.Fatalf("nobody asks %s; log:\n%s", begin, strings.Join(r.log, "\n"))
}

func paint(colour string) map[string]any { return map[string]any{"color": colour} }

func chessWith(buddies ...gadget.Buddy) gadget.Activity {
	x := gadget.Activity{Properties: map[string]any{"type": "Chess", "private": false}, Buddies: buddies}
	x.ID, x.Room = idOf(chess), chess
	return x
}

var (
	askActivities = gadget.Request{Kind: gadget.Activities, Size: 5}
	askBuddies    = gadget.Request{Kind: gadget.Buddies, Size: 5}
)

func TestView_activities(t *testing.T) {
	gadgetTest(t, Sizes{}, func(r *gadgetRig) {
		r.expect("GadgetDiscovered")
		r.open(askActivities)
		r.expect("ask <view id=1 size=5><activity>")
		r.reply("ask", gadget.Content{Kind: gadget.Activities, View: "1", Activities: []gadget.Activity{
			chessWith(gadget.Buddy{JID: bob, Alias: "Bob", Properties: paint("red")}),
		}})
		r.expect("ActivityPropertiesChanged chess {private=false type=Chess}", "bob is called Bob",
			"View.ActivitiesChanged +[id-chess@chess] -[]", "View.BuddiesChanged +[bob] -[]",
			"PresencesChanged bob=available", "PropertiesChanged bob {color=red}")
		if got := r.findRoom(idOf(chess)); got != "chess" {
			t.Errorf("GetActivity gives %s, want chess", got)
		}
		r.getActivities(bob)
		r.expect("GetActivities bob -> [id-chess@chess]", "ActivitiesChanged bob [id-chess@chess]")
		r.news(gadget.Membership{View: "1", Room: chess, Joined: []gadget.Buddy{{JID: eve, Properties: paint("blue")}}})
		r.expect("View.BuddiesChanged +[eve] -[]", "PresencesChanged eve=available", "PropertiesChanged eve {color=blue}")
		r.pass(introduction)
		r.expect("ActivitiesChanged eve [id-chess@chess]")
		r.news(gadget.Membership{View: "1", Room: chess, Left: []jid.JID{eve}})
		r.expect("ActivitiesChanged eve []", "View.BuddiesChanged +[] -[eve]", "PresencesChanged eve=offline")
		r.news(gadget.ActivityChange{View: "1", Activity: chessWith().Activity, Properties: paint("green")})
		r.expect("ActivityPropertiesChanged chess {color=green}")
		r.news(gadget.Removed{Kind: gadget.Activities, View: "1", Activities: chessWithout()})
		r.expect("ActivitiesChanged bob []", "View.BuddiesChanged +[] -[bob]", "View.ActivitiesChanged +[] -[id-chess@chess]",
			"PresencesChanged bob=offline")
		if got := r.findRoom(idOf(chess)); got != "NotAvailable" {
			t.Errorf("GetActivity gives %s, want NotAvailable", got)
		}
		r.do(r.seen.Close)
		r.expect("send gadget.school.test <close id=1>")
	})
}

func TestView_buddies(t *testing.T) {
	gadgetTest(t, Sizes{}, func(r *gadgetRig) {
		r.log = nil
		r.open(askBuddies)
		r.reply("ask", gadget.Content{Kind: gadget.Buddies, View: "1", Buddies: []gadget.Buddy{{JID: bob, Properties: paint("red")}, {JID: eve}}})
		r.expect("ask <view id=1 size=5><buddy>", "View.BuddiesChanged +[bob eve] -[]",
			"PresencesChanged bob=available eve=available", "PropertiesChanged bob {color=red}")
		r.getProperties(bob)
		r.expect("GetProperties bob -> {color=red}")
		r.pass(time.Minute)
		// An activity that nobody has told of is none.
		r.news(gadget.BuddyChange{View: "1", Buddy: gadget.Buddy{JID: bob}, Moved: true, Current: chessWith().Activity})
		r.expect()
		r.handles.Rooms.Ensure(chess)
		r.news(gadget.BuddyChange{View: "1", Buddy: gadget.Buddy{JID: bob}, Moved: true, Current: chessWith().Activity})
		r.expect("CurrentActivityChanged bob \"id-chess\" chess")
		// What is told of others, or of a view that there is not, is not listened to.
		r.news(gadget.BuddyChange{View: "1", Buddy: gadget.Buddy{JID: sugarJID("mallory@school.test"), Properties: paint("black")}})
		r.news(gadget.BuddyChange{View: "2", Buddy: gadget.Buddy{JID: bob, Properties: paint("black")}})
		r.expect()
		r.do(r.seen.Close)
		r.expect("send gadget.school.test <close id=1>", "CurrentActivityChanged bob \"\" nothing",
			"PresencesChanged bob=offline eve=offline")
	})
}

func chessWithout() []olpc.Activity { return []olpc.Activity{chessWith().Activity} }

// The views that are open without being asked for outlast a restart of the
// component, and nobody in them goes and comes.
func TestGadget_restart(t *testing.T) {
	gadgetTest(t, Sizes{On: true, Buddies: 3, Activities: 2}, func(r *gadgetRig) {
		r.expect("GadgetDiscovered", "send gadget.school.test <>", "ask <view id=1 size=2><activity>", "ask <view id=2 size=3><buddy>")
		bobs := gadget.Buddy{JID: bob, Properties: paint("red")}
		r.reply("ask <view id=1", gadget.Content{Kind: gadget.Activities, Activities: []gadget.Activity{chessWith(bobs)}})
		r.reply("ask <view id=2", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{{JID: eve}}})
		r.pass(introduction)
		r.log = nil
		r.open(askBuddies)
		r.reply("ask", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{bobs}})
		r.log = nil
		r.presence("unavailable")
		r.pass(mourning / 2)
		r.expect()
		r.presence("")
		if r.log[len(r.log)-1] != "View.Closed" && r.log[1] != "View.Closed" && r.log[2] != "View.Closed" {
			t.Errorf("the client's view is not closed: %q", r.log)
		}
		r.log = nil
		again := chessWith(bobs, gadget.Buddy{JID: eve})
		for _, q := range r.asked {
			if strings.Contains(q.what, "<buddy>") {
				r.reply(q.what, gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{{JID: eve}}})
				r.expect()
				break
			}
		}
		r.reply("ask", gadget.Content{Kind: gadget.Activities, Activities: []gadget.Activity{again}})
		r.expect("ActivitiesChanged eve [id-chess@chess]")
		r.presence("unavailable")
		r.pass(mourning)
		r.expect("ActivitiesChanged bob []", "ActivitiesChanged eve []", "PresencesChanged bob=offline eve=offline")
	})
}

// Whose own presence is known is no guest of a view.
func TestView_realPresence(t *testing.T) {
	gadgetTest(t, Sizes{}, func(r *gadgetRig) {
		r.open(askBuddies)
		r.reply("ask", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{{JID: bob, Properties: paint("red")}}})
		r.log = nil
		r.appear(bob)
		r.event(bob, propertiesXML("color", "blue"))
		r.expect("PropertiesChanged bob {color=blue}")
		r.leave(bob)
		r.expect("PresencesChanged bob=offline")
		r.do(r.seen.Close)
		r.expect("send gadget.school.test <close id=1>")
	})
}

// The component is invited to what everybody may see, once.
func TestGadget_invitation(t *testing.T) {
	gadgetTest(t, Sizes{On: true}, func(r *gadgetRig) {
		r.log = nil
		r.share(true)
		r.expect()
		public := olpc.Properties{"private": false, "type": "Chess"}
		r.do(func() { r.setDescription(chess, public, r.done("SetProperties")) })
		r.publishAll()
		sent := strings.Join(r.log, "\n")
		if !strings.Contains(sent, "send gadget.school.test <properties activity=id-chess") ||
			strings.Count(sent, "<invite to=gadget.school.test><reason>Share activity") != 1 {
			t.Errorf("sent:\n%s", sent)
		}
		public = olpc.Properties{"private": false, "type": "Draughts"}
		r.do(func() { r.setDescription(chess, public, r.done("SetProperties")) })
		r.publishAll()
		if again := strings.Join(r.log, "\n"); strings.Count(again, "<invite") != 1 {
			t.Errorf("sent:\n%s", again)
		}
		r.log = nil
	})
}

func TestGadget_none(t *testing.T) {
	sugarTest(t, func(s *sugarRig) {
		r := &gadgetRig{sugarRig: s}
		r.gadget = NewGadget(s, s.people, s.Activities, nil, Sizes{On: true})
		r.open(askBuddies)
		r.expect()
		r.do(r.gadget.found)
		r.expect("open: org.freedesktop.Telepathy.Error.NotAvailable: the server has no component for views")
	})
}

// A component that has started again learns only little by little who is there:
// nobody goes and comes meanwhile, and who is not told of again goes in the end.
func TestGadget_restartLittleByLittle(t *testing.T) {
	gadgetTest(t, Sizes{On: true, Buddies: 2, Activities: 1}, func(r *gadgetRig) {
		bobs, eves := gadget.Buddy{JID: bob, Properties: paint("red")}, gadget.Buddy{JID: eve}
		r.reply("ask <view id=1", gadget.Content{Kind: gadget.Activities, Activities: []gadget.Activity{chessWith(bobs, eves)}})
		r.reply("ask <view id=2", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{bobs, eves}})
		r.pass(introduction)
		r.log = nil
		r.presence("")
		r.expect("ask <view id=3 size=1><activity>", "ask <view id=4 size=2><buddy>")
		r.reply("ask <view id=3", gadget.Content{Kind: gadget.Activities})
		r.reply("ask <view id=4", gadget.Content{Kind: gadget.Buddies})
		r.news(gadget.Added{Kind: gadget.Activities, View: "3", Activities: []gadget.Activity{chessWith()}})
		r.news(gadget.Membership{View: "3", Room: chess, Joined: []gadget.Buddy{bobs}})
		r.news(gadget.Added{Kind: gadget.Buddies, View: "4", Buddies: []gadget.Buddy{bobs}})
		r.pass(mourning / 2)
		r.expect()
		// There is place for the new one, as eve was not told of again; in chess she may be still.
		r.news(gadget.Added{Kind: gadget.Buddies, View: "4", Buddies: []gadget.Buddy{{JID: sugarJID("zoe@school.test")}}})
		r.expect("PresencesChanged zoe=available")
		r.pass(mourning / 2)
		r.expect("ActivitiesChanged eve []", "PresencesChanged eve=offline")
	})
}

// What is shown of a component that was killed, which says nothing, goes when it
// is missed, and comes back with it.
func TestGadget_vanished(t *testing.T) {
	gadgetTest(t, Sizes{On: true, Buddies: 2}, func(r *gadgetRig) {
		bobs := gadget.Buddy{JID: bob, Properties: paint("red")}
		r.reply("ask <view id=1", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{bobs}})
		r.pass(introduction)
		r.log = nil
		isThere := func(err error) {
			t.Helper()
			r.pass(checkup - introduction)
			for _, q := range r.asked {
				if strings.Contains(q.what, "<ping>") {
					q := r.next(q.what)
					r.do(func() { q.answer(nil, err) })
					r.log = nil
					return
				}
			}
			t.Fatalf("nobody asks whether it is there: %v", r.asked)
		}
		isThere(&stanza.Error{Type: stanza.TypeCancel, Condition: stanza.FeatureNotImplemented})
		r.pass(introduction)
		isThere(&stanza.Error{Type: stanza.TypeWait, Condition: stanza.ServiceUnavailable})
		r.pass(mourning - time.Second)
		r.expect()
		r.pass(time.Second)
		r.expect("PresencesChanged bob=offline")
		for _, q := range r.asked {
			t.Errorf("asked %s", q.what)
		}
		r.pass(checkup - mourning)
		q := r.next("ask <ping>")
		r.do(func() { q.answer(nil, nil) })
		r.expect("ask <ping>", "send gadget.school.test <>", "ask <view id=2 size=2><buddy>")
		r.reply("ask <view id=2", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{bobs}})
		r.expect("PresencesChanged bob=available")
	})
}

// foundLaterTest is for a child whose server is asked for components in a search.
func foundLaterTest(t *testing.T, test func(r *gadgetRig, search *services.Search, answer func(payload string, err error))) {
	t.Helper()
	sugarTest(t, func(s *sugarRig) {
		r := &gadgetRig{sugarRig: s}
		r.gadget = NewGadget(s, s.people, s.Activities, nil, Sizes{On: true})
		defer r.do(r.gadget.Close)
		search := services.New(services.Config{Asker: s, Server: sugarJID("school.test"), After: func(d time.Duration, label string, f func()) func() {
			return s.After(d, label, f).Stop
		}})
		test(r, search, func(payload string, err error) {
			t.Helper()
			q := r.next("ask <query>")
			r.do(func() { q.answer(sugarXML(t, "<iq>"+payload+"</iq>"), err) })
		})
	})
}

const (
	noItems    = "<query xmlns='" + disco.NSItems + "'/>"
	gadgetInfo = "<query xmlns='" + disco.NSInfo + "'><identity category='collaboration' type='gadget'/><feature var='" + gadget.NSBuddy + "'/></query>"
)

// A component may start while the child's search is under way.
func TestGadget_startsMeanwhile(t *testing.T) {
	foundLaterTest(t, func(r *gadgetRig, search *services.Search, answer func(string, error)) {
		r.do(func() {
			r.gadget.Connected(search)
			r.gadget.HandlePresence(stanza.New(stanza.NSClient, "presence", stanza.A("from", inspector.String())))
		})
		answer(noItems, nil)
		answer(gadgetInfo, nil)
		r.expect("ask <query>", "ask <query>", "GadgetDiscovered", "send gadget.school.test <>")
	})
}

// A component that is down when the child comes is found later, without asking
// anybody again who has answered.
func TestGadget_foundLater(t *testing.T) {
	foundLaterTest(t, func(r *gadgetRig, search *services.Search, answer func(string, error)) {
		soughtAfter := func(want time.Duration) {
			t.Helper()
			waited := time.Duration(0)
			for ; len(r.asked) == 0 && waited < 2*want; waited += time.Second {
				r.pass(time.Second)
			}
			if waited < want/2 || waited > want*3/2 {
				t.Errorf("sought after %v, want about %v", waited, want)
			}
		}
		items := "<query xmlns='" + disco.NSItems + "'><item jid='rooms.school.test'/><item jid='gadget.school.test'/></query>"
		rooms := "<query xmlns='" + disco.NSInfo + "'><identity category='conference' type='text'/></query>"
		down := &stanza.Error{Type: stanza.TypeWait, Condition: stanza.ServiceUnavailable}
		r.do(func() { r.gadget.Connected(search) })
		answer(items, nil)
		answer(rooms, nil)
		answer("", down)
		r.expect("ask <query>", "ask <query>", "ask <query>")
		for _, later := range []time.Duration{1, 2, 4, 8, 16, 30, 30} {
			soughtAfter(later * time.Minute)
			answer(items, nil)
			answer("", down) // the component; rooms are known
			r.expect("ask <query>", "ask <query>")
			if r.gadget.isAvailable() || len(r.asked) > 0 {
				t.Fatalf("available: %v, asked %v", r.gadget.isAvailable(), r.asked)
			}
		}
		soughtAfter(soughtLast)
		answer(items, nil)
		answer(gadgetInfo, nil)
		r.expect("ask <query>", "ask <query>", "GadgetDiscovered", "send gadget.school.test <>")
		r.pass(checkup - time.Second)
		r.expect() // nobody is asked again
	})
}

// Of two components one goes on when the other goes.
func TestGadget_twoComponents(t *testing.T) {
	gadgetTest(t, Sizes{On: true, Buddies: 2, Activities: 2}, func(r *gadgetRig) {
		r.reply("ask <view id=1", gadget.Content{Kind: gadget.Activities, Activities: []gadget.Activity{chessWith(gadget.Buddy{JID: eve})}})
		r.reply("ask <view id=2", gadget.Content{Kind: gadget.Buddies, Buddies: []gadget.Buddy{{JID: bob}}})
		other := sugarJID("index.school.test")
		r.do(func() { r.gadget.rooms = other })
		r.pass(introduction)
		r.log = nil
		r.presence("unavailable")
		r.do(func() {
			r.gadget.HandlePresence(stanza.New(stanza.NSClient, "presence", stanza.A("from", other.String())))
		})
		r.reply("ask <view id=3", gadget.Content{Kind: gadget.Activities, Activities: []gadget.Activity{chessWith(gadget.Buddy{JID: eve})}})
		r.expect("ask <view id=3 size=2><activity>")
		r.pass(mourning)
		r.expect("PresencesChanged bob=offline")
	})
}
