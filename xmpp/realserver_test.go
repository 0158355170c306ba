package xmpp

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	servers "telepathy-olpc/tests/school"
	proxies "telepathy-olpc/tests/wire"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// TestRealServers runs the same on an ejabberd and on a Prosody.
func TestRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, kind := range servers.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			server := servers.StartTest(t, servers.Options{Kind: kind, CA: true, Roster: servers.RosterNone})
			s := realServer{server}
			t.Run("account", s.testAccount)
			t.Run("certificate", s.testCertificate)
			t.Run("resume", s.testResume)
			t.Run("silence", s.testSilence)
			t.Run("burst", s.testBurst)
		})
	}
}

// realServer is a server and what is tested on it.
type realServer struct{ *servers.Server }

// account is a new account over STARTTLS, verified strictly.
func (s realServer) account(t *testing.T, name string) Config {
	t.Helper()
	account, err := jid.New(name, s.Domain, "")
	if err != nil {
		t.Fatal(err)
	}
	return Config{
		Account: account, Resource: "sugar", Password: NewSecret("hush-" + name), Server: s.Host, Port: s.Port,
		Register: true, RequireEncryption: true, RootCAs: s.CertPool,
	}
}

func (c *client) awaitReady() jid.JID {
	c.t.Helper()
	e := c.next()
	if e.ready.IsZero() {
		c.t.Fatalf("got %+v, want ready", e)
	}
	return e.ready
}

func (s realServer) testAccount(t *testing.T) {
	cfg := s.account(t, "ana")
	c := connect(t, cfg)
	if self := c.awaitReady(); self.String() != "ana@"+s.Domain+"/sugar" {
		t.Errorf("bound %s", self)
	}
	c.close()

	var refusal *RegisterError
	if e := connect(t, cfg).next(); !errors.As(e.lost, &refusal) || refusal.Condition != "conflict" {
		t.Errorf("registered twice: %+v", e)
	}
	direct := cfg
	direct.Register, direct.DirectTLS, direct.Port = false, true, s.DirectPort
	c = connect(t, direct)
	c.awaitReady()

	wrong := direct
	wrong.Password = NewSecret("guess")
	var denied *SASLError
	if e := connect(t, wrong).next(); !errors.As(e.lost, &denied) || denied.Condition != "not-authorized" {
		t.Errorf("wrong password: %+v", e)
	}
}

func (s realServer) testCertificate(t *testing.T) {
	cfg := s.account(t, "carla")
	cfg.RootCAs = nil
	connect(t, cfg).wantLost(new(*CertificateError))
	cfg.IgnoreTLSErrors = true
	connect(t, cfg).awaitReady()
}

// through is an account whose connections a proxy can cut.
func (s realServer) through(t *testing.T, name string) (Config, *proxies.Proxy) {
	t.Helper()
	cfg := s.account(t, name)
	proxy := proxies.Start(t, net.JoinHostPort(s.Host, strconv.Itoa(int(s.Port))))
	cfg.Port = uint16(proxy.Port)
	return cfg, proxy
}

func message(to jid.JID, text string) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()), stanza.A("type", "chat"), stanza.New(stanza.NSClient, "body", stanza.Text(text)))
}

// sync waits for an answer of the server.
func (c *client) sync() {
	c.t.Helper()
	done := make(chan struct{})
	c.on(func() {
		ping := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", c.Self().Domain()), stanza.New(NSPing, "ping"))
		c.Ask(ping, func(_ *stanza.Element, err error) {
			if err != nil {
				c.t.Errorf("ping: %v", err)
			}
			close(done)
		})
	})
	c.await(done, "ping")
}

// wantMessages waits for these, passing over presences.
func (c *client) wantMessages(texts ...string) {
	c.t.Helper()
	for _, want := range texts {
		e := c.next()
		for e.stanza.Is(stanza.NSClient, "presence") {
			e = c.next()
		}
		if got := e.stanza.Child(stanza.NSClient, "body").Text(); got != want {
			c.t.Fatalf("got %+v, want message %q", e, want)
		}
	}
}

func (s realServer) testResume(t *testing.T) {
	cfg, proxy := s.through(t, "dora")
	dora := connect(t, cfg)
	self := dora.awaitReady()
	eva := connect(t, s.account(t, "eva"))
	to := eva.awaitReady()
	for _, c := range []*client{dora, eva} {
		c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence")) })
		c.sync()
	}
	for i := range 3 {
		name := func(s string) string { return fmt.Sprint(s, i) }
		eva.on(func() { eva.Send(message(self, name("before"))) })
		dora.wantMessages(name("before"))
		proxy.Break()
		dora.on(func() { dora.Send(message(to, name("out"))) })
		eva.on(func() { eva.Send(message(self, name("in"))) })
		dora.wantMessages(name("in"))
		eva.wantMessages(name("out"))
		dora.sync()
	}
}

func (s realServer) testSilence(t *testing.T) {
	cfg, proxy := s.through(t, "flora")
	cfg.Keepalive, cfg.DeadAfter = 300*time.Millisecond, 2*time.Second
	c := connect(t, cfg)
	c.awaitReady()
	c.sync()
	proxy.Cut()
	c.wantLog("Link lost, resuming the session")
	proxy.Heal()
	c.sync()
}

// testBurst receives more than ejabberd lets go unacknowledged.
func (s realServer) testBurst(t *testing.T) {
	const n = 6000
	gina := connect(t, s.account(t, "gina"))
	self := gina.awaitReady()
	hanna := connect(t, s.account(t, "hanna"))
	hanna.awaitReady()
	gina.on(func() { gina.Send(stanza.New(stanza.NSClient, "presence")) })
	gina.sync()
	hanna.on(func() {
		for i := range n {
			hanna.Send(message(self, strconv.Itoa(i)))
		}
	})
	for i := range n {
		gina.wantMessages(strconv.Itoa(i))
	}
	gina.sync()
}
