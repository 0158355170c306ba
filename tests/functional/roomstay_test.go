package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
)

var selfPing = cmtest.IQ("get", "urn:xmpp:ping").To(chatSelf)

// A room that has forgotten the user, as one that was restarted has, is entered
// again under the same nick. Clients hear only who is not there any more and who
// is new; the activity goes on.
func TestRoom_forgotten(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*hall, func()){
		"seen by a message that came back": func(h *hall, _ func()) {
			h.Call(h.path, text, "Send", uint32(0), "hello")
			message := h.Expect(said)
			h.Server.Send("<message type='error' id='" + message.Element.Attr("id") + "' from='" + chatRoom + "' to='" + cmtest.Self +
				"'><error type='modify'><not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
		},
		"seen after the link was lost": func(h *hall, breakLink func()) {
			breakLink()
			h.Expect(cmtest.Element(nsSM, "resume"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm, proxy := throughWire(t, cmtest.StreamManagement, cmtest.Answers(aboutRoom, roomInfo))
			h := &hall{Connection: cm, handle: cm.Room(chatID)}
			call := h.ask()
			h.Expect(entering)
			h.comes("bob")
			h.comes("carol")
			h.admit("none", 100)
			h.joined(call)
			h.share(chatIs)
			bob := h.occupant("bob")

			lose(h, proxy.Break)
			h.Server.AnswerError(h.Expect(selfPing), "modify", "not-acceptable")
			h.Forbid(channelClosed)
			h.Forbid(newChannels)
			h.Forbid(publish.Node(olpc.NodeActivities))
			h.Expect(entering)
			h.comes("carol")
			h.comes("dan")
			h.admit("none")
			h.Expect(membersChanged.At(h.path).Where("without bob", func(e *cmtest.Event) bool { return cmtest.Same(e.Arg(2), []uint32{bob}) }))
			h.Sync()
			cmtest.Equal(t, h.members(), []uint32{h.self, h.occupant("carol"), h.occupant("dan")})
			cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetActivity", chatID).Arg(0), h.handle)
			h.Call(h.path, text, "Send", uint32(0), "again")
			h.Expect(said)
		})
	}
}

// A room that knows the user is left in peace.
func TestRoom_notForgotten(t *testing.T) {
	t.Parallel()
	cm, proxy := throughWire(t, cmtest.StreamManagement, cmtest.Answers(aboutRoom, roomInfo))
	h := &hall{Connection: cm, handle: cm.Room(chatID)}
	call := h.ask()
	h.Expect(entering)
	h.admit("none", 100)
	h.joined(call)
	h.Forbid(entering)
	h.Forbid(cmtest.Signal(tp.SignalChannelGroupMembersChanged))
	proxy.Break()
	h.Expect(cmtest.Element(nsSM, "resume"))
	h.Server.Answer(h.Expect(selfPing), "")
	h.Sync()
}
