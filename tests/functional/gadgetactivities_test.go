package functional

import (
	"maps"
	"slices"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
)

// sharer is in the room of an activity of which only the room knows, at a school
// with a component to which nothing is published.
func sharer(t testing.TB) *hall {
	t.Helper()
	h, call := enterHall(t, append(withServices(component, both), byHand)...)
	h.admit("none", 100)
	h.joined(call)
	h.Call(h.Path, buddyInfo, "AddActivity", chatID, h.handle)
	return h
}

// describe sets the properties as Sugar does.
func (h *hall) describe(p olpc.Properties) {
	h.T.Helper()
	h.Call(h.Path, activityProperties, "SetProperties", h.handle, dict(p))
}

func (h *hall) publishToComponent(on bool) {
	h.T.Helper()
	h.Call(h.Path, tp.InterfaceGadget, "Publish", on)
}

// wantComponentInvited wants the two messages: what it is, and the invitation.
func (h *hall) wantComponentInvited(p olpc.Properties) {
	h.T.Helper()
	if got, want := h.Expect(described).Element, olpc.BuildInvitation(mustJID(component), chatWith(p)); !got.Equal(want) {
		h.T.Errorf("the component is told %s, want %s", got, want)
	}
	invite := h.Expect(inviteHere).Element.Child(nsMUCUser, "x").Child(nsMUCUser, "invite")
	cmtest.Equal(h.T, invite.Attr("to"), component)
	cmtest.Equal(h.T, invite.Child(nsMUCUser, "reason").Text(), "Share activity")
}

// inspects has the component be in the room, or go.
func (h *hall) inspects(kind string) {
	h.T.Helper()
	h.presence("inspector", kind, "<item affiliation='none' role='participant' jid='"+component+"/inspector'/>")
}

// What turns public is the component's to see, once, and a new title is told to
// it by the room.
func TestGadget_invitedWhenPublic(t *testing.T) {
	t.Parallel()
	h := sharer(t)
	h.publishToComponent(true)
	early := h.Forbid(inviteHere)
	h.describe(chatPrivate)
	h.Sync()
	early.Lift()
	h.describe(chatIs)
	h.wantComponentInvited(chatIs)

	again := h.Forbid(inviteHere)
	toIt := h.Forbid(cmtest.Message().To(component))
	hidden := h.Forbid(membersChanged)
	detailed := h.Forbid(membersDetailed)
	h.inspects("")
	titled := maps.Clone(chatIs)
	titled["name"] = "Homework"
	h.describe(titled)
	h.wantRoomTold(titled)
	h.Sync()
	if ids := cmtest.As[map[uint32]string](t, h.Get(h.path, group, "MemberIdentifiers")); slices.Contains(slices.Collect(maps.Values(ids)), chatRoom+"/inspector") {
		t.Errorf("in the room are %v", ids)
	}
	cmtest.Equal(t, h.members(), []uint32{h.self})
	h.Server.Send("<message type='groupchat' from='" + chatRoom + "/inspector' to='" + cmtest.Self + "'><body>I am watching</body></message>")
	h.inspects("unavailable")
	h.Sync()
	for _, b := range []*cmtest.Ban{again, toIt, hidden, detailed} {
		b.Lift()
	}

	// Private again and public once more: the component has left meanwhile.
	h.describe(chatPrivate)
	h.wantRoomTold(chatPrivate)
	h.describe(chatIs)
	h.wantComponentInvited(chatIs)
}

// The component learns of what was public before it was published to, and before
// it was there itself.
func TestGadget_invitedLater(t *testing.T) {
	t.Parallel()
	h := sharer(t)
	early := h.Forbid(inviteHere)
	h.describe(chatIs)
	h.Sync()
	early.Lift()
	h.publishToComponent(true)
	h.wantComponentInvited(chatIs)

	says(h.Connection, "")
	h.Sync()
	h.Note("it starts again, and has left the room")
	says(h.Connection, "")
	h.wantComponentInvited(chatIs)

	h.Note("it starts again and is in the room")
	h.inspects("")
	h.Sync()
	again := h.Forbid(inviteHere)
	says(h.Connection, "")
	h.Sync()
	h.publishToComponent(false)
	says(h.Connection, "")
	h.describe(chatPrivate)
	h.describe(chatIs)
	h.Sync()
	again.Lift()
}

// Nobody else is hidden: a child may be called so, too.
func TestGadget_childCalledInspector(t *testing.T) {
	t.Parallel()
	h := sharer(t)
	h.presence("inspector", "", member("bob"))
	h.Expect(membersChanged)
	if !slices.Contains(h.members(), h.occupant("inspector")) {
		t.Error("the child is not in the room")
	}
}
