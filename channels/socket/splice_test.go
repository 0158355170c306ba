package socket

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"testing"
)

// pair gives the two ends of a connection, here and for the other side.
func pair(t testing.TB, network string) (near, far net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	far, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// joined splices a Unix socket and a TCP stream, and gives their far ends.
func joined(t testing.TB) (s *Splice, program *net.UnixConn, peer *net.TCPConn, end <-chan End) {
	t.Helper()
	local, program1 := pair(t, "unix")
	remote, peer1 := pair(t, "tcp")
	done := make(chan End, 1)
	s = Join(local, remote.(*net.TCPConn), func(e End) { done <- e })
	t.Cleanup(s.Close)
	return s, program1.(*net.UnixConn), peer1.(*net.TCPConn), done
}

func TestJoin_bothWays(t *testing.T) {
	const size = 20 << 20
	s, program, peer, done := joined(t)
	random := rand.NewChaCha8([32]byte{1})
	data := make([]byte, size)
	_, _ = random.Read(data)
	want := sha256.Sum256(data)
	got := make(chan [32]byte, 2)
	for _, c := range []interface {
		io.ReadWriter
		CloseWrite() error
	}{program, peer} {
		go func() {
			_, _ = io.Copy(c, bytes.NewReader(data))
			_ = c.CloseWrite()
		}()
		go func() {
			h := sha256.New()
			_, _ = io.Copy(h, c)
			got <- [32]byte(h.Sum(nil))
		}()
	}
	for range 2 {
		if sum := <-got; sum != want {
			t.Error("other bytes arrived than were sent")
		}
	}
	if end := <-done; end.Err != nil || s.Sent() != size || s.Received() != size {
		t.Errorf("end is %v, %d bytes sent and %d received", end, s.Sent(), s.Received())
	}
}

func TestJoin_halfClose(t *testing.T) {
	_, program, peer, done := joined(t)
	_, _ = program.Write([]byte("question"))
	_ = program.CloseWrite()
	if got, err := io.ReadAll(peer); string(got) != "question" || err != nil {
		t.Errorf("peer read %q, %v", got, err)
	}
	_, _ = peer.Write([]byte("answer"))
	_ = peer.Close()
	if got, err := io.ReadAll(program); string(got) != "answer" || err != nil {
		t.Errorf("program read %q, %v", got, err)
	}
	if end := <-done; end != (End{Side: Local}) {
		t.Errorf("end is %v", end)
	}
}

func TestJoin_remoteBreaksOff(t *testing.T) {
	_, program, peer, done := joined(t)
	_ = peer.SetLinger(0)
	_ = peer.Close()
	if end := <-done; end.Side != Remote || end.Err == nil {
		t.Errorf("end is %v", end)
	}
	ended(t, program)
}

// TestJoin_localGone has the program go while data from afar is unread; what it
// wrote before still arrives.
func TestJoin_localGone(t *testing.T) {
	_, program, peer, done := joined(t)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		_, _ = io.Copy(peer, io.LimitReader(rand.NewChaCha8([32]byte{}), 4<<20))
		_ = peer.CloseWrite()
	}()
	_, _ = program.Write([]byte("last words"))
	_ = program.Close()
	if got, err := io.ReadAll(peer); string(got) != "last words" || err != nil {
		t.Errorf("peer read %q, %v", got, err)
	}
	<-wrote
	if end := <-done; end.Side != Local {
		t.Errorf("end is %v", end)
	}
}

func TestSplice_Close(t *testing.T) {
	s, program, peer, done := joined(t)
	s.Close()
	s.Close()
	if end := <-done; !errors.Is(end.Err, ErrClosed) {
		t.Errorf("end is %v", end)
	}
	ended(t, program)
	ended(t, peer)
}

// BenchmarkJoin carries from a TCP stream to a Unix socket, as a file that
// comes in over SOCKS5.
func BenchmarkJoin(b *testing.B) {
	_, program, peer, _ := joined(b)
	benchmarkCarry(b, program, peer)
}

// BenchmarkPlain is the copy over one TCP connection, to compare with.
func BenchmarkPlain(b *testing.B) {
	near, far := pair(b, "tcp")
	benchmarkCarry(b, near, far)
}

func benchmarkCarry(b *testing.B, to io.Reader, from io.Writer) {
	const block = 1 << 20
	b.SetBytes(block)
	b.ReportAllocs()
	data := make([]byte, block)
	var count atomic.Uint64
	go func() {
		for range b.N {
			_, _ = from.Write(data)
		}
	}()
	b.ResetTimer()
	_ = Copy(io.Discard, io.LimitReader(to, int64(b.N)*block), &count)
}
