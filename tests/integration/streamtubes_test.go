package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	mathrand "math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/wire"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

const (
	largeStream  = 100 << 20
	smallStream  = 10 << 20 // in-band
	brokenStream = 2 << 20  // in-band, over a line that breaks
	// maxGrowth is how much the process may grow by a stream, in KiB: buffers
	// of both connections, under the race detector.
	maxGrowth = 32 << 10
)

// testStreams has children pass large streams through tubes, of a room and
// between two, over SOCKS5 and, with one whose program has nothing better,
// in-band.
func testStreams(t *testing.T, s *school.Server) {
	proxy := wire.Start(t, net.JoinHostPort(s.Host, strconv.Itoa(int(s.DirectPort))))
	cm := cmtest.Start(t, sugars(s, "Bela", cmtest.Param("port", uint32(proxy.Port)))...)
	bela := cm.Request()
	bela.Login()
	cleo := cm.Request(sugars(s, "Cleo")...)
	cleo.Login()
	belasCleo, cleosBela := bela.Handle(address(s, "Cleo")), cleo.Handle(address(s, "Bela"))
	cm.ExpectUnordered(seen(bela, belasCleo, available), seen(cleo, cleosBela, available))
	before, peak := cm.Descriptors(), cm.PeakMemory()
	random := mathrand.New(mathrand.NewPCG(3, 4))
	for name, c := range cuts {
		cutTube(bela, cleo, belasCleo).at(random.IntN(8<<20), name, c)
	}
	sameDescriptors(cm, before)

	var raw [20]byte
	rand.Read(raw[:])
	id := hex.EncodeToString(raw[:])
	rooms := [2]dbus.ObjectPath{tubesOf(bela, id), tubesOf(cleo, id)}
	pairs := [2]dbus.ObjectPath{tubesWith(bela, belasCleo), tubesWith(cleo, cleosBela)}

	for _, ends := range [][2]dbus.ObjectPath{rooms, pairs} {
		tube := offerTube(cm, ends[0])
		there := tube.accept(ends[1])
		tube.carry(largeStream, there)
		tube.close(ends[1])
	}
	sameDescriptors(cm, before)
	grown := cm.PeakMemory() - peak
	t.Logf("the process grew by %d KiB", grown)
	if grown > maxGrowth {
		t.Error("that is too much")
	}

	peer := newInBandPeer(t, s, "Dora")
	belasDora := bela.Handle(address(s, "Dora"))
	cm.ExpectWithin(patience, seen(bela, belasDora, available))
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	tube := offerTube(cm, rooms[0])
	tube.carry(smallStream, peer.connect(t, peer.enter(t, bela, rooms[0]), tube.number))
	tube.close(rooms[1])
	tube = offerTube(cm, tubesWith(bela, belasDora))
	// Prosody 0.12 goes on after a resumption with the parser of the link before,
	// which hears nothing more if that broke within a stanza.
	if s.Kind() == school.Ejabberd {
		tube.disturb = proxy.Break
	}
	tube.carry(brokenStream, peer.connect(t, bytestream.Proposal{To: bareJID(t, address(s, "Bela")).WithResource("sugar")}, tube.number))
	tube.close("")
	sameDescriptors(cm, before)
	if left := cm.Sockets(); len(left) > 0 {
		t.Errorf("sockets are left: %v", left)
	}
}

func bareJID(t *testing.T, s string) jid.JID {
	t.Helper()
	j, err := jid.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// tubesWith is the Tubes channel with a contact.
func tubesWith(c *cmtest.Connection, contact uint32) dbus.ObjectPath {
	c.T.Helper()
	return cmtest.As[dbus.ObjectPath](c.T, c.Call(c.Path, tp.InterfaceConnection, "RequestChannel",
		tp.InterfaceChannelTubes.Name, uint32(tp.HandleTypeContact), contact, true).Arg(0))
}

// offeredTube is a stream tube with the program that serves it.
type offeredTube struct {
	cm      *cmtest.CM
	path    dbus.ObjectPath // of the Tubes channel
	number  uint32
	program net.Listener
	disturb func() // when half of it has come back
}

// offerTube offers a stream tube in a room or to a contact.
func offerTube(cm *cmtest.CM, path dbus.ObjectPath) *offeredTube {
	cm.T.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		cm.T.Fatal(err)
	}
	cm.T.Cleanup(func() { l.Close() })
	o := &offeredTube{cm: cm, path: path, program: l}
	o.number = cmtest.As[uint32](cm.T, cm.Call(path, tp.InterfaceChannelTubes, "OfferStreamTube", "http", map[string]dbus.Variant{},
		uint32(2), dbus.MakeVariant(ipv4{"127.0.0.1", uint16(l.Addr().(*net.TCPAddr).Port)}), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	return o
}

// accept accepts the tube at another's Tubes channel, and connects to it.
func (o *offeredTube) accept(path dbus.ObjectPath) net.Conn {
	o.cm.T.Helper()
	id := o.cm.ExpectWithin(patience, cmtest.Signal(tp.SignalChannelTubesNewTube).At(path)).Arg(0)
	address := o.cm.Call(path, tp.InterfaceChannelTubes, "AcceptStreamTube", id, uint32(0), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0)
	return dialUnix(o.cm.T, string(cmtest.As[[]byte](o.cm.T, address)))
}

// twoWay is a connection whose ways end one by one.
type twoWay interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// carry has the program that is connected with there send random bytes, and get
// them back from it.
func (o *offeredTube) carry(size int64, there io.ReadWriteCloser) {
	t := o.cm.T
	t.Helper()
	var both sync.WaitGroup
	both.Go(func() {
		other := there.(twoWay)
		if _, err := io.Copy(other, other); err != nil {
			t.Errorf("at the other end: %v", err)
		}
		other.CloseWrite()
	})
	start := time.Now()
	program, err := o.program.Accept()
	if err != nil {
		t.Fatal(err)
	}
	sent, back := sha256.New(), sha256.New()
	both.Go(func() {
		var seed [32]byte
		rand.Read(seed[:])
		_, err := io.Copy(io.MultiWriter(program, sent), io.LimitReader(mathrand.NewChaCha8(seed), size))
		if err != nil {
			t.Errorf("write: %v", err)
		}
		program.(twoWay).CloseWrite()
	})
	n, err := io.CopyN(back, program, size/2)
	if err == nil && o.disturb != nil {
		o.disturb()
	}
	if err == nil {
		var rest int64
		rest, err = io.Copy(back, program)
		n += rest
	}
	both.Wait()
	t.Logf("%.1f MB/s there and back", float64(size)/1e6/time.Since(start).Seconds())
	program.Close()
	there.Close()
	if err != nil || n != size || [sha256.Size]byte(sent.Sum(nil)) != [sha256.Size]byte(back.Sum(nil)) {
		t.Errorf("%d bytes of %d came back, the same: %v, %v", n, size, bytes.Equal(sent.Sum(nil), back.Sum(nil)), err)
	}
}

// close closes the tube, which the other's channel, if there is one, is told.
func (o *offeredTube) close(other dbus.ObjectPath) {
	o.cm.T.Helper()
	o.program.Close()
	o.cm.Call(o.path, tp.InterfaceChannelTubes, "CloseTube", o.number)
	closed := cmtest.Signal(tp.SignalChannelTubesTubeClosed)
	o.cm.Expect(closed.At(o.path))
	if other != "" {
		o.cm.ExpectWithin(patience, closed.At(other))
	}
}

// cutting is a connection through a tube with a contact that is to be cut.
type cutting struct {
	cm             *cmtest.CM
	out, in        dbus.ObjectPath // the tube's channels
	writer, reader net.Conn
}

// cut is how a connection comes to an early end, and what both sides are told.
type cut struct {
	do      func(*cutting)
	out, in []tp.ErrorName
	closes  bool // the channels
}

// Whose channel is closed by the other hears of the tube's end or of the
// stream's, whichever comes first. Who sends to a program that died is told that
// nobody says anything more, before it is told that nobody listens.
var (
	byUser = []tp.ErrorName{tp.ErrorCancelled}
	broken = []tp.ErrorName{tp.ErrorConnectionLost}
	either = []tp.ErrorName{tp.ErrorCancelled, tp.ErrorConnectionLost}
	cuts   = map[string]cut{
		"program that offers dies":   {func(c *cutting) { die(c.writer) }, byUser, broken, false},
		"program that connects dies": {func(c *cutting) { die(c.reader) }, either, byUser, false},
		"offered channel closed":     {func(c *cutting) { c.cm.CallAsync(c.out, tp.InterfaceChannel, "Close") }, byUser, either, true},
		"accepted channel closed":    {func(c *cutting) { c.cm.CallAsync(c.in, tp.InterfaceChannel, "Close") }, either, byUser, true},
	}
)

// die ends a connection as the kernel does for a program that is killed with
// something unread.
func die(c net.Conn) {
	c.(*net.TCPConn).SetLinger(0)
	c.Close()
}

// cutTube brings a connection to where both programs are connected.
func cutTube(from, to *cmtest.Connection, contact uint32) *cutting {
	t, stream := from.T, tp.InterfaceChannelStreamTube
	t.Helper()
	c := &cutting{cm: from.CM}
	c.out = cmtest.As[dbus.ObjectPath](t, from.Call(from.Path, tp.InterfaceConnectionRequests, "CreateChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:       dbus.MakeVariant(stream.Name),
		tp.PropertyChannelTargetHandleType:  dbus.MakeVariant(uint32(tp.HandleTypeContact)),
		tp.PropertyChannelTargetHandle:      dbus.MakeVariant(contact),
		tp.PropertyChannelStreamTubeService: dbus.MakeVariant("http"),
	}).Arg(0))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here := ipv4{"127.0.0.1", uint16(l.Addr().(*net.TCPAddr).Port)}
	from.Call(c.out, stream, "Offer", uint32(2), dbus.MakeVariant(here), uint32(0), map[string]dbus.Variant{})
	c.in = cmtest.As[dbus.ObjectPath](t, c.cm.ExpectWithin(patience, cmtest.Signal(tp.SignalConnectionNewChannel).At(to.Path)).Arg(0))
	there := cmtest.As[ipv4](t, to.Call(c.in, stream, "Accept", uint32(2), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	if c.reader, err = net.Dial("tcp", net.JoinHostPort(there.Host, strconv.Itoa(int(there.Port)))); err != nil {
		t.Fatal(err)
	}
	if c.writer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return c
}

// at cuts the connection when so many bytes have arrived.
func (c *cutting) at(n int, name string, how cut) {
	t := c.cm.T
	t.Helper()
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(c.writer, mathrand.NewChaCha8([32]byte{})) })
	both.Go(func() { // until it is told that the other has gone
		_, _ = io.Copy(io.Discard, c.writer)
		c.writer.Close()
	})
	if _, err := io.CopyN(io.Discard, c.reader, int64(n)); err != nil {
		t.Fatal(err)
	}
	c.cm.Note("%s after %d bytes", name, n)
	how.do(c)
	both.Go(func() { _, _ = io.Copy(io.Discard, c.reader) })
	closed, gone := cmtest.Signal(tp.SignalChannelStreamTubeConnectionClosed), cmtest.Signal(tp.SignalChannelClosed)
	over, vanish := []cmtest.Matcher{closed.At(c.out), closed.At(c.in)}, []cmtest.Matcher{gone.At(c.out), gone.At(c.in)}
	if how.closes {
		over, vanish = append(over, vanish...), nil
	}
	told := c.cm.ExpectUnordered(over...)
	for i, want := range [][]tp.ErrorName{how.out, how.in} {
		if got := tp.ErrorName(cmtest.As[string](t, told[i].Arg(1))); !slices.Contains(want, got) {
			t.Errorf("%s: told %s, want %s", name, got, want)
		}
	}
	both.Wait()
	c.reader.Close()
	if !how.closes {
		c.cm.CallAsync(c.out, tp.InterfaceChannel, "Close")
		c.cm.ExpectUnordered(vanish...)
	}
}

// enter goes into the room of a Tubes channel, and gives what all connections
// to its owner's tubes there have in common.
func (p *inBandPeer) enter(t *testing.T, owner *cmtest.Connection, path dbus.ObjectPath) bytestream.Proposal {
	t.Helper()
	self := cmtest.As[uint32](t, owner.Call(path, tp.InterfaceChannelGroup, "GetSelfHandle").Arg(0))
	name := cmtest.As[[]string](t, owner.Call(owner.Path, tp.InterfaceConnection, "InspectHandles",
		uint32(tp.HandleTypeContact), []uint32{self}).Arg(0))[0]
	to := bareJID(t, name)
	from := to.Bare().WithResource("in-band")
	entered := make(chan error, 1)
	p.loop.Post("enter", func() {
		p.Send(stanza.New(stanza.NSClient, "presence", stanza.A("to", from.String()), stanza.New(muc.NS, "x")))
		p.Ask(disco.InfoQuery(from.Bare(), ""), func(_ *stanza.Element, err error) { entered <- err }) // the room has us by then
	})
	if err := <-entered; err != nil {
		t.Fatal(err)
	}
	return bytestream.Proposal{To: to, From: from, InRoom: true}
}

// connect opens a connection to a tube.
func (p *inBandPeer) connect(t *testing.T, to bytestream.Proposal, number uint32) bytestream.Conn {
	t.Helper()
	purpose := tubes.StreamConnection
	if to.InRoom {
		purpose = tubes.MUCStreamConnection
	}
	to.Profile, to.Payload = tubes.NS, []stanza.Part{tubes.BuildConnection(purpose, number)}
	opened := make(chan bytestream.Conn, 1)
	p.loop.Post("connect", func() {
		p.streams.Open(to, func(c bytestream.Conn, _ *stanza.Element, err error) {
			if err != nil {
				t.Error(err)
			}
			opened <- c
		})
	})
	c := <-opened
	if c == nil {
		t.FailNow()
	}
	return c
}
