package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

var flagsChanged = cmtest.Signal(tp.SignalChannelGroupGroupFlagsChanged)

// Clients see what the user may do, and whether they can learn who others are.
func TestRoom_groupFlags(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	const remove = tp.ChannelGroupFlagsCanRemove | tp.ChannelGroupFlagsMessageRemove
	const none = tp.ChannelGroupFlags(0)
	is := tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsMessageAdd | tp.ChannelGroupFlagsMessageDepart | tp.ChannelGroupFlagsChannelSpecificHandles |
		tp.ChannelGroupFlagsProperties | tp.ChannelGroupFlagsMembersChangedDetailed | tp.ChannelGroupFlagsHandleOwnersNotAvailable
	wantFlags := func() {
		t.Helper()
		cmtest.Equal(t, h.Call(h.path, group, "GetGroupFlags").Arg(0), is)
		cmtest.Equal(t, h.Get(h.path, group, "GroupFlags"), is)
	}
	wantFlags()
	role := func(role string) {
		h.presence(cmtest.User, "", "<item affiliation='none' role='"+role+"' jid='"+cmtest.Self+"'/>", 110)
	}
	role("moderator")
	h.Expect(flagsChanged.At(h.path).Args(remove, none))
	is |= remove
	wantFlags()
	quiet := h.Forbid(flagsChanged)
	h.presence("bob", "", "<item affiliation='none' role='participant'/>") // nobody knows who that is
	h.Expect(membersChanged)
	h.Sync()
	quiet.Lift()
	h.comes("carol")
	h.Expect(flagsChanged.Args(none, tp.ChannelGroupFlagsHandleOwnersNotAvailable))
	is &^= tp.ChannelGroupFlagsHandleOwnersNotAvailable
	wantFlags()
	role("participant")
	h.Expect(flagsChanged.Args(none, remove))
	is &^= remove
	wantFlags()
	h.Forbid(flagsChanged)
	h.goes("carol", member("carol")) // who has left is still known
	h.Sync()
}

// The older methods say what the properties say.
func TestRoom_groupMethods(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	h.invite(bobID, "Play with me")
	h.wantInvited(bobID, "Play with me")
	bob, none := h.contact("bob"), []uint32{}
	type info struct {
		Member, Actor uint32
		Reason        tp.ChannelGroupChangeReason
		Message       string
	}
	want := func(members, local []uint32) {
		t.Helper()
		for method, list := range map[string][]uint32{"GetMembers": members, "GetLocalPendingMembers": local, "GetRemotePendingMembers": none} {
			cmtest.Equal(t, h.Call(h.path, group, method).Arg(0), list)
		}
		cmtest.Equal(t, h.Get(h.path, group, "Members"), members)
		cmtest.Equal(t, h.Get(h.path, group, "RemotePendingMembers"), none)
	}
	want([]uint32{bob}, []uint32{h.self})
	cmtest.Equal(t, h.Call(h.path, group, "GetLocalPendingMembersWithInfo").Arg(0),
		[]info{{h.self, bob, tp.ChannelGroupChangeReasonInvited, "Play with me"}})
	h.Call(h.path, group, "AddMembers", []uint32{h.self}, "")
	h.Expect(entering)
	h.comes("bob")
	h.admit("none")
	owned := h.Expect(cmtest.Signal(tp.SignalChannelGroupHandleOwnersChangedDetailed).At(h.path))
	h.Expect(membersChanged)
	there := h.occupant("bob")
	cmtest.Equal(t, owned.Arg(0), map[uint32]uint32{there: bob})
	cmtest.Equal(t, owned.Arg(2), map[uint32]string{there: chatRoom + "/bob", bob: bobID})
	want([]uint32{h.self, there}, none)
	self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
	cmtest.Equal(t, h.Get(h.path, group, "HandleOwners"), map[uint32]uint32{h.self: self, there: bob})
	target := h.Call(h.path, tp.InterfaceChannel, "GetHandle")
	cmtest.Equal(t, target.Arg(0), tp.HandleTypeRoom)
	cmtest.Equal(t, target.Arg(1), h.handle)
}

// A room does not say who has got a message. Who asks for that sees that it was
// not heard.
func TestRoomText_noReceipts(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	call := h.CallAsync(h.path, messages, "SendMessage", parts([]any{}, plainPart("hello")), uint32(tp.MessageSendingFlagsReportDelivery))
	h.Expect(cmtest.Reply(call))
	sent := h.Expect(messageSent.At(h.path))
	cmtest.Equal(t, sent.Arg(1), tp.MessageSendingFlags(0))
	h.Expect(said)
	h.speaks("bob", "<body>hi</body>")
	received := messageOf(t, h.Expect(messageReceived.At(h.path)), "message-received", "message-sent")
	cmtest.Equal(t, received, []map[string]any{{
		"message-token": "m1", "message-sender": h.occupant("bob"), "message-sender-id": chatRoom + "/bob", "sender-nickname": "bob",
		"message-type": uint32(0), "pending-message-id": uint32(1),
	}, {"content-type": "text/plain", "content": "hi"}})
}
