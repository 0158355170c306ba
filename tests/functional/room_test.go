package functional

import (
	"slices"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

const nsDiscoItems = "http://jabber.org/protocol/disco#items"

// Sugar names rooms by the activity alone. The call waits until it is known where
// they are, rather than putting the activity where nobody finds it, and a gateway
// to another network is not the place.
func TestRoom_bareIdentifierWaitsForTheService(t *testing.T) {
	t.Parallel()
	items := cmtest.IQ("get", nsDiscoItems).To(cmtest.Domain)
	info := cmtest.IQ("get", nsDisco)
	cm := cmtest.Start(t, cmtest.Unanswered(items), cmtest.Unanswered(info.To("rooms."+cmtest.Domain)))
	c := cm.Request()
	c.Login()
	question := cm.Expect(items)
	call := cm.CallAsync(c.Path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeRoom), []string{chatID})
	early := cm.Forbid(cmtest.Reply(call))
	cm.Server.Answer(question, "<query xmlns='"+nsDiscoItems+"'><item jid='irc."+cmtest.Domain+"'/><item jid='rooms."+cmtest.Domain+"'/></query>")
	asked := cm.ExpectUnordered(info.To("irc."+cmtest.Domain), info.To("rooms."+cmtest.Domain))
	cm.Server.Answer(asked[0], "<query xmlns='"+nsDisco+"'><identity category='conference' type='irc'/><feature var='"+nsMUC+"'/></query>")
	cm.Sync()
	early.Lift()
	cm.Server.Answer(asked[1], "<query xmlns='"+nsDisco+"'><identity category='conference' type='text'/><feature var='"+nsMUC+"'/></query>")
	room := cmtest.As[[]uint32](t, cm.Expect(cmtest.Reply(call)).Arg(0))
	cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnection, "InspectHandles", uint32(tp.HandleTypeRoom), room).Arg(0),
		[]string{chatID + "@rooms." + cmtest.Domain})
}

func TestRoom_fallbackService(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"": "conference." + cmtest.Domain, "muc.example": "muc.example"} {
		t.Run("named "+given, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Connect(t, cmtest.AnswersError(cmtest.IQ("get", nsDiscoItems), "cancel", "service-unavailable"),
				cmtest.Param("fallback-conference-server", given))
			room := cm.Room(chatID)
			cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnection, "InspectHandles", uint32(tp.HandleTypeRoom), []uint32{room}).Arg(0),
				[]string{chatID + "@" + want})
			cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeRoom), []string{"a@b/c"})
			cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeRoom), []string{""})
		})
	}
}

// A new room is what an activity needs before anybody hears of it, RoomConfig1
// or not, and the rest of its form goes back as it came.
func TestRoom_newOneIsSetUpFirst(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	early := h.Forbid(cmtest.Reply(call))
	h.admit("owner", 201, 100)
	h.Server.Answer(h.Expect(getForm), ownerForm)
	submit := h.Expect(setForm)
	h.Sync()
	early.Lift()
	for name, want := range map[string][]string{
		"FORM_TYPE":                        {"http://jabber.org/protocol/muc#roomconfig"},
		"muc#roomconfig_roomname":          {"A name"},
		"muc#roomconfig_persistentroom":    {"0"},
		"muc#roomconfig_publicroom":        {"0"},
		"muc#roomconfig_whois":             {"anyone"},
		"muc#roomconfig_membersonly":       {"0"},
		"muc#roomconfig_allowinvites":      {"1"},
		"muc#roomconfig_captcha_whitelist": {"a@b", "c@d"},
	} {
		cmtest.Equal(t, field(submit, name), want)
	}
	h.Server.Answer(submit, "")
	h.joined(call)
	cmtest.Equal(t, h.Get(h.path, tp.InterfaceChannelRoomConfig1, "CanUpdateConfiguration"), true)
}

// A form that cannot be had does not keep the user out of a new room.
func TestRoom_newOneWithoutForm(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	h.admit("owner", 201)
	h.Server.AnswerError(h.Expect(getForm), "cancel", "feature-not-implemented")
	h.Server.Answer(h.Expect(setForm), "")
	h.joined(call)
}

// Whoever asks gets the channel only when all who are in the room are known:
// Sugar takes the members that it is told first for everybody.
func TestRoom_channelComesWithAllMembers(t *testing.T) {
	t.Parallel()
	h, first := enterHall(t)
	second := h.ask()
	early := h.Forbid(cmtest.Reply(first))
	known := h.Forbid(newChannels)
	h.comes("bob")
	h.comes("carol")
	h.Sync()
	early.Lift()
	known.Lift()
	h.Forbid(membersChanged)
	h.admit("none")
	h.path = cmtest.As[dbus.ObjectPath](t, h.Expect(cmtest.Reply(first)).Arg(0))
	cmtest.Equal(t, h.Expect(cmtest.Reply(second)).Arg(0), h.path)
	h.Expect(newChannels)
	h.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).Args(h.path, text.Name, uint32(tp.HandleTypeRoom), h.handle, true))

	self, bob, carol := h.occupant(cmtest.User), h.occupant("bob"), h.occupant("carol")
	all := h.Call(h.path, group, "GetAllMembers")
	cmtest.Equal(t, all.Arg(0), []uint32{self, bob, carol})
	cmtest.Equal(t, all.Arg(1), []uint32{})
	cmtest.Equal(t, all.Arg(2), []uint32{})
	cmtest.Equal(t, h.Call(h.path, group, "GetSelfHandle").Arg(0), self)
	flags := cmtest.As[tp.ChannelGroupFlags](t, h.Call(h.path, group, "GetGroupFlags").Arg(0))
	want := tp.ChannelGroupFlagsChannelSpecificHandles | tp.ChannelGroupFlagsProperties | tp.ChannelGroupFlagsCanAdd
	if flags&want != want {
		t.Errorf("group flags are %d", flags)
	}
	owners := []uint32{cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0)), h.contact("bob"), h.contact("carol")}
	cmtest.Equal(t, h.Call(h.path, group, "GetHandleOwners", []uint32{self, bob, carol}).Arg(0), owners)
	h.Refused(tp.ErrorInvalidArgument, h.path, group, "GetHandleOwners", []uint32{h.contact("bob")})
	cmtest.Equal(t, h.Call(h.Path, tp.InterfaceConnection, "InspectHandles", uint32(tp.HandleTypeContact), []uint32{bob}).Arg(0), []string{chatRoom + "/bob"})
	cmtest.Equal(t, h.Call(h.Path, tp.InterfaceConnection, "RequestChannel", text.Name, uint32(tp.HandleTypeRoom), h.handle, true).Arg(0), h.path)
	h.Refused(tp.ErrorNotAvailable, h.Path, tp.InterfaceConnectionRequests, "CreateChannel", roomRequest())
	h.Sync()
}

// roomRequest asks for the room's channel by the activity's identifier.
func roomRequest() map[string]dbus.Variant {
	return map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(text.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeRoom)),
		tp.PropertyChannelTargetID:         dbus.MakeVariant(chatID),
	}
}

// departure is how a member leaves and what is told of it.
type departure struct {
	name     string
	item     string // of the unavailable presence
	statuses []int
	byActor  bool // carol did it
	reason   tp.ChannelGroupChangeReason
	error    tp.ErrorName
	message  string
}

const byCarol = "<actor nick='carol'/><reason>Enough</reason></item>"

var departures = []departure{
	{name: "leaves", item: member("bob")},
	{name: "is kicked", item: "<item affiliation='none' role='none'>" + byCarol, statuses: []int{307}, byActor: true,
		reason: tp.ChannelGroupChangeReasonKicked, error: tp.ErrorChannelKicked, message: "Enough"},
	{name: "is banned", item: "<item affiliation='outcast' role='none'>" + byCarol, statuses: []int{301}, byActor: true,
		reason: tp.ChannelGroupChangeReasonBanned, error: tp.ErrorChannelBanned, message: "Enough"},
	{name: "is lost", item: "<item affiliation='none' role='none'/>", statuses: []int{333},
		reason: tp.ChannelGroupChangeReasonOffline, error: tp.ErrorOffline},
	{name: "loses its place", item: "<item affiliation='none' role='none'/>", statuses: []int{321},
		reason: tp.ChannelGroupChangeReasonPermissionDenied, error: tp.ErrorPermissionDenied},
}

// Everybody hears who comes and who goes, why and by whose doing, and whose
// the new handle is before that; who has left is still known then.
func TestRoom_membersComeAndGo(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "carol")
	carol := h.occupant("carol")
	h.comes("bob")
	owned := cmtest.As[map[uint32]uint32](t, h.Expect(ownersChanged.At(h.path)).Arg(0))
	bob := h.occupant("bob")
	cmtest.Equal(t, owned[bob], h.contact("bob"))
	h.Expect(membersChanged.Args("", []uint32{bob}, []uint32{}, []uint32{}, []uint32{}, bob, uint32(tp.ChannelGroupChangeReasonNone)))
	none := []uint32{}
	for i, want := range departures {
		h.Note("bob %s", want.name)
		if i > 0 {
			h.comes("bob")
			h.Expect(membersChanged.Args("", []uint32{bob}))
		}
		h.goes("bob", want.item, want.statuses...)
		actor := map[bool]uint32{true: carol}[want.byActor]
		if i == 0 {
			actor = bob
		}
		h.Expect(membersChanged.At(h.path).Args(want.message, none, []uint32{bob}, none, none, actor, want.reason))
		details := cmtest.As[map[string]any](t, h.Expect(membersDetailed.Args(none, []uint32{bob}, none, none)).Arg(4))
		if want.reason != 0 {
			cmtest.Equal(t, details["change-reason"], want.reason)
			cmtest.Equal(t, details["error"], string(want.error))
		}
		cmtest.Equal(t, details["contact-ids"], map[uint32]string{bob: chatRoom + "/bob"})
		cmtest.Equal(t, h.owner(bob), h.contact("bob"))
	}
	cmtest.Equal(t, h.members(), []uint32{h.self, carol})
}

// A room that hides who is who says it later, or never.
func TestRoom_ownersLearnedLater(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.presence("bob", "", "<item affiliation='none' role='participant'/>")
	h.Expect(membersChanged.At(h.path))
	bob := h.occupant("bob")
	cmtest.Equal(t, h.owner(bob), uint32(0))
	again := h.Forbid(membersChanged)
	h.comes("bob")
	owned := h.Expect(ownersChanged.At(h.path))
	cmtest.Equal(t, owned.Arg(0), map[uint32]uint32{bob: h.contact("bob")})
	h.comes("bob") // the same again is no news
	h.Sync()
	again.Lift()
	cmtest.Equal(t, h.owner(bob), h.contact("bob"))
}

// A new nick is a new handle of the same owner.
func TestRoom_renamed(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	bob := h.occupant("bob")
	h.goes("bob", "<item affiliation='none' role='participant' nick='robert'/>", 303)
	h.comes("robert")
	owned := cmtest.As[map[uint32]uint32](t, h.Expect(ownersChanged).Arg(0))
	robert := h.occupant("robert")
	cmtest.Equal(t, owned[robert], h.contact("bob"))
	none := []uint32{}
	h.Expect(membersChanged.Args("", []uint32{robert}, []uint32{bob}, none, none, robert, tp.ChannelGroupChangeReasonRenamed))

	h.presence(cmtest.User, "unavailable", "<item affiliation='none' role='participant' nick='ada'/>", 303, 110)
	h.presence("ada", "", "<item affiliation='none' role='participant' jid='"+cmtest.Self+"'/>", 110)
	selfChanged := h.Expect(cmtest.Signal(tp.SignalChannelGroupSelfHandleChanged).At(h.path))
	ada := h.occupant("ada")
	cmtest.Equal(t, selfChanged.Arg(0), ada)
	h.Expect(membersChanged.Args("", []uint32{ada}, []uint32{h.self}, none, none, ada, tp.ChannelGroupChangeReasonRenamed))
	cmtest.Equal(t, h.Call(h.path, group, "GetSelfHandle").Arg(0), ada)
	cmtest.Equal(t, h.owner(ada), cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0)))
}

// Who is thrown out, or whose room goes, is told so, and the channel closes.
func TestRoom_weAreThrownOut(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		item     string
		statuses []int
		message  string
		reason   tp.ChannelGroupChangeReason
		error    tp.ErrorName
	}{
		{"kicked", "<item affiliation='none' role='none'>" + byCarol, []int{307, 110}, "Enough",
			tp.ChannelGroupChangeReasonKicked, tp.ErrorChannelKicked},
		{"banned", "<item affiliation='outcast' role='none'>" + byCarol, []int{301, 110}, "Enough",
			tp.ChannelGroupChangeReasonBanned, tp.ErrorChannelBanned},
		{"no member", "<item affiliation='none' role='none'/>", []int{322, 110}, "",
			tp.ChannelGroupChangeReasonPermissionDenied, tp.ErrorChannelInviteOnly},
		{"room destroyed", "<item affiliation='none' role='none'/><destroy><reason>School is over</reason></destroy>", nil,
			"School is over", tp.ChannelGroupChangeReasonNone, tp.ErrorTerminated},
		{"service stops", "<item affiliation='none' role='none'/>", []int{332, 110}, "",
			tp.ChannelGroupChangeReasonError, tp.ErrorNotAvailable},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := joinHall(t, "carol")
			h.goes(cmtest.User, c.item, c.statuses...)
			gone := h.Expect(membersChanged.At(h.path))
			cmtest.Equal(t, gone.Arg(0), c.message)
			cmtest.Equal(t, gone.Arg(2), []uint32{h.self})
			cmtest.Equal(t, gone.Arg(6), c.reason)
			details := cmtest.As[map[string]any](t, h.Expect(membersDetailed).Arg(4))
			cmtest.Equal(t, details["error"], string(c.error))
			h.Expect(channelClosed.At(h.path))
			h.Expect(cmtest.Signal(tp.SignalConnectionRequestsChannelClosed).Args(h.path))
			h.Forbid(leaving)
			h.Sync()
			call := h.ask() // and may come again
			h.Expect(entering)
			h.admit("none")
			h.joined(call)
		})
	}
}

func TestRoom_nickTaken(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	for _, nick := range []string{"", "_", "__"} {
		h.refuse(nick, "cancel", "conflict")
		h.Expect(cmtest.Presence().To(chatSelf + nick + "_"))
	}
	h.presence(cmtest.User+"___", "", "<item affiliation='none' role='participant' jid='"+cmtest.Self+"'/>", 110)
	h.path = cmtest.As[dbus.ObjectPath](t, h.Expect(cmtest.Reply(call)).Arg(0))
	cmtest.Equal(t, h.Call(h.path, group, "GetSelfHandle").Arg(0), h.occupant(cmtest.User+"___"))
}

// refuse answers the wish to enter under the account's name and what was added.
func (h *hall) refuse(added, kind, condition string) {
	h.Server.Send("<presence type='error' from='" + chatSelf + added + "' to='" + cmtest.Self + "'><error type='" + kind + "'><" +
		condition + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
}

func TestRoom_refused(t *testing.T) {
	t.Parallel()
	for condition, want := range map[string]tp.ErrorName{
		"forbidden":             tp.ErrorChannelBanned,
		"registration-required": tp.ErrorChannelInviteOnly,
		"service-unavailable":   tp.ErrorChannelFull,
		"not-allowed":           tp.ErrorPermissionDenied,
		"item-not-found":        tp.ErrorDoesNotExist,
		"jid-malformed":         tp.ErrorNotAvailable,
		"remote-server-timeout": tp.ErrorNotAvailable,
	} {
		t.Run(condition, func(t *testing.T) {
			t.Parallel()
			h, call := enterHall(t)
			h.Forbid(newChannels)
			h.refuse("", "auth", condition)
			h.Expect(cmtest.Refusal(call, want))
			h.Sync()
			again := h.ask()
			h.Expect(entering)
			h.refuse("", "auth", condition)
			h.Expect(cmtest.Refusal(again, want))
		})
	}
}

// Who still waits when the connection ends is answered.
func TestRoom_connectionEndsWhileEntering(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	h.CallAsync(h.Path, tp.InterfaceConnection, "Disconnect")
	h.Expect(cmtest.Refusal(call, tp.ErrorDisconnected))
	h.Expect(cmtest.NameGone(h.Name))
}

// The channel goes at once, the room when the server says so; whoever asks for
// it meanwhile enters after that.
func TestRoom_closeAndComeAgain(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	old := h.path
	closing := h.CallAsync(h.path, tp.InterfaceChannel, "Close")
	h.Expect(cmtest.Reply(closing))
	h.Expect(membersChanged.Args("", []uint32{}, []uint32{h.self}))
	h.Expect(channelClosed.At(old))
	h.Expect(leaving)
	early := h.Forbid(entering)
	call := h.ask()
	h.Sync()
	early.Lift()
	h.goes(cmtest.User, "<item affiliation='none' role='none'/>", 110)
	h.Expect(entering)
	h.admit("none")
	h.joined(call)
	if h.path == old {
		t.Errorf("the new channel has the path of the old one, %s", old)
	}
	cmtest.Equal(t, h.members(), []uint32{h.self})
}

// A program that can do nothing with a room, such as mission-control when no
// activity takes it, finds nothing there that would end it for everybody.
func TestRoom_notDestroyable(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	h.Forbid(cmtest.IQ("set", nsMUCOwner))
	if offered := cmtest.As[[]string](t, h.Get(h.path, tp.InterfaceChannel, "Interfaces")); slices.Contains(offered, tp.InterfaceChannelDestroyable.Name) {
		t.Errorf("rooms offer %v", offered)
	}
	h.Refused(tp.ErrorDBusUnknownInterface, h.path, tp.InterfaceChannelDestroyable, "Destroy")
	h.Sync()
}
