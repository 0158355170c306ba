package functional

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

const nsConference = "jabber:x:conference"

// invite has the room pass somebody's invitation on.
func (h *hall) invite(from, reason string) {
	h.Server.Send("<message from='" + chatRoom + "' to='" + cmtest.Account + "'><x xmlns='" + nsMUCUser + "'><invite from='" + from +
		"'><reason>" + reason + "</reason></invite></x></message>")
}

// inviteFirst has somebody say what the activity is, as Sugar's peers do before
// they invite.
func (h *hall) inviteFirst(from string, p olpc.Properties) {
	h.Server.Send(olpc.BuildInvitation(mustJID(cmtest.Account), chatWith(p)).With(stanza.A("from", from)).String())
}

// invitee is connected, and nobody has heard of the room.
func invitee(t testing.TB) *hall {
	t.Helper()
	return &hall{Connection: cmtest.Connect(t, cmtest.Contact(bobID), cmtest.Answers(aboutRoom, roomInfo))}
}

// wantInvited wants the channel of an invitation, which the user has not answered.
func (h *hall) wantInvited(from, reason string) {
	h.T.Helper()
	opened := h.Expect(newChannels)
	h.handle = h.Room(chatID)
	channel := cmtest.As[[]struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}](h.T, opened.Arg(0))[0]
	h.path = channel.Path
	inviter := h.Handle(from)
	for name, want := range map[string]any{
		tp.PropertyChannelRequested: false, tp.PropertyChannelTargetHandleType: uint32(tp.HandleTypeRoom),
		tp.PropertyChannelTargetHandle: h.handle, tp.PropertyChannelTargetID: chatRoom,
		tp.PropertyChannelInitiatorHandle: inviter, tp.PropertyChannelInitiatorID: from,
	} {
		if got := channel.Properties[name]; got != want {
			h.T.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	h.self = h.occupant(cmtest.User)
	cmtest.Equal(h.T, h.Call(h.path, group, "GetSelfHandle").Arg(0), h.self)
	cmtest.Equal(h.T, h.members(), []uint32{inviter})
	type localPending struct {
		Member, Actor uint32
		Reason        tp.ChannelGroupChangeReason
		Message       string
	}
	cmtest.Equal(h.T, h.Get(h.path, group, "LocalPendingMembers"),
		[]localPending{{h.self, inviter, tp.ChannelGroupChangeReasonInvited, reason}})
	self := cmtest.As[uint32](h.T, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
	cmtest.Equal(h.T, h.owner(h.self), self)
}

// Sugar shows an invitation when it knows what the activity is; the two messages
// come by different ways, and either may be first.
func TestInvitation_whicheverMessageIsFirst(t *testing.T) {
	t.Parallel()
	for name, arrive := range map[string]func(*hall){
		"activity first": func(h *hall) {
			h.inviteFirst(bobID, chatPrivate)
			h.invite(bobID, "Play with me")
		},
		"room first": func(h *hall) {
			early := h.Forbid(newChannels)
			h.invite(bobID, "Play with me")
			h.Sync()
			early.Lift()
			h.inviteFirst(bobID, chatPrivate)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := invitee(t)
			arrive(h)
			h.Expect(activityChanged.Where("with the properties", func(e *cmtest.Event) bool { return cmtest.Same(e.Arg(1), decoded(chatPrivate)) }))
			h.Expect(activitiesChanged.Args(h.contact("bob"), []activityAt{{chatID, h.Room(chatID)}}))
			h.wantInvited(bobID, "Play with me")
			cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetProperties", h.handle).Arg(0), decoded(chatPrivate))
			cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetActivity", chatID).Arg(0), h.handle)
		})
	}
}

// An invitation to a chat room is shown when nothing is said of an activity;
// NotAvailable is what makes Sugar open Chat for it.
func TestInvitation_plainRoom(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	h.invite(eveID+"/desktop", "")
	h.wantInvited(eveID, "")
	h.Refused(tp.ErrorNotAvailable, h.Path, activityProperties, "GetProperties", h.handle)
}

// Accepting is joining: the channel stays, and who invited is there as an
// occupant, if at all. The activity is the user's as well then.
func TestInvitation_accepted(t *testing.T) {
	t.Parallel()
	for _, by := range []string{bobID, eveID} { // a contact and a stranger
		t.Run(by, func(t *testing.T) {
			t.Parallel()
			h := invitee(t)
			name := strings.TrimSuffix(by, "@"+cmtest.Domain)
			h.inviteFirst(by, chatPrivate)
			h.invite(by, "")
			h.wantInvited(by, "")
			self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
			cmtest.Equal(t, h.Expect(cmtest.Reply(h.ask())).Arg(0), h.path)
			h.Call(h.path, group, "AddMembers", []uint32{h.self}, "")
			h.Expect(entering)
			h.Call(h.path, group, "AddMembers", []uint32{h.self}, "") // twice does no harm
			h.comes(name)
			early := h.Forbid(membersChanged)
			h.Sync()
			early.Lift()
			h.Forbid(newChannels)
			h.Forbid(entering)
			h.admit("none")
			h.Expect(activitiesChanged.Args(self, []activityAt{{chatID, h.handle}}))
			h.Expect(activitiesChanged.Args(h.Handle(by), []activityAt{}))
			came := h.Expect(membersChanged.At(h.path))
			occupant := h.occupant(name)
			cmtest.Equal(t, came.Arg(1), []uint32{h.self, occupant})
			cmtest.Equal(t, came.Arg(2), []uint32{h.Handle(by)})
			cmtest.Equal(t, h.owner(occupant), h.Handle(by))
			cmtest.Equal(t, h.Get(h.path, group, "LocalPendingMembers"), [][]any{})
			cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetProperties", h.handle).Arg(0), decoded(chatPrivate))
			h.Call(h.path, text, "Send", uint32(0), "hello")
			h.Expect(said)
		})
	}
}

// Who is let in no more is told so by the end of the channel.
func TestInvitation_roomRefuses(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	h.inviteFirst(bobID, chatPrivate)
	h.invite(bobID, "")
	h.wantInvited(bobID, "")
	h.Call(h.path, group, "AddMembers", []uint32{h.self}, "")
	h.Expect(entering)
	h.refuse("", "auth", "registration-required")
	gone := h.Expect(membersChanged.At(h.path))
	cmtest.Equal(t, gone.Arg(2), []uint32{h.self})
	details := cmtest.As[map[string]any](t, h.Expect(membersDetailed.At(h.path)).Arg(4))
	cmtest.Equal(t, details["error"], tp.ErrorChannelInviteOnly)
	h.Expect(channelClosed.At(h.path))
}

// To decline is to leave, or to close; who invited through the room is told.
func TestInvitation_declined(t *testing.T) {
	t.Parallel()
	for name, decline := range map[string]func(*hall) *cmtest.Call{
		"closed": func(h *hall) *cmtest.Call { return h.CallAsync(h.path, tp.InterfaceChannel, "Close") },
		"left": func(h *hall) *cmtest.Call {
			return h.CallAsync(h.path, group, "RemoveMembersWithReason", []uint32{h.self}, "No time", uint32(0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := invitee(t)
			h.invite(bobID+"/sugar", "")
			h.wantInvited(bobID, "")
			h.Forbid(cmtest.Presence().To(chatSelf))
			call := decline(h)
			h.Expect(cmtest.Reply(call))
			h.Expect(membersChanged.At(h.path))
			h.Expect(channelClosed.At(h.path))
			answer := h.Expect(cmtest.Message().To(chatRoom)).Element.Child(nsMUCUser, "x").Child(nsMUCUser, "decline")
			cmtest.Equal(t, answer.Attr("to"), bobID+"/sugar")
			cmtest.Equal(t, answer.Child(nsMUCUser, "reason").Text(), map[string]string{"left": "No time"}[name])
			h.Sync()
		})
	}
}

// A direct invitation goes past the room, which hears of no answer. The older
// form is read as well.
func TestInvitation_direct(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]string{
		"XEP-0249": "<x xmlns='" + nsConference + "' jid='" + chatRoom + "' reason='Come'/>",
		"older":    "<body>Come here</body><x xmlns='" + nsConference + "' jid='" + chatRoom + "'>Come</x>",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := invitee(t)
			h.inviteFirst(eveID, chatPrivate)
			h.Server.Send("<message from='" + eveID + "/desktop' to='" + cmtest.Account + "'>" + x + "</message>")
			h.wantInvited(eveID, "Come")
			h.Forbid(cmtest.Message())
			h.Call(h.path, tp.InterfaceChannel, "Close")
			h.Expect(channelClosed)
			h.Sync()
		})
	}
}

// An invitation that is taken back is gone from everywhere. Only who invited can
// do that.
func TestInvitation_takenBack(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	h.inviteFirst(bobID, chatPrivate)
	h.invite(bobID, "")
	h.wantInvited(bobID, "")
	bob := h.contact("bob")
	takeBack := func(from string, x olpc.Activity) {
		h.Server.Send(olpc.BuildUninvite(mustJID(cmtest.Account), x).With(stanza.A("from", from)).String())
	}
	quiet := h.Forbid(activitiesChanged)
	takeBack(eveID, chatActivity)
	takeBack(bobID, olpc.Activity{ID: "other", Room: chatActivity.Room})
	h.Sync()
	quiet.Lift()
	h.Forbid(cmtest.Message())
	takeBack(bobID, chatActivity)
	h.Expect(activitiesChanged.Args(bob, []activityAt{}))
	none := []uint32{}
	h.Expect(membersChanged.At(h.path).Args("", none, []uint32{h.self}, none, none, bob))
	h.Expect(channelClosed.At(h.path))
	h.Refused(tp.ErrorNotAvailable, h.Path, activityProperties, "GetActivity", chatID)
	h.Sync()
}

// Strangers can make us show so many invitations and no more.
func TestInvitation_flood(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	var flood strings.Builder
	for i := range 500 {
		fmt.Fprintf(&flood, "<message from='%[1]s'><x xmlns='%[2]s' jid='r%[3]d@%[4]s'/></message>", eveID, nsConference, i, cmtest.Conference)
	}
	h.Server.Send(flood.String())
	h.invite(eveID, "")
	for _, nonsense := range []string{
		"<x xmlns='" + nsConference + "' jid='nowhere'/>", "<x xmlns='" + nsConference + "'/>",
		"<x xmlns='" + nsMUCUser + "'><invite/></x>", "<x xmlns='" + nsMUCUser + "'><invite from='@'/></x>",
	} {
		h.Server.Send("<message from='" + chatRoom + "'>" + nonsense + "</message>")
	}
	for range 100 {
		h.Expect(newChannels)
	}
	h.Forbid(newChannels)
	h.Sync()
	type info struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}
	if n := len(cmtest.As[[]info](t, h.Get(h.Path, tp.InterfaceConnectionRequests, "Channels"))); n > 101 {
		t.Errorf("%d channels", n)
	}
}

// wantPseudoInvitation wants bob to be told what the activity is.
func (h *hall) wantPseudoInvitation(p olpc.Properties) {
	h.T.Helper()
	message := h.Expect(cmtest.Message().To(bobID))
	if want := olpc.BuildInvitation(mustJID(bobID), chatWith(p)); !message.Element.Equal(want) {
		h.T.Errorf("bob was told %s, want %s", message.Element, want)
	}
}

// Who is invited is told first what to, and again when that changes, until it
// has come; and, if it has not, that it is over.
func TestInvite_untilHeHasCome(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.share(chatPrivate)
	h.Call(h.path, group, "AddMembers", []uint32{h.contact("bob")}, "Join me")
	h.wantPseudoInvitation(chatPrivate)
	invite := h.Expect(cmtest.Message().To(chatRoom).Having(nsMUCUser, "x")).Element.Child(nsMUCUser, "x").Child(nsMUCUser, "invite")
	cmtest.Equal(t, invite.Attr("to"), bobID)
	cmtest.Equal(t, invite.Child(nsMUCUser, "reason").Text(), "Join me")

	titled := maps.Clone(chatPrivate)
	titled["name"] = "Homework"
	h.Call(h.Path, activityProperties, "SetProperties", h.handle, dict(titled))
	h.wantRoomTold(titled)
	h.wantPseudoInvitation(titled)

	h.Note("bob comes")
	toBob := h.Forbid(cmtest.Message().To(bobID))
	h.comes("bob")
	h.Expect(membersChanged)
	h.Call(h.Path, activityProperties, "SetProperties", h.handle, dict(chatPrivate))
	h.wantRoomTold(chatPrivate)
	h.Sync()
	toBob.Lift()
	h.Call(h.path, group, "AddMembers", []uint32{h.contact("eve")}, "")
	told := h.Expect(cmtest.Message().To(eveID))
	if told.Element.Child(olpc.NodeActivityProperties, "properties") == nil {
		t.Errorf("eve was told %s", told.Element)
	}
	h.Expect(cmtest.Message().To(chatRoom).Having(nsMUCUser, "x"))
	h.Forbid(cmtest.Message().To(bobID))
	h.CallAsync(h.path, tp.InterfaceChannel, "Close")
	over := h.Expect(cmtest.Message().To(eveID))
	if want := olpc.BuildUninvite(mustJID(eveID), chatActivity); !over.Element.Equal(want) {
		t.Errorf("eve was told %s, want %s", over.Element, want)
	}
	h.Expect(leaving)
	h.Sync()
}

// A room with no activity is invited to without further words, and who is there
// already is not invited.
func TestInvite_plainRoom(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "eve")
	h.Forbid(cmtest.Message().To(bobID))
	h.Call(h.path, group, "AddMembers", []uint32{h.contact("bob")}, "")
	h.Expect(cmtest.Message().To(chatRoom).Having(nsMUCUser, "x"))
	h.Refused(tp.ErrorInvalidHandle, h.path, group, "AddMembers", []uint32{4711}, "")
	h.Forbid(cmtest.Message())
	h.Call(h.path, group, "AddMembers", []uint32{h.occupant("eve")}, "")
	h.Sync()
}

// Who declines hears no more of it, not even that the invitation is over.
func TestInvite_declined(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.share(chatPrivate)
	h.Call(h.path, group, "AddMembers", []uint32{h.contact("bob")}, "Join me")
	h.wantPseudoInvitation(chatPrivate)
	h.Expect(cmtest.Message().To(chatRoom).Having(nsMUCUser, "x"))
	h.Forbid(textReceived)
	h.Server.Send("<message from='" + chatRoom + "' to='" + cmtest.Self + "'><x xmlns='" + nsMUCUser + "'><decline from='" + bobID +
		"/sugar'><reason>No time</reason></decline></x></message>")
	h.Sync()
	h.Forbid(cmtest.Message().To(bobID))
	titled := maps.Clone(chatPrivate)
	titled["name"] = "Homework"
	h.Call(h.Path, activityProperties, "SetProperties", h.handle, dict(titled))
	h.wantRoomTold(titled)
	h.CallAsync(h.path, tp.InterfaceChannel, "Close")
	h.Expect(leaving)
	h.Sync()
}
