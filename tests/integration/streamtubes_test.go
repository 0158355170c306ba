package integration

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	mathrand "math/rand/v2"
	"net"
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
	maxGrowth = 48 << 10
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
	var raw [20]byte
	rand.Read(raw[:])
	id := hex.EncodeToString(raw[:])
	rooms := [2]dbus.ObjectPath{tubesOf(bela, id), tubesOf(cleo, id)}
	pairs := [2]dbus.ObjectPath{tubesWith(bela, belasCleo), tubesWith(cleo, cleosBela)}
	before, peak := cm.Descriptors(), cm.PeakMemory()

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
