package dbuspeer

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience only ends a hang.
const patience = 20 * time.Second

// program is a client made by hand.
type program struct {
	*net.UnixConn
	t testing.TB
	r *bufio.Reader
}

func path(s *Server) string { return s.listener.Addr().String() }

// connect comes as far as the NUL that goes first.
func connect(t testing.TB, s *Server) *program {
	t.Helper()
	c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: path(s), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(patience))
	t.Cleanup(func() { c.Close() })
	p := &program{c, t, bufio.NewReader(c)}
	p.say("\x00")
	return p
}

func (p *program) say(text string) {
	p.t.Helper()
	if _, err := p.Write([]byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

// login becomes the client.
func login(t testing.TB, s *Server) *program {
	t.Helper()
	p := connect(t, s)
	p.say("AUTH EXTERNAL " + hex.EncodeToString([]byte(strconv.Itoa(os.Getuid()))) + "\r\n")
	if line, err := p.r.ReadString('\n'); err != nil || !strings.HasPrefix(line, "OK ") {
		t.Fatalf("login: %q, %v", line, err)
	}
	p.say("BEGIN\r\n")
	return p
}

func (p *program) expect(want []byte) {
	p.t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p.r, got); err != nil || !bytes.Equal(got, want) {
		p.t.Fatalf("got %.200q, %v\nwant %.200q", got, err, want)
	}
}

func (p *program) expectEnd() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err == nil {
		p.t.Fatalf("got %q", b)
	} else if e, ok := err.(net.Error); ok && e.Timeout() {
		p.t.Fatal("the connection does not end")
	}
}

// numbered returns a signal with a serial to tell it by.
func numbered(n int) []byte {
	m := signal()
	m.serial = uint32(n)
	return m.bytes()
}

// recorder keeps the events of a server.
type recorder struct {
	t      testing.TB
	events chan string
}

func record(t testing.TB) (*recorder, Events) {
	r := &recorder{t, make(chan string, 1000)}
	return r, Events{
		Connected:    func() { r.events <- "connected" },
		Message:      func(h Header, _ []byte) { r.events <- strconv.Itoa(int(h.Serial)) },
		Disconnected: func() { r.events <- "disconnected" },
	}
}

func (r *recorder) expect(want ...string) {
	r.t.Helper()
	for _, w := range want {
		select {
		case got := <-r.events:
			if got != w {
				r.t.Fatalf("event %q, not %q", got, w)
			}
		case <-time.After(patience):
			r.t.Fatalf("no event %q", w)
		}
	}
}

func TestServer_directory(t *testing.T) {
	dir := t.TempDir()
	s, err := Listen(dir, Localhost, Events{})
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Dir(path(s))
	if info, err := os.Stat(own); err != nil || info.Mode() != 0o700|fs.ModeDir || filepath.Dir(own) != dir {
		t.Errorf("%s: %v, %v", own, info.Mode(), err)
	}
	if want := "unix:path=" + path(s); s.Address() != want {
		t.Errorf("address %s", s.Address())
	}
	s.Close()
	s.Close()
	s.Wait()
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestListen_fails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("x", 100))
	if _, err := Listen(dir, SameUser, Events{}); err == nil {
		t.Error("below no directory")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, SameUser, Events{}); err == nil {
		t.Error("at a path longer than a socket's may be")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestEscape(t *testing.T) {
	if got, want := escape("/tmp/a-b_c.d*\\é ,;=:"), `/tmp/a-b_c.d*\%c3%a9%20%2c%3b%3d%3a`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestServer_oneAfterTheOther(t *testing.T) {
	r, events := record(t)
	s := listen(t, SameUser, events)
	s.Send(numbered(1)) // for who comes
	p := login(t, s)
	p.expect(numbered(1))
	p.say(string(numbered(2)))
	r.expect("connected", "2")
	second := login(t, s)
	second.expectEnd() // while there is one
	p.say(string(numbered(3)) + string(numbered(4)))
	r.expect("3", "4")
	p.Close()
	third := login(t, s)
	third.say(string(numbered(5)))
	r.expect("disconnected", "connected", "5")
	s.Send(numbered(6))
	third.expect(numbered(6))
	s.Close()
	third.expectEnd()
	r.expect("disconnected")
	if s.Send(numbered(7)) {
		t.Error("a closed server takes messages")
	}
}

func TestServer_queue(t *testing.T) {
	s := listen(t, SameUser, Events{})
	m := big(1 << 20)
	for i := range 5 {
		if got, want := s.Send(m), i < 3; got != want {
			t.Errorf("message %d of 1 MiB and more: %v", i, got)
		}
	}
	p := login(t, s)
	for range 3 {
		p.expect(m)
	}
	for range 2 { // now a long one has room, and who does not read harms himself alone
		if !s.Send(big(10 << 20)) {
			t.Error("no room for 10 MiB")
		}
	}
	sent := 0
	for s.Send(m) {
		if sent++; sent > maxUnwritten/len(m) {
			t.Fatal("there is no limit")
		}
	}
	p.expect(big(10 << 20))
}

// Who is slow to take what the client says holds the client back.
func TestServer_backPressure(t *testing.T) {
	took, goOn := make(chan struct{}), make(chan struct{})
	s := listen(t, SameUser, Events{Message: func(Header, []byte) {
		took <- struct{}{}
		<-goOn
	}})
	p := login(t, s)
	p.say(string(numbered(1)))
	<-took
	p.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := p.Write(make([]byte, 64<<20)); err == nil || n > 4<<20 {
		t.Errorf("%d bytes were taken meanwhile, %v", n, err)
	}
	close(goOn)
}

func TestServer_hostileBytes(t *testing.T) {
	r, events := record(t)
	s := listen(t, SameUser, events)
	badBody, badFields := signal().with("b", 2, 0, 0, 0).bytes(), signal(number(fieldUnixFDs, 1)).bytes()
	p := login(t, s)
	tooLong := big(MaxMessage)
	p.say(string(badBody) + string(badFields) + string(tooLong) + string(numbered(8)))
	r.expect("connected", "8") // one bad message costs only itself
	p.say("GET / HTTP/1.0\r\n\r\n")
	p.expectEnd()
	r.expect("disconnected")
	login(t, s)
	r.expect("connected")
}

// Programs that never finish do not keep the client out.
func TestServer_waiting(t *testing.T) {
	r, events := record(t)
	s := listen(t, SameUser, events)
	for range maxWaiting - 1 {
		connect(t, s)
	}
	login(t, s)
	r.expect("connected")
	connect(t, s)
	for range 3 {
		over, err := net.Dial("unix", path(s))
		if err != nil {
			t.Fatal(err)
		}
		over.SetDeadline(time.Now().Add(patience))
		if _, err := over.Read(make([]byte, 1)); err == nil {
			t.Error("one too many is listened to")
		}
		over.Close()
	}
}

// Descriptors are closed at once, negotiated or not.
func TestServer_descriptors(t *testing.T) {
	r, events := record(t)
	s := listen(t, SameUser, events)
	p := login(t, s)
	ours, theirs, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	if _, _, err := p.WriteMsgUnix(numbered(1), syscall.UnixRights(int(theirs.Fd())), nil); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	r.expect("connected", "1")
	ours.SetReadDeadline(time.Now().Add(patience))
	if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("somebody still has the other end of the pipe: %v", err)
	}
}

func TestServer_noBus(t *testing.T) {
	s := listen(t, SameUser, Events{Message: func(h Header, _ []byte) { t.Errorf("passed on: %v", h) }})
	p := login(t, s)
	for _, flags := range []byte{FlagNoReply, 0} { // who wants no answer gets none
		call := raw{kind: KindCall, flags: flags, serial: 5 + uint32(flags), fields: []rawField{
			text(fieldPath, "o", "/org/freedesktop/DBus"), text(fieldMember, "s", "Hello"), text(fieldDestination, "s", busName)}}
		p.say(string(call.bytes()))
	}
	p.expect(BuildError(Header{Serial: 5, Destination: busName}, errorNoService, "There is no message bus in a tube"))
}

func TestServer_closeDuringLogin(t *testing.T) {
	s := listen(t, SameUser, Events{})
	p := connect(t, s)
	p.say("AUTH\r\n")
	p.r.ReadString('\n')
	s.Close()
	s.Wait()
	p.expectEnd()
}

// roundTrips measures a message there and back, as a tube's calls are.
func BenchmarkServer(b *testing.B) {
	for name, m := range map[string][]byte{"call": numbered(1), "1 MB": big(1 << 20)} {
		b.Run(name, func(b *testing.B) {
			var s *Server
			var ready sync.WaitGroup
			ready.Add(1)
			s = listen(b, SameUser, Events{Message: func(_ Header, m []byte) {
				ready.Wait()
				m, _ = SetSender(m, ":2.QWRh")
				s.Send(m)
			}})
			ready.Done()
			p := login(b, s)
			p.SetDeadline(time.Time{})
			answer, err := SetSender(m, ":2.QWRh")
			if err != nil {
				b.Fatal(err)
			}
			buf := make([]byte, len(answer))
			b.SetBytes(int64(len(m)))
			b.ReportAllocs()
			for b.Loop() {
				go p.Write(m)
				if _, err := io.ReadFull(p.r, buf); err != nil {
					b.Fatal(err)
				}
			}
			if !bytes.Equal(buf, answer) || binary.LittleEndian.Uint32(buf[8:]) == 0 {
				b.Error("other bytes came back")
			}
		})
	}
}
