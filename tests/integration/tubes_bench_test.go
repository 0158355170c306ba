package integration

import (
	"fmt"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// streamSize is what goes through a stream tube at a time.
const streamSize = 64 << 20

// benchmarkTubeCalls is a call from one child's program to the other's, and its
// answer, through a D-Bus tube of a room; beside it, the same over one socket.
func benchmarkTubeCalls(b *testing.B, p *pair) { p.benchmarkCalls(b, []byte("one letter: x")) }

// benchmarkTubeLargeCalls is the same with a megabyte in the call.
func benchmarkTubeLargeCalls(b *testing.B, p *pair) { p.benchmarkCalls(b, make([]byte, 1<<20)) }

func (p *pair) benchmarkCalls(b *testing.B, payload []byte) {
	t := p.openDBusTube(b)
	go t.ben.answer()
	call := tubeCall(b, t.bensName, payload)
	p.measure(b, func() time.Duration { return stopwatch(func() { t.ana.call(call) }) })
	x, y := plainTube(b)
	go y.answer()
	plain := tubeCall(b, "", payload)
	b.ReportMetric(milliseconds(medianOf(200, func() { x.call(plain) })), "plain-ms")
	b.ReportMetric(max(p.ana.resident(), p.ben.resident()), "RSS-MB")
}

// benchmarkTubeSignals is how fast signals reach all in a room, who says them
// among them.
func benchmarkTubeSignals(b *testing.B, p *pair) {
	t := p.openDBusTube(b)
	signal := tubeSignal(b)
	const at = 1000
	busy := p.busy()
	var took time.Duration
	n := 0
	for b.Loop() {
		took += stopwatch(func() { tell(t.ana, signal, at, t.ana, t.ben) })
		n += at
	}
	b.ReportMetric(float64(n)/took.Seconds(), "signals/s")
	p.reportBusy(b, busy)
	x, y := plainTube(b)
	b.ReportMetric(at/stopwatch(func() { tell(x, signal, at, y) }).Seconds(), "plain-signals/s")
	b.ReportMetric(max(p.ana.resident(), p.ben.resident()), "RSS-MB")
	b.ReportMetric(0, "ns/op")
}

// tell has a program say a signal n times, and the others hear it.
func tell(from *tubePeer, signal []byte, n int, to ...*tubePeer) {
	var all sync.WaitGroup
	for _, one := range to {
		all.Go(func() { one.hear(n) })
	}
	for range n {
		from.say(signal)
	}
	all.Wait()
}

// benchmarkStreamTube is how fast bytes get through a connection of a stream tube
// of a room; beside it, over one TCP connection.
func benchmarkStreamTube(b *testing.B, p *pair) {
	l, address := p.openStreamTube(b)
	first := dial(b, address)
	(<-accepted(l)).Close() // what is set up once
	first.Close()
	busy := p.busy()
	var took time.Duration
	n := 0
	for b.Loop() {
		reader := accepted(l)
		writer := dial(b, address)
		took += carry(b, writer, <-reader, streamSize)
		n++
	}
	megabytes := float64(n) * streamSize / 1e6
	b.ReportMetric(megabytes/took.Seconds(), "MB/s")
	b.ReportMetric(milliseconds(p.busy()-busy)/megabytes, "cpu-ms/MB")
	b.ReportMetric(streamSize/1e6/plainCopy(b, streamSize).Seconds(), "plain-MB/s")
	b.ReportMetric(max(p.ana.resident(), p.ben.resident()), "RSS-MB")
	b.ReportMetric(0, "ns/op")
}

// benchmarkStreamTubeOpening is from connecting to a stream tube to the first byte
// that has come back.
func benchmarkStreamTubeOpening(b *testing.B, p *pair) {
	l, address := p.openStreamTube(b)
	go echo(l)
	p.measure(b, func() time.Duration { return stopwatch(func() { greet(b, address) }) })
	b.ReportMetric(milliseconds(medianOf(200, func() { greet(b, l.Addr().String()) })), "plain-ms")
}

// greet connects to an address and has one byte come back.
func greet(b *testing.B, address string) {
	b.Helper()
	c := dial(b, address)
	defer c.Close()
	if _, err := c.Write([]byte("?")); err != nil {
		b.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		b.Fatal(err)
	}
}

func dial(b *testing.B, address string) net.Conn {
	b.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// accepted gives the next connection.
func accepted(l net.Listener) <-chan net.Conn {
	came := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			came <- c
		}
	}()
	return came
}

// medianOf is how long something takes that is done n times.
func medianOf(n int, f func()) time.Duration {
	took := make([]time.Duration, n)
	for i := range took {
		took[i] = stopwatch(f)
	}
	slices.Sort(took)
	return took[n/2]
}

// dbusTube is a D-Bus tube with two programs.
type dbusTube struct {
	ana, ben *tubePeer
	bensName string
}

// openDBusTube has one child offer a D-Bus tube in an activity and the other
// accept it, as Sugar's activities do.
func (p *pair) openDBusTube(b *testing.B) *dbusTube {
	b.Helper()
	anas, bens := p.meetForTubes()
	var number uint32
	p.ana.call(anas, tp.InterfaceChannelTubes, "OfferDBusTube", "org.laptop.Test", map[string]any{}).Store(&number)
	p.ben.seesTube(bens, number)
	var here, there string
	p.ben.call(bens, tp.InterfaceChannelTubes, "AcceptDBusTube", number).Store(&there)
	p.ana.call(anas, tp.InterfaceChannelTubes, "GetDBusTubeAddress", number).Store(&here)
	name := p.ben.ownTubeName(bens, number)
	p.ana.sees("the other's name", tp.SignalChannelTubesDBusNamesChanged, func(s *dbus.Signal) bool {
		return slices.ContainsFunc(s.Body[1].([][]any), func(m []any) bool { return m[1] == name })
	})
	return &dbusTube{dialTube(b, here), dialTube(b, there), name}
}

// openStreamTube does the same with a stream tube, as Read has it. It gives where
// the first child's program listens and where the other one's connects.
func (p *pair) openStreamTube(b *testing.B) (l net.Listener, address string) {
	b.Helper()
	anas, bens := p.meetForTubes()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	type endpoint struct {
		Host string
		Port uint16
	}
	at := l.Addr().(*net.TCPAddr)
	const ipv4, localhost = uint32(tp.SocketAddressTypeIPv4), uint32(tp.SocketAccessControlLocalhost)
	var number uint32
	p.ana.call(anas, tp.InterfaceChannelTubes, "OfferStreamTube", "read-activity-http", map[string]any{}, ipv4,
		dbus.MakeVariant(endpoint{at.IP.String(), uint16(at.Port)}), localhost, dbus.MakeVariant("")).Store(&number)
	p.ben.seesTube(bens, number)
	var there dbus.Variant
	p.ben.call(bens, tp.InterfaceChannelTubes, "AcceptStreamTube", number, ipv4, localhost, dbus.MakeVariant("")).Store(&there)
	var e endpoint
	if err := there.Store(&e); err != nil {
		b.Fatal(err)
	}
	return l, net.JoinHostPort(e.Host, fmt.Sprint(e.Port))
}

// meetForTubes is meet, with a channel for the tubes of the room as well.
func (p *pair) meetForTubes() (anas, bens dbus.ObjectPath) {
	p.online()
	p.meet(newID())
	return p.ana.tubes(), p.ben.tubes()
}

func (l *laptop) tubes() (path dbus.ObjectPath) {
	l.b.Helper()
	l.call(l.path, tp.InterfaceConnection, "RequestChannel", tp.InterfaceChannelTubes.Name, uint32(tp.HandleTypeRoom), l.room, true).Store(&path)
	return path
}

func (l *laptop) seesTube(path dbus.ObjectPath, number uint32) {
	l.b.Helper()
	l.sees("the tube", tp.SignalChannelTubesNewTube, func(s *dbus.Signal) bool { return s.Path == path && s.Body[0] == number })
}

// ownTubeName is the child's own name in a D-Bus tube.
func (l *laptop) ownTubeName(path dbus.ObjectPath, number uint32) string {
	l.b.Helper()
	var self uint32
	l.call(path, tp.InterfaceChannelGroup, "GetSelfHandle").Store(&self)
	var members []struct {
		Handle uint32
		Name   string
	}
	l.call(path, tp.InterfaceChannelTubes, "GetDBusNames", number).Store(&members)
	for _, m := range members {
		if m.Handle == self {
			return m.Name
		}
	}
	l.b.Fatalf("%s has no name in the tube", l.nick)
	return ""
}
