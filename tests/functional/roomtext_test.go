package functional

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

var roomConfig = tp.InterfaceChannelRoomConfig1

// What others say is received from their handles in the room; what the user says
// comes back from the room and is no news.
func TestRoomText_conversation(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	bob := h.occupant("bob")
	h.speaks("bob", "<body>-x-SLASH-x-hello &amp; you</body>")
	got := h.Expect(textReceived.At(h.path))
	cmtest.Equal(t, got.Arg(2), bob)
	cmtest.Equal(t, got.Arg(3), tp.ChannelTextMessageTypeNormal)
	cmtest.Equal(t, got.Arg(4), tp.ChannelTextMessageFlags(0))
	cmtest.Equal(t, got.Arg(5), "-x-SLASH-x-hello & you")
	id := cmtest.As[uint32](t, got.Arg(0))
	h.Call(h.path, text, "AcknowledgePendingMessages", []uint32{id})
	cmtest.Equal(t, h.Call(h.path, text, "ListPendingMessages", false).Arg(0), [][]any{})

	h.Forbid(textReceived)
	call := h.CallAsync(h.path, text, "Send", uint32(0), `{"action": "init"}`)
	h.Expect(cmtest.Reply(call))
	h.Expect(cmtest.Signal(tp.SignalChannelTextSent).At(h.path))
	message := h.Expect(said)
	cmtest.Equal(t, message.Element.Child("jabber:client", "body").Text(), `{"action": "init"}`)
	h.Server.Send(message.Element.String()[:len("<message ")] + "from='" + chatSelf + "' " + message.Element.String()[len("<message "):])
	h.Sync()
}

// What the room repeats of the time before is marked, wherever it is told.
func TestRoomText_history(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	h.comes("bob")
	h.admit("none")
	h.speaks("bob", "<body>early</body><delay xmlns='urn:xmpp:delay' from='"+chatRoom+"' stamp='2026-01-02T03:04:05Z'/>")
	h.speaks("gone", "<body>from who has left</body><delay xmlns='urn:xmpp:delay' from='"+chatRoom+"' stamp='2026-01-02T03:04:05Z'/>")
	h.joined(call)
	for _, want := range []string{"early", "from who has left"} {
		got := h.Expect(textReceived.At(h.path))
		cmtest.Equal(t, got.Arg(4), tp.ChannelTextMessageFlagsScrollback)
		cmtest.Equal(t, got.Arg(5), want)
	}
}

// A message that the room does not pass on is reported.
func TestRoomText_refused(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.Call(h.path, text, "Send", uint32(0), "may I?")
	message := h.Expect(said)
	h.Server.Send("<message type='error' from='" + chatRoom + "' id='" + message.Element.Attr("id") + "'><body>may I?</body>" +
		"<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	failed := h.Expect(cmtest.Signal(tp.SignalChannelTextSendError).At(h.path))
	cmtest.Equal(t, failed.Arg(0), tp.ChannelTextSendErrorPermissionDenied)
	cmtest.Equal(t, failed.Arg(3), "may I?")
}

// Chat states are of occupants; the user's own go to all.
func TestRoomText_chatStates(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	bob := h.occupant("bob")
	state := cmtest.Signal(tp.SignalChannelChatStateChatStateChanged).At(h.path)
	h.speaks("bob", "<composing xmlns='http://jabber.org/protocol/chatstates'/>")
	h.Expect(state.Args(bob, tp.ChannelChatStateComposing))
	h.goes("bob", member("bob"))
	h.Expect(state.Args(bob, tp.ChannelChatStateInactive))
	h.Call(h.path, tp.InterfaceChannelChatState, "SetChatState", uint32(tp.ChannelChatStateComposing))
	h.Expect(said.Having("http://jabber.org/protocol/chatstates", "composing"))
}

// What Sugar wants of a room, from one who owns it.
func TestRoomConfig_owner(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	properties := h.GetAll(h.path, roomConfig)
	cmtest.Equal(t, properties["ConfigurationRetrieved"], true)
	cmtest.Equal(t, properties["Anonymous"], false)
	cmtest.Equal(t, properties["Private"], true)
	cmtest.Equal(t, properties["Title"], "A name")
	cmtest.Equal(t, properties["CanUpdateConfiguration"], false)
	h.admit("owner")
	h.Expect(cmtest.Signal(tp.SignalDBusPropertiesChanged).At(h.path).Where("of the right to configure", func(e *cmtest.Event) bool {
		return e.Arg(0) == roomConfig.Name && cmtest.As[map[string]any](t, e.Arg(1))["CanUpdateConfiguration"] == true
	}))

	call := h.CallAsync(h.path, roomConfig, "UpdateConfiguration", sugarConfig)
	early := h.Forbid(cmtest.Reply(call))
	h.Server.Answer(h.Expect(getForm), ownerForm)
	submit := h.Expect(setForm)
	h.Sync()
	early.Lift()
	for name, want := range map[string]string{"whois": "anyone", "membersonly": "0", "persistentroom": "0", "publicroom": "0", "allowinvites": "0", "roomname": "A name"} {
		cmtest.Equal(t, field(submit, "muc#roomconfig_"+name), []string{want})
	}
	h.Server.Answer(submit, "")
	h.Expect(cmtest.Reply(call))
}

var sugarConfig = map[string]dbus.Variant{
	"Anonymous": dbus.MakeVariant(false), "InviteOnly": dbus.MakeVariant(false),
	"Persistent": dbus.MakeVariant(false), "Private": dbus.MakeVariant(true),
}

// Sugar passes over PermissionDenied alone, which is what a joiner gets.
func TestRoomConfig_refused(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	update := func(c map[string]dbus.Variant) *cmtest.Call {
		return h.CallAsync(h.path, roomConfig, "UpdateConfiguration", c)
	}
	call := update(sugarConfig)
	h.Server.AnswerError(h.Expect(getForm), "auth", "forbidden")
	h.Expect(cmtest.Refusal(call, tp.ErrorPermissionDenied))

	none := h.Forbid(setForm)
	call = update(map[string]dbus.Variant{"Moderated": dbus.MakeVariant(true), "Private": dbus.MakeVariant(true)})
	h.Server.Answer(h.Expect(getForm), ownerForm)
	h.Expect(cmtest.Refusal(call, tp.ErrorServiceConfused)) // the form does not have it
	call = update(map[string]dbus.Variant{"Private": dbus.MakeVariant("yes")})
	h.Server.Answer(h.Expect(getForm), ownerForm)
	h.Expect(cmtest.Refusal(call, tp.ErrorInvalidArgument))
	h.Expect(cmtest.Refusal(update(map[string]dbus.Variant{"Colour": dbus.MakeVariant("red")}), tp.ErrorInvalidArgument))
	none.Lift()

	call = update(sugarConfig) // two at once wait for each other
	second := update(sugarConfig)
	first := h.Expect(getForm)
	h.Sync()
	h.Server.Answer(first, ownerForm)
	h.Server.AnswerError(h.Expect(setForm), "cancel", "conflict")
	h.Expect(cmtest.Refusal(call, tp.ErrorNotAvailable))
	h.Server.AnswerError(h.Expect(getForm), "auth", "forbidden")
	h.Expect(cmtest.Refusal(second, tp.ErrorPermissionDenied))

	call = update(sugarConfig)
	h.Expect(getForm)
	h.goes(cmtest.User, "<item affiliation='none' role='none'/>", 307, 110)
	h.Expect(cmtest.Refusal(call, tp.ErrorNotAvailable)) // the room is over
}

// Members can throw others out, if the room lets them.
func TestRoom_kick(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	bob := h.occupant("bob")
	remove := func() *cmtest.Call {
		return h.CallAsync(h.path, group, "RemoveMembers", []uint32{bob}, "Enough")
	}
	call := remove()
	kick := h.Expect(cmtest.IQ("set", nsMUCAdmin).To(chatRoom))
	cmtest.Equal(t, kick.Element.First().First().Attr("nick"), "bob")
	h.Server.AnswerError(kick, "auth", "forbidden")
	h.Expect(cmtest.Refusal(call, tp.ErrorPermissionDenied))
	call = remove()
	h.Server.Answer(h.Expect(cmtest.IQ("set", nsMUCAdmin).To(chatRoom)), "")
	h.Expect(cmtest.Reply(call))
}

// A thousand may come at once, under any name; each is told once.
func TestRoom_thousandMembers(t *testing.T) {
	t.Parallel()
	h, call := enterHall(t)
	var crowd strings.Builder
	for i := range 1000 {
		nick := fmt.Sprintf("child %d &lt;%d&gt;", i, i)
		crowd.WriteString(occupantPresence(nick, "", "<item affiliation='none' role='participant' jid='child"+fmt.Sprint(i)+"@"+cmtest.Domain+"/x'/>"))
	}
	h.Server.Send(crowd.String())
	h.admit("none")
	h.joined(call)
	if n := len(h.members()); n != 1001 {
		t.Errorf("%d members", n)
	}
	var more strings.Builder
	for i := range 1000 {
		more.WriteString(occupantPresence(fmt.Sprint(i), "", "<item affiliation='none' role='participant'/>"))
	}
	h.Server.Send(more.String())
	h.Sync()
	if n := len(h.members()); n != 2001 {
		t.Errorf("%d members", n)
	}
}

// Nobody acknowledges ten thousand messages: all are told, the latest are kept.
func TestRoomText_flood(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	var flood strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&flood, "<message type='groupchat' from='%s/bob'><body>message %d</body></message>", chatRoom, i)
	}
	h.Server.Send(flood.String())
	h.Expect(textReceived.Where("the last", func(e *cmtest.Event) bool { return e.Arg(5) == "message 9999" }))
	pending := cmtest.As[[][]any](t, h.Call(h.path, text, "ListPendingMessages", true).Arg(0))
	if n := len(pending); n < 3000 || n > 4096 {
		t.Errorf("%d messages are kept", n)
	}
}

// What occupants send beside texts neither shows nor harms.
func TestRoom_hostileOccupants(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	h.Forbid(textReceived)
	h.Forbid(membersChanged)
	h.Forbid(channelClosed)
	for _, evil := range []string{
		"<message type='groupchat' from='" + chatRoom + "/bob'/>",
		"<message type='groupchat' from='nowhere@" + cmtest.Conference + "/bob'><body>from a room we are not in</body></message>",
		"<message type='groupchat' from='" + chatRoom + "/bob'><properties xmlns='http://laptop.org/xmpp/activity-properties'/></message>",
		"<message type='groupchat' from='" + chatRoom + "/bob'><x xmlns='" + nsMUCUser + "'><invite from='eve@x'/></x></message>",
		"<message from='" + chatRoom + "/bob'><x xmlns='" + nsMUCUser + "'><status code='104'/></x></message>",
		"<presence from='" + chatRoom + "/bob'><x xmlns='" + nsMUCUser + "'><item affiliation='owner'/><status code='110'/></x></presence>",
		"<presence from='" + chatRoom + "'/>",
		"<presence type='subscribe' from='" + chatRoom + "/bob'/>",
		"<presence type='unavailable' from='" + chatRoom + "/nobody'/>",
		"<presence type='unavailable' from='" + chatRoom + "'/>",
		"<presence type='error' from='" + chatRoom + "/bob'/>",
	} {
		h.Server.Send(evil)
	}
	h.Sync()
	cmtest.Equal(t, h.members(), []uint32{h.self, h.occupant("bob")})
}
