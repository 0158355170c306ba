package integration

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

// A chat goes on in a room of its own, into which the other is invited. The
// list of rooms has it once it is public.
func testRooms(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Mona")...)
	mona := cm.Request()
	mona.Login()
	nils := cm.Request(sugars(s, "Nils")...)
	nils.Login()

	reply := cm.Call(mona.Path, tp.InterfaceConnectionRequests, "CreateChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:                 dbus.MakeVariant(tp.InterfaceChannelText.Name),
		tp.PropertyChannelConferenceInitialInviteeIDs: dbus.MakeVariant([]string{address(s, "Nils")}),
		tp.PropertyChannelConferenceInvitationMessage: dbus.MakeVariant("Come over"),
	})
	hall := cmtest.As[dbus.ObjectPath](t, reply.Arg(0))
	id := cmtest.As[string](t, cmtest.As[map[string]any](t, reply.Arg(1))[tp.PropertyChannelTargetID])
	room := nils.Room(id)
	cm.ExpectWithin(patience, cmtest.Signal(tp.SignalConnectionNewChannel).At(nils.Path).Where("the invitation", func(e *cmtest.Event) bool {
		return cmtest.Same(e.Arg(2), uint32(tp.HandleTypeRoom)) && cmtest.Same(e.Arg(3), room)
	}))

	list := cmtest.As[dbus.ObjectPath](t, cm.Call(nils.Path, tp.InterfaceConnection, "RequestChannel",
		tp.InterfaceChannelRoomList.Name, uint32(tp.HandleTypeNone), uint32(0), true).Arg(0))
	over := cmtest.Signal(tp.SignalChannelRoomListListingRooms).At(list).Args(false)
	ban := cm.Forbid(cmtest.Signal(tp.SignalChannelRoomListGotRooms).At(list))
	cm.Call(list, tp.InterfaceChannelRoomList, "ListRooms")
	cm.ExpectWithin(patience, over)
	ban.Lift()

	cm.Call(hall, tp.InterfaceChannelRoomConfig1, "UpdateConfiguration", map[string]dbus.Variant{
		"Private": dbus.MakeVariant(false), "Title": dbus.MakeVariant("Chess club"), "Description": dbus.MakeVariant("For all who play"),
	})
	cm.Call(list, tp.InterfaceChannelRoomList, "ListRooms")
	got := cm.ExpectWithin(patience, cmtest.Signal(tp.SignalChannelRoomListGotRooms).At(list))
	cm.ExpectWithin(patience, over)
	rooms := cmtest.As[[]struct {
		Handle uint32
		Type   string
		Info   map[string]any
	}](t, got.Arg(0))
	if len(rooms) != 1 {
		t.Fatalf("listed %v", rooms)
	}
	cmtest.Equal(t, rooms[0].Handle, room)
	for key, want := range map[string]any{
		"handle-name": id, "name": "Chess club", "description": "For all who play", "members": uint32(1), "password": false, "invite-only": false,
	} {
		if !cmtest.Same(rooms[0].Info[key], want) {
			t.Errorf("%s is %v, want %v; all: %v", key, rooms[0].Info[key], want, rooms[0].Info)
		}
	}
	mona.Disconnect()
	nils.Disconnect()
}
