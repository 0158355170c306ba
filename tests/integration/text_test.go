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
	kofisLena, lenasKofi := kofi.Handle(address(s, "Lena")), lena.Handle(address(s, "Kofi"))
	cm.ExpectUnordered(seen(kofi, kofisLena, available), seen(lena, lenasKofi, available))

	there := chatWith(kofi, address(s, "Lena"))
	message := []map[string]dbus.Variant{{}, {
		"content-type": dbus.MakeVariant("text/plain"), "content": dbus.MakeVariant("Hello <Lena> & all\x01"),
	}}
	token := cm.Call(there, tp.InterfaceChannelMessages, "SendMessage", message, uint32(tp.MessageSendingFlagsReportDelivery)).Arg(0)
	opened := cm.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).At(lena.Path))
	cmtest.Equal(t, opened.Arg(3), lenasKofi)
	here := cmtest.As[dbus.ObjectPath](t, opened.Arg(0))
	heard(cm, here, 0, "Hello <Lena> & all\uFFFD")
	stateOf := cmtest.Signal(tp.SignalChannelChatStateChatStateChanged)
	cm.Expect(stateOf.At(here).Args(lenasKofi, uint32(tp.ChannelChatStateActive)))
	arrived := cm.Expect(cmtest.Signal(tp.SignalChannelMessagesMessageReceived).At(there))
	cmtest.Equal(t, cmtest.As[[]map[string]any](t, arrived.Arg(0))[0]["delivery-token"], token)

	cm.Call(here, tp.InterfaceChannelChatState, "SetChatState", uint32(tp.ChannelChatStateComposing))
	cm.Expect(stateOf.At(there).Args(kofisLena, uint32(tp.ChannelChatStateComposing)))
	cm.Call(here, tp.InterfaceChannelText, "Send", uint32(1), "waves")
	heard(cm, there, 1, "waves")

	cm.CallAsync(lena.Path, tp.InterfaceConnection, "Disconnect")
	cm.ExpectUnordered(seen(kofi, kofisLena, offline), cmtest.NameGone(lena.Name))
	cm.Call(there, tp.InterfaceChannelText, "Send", uint32(0), "Are you there?")
	// Once another question is answered the server has kept the message.
	// Before, ejabberd would not find it when she comes back.
	cm.Call(kofi.Path, tp.InterfaceConnectionContactInfo, "RequestContactInfo", kofi.Handle(address(s, "Nobody")))
	lena = cm.Request(sugars(s, "Lena", cmtest.Param("register", false))...)
	lena.Login()
	cm.Expect(cmtest.Signal(tp.SignalChannelMessagesMessageReceived).Where("that was kept", func(e *cmtest.Event) bool {
		message := cmtest.As[[]map[string]any](t, e.Arg(0))
		return message[0]["message-sent"] != nil && message[1]["content"] == "Are you there?"
	}))

	nobody := chatWith(kofi, address(s, "Nobody"))
	cm.Call(nobody, tp.InterfaceChannelText, "Send", uint32(0), "Anybody?")
	failed := cm.Expect(cmtest.Signal(tp.SignalChannelTextSendError).At(nobody))
	cmtest.Equal(t, failed.Arg(0), uint32(tp.ChannelTextSendErrorOffline))
	cmtest.Equal(t, failed.Arg(3), "Anybody?")
	kofi.Disconnect()
	lena.Disconnect()
}

const (
	available = uint32(tp.ConnectionPresenceTypeAvailable)
	offline   = uint32(tp.ConnectionPresenceTypeOffline)
)

// seen matches that a connection sees a contact come or go.
func seen(c *cmtest.Connection, contact, kind uint32) cmtest.Match {
	type simple struct {
		Type            uint32
		Status, Message string
	}
	return cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged).At(c.Path).Where("of a contact", func(e *cmtest.Event) bool {
		return cmtest.As[map[uint32]simple](c.T, e.Arg(0))[contact].Type == kind
	})
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
	got := cm.Expect(cmtest.Signal(tp.SignalChannelTextReceived).At(channel))
	cmtest.Equal(cm.T, got.Arg(3), kind)
	cmtest.Equal(cm.T, got.Arg(5), want)
}
