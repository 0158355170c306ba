package rawconn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair gives both ends of a connection; the first is ours.
func pair(t testing.TB, network, address string) (*Conn, Socket) {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ours, err := net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	c, err := New(ours.(Socket))
	if err != nil {
		t.Fatal(err)
	}
	return c, theirs.(Socket)
}

func tcp(t testing.TB) (*Conn, Socket) { return pair(t, "tcp", "127.0.0.1:0") }

func unix(t testing.TB) (*Conn, Socket) {
	return pair(t, "unix", filepath.Join(t.TempDir(), "socket"))
}

// TestConn_both sends more than a socket holds, both ways at once.
func TestConn_both(t *testing.T) {
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	for name, open := range map[string]func(testing.TB) (*Conn, Socket){"tcp": tcp, "unix": unix} {
		t.Run(name, func(t *testing.T) {
			c, peer := open(t)
			echoed := make(chan error, 1)
			go func() {
				_, err := io.Copy(peer, struct{ io.Reader }{peer}) // small pieces, no splice
				echoed <- errors.Join(err, peer.Close())
			}()
			written := make(chan error, 1)
			go func() {
				n, err := c.Write(want)
				if n != len(want) && err == nil {
					err = io.ErrShortWrite
				}
				written <- err
			}()
			got := make([]byte, len(want))
			if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, want) {
				t.Errorf("read back something else, %v", err)
			}
			if err := <-written; err != nil {
				t.Error(err)
			}
			c.Conn.(interface{ CloseWrite() error }).CloseWrite()
			if err := <-echoed; err != nil {
				t.Error(err)
			}
			if n, err := c.Read(got); n != 0 || err != io.EOF {
				t.Errorf("at the end: %d, %v", n, err)
			}
		})
	}
}

func TestConn_WriteBuffers(t *testing.T) {
	c, peer := unix(t)
	var want []byte
	var buffers net.Buffers
	for i := range 3 * maxPieces {
		b := bytes.Repeat([]byte{byte(i)}, i*i) // the first is empty, all together are more than the socket holds
		want = append(want, b...)
		buffers = append(buffers, b)
	}
	written := make(chan error, 1)
	go func() {
		n, err := c.WriteBuffers(buffers)
		if n != len(want) && err == nil {
			err = io.ErrShortWrite
		}
		written <- errors.Join(err, c.Close())
	}()
	if got, err := io.ReadAll(peer); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came instead of %d, or others: %v", len(got), len(want), err)
	}
	if err := <-written; err != nil {
		t.Error(err)
	}
}

func TestConn_TryWrite(t *testing.T) {
	c, peer := unix(t)
	much := bytes.Repeat([]byte("x"), 16<<20)
	n := c.TryWrite(much)
	if n <= 0 || n >= len(much) {
		t.Fatalf("the socket took %d of %d bytes", n, len(much))
	}
	if again := c.TryWrite(much); again != 0 {
		t.Errorf("a full socket took %d bytes", again)
	}
	if got, err := io.ReadFull(peer, much[:n]); err != nil {
		t.Errorf("of %d bytes came %d: %v", n, got, err)
	}
	peer.Close()
	if n := c.TryWrite(much); n != 0 {
		t.Errorf("a closed socket took %d bytes", n)
	}
	if _, err := c.Write(much); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("writing after that: %v", err)
	}
}

func TestConn_deadline(t *testing.T) {
	c, _ := tcp(t)
	c.SetDeadline(time.Now().Add(-time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v", err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read that waits: %v", err)
	}
	if n, err := c.Write(make([]byte, 64<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 64<<20 {
		t.Errorf("write that waits: %d, %v", n, err)
	}
}

func TestConn_closed(t *testing.T) {
	c, _ := tcp(t)
	ended := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		ended <- err
	}()
	c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read: %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write: %v", err)
	}
}

func TestConn_reset(t *testing.T) {
	c, peer := tcp(t)
	peer.(*net.TCPConn).SetLinger(0)
	peer.Close()
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("read: %v", err)
	}
}

func TestConn_nothing(t *testing.T) {
	c, _ := unix(t)
	if n, err := c.Read(nil); n != 0 || err != nil {
		t.Errorf("read: %d, %v", n, err)
	}
	if n, err := c.Write(nil); n != 0 || err != nil {
		t.Errorf("write: %d, %v", n, err)
	}
}

// BenchmarkConn is a message and its answer between two goroutines, beside the
// same with package net.
func BenchmarkConn(b *testing.B) {
	for _, bench := range []struct {
		name string
		ours func(*Conn) net.Conn
	}{
		{"rawconn", func(c *Conn) net.Conn { return c }},
		{"net", func(c *Conn) net.Conn { return c.Conn }},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c, peer := unix(b)
			conn := bench.ours(c)
			go io.Copy(peer, struct{ io.Reader }{peer})
			message := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := conn.Write(message); err != nil {
					b.Fatal(err)
				}
				if _, err := io.ReadFull(conn, message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
