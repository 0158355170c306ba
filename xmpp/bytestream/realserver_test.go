package bytestream

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

// TestRealServers sends bytes in each way through an ejabberd and a Prosody,
// whose relays listen where others can reach them.
func TestRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			s := school.StartTest(t, school.Options{Kind: kind, Roster: school.RosterNone, Edit: func(config string) string {
				for _, key := range []string{`mod_proxy65: {ip: "`, `proxy65_address = "`} {
					config = strings.ReplaceAll(config, key+"127.0.0.1", key+ownAddress(t))
				}
				return strings.Replace(config, "proxy65_ports =", "proxy65_interfaces = { \"*\" }\nproxy65_ports =", 1)
			}})
			ana, bob := connect(t, s, "ana"), connect(t, s, "bob")
			t.Run("SOCKS5", func(t *testing.T) { passes(t, ana, bob, 20<<20, false) })
			t.Run("relay", func(t *testing.T) {
				ana.edit = withoutDirect
				defer func() { ana.edit = nil }()
				passes(t, ana, bob, 5<<20, false)
			})
			t.Run("IBB", func(t *testing.T) {
				ana.on(func() { ana.SetMethods(ibb.NS) })
				passes(t, ana, bob, 200<<10, true)
			})
		})
	}
}

// passes sends something and checks that it arrives as it was.
func passes(t *testing.T, a, b *pupil, size int64, inBand bool) {
	t.Helper()
	atA, atB := make(chan outcome, 1), make(chan outcome, 1)
	start := time.Now()
	a.on(func() { a.propose(b, atA) })
	o := await(t, b.offers, "an offer")
	b.on(func() { o.Accept(nil, func(c Conn, err error) { atB <- outcome{c, nil, err} }) })
	x, y := await(t, atA, "the initiator"), await(t, atB, "the target")
	if x.err != nil || y.err != nil {
		t.Fatal(x.err, y.err)
	}
	if _, through := x.conn.(*ibb.Stream); through != inBand {
		t.Errorf("went by %T", x.conn)
	}
	opened := time.Now()
	sent, came := sha256.New(), sha256.New()
	done := make(chan error, 1)
	go func() {
		_, err := io.Copy(x.conn, io.TeeReader(source(5, size), sent))
		done <- errors.Join(err, x.conn.CloseWrite())
	}()
	n, err := io.Copy(came, y.conn)
	if err := errors.Join(err, await(t, done, "the sender")); err != nil || n != size || !bytes.Equal(sent.Sum(nil), came.Sum(nil)) {
		t.Errorf("%d of %d bytes came: %v", n, size, err)
	}
	t.Logf("open after %v, %.1f MB/s", opened.Sub(start), float64(size)/1e6/time.Since(opened).Seconds())
	y.conn.Close()
	x.conn.Close()
}

// pupil is somebody with a session, and the Host of a Manager.
type pupil struct {
	*Manager
	session *xmpp.Session
	loop    *loop.Loop
	log     *logrus.Entry
	offers  chan *Offer
	edit    func(*stanza.Element) *stanza.Element // of our questions
}

func connect(t testing.TB, s *school.Server, name string) *pupil {
	t.Helper()
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	p := &pupil{loop: loop.New(loop.Config{}), log: logrus.NewEntry(quiet), offers: make(chan *Offer, 10)}
	ready := make(chan error, 2)
	p.session = xmpp.NewSession(xmpp.Config{
		Account: addr(t, name+"@"+s.Domain), Resource: "sugar", Password: xmpp.NewSecret("hush-" + name), Server: s.Host, Port: s.Port,
		Register: true, IgnoreTLSErrors: true,
	}, p.loop, xmpp.Events{Ready: func(jid.JID) { ready <- nil }, Lost: func(err error) { ready <- err }})
	relays := NewRelays(p, services.New(services.Config{
		Asker: p, Server: addr(t, s.Domain),
		After: func(d time.Duration, label string, f func()) func() { return p.After(d, label, f).Stop },
	}), nil)
	p.Manager = New(p, relays)
	p.Listen(p)
	p.Serve(tubes, func(o *Offer) { p.offers <- o })
	go p.loop.Run()
	t.Cleanup(p.end)
	p.on(p.session.Connect)
	if err := await(t, ready, name); err != nil {
		t.Fatal(err)
	}
	p.on(func() { p.Send(stanza.New(stanza.NSClient, "presence")) })
	return p
}

// propose offers a stream.
func (p *pupil) propose(to *pupil, result chan<- outcome) {
	p.Open(Proposal{To: to.session.Self(), Profile: tubes}, func(c Conn, e *stanza.Element, err error) { result <- outcome{c, e, err} })
}

func (p *pupil) end() {
	closed := make(chan struct{})
	p.on(func() { p.Manager.Close(); p.session.Close(func() { close(closed) }) })
	<-closed
	p.loop.Close()
	<-p.loop.Done()
}

func (p *pupil) on(f func()) {
	done := make(chan struct{})
	p.loop.Post("test", func() { f(); close(done) })
	<-done
}

func (p *pupil) Send(e *stanza.Element)           { p.session.Send(e) }
func (p *pupil) Post(label string, f func()) bool { return p.loop.Post(label, f) }
func (p *pupil) After(d time.Duration, label string, f func()) *loop.Timer {
	return p.loop.After(d, label, f)
}
func (p *pupil) Self() jid.JID                                  { return p.session.Self() }
func (p *pupil) Log() *logrus.Entry                             { return p.log }
func (p *pupil) HandleIQ(space string, f func(*stanza.Element)) { p.session.HandleIQ(space, f) }
func (p *pupil) HandleMessage(f func(*stanza.Element) bool)     { p.session.HandleMessage(f) }

func (p *pupil) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	p.AskWithin(time.Minute, iq, answer)
}

func (p *pupil) AskWithin(limit time.Duration, iq *stanza.Element, answer func(*stanza.Element, error)) {
	if p.edit != nil {
		iq = p.edit(iq)
	}
	p.session.AskWithin(limit, iq, answer)
}
