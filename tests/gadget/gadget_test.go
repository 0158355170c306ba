package gadget

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// each runs a test on both servers.
func each(t *testing.T, test func(t *testing.T, w *world)) {
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) { test(t, newWorld(t, kind)) })
	}
}

// everybody is a random view of as many as one may see, and shared of all activities.
var (
	everybody = gadget.Request{Kind: gadget.Buddies, View: "1", Size: 50}
	shared    = gadget.Request{Kind: gadget.Activities, View: "2", Size: 50}
)

func activity(t *testing.T) olpc.ActivityProperties {
	return olpc.ActivityProperties{
		Activity:   olpc.Activity{ID: "a1", Room: addr(t, "a1@conference.school.test")},
		Properties: olpc.Properties{"type": "org.laptop.Chat", "name": "Chat", "color": "#00EA11,#00588C", "tags": "", "private": false},
	}
}

// discover tells whether the server lists the component, and asks that what it is.
func (k *kid) discover() (listed bool, info *disco.Info, err error) {
	k.w.t.Helper()
	reply, err := k.Ask(k.w.ctx, disco.ItemsQuery(addr(k.w.t, k.w.server.Domain), ""))
	if err != nil {
		k.w.t.Fatal(err)
	}
	items, err := disco.ParseItems(reply.Child(disco.NSItems, "query"))
	if err != nil {
		k.w.t.Fatal(err)
	}
	listed = slices.ContainsFunc(items, func(i disco.Item) bool { return i.JID == k.w.gadget })
	if reply, err = k.Ask(k.w.ctx, disco.InfoQuery(k.w.gadget, "")); err != nil {
		return listed, nil, err
	}
	info, err = disco.ParseInfo(reply.Child(disco.NSInfo, "query"))
	return listed, info, err
}

// A component that is down is listed by Prosody alone, and answers nothing: what
// clients can do to find it when it comes is ask for both again.
func TestDiscovery(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana := w.kid("ana")
		listed, info, err := ana.discover()
		if err != nil || !listed || !info.Is(gadget.Category, gadget.Type) || !info.Has(gadget.NSBuddy) || !info.Has(gadget.NSActivity) {
			t.Errorf("listed %v, info %+v, %v", listed, info, err)
		}
		if err := w.proc.Kill(); err != nil {
			t.Fatal(err)
		}
		ana.Logout()
		if err := w.server.Restart(w.ctx); err != nil {
			t.Fatal(err)
		}
		ana.login()
		listed, _, err = ana.discover()
		if want := strings.HasSuffix(t.Name(), string(school.Prosody)); listed != want || err == nil {
			t.Errorf("down: listed %v, want %v; %v", listed, want, err)
		}
		t.Logf("a component that is down says %v", err)
		w.start()
		if listed, _, err = ana.discover(); !listed || err != nil {
			t.Errorf("up again: listed %v, %v", listed, err)
		}
	})
}

func TestBuddies(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana, bob, eve := w.kid("ana"), w.kid("bob"), w.kid("eve")
		ana.publish("red")
		bob.publish("green")
		seen := bob.view(everybody)
		anas := addr(t, "ana@school.test")
		bob.sees("ana", func() bool {
			return seen.buddies[anas].Alias == "ANA" && seen.buddies[anas].Properties["color"] == "red"
		})

		ana.tell(olpc.NodeBuddyProperties, olpc.BuildBuddyProperties(olpc.Properties{"color": "blue"}))
		bob.sees("ana in blue", func() bool { return seen.buddies[anas].Properties["color"] == "blue" })

		hers := ana.view(everybody)
		bobs := addr(t, "bob@school.test")
		ana.sees("bob", func() bool { return hers.buddies[bobs].Alias == "BOB" })

		for name, c := range map[string]struct {
			what gadget.Criteria
			want int
		}{
			"by name":          {gadget.Criteria{Alias: "an"}, 1},
			"by address":       {gadget.Criteria{JID: bobs}, 1},
			"who is no buddy":  {gadget.Criteria{JID: addr(t, "eve@school.test")}, 0},
			"by color":         {gadget.Criteria{Properties: olpc.Properties{"color": "green"}}, 1},
			"by another color": {gadget.Criteria{Properties: olpc.Properties{"color": "red"}}, 0},
			"anybody":          {gadget.Criteria{}, 2},
		} {
			reply, err := eve.Ask(w.ctx, gadget.Request{Kind: gadget.Buddies, Criteria: c.what}.IQ(w.gadget))
			if err != nil {
				t.Fatal(err)
			}
			if found, ok := gadget.ParseContent(reply); !ok || len(found.Buddies) != c.want {
				t.Errorf("%s: %v", name, found.Buddies)
			}
		}
		var refusal *stanza.Error
		if _, err := eve.Ask(w.ctx, gadget.Request{Kind: gadget.Buddies, View: "1"}.IQ(w.gadget)); !errors.As(err, &refusal) || refusal.Condition != stanza.BadRequest {
			t.Errorf("a view without size: %v", err)
		}

		bob.Logout()
		ana.sees("that bob has gone", func() bool { return len(hers.buddies) == 0 })
		bob.loginAgain()
		ana.sees("bob again", func() bool { return hers.buddies[bobs].Properties["color"] == "green" })
		bob.send(stanza.New(stanza.NSClient, "presence", stanza.A("to", w.gadget.String()), stanza.A("type", "unsubscribed")))
		ana.sees("that bob publishes no more", func() bool { return len(hers.buddies) == 0 })
	})
}

func TestActivities(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana, bob, eve := w.kid("ana"), w.kid("bob"), w.kid("eve")
		seen := eve.view(shared)
		ana.publish("red")
		bob.publish("green")
		a := activity(t)
		anas, bobs := addr(t, "ana@school.test"), addr(t, "bob@school.test")
		in := func(who ...jid.JID) func() bool {
			return func() bool {
				for _, j := range who {
					if !seen.members[a.Room][j] {
						return false
					}
				}
				return len(seen.activities) == 1 && len(seen.members[a.Room]) == len(who)
			}
		}
		ana.share(a)
		eve.sees("the activity with ana", in(anas))

		// Bob lists it nowhere: that he is in it, the inspector sees.
		bob.enter(a.Room)
		eve.sees("bob in it", in(anas, bobs))
		a.Properties["name"] = "Talk"
		bob.send(olpc.BuildRoomMessage(a))
		eve.sees("its new name", func() bool { return seen.activities[a.Room].Properties["name"] == "Talk" })
		bob.leave()
		eve.sees("bob gone from it", in(anas))

		a.Properties["private"] = true
		ana.send(olpc.BuildRoomMessage(a))
		eve.sees("nothing of what is private", func() bool { return len(seen.activities) == 0 })
		ana.tell(olpc.NodeActivities, olpc.BuildActivities(nil))
		ana.tell(olpc.NodeActivityProperties, olpc.BuildActivityProperties(nil))

		a.Properties["private"] = false
		ana.announce(a)
		eve.sees("it, public again", in(anas))
		ana.Logout()
		eve.sees("that it is over", func() bool { return len(seen.activities) == 0 })
	})
}

// Whatever is ended in whatever way comes back, with nothing lost and nobody
// there who is not.
func TestRestarts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ana, bob := w.kid("ana"), w.kid("bob")
		ana.publish("red")
		bob.publish("green")
		a := activity(t)
		ana.share(a)
		anas, bobs := addr(t, "ana@school.test"), addr(t, "bob@school.test")
		good := func(k *kid) func() bool {
			buddies, activities := k.view(everybody), k.view(shared)
			return func() bool {
				_, sees := buddies.buddies[anas]
				return sees && len(buddies.buddies) == 1 && len(activities.activities) == 1 && activities.members[a.Room][anas] && len(activities.members[a.Room]) == 1
			}
		}
		bob.sees("all", good(bob))

		for _, how := range []string{"kill", "stop"} {
			if how == "kill" {
				if err := w.proc.Kill(); err != nil {
					t.Fatal(err)
				}
			} else if err := w.proc.Stop(); err != nil {
				t.Fatal(err)
			}
			here := bob.here
			w.start()
			bob.sees("that the component is back", func() bool { return bob.here > here })
			bob.sees("all again", good(bob))
		}

		// Somebody who goes while it is away is no ghost.
		if err := w.proc.Kill(); err != nil {
			t.Fatal(err)
		}
		ana.Logout()
		here := bob.here
		w.start()
		bob.sees("that the component is back", func() bool { return bob.here > here })
		seen, acts := bob.view(everybody), bob.view(shared)
		if err := bob.Ping(w.ctx, w.gadget); err != nil {
			t.Error(err)
		}
		if len(seen.buddies) != 0 || len(acts.activities) != 0 {
			t.Errorf("sees %v and %v", seen.buddies, acts.activities)
		}
		ana.loginAgain() // her nodes still tell of the activity, which may be seen again
		bob.sees("ana", func() bool { _, ok := seen.buddies[anas]; return ok && len(seen.buddies) == 1 })

		// The server itself.
		ana.Logout()
		bob.Logout()
		if err := w.server.Restart(w.ctx); err != nil {
			t.Fatal(err)
		}
		w.connected()
		ana.loginAgain()
		bob.loginAgain()
		hers := ana.view(everybody)
		ana.sees("bob", func() bool { return hers.buddies[bobs].Properties["color"] == "green" })
	})
}
