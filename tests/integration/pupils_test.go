package integration

import (
	"context"
	"testing"

	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/pupil"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// pupilOf is how another child makes its account and logs in.
func pupilOf(t testing.TB, s *school.Server, nick string) xmpp.Config {
	t.Helper()
	account, err := jid.Parse(address(s, nick))
	if err != nil {
		t.Fatal(err)
	}
	return xmpp.Config{
		Account: account, Resource: "sugar", Password: xmpp.NewSecret(desktop.Child{Nick: nick}.Password()),
		Server: s.Host, Port: s.DirectPort, DirectTLS: true, RootCAs: s.CertPool, Register: true,
	}
}

// goOnline has another child on-line for the rest of the test.
func goOnline(t *testing.T, s *school.Server, nick string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	p, err := pupil.Login(ctx, pupilOf(t, s, nick), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Logout)
	if err := p.Send(stanza.New(stanza.NSClient, "presence")); err != nil {
		t.Fatal(err)
	}
	if err := p.Ping(ctx, p.Self); err != nil { // the server has handled the presence
		t.Fatal(err)
	}
}
