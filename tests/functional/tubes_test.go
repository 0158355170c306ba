package functional

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/mucbytestream"
	"telepathy-olpc/xmpp/stanza"
	wire "telepathy-olpc/xmpp/tubes"
)

const calculator = "org.laptop.ShareableActivity"

var (
	tubesType = tp.InterfaceChannelTubes
	dbusTube  = tp.InterfaceChannelDBusTube
	tubeIface = tp.InterfaceChannelTube

	newTube          = cmtest.Signal(tp.SignalChannelTubesNewTube)
	tubeClosed       = cmtest.Signal(tp.SignalChannelTubesTubeClosed)
	tubeStateChanged = cmtest.Signal(tp.SignalChannelTubesTubeStateChanged)
	namesChanged     = cmtest.Signal(tp.SignalChannelTubesDBusNamesChanged)
	tubeChannelState = cmtest.Signal(tp.SignalChannelTubeTubeChannelStateChanged)
	ownNamesChanged  = cmtest.Signal(tp.SignalChannelDBusTubeDBusNamesChanged)
	updated          = toRoom.Type("").Having(wire.NS, "tubes")
)

// nameOf is the name that somebody has in D-Bus tubes.
type nameOf struct {
	Handle uint32
	Name   string
}

// tubeInfo is Tube_Info.
type tubeInfo struct {
	ID, Initiator, Type uint32
	Service             string
	Parameters          map[string]any
	State               uint32
}

// tubes asks for the Tubes channel, as Sugar does.
func (h *hall) tubes() dbus.ObjectPath {
	h.T.Helper()
	return cmtest.As[dbus.ObjectPath](h.T, h.Call(h.Path, tp.InterfaceConnection, "RequestChannel",
		tubesType.Name, uint32(tp.HandleTypeRoom), h.handle, true).Arg(0))
}

// shares has somebody announce tubes.
func (h *hall) shares(nick, tubes string) {
	h.Server.Send("<presence from='" + chatRoom + "/" + nick + "' to='" + cmtest.Self + "'><tubes xmlns='" + wire.NS + "'>" + tubes +
		"</tubes><x xmlns='" + nsMUCUser + "'>" + member(nick) + "</x></presence>")
}

// announced is a D-Bus tube that ada has started, as nick announces it.
func announced(nick string, id uint32, stream string) string {
	return fmt.Sprintf("<tube type='dbus' service='%s' id='%d' stream-id='%s' initiator='%s/ada' dbus-name='%s'>"+
		"<parameters><parameter name='colour' type='str'>blue</parameter></parameters></tube>",
		calculator, id, stream, chatRoom, wire.UniqueName(nick))
}

// announcedBy gives the tubes in a presence of ours.
func announcedBy(t testing.TB, presence *cmtest.Event) []wire.Tube {
	t.Helper()
	open, told := wire.ParseAnnouncement(presence.Element.With(stanza.A("from", chatSelf)))
	if !told {
		t.Fatalf("no <tubes/> in %s", presence.Element)
	}
	return open
}

// dial connects to a D-Bus tube as an activity does.
func dial(t testing.TB, address string) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Dial(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(os.Getuid()))}); err != nil {
		t.Fatal(err)
	}
	return conn
}

// signal is a D-Bus message as it goes through a room.
func signal(t testing.TB, sender, destination string, value any) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeSignal, Body: []any{value}, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:      dbus.MakeVariant(dbus.ObjectPath("/org/laptop/Calculate")),
		dbus.FieldInterface: dbus.MakeVariant(calculator),
		dbus.FieldMember:    dbus.MakeVariant("Changed"),
		dbus.FieldSender:    dbus.MakeVariant(sender),
		dbus.FieldSignature: dbus.MakeVariant(dbus.SignatureOf(value)),
	}}
	if destination != "" {
		m.Headers[dbus.FieldDestination] = dbus.MakeVariant(destination)
	}
	return encoded(t, m)
}

// encoded gives a message the number 7.
func encoded(t testing.TB, m *dbus.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := m.EncodeTo(&b, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(b.Bytes()[8:], 7)
	return b.Bytes()
}

// says has somebody say something on a stream of the room.
func (h *hall) says(nick, stream string, m []byte) {
	h.Server.Send("<message type='groupchat' from='" + chatRoom + "/" + nick + "' to='" + cmtest.Self + "'><data xmlns='" + mucbytestream.NS +
		"' sid='" + stream + "'>" + base64.StdEncoding.EncodeToString(m) + "</data></message>")
}

// wantData wants a message of ours on a stream of the room, and decodes it.
func (h *hall) wantData(to string) *dbus.Message {
	h.T.Helper()
	e := h.Expect(cmtest.Message().To(to).Having(mucbytestream.NS, "data"))
	kind := ""
	if to == chatRoom {
		kind = "groupchat"
	}
	cmtest.Equal(h.T, e.Element.Attr("type"), kind)
	raw, err := base64.StdEncoding.DecodeString(e.Element.Child(mucbytestream.NS, "data").Text())
	if err != nil {
		h.T.Fatal(err)
	}
	m, err := dbus.DecodeMessage(bytes.NewReader(raw))
	if err != nil {
		h.T.Fatal(err)
	}
	return m
}

// A tube of one's own is told by NewTube too, with all about it, before the
// answer, and is open at once.
func TestTubes_offerDBusTube(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	path := h.tubes()
	cmtest.Equal(t, h.Call(path, tp.InterfaceChannel, "GetInterfaces").Arg(0), []string{group.Name})
	cmtest.Equal(t, h.Call(path, group, "GetSelfHandle").Arg(0), h.self)
	cmtest.Equal(t, h.Call(path, group, "GetAllMembers").Arg(0), h.members())
	cmtest.Equal(t, h.Call(path, tubesType, "ListTubes").Arg(0), []tubeInfo{})

	call := h.CallAsync(path, tubesType, "OfferDBusTube", calculator, map[string]dbus.Variant{
		"n": dbus.MakeVariant(byte(7)), "b": dbus.MakeVariant([]byte{1, 0}), "left out": dbus.MakeVariant(1.5),
	})
	name := wire.UniqueName(cmtest.User)
	names := h.Expect(namesChanged.At(path))
	id := cmtest.As[uint32](t, names.Arg(0))
	cmtest.Equal(t, names.Arg(1), []nameOf{{h.self, name}})
	h.Expect(tubeStateChanged.At(path).Args(id, uint32(tp.TubeStateOpen)))
	parameters := map[string]any{"n": int32(7), "b": []byte{1, 0}}
	told := h.Expect(newTube.At(path))
	cmtest.Equal(t, told.Arg(1), h.self)
	cmtest.Equal(t, h.Expect(cmtest.Reply(call)).Arg(0), id)
	cmtest.Equal(t, h.Call(path, tubesType, "ListTubes").Arg(0), []tubeInfo{{id, h.self, 0, calculator, parameters, 2}})
	cmtest.Equal(t, h.Call(path, tubesType, "GetDBusNames", id).Arg(0), []nameOf{{h.self, name}})

	open := announcedBy(t, h.Expect(updated))
	if len(open) != 1 || open[0].ID != id || open[0].DBusName != name || open[0].Initiator.String() != chatSelf || open[0].Service != calculator {
		t.Errorf("announced %+v", open)
	}

	address := cmtest.As[string](t, h.Call(path, tubesType, "GetDBusTubeAddress", id).Arg(0))
	activity := dial(t, address)
	if err := activity.Emit("/org/laptop/Calculate", calculator+".Changed", "to all"); err != nil {
		t.Fatal(err)
	}
	m := h.wantData(chatRoom)
	cmtest.Equal(t, m.Headers[dbus.FieldSender].Value(), any(name))
	cmtest.Equal(t, m.Body, []any{"to all"})
	h.Refused(tp.ErrorInvalidArgument, path, tubesType, "GetDBusTubeAddress", id+1)
	h.Refused(tp.ErrorInvalidArgument, path, tubesType, "GetStreamTubeSocketAddress", id)
	h.Refused(tp.ErrorNotAvailable, path, tubesType, "AcceptDBusTube", id)

	h.Call(path, tubesType, "CloseTube", id)
	h.Expect(tubeClosed.At(path).Args(id))
	if open := announcedBy(t, h.Expect(updated)); len(open) != 0 {
		t.Errorf("announced %+v after CloseTube", open)
	}
	h.Refused(tp.ErrorInvalidArgument, path, tubesType, "CloseTube", id)
	if _, err := dbus.Dial(address); err == nil {
		t.Error("the socket is still there")
	}
}

// acceptHall is in the room, in a tube that ada has started; bob is not in it.
func acceptHall(t *testing.T) (h *hall, path dbus.ObjectPath, activity *dbus.Conn) {
	t.Helper()
	h = joinHall(t, "ada", "bob")
	path = h.tubes()
	h.shares("ada", announced("ada", 77, "s1"))
	h.Expect(newTube.At(path).Args(uint32(77), h.occupant("ada"), uint32(0), calculator,
		map[string]any{"colour": "blue"}, uint32(0)))
	h.Expect(namesChanged.At(path).Args(uint32(77), []nameOf{{h.occupant("ada"), wire.UniqueName("ada")}}, []uint32{}))
	h.Refused(tp.ErrorNotAvailable, path, tubesType, "GetDBusTubeAddress", uint32(77))
	address := cmtest.As[string](t, h.Call(path, tubesType, "AcceptDBusTube", uint32(77)).Arg(0))
	h.Expect(namesChanged.At(path).Args(uint32(77), []nameOf{{h.self, wire.UniqueName(cmtest.User)}}, []uint32{}))
	h.Expect(tubeStateChanged.At(path).Args(uint32(77), uint32(2)))
	open := announcedBy(t, h.Expect(updated))
	if len(open) != 1 || open[0].StreamID != "s1" || open[0].Initiator.Resource() != "ada" || open[0].DBusName != wire.UniqueName(cmtest.User) {
		t.Errorf("announced %+v", open)
	}
	return h, path, dial(t, address)
}

// What comes is for us, from who says so, and unharmed; the rest is dropped.
func TestTubes_acceptDBusTube(t *testing.T) {
	t.Parallel()
	h, _, activity := acceptHall(t)
	heard := make(chan *dbus.Message, 10)
	activity.Eavesdrop(heard)
	ada, own := wire.UniqueName("ada"), wire.UniqueName(cmtest.User)
	h.says("ada", "s1", signal(t, ada, "", "first"))
	h.says("ada", "s1", signal(t, own, "", "forged"))
	h.says("bob", "s1", signal(t, wire.UniqueName("bob"), "", "not in the tube"))
	h.says("bob", "s1", signal(t, ada, "", "in another's name"))
	h.says("ada", "s1", signal(t, ada, wire.UniqueName("bob"), "for somebody else"))
	h.says("ada", "s2", signal(t, ada, "", "on another stream"))
	h.says("ada", "s1", []byte("l no message"))
	h.says("ada", "s1", signal(t, ada, own, "last"))
	for _, want := range []string{"first", "last"} {
		if m := <-heard; fmt.Sprint(m.Body) != "["+want+"]" {
			t.Errorf("heard %v, want %s", m.Body, want)
		}
	}

	activity.Eavesdrop(nil)

	call := activity.Object(ada, "/org/laptop/Calculate").Go(calculator+".Sync", 0, nil)
	m := h.wantData(chatRoom + "/ada")
	cmtest.Equal(t, m.Headers[dbus.FieldSender].Value(), any(own))
	cmtest.Equal(t, m.Headers[dbus.FieldDestination].Value(), any(ada))
	if call.Err != nil {
		t.Error(call.Err)
	}

	unknown := activity.Object(wire.UniqueName("bob"), "/").Call(calculator+".Sync", 0)
	if err, is := unknown.Err.(dbus.Error); !is || err.Name != "org.freedesktop.DBus.Error.NameHasNoOwner" {
		t.Errorf("call of nobody: %v", unknown.Err)
	}
}

// A message of many stanzas goes on as the server takes it.
func TestTubes_largeMessage(t *testing.T) {
	t.Parallel()
	h, _, activity := acceptHall(t)
	if err := activity.Emit("/org/laptop/Calculate", calculator+".Changed", bytes.Repeat([]byte{7}, 3<<20)); err != nil {
		t.Fatal(err)
	}
	size := 0
	for last := ""; last != "last"; {
		data := h.Expect(cmtest.Message().To(chatRoom).Having(mucbytestream.NS, "data")).Element.Child(mucbytestream.NS, "data")
		last = data.Attr("frag")
		size += base64.StdEncoding.DecodedLen(len(data.Text()))
	}
	if size < 3<<20 {
		t.Errorf("%d bytes went out", size)
	}
}

// Who leaves is out of the tube first; the tube lasts until nobody has it.
func TestTubes_othersLeave(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada", "bob")
	path := h.tubes()
	ada, bob := h.occupant("ada"), h.occupant("bob")
	h.shares("ada", announced("ada", 77, "s1"))
	h.shares("bob", announced("bob", 77, "s1"))
	h.Expect(namesChanged.At(path).Args(uint32(77), []nameOf{{bob, wire.UniqueName("bob")}}, []uint32{}))
	h.goes("ada", member("ada"))
	h.Expect(namesChanged.At(path).Args(uint32(77), []nameOf{}, []uint32{ada}))
	h.Expect(membersChanged.At(path))
	still := h.Forbid(tubeClosed)
	h.presence("bob", "", member("bob")) // says nothing of tubes
	h.Sync()
	still.Lift()
	h.shares("bob", "")
	h.Expect(namesChanged.At(path).Args(uint32(77), []nameOf{}, []uint32{bob}))
	h.Expect(tubeClosed.At(path).Args(uint32(77)))
	cmtest.Equal(t, h.Call(path, tubesType, "ListTubes").Arg(0), []tubeInfo{})
}

// A tube of ours from before, which others have kept, is taken up by accepting
// it, and its initiator is the user.
func TestTubes_ownTubeOfBefore(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	path := h.tubes()
	h.shares("ada", fmt.Sprintf("<tube type='dbus' service='%s' id='5' stream-id='old' initiator='%s' dbus-name='%s'/>",
		calculator, chatSelf, wire.UniqueName("ada")))
	h.Expect(newTube.At(path).Args(uint32(5), h.self, uint32(0), calculator, map[string]any{}, uint32(0)))
	h.Call(path, tubesType, "AcceptDBusTube", uint32(5))
	open := announcedBy(t, h.Expect(updated))
	if len(open) != 1 || open[0].StreamID != "old" {
		t.Errorf("announced %+v", open)
	}
}

// Others can claim what they like: it does not touch the tubes of others.
func TestTubes_forgedAnnouncements(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada", "eve")
	path := h.tubes()
	h.shares("ada", announced("ada", 77, "s1"))
	h.Expect(namesChanged.At(path))
	quiet := h.Forbid(cmtest.Signal(tp.SignalChannelTubesDBusNamesChanged))
	none := h.Forbid(newTube)
	for _, tube := range []string{
		announced("ada", 77, "s1"), // in ada's name
		announced("eve", 78, "s1"), // another number for the same stream
		"<tube type='dbus' service='x' id='77' stream-id='s1' initiator='" + chatRoom + "/eve' dbus-name='" + wire.UniqueName("eve") + "'/>",
		"<tube type='dbus' service='x' id='0' stream-id='s3' initiator='" + chatRoom + "/eve' dbus-name='" + wire.UniqueName("eve") + "'/>",
		"<tube type='dbus' service='x' id='79' stream-id='s3' initiator='other@" + cmtest.Conference + "/eve' dbus-name='" + wire.UniqueName("eve") + "'/>",
		"<tube type='what' service='x' id='80'/>", "<tube/>",
	} {
		h.shares("eve", tube)
	}
	h.Sync()
	quiet.Lift()
	none.Lift()
	h.shares("eve", announced("eve", 77, "s2")) // the number of another tube
	id := cmtest.As[uint32](t, h.Expect(newTube.At(path)).Arg(0))
	if id == 77 {
		t.Error("two tubes with one number")
	}
	cmtest.Equal(t, len(cmtest.As[[]tubeInfo](t, h.Call(path, tubesType, "ListTubes").Arg(0))), 2)
}

// Leaving the room closes the tubes, then the Tubes channel, then the room's.
func TestTubes_closeWithTheRoom(t *testing.T) {
	t.Parallel()
	h, path, activity := acceptHall(t)
	h.Call(h.path, tp.InterfaceChannel, "Close")
	h.Expect(tubeClosed.At(path).Args(uint32(77)))
	h.Expect(channelClosed.At(path))
	h.Expect(channelClosed.At(h.path))
	<-activity.Context().Done()
	h.goes(cmtest.User, "", 110)
	again := h.CallAsync(h.Path, tp.InterfaceConnection, "RequestChannel", tubesType.Name, uint32(tp.HandleTypeRoom), h.handle, true)
	h.Expect(entering)
	h.admit("none")
	h.Expect(newChannels) // the text channel, which comes first
	h.Expect(cmtest.Reply(again))
}

// An activity that was invited asks for both channels before it accepts.
func TestTubes_invited(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Answers(aboutRoom, roomInfo))
	h := &hall{Connection: cm, handle: cm.Room(chatID)}
	cm.Server.Send("<message from='" + chatRoom + "' to='" + cmtest.Self + "'><x xmlns='" + nsMUCUser + "'><invite from='ada@" + cmtest.Domain + "/sugar'/></x></message>")
	cm.Sync()
	path := h.tubes()
	h.Refused(tp.ErrorNotAvailable, path, tubesType, "OfferDBusTube", calculator, map[string]dbus.Variant{})
	self := cmtest.As[uint32](t, h.Call(path, group, "GetSelfHandle").Arg(0))
	accept := h.CallAsync(path, group, "AddMembers", []uint32{self}, "")
	h.Expect(cmtest.Reply(accept))
	h.Expect(entering.Having(wire.NS, "tubes"))
	h.shares("ada", announced("ada", 77, "s1"))
	h.admit("none")
	h.Expect(membersChanged.At(path))
	h.Expect(newTube.At(path))
}
