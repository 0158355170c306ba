package school

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"telepathy-olpc/internal/child/childtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// each runs a test on both servers.
func each(t *testing.T, test func(t *testing.T, kind Kind)) {
	for _, kind := range Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

func TestStart_twoAtOnceWithAccounts(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		a := StartTest(t, Options{Kind: kind, Users: []User{{"ada", "secret"}}})
		b := StartTest(t, Options{Kind: kind, Roster: RosterAll, CA: true, Plus: true})
		if err := b.Register(t.Context(), User{"bob.b", "secret"}); err != nil {
			t.Fatal(err)
		}
		for s, want := range map[*Server]string{a: "ada", b: "bob.b"} {
			got, err := s.Accounts(t.Context())
			if err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("accounts are %q, %v; want %q", got, err, want)
			}
		}
	})
}

func TestFeatures(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		open := StartTest(t, Options{Kind: kind})
		closed := StartTest(t, Options{Kind: kind, Closed: true, Roster: RosterNone})
		for s, want := range map[*Server]bool{open: true, closed: false} {
			got := features(t, s)
			if strings.Contains(got, "http://jabber.org/features/iq-register") != want {
				t.Errorf("registration offered should be %v: %s", want, got)
			}
			if !strings.Contains(got, "SCRAM-SHA-1<") {
				t.Errorf("no SCRAM-SHA-1: %s", got)
			}
		}
	})
}

// features gives what a server offers on the direct TLS port, where a client without TLS trouble would log in.
func features(t *testing.T, s *Server) string {
	t.Helper()
	conn, err := tls.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(int(s.DirectPort))), &tls.Config{RootCAs: s.CertPool, ServerName: s.Domain})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(probeTimeout)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='" + s.Domain + "' version='1.0'>")); err != nil {
		t.Fatal(err)
	}
	var got []byte
	for buf := make([]byte, 4096); !bytes.Contains(got, []byte("</stream:features>")); {
		n, err := conn.Read(buf)
		if got = append(got, buf[:n]...); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
	}
	return string(got)
}

func TestStop_leavesNothing(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
		defer cancel()
		s, err := Start(ctx, Options{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		if len(childtest.WithHome(t, s.dir)) == 0 {
			t.Fatal("no process of the running server found: this test would prove nothing")
		}
		for range 2 { // twice is fine
			if err := s.Stop(); err != nil {
				t.Error(err)
			}
		}
		if left := childtest.WithHome(t, s.dir); len(left) > 0 {
			t.Errorf("processes left: %q", left)
		}
		if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
			t.Errorf("folder left: %v", err)
		}
	})
}

func TestKill_restartKeepsPortsAndAccounts(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
		defer cancel()
		s := StartTest(t, Options{Kind: kind, Users: []User{{"ada", "secret"}}})
		port := s.Port
		if err := s.Restart(ctx); err != nil { // flushes ejabberd's account to disk
			t.Fatal(err)
		}
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if left := childtest.WithHome(t, s.dir); len(left) > 0 {
			t.Errorf("processes left: %q", left)
		}
		if err := s.Restart(ctx); err != nil {
			t.Fatal(err)
		}
		got, err := s.Accounts(ctx)
		if err != nil || s.Port != port || !slices.Equal(got, []string{"ada"}) {
			t.Errorf("port %d with accounts %q, %v; want %d with ada", s.Port, got, err, port)
		}
	})
}

func TestStart_portTaken(t *testing.T) {
	each(t, func(t *testing.T, kind Kind) {
		ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
		defer cancel()
		first := StartTest(t, Options{Kind: kind})
		s, err := newServer(Options{Kind: kind, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		s.Port, s.DirectPort, s.ProxyPort, s.apiPort = first.Port, first.DirectPort, first.ProxyPort, first.apiPort
		if err := s.backend.configure(s); err != nil {
			t.Fatal(err)
		}
		if err := s.launch(ctx); !errors.Is(err, errPortTaken) {
			t.Errorf("got %v, want %v", err, errPortTaken)
		}
	})
}
