package integration

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

// Two children write to each other, one is away for a while, and somebody who
// is written to does not exist.
func testText(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Kofi")...)
	kofi := cm.Request()
	kofi.Login()
	lena := cm.Request(sugars(s, "Lena")...)
	lena.Login()

	there := chatWith(kofi, address(s, "Lena"))
	cm.Call(there, tp.InterfaceChannelText, "Send", uint32(0), "Hello <Lena> & all\x01")
	opened := cm.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).At(lena.Path))
	cmtest.Equal(t, opened.Arg(3), lena.Handle(address(s, "Kofi")))
	here := cmtest.As[dbus.ObjectPath](t, opened.Arg(0))
	heard(cm, here, 0, "Hello <Lena> & all\uFFFD")
	stateOf := cmtest.Signal(tp.SignalChannelChatStateChatStateChanged)
	cm.Expect(stateOf.At(here).Args(lena.Handle(address(s, "Kofi")), uint32(tp.ChannelChatStateActive)))

	cm.Call(here, tp.InterfaceChannelChatState, "SetChatState", uint32(tp.ChannelChatStateComposing))
	cm.Expect(stateOf.At(there).Args(kofi.Handle(address(s, "Lena")), uint32(tp.ChannelChatStateComposing)))
	cm.Call(here, tp.InterfaceChannelText, "Send", uint32(1), "waves")
	heard(cm, there, 1, "waves")

	lena.Disconnect()
	cm.Call(there, tp.InterfaceChannelText, "Send", uint32(0), "Are you there?")
	cm.Call(kofi.Path, tp.InterfaceConnectionContactInfo, "RequestContactInfo", kofi.Handle(address(s, "Kofi"))) // the server has it now
	lena = cm.Request(sugars(s, "Lena", cmtest.Param("register", false))...)
	lena.Login()
	kept := cm.ExpectWithin(patience, cmtest.Signal(tp.SignalChannelMessagesMessageReceived).Where("that was kept", func(e *cmtest.Event) bool {
		message := cmtest.As[[]map[string]any](t, e.Arg(0))
		return message[0]["message-sent"] != nil && message[1]["content"] == "Are you there?"
	}))
	cm.Call(kept.Path(), tp.InterfaceChannelText, "AcknowledgePendingMessages", []uint32{1})

	nobody := chatWith(kofi, address(s, "Nobody"))
	cm.Call(nobody, tp.InterfaceChannelText, "Send", uint32(0), "Anybody?")
	failed := cm.ExpectWithin(patience, cmtest.Signal(tp.SignalChannelTextSendError).At(nobody))
	cmtest.Equal(t, failed.Arg(0), uint32(tp.ChannelTextSendErrorOffline))
	cmtest.Equal(t, failed.Arg(3), "Anybody?")
	kofi.Disconnect()
	lena.Disconnect()
}

// chatWith opens the chat with somebody.
func chatWith(c *cmtest.Connection, who string) dbus.ObjectPath {
	c.T.Helper()
	reply := c.Call(c.Path, tp.InterfaceConnection, "RequestChannel",
		tp.InterfaceChannelText.Name, uint32(tp.HandleTypeContact), c.Handle(who), true)
	return cmtest.As[dbus.ObjectPath](c.T, reply.Arg(0))
}

// heard waits for a text, of a type, in a channel.
func heard(cm *cmtest.CM, channel dbus.ObjectPath, kind uint32, want string) {
	cm.T.Helper()
	got := cm.ExpectWithin(patience, cmtest.Signal(tp.SignalChannelTextReceived).At(channel))
	cmtest.Equal(cm.T, got.Arg(3), kind)
	cmtest.Equal(cm.T, got.Arg(5), want)
}
