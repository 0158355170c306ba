package presence

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

const noCurrent = "publish current-activity <activity type= room=>"

// What a crashed session left is cleared first, one node after the other.
func TestActivities_connected(t *testing.T) {
	sugarTestFrom(t, func(r *sugarRig) {
		r.do(func() {
			r.setProperties(olpc.Properties{"old": "gone"}, r.done("SetProperties"))
			r.setProperties(olpc.Properties{"color": "#1,#2", "key": []byte("KEY")}, r.done("SetProperties"))
		})
		r.getProperties(ada)
		r.expect("SetProperties -> done", "SetProperties -> done", "GetProperties ada -> Disconnected")
		r.connect()
		r.expect("publish activities <activities>")
		r.refuse("publish activities", stanza.NotAllowed)
		r.expect("publish activity-properties <activities>")
		r.answer("publish activity-properties", "")
		r.expect("publish buddy-properties <properties><property name=color type=str>#1,#2<property name=key type=bytes>S0VZ")
		r.answer("publish buddy-properties", "")
		r.expect(noCurrent)
		r.answer("publish current-activity", "")
		r.getProperties(ada)
		r.expect("GetProperties ada -> " + looks)
	})
}

func TestActivities_connectedWithoutProperties(t *testing.T) {
	sugarTestFrom(t, func(r *sugarRig) {
		r.connect()
		r.publishAll()
		r.expect("publish activities <activities>", "publish activity-properties <activities>", noCurrent)
	})
}

func TestSetProperties_afterConnect(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.do(func() { r.setProperties(olpc.Properties{"color": "#1,#2"}, r.done("SetProperties")) })
		r.expect("publish buddy-properties <properties><property name=color type=str>#1,#2")
		r.answer("publish buddy-properties", "")
		r.expect("SetProperties -> done")
		r.do(func() { r.setProperties(olpc.Properties{"color": "#3,#4"}, r.done("SetProperties")) })
		r.refuse("publish buddy-properties", stanza.Forbidden)
		r.do(func() {
			r.setProperties(olpc.Properties{"color": strings.Repeat("x", olpc.MaxPropertiesBytes)}, r.done("SetProperties"))
		})
		r.expect("publish buddy-properties <properties><property name=color type=str>#3,#4", "SetProperties -> PermissionDenied",
			"SetProperties -> InvalidArgument")
	})
}

func TestProperties_fromDBus(t *testing.T) {
	got := properties(map[string]dbus.Variant{
		"key":   dbus.MakeVariant([]byte("K")),
		"count": dbus.MakeVariant(int16(-3)),
		"when":  dbus.MakeVariant(int64(3)),
		"list":  dbus.MakeVariant([]string{"a"}),
		"":      dbus.MakeVariant("nameless"),
	})
	if diff := cmp.Diff(olpc.Properties{"key": []byte("K"), "count": int32(-3)}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func chessGame() olpc.Activity { return olpc.Activity{ID: idOf(chess), Room: chess} }

// share has ada share the chess game, public or private.
func (r *sugarRig) share(private bool) {
	r.joined[chess] = true
	r.do(func() { r.announce(chessGame(), r.done("AddActivity")) })
	r.publishAll()
	r.do(func() {
		r.setDescription(chess, olpc.Properties{"private": private, "type": "Chess"}, r.done("SetProperties"))
	})
	r.publishAll()
	r.log = nil
}

const (
	publicChess  = "<properties activity=id-chess room=chess><property name=private type=bool>0<property name=type type=str>Chess"
	privateChess = "<properties activity=id-chess room=chess><property name=private type=bool>1<property name=type type=str>Chess"
	namedChess   = "<properties activity=id-chess room=chess><property name=name type=str>Chess!<property name=private type=bool>0"
)

func TestShare_public(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.joined[chess] = true
		r.do(func() { r.announce(chessGame(), r.done("AddActivity")) })
		r.expect("ActivitiesChanged ada [id-chess@chess]", "AddActivity -> done")
		r.do(func() { r.setCurrent(chessGame(), r.done("SetCurrentActivity")) })
		r.publishAll()
		r.expect(noCurrent, "SetCurrentActivity -> done")
		r.do(func() {
			r.setDescription(chess, olpc.Properties{"private": false, "type": "Chess"}, r.done("SetProperties"))
		})
		r.expect("send chess@rooms.school.test "+publicChess, "publish activity-properties <activities>"+publicChess,
			"publish activities <activities><activity type=id-chess room=chess>",
			"publish current-activity <activity type=id-chess room=chess>")
		r.publishAll()
		r.expect("ActivityPropertiesChanged chess {private=false type=Chess}", "SetProperties -> done")
		r.getActivities(ada)
		r.getCurrentActivity(ada)
		r.expect("GetActivities ada -> [id-chess@chess]", `GetCurrentActivity ada -> "id-chess" chess`)
		if got := r.findRoom(idOf(chess)); got != "chess" {
			t.Errorf("GetActivity gives %s, want chess", got)
		}
	})
}

// A private activity is in no node, whatever is done with it.
func TestShare_private(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.share(true)
		r.do(func() { r.setCurrent(chessGame(), r.done("SetCurrentActivity")) })
		r.publishAll()
		r.expect(noCurrent, "SetCurrentActivity -> done")
		r.do(func() {
			r.setDescription(chess, olpc.Properties{"private": true, "name": "C"}, r.done("SetProperties"))
		})
		r.expect("send chess@rooms.school.test <properties activity=id-chess room=chess><property name=name type=str>C<property name=private type=bool>1",
			"ActivityPropertiesChanged chess {name=C private=true}", "SetProperties -> done")
		r.getActivities(ada)
		r.expect("GetActivities ada -> [id-chess@chess]")
	})
}

func TestShare_turnsPrivate(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.share(false)
		r.do(func() { r.setCurrent(chessGame(), r.done("SetCurrentActivity")) })
		r.publishAll()
		r.do(func() {
			r.setDescription(chess, olpc.Properties{"private": true, "type": "Chess"}, r.done("SetProperties"))
		})
		r.publishAll()
		r.expect("publish current-activity <activity type=id-chess room=chess>", "SetCurrentActivity -> done",
			"send chess@rooms.school.test "+privateChess, "publish activity-properties <activities>", "publish activities <activities>", noCurrent,
			"ActivityPropertiesChanged chess {private=true type=Chess}", "SetProperties -> done")
	})
}

func TestSetDescription_refused(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		set := func(p olpc.Properties) func() {
			return func() { r.setDescription(chess, p, r.done("SetProperties")) }
		}
		r.do(set(olpc.Properties{}))
		r.expect("SetProperties -> InvalidArgument") // not announced
		r.share(false)
		r.joined[chess] = false
		r.do(set(olpc.Properties{}))
		r.joined[chess] = true
		r.do(set(olpc.Properties{"name": strings.Repeat("x", olpc.MaxPropertiesBytes)}))
		r.expect("SetProperties -> InvalidArgument", "SetProperties -> InvalidArgument")
		r.do(set(olpc.Properties{"private": false, "name": "Chess!"}))
		r.refuse("publish activity-properties", stanza.Forbidden)
		r.expect("send chess@rooms.school.test "+namedChess, "publish activity-properties <activities>"+namedChess,
			"ActivityPropertiesChanged chess {name=Chess! private=false}", "SetProperties -> PermissionDenied")
	})
}

func TestSetDescription_allTogether(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		var last string
		for _, name := range []string{"a", "b", "c", "d", "e"} {
			room := sugarJID(name + "@rooms.school.test")
			r.joined[room] = true
			r.do(func() { r.announce(olpc.Activity{ID: name, Room: room}, func(error) {}) })
			r.publishAll()
			r.do(func() {
				r.setDescription(room, olpc.Properties{"private": false, "name": strings.Repeat("x", 15000)}, r.done("SetProperties"))
			})
			r.publishAll()
			last = r.log[len(r.log)-1]
			r.log = nil
		}
		if last != "SetProperties -> InvalidArgument" {
			t.Errorf("75,000 bytes in one node: %s", last)
		}
	})
}

func TestAnnounce_refused(t *testing.T) {
	many := make([]olpc.Activity, olpc.MaxActivities+1)
	for i := range many {
		many[i] = olpc.Activity{ID: "x", Room: sugarJID(strings.Repeat("r", i+1) + "@rooms.school.test")}
	}
	sugarTest(t, func(r *sugarRig) {
		r.share(false)
		r.do(func() {
			r.announce(chessGame(), r.done("the same room"))
			r.announce(olpc.Activity{Room: drawing}, r.done("no id"))
			r.announce(olpc.Activity{ID: strings.Repeat("x", 256), Room: drawing}, r.done("long id"))
			r.setAnnounced(many, many, r.done("too many"))
			twice := []olpc.Activity{chessGame(), {ID: "2", Room: chess}}
			r.setAnnounced(twice, twice, r.done("a room twice"))
			r.setCurrent(olpc.Activity{ID: "x", Room: drawing}, r.done("current elsewhere"))
		})
		r.expect("the same room -> InvalidArgument", "no id -> InvalidArgument", "long id -> InvalidArgument", "too many -> InvalidArgument",
			"a room twice -> InvalidArgument", "current elsewhere -> InvalidArgument")
		r.getActivities(ada)
		r.expect("GetActivities ada -> [id-chess@chess]")
	})
}

func TestSetActivities_replaces(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.share(false)
		r.do(func() { r.setCurrent(chessGame(), func(error) {}) })
		r.publishAll()
		r.log = nil
		list := []olpc.Activity{{ID: idOf(drawing), Room: drawing}}
		r.joined[chess] = false
		r.do(func() { r.setAnnounced(list, list, r.done("SetActivities")) })
		r.publishAll()
		r.expect("ActivitiesChanged ada [id-drawing@drawing]", "publish activity-properties <activities>", "publish activities <activities>", noCurrent,
			"SetActivities -> done")
		r.getCurrentActivity(ada)
		r.expect(`GetCurrentActivity ada -> "" nothing`)
		if got := r.findRoom(idOf(chess)); got != "NotAvailable" {
			t.Errorf("GetActivity gives %s, want NotAvailable", got)
		}
	})
}

// Contacts don't say what the user's own activity is: who is in the room does.
func TestShare_othersClaims(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(eve)
		r.share(false)
		r.event(eve, descriptionsXML(descriptionXML(chess, "private", true, "type", "evil")))
		r.event(eve, activitiesXML(chess))
		r.expect("ActivitiesChanged eve [id-chess@chess]")
		if got := r.describeRoom(r.room(chess)); got != "{private=false type=Chess}" {
			t.Errorf("GetProperties gives %s", got)
		}
	})
}

func TestVisible_onlyPublic(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.joined[chess] = true
		r.do(func() { r.announce(chessGame(), func(error) {}) })
		r.publishAll()
		for _, private := range []any{nil, "false", int32(0), true} {
			p := olpc.Properties{"type": "Chess"}
			p.Set("private", private)
			r.log = nil
			r.do(func() { r.setDescription(chess, p, func(error) {}) })
			if slices.ContainsFunc(r.log, func(s string) bool { return strings.HasPrefix(s, "publish") }) {
				t.Errorf("with private %#v: %q", private, r.log)
			}
		}
		r.log = nil
	})
}

func TestLeft_own(t *testing.T) {
	for _, private := range []bool{false, true} {
		sugarTest(t, func(r *sugarRig) {
			r.share(private)
			r.do(func() {
				r.setCurrent(chessGame(), func(error) {})
				r.Invite(chess, bob)
				r.Invite(chess, bob)
				r.Invite(chess, eve)
				r.Arrived(chess, eve.WithResource("x"))
			})
			r.publishAll()
			r.log = nil
			r.joined[chess] = false
			r.do(func() {
				r.Left(chess)
				r.Left(chess)
			})
			r.publishAll()
			want := []string{"send bob@school.test <uninvite id=id-chess room=chess>", "ActivitiesChanged ada []"}
			if !private {
				want = append(want, "publish activities <activities>", "publish activity-properties <activities>", noCurrent)
			}
			r.expect(want...)
			r.getCurrentActivity(ada)
			r.expect(`GetCurrentActivity ada -> "" nothing`)
		})
	}
}

func TestInvite(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.do(func() { r.Invite(chess, bob) }) // a chat room
		r.share(true)
		r.do(func() { r.Invite(chess, bob.WithResource("x")) })
		r.expect("send bob@school.test " + privateChess)
		r.do(func() {
			r.setDescription(chess, olpc.Properties{"private": true, "type": "Chess", "a": "b"}, func(error) {})
		})
		if n := len(r.log); n != 3 || !strings.HasPrefix(r.log[1], "send bob@school.test ") {
			t.Errorf("a change is not told to who is invited: %q", r.log)
		}
		r.log = nil
	})
}

// Who joins takes part, and is shown there, without being asked to announce it.
func TestJoined_known(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.event(bob, descriptionsXML(descriptionXML(chess, "private", false, "type", "Chess")))
		r.event(bob, activitiesXML(chess))
		r.log = nil
		r.joined[chess] = true
		r.do(func() { r.setCurrent(chessGame(), r.done("SetCurrentActivity")) })
		r.publishAll()
		r.do(func() { r.Joined(chess) })
		r.publishAll()
		r.expect(noCurrent, "SetCurrentActivity -> done", "ActivitiesChanged ada [id-chess@chess]", "publish activity-properties <activities>"+publicChess,
			"publish activities <activities><activity type=id-chess room=chess>", "publish current-activity <activity type=id-chess room=chess>")
		r.do(func() { r.announce(chessGame(), r.done("AddActivity")) })
		r.do(func() { r.announce(chessGame(), r.done("AddActivity")) })
		r.expect("AddActivity -> done", "AddActivity -> InvalidArgument")
	})
}

func TestJoined_unknownRoom(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.joined[chess] = true
		r.do(func() { r.Joined(chess) })
	})
}

func roomMessage(from jid.JID, inside string) string {
	return "<message type='groupchat' from='" + from.String() + "'>" + inside + "</message>"
}

func TestRoomMessage(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.share(false)
		r.do(func() { r.Invite(chess, eve) })
		r.log = nil
		said := descriptionXML(chess, "private", false, "name", "Chess!")
		r.message(roomMessage(chess.WithResource("Ada"), said)) // our own echo
		r.message(roomMessage(chess.WithResource("Bob"), said+"<delay xmlns='urn:xmpp:delay'/>"))
		r.message(strings.Replace(roomMessage(chess.WithResource("Bob"), said), "groupchat", "chat", 1))
		r.expect()
		r.message(roomMessage(chess.WithResource("Bob"), strings.Replace(said, "room=", "ignored=", 1)))
		r.message(roomMessage(chess.WithResource("Bob"), said))
		r.publishAll()
		r.expect("ActivityPropertiesChanged chess {name=Chess! private=false}",
			"send eve@school.test "+namedChess, "publish activity-properties <activities>"+namedChess)
		r.message(roomMessage(chess.WithResource("Bob"), descriptionXML(chess, "private", true)))
		r.publishAll()
		r.log = r.log[2:]
		r.expect("publish activity-properties <activities>", "publish activities <activities>")
	})
}

// Who was invited by another kind of client learns what it is from the room.
func TestRoomMessage_unknownActivity(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.joined[chess] = true
		r.do(func() { r.Joined(chess) })
		r.message(roomMessage(chess.WithResource("Bob"), descriptionXML(chess, "private", true)))
		r.expect("ActivitiesChanged ada [id-chess@chess]", "ActivityPropertiesChanged chess {private=true}")
	})
}

// Who goes off-line leaves all activities, and says so before the goodbye.
func TestDisconnecting_retracts(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.share(false)
		r.do(func() { r.setCurrent(chessGame(), func(error) {}) })
		r.publishAll()
		r.log = nil
		r.do(r.Disconnecting)
		const publish = "send  <pubsub><publish node=http://laptop.org/xmpp/"
		r.expect(publish+"activity-properties><item><activities>", publish+"activities><item><activities>",
			publish+"current-activity><item><activity type= room=>")
	})
}
