package functional

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/muc"
)

// listedRoom is Room_Info, (usa{sv}).
type listedRoom struct {
	Handle uint32
	Type   string
	Info   map[string]any
}

var (
	roomList     = tp.InterfaceChannelRoomList
	listingRooms = cmtest.Signal(tp.SignalChannelRoomListListingRooms)
	gotRooms     = cmtest.Signal(tp.SignalChannelRoomListGotRooms)
)

// listRequest asks for a list of rooms; without server of the own service.
func listRequest(server any) map[string]dbus.Variant {
	r := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(roomList.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeNone)),
	}
	if server != nil {
		r[tp.PropertyChannelRoomListServer] = dbus.MakeVariant(server)
	}
	return r
}

// roomsOf is the answer of a service that has these rooms.
func roomsOf(rooms ...string) string {
	items := ""
	for _, r := range rooms {
		items += "<item jid='" + r + "' name='item " + strings.Split(r, "@")[0] + "'/>"
	}
	return "<query xmlns='" + disco.NSItems + "'>" + items + "</query>"
}

// aboutListed is what a room says about itself.
func aboutListed(name string, features ...string) string {
	for i, f := range features {
		features[i] = "<feature var='" + f + "'/>"
	}
	return "<query xmlns='" + disco.NSInfo + "'><identity category='conference' type='text' name='" + name + "'/><feature var='" + muc.NS + "'/>" +
		strings.Join(features, "") + "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>" + muc.NS + "#roominfo</value></field>" +
		"<field var='muc#roominfo_description'><value>All about " + name + "</value></field><field var='muc#roominfo_subject'><value>Today</value></field>" +
		"<field var='muc#roominfo_occupants'><value>3</value></field></x></query>"
}

func TestListRooms(t *testing.T) {
	t.Parallel()
	const maths, club, gone = "maths@" + cmtest.Conference, "club@" + cmtest.Conference, "gone@" + cmtest.Conference
	cm := cmtest.Connect(t, cmtest.Answers(cmtest.IQ("get", disco.NSInfo).To(maths), aboutListed("Maths", "muc_open", "muc_unsecured")),
		cmtest.AnswersError(cmtest.IQ("get", disco.NSInfo).To(club), "auth", "forbidden"),
		cmtest.AnswersError(cmtest.IQ("get", disco.NSInfo).To(gone), "cancel", "item-not-found"))
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", listRequest(nil))
	reply := cm.Expect(cmtest.Reply(call))
	list := cmtest.As[dbus.ObjectPath](t, reply.Arg(0))
	cm.Expect(cmtest.Signal(tp.SignalConnectionRequestsNewChannels))
	cm.Expect(cmtest.Signal(tp.SignalConnectionNewChannel).Args(list, roomList.Name, uint32(0), uint32(0), true))
	for name, want := range map[string]any{
		tp.PropertyChannelTargetHandleType: uint32(tp.HandleTypeNone), tp.PropertyChannelTargetHandle: uint32(0),
		tp.PropertyChannelTargetID: "", tp.PropertyChannelRequested: true,
		tp.PropertyChannelInitiatorID: cmtest.Account, tp.PropertyChannelRoomListServer: cmtest.Conference,
	} {
		cmtest.Equal(t, cmtest.As[map[string]any](t, reply.Arg(1))[name], want)
	}
	cmtest.Equal(t, cm.Get(list, roomList, "Server"), cmtest.Conference)
	cmtest.Equal(t, cm.Call(list, roomList, "GetListingRooms").Arg(0), false)

	for range 2 { // it may be listed again
		call = cm.CallAsync(list, roomList, "ListRooms")
		cm.Expect(listingRooms.At(list).Args(true))
		question := cm.Expect(cmtest.IQ("get", disco.NSItems).To(cmtest.Conference))
		cmtest.Equal(t, cm.Call(list, roomList, "GetListingRooms").Arg(0), true)
		cm.Call(list, roomList, "ListRooms") // is going on already
		cm.Server.Answer(question, roomsOf(maths, club, gone, maths, "else@where.test", "nobody"))
		cm.Expect(cmtest.Reply(call))
		got := cmtest.As[[]listedRoom](t, cm.Expect(gotRooms.At(list)).Arg(0))
		cm.Expect(listingRooms.At(list).Args(false))
		if len(got) != 2 {
			t.Fatalf("got %v", got)
		}
		cmtest.Equal(t, got[0].Handle, cm.Room(maths))
		cmtest.Equal(t, got[0].Type, tp.InterfaceChannelText.Name)
		cmtest.Equal(t, got[0].Info, map[string]any{
			"handle-name": maths, "room-id": "maths", "server": cmtest.Conference, "name": "Maths", "description": "All about Maths",
			"subject": "Today", "members": uint32(3), "password": false, "invite-only": false,
		})
		cmtest.Equal(t, got[1].Handle, cm.Room(club))
		cmtest.Equal(t, got[1].Info, map[string]any{
			"handle-name": club, "room-id": "club", "server": cmtest.Conference, "name": "item club",
		})
	}
	cm.Call(list, tp.InterfaceChannel, "Close")
	cm.Refused(tp.ErrorDBusUnknownObject, list, roomList, "ListRooms")
}

// Of a service with many rooms eight are asked at a time, and the first are told
// before the last are known.
func TestListRooms_many(t *testing.T) {
	t.Parallel()
	var names []string
	for i := range 12 {
		names = append(names, fmt.Sprintf("r%d@%s", i, cmtest.Conference))
	}
	cm := cmtest.Connect(t, cmtest.Answers(cmtest.IQ("get", disco.NSItems).To(cmtest.Conference), roomsOf(names...)))
	list := cmtest.As[dbus.ObjectPath](t, cm.Call(cm.Path, tp.InterfaceConnection, "RequestChannel", roomList.Name, uint32(0), uint32(0), true).Arg(0))
	about := func(i int) cmtest.Match { return cmtest.IQ("get", disco.NSInfo).To(names[i]) }
	early := cm.Forbid(about(8))
	cm.Call(list, roomList, "ListRooms")
	var asked []*cmtest.Event
	for i := range 8 {
		asked = append(asked, cm.Expect(about(i)))
	}
	cm.Sync()
	early.Lift()
	cm.Server.Answer(asked[0], aboutListed("First"))
	cm.Expect(about(8))
	first := cmtest.As[[]listedRoom](t, cm.Expect(gotRooms.At(list)).Arg(0))
	cmtest.Equal(t, len(first), 1)
	cmtest.Equal(t, first[0].Info["name"], "First")

	// Once it is stopped, nobody is asked and nothing is told any more.
	cm.Call(list, roomList, "StopListing")
	cm.Forbid(about(9))
	cm.Forbid(gotRooms)
	cm.Forbid(listingRooms)
	cm.Server.Answer(asked[1], aboutListed("Second"))
	cm.Call(list, roomList, "StopListing")
	cm.Sync()
	cmtest.Equal(t, cm.Call(list, roomList, "GetListingRooms").Arg(0), false)
}

func TestRoomList_several(t *testing.T) {
	t.Parallel()
	items := cmtest.IQ("get", disco.NSItems)
	cm := cmtest.Connect(t, cmtest.Unanswered(items.To("rooms.test")), cmtest.AnswersError(items.To("closed.test"), "auth", "forbidden"),
		cmtest.AnswersError(items.To("away.test"), "wait", "remote-server-timeout"), cmtest.AnswersError(items.To("none.test"), "cancel", "item-not-found"))
	create := func(server string) dbus.ObjectPath {
		return cmtest.As[dbus.ObjectPath](t, cm.Call(cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", listRequest(server)).Arg(0))
	}
	one, two := create("rooms.test"), create("rooms.test")
	if one == two {
		t.Error("CreateChannel gave the same channel twice")
	}
	reply := cm.Call(cm.Path, tp.InterfaceConnectionRequests, "EnsureChannel", listRequest("rooms.test"))
	cmtest.Equal(t, reply.Arg(0), false)
	cmtest.Equal(t, reply.Arg(1), one)
	own := cm.Call(cm.Path, tp.InterfaceConnectionRequests, "EnsureChannel", listRequest(""))
	cmtest.Equal(t, own.Arg(0), true)

	for server, want := range map[string]tp.ErrorName{
		"closed.test": tp.ErrorPermissionDenied, "away.test": tp.ErrorNetworkError, "none.test": tp.ErrorNotAvailable,
	} {
		list := create(server)
		cm.Refused(want, list, roomList, "ListRooms")
		cmtest.Equal(t, cm.Call(list, roomList, "GetListingRooms").Arg(0), false)
	}

	// A list that is closed answers who waits, and leaves the others alone.
	waiting, other := cm.CallAsync(one, roomList, "ListRooms"), cm.CallAsync(two, roomList, "ListRooms")
	cm.Expect(items.To("rooms.test"))
	question := cm.Expect(items.To("rooms.test"))
	cm.CallAsync(one, tp.InterfaceChannel, "Close")
	cm.Expect(listingRooms.At(one).Args(false))
	cm.Expect(cmtest.Refusal(waiting, tp.ErrorCancelled))
	cm.Expect(cmtest.Signal(tp.SignalChannelClosed).At(one))
	cm.Server.Answer(question, roomsOf())
	cm.Expect(cmtest.Reply(other))
	cm.Expect(listingRooms.At(two).Args(false))
}

func TestRoomList_refused(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.AnswersError(cmtest.IQ("get", disco.NSItems).To(cmtest.Domain), "cancel", "service-unavailable"))
	for name, c := range map[string]struct {
		server any
		want   tp.ErrorName
	}{
		"no service":      {nil, tp.ErrorNotAvailable},
		"a room":          {"maths@" + cmtest.Conference, tp.ErrorInvalidArgument},
		"a resource":      {cmtest.Conference + "/x", tp.ErrorInvalidArgument},
		"nothing one has": {"a b", tp.ErrorInvalidArgument},
		"a number":        {uint32(7), tp.ErrorInvalidArgument},
	} {
		cm.Note("%s", name)
		cm.Refused(c.want, cm.Path, tp.InterfaceConnectionRequests, "CreateChannel", listRequest(c.server))
	}
	cm.Refused(tp.ErrorNotAvailable, cm.Path, tp.InterfaceConnection, "RequestChannel", roomList.Name, uint32(0), uint32(0), true)
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnection, "RequestChannel", roomList.Name, uint32(0), uint32(1), true)
}

// Who waits when the connection ends is answered: for the service, and for its
// list.
func TestRoomList_disconnect(t *testing.T) {
	t.Parallel()
	items := cmtest.IQ("get", disco.NSItems)
	cm := cmtest.Start(t, cmtest.Unanswered(items))
	c := cm.Request()
	c.Login()
	request := cm.CallAsync(c.Path, tp.InterfaceConnectionRequests, "CreateChannel", listRequest(nil))
	list := cmtest.As[dbus.ObjectPath](t, cm.Call(c.Path, tp.InterfaceConnectionRequests, "CreateChannel", listRequest("rooms.test")).Arg(0))
	listing := cm.CallAsync(list, roomList, "ListRooms")
	cm.Expect(items.To("rooms.test"))
	cm.CallAsync(c.Path, tp.InterfaceConnection, "Disconnect")
	cm.ExpectUnordered(cmtest.Refusal(request, tp.ErrorDisconnected), cmtest.Refusal(listing, tp.ErrorDisconnected))
}
