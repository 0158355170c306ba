package filetransfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/socks5"
)

// Signals as [side] shows them.
const (
	isAccepted  = "FileTransferStateChanged2 0"
	isTaken     = "FileTransferStateChanged2 1"
	fromStart   = "InitialOffsetDefined0"
	isOpen      = "FileTransferStateChanged3 0"
	isCompleted = "FileTransferStateChanged4 0"
)

func moved(n int) string { return fmt.Sprint("TransferredBytesChanged", n) }

func stopped(why tp.FileTransferStateChangeReason) string {
	return fmt.Sprint("FileTransferStateChanged5 ", uint32(why))
}

// begin brings a file to where both programs are connected.
func begin(t testing.TB, a, b *side, size int) (out, in *transfer, writer, reader net.Conn) {
	t.Helper()
	request := &channels.Request{
		Kind: tp.InterfaceChannelFileTransfer.Name, Target: channels.Target{Type: tp.HandleTypeContact, Handle: 1},
		Properties: map[string]dbus.Variant{
			tp.PropertyChannelFileTransferContentType: dbus.MakeVariant("text/plain"),
			tp.PropertyChannelFileTransferFilename:    dbus.MakeVariant("a"),
			tp.PropertyChannelFileTransferSize:        dbus.MakeVariant(int64(size)),
		},
		Fail: func(err error) { t.Error(err) },
	}
	a.do(func() { a.files.Request(request) })
	out, in = <-a.opened, <-b.opened
	var there, here socket.Address
	var err1, err2 error
	a.do(func() { there, err1 = out.provide(tp.SocketAddressTypeUnix, 0, dbus.MakeVariant("")) })
	b.do(func() { here, err2 = in.accept(tp.SocketAddressTypeUnix, 0, dbus.MakeVariant(""), 0) })
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	a.expect(isAccepted, fromStart, isOpen)
	b.expect(isTaken, fromStart, isOpen)
	return out, in, dial(t, there), dial(t, here)
}

func dial(t testing.TB, a socket.Address) net.Conn {
	t.Helper()
	c, _, err := socket.Dial(context.Background(), a, socket.Access{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestTransfer_whole(t *testing.T) {
	for name, tt := range map[string]struct {
		size    int
		methods []string
	}{
		"nothing": {0, nil}, "one byte": {1, nil}, "over SOCKS5": {5 << 20, []string{socks5.NS}}, "in-band": {300_000, []string{ibb.NS}},
		"nothing in-band": {0, []string{ibb.NS}},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := children(t, tt.methods...)
			_, _, writer, reader := begin(t, a, b, tt.size)
			data := make([]byte, tt.size)
			_, _ = rand.NewChaCha8([32]byte{}).Read(data)
			go func() {
				_, _ = writer.Write(data)
				writer.Close()
			}()
			got, err := io.ReadAll(reader)
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes arrived of %d, %v", len(got), len(data), err)
			}
			reader.Close()
			for _, s := range []*side{a, b} {
				if tt.size > 0 {
					s.expect(moved(tt.size))
				}
				s.expect(isCompleted)
			}
		})
	}
}

// TestTransfer_stops ends files at many points, from every side, and each side
// is told who did it.
func TestTransfer_stops(t *testing.T) {
	const size = 8 << 20
	random := rand.New(rand.NewPCG(3, 4))
	for name, tt := range map[string]struct {
		stop    func(a, b *side, out, in *transfer, writer, reader net.Conn)
		out, in tp.FileTransferStateChangeReason
	}{
		"sender": {func(a, _ *side, out, _ *transfer, _, _ net.Conn) {
			a.do(func() { out.cancel(tp.FileTransferStateChangeReasonLocalStopped) })
		}, tp.FileTransferStateChangeReasonLocalStopped, tp.FileTransferStateChangeReasonRemoteStopped},
		"receiver": {func(_, b *side, _, in *transfer, _, _ net.Conn) {
			b.do(func() { in.cancel(tp.FileTransferStateChangeReasonLocalStopped) })
		}, tp.FileTransferStateChangeReasonRemoteStopped, tp.FileTransferStateChangeReasonLocalStopped},
		"sender's program": {func(_, _ *side, _, _ *transfer, writer, _ net.Conn) { writer.Close() },
			tp.FileTransferStateChangeReasonLocalError, tp.FileTransferStateChangeReasonRemoteStopped},
		"receiver's program": {func(_, _ *side, _, _ *transfer, _, reader net.Conn) { reader.Close() },
			tp.FileTransferStateChangeReasonRemoteStopped, tp.FileTransferStateChangeReasonLocalError},
		"sender's session": {func(a, _ *side, _, _ *transfer, _, _ net.Conn) { a.do(a.files.Close) },
			tp.FileTransferStateChangeReasonLocalError, tp.FileTransferStateChangeReasonRemoteStopped},
	} {
		for _, method := range []string{socks5.NS, ibb.NS} {
			t.Run(name+" over "+method, func(t *testing.T) {
				a, b := children(t, method)
				out, in, writer, reader := begin(t, a, b, size)
				var both sync.WaitGroup
				both.Go(func() { _, _ = writer.Write(make([]byte, size)) })
				if _, err := io.CopyN(io.Discard, reader, int64(random.IntN(size/4))); err != nil {
					t.Fatal(err)
				}
				tt.stop(a, b, out, in, writer, reader)
				both.Go(func() { _, _ = io.Copy(io.Discard, reader) })
				a.expectEnd(stopped(tt.out))
				b.expectEnd(stopped(tt.in))
				both.Wait()
			})
		}
	}
}

// expectEnd is expect for what may come after some progress.
func (s *side) expectEnd(want string) {
	s.t.Helper()
	for got := range s.signals {
		if len(got) < 16 || got[:16] != "TransferredBytes" {
			if got != want {
				s.t.Errorf("%s was told %q, want %q", s.self, got, want)
			}
			return
		}
	}
}

// TestTransfer_receiverTalks has a receiver send what it has no reason to.
func TestTransfer_receiverTalks(t *testing.T) {
	a, b := children(t, socks5.NS)
	_, in, _, _ := begin(t, a, b, 100)
	var stream bytestream.Conn
	b.do(func() { stream = in.stream })
	_, _ = stream.Write(make([]byte, 2*maxChatter))
	a.expectEnd(stopped(tp.FileTransferStateChangeReasonRemoteError))
	b.expectEnd(stopped(tp.FileTransferStateChangeReasonRemoteStopped))
}

func TestReasonOf(t *testing.T) {
	for err, want := range map[error]tp.FileTransferStateChangeReason{
		errLocal:                               tp.FileTransferStateChangeReasonLocalError,
		bytestream.ErrClosed:                   tp.FileTransferStateChangeReasonLocalError,
		errStopped:                             tp.FileTransferStateChangeReasonRemoteStopped,
		&socket.WriteError{Err: syscall.EPIPE}: tp.FileTransferStateChangeReasonRemoteStopped,
		&net.OpError{Err: syscall.ECONNRESET}:  tp.FileTransferStateChangeReasonRemoteStopped,
		&net.OpError{Err: syscall.ETIMEDOUT}:   tp.FileTransferStateChangeReasonRemoteError,
		ibb.ErrSequence:                        tp.FileTransferStateChangeReasonRemoteError,
		errChatter:                             tp.FileTransferStateChangeReasonRemoteError,
	} {
		if got := reasonOf(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

// BenchmarkTransfer is a file's way from one program to the other through two
// connection managers. BenchmarkPlain is the same over one TCP connection.
func BenchmarkTransfer(b *testing.B) {
	for name, method := range map[string]string{"SOCKS5": socks5.NS, "in-band": ibb.NS} {
		b.Run(name, func(b *testing.B) {
			const block = 1 << 20
			ana, bob := children(b, method)
			b.SetBytes(block)
			b.ReportAllocs()
			_, _, writer, reader := begin(b, ana, bob, block*b.N)
			b.ResetTimer()
			go write(writer, block, b.N)
			_, _ = io.Copy(io.Discard, reader)
		})
	}
}

func BenchmarkPlain(b *testing.B) {
	const block = 1 << 20
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	writer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	reader, err := l.Accept()
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	b.SetBytes(block)
	b.ReportAllocs()
	b.ResetTimer()
	go write(writer, block, b.N)
	_, _ = io.Copy(io.Discard, reader)
}

func write(c net.Conn, block, times int) {
	data := make([]byte, block)
	for range times {
		_, _ = c.Write(data)
	}
	c.Close()
}
