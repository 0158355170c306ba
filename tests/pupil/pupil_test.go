package pupil

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestPupil(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody})
	account, err := jid.New("ada", s.Domain, "")
	if err != nil {
		t.Fatal(err)
	}
	cfg := xmpp.Config{
		Account: account, Resource: "desk", Password: xmpp.NewSecret("hush"), Server: s.Host, Port: s.DirectPort,
		DirectTLS: true, Register: true, RootCAs: s.CertPool,
	}
	shown := make(chan string, 1)
	ada, err := Login(ctx, cfg, func(session *xmpp.Session) {
		session.HandlePresence(func(e *stanza.Element) bool {
			shown <- e.Attr("from")
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ada.Logout()
	if err := ada.Send(stanza.New(stanza.NSClient, "presence")); err != nil {
		t.Error(err)
	}
	if from := <-shown; from != ada.Self.String() {
		t.Errorf("presence from %s, want %s", from, ada.Self)
	}
	if err := ada.Ping(ctx, ada.Self); err != nil {
		t.Error(err)
	}
	var refusal *xmpp.RegisterError
	if _, err := Login(ctx, cfg, nil); !errors.As(err, &refusal) {
		t.Errorf("registered twice: %v", err)
	}
	if err := ada.Lost(); err != nil {
		t.Error(err)
	}
	ada.Logout()
	if err := ada.Send(stanza.New(stanza.NSClient, "presence")); !errors.Is(err, ErrLoggedOut) {
		t.Errorf("sent after the end: %v", err)
	}
}

func TestLogin_stopped(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	account, err := jid.New("ada", "school.test", "")
	if err != nil {
		t.Fatal(err)
	}
	cfg := xmpp.Config{Account: account, Server: "127.0.0.1", Port: uint16(silent.Addr().(*net.TCPAddr).Port)}
	if _, err := Login(ctx, cfg, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
