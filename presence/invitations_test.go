package presence

import (
	"fmt"
	"testing"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

func invitation(from jid.JID, inside string) string {
	return "<message from='" + from.String() + "/sugar'>" + inside + "</message>"
}

func uninvite(id string, room jid.JID) string {
	return "<uninvite xmlns='" + olpc.NodeActivityProperties + "' id='" + id + "' room='" + room.String() + "'/>"
}

var secret = descriptionXML(chess, "private", true, "type", "Chess")

const secretIs = "{private=true type=Chess}"

func TestInvitation(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob, eve)
		r.event(bob, activitiesXML(drawing))
		r.refuse("fetch activity-properties of bob", stanza.ItemNotFound)
		r.log = nil
		r.message(invitation(bob, secret))
		r.message(invitation(bob, secret))
		r.message(invitation(eve, secret))
		r.expect("ActivityPropertiesChanged chess "+secretIs, "ActivitiesChanged bob [id-drawing@drawing id-chess@chess]",
			"ActivitiesChanged eve [id-chess@chess]")
		if got := r.findRoom(idOf(chess)); got != "chess" {
			t.Errorf("GetActivity gives %s, want chess", got)
		}
		r.event(bob, activitiesXML()) // of what is public alone
		r.expect("ActivitiesChanged bob [id-chess@chess]")
		r.message(invitation(bob, uninvite("other", chess)))
		r.message(invitation(bob, uninvite(idOf(chess), drawing)))
		r.message(invitation(sugarJID("mallory@school.test"), uninvite(idOf(chess), chess)))
		r.expect()
		r.message(invitation(bob, uninvite(idOf(chess), chess)))
		r.leave(eve)
		r.expect("ActivitiesChanged bob []", "ActivitiesChanged eve []", "PresencesChanged eve=offline")
		if got := r.findRoom(idOf(chess)); got != "NotAvailable" {
			t.Errorf("GetActivity gives %s, want NotAvailable", got)
		}
	})
}

// Accepting makes the invitations superfluous; nothing is lost on the way.
func TestInvitation_accepted(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.message(invitation(bob, secret))
		r.log = nil
		r.joined[chess] = true
		r.do(func() { r.Joined(chess) })
		r.expect("ActivitiesChanged ada [id-chess@chess]", "ActivitiesChanged bob []")
		if got := r.describeRoom(r.room(chess)); got != secretIs {
			t.Errorf("GetProperties gives %s, want %s", got, secretIs)
		}
		r.message(invitation(bob, descriptionXML(chess, "name", "again")))
	})
}

// An inviter need not be known at all: Sugar must find the activity.
func TestInvitation_fromStranger(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.message(invitation(bob, secret))
		r.expect("ActivityPropertiesChanged chess "+secretIs, "ActivitiesChanged bob [id-chess@chess]")
		r.message(invitation(bob, uninvite(idOf(chess), chess)))
		r.expect("ActivitiesChanged bob []")
	})
}

func TestInvitation_nonsense(t *testing.T) {
	sugarTest(t, func(r *sugarRig) {
		r.meet(bob)
		r.message(invitation(bob, "<properties xmlns='"+olpc.NodeActivityProperties+"' activity='x'/>"))
		r.message(invitation(bob, "<properties xmlns='"+olpc.NodeActivityProperties+"' activity='x' room='@@'/>"))
		r.message(invitation(ada, secret))
		r.expect()
		for n := range olpc.MaxActivities + 1 {
			r.message(invitation(bob, descriptionXML(sugarJID(fmt.Sprintf("r%d@rooms.school.test", n)), "a", "b")))
		}
		if n := len(r.buddies[bob].invited); n != olpc.MaxActivities {
			t.Errorf("%d invitations are kept, want %d", n, olpc.MaxActivities)
		}
		r.log = nil
		for _, other := range []string{"<message from='bob@school.test/x'><body>hi</body></message>",
			"<message from='bob@school.test/x' type='error'>" + secret + "</message>"} {
			if r.HandleMessage(sugarXML(t, other)) {
				t.Errorf("taken: %s", other)
			}
		}
	})
}
