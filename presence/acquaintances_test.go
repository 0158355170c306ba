package presence

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// strangersRig is a rig with a component whose views are empty.
type strangersRig struct {
	*gadgetRig
	capabilities  *Capabilities
	acquaintances *Acquaintances
}

func strangersTest(t *testing.T, test func(r *strangersRig)) {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	gadgetTest(t, Sizes{On: true, Buddies: 3}, func(g *gadgetRig) {
		r := &strangersRig{gadgetRig: g}
		r.do(func() {
			r.capabilities = NewCapabilities(r, r.people, NewSimplePresence(r, r.people))
			r.acquaintances = NewAcquaintances(r.gadget, r.capabilities, NewSimplePresence(r, r.people), func(uint32) string { return "Ada" })
			r.people.Watch(Watcher{Left: func(_ *Contact, from jid.JID) { r.note("%s left", from) }})
			r.own.properties = paint("green")
		})
		r.reply("ask <view id=1", gadget.Content{Kind: gadget.Buddies})
		r.log = nil
		test(r)
		r.do(r.acquaintances.Close)
	})
}

// introduces has a device make its owner known, as said; it tells whether that was
// taken for just this.
func (r *strangersRig) introduces(device string, i gadget.Introduction, more ...stanza.Part) bool {
	var taken bool
	e := stanza.New(stanza.NSClient, "presence", stanza.A("from", device), i.Element()).With(more...)
	r.do(func() { taken = r.acquaintances.HandlePresence(e) })
	return taken
}

func (r *strangersRig) goes(device string) {
	e := stanza.New(stanza.NSClient, "presence", stanza.A("from", device), stanza.A("type", "unavailable"))
	r.do(func() { _ = r.acquaintances.HandlePresence(e) || r.people.HandlePresence(e) })
}

// find looks for a device that takes files.
func (r *strangersRig) find(who jid.JID) {
	r.do(func() {
		r.capabilities.FindDevice(who, nil, filesFeature, func(device jid.JID, err error) {
			var e *tp.Error
			if errors.As(err, &e) {
				r.note("found %s", e.Name)
				return
			}
			r.note("found %s", device)
		})
	})
}

var (
	bobs = gadget.Introduction{Buddy: gadget.Buddy{JID: bob, Alias: "Bob", Properties: paint("red")}}
	bobX = gadget.Introduction{Buddy: bobs.Buddy, Asks: true}
)

func (strangersRig) self(to, asks string) string {
	return "send " + to + " <buddy jid=ada@school.test alias=Ada" + asks + "><properties><property name=color type=str>green"
}

// What is begun comes only when clients know from whom.
func TestAcquaintances_answered(t *testing.T) {
	for name, row := range map[string]struct{ asked bool }{"asked about": {true}, "asked about by nobody": {false}} {
		t.Run(name, func(t *testing.T) {
			strangersTest(t, func(r *strangersRig) {
				if !r.introduces("bob@school.test/xo", bobX) {
					t.Error("taken for an ordinary presence")
				}
				r.expect("bob is called Bob", "PresencesChanged bob=available", "PropertiesChanged bob {color=red}")
				if row.asked {
					r.do(func() { r.Introduced(r.contact(bob)) })
				} else {
					r.pass(introduction)
				}
				r.expect(r.self("bob@school.test/xo", ""))
				r.pass(time.Minute)
				r.introduces("bob@school.test/phone", bobX) // known by now
				r.introduces("bob@school.test/phone", bobs)
				r.expect("bob is called Bob", r.self("bob@school.test/phone", ""), "bob is called Bob")
				r.getProperties(bob)
				r.expect("GetProperties bob -> {color=red}")
				r.goes("bob@school.test/phone")
				r.expect("bob@school.test/phone left")
				r.goes("bob@school.test/phone")
				r.expect()
				r.goes("bob@school.test/xo")
				r.expect("bob@school.test/xo left", "PresencesChanged bob=offline")
			})
		})
	}
}

// Whom only a view shows is asked for a device.
func TestAcquaintances_asked(t *testing.T) {
	strangersTest(t, func(r *strangersRig) {
		r.news(gadget.Added{Kind: gadget.Buddies, View: "1", Buddies: []gadget.Buddy{bobs.Buddy}})
		r.pass(time.Minute)
		r.log = nil
		r.find(bob)
		r.expect(r.self("bob@school.test", " asks=true"))
		r.introduces("bob@school.test/xo", bobs)
		r.expect("bob is called Bob", "ask <query>")
		q := r.next("ask <query>")
		r.do(func() { q.answer(sugarXML(t, "<iq>"+capsInfo("pc", filesFeature).Element().String()+"</iq>"), nil) })
		r.expect("found bob@school.test/xo")
		r.find(bob)
		r.expect("ask <query>") // and nothing more is sent
		r.do(func() { r.capabilities.endSearches() })
		r.expect("found " + string(tp.ErrorDisconnected))
		// What the view shows of bob outlasts what he has told.
		r.goes("bob@school.test/xo")
		r.expect("bob@school.test/xo left")
		r.getProperties(bob)
		r.expect("GetProperties bob -> {color=red}")
		r.find(bob)
		r.pass(answerWithin - time.Second)
		r.expect(r.self("bob@school.test", " asks=true"))
		r.pass(time.Second)
		r.expect("found " + string(tp.ErrorOffline))
	})
}

// Whoever is invited is told by whom.
func TestAcquaintances_invites(t *testing.T) {
	strangersTest(t, func(r *strangersRig) {
		r.share(true)
		r.do(func() {
			r.setDescription(chess, olpc.Properties{"private": true, "type": "Chess"}, r.done("SetProperties"))
		})
		r.publishAll()
		r.log = nil
		r.do(func() { r.Invite(chess, bob) })
		if len(r.log) != 2 || r.log[0] != r.self("bob@school.test", " asks=true") || !strings.HasPrefix(r.log[1], "send bob@school.test <properties") {
			t.Errorf("log:\n%s", strings.Join(r.log, "\n"))
		}
		r.log = nil
	})
}

// Who is seen by its own presence needs none of it, and nobody of another school
// is told anything.
func TestAcquaintances_needless(t *testing.T) {
	strangersTest(t, func(r *strangersRig) {
		r.meet(eve)
		for _, who := range []jid.JID{eve, ada, inspector, sugarJID("mallory@other.test"), sugarJID("chess@rooms.school.test/Bob")} {
			r.do(func() {
				if r.acquaintances.Introduce(who) {
					t.Errorf("introduced to %s", who)
				}
			})
		}
		r.asked = nil
		if r.introduces("eve@school.test/sugar", gadget.Introduction{Buddy: gadget.Buddy{JID: eve}, Asks: true}) {
			t.Error("not taken for an ordinary presence")
		}
		r.expect(r.self("eve@school.test/sugar", ""))
		r.do(func() { r.gadget.setPublishing(false) })
		r.log = nil
		r.do(func() { r.acquaintances.Introduce(bob) })
		r.introduces("bob@school.test/xo", bobX)
		r.expect()
	})
}

func TestAcquaintances_hostile(t *testing.T) {
	strangersTest(t, func(r *strangersRig) {
		for name, row := range map[string]struct {
			device string
			i      gadget.Introduction
			more   []stanza.Part
		}{
			"of another school": {"mallory@other.test/xo", gadget.Introduction{Buddy: gadget.Buddy{JID: sugarJID("mallory@other.test")}}, nil},
			"somebody else":     {"mallory@school.test/xo", bobs, nil},
			"without a device":  {"bob@school.test", bobs, nil},
			"of no type":        {"bob@school.test/xo", bobs, []stanza.Part{stanza.A("type", "probe")}},
			"a room's":          {"chess@rooms.school.test/Bob", gadget.Introduction{Buddy: gadget.Buddy{JID: chess}}, nil},
			"the user's":        {"ada@school.test/other", gadget.Introduction{Buddy: gadget.Buddy{JID: ada}}, nil},
		} {
			row.i.Asks = true
			if r.introduces(row.device, row.i, row.more...) {
				t.Errorf("%s: taken", name)
			}
		}
		r.expect()
		if !r.introduces("bob@school.test", bobs, stanza.A("type", "error")) {
			t.Error("what comes back is taken for an error of bob's")
		}
		for n := range maxResources + 1 {
			r.introduces(fmt.Sprintf("bob@school.test/%d", n), bobs)
		}
		for n := range maxAcquaintances {
			who := fmt.Sprintf("stranger%d@school.test", n)
			taken := r.introduces(who+"/xo", gadget.Introduction{Buddy: gadget.Buddy{JID: sugarJID(who)}})
			if want := n < maxAcquaintances-1; taken != want {
				t.Errorf("stranger %d taken: %v", n, taken)
			}
		}
		r.do(func() {
			if n := len(r.acquaintances.Devices(bob)); n != maxResources {
				t.Errorf("%d devices", n)
			}
		})
		r.log = nil
		r.goes("bob@school.test") // all of his
		if n := strings.Count(strings.Join(r.log, "\n"), "left"); n != maxResources {
			t.Errorf("%d devices left", n)
		}
		r.log = nil
	})
}
