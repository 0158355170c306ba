package functional

import (
	"regexp"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/jid"
)

var (
	conference     = tp.InterfaceChannelConference
	channelRemoved = cmtest.Signal(tp.SignalChannelConferenceChannelRemoved)
)

// atRooms is a connection whose service makes any room.
func atRooms(t *testing.T, opts ...cmtest.Option) *cmtest.Connection {
	return cmtest.Connect(t, append([]cmtest.Option{
		cmtest.Answers(cmtest.IQ("get", nsMUCOwner), ownerForm), cmtest.Answers(cmtest.IQ("set", nsMUCOwner), ""),
	}, opts...)...)
}

func textRequest(handleType tp.HandleType, more map[string]any) map[string]dbus.Variant {
	r := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(text.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(handleType)),
	}
	for name, value := range more {
		r[name] = dbus.MakeVariant(value)
	}
	return r
}

func openChat(cm *cmtest.Connection, contact uint32) dbus.ObjectPath {
	cm.T.Helper()
	request := textRequest(tp.HandleTypeContact, map[string]any{tp.PropertyChannelTargetHandle: contact})
	return cmtest.As[dbus.ObjectPath](cm.T, cm.Call(cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", request).Arg(0))
}

// admitTo lets the user into a room that was not there before.
func admitTo(cm *cmtest.Connection, room string) {
	cm.T.Helper()
	cm.Server.Send("<presence from='" + room + "/" + cmtest.User + "' to='" + cmtest.Self + "'><x xmlns='" + nsMUCUser + "'>" +
		"<item affiliation='owner' role='moderator' jid='" + cmtest.Self + "'/><status code='201'/><status code='110'/></x></presence>")
}

// invitationTo matches an invitation that goes through the room.
func invitationTo(room, who, reason string, continues bool) cmtest.Match {
	return cmtest.Message().To(room).Where("inviting "+who, func(e *cmtest.Event) bool {
		invite := e.Element.Child(nsMUCUser, "x").Child(nsMUCUser, "invite")
		return invite.Attr("to") == who && invite.Child(nsMUCUser, "reason").Text() == reason && (invite.Child(nsMUCUser, "continue") != nil) == continues
	})
}

// Two who chat go on with a third, in a room that nobody else can guess.
func TestConference_fromChats(t *testing.T) {
	t.Parallel()
	cm := atRooms(t)
	bob, cat, dan := cm.Handle(schoolmate("bob")), cm.Handle(schoolmate("cat")), cm.Handle(schoolmate("dan"))
	one, two := openChat(cm, bob), openChat(cm, cat)
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", textRequest(tp.HandleTypeNone, map[string]any{
		tp.PropertyChannelConferenceInitialChannels:       []dbus.ObjectPath{one, two},
		tp.PropertyChannelConferenceInitialInviteeHandles: []uint32{dan, bob},
		tp.PropertyChannelConferenceInitialInviteeIDs:     []string{schoolmate("dan"), cmtest.Account},
		tp.PropertyChannelConferenceInvitationMessage:     "Come over",
	}))
	entry := cm.Expect(cmtest.Presence().Having(nsMUC, "x"))
	where, err := jid.Parse(entry.Element.Attr("to"))
	if err != nil || !regexp.MustCompile("^chat-[a-z0-9]{26}@"+cmtest.Conference+"$").MatchString(where.Bare().String()) {
		t.Fatalf("enters %s, %v", where, err)
	}
	room := where.Bare().String()
	admitTo(cm, room)
	cm.Expect(invitationTo(room, schoolmate("bob"), "Come over", true))
	cm.Expect(invitationTo(room, schoolmate("cat"), "Come over", true))
	cm.Expect(invitationTo(room, schoolmate("dan"), "Come over", false))
	cm.Forbid(cmtest.Message().To(room)) // each once, and not oneself
	reply := cm.Expect(cmtest.Reply(call))
	path := cmtest.As[dbus.ObjectPath](t, reply.Arg(0))
	details := cmtest.As[map[string]any](t, reply.Arg(1))
	for name, want := range map[string]any{
		tp.PropertyChannelTargetHandleType: uint32(tp.HandleTypeRoom), tp.PropertyChannelTargetID: room,
		tp.PropertyChannelConferenceInitialChannels:       []dbus.ObjectPath{one, two},
		tp.PropertyChannelConferenceInitialInviteeHandles: []uint32{bob, cat, dan},
		tp.PropertyChannelConferenceInitialInviteeIDs:     []string{schoolmate("bob"), schoolmate("cat"), schoolmate("dan")},
		tp.PropertyChannelConferenceInvitationMessage:     "Come over",
		tp.PropertyChannelRoom2RoomName:                   "", // it was made up
	} {
		cmtest.Equal(t, details[name], want)
	}
	cmtest.Equal(t, cm.GetAll(path, conference), map[string]any{
		"Channels": []dbus.ObjectPath{one, two}, "InitialChannels": []dbus.ObjectPath{one, two},
		"InitialInviteeHandles": []uint32{bob, cat, dan},
		"InitialInviteeIDs":     []string{schoolmate("bob"), schoolmate("cat"), schoolmate("dan")},
		"InvitationMessage":     "Come over", "OriginalChannels": map[uint32]dbus.ObjectPath{},
	})

	// The chats stay as they are, until somebody closes them.
	cm.Call(one, tp.InterfaceChannel, "Close")
	cm.Expect(channelClosed.At(one))
	cm.Expect(channelRemoved.At(path).Args(one, map[string]any{}))
	cmtest.Equal(t, cm.Get(path, conference, "Channels"), []dbus.ObjectPath{two})
	cmtest.Equal(t, cm.Get(path, conference, "InitialChannels"), []dbus.ObjectPath{one, two})
}

// Of a room that is there already, only the invitations are made.
func TestConference_namedRoom(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	bob := openChat(h.Connection, h.contact("bob"))
	request := textRequest(tp.HandleTypeRoom, map[string]any{
		tp.PropertyChannelTargetID: chatID, tp.PropertyChannelConferenceInitialChannels: []dbus.ObjectPath{bob},
	})
	h.Refused(tp.ErrorNotAvailable, h.Path, tp.InterfaceConnectionRequests, "CreateChannel", request)
	call := h.CallAsync(h.Path, tp.InterfaceConnectionRequests, "EnsureChannel", request)
	h.Expect(invitationTo(chatRoom, schoolmate("bob"), "", true))
	reply := h.Expect(cmtest.Reply(call))
	cmtest.Equal(t, reply.Arg(0), false)
	cmtest.Equal(t, reply.Arg(1), h.path)
}

func TestConference_refused(t *testing.T) {
	t.Parallel()
	cm := atRooms(t)
	list := openList(cm, "stored")
	cm.Forbid(cmtest.Presence().Having(nsMUC, "x"))
	for name, c := range map[string]struct {
		property string
		value    any
		want     tp.ErrorName
	}{
		"no channel":     {tp.PropertyChannelConferenceInitialChannels, []dbus.ObjectPath{"/not/there"}, tp.ErrorInvalidArgument},
		"no chat":        {tp.PropertyChannelConferenceInitialChannels, []dbus.ObjectPath{list}, tp.ErrorInvalidArgument},
		"no list":        {tp.PropertyChannelConferenceInitialChannels, uint32(1), tp.ErrorInvalidArgument},
		"no handle":      {tp.PropertyChannelConferenceInitialInviteeHandles, []uint32{4711}, tp.ErrorInvalidHandle},
		"no contact":     {tp.PropertyChannelConferenceInitialInviteeIDs, []string{"a b"}, tp.ErrorInvalidHandle},
		"no text":        {tp.PropertyChannelConferenceInvitationMessage, true, tp.ErrorInvalidArgument},
		"not to be said": {tp.PropertyChannelConferenceChannels, []dbus.ObjectPath{}, tp.ErrorNotImplemented},
	} {
		cm.Note("%s", name)
		cm.Refused(c.want, cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", textRequest(tp.HandleTypeNone, map[string]any{c.property: c.value}))
	}
	cm.Sync()
}

func TestConference_noService(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.AnswersError(cmtest.IQ("get", nsDiscoItems).To(cmtest.Domain), "cancel", "service-unavailable"))
	cm.Refused(tp.ErrorNotAvailable, cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", textRequest(tp.HandleTypeNone, nil))
}

func TestConference_disconnect(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Unanswered(cmtest.IQ("get", nsDiscoItems)))
	c := cm.Request()
	c.Login()
	call := cm.CallAsync(c.Path, tp.InterfaceConnectionRequests, "CreateChannel", textRequest(tp.HandleTypeNone, nil))
	cm.CallAsync(c.Path, tp.InterfaceConnection, "Disconnect")
	cm.Expect(cmtest.Refusal(call, tp.ErrorDisconnected))
}

// Who is invited out of a chat sees which chat the room goes on with, if it is
// still open.
func TestConference_invited(t *testing.T) {
	t.Parallel()
	continues := "<message from='" + chatRoom + "' to='" + cmtest.Account + "'><x xmlns='" + nsMUCUser + "'><invite from='" + bobID +
		"'><reason>Cat comes too</reason><continue thread='e0ffe42b'/></invite></x></message>"
	for name, open := range map[string]bool{"in a chat": true, "after the chat": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := invitee(t)
			chats := []dbus.ObjectPath{}
			if open {
				chats = append(chats, openChat(h.Connection, h.contact("bob")))
				h.Expect(newChannels)
			}
			h.Server.Send(continues)
			h.wantInvited(bobID, "Cat comes too")
			cmtest.Equal(t, h.GetAll(h.path, conference), map[string]any{
				"Channels": chats, "InitialChannels": chats, "InitialInviteeHandles": []uint32{h.self}, "InitialInviteeIDs": []string{chatSelf},
				"InvitationMessage": "Cat comes too", "OriginalChannels": map[uint32]dbus.ObjectPath{},
			})
			h.Call(h.path, group, "AddMembers", []uint32{h.self}, "")
			h.Expect(entering)
			h.comes("bob")
			h.admit("none")
			h.Expect(membersChanged.At(h.path))
			if open {
				h.Call(chats[0], tp.InterfaceChannel, "Close")
				h.Expect(channelRemoved.At(h.path).Args(chats[0], map[string]any{}))
			}
		})
	}
}
