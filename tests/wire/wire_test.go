package wire

import (
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection through a proxy with both its ends.
func pair(t *testing.T) (p *Proxy, client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p = Start(t, l.Addr().String())
	client, err = net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.Port})
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return p, client, server
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, c net.Conn, text string) {
	t.Helper()
	got := make([]byte, len(text))
	c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != text {
		t.Fatalf("got %q and %v, want %q", got, err, text)
	}
}

func TestProxy_forwardsBothWays(t *testing.T) {
	_, client, server := pair(t)
	send(t, client, "ping")
	expect(t, server, "ping")
	send(t, server, "pong")
	expect(t, client, "pong")
}

func TestProxy_cutHoldsBackUntilHealed(t *testing.T) {
	p, client, server := pair(t)
	p.Cut()
	send(t, client, "held")
	server.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := server.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("a cut link let something through")
	}
	p.Heal()
	expect(t, server, "held")
}

func TestProxy_breakResets(t *testing.T) {
	p, client, server := pair(t)
	send(t, client, "x")
	expect(t, server, "x")
	p.Break()
	for _, end := range []net.Conn{client, server} {
		if _, err := end.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("%v, want a reset", err)
		}
	}
}

func TestProxy_dropEndsInOrder(t *testing.T) {
	p, client, server := pair(t)
	send(t, client, "x")
	expect(t, server, "x")
	p.Drop()
	for _, end := range []net.Conn{client, server} {
		if _, err := end.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("%v, want the end", err)
		}
	}
}

func TestProxy_targetDown(t *testing.T) {
	p := Start(t, "127.0.0.1:1")
	client, err := net.DialTCP("tcp", nil, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: p.Port})
	if err != nil {
		return // the reset was faster than the kernel's good news
	}
	defer client.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("a link to nowhere lives")
	}
}

func TestProxy_delays(t *testing.T) {
	const lag = 50 * time.Millisecond
	p, client, server := pair(t)
	p.Delay(lag)
	began := time.Now()
	send(t, client, "late")
	expect(t, server, "late")
	send(t, server, "later")
	expect(t, client, "later")
	if took := time.Since(began); took < 2*lag {
		t.Errorf("there and back in %v", took)
	}
}
