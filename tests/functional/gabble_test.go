package functional

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/mucbytestream"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
	wire "telepathy-olpc/xmpp/tubes"
)

// recording is a piece of a conversation of two telepathy-gabbles. We are in the
// place of one of them.
type recording struct {
	t     *testing.T
	said  []string // by the one in whose place we are
	heard []string // by it
}

// gabble gives a piece of the recording, with our address and nick for those of
// one of the two, the room and the domain of these tests, and more replacements.
func gabble(t *testing.T, title, nick string, more ...string) *recording {
	t.Helper()
	text, err := os.ReadFile("testdata/gabble.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, piece, found := strings.Cut(string(text), "# "+title+"\n")
	if !found {
		t.Fatalf("there is no %q", title)
	}
	piece, _, _ = strings.Cut(piece, "\n\n")
	pairs := more
	for _, room := range []string{"a265fd80fcea209ba919414e4fd6778d2ac74322", "1b972fade4a09d564e8642321dcafb3aaa1ab93c", "46f0e2e659383f8833003330f4ec25bccdf8ab42"} {
		room += "@conference.schoolserver.test"
		pairs = append(pairs, room+"/"+nick, chatSelf, room, chatRoom)
	}
	own := map[string][]string{
		"Alice": {"c8e38844ad1bdb546700b57130d1f7f0d510bb05", "e82a57a0affd3bbbfce7e5d7b22e717f25e4f09b"},
		"Bob":   {"8800fdc6f5a4488c226f93fb75e74a0bb6e2464b", "926bbd1ae5a207bc97ea472bb484499d3871be18"},
	}
	for _, user := range own[nick] {
		pairs = append(pairs, user+"@schoolserver.test", cmtest.Account)
	}
	pairs = append(pairs, "schoolserver.test", cmtest.Domain)
	r := &recording{t: t}
	for line := range strings.Lines(strings.TrimSuffix(strings.NewReplacer(pairs...).Replace(piece), "\n")) {
		line = strings.TrimSpace(line)
		if said, is := strings.CutPrefix(line, "C: "); is {
			r.said = append(r.said, said)
		} else {
			r.heard = append(r.heard, strings.TrimPrefix(line, "S: "))
		}
	}
	return r
}

// hear gives the first stanza, of those that gabble heard, that has all these
// texts.
func (r *recording) hear(texts ...string) string { return r.find(r.heard, texts) }

// say gives the first stanza, of those that gabble said, that has all these texts.
func (r *recording) say(texts ...string) *stanza.Element {
	r.t.Helper()
	return r.parse(r.find(r.said, texts))
}

func (r *recording) parse(xml string) *stanza.Element {
	r.t.Helper()
	e, err := stanza.Parse(xml)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

func (r *recording) find(list, texts []string) string {
	r.t.Helper()
	i := slices.IndexFunc(list, func(s string) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s, text) })
	})
	if i < 0 {
		r.t.Fatalf("nothing recorded has %q", texts)
	}
	return list[i]
}

// like wants an element of ours to be what gabble said, whatever the order of
// attributes and children, except for attributes that cannot be the same.
func (r *recording) like(got, want *stanza.Element, except ...string) {
	r.t.Helper()
	if got, want := shape(got, except), shape(want, except); got != want {
		r.t.Errorf("we say\n%s\ngabble said\n%s", got, want)
	}
}

func shape(e *stanza.Element, except []string) string {
	if e == nil {
		return "nothing"
	}
	var parts []string
	for _, a := range e.Attrs() {
		if !slices.Contains(except, a.Name) {
			parts = append(parts, a.Name+"="+a.Value)
		}
	}
	for _, child := range e.Children() {
		parts = append(parts, shape(child, except))
	}
	if len(e.Children()) == 0 {
		parts = append(parts, e.Text())
	}
	slices.Sort(parts)
	return "{" + e.Space() + "}" + e.Local() + "[" + strings.Join(slices.Compact(parts), " ") + "]"
}

// data decodes what a stanza carries for a D-Bus tube.
func (r *recording) data(e *stanza.Element) *dbus.Message {
	r.t.Helper()
	raw, err := base64.StdEncoding.DecodeString(e.Child(mucbytestream.NS, "data").Text())
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := dbus.DecodeMessage(bytes.NewReader(raw))
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// calculated is what Calculate said to all.
func calculated(text string) string {
	return fmt.Sprint([]any{"e2e", dbus.MakeVariant(map[string]string{"value": text})})
}

const gabbleCalculate = 1092496287

// Calculate at a gabble shares, and ours joins: it sees the tube, takes part in
// it as a gabble does, hears its signals and is heard.
func TestGabble_calculateJoined(t *testing.T) {
	t.Parallel()
	r := gabble(t, "Calculate, seen by the one who joins", "Bob")
	h, call := enterHall(t)
	h.Server.Send(r.hear("<presence", "stream-id"))
	h.admit("none", 100)
	h.joined(call)
	path := h.tubes()
	alice := h.occupant("Alice")
	cmtest.Equal(t, h.Call(path, tubesType, "ListTubes").Arg(0), []tubeInfo{{gabbleCalculate, alice, 0, calculator, map[string]any{}, 0}})
	address := cmtest.As[string](t, h.Call(path, tubesType, "AcceptDBusTube", uint32(gabbleCalculate)).Arg(0))
	announced := h.Expect(updated).Element.Child(wire.NS, "tubes")
	r.like(announced, r.say("<presence", "stream-id").Child(wire.NS, "tubes"), "dbus-name")
	cmtest.Equal(t, announced.First().Attr("dbus-name"), wire.UniqueName(cmtest.User))
	names := cmtest.As[[]nameOf](t, h.Call(path, tubesType, "GetDBusNames", uint32(gabbleCalculate)).Arg(0))
	if !slices.Contains(names, nameOf{alice, ":2.QWxpY2UA"}) || !slices.Contains(names, nameOf{h.self, wire.UniqueName(cmtest.User)}) || len(names) != 2 {
		t.Errorf("names %v", names)
	}

	program := dial(t, address)
	heard := make(chan *dbus.Message, 1)
	program.Eavesdrop(heard)
	h.Server.Send(r.hear("<message", "/Alice"))
	cmtest.Equal(t, fmt.Sprint((<-heard).Body), calculated("one"))
	program.Eavesdrop(nil)

	recorded := r.say("<message")
	want := r.data(recorded)
	place := want.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	signal := want.Headers[dbus.FieldInterface].Value().(string) + "." + want.Headers[dbus.FieldMember].Value().(string)
	if err := program.Emit(place, signal, want.Body...); err != nil {
		t.Fatal(err)
	}
	e := h.Expect(cmtest.Message().Having(mucbytestream.NS, "data")).Element
	got := r.data(e)
	cmtest.Equal(t, got.Headers[dbus.FieldSender].Value(), any(wire.UniqueName(cmtest.User)))
	want.Headers[dbus.FieldSender] = got.Headers[dbus.FieldSender]
	cmtest.Equal(t, fmt.Sprint(got.Type, got.Headers, got.Body), fmt.Sprint(want.Type, want.Headers, want.Body))
	r.like(withoutText(e), withoutText(recorded), "from", "id")

	// Calculate has only signals. A call goes to one alone, and so does its answer,
	// both without a type (XEP-0045 §7.5 would have groupchat refused).
	if err := program.ExportMethodTable(map[string]any{"Sync": func() (string, *dbus.Error) { return "all", nil }}, place, calculator); err != nil {
		t.Fatal(err)
	}
	h.Server.Send("<message from='" + chatRoom + "/Alice' to='" + cmtest.Self + "'><data xmlns='" + mucbytestream.NS + "' sid='1795347152-1483155932'>" +
		base64.StdEncoding.EncodeToString(callOf(t, ":2.QWxpY2UA", wire.UniqueName(cmtest.User), place)) + "</data></message>")
	reply := h.wantData(chatRoom + "/Alice")
	cmtest.Equal(t, reply.Type, dbus.TypeMethodReply)
	cmtest.Equal(t, reply.Body, []any{"all"})
	cmtest.Equal(t, reply.Headers[dbus.FieldReplySerial].Value(), any(uint32(7)))
	cmtest.Equal(t, reply.Headers[dbus.FieldDestination].Value(), any(":2.QWxpY2UA"))

	h.Call(h.path, tp.InterfaceChannel, "Close")
	left := h.Expect(leaving).Element
	r.like(left.Child(wire.NS, "tubes"), r.say("<presence", "unavailable").Child(wire.NS, "tubes"))
}

// callOf is a call as it goes through a room.
func callOf(t *testing.T, sender, destination string, path dbus.ObjectPath) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:        dbus.MakeVariant(path),
		dbus.FieldInterface:   dbus.MakeVariant(calculator),
		dbus.FieldMember:      dbus.MakeVariant("Sync"),
		dbus.FieldSender:      dbus.MakeVariant(sender),
		dbus.FieldDestination: dbus.MakeVariant(destination),
	}}
	return encoded(t, m)
}

// withoutText is a message with nothing in its data.
func withoutText(e *stanza.Element) *stanza.Element {
	empty := stanza.New(mucbytestream.NS, "data", stanza.A("sid", e.Child(mucbytestream.NS, "data").Attr("sid")))
	parts := []stanza.Part{empty, e.Child("http://jabber.org/protocol/amp", "amp")}
	for _, a := range e.Attrs() {
		parts = append(parts, a)
	}
	return stanza.New(e.Space(), e.Local(), parts...)
}

// Ours shares Calculate and a gabble joins.
func TestGabble_calculateShared(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	path := h.tubes()
	id := cmtest.As[uint32](t, h.Call(path, tubesType, "OfferDBusTube", calculator, map[string]dbus.Variant{}).Arg(0))
	announced := h.Expect(updated).Element.Child(wire.NS, "tubes")
	r := gabble(t, "Calculate, seen by the one who shares", "Alice",
		fmt.Sprint(gabbleCalculate), fmt.Sprint(id), "1795347152-1483155932", announced.First().Attr("stream-id"))
	r.like(announced, r.say("<presence", "stream-id").Child(wire.NS, "tubes"), "dbus-name")

	h.Server.Send(r.hear("<presence", "/Bob", "stream-id"))
	told := h.Expect(namesChanged.At(path).Where("of Bob", func(e *cmtest.Event) bool {
		added := cmtest.As[[]nameOf](t, e.Arg(1))
		return len(added) == 1 && added[0].Name == ":2.Qm9i"
	}))
	bob := cmtest.As[[]nameOf](t, told.Arg(1))[0].Handle
	program := dial(t, cmtest.As[string](t, h.Call(path, tubesType, "GetDBusTubeAddress", id).Arg(0)))
	heard := make(chan *dbus.Message, 1)
	program.Eavesdrop(heard)
	h.Server.Send(r.hear("<message", "/Bob"))
	cmtest.Equal(t, fmt.Sprint((<-heard).Body), calculated("two"))
	h.Server.Send(r.hear("<presence", "/Bob", "unavailable"))
	h.Expect(namesChanged.At(path).Args(id, []nameOf{}, []uint32{bob}))
}

const gabbleBook = 1672590447

// A gabble shares a book, and ours reads it over SOCKS5.
func TestGabble_readJoined(t *testing.T) {
	t.Parallel()
	r := gabble(t, "Read, seen by the one who joins", "Bob")
	h := joinHall(t)
	path := h.tubes()
	h.Server.Send(r.hear("<presence", "type='stream'"))
	told := h.Expect(newTube.At(path).Args(uint32(gabbleBook)))
	cmtest.Equal(t, told.Arg(1), any(h.occupant("Alice")))
	cmtest.Equal(t, []any{told.Arg(2), told.Arg(3), told.Arg(4), told.Arg(5)}, []any{uint32(1), reader, map[string]any{}, uint32(0)})
	at := cmtest.As[inet](t, h.Call(path, tubesType, "AcceptStreamTube", uint32(gabbleBook), uint32(2), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	program := at.dial(t)
	offer := h.Expect(cmtest.IQ("set", si.NS))
	r.like(offer.Element, r.say("<si "), "id", "from")
	h.Server.Answer(offer, r.parse(r.hear("<si ")).First().String())
	hosts := h.Expect(cmtest.IQ("set", socks5.NS))
	r.like(hosts.Element, r.say("<streamhost "), "id", "from", "sid", "host", "port")
	query, err := socks5.ParseQuery(hosts.Element.First())
	if err != nil {
		t.Fatal(err)
	}
	far := inet{"127.0.0.1", query.Hosts[0].Port}.dial(t)
	if err := socks5.Handshake(far, socks5.Hash(query.SID, address(t, chatSelf), address(t, chatRoom+"/Alice"))); err != nil {
		t.Fatal(err)
	}
	h.Server.Answer(hosts, r.parse(r.hear("<streamhost-used ")).First().String())
	fmt.Fprint(program, "GET /")
	wantRead(t, far, "GET /")
	fmt.Fprint(far, "book")
	wantRead(t, program, "book")
	h.Server.Send(r.hear("<presence", "/Alice", "unavailable"))
	h.Expect(tubeClosed.At(path).Args(uint32(gabbleBook)))
}

// connects sends a recorded query whose stream host is a server of the test, and
// gives the connection that was made to it.
func (r *recording) connects(cm *cmtest.Connection, used string, initiator, target jid.JID) io.ReadWriteCloser {
	r.t.Helper()
	server, err := socks5.Listen()
	if err != nil {
		r.t.Fatal(err)
	}
	defer server.Close()
	recorded := r.parse(r.hear("<streamhost "))
	query, err := socks5.ParseQuery(recorded.First())
	if err != nil {
		r.t.Fatal(err)
	}
	hash := socks5.Hash(query.SID, initiator, target)
	server.Expect(hash)
	query.Hosts = query.Hosts[:1]
	query.Hosts[0].Host, query.Hosts[0].Port = socks5.LocalAddresses()[0], server.Port()
	cm.Server.Send("<iq type='set' id='hosts' from='" + recorded.Attr("from") + "' to='" + cmtest.Self + "'>" + query.Element().String() + "</iq>")
	answer := cm.Expect(cmtest.IQAnswer("result", "hosts"))
	r.like(answer.Element, r.say(used), "id", "from", "sid")
	conn := server.Take(hash)
	r.t.Cleanup(func() { conn.Close() })
	return conn
}

// Ours shares a book, and a gabble reads it.
func TestGabble_readShared(t *testing.T) {
	t.Parallel()
	h := joinHall(t)
	path := h.tubes()
	l, at := listen(t)
	id := cmtest.As[uint32](t, h.Call(path, tubesType, "OfferStreamTube", reader, map[string]dbus.Variant{},
		uint32(2), dbus.MakeVariant(at), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	r := gabble(t, "Read, seen by the one who shares", "Alice", fmt.Sprint(gabbleBook), fmt.Sprint(id))
	r.like(h.Expect(updated).Element.Child(wire.NS, "tubes"), r.say("<presence", "type=\"stream\"").Child(wire.NS, "tubes"))
	h.Server.Send(r.hear("<presence", "/Bob", "<tubes"))
	h.Server.Send(r.hear("<si "))
	program := accept(t, l)
	h.Expect(tubeConnection.At(path).Args(id, h.occupant("Bob")))
	accepted := h.Expect(cmtest.IQAnswer("result", r.say("<si ").Attr("id")))
	r.like(accepted.Element, r.say("<si "), "from")
	far := r.connects(h.Connection, "<streamhost-used ", address(t, chatRoom+"/Bob"), address(t, chatSelf))
	fmt.Fprint(far, "GET /")
	wantRead(t, program, "GET /")
	fmt.Fprint(program, "book")
	program.Close()
	got, err := io.ReadAll(far)
	cmtest.Equal(t, string(got), "book")
	if err != nil {
		t.Error(err)
	}
}

// Newer ones leave with <tubes/> in their presence, even twice.
func TestGabble_leavesWithTubes(t *testing.T) {
	t.Parallel()
	r := gabble(t, "Chat, somebody leaves", "Alice")
	h := joinHall(t, "Bob")
	path := h.tubes()
	h.shares("Bob", wire.Tube{Type: wire.Stream, Service: reader, ID: 9}.Element().String())
	h.Expect(newTube.At(path))
	h.Server.Send(r.hear("<presence"))
	h.Expect(tubeClosed.At(path).Args(uint32(9)))
	h.Expect(membersChanged.At(h.path))
}

const gabbleFile = 300000

// carries has the file go from one connection to the other.
func carries(t *testing.T, from, to io.ReadWriteCloser) {
	t.Helper()
	content := bytes.Repeat([]byte("journal\n"), gabbleFile/8)
	go func() {
		_, _ = from.Write(content)
		from.Close()
	}()
	got, err := io.ReadAll(to)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes arrive of %d, %v", len(got), len(content), err)
	}
	to.Close()
}

// A gabble sends something out of the Journal.
func TestGabble_fileReceived(t *testing.T) {
	t.Parallel()
	r := gabble(t, "Journal, seen by the one who is sent a file", "Bob")
	x := &transfer{Connection: cmtest.Connect(t)}
	offer := r.parse(r.hear("<si "))
	x.Server.Send(presenceFrom(offer.Attr("from"), ""))
	x.Server.Send(r.hear("<si "))
	told := cmtest.As[[]struct {
		Path       dbus.ObjectPath
		Properties map[string]any
	}](t, x.Expect(newChannels).Arg(0))[0]
	x.path = told.Path
	for name, want := range map[string]any{
		tp.PropertyChannelFileTransferFilename: "A title", tp.PropertyChannelFileTransferSize: uint64(gabbleFile),
		tp.PropertyChannelFileTransferContentType: "text/plain", tp.PropertyChannelFileTransferDescription: "a description",
	} {
		cmtest.Equal(t, told.Properties[name], want)
	}
	at := x.Call(x.path, fileInterface, "AcceptFile", unixSocket, localhost, dbus.MakeVariant(""), uint64(0)).Arg(0)
	r.like(x.Expect(cmtest.IQAnswer("result", offer.Attr("id"))).Element, r.say("<si "), "from")
	far := r.connects(x.Connection, "<streamhost-used ", address(t, offer.Attr("from")), address(t, cmtest.Self))
	x.opens(0)
	program := x.dial(at)
	carries(t, far, program)
	x.ends(completed, 0)
}

// Ours sends something to a gabble.
func TestGabble_fileSent(t *testing.T) {
	t.Parallel()
	r := gabble(t, "Journal, seen by the one who sends it", "Alice", "926bbd1ae5a207bc97ea472bb484499d3871be18@schoolserver.test/sugar", bobSugar)
	x := withBob(t, filetransfer.NS)
	x.offers(map[string]any{
		tp.PropertyChannelFileTransferFilename: "A title", tp.PropertyChannelFileTransferSize: int32(gabbleFile),
	})
	r.like(x.si.Element, r.say("<si "), "id", "from", "mime-type") // XEP-0095 has it on <si/> too
	at := x.Call(x.path, fileInterface, "ProvideFile", unixSocket, localhost, dbus.MakeVariant("")).Arg(0)
	x.Server.Answer(x.si, r.parse(r.hear("<si ")).First().String())
	hosts := x.Expect(cmtest.IQ("set", socks5.NS).To(bobSugar))
	query, err := socks5.ParseQuery(hosts.Element.First())
	if err != nil {
		t.Fatal(err)
	}
	far := inet{"127.0.0.1", query.Hosts[0].Port}.dial(t)
	if err := socks5.Handshake(far, socks5.Hash(query.SID, address(t, cmtest.Self), address(t, bobSugar))); err != nil {
		t.Fatal(err)
	}
	x.Server.Answer(hosts, r.parse(r.hear("<streamhost-used ")).First().String())
	x.opens(0)
	program := x.dial(at)
	carries(t, program, far)
	x.ends(completed, 0)
}
