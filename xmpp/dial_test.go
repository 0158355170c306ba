package xmpp

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"telepathy-olpc/internal/rawconn"
)

// school is a network for one test: services on the loopback and the name
// server that knows them.
type school struct {
	zone
	t *testing.T
}

func newSchool(t *testing.T) *school {
	return &school{t: t, zone: zone{services: map[string][]dnsmessage.SRVResource{}, addresses: map[string]string{
		"host.school.test.": "127.0.0.1", "school.test.": "127.0.0.1",
	}}}
}

// config is of an account there; Resolver knows what was added so far.
func (s *school) config() Config {
	return Config{Account: schoolAccount(s.t), Resolver: s.resolver(s.t)}
}

// listen starts a server that greets with its name, over TLS if config is not
// nil, and gives its port. With TLS it hangs up on who does not shake hands.
func (s *school) listen(name string, config *tls.Config) uint16 {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, name)
			conn.Close()
		}
	}()
	s.t.Cleanup(func() { listener.Close(); <-done })
	return portOf(listener)
}

// refusing is a port where nobody listens.
func (s *school) refusing() uint16 {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer listener.Close()
	return portOf(listener)
}

func portOf(l net.Listener) uint16 { return uint16(l.Addr().(*net.TCPAddr).Port) }

func wantGreeting(t *testing.T, c Config, want string) target {
	t.Helper()
	conn, where, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	if string(got) != want || err != nil {
		t.Errorf("connected to %q (%v), want %q", got, err, want)
	}
	if _, secure := conn.(*tls.Conn); secure != where.directTLS {
		t.Errorf("TLS: %v, target says %v", secure, where.directTLS)
	}
	return where
}

func TestDial_configuredServer(t *testing.T) {
	s := newSchool(t)
	c := s.config()
	c.Server, c.Port = "host.school.test", s.listen("configured", nil)
	if got, want := wantGreeting(t, c, "configured"), (target{"host.school.test", c.Port, false}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestDial_directTLS(t *testing.T) {
	s, root := newSchool(t), newAuthority(t, "root", nil)
	server := &tls.Config{Certificates: []tls.Certificate{newLeaf(t, root).chain()}, NextProtos: []string{"http/1.1", clientALPN}}
	c := s.config()
	c.RootCAs, c.DirectTLS = poolOf(root), true
	c.Server, c.Port = "127.0.0.1", s.listen("direct", server)
	conn, where, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	secure, ok := conn.(*tls.Conn)
	if !ok || !where.directTLS {
		t.Fatalf("got %T to %v, want TLS", conn, where)
	}
	if got := secure.ConnectionState().NegotiatedProtocol; got != clientALPN {
		t.Errorf("protocol %q, want %q", got, clientALPN)
	}
}

func TestDial_nextAfterRefusal(t *testing.T) {
	s := newSchool(t)
	s.services[plainService] = []dnsmessage.SRVResource{
		srv(0, 0, 5222, "missing.school.test."),
		srv(1, 0, s.refusing(), "host.school.test."),
		srv(2, 0, s.listen("third", nil), "host.school.test."),
	}
	wantGreeting(t, s.config(), "third")
}

func TestDial_nextAfterBrokenTLS(t *testing.T) {
	s := newSchool(t)
	s.services[directService] = []dnsmessage.SRVResource{srv(0, 0, s.listen("no TLS here\r\n", nil), "host.school.test.")}
	s.services[plainService] = []dnsmessage.SRVResource{srv(0, 0, s.listen("plain", nil), "host.school.test.")}
	wantGreeting(t, s.config(), "plain")
}

func TestDial_fallback(t *testing.T) {
	s := newSchool(t)
	s.services[plainService] = []dnsmessage.SRVResource{srv(0, 0, 0, ".")}
	c := s.config()
	c.FallbackServers = []string{
		"127.0.0.1:rubbish",
		target{host: "127.0.0.1", port: s.refusing()}.address(),
		target{host: "host.school.test", port: s.listen("fallback", nil)}.address(),
	}
	wantGreeting(t, c, "fallback")
}

// A wrong certificate may be somebody's attempt to send us elsewhere.
func TestDial_certificateIsFinal(t *testing.T) {
	s := newSchool(t)
	server := &tls.Config{Certificates: []tls.Certificate{newLeaf(t, nil).chain()}}
	next := target{host: "127.0.0.1", port: s.listen("must not be reached", nil)}
	s.services[directService] = []dnsmessage.SRVResource{srv(0, 0, s.listen("self-signed", server), "host.school.test.")}
	s.services[plainService] = []dnsmessage.SRVResource{srv(1, 0, next.port, "host.school.test.")}
	c := s.config()
	c.FallbackServers = []string{next.address()}
	conn, _, err := c.dial(t.Context())
	if conn != nil {
		t.Errorf("connected by %T", conn)
	}
	wantReason(t, err, CertificateSelfSigned)
}

func TestDial_errors(t *testing.T) {
	t.Run("nothing resolves", func(t *testing.T) {
		c := newSchool(t).config()
		c.Server, c.FallbackServers = "missing.school.test", []string{"missing-too.school.test"}
		var failed *DNSError
		_, _, err := c.dial(t.Context())
		if !errors.As(err, &failed) || failed.Name != "missing.school.test" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no service", func(t *testing.T) {
		s := newSchool(t)
		s.services[plainService] = []dnsmessage.SRVResource{srv(0, 0, 0, ".")}
		var failed *DNSError
		if _, _, err := s.config().dial(t.Context()); !errors.As(err, &failed) || failed.Name != "school.test" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no name", func(t *testing.T) {
		c := newSchool(t).config()
		c.Server = "."
		if _, _, err := c.dial(t.Context()); !errors.As(err, new(*DNSError)) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refused goes before unresolved", func(t *testing.T) {
		s := newSchool(t)
		c := s.config()
		refusing := target{host: "127.0.0.1", port: s.refusing()}
		c.Server, c.FallbackServers = "missing.school.test", []string{refusing.address()}
		var failed *DialError
		_, _, err := c.dial(t.Context())
		if !errors.As(err, &failed) || failed.Address != refusing.address() || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("broken TLS goes before refused", func(t *testing.T) {
		s := newSchool(t)
		c := s.config()
		c.Server, c.Port, c.DirectTLS = "127.0.0.1", s.listen("no TLS here\r\n", nil), true
		c.FallbackServers = []string{target{host: "127.0.0.1", port: s.refusing()}.address()}
		if _, _, err := c.dial(t.Context()); !errors.Is(err, ErrTLSFailed) {
			t.Errorf("got %v", err)
		}
	})
}

func TestDial_context(t *testing.T) {
	stop := errors.New("stopped by the user")
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	late, cancelLate := context.WithTimeout(t.Context(), 0)
	defer cancelLate()
	for _, server := range []string{"", "127.0.0.1"} {
		c := newSchool(t).config()
		c.Server = server
		if _, _, err := c.dial(cancelled); !errors.Is(err, stop) {
			t.Errorf("cancelled, server %q: %v", server, err)
		}
		if _, _, err := c.dial(late); !errors.Is(err, ErrTimeout) {
			t.Errorf("deadline, server %q: %v", server, err)
		}
	}
}

// A server that accepts and says nothing is left when the login's time is up.
func TestDial_silentTLSServer(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := newSchool(t).config()
	c.Server, c.Port, c.DirectTLS = "127.0.0.1", portOf(listener), true
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped by the user")
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			conn.Read(make([]byte, 1)) // the handshake has begun
			cancel(stop)
			conn.Close()
		}
	}()
	if _, _, err := c.dial(ctx); !errors.Is(err, stop) {
		t.Errorf("got %v, want %v", err, stop)
	}
}

func TestDial_socketOptions(t *testing.T) {
	s := newSchool(t)
	c := s.config()
	c.Server, c.Port = "127.0.0.1", s.listen("options", nil)
	conn, _, err := c.dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*rawconn.Conn).Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var noDelay, keepalive int
	err = raw.Control(func(fd uintptr) {
		noDelay, _ = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_NODELAY)
		keepalive, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_KEEPALIVE)
	})
	if err != nil || noDelay != 1 || keepalive != 1 {
		t.Errorf("TCP_NODELAY %d, SO_KEEPALIVE %d, %v; want both", noDelay, keepalive, err)
	}
}
