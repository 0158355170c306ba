package socks5

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// hash is some stream's.
var hash = strings.Repeat("0f", hashLen/2)

// wait only ends a hang.
const wait = 30 * time.Second

// What [Alone] might say.
func yes() bool { return true }
func no() bool  { return false }

func newServer(t testing.TB) *Server {
	t.Helper()
	s, err := Listen()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func dialServer(t testing.TB, s *Server) *net.TCPConn {
	t.Helper()
	c, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(s.Port())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(wait))
	return c
}

// here is the server as a streamhost.
func here(t testing.TB, s *Server) StreamHost {
	return StreamHost{addr(t, "ana@school.test/sugar"), "127.0.0.1", s.Port()}
}

func TestServer_admits(t *testing.T) {
	s := newServer(t)
	s.Expect(hash)
	c, host, err := Dial(context.Background(), []StreamHost{here(t, s)}, hash, yes)
	if err != nil || host != here(t, s) {
		t.Fatal(host, err)
	}
	defer c.Close()
	other := s.Take(hash)
	if other == nil {
		t.Fatal("nobody to be taken")
	}
	defer other.Close()
	other.Write([]byte("hello")) // no byte of it is taken by the handshake
	b := make([]byte, 5)
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" {
		t.Errorf("%q, %v", b, err)
	}
	if _, _, err := Dial(context.Background(), []StreamHost{here(t, s)}, hash, yes); !errors.Is(err, errRefused) {
		t.Errorf("admitted twice: %v", err)
	}
}

// What is said at either end, byte by byte: XEP-0065 examples 3 to 5.
func TestHandshake_bytes(t *testing.T) {
	request := append(append([]byte{5, 1, 0, 3, 40}, hash...), 0, 0)
	reply := append(append([]byte{5, 0, 0, 3, 40}, hash...), 0, 0)
	for _, c := range []struct {
		name, hears string
		ok          bool
	}{
		{"as we answer", "\x05\x00" + string(reply), true},
		{"with an address", "\x05\x00\x05\x00\x00\x01\x0a\x00\x00\x01\x1e\x61", true},
		{"with a long address", "\x05\x00\x05\x00\x00\x04" + strings.Repeat("a", 16) + "\x1e\x61", true},
		{"with an empty name", "\x05\x00\x05\x00\x00\x03\x00\x00\x00", true},
		{"refused", "\x05\x00\x05\x02\x00\x01\x0a\x00\x00\x01\x1e\x61", false},
		{"a password is wanted", "\x05\x02", false},
		{"nothing fits", "\x05\xff", false},
		{"version 4", "\x04\x00", false},
		{"mail server", "220 mail.school.test\r\n", false},
		{"unknown address", "\x05\x00\x05\x00\x00\x02" + strings.Repeat("a", 50), false},
	} {
		for cut := range len(c.hears) + 1 {
			w := &wire{in: strings.NewReader(c.hears[:cut])}
			err := Handshake(w, hash)
			if whole := cut == len(c.hears); (err == nil) != (whole && c.ok) {
				t.Errorf("%s, %d of %d bytes: %v", c.name, cut, len(c.hears), err)
			}
			if err == nil && !bytes.Equal(w.out.Bytes(), append([]byte{5, 1, 0}, request...)) {
				t.Errorf("%s: said %x", c.name, w.out.Bytes())
			}
		}
	}
}

// wire hears what was prepared and keeps what is said.
type wire struct {
	in  io.Reader
	out bytes.Buffer
}

func (w *wire) Read(p []byte) (int, error)  { return w.in.Read(p) }
func (w *wire) Write(p []byte) (int, error) { return w.out.Write(p) }

func TestServer_refuses(t *testing.T) {
	wrong := strings.Repeat("00", hashLen/2)
	for _, c := range []struct{ name, says, hears string }{
		{"wrong hash", "\x05\x01\x00\x05\x01\x00\x03\x28" + wrong + "\x00\x00", "\x05\x00\x05\x02\x00\x03\x28" + wrong + "\x00\x00"},
		{"short name", "\x05\x01\x00\x05\x01\x00\x03\x01a\x00\x00", "\x05\x00\x05\x02\x00\x03\x01a\x00\x00"},
		{"address", "\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50", "\x05\x00\x05\x02\x00\x03\x00\x00\x00"},
		{"to listen", "\x05\x01\x00\x05\x02\x00\x03\x28" + hash + "\x00\x00", "\x05\x00\x05\x07\x00\x03\x28" + hash + "\x00\x00"},
		{"with a password", "\x05\x01\x02", "\x05\xff"},
		{"no method", "\x05\x00", "\x05\xff"},
		{"SOCKS4", "\x04\x01\x00\x50\x0a\x00\x00\x01\x00", ""},
		{"HTTP", "GET / HTTP/1.0\r\n\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			s.Expect(hash)
			conn := dialServer(t, s)
			io.WriteString(conn, c.says)
			got, _ := io.ReadAll(conn)
			if string(got) != c.hears {
				t.Errorf("heard %x, want %x", got, c.hears)
			}
			if s.Take(hash) != nil {
				t.Error("admitted")
			}
		})
	}
}

// Who is slow is let go for who comes later, and costs nobody else anything.
func TestServer_slowOnes(t *testing.T) {
	s := newServer(t)
	s.Expect(hash)
	var slow []net.Conn
	for range maxHandshakes + 10 {
		c := dialServer(t, s)
		c.Write([]byte{5})
		slow = append(slow, c)
	}
	if _, err := io.ReadAll(slow[0]); errors.Is(err, context.DeadlineExceeded) {
		t.Error("the oldest was kept")
	}
	c, _, err := Dial(context.Background(), []StreamHost{here(t, s)}, hash, yes)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	s.Close()
	for i, c := range slow {
		if _, err := io.ReadAll(c); err != nil && errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("connection %d was left: %v", i, err)
		}
	}
}

// The last who comes for a stream has it: the one before was given up.
func TestServer_twice(t *testing.T) {
	s := newServer(t)
	s.Expect(hash)
	first, second := dialServer(t, s), dialServer(t, s)
	for _, c := range []net.Conn{first, second} {
		if err := Handshake(c, hash); err != nil {
			t.Fatal(err)
		}
	}
	conn := s.Take(hash)
	defer conn.Close()
	if conn.RemoteAddr().String() != second.LocalAddr().String() {
		t.Error("took the first")
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the first is still open")
	}
}

func TestServer_closeTwice(t *testing.T) {
	s := newServer(t)
	s.Expect(hash)
	c := dialServer(t, s)
	if err := Handshake(c, hash); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s.Close()
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("who was not taken is still open")
	}
	if s.Take(hash) != nil {
		t.Error("taken after the end")
	}
	if s.add(dialSomebody(t)) {
		t.Error("taken in after the end")
	}
}

// dialSomebody is a connection to somewhere else.
func dialSomebody(t *testing.T) *net.TCPConn {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.TCPConn)
}

// Those that do not answer, or not as they should, do not keep us from the one
// that does.
func TestDial_several(t *testing.T) {
	s := newServer(t)
	s.Expect(hash)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // does not accept
	if err != nil {
		t.Fatal(err)
	}
	gone := newServer(t)
	gone.Close()
	host := func(port uint16) StreamHost { return StreamHost{addr(t, "a"), "127.0.0.1", port} }
	other := newServer(t) // expects nobody
	hosts := []StreamHost{host(uint16(gone.listener.Addr().(*net.TCPAddr).Port)), host(other.Port()), here(t, s)}
	c, used, err := Dial(context.Background(), hosts, hash, yes)
	if err != nil || used != here(t, s) {
		t.Fatal(used, err)
	}
	c.Close()

	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(50*time.Millisecond, cancel)
	port := uint16(mute.Addr().(*net.TCPAddr).Port)
	if _, _, err := Dial(ctx, []StreamHost{host(port), host(port)}, hash, yes); err == nil {
		t.Error("connected with who says nothing")
	}
	mute.Close()
	if _, _, err := Dial(context.Background(), nil, hash, yes); err != ErrNoHost {
		t.Error(err)
	}
}

// Nobody has us connect to what is for this machine alone.
func TestDial_addresses(t *testing.T) {
	for _, c := range []struct {
		address  string
		loopback bool
		ok       bool
	}{
		{"192.168.1.2:80", false, true},
		{"[fd00::1]:80", false, true},
		{"127.0.0.1:80", false, false},
		{"127.0.0.1:80", true, true},
		{"[::1]:80", false, false},
		{"[::1]:80", true, true},
		{"[::ffff:127.0.0.1]:80", false, false},
		{"0.0.0.0:80", true, false},
		{"[::]:80", true, false},
		{"224.0.0.1:80", true, false},
		{"255.255.255.255:80", true, false},
		{"nonsense", true, false},
	} {
		d := dialer{alone: func() bool { return c.loopback }}
		if err := d.check(c.address); (err == nil) != c.ok {
			t.Errorf("%s, loopback %v: %v", c.address, c.loopback, err)
		}
	}
	s := newServer(t)
	s.Expect(hash)
	if _, _, err := Dial(context.Background(), []StreamHost{here(t, s), {addr(t, "a"), "localhost", s.Port()}}, hash, no); !errors.Is(err, errAddress) {
		t.Error(err)
	}
}

func TestPickAddresses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"laptop", "127.0.0.1/8 ::1/128 fd00::2/64 fe80::1/64 192.168.1.2/24", "192.168.1.2 fd00::2"},
		{"mesh", "127.0.0.1/8 169.254.3.4/16", "169.254.3.4"},
		{"alone", "127.0.0.1/8 ::1/128", "127.0.0.1 ::1 alone"},
		{"only a link", "127.0.0.1/8 ::1/128 fe80::1/64", "127.0.0.1 ::1 alone"},
		{"nothing", "", "alone"},
		{"many", strings.Repeat("10.0.0.1/8 ", 30), strings.TrimSpace(strings.Repeat("10.0.0.1 ", maxLocal))},
	} {
		var in []net.Addr
		for _, a := range strings.Fields(c.in) {
			ip, n, err := net.ParseCIDR(a)
			if err != nil {
				t.Fatal(err)
			}
			in = append(in, &net.IPNet{IP: ip, Mask: n.Mask})
		}
		hosts, alone := pickAddresses(append(in, &net.TCPAddr{}))
		if alone {
			hosts = append(hosts, "alone")
		}
		if got := strings.Join(hosts, " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// FuzzRequest and FuzzReply assert that each end takes exactly the handshake,
// whatever the other says.
func FuzzRequest(f *testing.F) {
	f.Add([]byte("\x05\x01\x00\x05\x01\x00\x03\x28" + hash + "\x00\x00rest"))
	f.Add([]byte("\x05\x02\x00\x02\x05\x01\x00\x01\x0a\x00\x00\x01\x00\x50"))
	f.Add([]byte("\x05\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := &wire{in: bytes.NewReader(in)}
		got, err := readRequest(w)
		if err != nil {
			return
		}
		if len(got) > 255 || len(in) < 2+1+7 {
			t.Errorf("took %q from %d bytes", got, len(in))
		}
		taken := len(in) - w.in.(*bytes.Reader).Len()
		again, err := readRequest(&wire{in: bytes.NewReader(in[:taken])})
		if err != nil || again != got {
			t.Errorf("%q of %d bytes, %v", again, taken, err)
		}
	})
}

func FuzzReply(f *testing.F) {
	f.Add([]byte("\x05\x00\x05\x00\x00\x03\x28" + hash + "\x00\x00rest"))
	f.Add([]byte("\x05\x00\x05\x00\x00\x04aaaaaaaaaaaaaaaa\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		w := &wire{in: bytes.NewReader(in)}
		if err := Handshake(w, hash); err == nil {
			if taken := len(in) - w.in.(*bytes.Reader).Len(); taken < 2+7 || taken > 2+5+255+2 || in[0] != version || in[3] != succeeded {
				t.Errorf("took %x", in[:taken])
			}
		}
	})
}
