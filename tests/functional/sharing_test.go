package functional

import (
	"maps"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

var (
	chatActivity = olpc.Activity{ID: chatID, Room: mustJID(chatRoom)}
	chatIs       = olpc.Properties{"name": "Chat", "type": "org.laptop.Chat", "color": "#1,#2", "private": false}
	chatPrivate  = olpc.Properties{"name": "Chat", "type": "org.laptop.Chat", "color": "#1,#2", "private": true}

	nobodysActivity = stanza.New(olpc.NodeCurrentActivity, "activity")
	publishOLPC     = publish.Where("of an OLPC node", func(e *cmtest.Event) bool {
		return strings.HasPrefix(published(e).Space(), "http://laptop.org/")
	})
)

func chatWith(p olpc.Properties) olpc.ActivityProperties {
	return olpc.ActivityProperties{Activity: chatActivity, Properties: p}
}

// dict is properties as a client writes them, and decoded those it reads.
func dict(p olpc.Properties) map[string]dbus.Variant {
	d := make(map[string]dbus.Variant, len(p))
	for name, v := range p {
		d[name] = dbus.MakeVariant(v)
	}
	return d
}

func decoded(p olpc.Properties) map[string]any { return maps.Clone(map[string]any(p)) }

// share does what Sugar does after it has come into the room; the properties
// are set and everything on account of them has happened.
func (h *hall) share(p olpc.Properties) {
	h.T.Helper()
	h.Call(h.Path, buddyInfo, "AddActivity", chatID, h.handle)
	h.Call(h.Path, activityProperties, "SetProperties", h.handle, dict(p))
	h.wantRoomTold(p)
	if chatWith(p).Visible() {
		h.wantPublished(olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(p)}))
		h.wantPublished(olpc.BuildActivities([]olpc.Activity{chatActivity}))
	}
	h.Expect(activityChanged.Args(h.handle, decoded(p)))
}

// wantRoomTold wants the room to be told of properties.
func (h *hall) wantRoomTold(p olpc.Properties) {
	h.T.Helper()
	message := h.Expect(said.Having(olpc.NodeActivityProperties, "properties"))
	if want := olpc.BuildRoomMessage(chatWith(p)); !message.Element.Equal(want) {
		h.T.Errorf("the room was told %s, want %s", message.Element, want)
	}
}

func (h *hall) wantPublished(want *stanza.Element) {
	h.T.Helper()
	wantPublished(h.T.(*testing.T), h.Expect(publish.Node(want.Space())), want)
}

// What is announced is published only once it is known to be for all; those in
// the room are told first, then what it is, then that the user is in it.
func TestSharing_publicly(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
	h.Refused(tp.ErrorNotAvailable, h.Path, activityProperties, "GetActivity", "nobody's")
	h.Refused(tp.ErrorInvalidArgument, h.Path, activityProperties, "SetProperties", h.handle, dict(chatIs))

	early := h.Forbid(publishOLPC)
	announced := h.CallAsync(h.Path, buddyInfo, "AddActivity", chatID, h.handle)
	h.Expect(activitiesChanged.Args(self, []activityAt{{chatID, h.handle}}))
	h.Expect(cmtest.Reply(announced))
	h.Refused(tp.ErrorInvalidArgument, h.Path, buddyInfo, "AddActivity", chatID, h.handle)
	cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetActivity", chatID).Arg(0), h.handle)
	h.Sync()
	early.Lift()

	described := h.CallAsync(h.Path, activityProperties, "SetProperties", h.handle, dict(chatIs))
	h.wantRoomTold(chatIs)
	h.wantPublished(olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(chatIs)}))
	h.wantPublished(olpc.BuildActivities([]olpc.Activity{chatActivity}))
	h.Expect(activityChanged.Args(h.handle, decoded(chatIs)))
	h.Expect(cmtest.Reply(described))
	cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetProperties", h.handle).Arg(0), decoded(chatIs))

	h.Call(h.Path, buddyInfo, "SetCurrentActivity", chatID, h.handle)
	h.wantPublished(olpc.BuildCurrentActivity(chatActivity))
}

// Sugar tells the title again whenever it changes; the list of activities is the
// same then.
func TestSharing_newTitle(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.share(chatIs)
	titled := maps.Clone(chatIs)
	titled["name"] = "Homework"
	h.Forbid(publish.Node(olpc.NodeActivities))
	h.CallAsync(h.Path, activityProperties, "SetProperties", h.handle, dict(titled))
	h.wantRoomTold(titled)
	h.wantPublished(olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(titled)}))
	h.Sync()
}

// Of a private activity nothing is published, not even that it is looked at.
func TestSharing_privately(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	silent := h.Forbid(publishOLPC.Where("with an activity", func(e *cmtest.Event) bool { return strings.Contains(published(e).String(), chatID) }))
	h.share(chatPrivate)
	h.Call(h.Path, buddyInfo, "SetCurrentActivity", chatID, h.handle)
	h.wantPublished(nobodysActivity)
	h.Sync()
	silent.Lift()

	h.Note("public")
	h.CallAsync(h.Path, activityProperties, "SetProperties", h.handle, dict(chatIs))
	h.wantRoomTold(chatIs)
	h.wantPublished(olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(chatIs)}))
	h.wantPublished(olpc.BuildActivities([]olpc.Activity{chatActivity}))
	h.wantPublished(olpc.BuildCurrentActivity(chatActivity))
	h.Sync()

	h.Note("private again")
	h.CallAsync(h.Path, activityProperties, "SetProperties", h.handle, dict(chatPrivate))
	h.wantRoomTold(chatPrivate)
	h.wantPublished(olpc.BuildActivityProperties(nil))
	h.wantPublished(olpc.BuildActivities(nil))
	h.wantPublished(nobodysActivity)
	h.Expect(activityChanged.Args(h.handle, decoded(chatPrivate)))
}

// tellOfChat has bob be on-line and in the chat, as Sugar's Neighborhood sees it.
func tellOfChat(h *hall) {
	h.T.Helper()
	meet(h.Connection, bobID)
	tell(h.Connection, bobID, olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(chatIs)}))
	tell(h.Connection, bobID, olpc.BuildActivities([]olpc.Activity{chatActivity}))
	h.Expect(activitiesChanged)
}

// neighbour has bob share a chat, which nobody has joined.
func neighbour(t testing.TB) *hall {
	t.Helper()
	cm := cmtest.Connect(t, cmtest.Contact(bobID), cmtest.Answers(aboutRoom, roomInfo))
	h := &hall{Connection: cm, handle: cm.Room(chatID)}
	tellOfChat(h)
	return h
}

// Who joins is seen in the activity, although Sugar announces only what it has
// started itself, and says what the user looks at before the room is joined.
func TestSharing_joinerIsSeen(t *testing.T) {
	t.Parallel()
	h := neighbour(t)
	self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
	h.Call(h.Path, buddyInfo, "SetCurrentActivity", chatID, h.handle)
	h.wantPublished(nobodysActivity)
	call := h.ask()
	h.Expect(entering)
	h.comes("bob")
	h.admit("none")
	h.Expect(activitiesChanged.Args(self, []activityAt{{chatID, h.handle}}))
	h.wantPublished(olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(chatIs)}))
	h.wantPublished(olpc.BuildActivities([]olpc.Activity{chatActivity}))
	h.wantPublished(olpc.BuildCurrentActivity(chatActivity))
	h.joined(call)
	h.Call(h.Path, buddyInfo, "AddActivity", chatID, h.handle) // newer clients may
}

// What others in the room make of the activity holds here as well, and is
// published again by all who are seen in it.
func TestSharing_othersChangeIt(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	h.share(chatIs)
	titled := maps.Clone(chatIs)
	titled["name"] = "Homework"
	tellRoom := func(from string, p olpc.Properties, more string) {
		m := olpc.BuildRoomMessage(chatWith(p)).Child(olpc.NodeActivityProperties, "properties").String()
		h.speaks(from, m+more)
	}
	tellRoom("bob", titled, "")
	h.Expect(activityChanged.Args(h.handle, decoded(titled)))
	h.wantPublished(olpc.BuildActivityProperties([]olpc.ActivityProperties{chatWith(titled)}))

	h.Note("what is old, ours, empty or no news is passed over")
	quiet := h.Forbid(activityChanged)
	silent := h.Forbid(publishOLPC)
	tellRoom("bob", chatPrivate, "<delay xmlns='urn:xmpp:delay' from='"+chatRoom+"' stamp='2026-01-02T03:04:05Z'/>")
	tellRoom(cmtest.User, chatPrivate, "")
	tellRoom("bob", titled, "")
	tellRoom("bob", nil, "")
	h.Sync()
	quiet.Lift()
	silent.Lift()

	h.Note("bob makes it private")
	tellRoom("bob", chatPrivate, "")
	h.Expect(activityChanged.Args(h.handle, decoded(chatPrivate)))
	h.wantPublished(olpc.BuildActivityProperties(nil))
	h.wantPublished(olpc.BuildActivities(nil))
}

// Nobody outside the room has a say in it.
func TestSharing_forgedProperties(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.share(chatIs)
	h.Forbid(activityChanged)
	h.Forbid(publishOLPC)
	evil := olpc.BuildRoomMessage(chatWith(olpc.Properties{"name": "Evil", "private": true}))
	for _, message := range []*stanza.Element{
		evil.With(stanza.A("from", eveID), stanza.A("to", cmtest.Self)),
		evil.With(stanza.A("from", eveID), stanza.A("type", "chat")),
		evil.With(stanza.A("from", chatRoom+"/eve"), stanza.A("type", "chat")),
		evil.With(stanza.A("from", chatRoom+"/eve"), stanza.A("type", "error")),
		evil.With(stanza.A("from", "other@"+cmtest.Conference+"/eve")),
	} {
		h.Server.Send(message.String())
	}
	h.Sync()
	cmtest.Equal(t, h.Call(h.Path, activityProperties, "GetProperties", h.handle).Arg(0), decoded(chatIs))
}

// Nothing stale stays: who leaves is not seen in the activity any more, whether
// the user left or was thrown out.
func TestSharing_leftIsTakenBack(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(*hall){
		"closed": func(h *hall) { h.CallAsync(h.path, tp.InterfaceChannel, "Close") },
		"kicked": func(h *hall) { h.goes(cmtest.User, "<item affiliation='none' role='none'/>", 307, 110) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := joinHall(t)
			h.share(chatIs)
			h.Call(h.Path, buddyInfo, "SetCurrentActivity", chatID, h.handle)
			h.wantPublished(olpc.BuildCurrentActivity(chatActivity))
			self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
			leave(h)
			h.Expect(activitiesChanged.Args(self, []activityAt{}))
			h.wantPublished(olpc.BuildActivities(nil))
			h.wantPublished(olpc.BuildActivityProperties(nil))
			h.wantPublished(nobodysActivity)
			h.Expect(channelClosed)
			h.Refused(tp.ErrorNotAvailable, h.Path, activityProperties, "GetActivity", chatID)
		})
	}
}

// What cannot be published is not told in the room either.
func TestSharing_propertiesRefused(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	h.Call(h.Path, buddyInfo, "AddActivity", chatID, h.handle)
	tooMuch := dict(olpc.Properties{"name": strings.Repeat("x", olpc.MaxPropertiesBytes), "private": false})
	h.Forbid(said)
	h.Refused(tp.ErrorInvalidArgument, h.Path, activityProperties, "SetProperties", h.handle, tooMuch)
	h.Refused(tp.ErrorInvalidHandle, h.Path, activityProperties, "SetProperties", uint32(99), dict(chatIs))
	h.Sync()
}
