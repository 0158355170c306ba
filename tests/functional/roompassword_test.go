package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// A room with a password has a channel, in which the user can give it, again if
// it was wrong.
func TestRoomPassword(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	h.refuse("", "auth", "not-authorized")
	h.joined(call)
	password := tp.InterfaceChannelPassword
	flags := cmtest.Signal(tp.SignalChannelPasswordPasswordFlagsChanged).At(h.path)
	provide := func(text string) *cmtest.Call { return h.CallAsync(h.path, password, "ProvidePassword", text) }
	wantEntering := func(text string) {
		x := h.Expect(entering).Element.Child(nsMUC, "x")
		cmtest.Equal(t, x.Child(nsMUC, "password").Text(), text)
	}
	cmtest.Equal(t, h.members(), []uint32{})
	cmtest.Equal(t, h.Get(h.path, group, "RemotePendingMembers"), []uint32{h.self})
	cmtest.Equal(t, h.Call(h.path, password, "GetPasswordFlags").Arg(0), tp.ChannelPasswordFlagsProvide)

	given := provide("wrong")
	wantEntering("wrong")
	h.Refused(tp.ErrorNotAvailable, h.path, password, "ProvidePassword", "impatient")
	h.refuse("", "auth", "not-authorized")
	cmtest.Equal(t, h.Expect(cmtest.Reply(given)).Arg(0), false)

	given = provide("right")
	wantEntering("right")
	h.comes("bob")
	h.admit("none")
	cmtest.Equal(t, h.Expect(cmtest.Reply(given)).Arg(0), true)
	h.Expect(flags.Args(tp.ChannelPasswordFlags(0), tp.ChannelPasswordFlagsProvide))
	h.Expect(membersChanged.Args("", []uint32{h.self, h.occupant("bob")}))
	cmtest.Equal(t, h.Call(h.path, password, "GetPasswordFlags").Arg(0), tp.ChannelPasswordFlags(0))
	h.Refused(tp.ErrorNotAvailable, h.path, password, "ProvidePassword", "late")
}

// Whoever does not know it closes the channel; who is banned meanwhile is told.
func TestRoomPassword_givenUp(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	h.refuse("", "auth", "not-authorized")
	h.joined(call)
	h.Call(h.path, tp.InterfaceChannel, "Close")
	h.Expect(channelClosed.At(h.path))
	call = h.ask()
	h.Expect(entering)
	h.refuse("", "auth", "not-authorized")
	h.joined(call)
	given := h.CallAsync(h.path, tp.InterfaceChannelPassword, "ProvidePassword", "right")
	h.Expect(entering)
	h.refuse("", "auth", "forbidden")
	h.Expect(cmtest.Refusal(given, tp.ErrorChannelBanned))
	h.Expect(membersChanged.At(h.path))
	h.Expect(channelClosed.At(h.path))
}

// An invitation may lead to a room with a password that it does not say.
func TestRoomPassword_invited(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	h.invite(bobID, "")
	h.wantInvited(bobID, "")
	h.Call(h.path, group, "AddMembers", []uint32{h.self}, "")
	h.Expect(entering)
	h.refuse("", "auth", "not-authorized")
	h.Expect(cmtest.Signal(tp.SignalChannelPasswordPasswordFlagsChanged).Args(tp.ChannelPasswordFlagsProvide, tp.ChannelPasswordFlags(0)))
	given := h.CallAsync(h.path, tp.InterfaceChannelPassword, "ProvidePassword", "right")
	h.Expect(entering)
	h.admit("none")
	cmtest.Equal(t, h.Expect(cmtest.Reply(given)).Arg(0), true)
	h.Expect(membersChanged.At(h.path))
	cmtest.Equal(t, h.members(), []uint32{h.self})
}
