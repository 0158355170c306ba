package functional

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
)

// Bob, with whom all of these chats are, and his devices.
const (
	bob      = "bob@" + cmtest.Domain
	bobSugar = bob + "/sugar"
	bobPhone = bob + "/phone"
)

const (
	stateActive    = "<active xmlns='" + chat.NSStates + "'/>"
	stateComposing = "<composing xmlns='" + chat.NSStates + "'/>"
)

var (
	messages    = tp.InterfaceChannelMessages
	chatState   = tp.InterfaceChannelChatState
	destroyable = tp.InterfaceChannelDestroyable

	messageSent     = cmtest.Signal(tp.SignalChannelMessagesMessageSent)
	messageReceived = cmtest.Signal(tp.SignalChannelMessagesMessageReceived)
	messagesRemoved = cmtest.Signal(tp.SignalChannelMessagesPendingMessagesRemoved)
	textSent        = cmtest.Signal(tp.SignalChannelTextSent)
	textFailed      = cmtest.Signal(tp.SignalChannelTextSendError)
	textLost        = cmtest.Signal(tp.SignalChannelTextLostMessage)
	stateChanged    = cmtest.Signal(tp.SignalChannelChatStateChatStateChanged)
)

// pendingText is Pending_Text_Message.
type pendingText struct {
	ID, Timestamp, Sender, Type, Flags uint32
	Text                               string
}

// dialogue is a chat with bob.
type dialogue struct {
	*cmtest.Connection
	path dbus.ObjectPath
	bob  uint32
}

func textClass(contact uint32) map[string]dbus.Variant {
	return map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(text.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(int32(tp.HandleTypeContact)), // as Python has it
		tp.PropertyChannelTargetHandle:     dbus.MakeVariant(contact),
	}
}

// beginChat connects and asks for the chat with bob.
func beginChat(t *testing.T, opts ...cmtest.Option) *dialogue {
	t.Helper()
	cm := cmtest.Connect(t, opts...)
	d := &dialogue{Connection: cm, bob: cm.Handle(bob)}
	d.ask()
	return d
}

func (d *dialogue) ask() {
	d.T.Helper()
	call := d.CallAsync(d.Path, tp.InterfaceConnectionRequests, "EnsureChannel", textClass(d.bob))
	d.path = cmtest.As[dbus.ObjectPath](d.T, d.Expect(cmtest.Reply(call)).Arg(1))
	d.Sync()
}

// writes has bob send something from a device.
func (d *dialogue) writes(from, content string) {
	d.Server.Send("<message from='" + from + "' to='" + cmtest.Self + "' type='chat' id='m1'>" + content + "</message>")
}

// hears waits for a text of bob's.
func (d *dialogue) hears(want string) (id uint32) {
	d.T.Helper()
	got := d.Expect(textReceived.At(d.path).Where(fmt.Sprintf("saying %.40q", want), func(e *cmtest.Event) bool { return e.Arg(5) == want }))
	return cmtest.As[uint32](d.T, got.Arg(0))
}

func (d *dialogue) pending() []pendingText {
	d.T.Helper()
	return cmtest.As[[]pendingText](d.T, d.Call(d.path, text, "ListPendingMessages", false).Arg(0))
}

// says sends a text and waits for it on the wire.
func (d *dialogue) says(words string) *cmtest.Event {
	d.T.Helper()
	d.Call(d.path, text, "Send", uint32(0), words)
	return d.Expect(cmtest.Message().Where("saying "+words, func(e *cmtest.Event) bool {
		return e.Element.Child(nsJabberClient, "body").Text() == words
	}))
}

const nsJabberClient = stanza.NSClient

// parts makes a message of header and bodies, each of keys and values by turns.
func parts(all ...[]any) []map[string]dbus.Variant {
	list := make([]map[string]dbus.Variant, len(all))
	for i, pairs := range all {
		list[i] = make(map[string]dbus.Variant)
		for k := 0; k < len(pairs); k += 2 {
			list[i][pairs[k].(string)] = dbus.MakeVariant(pairs[k+1])
		}
	}
	return list
}

func plainPart(words string) []any { return []any{"content-type", "text/plain", "content", words} }

// messageOf is a message with its times, which are now, taken out.
func messageOf(t *testing.T, e *cmtest.Event, stamps ...string) []map[string]any {
	t.Helper()
	got := cmtest.As[[]map[string]any](t, e.Arg(0))
	for _, key := range stamps {
		at, is := got[0][key].(int64)
		if now := time.Now().Unix(); !is || at < now-60 || at > now {
			t.Errorf("%s is %v", key, got[0][key])
		}
		delete(got[0], key)
	}
	return got
}

func TestText_requested(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	handle := cm.Handle(bob)
	requests := tp.InterfaceConnectionRequests
	ensure := cm.CallAsync(cm.Path, requests, "EnsureChannel", textClass(handle))
	reply := cm.Expect(cmtest.Reply(ensure))
	announced := cm.Expect(newChannels)
	cmtest.Equal(t, reply.Arg(0), true)
	path := cmtest.As[dbus.ObjectPath](t, reply.Arg(1))
	cm.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).Args(path, text.Name, uint32(1), handle, true))
	cmtest.Equal(t, path, cm.Path+"/ImChannel1")
	want := map[string]any{
		tp.PropertyChannelChannelType: text.Name, tp.PropertyChannelTargetHandleType: uint32(1),
		tp.PropertyChannelTargetHandle: handle, tp.PropertyChannelTargetID: bob, tp.PropertyChannelRequested: true,
		tp.PropertyChannelInitiatorHandle: cm.Handle(cmtest.Account), tp.PropertyChannelInitiatorID: cmtest.Account,
		tp.PropertyChannelInterfaces:                       []string{messages.Name, chatState.Name, destroyable.Name},
		tp.PropertyChannelMessagesSupportedContentTypes:    []string{"text/plain"},
		tp.PropertyChannelMessagesMessageTypes:             []uint32{0, 1, 2},
		tp.PropertyChannelMessagesMessagePartSupportFlags:  uint32(0),
		tp.PropertyChannelMessagesDeliveryReportingSupport: uint32(3),
	}
	cmtest.Equal(t, reply.Arg(2), want)
	type details struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}
	cmtest.Equal(t, announced.Arg(0), []details{{path, want}})

	again := cm.Call(cm.Path, requests, "EnsureChannel", textClass(handle))
	cmtest.Equal(t, again.Arg(0), false)
	cmtest.Equal(t, again.Arg(1), path)
	cm.Refused(tp.ErrorNotAvailable, cm.Path, requests, "CreateChannel", textClass(handle))
	older := cm.Call(cm.Path, tp.InterfaceConnection, "RequestChannel", text.Name, uint32(1), handle, true)
	cmtest.Equal(t, older.Arg(0), path)
	byName := textClass(0)
	delete(byName, tp.PropertyChannelTargetHandle)
	byName[tp.PropertyChannelTargetID] = dbus.MakeVariant(bobPhone)
	cmtest.Equal(t, cm.Call(cm.Path, requests, "EnsureChannel", byName).Arg(1), path)
	byName[tp.PropertyChannelTargetID] = dbus.MakeVariant("@@")
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, requests, "EnsureChannel", byName)
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, requests, "EnsureChannel", textClass(999))
}

func TestText_properties(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	all := d.GetAll(d.path, messages)
	cmtest.Equal(t, all["PendingMessages"], [][]map[string]any{})
	delete(all, "PendingMessages")
	cmtest.Equal(t, all, map[string]any{
		"SupportedContentTypes": []string{"text/plain"}, "MessageTypes": []uint32{0, 1, 2}, "MessagePartSupportFlags": uint32(0),
		"DeliveryReportingSupport": uint32(3),
	})
	cmtest.Equal(t, d.GetAll(d.path, chatState), map[string]any{"ChatStates": map[uint32]uint32{}})
	cmtest.Equal(t, d.Call(d.path, text, "GetMessageTypes").Arg(0), []uint32{0, 1, 2})
	cmtest.Equal(t, d.Call(d.path, tp.InterfaceChannel, "GetChannelType").Arg(0), text.Name)
	cmtest.Equal(t, d.pending(), []pendingText{})
}

// Sugar's Chat asks every text channel what it would ask a room, though it was
// told that this is none.
func TestText_groupOfTwo(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	self := d.Handle(cmtest.Account)
	cmtest.Equal(t, d.Call(d.path, tp.InterfaceChannel, "GetInterfaces").Arg(0), []string{messages.Name, chatState.Name, destroyable.Name})
	cmtest.Equal(t, d.Call(d.path, group, "GetSelfHandle").Arg(0), self)
	cmtest.Equal(t, d.Call(d.path, group, "GetGroupFlags").Arg(0), uint32(0))
	cmtest.Equal(t, d.Call(d.path, nil, "GetGroupFlags").Arg(0), uint32(0))
	cmtest.Equal(t, d.Call(d.path, group, "GetAllMembers").Arg(0), []uint32{self, d.bob})
	cmtest.Equal(t, d.Get(d.path, group, "SelfHandle"), self)
	d.Refused(tp.ErrorPermissionDenied, d.path, group, "AddMembers", []uint32{d.Handle("eve@school.test")}, "")
	d.Refused(tp.ErrorPermissionDenied, d.path, group, "RemoveMembers", []uint32{d.bob}, "")
	d.Refused(tp.ErrorNotAvailable, d.path, group, "GetHandleOwners", []uint32{d.bob})
	xml := cmtest.As[string](t, d.Call(d.path, tp.InterfaceDBusIntrospectable, "Introspect").Arg(0))
	for _, facts := range []*tp.Interface{tp.InterfaceChannel, text, messages, chatState, destroyable, group} {
		if !strings.Contains(xml, "<interface name=\""+facts.Name+"\">") {
			t.Errorf("introspection has no %s", facts.Name)
		}
	}
}

// A chat that somebody else begins, and that Sugar's Chat takes.
func TestText_firstMessage(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	d := &dialogue{Connection: cm, bob: cm.Handle(bob), path: cm.Path + "/ImChannel1"}
	d.writes(bobSugar, "<body>Hello</body>"+stateActive)
	announced := cm.Expect(newChannels)
	cm.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).Args(d.path, text.Name, uint32(1), d.bob, false))
	got := cm.Expect(messageReceived.At(d.path))
	cm.Expect(textReceived.At(d.path))
	cm.Expect(stateChanged.At(d.path).Args(d.bob, uint32(tp.ChannelChatStateActive)))

	type details struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}
	properties := cmtest.As[[]details](t, announced.Arg(0))[0].Properties
	cmtest.Equal(t, properties[tp.PropertyChannelRequested], false)
	cmtest.Equal(t, properties[tp.PropertyChannelInitiatorHandle], d.bob)
	cmtest.Equal(t, properties[tp.PropertyChannelInitiatorID], bob)
	body := map[string]any{"content-type": "text/plain", "content": "Hello"}
	cmtest.Equal(t, messageOf(t, got, "message-received"), []map[string]any{{
		"message-token": "m1", "message-sender": d.bob, "message-sender-id": bob, "message-type": uint32(0), "pending-message-id": uint32(1),
	}, body})
	list := cmtest.As[[][]map[string]any](t, d.Get(d.path, messages, "PendingMessages"))
	cmtest.Equal(t, list[0][1], body)
	cmtest.Equal(t, d.Call(d.path, messages, "GetPendingMessageContent", uint32(1), []uint32{1}).Arg(0), map[uint32]any{1: "Hello"})

	ack := cm.CallAsync(d.path, text, "AcknowledgePendingMessages", []uint32{1})
	cm.Expect(messagesRemoved.At(d.path).Args([]uint32{1}))
	cm.Expect(cmtest.Reply(ack))
	cmtest.Equal(t, d.pending(), []pendingText{})
	d.Refused(tp.ErrorInvalidArgument, d.path, messages, "GetPendingMessageContent", uint32(1), []uint32{1})
}

// What there is besides plain messages between two.
func TestText_kinds(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	for i, c := range []struct {
		attributes, content string
		kind, flags         uint32
		text                string
	}{
		{"type='chat'", "<body>/me laughs</body>", 1, 0, "laughs"},
		{"type='headline'", "<body>Down at five</body>", 2, 0, "Down at five"},
		{"", "<body>A letter</body>", 0, 0, "A letter"},
		{"type='normal'", "<body>ab\ncd &#x9;<![CDATA[<&>]]></body>", 0, 0, "ab\ncd \t<&>"},
		{"type='chat'", "<body/>", 0, 0, ""},
		{"type='chat'", "<body>" + strings.Repeat("x", 300<<10) + "</body>", 0, 1, strings.Repeat("x", 240<<10)},
	} {
		d.Server.Send("<message from='" + bobSugar + "' " + c.attributes + ">" + c.content + "</message>")
		if id := d.hears(c.text); id != uint32(i+1) {
			t.Errorf("id %d of message %d", id, i+1)
		}
		got := d.pending()[i]
		got.Timestamp = 0
		cmtest.Equal(t, got.Flags, c.flags)
		cmtest.Equal(t, got.Type, c.kind)
		cmtest.Equal(t, got.Sender, d.bob)
	}
	d.Server.Send("<message from='" + bobSugar + "' type='chat'><body>Early</body><nick xmlns='http://jabber.org/protocol/nick'>Bobby</nick>" +
		"<delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/></message>")
	early := messageOf(t, d.Expect(messageReceived.Where("delayed", func(e *cmtest.Event) bool {
		return cmtest.As[[]map[string]any](t, e.Arg(0))[0]["message-sent"] != nil
	})), "message-received")
	cmtest.Equal(t, early[0]["message-sent"], int64(1767225600))
	cmtest.Equal(t, early[0]["sender-nickname"], "Bobby")
	if early[0]["scrollback"] != nil {
		t.Error("what was kept for us is no history")
	}
}

// What opens no chat, and no other's.
func TestText_nothingToRead(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Forbid(newChannels)
	cm.Forbid(messageReceived)
	for _, xml := range []string{
		"<message from='" + bobSugar + "' type='chat'>" + stateComposing + "</message>",
		"<message from='" + bobSugar + "' type='chat'><gone xmlns='" + chat.NSStates + "'/></message>",
		"<message from='" + bob + "' type='error'><body>x</body></message>",
		"<message from='x@rooms.test/bob' type='groupchat'><body>x</body></message>",
		"<message from='mallory@away.test/x' type='chat'><body>x</body><received xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'>" +
			"<message xmlns='jabber:client' from='" + bobSugar + "' to='" + cmtest.Self + "' type='chat'><body>x</body></message></forwarded></received></message>",
		"<message from='" + cmtest.Account + "' type='chat'><body>x</body><sent xmlns='urn:xmpp:carbons:2'/></message>",
	} {
		cm.Server.Send(xml)
	}
	cm.Sync()
}

func TestText_acknowledge(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	for _, word := range []string{"one", "two", "three", "four", "five"} {
		d.writes(bobSugar, "<body>"+word+"</body>")
		d.hears(word)
	}
	ban := d.Forbid(messagesRemoved)
	d.Refused(tp.ErrorInvalidArgument, d.path, text, "AcknowledgePendingMessages", []uint32{1, 99})
	d.Refused(tp.ErrorInvalidArgument, d.path, text, "AcknowledgePendingMessages", []uint32{0})
	d.Call(d.path, text, "AcknowledgePendingMessages", []uint32{})
	d.Sync()
	ban.Lift()
	d.Call(d.path, text, "AcknowledgePendingMessages", []uint32{3, 1, 3})
	d.Expect(messagesRemoved.Args([]uint32{1, 3}))
	d.Refused(tp.ErrorInvalidArgument, d.path, text, "AcknowledgePendingMessages", []uint32{2, 3})
	left := d.pending()
	if len(left) != 3 || left[0].Text != "two" || left[0].ID != 2 || left[2].Text != "five" {
		t.Errorf("pending: %v", left)
	}
	clear := d.CallAsync(d.path, text, "ListPendingMessages", true)
	d.Expect(messagesRemoved.Args([]uint32{2, 4, 5}))
	if got := cmtest.As[[]pendingText](t, d.Expect(cmtest.Reply(clear)).Arg(0)); len(got) != 3 {
		t.Errorf("cleared: %v", got)
	}
	cmtest.Equal(t, d.pending(), []pendingText{})
	d.writes(bobSugar, "<body>six</body>")
	if id := d.hears("six"); id != 6 {
		t.Errorf("id %d is used again", id)
	}
}

// Nobody acknowledges ten thousand messages: all are told, the latest are kept,
// and what is lost is named.
func TestText_flood(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	const count = 10_000
	var flood strings.Builder
	for n := 1; n <= count; n++ {
		fmt.Fprintf(&flood, "<message from='%s' type='chat'><body>%d</body></message>", bobSugar, n)
	}
	d.Server.Send(flood.String())
	removed := cmtest.As[[]uint32](t, d.Expect(messagesRemoved).Arg(0))
	d.Expect(textLost)
	if id := d.hears("10000"); id != count {
		t.Errorf("the last has id %d", id)
	}
	left := d.pending()
	if len(left) > 4096 || len(left) < 3000 || left[len(left)-1].ID != count || left[0].ID <= removed[len(removed)-1] {
		t.Errorf("%d are pending, %d to %d", len(left), left[0].ID, left[len(left)-1].ID)
	}
}

// The reply comes first: who sent it is the first to know its token.
func TestText_sendMessage(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	self := d.Handle(cmtest.Account)
	message := parts([]any{"message-type", int32(1)}, plainPart("laughs"))
	call := d.CallAsync(d.path, messages, "SendMessage", message, uint32(0))
	reply := d.Expect(cmtest.Reply(call))
	sent := d.Expect(messageSent.At(d.path))
	d.Expect(textSent.At(d.path).Where("", func(e *cmtest.Event) bool {
		return cmtest.Same(e.Arg(1), uint32(1)) && e.Arg(2) == "laughs"
	}))
	d.Expect(stateChanged.At(d.path).Args(self, uint32(tp.ChannelChatStateActive)))
	token := cmtest.As[string](t, reply.Arg(0))
	cmtest.Equal(t, messageOf(t, sent, "message-sent"), []map[string]any{
		{"message-token": token, "message-sender": self, "message-sender-id": cmtest.Account, "message-type": uint32(1)},
		{"content-type": "text/plain", "content": "laughs"},
	})
	cmtest.Equal(t, sent.Arg(1), uint32(0))
	cmtest.Equal(t, sent.Arg(2), token)
	got := d.Expect(cmtest.Message().To(bob).Type("chat").Having(chat.NSStates, "active")).Element
	if got.Attr("id") != token || token == "" || got.Child(nsJabberClient, "body").Text() != "/me laughs" || got.Child(chat.NSReceipts, "request") != nil {
		t.Errorf("sent %s, token %q", got, token)
	}
	d.Call(d.path, messages, "SendMessage", parts([]any{"message-type", int64(2)}, plainPart("Down"), plainPart("at five")), uint32(6))
	notice := d.Expect(cmtest.Message().To(bob).Type("normal"))
	cmtest.Equal(t, notice.Element.Child(nsJabberClient, "body").Text(), "Down\nat five")
	d.Expect(messageSent.Where("without the flags it can't follow", func(e *cmtest.Event) bool { return cmtest.Same(e.Arg(1), uint32(0)) }))
}

func TestText_send(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	call := d.CallAsync(d.path, text, "Send", uint32(0), "a\x1b<&>\u0007")
	d.Expect(cmtest.Reply(call))
	d.Expect(messageSent.At(d.path).Where("as others will read it", func(e *cmtest.Event) bool {
		return cmtest.As[[]map[string]any](t, e.Arg(0))[1]["content"] == "a\uFFFD<&>\uFFFD"
	}))
	d.Expect(textSent.At(d.path).Where("as others will read it", func(e *cmtest.Event) bool { return e.Arg(2) == "a\uFFFD<&>\uFFFD" }))
	d.Expect(cmtest.Message().To(bob).Where("without control characters", func(e *cmtest.Event) bool {
		return e.Element.Child(nsJabberClient, "body").Text() == "a\uFFFD<&>\uFFFD"
	}))
	d.Call(d.path, text, "Send", uint32(0), "")
	empty := d.Expect(cmtest.Message().To(bob))
	if empty.Element.Child(nsJabberClient, "body") == nil {
		t.Errorf("nothing is said in %s", empty)
	}
	d.Call(d.path, text, "Send", uint32(0), strings.Repeat("x", 240<<10))
	d.Expect(cmtest.Message().To(bob))
}

func TestText_refusesToSend(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	for _, m := range []cmtest.Match{messageSent, textSent, cmtest.Message()} {
		d.Forbid(m)
	}
	for _, kind := range []uint32{3, 4, 5, 1 << 31} {
		d.Refused(tp.ErrorInvalidArgument, d.path, text, "Send", kind, "x")
	}
	d.Refused(tp.ErrorInvalidArgument, d.path, text, "Send", uint32(0), strings.Repeat("x", 240<<10+1))
	d.Refused(tp.ErrorInvalidArgument, d.path, text, "Send", uint32(0), strings.Repeat("&", 100<<10))
	for name, message := range map[string][]map[string]dbus.Variant{
		"nothing":           {},
		"no body":           parts([]any{}),
		"an image":          parts([]any{}, []any{"content-type", "image/png", "content", []byte("x")}),
		"HTML":              parts([]any{}, []any{"content-type", "text/html", "content", "<b/>", "alternative", "a"}),
		"bytes":             parts([]any{}, []any{"content-type", "text/plain", "content", []byte("x")}),
		"no content type":   parts([]any{}, []any{"content", "x"}),
		"another interface": parts([]any{"interface", "org.example.Game"}, plainPart("x")),
		"a delivery report": parts([]any{"message-type", uint32(4)}, plainPart("x")),
		"a forged sender":   parts([]any{"message-sender", uint32(7)}, plainPart("x")),
	} {
		t.Log(name)
		d.Refused(tp.ErrorInvalidArgument, d.path, messages, "SendMessage", message, uint32(0))
	}
	d.Sync()
}

// Who asks is told that a message has arrived.
func TestText_deliveryReport(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	message := parts([]any{}, plainPart("hello"))
	call := d.CallAsync(d.path, messages, "SendMessage", message, uint32(1))
	token := cmtest.As[string](t, d.Expect(cmtest.Reply(call)).Arg(0))
	d.Expect(messageSent.Where("with the flag", func(e *cmtest.Event) bool { return cmtest.Same(e.Arg(1), uint32(1)) }))
	d.Expect(cmtest.Message().To(bob).Attr("id", token).Having(chat.NSReceipts, "request"))

	ban := d.Forbid(messageReceived)
	receipt := "<received xmlns='" + chat.NSReceipts + "' id='" + token + "'/>"
	d.Server.Send("<message from='eve@school.test/x' id='r1'>" + receipt + "</message>") // not hers to say
	d.writes(bobSugar, "<received xmlns='"+chat.NSReceipts+"' id='another'/>")
	d.Sync()
	ban.Lift()
	d.writes(bobSugar, receipt)
	report := d.Expect(messageReceived.At(d.path))
	d.Expect(textReceived.At(d.path).Where("", func(e *cmtest.Event) bool {
		return cmtest.Same(e.Arg(3), uint32(4)) && cmtest.Same(e.Arg(4), uint32(2)) && e.Arg(5) == ""
	}))
	cmtest.Equal(t, messageOf(t, report, "message-received"), []map[string]any{{
		"message-sender": d.bob, "message-sender-id": bob, "message-type": uint32(4), "pending-message-id": uint32(1),
		"delivery-status": uint32(tp.DeliveryStatusDelivered), "delivery-token": token,
	}})

	sugars := d.says("nobody waits for this").Element.Attr("id")
	d.Forbid(messageReceived)
	d.writes(bobSugar, receipt) // again
	d.writes(bobSugar, "<received xmlns='"+chat.NSReceipts+"' id='"+sugars+"'/>")
	d.Sync()
}

// A message that comes back is reported to everybody, with what it said.
func TestText_sendError(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	token := d.says("hello").Element.Attr("id")
	comesBack := func(from, id, kind, condition string) {
		d.Server.Send("<message from='" + from + "' to='" + cmtest.Self + "' type='error' id='" + id + "'><body>forged</body><error type='" + kind +
			"'><" + condition + " xmlns='" + stanza.NSStanzas + "'/><text xmlns='" + stanza.NSStanzas + "'>Nobody there</text></error></message>")
	}
	ban := d.Forbid(messageReceived)
	comesBack(bob, "another", "cancel", "service-unavailable")
	comesBack("eve@school.test", token, "cancel", "service-unavailable")
	d.Sync()
	ban.Lift()
	comesBack(bob, token, "cancel", "service-unavailable")
	got := messageOf(t, d.Expect(messageReceived.At(d.path)), "message-received")
	d.Expect(textReceived.At(d.path))
	d.Expect(textFailed.At(d.path).Where("", func(e *cmtest.Event) bool {
		return cmtest.Same(e.Arg(0), uint32(tp.ChannelTextSendErrorOffline)) && cmtest.Same(e.Arg(2), uint32(0)) && e.Arg(3) == "hello"
	}))
	echo := cmtest.As[[]map[string]any](t, got[0]["delivery-echo"])
	delete(got[0], "delivery-echo")
	cmtest.Equal(t, got, []map[string]any{{
		"message-sender": d.bob, "message-sender-id": bob, "message-type": uint32(4), "pending-message-id": uint32(1),
		"delivery-status": uint32(tp.DeliveryStatusPermanentlyFailed), "delivery-token": token,
		"delivery-error": uint32(tp.ChannelTextSendErrorOffline), "delivery-error-message": "service-unavailable",
	}, {"content-type": "text/plain", "content": "Nobody there"}})
	cmtest.Equal(t, echo[0]["message-token"], token)
	cmtest.Equal(t, echo[1], map[string]any{"content-type": "text/plain", "content": "hello"})

	token = d.says("again").Element.Attr("id")
	comesBack(bobSugar, token, "wait", "resource-constraint")
	got = messageOf(t, d.Expect(messageReceived.At(d.path)), "message-received")
	cmtest.Equal(t, got[0]["delivery-status"], uint32(tp.DeliveryStatusTemporarilyFailed))
	d.Expect(textFailed.At(d.path).Args(uint32(tp.ChannelTextSendErrorUnknown)))
}

// Receipts tell that we are on-line: they are for those who may know.
func TestText_receipts(t *testing.T) {
	t.Parallel()
	d := beginChat(t, cmtest.Contact(bob))
	ask := "<body>hello</body><request xmlns='" + chat.NSReceipts + "'/>"
	d.writes(bobSugar, ask)
	d.Expect(cmtest.Message().To(bobSugar).Having(chat.NSReceipts, "received"))
	ban := d.Forbid(cmtest.Message())
	d.Server.Send("<message from='eve@away.test/x' type='chat' id='m1'>" + ask + "</message>")
	d.Sync()
	ban.Lift()
	his, announced := clientInfo(t, "pc", disco.NSInfo)
	d.Server.Send(presenceFrom(bobSugar, announced))
	d.Server.Answer(d.Expect(cmtest.IQ("get", disco.NSInfo).To(bobSugar)), his.Element().String())
	query := disco.InfoQuery(jidOf(t, cmtest.Self), "").With(stanza.A("from", bobSugar), stanza.A("id", "q1"))
	d.Server.Send(query.String())
	info, err := disco.ParseInfo(d.Expect(cmtest.IQAnswer("result", "q1")).Element.Child(disco.NSInfo, "query"))
	if err != nil || !info.Has(chat.NSReceipts) || !info.Has(chat.NSStates) {
		t.Errorf("announced: %v, %v", info, err)
	}
	skills := d.Call(d.Path, tp.InterfaceConnectionContactCapabilities, "GetContactCapabilities", []uint32{d.bob}).Arg(0)
	classes := cmtest.As[map[uint32][]channelClass](t, skills)[d.bob]
	if len(classes) == 0 || classes[0].Fixed[tp.PropertyChannelChannelType] != text.Name {
		t.Errorf("bob can't be written to: %v", classes)
	}
}

// Messages go to the device at hand, RFC 6121 §5.1.
func TestText_device(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	want := func(to string) {
		t.Helper()
		d.Sync()
		if got := d.says("hello").Element.Attr("to"); got != to {
			t.Errorf("said to %s, want %s", got, to)
		}
	}
	d.Server.Send(presenceFrom(bobSugar, "") + presenceFrom(bobPhone, ""))
	want(bob)
	d.writes(bobSugar, "<body>1</body>")
	want(bobSugar)
	d.writes(bobPhone, stateComposing)
	want(bobPhone)
	d.writes(bobSugar, "<body>2</body><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>")
	want(bobPhone)
	d.Server.Send(presenceFrom(bobSugar, "<show>away</show>"))
	want(bob)
	d.writes(bobPhone, "<body>3</body>")
	d.Server.Send("<presence from='" + bobPhone + "' type='unavailable'/>")
	want(bob)
	d.writes(bobSugar, "<body>4</body>")
	d.writes(bobSugar, "<gone xmlns='"+chat.NSStates+"'/>")
	want(bob)
}

func TestChatState(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	self := d.Handle(cmtest.Account)
	for _, s := range []tp.ChannelChatState{tp.ChannelChatStateGone, 5, 1 << 31} {
		d.Refused(tp.ErrorInvalidArgument, d.path, chatState, "SetChatState", uint32(s))
	}
	d.Forbid(newChannels)
	unwanted := d.Forbid(cmtest.Message())
	set := d.CallAsync(d.path, chatState, "SetChatState", uint32(tp.ChannelChatStateComposing))
	d.Expect(stateChanged.At(d.path).Args(self, uint32(tp.ChannelChatStateComposing)))
	d.Expect(cmtest.Reply(set))
	d.Sync() // who knows whether bob reads it
	unwanted.Lift()
	d.writes(bobSugar, stateComposing)
	d.Expect(stateChanged.At(d.path).Args(d.bob, uint32(tp.ChannelChatStateComposing)))
	cmtest.Equal(t, d.Get(d.path, chatState, "ChatStates"), map[uint32]uint32{self: 4, d.bob: 4})
	d.Call(d.path, chatState, "SetChatState", uint32(tp.ChannelChatStatePaused))
	d.Expect(cmtest.Message().To(bobSugar).Type("chat").Having(chat.NSStates, "paused"))
	d.writes(bobSugar, "<body>hello</body>"+stateActive)
	d.hears("hello")
	d.Expect(stateChanged.At(d.path).Args(d.bob, uint32(tp.ChannelChatStateActive)))
	d.Call(d.path, chatState, "SetChatState", uint32(tp.ChannelChatStateInactive))
	d.Expect(cmtest.Message().To(bobSugar).Having(chat.NSStates, "inactive"))
	d.Server.Send(presenceFrom(bobSugar, "") + "<presence from='" + bobSugar + "' type='unavailable'/>")
	d.Sync()
	d.writes(bobPhone, stateComposing)
	d.Server.Send(presenceFrom(bobPhone, ""))
	d.Sync()
	d.writes(bobPhone, stateComposing)
	d.Server.Send("<presence from='" + bobPhone + "' type='unavailable'/>")
	d.Expect(stateChanged.At(d.path).Args(d.bob, uint32(tp.ChannelChatStateInactive)))
	cmtest.Equal(t, d.Get(d.path, chatState, "ChatStates"), map[uint32]uint32{})
}

// A contact that announces states is told them from the start.
func TestChatState_announced(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	info, announced := clientInfo(t, "pc", chat.NSStates)
	d.Server.Send(presenceFrom(bobSugar, announced))
	d.Server.Answer(d.Expect(cmtest.IQ("get", disco.NSInfo).To(bobSugar)), info.Element().String())
	d.Sync()
	d.Call(d.path, chatState, "SetChatState", uint32(tp.ChannelChatStateComposing))
	d.Expect(cmtest.Message().To(bob).Having(chat.NSStates, "composing"))
	d.Call(d.path, tp.InterfaceChannel, "Close")
	d.Expect(cmtest.Message().To(bob).Having(chat.NSStates, "gone"))
}

func TestText_close(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	d.Forbid(cmtest.Message())
	call := d.CallAsync(d.path, tp.InterfaceChannel, "Close")
	d.Expect(channelClosed.At(d.path))
	d.Expect(cmtest.Signal(tp.SignalConnectionRequestsChannelClosed).Args(d.path))
	d.Expect(cmtest.Reply(call))
	d.Refused(tp.ErrorDBusUnknownObject, d.path, tp.InterfaceChannel, "Close")
	cmtest.Equal(t, d.Call(d.Path, tp.InterfaceConnection, "ListChannels").Arg(0), []struct {
		Path         dbus.ObjectPath
		Type         string
		Kind, Handle uint32
	}{})
	first := d.path
	d.ask()
	if d.path == first {
		t.Error("a path is used again")
	}
	d.Sync() // nobody was told of a chat in which nothing was said
}

// A channel closed over messages that nobody has acknowledged comes back.
func TestText_rescued(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	d.writes(bobSugar, "<body>hello</body>")
	d.hears("hello")
	call := d.CallAsync(d.path, tp.InterfaceChannel, "Close")
	d.Expect(channelClosed.At(d.path))
	d.Expect(cmtest.Signal(tp.SignalConnectionRequestsChannelClosed).Args(d.path))
	type details struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}
	again := cmtest.As[[]details](t, d.Expect(newChannels).Arg(0))[0]
	d.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).Args(again.Path, text.Name, uint32(1), d.bob, false))
	d.Expect(cmtest.Reply(call))
	cmtest.Equal(t, again.Properties[tp.PropertyChannelRequested], false)
	cmtest.Equal(t, again.Properties[tp.PropertyChannelInitiatorHandle], d.bob)
	d.Refused(tp.ErrorDBusUnknownObject, d.path, text, "GetMessageTypes")
	d.path = again.Path
	left := d.pending()
	if len(left) != 1 || left[0].Text != "hello" || left[0].Flags != uint32(tp.ChannelTextMessageFlagsRescued) {
		t.Errorf("pending: %v", left)
	}
	list := cmtest.As[[][]map[string]any](t, d.Get(d.path, messages, "PendingMessages"))
	cmtest.Equal(t, list[0][0]["rescued"], true)
	d.writes(bobSugar, "<body>still there?</body>")
	d.hears("still there?")
	d.Call(d.path, text, "AcknowledgePendingMessages", []uint32{left[0].ID})

	d.Forbid(newChannels)
	destroy := d.CallAsync(d.path, destroyable, "Destroy")
	d.Expect(channelClosed.At(d.path))
	d.Expect(cmtest.Reply(destroy))
	d.Sync()
}

// A closed chat begins anew.
func TestText_afterClose(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	d.writes(bobSugar, stateActive)
	d.Sync()
	d.says("hello")
	d.Call(d.path, tp.InterfaceChannel, "Close")
	d.Expect(cmtest.Message().To(bobSugar).Having(chat.NSStates, "gone"))
	d.writes(bobSugar, "<body>come back</body>")
	d.Expect(newChannels)
	d.Expect(textReceived.Where("in another channel", func(e *cmtest.Event) bool { return e.Path() != d.path && e.Arg(5) == "come back" }))
}

func TestText_endOfConnection(t *testing.T) {
	t.Parallel()
	d := beginChat(t)
	d.writes(bobSugar, "<body>hello</body>")
	d.hears("hello")
	d.Forbid(newChannels)
	d.CallAsync(d.Path, tp.InterfaceConnection, "Disconnect")
	d.Expect(channelClosed.At(d.path))
	d.Expect(d.Status(tp.ConnectionStatusDisconnected, tp.ConnectionStatusReasonRequested))
}

// What an occupant of a room says to the user alone is a chat with the occupant.
func TestText_privateInRoom(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ann")
	ann := h.occupant("ann")
	h.Server.Send("<message from='" + chatRoom + "/ann' to='" + cmtest.Self + "' type='chat'><body>psst</body><x xmlns='" + nsMUCUser + "'/></message>")
	opened := h.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).Where("to a contact", func(e *cmtest.Event) bool {
		return cmtest.Same(e.Arg(2), uint32(tp.HandleTypeContact))
	}))
	cmtest.Equal(t, opened.Arg(3), ann)
	d := &dialogue{Connection: h.Connection, path: cmtest.As[dbus.ObjectPath](t, opened.Arg(0)), bob: ann}
	d.hears("psst")
	answer := d.says("what?")
	if answer.Element.Attr("to") != chatRoom+"/ann" || answer.Element.Child(nsMUCUser, "x") == nil {
		t.Errorf("answered by %s", answer)
	}
	h.Server.Send("<message from='" + chatRoom + "/ann' type='error' id='" + answer.Element.Attr("id") + "'><error type='cancel'><item-not-found xmlns='" + stanza.NSStanzas + "'/></error></message>")
	h.Expect(textFailed.At(d.path).Args(uint32(tp.ChannelTextSendErrorInvalidContact)))
	reply := h.Call(h.Path, tp.InterfaceConnectionRequests, "EnsureChannel", textClass(ann))
	cmtest.Equal(t, reply.Arg(1), d.path)
}
