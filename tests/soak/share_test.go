package soak

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/laptop"
)

const (
	tubeMessages = 10
	tubeBytes    = 256 << 10
	fileBytes    = 512 << 10
)

func (s *soak) data(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(s.random.Uint32())
	}
	return b
}

// dbusTube has the first laptop offer a D-Bus tube and the second take it; then each hears the other's signals, in order.
func (s *soak) dbusTube(a *shared, round int) {
	s.t.Helper()
	service := fmt.Sprintf("org.laptop.Soak%d", round)
	number, address := a.of[0].OfferDBusTube(service)
	first := s.laptops[0].OpenPeer(address)
	defer first.Close()
	other := a.of[1].AwaitTube(service)
	second := s.laptops[1].OpenPeer(a.of[1].AcceptDBusTube(other))
	defer second.Close()
	a.of[0].AwaitNames(number, 2, 0)
	for _, pair := range [][2]*laptop.Peer{{first, second}, {second, first}} {
		for n := range tubeMessages {
			if err := pair[0].Emit("/soak", "org.laptop.Soak.Said", int32(n)); err != nil {
				s.t.Fatal(err)
			}
		}
		for _, hearing := range pair { // who says something hears it too
			for n := range tubeMessages {
				s.hears(hearing, n)
			}
		}
	}
	s.done.tubes++
}

func (s *soak) hears(p *laptop.Peer, want int) {
	s.t.Helper()
	select {
	case got := <-p.Signals:
		if got.Body[0] != int32(want) {
			s.t.Fatalf("heard %v in a tube, want %d", got.Body, want)
		}
	case <-time.After(patience):
		s.t.Fatalf("heard nothing in a tube, want %d", want)
	}
}

// streamTube has the first laptop offer a service that repeats what it is told, and the second use it, twice at once.
func (s *soak) streamTube(a *shared, round int) {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		s.t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				_, _ = io.Copy(c, c)
				c.Close()
			})
		}
	})
	defer serving.Wait()
	defer l.Close()
	service := fmt.Sprintf("soak%d", round)
	a.of[0].OfferStreamTube(service, path)
	number := a.of[1].AwaitTube(service)
	address := a.of[1].AcceptStreamTube(number, tp.SocketAddressTypeUnix, tp.SocketAccessControlLocalhost)
	for range 2 {
		s.echo(laptop.Dial(s.t, string(address.Value().([]byte))))
	}
	s.done.tubes++
}

// echo sends and wants the same back.
func (s *soak) echo(c net.Conn) {
	s.t.Helper()
	defer c.Close()
	want, got := s.data(tubeBytes), make([]byte, tubeBytes)
	var both sync.WaitGroup
	var sent, read error
	both.Go(func() { _, sent = c.Write(want) })
	both.Go(func() { _, read = io.ReadFull(c, got) })
	both.Wait()
	if err := errors.Join(sent, read); err != nil || string(want) != string(got) {
		s.t.Fatalf("through a stream tube: %v, the same is %v", err, string(want) == string(got))
	}
	s.done.bytes += 2 * tubeBytes
}

// passFile sends a file there and one back.
func (s *soak) passFile(round int) {
	s.t.Helper()
	for i, from := range s.laptops {
		laptop.SendFile(from, s.laptops[1-i], fmt.Sprintf("file-%d-%d", round, i), s.data(fileBytes)).Carry()
		s.done.files++
		s.done.bytes += fileBytes
	}
}
