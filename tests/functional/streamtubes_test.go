package functional

import (
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/si"
	wire "telepathy-olpc/xmpp/tubes"
)

const reader = "read-activity-http"

var (
	streamTube       = tp.InterfaceChannelStreamTube
	tubeConnection   = cmtest.Signal(tp.SignalChannelTubesStreamTubeNewConnection)
	remoteConnection = cmtest.Signal(tp.SignalChannelStreamTubeNewRemoteConnection)
	localConnection  = cmtest.Signal(tp.SignalChannelStreamTubeNewLocalConnection)
	connectionClosed = cmtest.Signal(tp.SignalChannelStreamTubeConnectionClosed)
)

// inet is Socket_Address_IPv4.
type inet struct {
	Host string
	Port uint16
}

// listen is an activity that waits for connections.
func listen(t testing.TB) (l net.Listener, address inet) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l, inet{"127.0.0.1", uint16(l.Addr().(*net.TCPAddr).Port)}
}

// accept takes a connection.
func accept(t testing.TB, l net.Listener) net.Conn {
	t.Helper()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func (a inet) String() string { return net.JoinHostPort(a.Host, strconv.Itoa(int(a.Port))) }

func (a inet) dial(t testing.TB) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// tubeAppears takes the channel of a tube of somebody else.
func (h *hall) tubeAppears() (path dbus.ObjectPath, properties map[string]any) {
	h.T.Helper()
	type channel struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}
	channelOf := func(e *cmtest.Event) channel { return cmtest.As[[]channel](h.T, e.Arg(0))[0] }
	c := channelOf(h.Expect(newChannels.Where("of a tube", func(e *cmtest.Event) bool {
		return strings.Contains(string(channelOf(e).Path), "TubeChannel")
	})))
	return c.Path, c.Properties
}

// proposes has somebody offer a stream, in-band only.
func (h *hall) proposes(from, id, payload string) {
	h.Server.Send("<iq type='set' id='" + id + "' from='" + from + "' to='" + cmtest.Self + "'><si xmlns='" + si.NS + "' id='" + id + "' profile='" + wire.NS + "'>" +
		payload + "<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data' type='form'><field var='stream-method' type='list-single'>" +
		"<option><value>" + ibb.NS + "</value></option></field></x></feature></si></iq>")
}

// inBand has somebody send an element of In-Band Bytestreams.
func (h *hall) inBand(from, id, element string) {
	h.Server.Send("<iq type='set' id='" + id + "' from='" + from + "' to='" + cmtest.Self + "'>" + element + "</iq>")
	h.Expect(cmtest.IQAnswer("result", id))
}

// opens has somebody open an accepted stream and say something.
func (h *hall) opens(from, sid, text string) {
	h.inBand(from, sid+"-open", "<open xmlns='"+ibb.NS+"' sid='"+sid+"' block-size='4096'/>")
	h.inBand(from, sid+"-data", "<data xmlns='"+ibb.NS+"' sid='"+sid+"' seq='0'>"+base64.StdEncoding.EncodeToString([]byte(text))+"</data>")
}

// wantInBand wants data of ours on a stream.
func (h *hall) wantInBand(want string) {
	h.T.Helper()
	e := h.Expect(cmtest.IQ("set", ibb.NS).Where("with data", func(e *cmtest.Event) bool { return e.Element.Child(ibb.NS, "data") != nil }))
	got, _ := base64.StdEncoding.DecodeString(e.Element.Child(ibb.NS, "data").Text())
	cmtest.Equal(h.T, string(got), want)
	h.Server.Answer(e, "")
}

func wantRead(t testing.TB, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Errorf("read %q, %v, want %q", got, err, want)
	}
}

// Read shares a book: others connect to its server, several at a time.
func TestStreamTubes_offerInRoom(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	path := h.tubes()
	l, address := listen(t)
	call := h.CallAsync(path, tubesType, "OfferStreamTube", reader, map[string]dbus.Variant{},
		uint32(2), dbus.MakeVariant(address), uint32(0), dbus.MakeVariant(int32(0)))
	id := cmtest.As[uint32](t, h.Expect(newTube.At(path)).Arg(0))
	cmtest.Equal(t, h.Expect(cmtest.Reply(call)).Arg(0), id)
	open := announcedBy(t, h.Expect(updated))
	if len(open) != 1 || open[0].Type != wire.Stream || open[0].ID != id {
		t.Errorf("announced %+v", open)
	}
	cmtest.Equal(t, h.Call(path, tubesType, "GetStreamTubeSocketAddress", id).Arg(1), any([]any{"127.0.0.1", address.Port}))

	ada := chatRoom + "/ada"
	payload := fmt.Sprintf("<muc-stream xmlns='%s' tube='%d'/>", wire.NS, id)
	h.proposes(ada, "c1", payload)
	first := accept(t, l)
	h.Expect(tubeConnection.At(path).Args(id, h.occupant("ada")))
	h.Expect(cmtest.IQAnswer("result", "c1"))
	h.opens(ada, "c1", "GET /")
	wantRead(t, first, "GET /")
	h.proposes(ada, "c2", payload)
	second := accept(t, l)
	h.Expect(cmtest.IQAnswer("result", "c2"))
	h.opens(ada, "c2", "GET /2")
	wantRead(t, second, "GET /2")
	fmt.Fprint(first, "book")
	h.wantInBand("book")
	first.Close()
	h.Server.Answer(h.Expect(cmtest.IQ("set", ibb.NS)), "")

	for i, bad := range []string{
		"<muc-stream xmlns='" + wire.NS + "' tube='1'/>", "<muc-stream xmlns='" + wire.NS + "'/>",
		fmt.Sprintf("<stream xmlns='%s' tube='%d'/>", wire.NS, id), "<tube xmlns='" + wire.NS + "' type='dbus' service='s' id='9'/>", "",
	} {
		h.proposes(ada, fmt.Sprint("bad", i), bad)
		h.Expect(cmtest.IQAnswer("error", fmt.Sprint("bad", i)))
	}
	h.Call(path, tubesType, "CloseTube", id)
	if _, err := second.Read(make([]byte, 1)); err == nil {
		t.Error("the connection outlives its tube")
	}
}

// With the access control Port the activity is told from where we connect, so that
// it knows whose connection it has.
func TestStreamTubes_whoseConnection(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	path := cmtest.As[dbus.ObjectPath](t, h.Call(h.Path, tp.InterfaceConnectionRequests, "CreateChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:       dbus.MakeVariant(streamTube.Name),
		tp.PropertyChannelTargetHandleType:  dbus.MakeVariant(int32(tp.HandleTypeRoom)),
		tp.PropertyChannelTargetHandle:      dbus.MakeVariant(h.handle),
		tp.PropertyChannelStreamTubeService: dbus.MakeVariant("http"),
	}).Arg(0))
	l, address := listen(t)
	h.Call(path, streamTube, "Offer", uint32(2), dbus.MakeVariant(address), uint32(tp.SocketAccessControlPort), map[string]dbus.Variant{})
	h.Expect(tubeChannelState.At(path).Args(uint32(2)))
	id := announcedBy(t, h.Expect(updated))[0].ID
	h.proposes(chatRoom+"/ada", "c1", fmt.Sprintf("<muc-stream xmlns='%s' tube='%d'/>", wire.NS, id))
	from := accept(t, l).RemoteAddr().(*net.TCPAddr)
	h.Expect(remoteConnection.At(path).Args(h.occupant("ada"), []any{"127.0.0.1", uint16(from.Port)}, uint32(1)))
	h.Expect(cmtest.IQAnswer("result", "c1"))
	h.Call(path, tp.InterfaceChannel, "Close")
	over := h.Expect(connectionClosed.At(path))
	cmtest.Equal(t, over.Arg(1), any(string(tp.ErrorCancelled)))
	h.Expect(channelClosed.At(path))
}

// Nobody listens any more: the other side is told at once.
func TestStreamTubes_programGone(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	path := h.tubes()
	l, address := listen(t)
	l.Close()
	id := cmtest.As[uint32](t, h.Call(path, tubesType, "OfferStreamTube", reader, map[string]dbus.Variant{},
		uint32(2), dbus.MakeVariant(address), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	h.proposes(chatRoom+"/ada", "c1", fmt.Sprintf("<muc-stream xmlns='%s' tube='%d'/>", wire.NS, id))
	h.Expect(cmtest.IQAnswer("error", "c1"))
}

func TestStreamTubes_arguments(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	path := h.tubes()
	_, address := listen(t)
	none := h.Forbid(newTube)
	for _, c := range []struct {
		error   tp.ErrorName
		service string
		kind    uint32
		address any
		control uint32
	}{
		{tp.ErrorInvalidArgument, "", 2, address, 0},
		{tp.ErrorInvalidArgument, reader, 2, "127.0.0.1", 0},
		{tp.ErrorInvalidArgument, reader, 2, inet{"localhost", 80}, 0},
		{tp.ErrorInvalidArgument, reader, 3, address, 0},
		{tp.ErrorNotImplemented, reader, 2, address, 2},
		{tp.ErrorNotImplemented, reader, 2, address, 3},
		{tp.ErrorNotImplemented, reader, 9, address, 0},
	} {
		h.Refused(c.error, path, tubesType, "OfferStreamTube", c.service, map[string]dbus.Variant{},
			c.kind, dbus.MakeVariant(c.address), c.control, dbus.MakeVariant(uint32(0)))
	}
	h.Sync()
	none.Lift()
}

// Who joins reads the book over a socket of ours; each connection is a stream to
// who offers it, and ends with the tube.
func TestStreamTubes_acceptInRoom(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	h.shares("ada", "<tube type='stream' service='"+reader+"' id='9'/>")
	path, properties := h.tubeAppears()
	cmtest.Equal(t, properties[tp.PropertyChannelRequested], any(false))
	cmtest.Equal(t, properties[tp.PropertyChannelStreamTubeService], any(reader))
	cmtest.Equal(t, properties[tp.PropertyChannelInitiatorHandle], any(h.occupant("ada")))
	cmtest.Equal(t, h.Get(path, tubeIface, "State"), any(uint32(0)))

	h.Refused(tp.ErrorNotImplemented, path, streamTube, "Accept", uint32(2), uint32(3), dbus.MakeVariant(uint32(0)))
	address := cmtest.As[inet](t, h.Call(path, streamTube, "Accept", uint32(2), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	h.Expect(tubeChannelState.At(path).Args(uint32(2)))
	h.Refused(tp.ErrorNotAvailable, path, streamTube, "Accept", uint32(2), uint32(0), dbus.MakeVariant(uint32(0)))

	propose := cmtest.IQ("set", si.NS).To(chatRoom + "/ada")
	address.dial(t)
	h.Expect(localConnection.At(path).Args(uint32(1)))
	h.Server.AnswerError(h.Expect(propose), "cancel", "forbidden")
	refused := h.Expect(connectionClosed.At(path))
	cmtest.Equal(t, refused.Arg(0), any(uint32(1)))
	cmtest.Equal(t, refused.Arg(1), any(string(tp.ErrorConnectionRefused)))

	conn := address.dial(t)
	h.Expect(localConnection.At(path).Args(uint32(2)))
	offer := h.Expect(propose)
	e := offer.Element.Child(si.NS, "si")
	cmtest.Equal(t, e.Child(wire.NS, "muc-stream").Attr("tube"), "9")
	h.Server.Answer(offer, "<si xmlns='"+si.NS+"'><feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data' type='submit'>"+
		"<field var='stream-method'><value>"+ibb.NS+"</value></field></x></feature></si>")
	h.Server.Answer(h.Expect(cmtest.IQ("set", ibb.NS).To(chatRoom+"/ada")), "")
	fmt.Fprint(conn, "GET /")
	h.wantInBand("GET /")
	h.inBand(chatRoom+"/ada", "d1", "<data xmlns='"+ibb.NS+"' sid='"+e.Attr("id")+"' seq='0'>Ym9vaw==</data>")
	wantRead(t, conn, "book")

	h.goes("ada", member("ada"))
	over := h.Expect(connectionClosed.At(path))
	cmtest.Equal(t, over.Arg(1), any(string(tp.ErrorCancelled)))
	h.Expect(channelClosed.At(path))
	if c, err := net.Dial("tcp", address.String()); err == nil {
		c.Close()
		t.Error("the socket is still there")
	}
}

// Each face shows what is done at the other one.
func TestTubes_bothFaces(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	request := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:         dbus.MakeVariant(dbusTube.Name),
		tp.PropertyChannelTargetHandleType:    dbus.MakeVariant(uint32(tp.HandleTypeRoom)),
		tp.PropertyChannelTargetHandle:        dbus.MakeVariant(h.handle),
		tp.PropertyChannelDBusTubeServiceName: dbus.MakeVariant(calculator),
	}
	created := h.Call(h.Path, tp.InterfaceConnectionRequests, "CreateChannel", request)
	path := cmtest.As[dbus.ObjectPath](t, created.Arg(0))
	cmtest.Equal(t, h.Get(path, tubeIface, "State"), any(uint32(tp.TubeChannelStateNotOffered)))
	cmtest.Equal(t, cmtest.As[map[string]any](t, created.Arg(1))[tp.PropertyChannelDBusTubeSupportedAccessControls], any([]uint32{3, 0}))
	h.Refused(tp.ErrorNotAvailable, path, dbusTube, "Accept", uint32(3))
	h.Refused(tp.ErrorNotImplemented, path, dbusTube, "Offer", map[string]dbus.Variant{}, uint32(1))
	old := h.tubes()
	cmtest.Equal(t, h.Call(old, tubesType, "ListTubes").Arg(0), []tubeInfo{})

	call := h.CallAsync(path, dbusTube, "Offer", map[string]dbus.Variant{"a": dbus.MakeVariant("b")}, uint32(0))
	h.Expect(tubeChannelState.At(path).Args(uint32(2)))
	name := wire.UniqueName(cmtest.User)
	h.Expect(ownNamesChanged.At(path).Args(map[uint32]string{h.self: name}, []uint32{}))
	id := cmtest.As[uint32](t, h.Expect(newTube.At(old)).Arg(0))
	address := cmtest.As[string](t, h.Expect(cmtest.Reply(call)).Arg(0))
	cmtest.Equal(t, h.Call(old, tubesType, "GetDBusTubeAddress", id).Arg(0), any(address))
	cmtest.Equal(t, h.Get(path, tubeIface, "Parameters"), any(map[string]any{"a": "b"}))
	cmtest.Equal(t, h.Get(path, dbusTube, "DBusNames"), any(map[uint32]string{h.self: name}))
	cmtest.Equal(t, h.Call(h.Path, tp.InterfaceConnectionRequests, "EnsureChannel", request).Arg(1), any(path))
	h.Refused(tp.ErrorNotAvailable, path, dbusTube, "Offer", map[string]dbus.Variant{}, uint32(0))

	h.shares("ada", "<tube type='dbus' service='"+calculator+"' id='"+fmt.Sprint(id)+"' stream-id='"+
		announcedBy(t, h.Expect(updated))[0].StreamID+"' initiator='"+chatSelf+"' dbus-name='"+wire.UniqueName("ada")+"'/>")
	h.Expect(ownNamesChanged.At(path))
	h.Call(path, tp.InterfaceChannel, "Close")
	h.Expect(tubeClosed.At(old).Args(id))
	h.Expect(channelClosed.At(path))
	cmtest.Equal(t, h.Call(old, tubesType, "ListTubes").Arg(0), []tubeInfo{})
	delete(request, tp.PropertyChannelDBusTubeServiceName)
	h.Refused(tp.ErrorInvalidArgument, h.Path, tp.InterfaceConnectionRequests, "CreateChannel", request)
}

// mission-control closes the channel of a tube for which it finds no handler; the
// activity that comes later still has the tube.
func TestTubes_dismissedChannel(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "ada")
	h.shares("ada", announced("ada", 77, "s1"))
	path, _ := h.tubeAppears()
	h.Call(path, tp.InterfaceChannel, "Close")
	h.Expect(channelClosed.At(path))
	old := h.tubes()
	cmtest.Equal(t, len(cmtest.As[[]tubeInfo](t, h.Call(old, tubesType, "ListTubes").Arg(0))), 1)
	h.Call(old, tubesType, "AcceptDBusTube", uint32(77))
}

const bobTubes = "bob@" + cmtest.Domain + "/sugar"

// bobHall knows bob, whose client takes tubes.
func bobHall(t *testing.T) *hall {
	t.Helper()
	cm := cmtest.Connect(t, cmtest.Contact("bob@"+cmtest.Domain), cmtest.Answers(cmtest.IQ("get", nsDisco).To(bobTubes),
		"<query xmlns='"+nsDisco+"'><identity category='client' type='pc'/><feature var='"+wire.NS+"'/></query>"))
	cm.Server.Send("<presence from='" + bobTubes + "' to='" + cmtest.Self + "'/>")
	return &hall{Connection: cm}
}

func (h *hall) bobTubes() dbus.ObjectPath {
	h.T.Helper()
	return cmtest.As[dbus.ObjectPath](h.T, h.Call(h.Path, tp.InterfaceConnection, "RequestChannel",
		tubesType.Name, uint32(tp.HandleTypeContact), h.contact("bob"), true).Arg(0))
}

func TestTubes_streamToContact(t *testing.T) {
	t.Parallel()
	h := bobHall(t)
	path := h.bobTubes()
	l, address := listen(t)
	id := cmtest.As[uint32](t, h.Call(path, tubesType, "OfferStreamTube", "http", map[string]dbus.Variant{"u": dbus.MakeVariant("x")},
		uint32(2), dbus.MakeVariant(address), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	offer := h.Expect(cmtest.Message().To(bobTubes).Having(wire.NS, "tube"))
	offered, _ := wire.ParseOffer(offer.Element)
	if offered.ID != id || offered.Parameters["u"] != "x" {
		t.Errorf("offered %+v", offered)
	}
	cmtest.Equal(t, h.Call(path, tubesType, "ListTubes").Arg(0),
		[]tubeInfo{{id, cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0)), 1, "http", map[string]any{"u": "x"}, 1}})
	h.proposes("eve@"+cmtest.Domain+"/x", "e1", fmt.Sprintf("<stream xmlns='%s' tube='%d'/>", wire.NS, id))
	h.Expect(cmtest.IQAnswer("error", "e1"))
	h.proposes(bobTubes, "c1", fmt.Sprintf("<stream xmlns='%s' tube='%d'/>", wire.NS, id))
	conn := accept(t, l)
	h.Expect(tubeStateChanged.At(path).Args(id, uint32(2)))
	h.Expect(tubeConnection.At(path).Args(id, h.contact("bob")))
	h.Expect(cmtest.IQAnswer("result", "c1"))
	h.opens(bobTubes, "c1", "hello")
	wantRead(t, conn, "hello")
	h.Server.Send("<message from='" + bobTubes + "' to='" + cmtest.Self + "'><close xmlns='" + wire.NS + "' tube='" + fmt.Sprint(id) + "'/></message>")
	h.Expect(tubeClosed.At(path).Args(id))
}

func TestTubes_streamOfContact(t *testing.T) {
	t.Parallel()
	h := bobHall(t)
	offer := func(kind string, id int) {
		h.Server.Send(fmt.Sprintf("<message from='%s' to='%s'><tube xmlns='%s' type='%s' service='http' id='%d'/></message>", bobTubes, cmtest.Self, wire.NS, kind, id))
	}
	closing := cmtest.Message().To(bobTubes).Having(wire.NS, "close")
	offer("dbus", 4)
	cmtest.Equal(t, h.Expect(closing).Element.Child(wire.NS, "close").Attr("id"), "4")
	offer("stream", 1402)
	path, _ := h.tubeAppears()
	address := cmtest.As[[]byte](t, h.Call(path, streamTube, "Accept", uint32(0), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	conn, err := net.Dial("unix", string(address))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	e := h.Expect(cmtest.IQ("set", si.NS).To(bobTubes)).Element.Child(si.NS, "si")
	cmtest.Equal(t, e.Child(wire.NS, "stream").Attr("tube"), "1402")
	h.Call(path, tp.InterfaceChannel, "Close")
	said := h.Expect(closing).Element.Child(wire.NS, "close")
	cmtest.Equal(t, said.Attr("tube")+said.Attr("id"), "14021402")
	h.Expect(channelClosed.At(path))

	offer("stream", 1403)
	h.tubeAppears()
	offer("stream", 1403) // again: the one that is there ends
	h.Expect(channelClosed)
}

// The tube is what goes through the stream, message by message, whatever their
// senders say.
func TestTubes_dbusWithContact(t *testing.T) {
	t.Parallel()
	h := bobHall(t)
	path := h.bobTubes()
	id := cmtest.As[uint32](t, h.Call(path, tubesType, "OfferDBusTube", calculator, map[string]dbus.Variant{}).Arg(0))
	offer := h.Expect(cmtest.IQ("set", si.NS).To(bobTubes))
	e := offer.Element.Child(si.NS, "si")
	cmtest.Equal(t, e.Child(wire.NS, "tube").Attr("type"), "dbus")
	h.Refused(tp.ErrorNotAvailable, path, tubesType, "GetDBusTubeAddress", id)
	h.Server.Answer(offer, "<si xmlns='"+si.NS+"'><feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data' type='submit'>"+
		"<field var='stream-method'><value>"+ibb.NS+"</value></field></x></feature></si>")
	h.Server.Answer(h.Expect(cmtest.IQ("set", ibb.NS)), "")
	h.Expect(tubeStateChanged.At(path).Args(id, uint32(2)))
	h.Refused(tp.ErrorInvalidArgument, path, tubesType, "GetDBusNames", id)

	activity := dial(t, cmtest.As[string](t, h.Call(path, tubesType, "GetDBusTubeAddress", id).Arg(0)))
	heard := make(chan *dbus.Message, 2)
	activity.Eavesdrop(heard)
	m := signal(t, ":9.9", "", "hello")
	for i, part := range [][]byte{m[:20], append(m[20:], m...)} {
		h.inBand(bobTubes, fmt.Sprint("d", i), fmt.Sprintf("<data xmlns='%s' sid='%s' seq='%d'>%s</data>", ibb.NS, e.Attr("id"), i, base64.StdEncoding.EncodeToString(part)))
	}
	for range 2 {
		if m := <-heard; fmt.Sprint(m.Body) != "[hello]" {
			t.Errorf("heard %v", m)
		}
	}
	if err := activity.Emit("/a", calculator+".Changed", "back"); err != nil {
		t.Fatal(err)
	}
	data := h.Expect(cmtest.IQ("set", ibb.NS))
	raw, _ := base64.StdEncoding.DecodeString(data.Element.First().Text())
	h.Server.Answer(data, "")
	if len(raw) < 16 || raw[0] != 'l' {
		t.Errorf("sent %q", raw)
	}
	h.inBand(bobTubes, "close", "<close xmlns='"+ibb.NS+"' sid='"+e.Attr("id")+"'/>")
	h.Expect(tubeClosed.At(path).Args(id))
}

func TestTubes_dbusOfContact(t *testing.T) {
	t.Parallel()
	h := bobHall(t)
	payload := "<tube xmlns='" + wire.NS + "' type='dbus' service='" + calculator + "' id='9'><parameters/></tube>"
	h.proposes(bobTubes, "o1", payload)
	path, _ := h.tubeAppears()
	h.Call(path, tp.InterfaceChannel, "Close")
	h.Expect(cmtest.IQAnswer("error", "o1"))
	h.proposes(bobTubes, "o2", payload)
	path, _ = h.tubeAppears()
	call := h.CallAsync(path, dbusTube, "Accept", uint32(3))
	accepted := h.Expect(cmtest.IQAnswer("result", "o2"))
	if accepted.Element.Child(si.NS, "si").Child(wire.NS, "tube") == nil {
		t.Errorf("answer %s", accepted.Element)
	}
	address := cmtest.As[string](t, h.Expect(cmtest.Reply(call)).Arg(0))
	h.inBand(bobTubes, "open", "<open xmlns='"+ibb.NS+"' sid='o2' block-size='4096'/>")
	h.Expect(tubeChannelState.At(path).Args(uint32(2)))
	dial(t, address)
	h.Server.Send("<presence type='unavailable' from='" + bobTubes + "' to='" + cmtest.Self + "'/>")
	h.Expect(channelClosed.At(path))
}

// A contact whose client knows no tubes is not offered any.
func TestTubes_notCapable(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact("bob@"+cmtest.Domain), cmtest.Answers(cmtest.IQ("get", nsDisco).To(bobTubes),
		"<query xmlns='"+nsDisco+"'><identity category='client' type='pc'/></query>"))
	cm.Server.Send("<presence from='" + bobTubes + "' to='" + cmtest.Self + "'/>")
	h := &hall{Connection: cm}
	h.Refused(tp.ErrorNotAvailable, h.bobTubes(), tubesType, "OfferDBusTube", calculator, map[string]dbus.Variant{})
	self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
	h.Refused(tp.ErrorNotAvailable, h.Path, tp.InterfaceConnection, "RequestChannel", tubesType.Name, uint32(tp.HandleTypeContact), self, true)
}

// What programs on the bus serve is announced, and what contacts announce can be
// requested of them.
func TestTubes_capabilities(t *testing.T) {
	t.Parallel()
	h := bobHall(t)
	type client struct {
		Name    string
		Filters []map[string]dbus.Variant
		Tokens  []string
	}
	filter := func(kind *tp.Interface, property, service string) map[string]dbus.Variant {
		return map[string]dbus.Variant{
			tp.PropertyChannelChannelType:      dbus.MakeVariant(kind.Name),
			tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeContact)),
			tp.PropertyChannelRequested:        dbus.MakeVariant(false),
			property:                           dbus.MakeVariant(service),
		}
	}
	h.Call(h.Path, tp.InterfaceConnectionContactCapabilities, "UpdateCapabilities", []client{{"org.freedesktop.Telepathy.Client.Chess", []map[string]dbus.Variant{
		filter(dbusTube, tp.PropertyChannelDBusTubeServiceName, "org.laptop.Chess"),
		filter(streamTube, tp.PropertyChannelStreamTubeService, "http"),
	}, []string{}}})
	h.Server.Send("<iq type='get' id='info' from='" + bobTubes + "' to='" + cmtest.Self + "'><query xmlns='" + nsDisco + "'/></iq>")
	info := h.Expect(cmtest.IQAnswer("result", "info")).Element.First()
	features := make(map[string]bool)
	for f := range info.Each(nsDisco, "feature") {
		features[f.Attr("var")] = true
	}
	for _, want := range []string{wire.NS, wire.Feature(wire.DBus, "org.laptop.Chess"), wire.Feature(wire.Stream, "http")} {
		if !features[want] {
			t.Errorf("%s is not announced", want)
		}
	}
}
