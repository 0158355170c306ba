package integration

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// fileSize is what one child sends to the other at a time.
const fileSize = 64 << 20

// benchmarkFiles is how fast a file gets from one child's program to the other's,
// each with a connection manager; beside it, how fast the same bytes pass over
// one TCP connection.
func benchmarkFiles(b *testing.B, p *pair) {
	p.online()
	var handles []uint32
	p.ana.call(p.ana.path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeContact), []string{address(p.ana.server, p.ben.nick)}).Store(&handles)
	p.sendFile(b, handles[0], fileSize) // what is set up once
	var took time.Duration
	n, busy := 0, p.busy()
	for b.Loop() {
		took += p.sendFile(b, handles[0], fileSize)
		n++
	}
	busy = p.busy() - busy
	megabytes := float64(n) * fileSize / 1e6
	b.ReportMetric(megabytes/took.Seconds(), "MB/s")
	b.ReportMetric(milliseconds(busy)/megabytes, "cpu-ms/MB")
	b.ReportMetric(fileSize/1e6/plainCopy(b, fileSize).Seconds(), "plain-MB/s")
	b.ReportMetric(max(p.ana.resident(), p.ben.resident()), "RSS-MB")
	b.ReportMetric(0, "ns/op")
}

// sendFile tells the time from both programs' connection to the end of the file.
func (p *pair) sendFile(b *testing.B, to uint32, size int) time.Duration {
	b.Helper()
	var out, in dbus.ObjectPath
	var details map[string]dbus.Variant
	var there, here []byte
	if err := p.ana.call(p.ana.path, tp.InterfaceConnectionRequests, "CreateChannel", request(to, size)).Store(&out, &details); err != nil {
		b.Fatal(err)
	}
	anything := dbus.MakeVariant("")
	if err := p.ana.call(out, files, "ProvideFile", uint32(0), uint32(0), anything).Store(&there); err != nil {
		b.Fatal(err)
	}
	p.ben.sees("a file", tp.SignalConnectionNewChannel, func(s *dbus.Signal) bool {
		in = s.Body[0].(dbus.ObjectPath)
		return s.Body[1] == files.Name
	})
	if err := p.ben.call(in, files, "AcceptFile", uint32(0), uint32(0), anything, uint64(0)).Store(&here); err != nil {
		b.Fatal(err)
	}
	p.ana.hasFileState(out, fileOpen)
	p.ben.hasFileState(in, fileOpen)
	took := carry(b, dialUnix(b, string(there)), dialUnix(b, string(here)), size)
	p.ana.hasFileState(out, fileCompleted)
	p.ben.hasFileState(in, fileCompleted)
	p.ana.call(out, tp.InterfaceChannel, "Close")
	p.ben.call(in, tp.InterfaceChannel, "Close")
	return took
}

func (l *laptop) hasFileState(path dbus.ObjectPath, want uint32) {
	l.b.Helper()
	l.sees("a state of the file", tp.SignalChannelFileTransferFileTransferStateChanged, func(s *dbus.Signal) bool {
		return s.Path == path && s.Body[0] == want
	})
}

// carry writes at one end and reads at the other.
func carry(b *testing.B, writer, reader net.Conn, size int) time.Duration {
	b.Helper()
	var n int64
	took := stopwatch(func() {
		var both sync.WaitGroup
		both.Go(func() {
			for data := make([]byte, 1<<20); size > 0; size -= len(data) {
				_, _ = writer.Write(data)
			}
			writer.Close()
		})
		both.Go(func() {
			n, _ = io.Copy(io.Discard, reader)
			reader.Close()
		})
		both.Wait()
	})
	if n == 0 {
		b.Fatal("nothing arrived")
	}
	return took
}

// plainCopy is the same over one TCP connection.
func plainCopy(b *testing.B, size int) time.Duration {
	b.Helper()
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
	return carry(b, writer, reader, size)
}
