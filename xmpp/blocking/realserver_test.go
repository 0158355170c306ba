package blocking

import (
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// hang bounds what would otherwise wait for ever.
const hang = 20 * time.Second

// pupil is a session on a real server with its block list.
type pupil struct {
	*xmpp.Session
	t       *testing.T
	loop    *loop.Loop
	list    *List
	ready   chan struct{}
	changes chan string
	heard   chan *stanza.Element // messages
}

func logIn(t *testing.T, server *school.Server, name, resource string) *pupil {
	t.Helper()
	account, err := jid.New(name, server.Domain, "")
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	p := &pupil{t: t, loop: loop.New(loop.Config{}), ready: make(chan struct{}), changes: make(chan string, 10), heard: make(chan *stanza.Element, 10)}
	p.Session = xmpp.NewSession(xmpp.Config{
		Account: account, Resource: resource, Password: xmpp.NewSecret("hush-" + name), Server: server.Host, Port: server.Port,
		RootCAs: server.CertPool, RequireEncryption: true, Log: logrus.NewEntry(log),
	}, p.loop, xmpp.Events{
		Ready:  func(jid.JID) { close(p.ready) },
		Lost:   func(err error) { t.Errorf("%s lost: %v", name, err) },
		Stanza: p.hear,
	})
	push := func(iq *stanza.Element) { p.Send(p.list.HandlePush(iq)) }
	p.HandleIQ(NS, push)
	p.HandleIQ(NSPrivacy, push)
	go p.loop.Run()
	t.Cleanup(p.leave)
	p.loop.Post("connect", p.Connect)
	await(t, p.ready, "login")
	p.list = New(Config{Asker: p, Self: p.Self(), Changed: p.changed})
	p.do(func(done func(error)) {
		host, _ := jid.New("", server.Domain, "")
		disco.AskInfo(p, host, "", func(info *disco.Info, err error) {
			if err != nil {
				t.Errorf("disco: %v", err)
			}
			p.list.Fetch(info, done)
		})
	})
	p.loop.Post("presence", func() { p.Send(stanza.New(stanza.NSClient, "presence")) })
	return p
}

func (p *pupil) leave() {
	gone := make(chan struct{})
	p.loop.Post("close", func() { p.Close(func() { close(gone) }) })
	await(p.t, gone, "end")
	p.loop.Close()
	<-p.loop.Done()
}

func (p *pupil) hear(e *stanza.Element) {
	if e.Local() == "message" {
		p.heard <- e
	}
}

func (p *pupil) changed(blocked, unblocked []jid.JID) {
	var line []string
	for _, who := range blocked {
		line = append(line, "+"+who.String())
	}
	for _, who := range unblocked {
		line = append(line, "-"+who.String())
	}
	slices.Sort(line)
	p.changes <- strings.Join(line, " ")
}

func await[T any](t *testing.T, c <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(hang):
		t.Fatalf("%s: nothing in %v", what, hang)
	}
	return v
}

// do runs something on the loop that must succeed.
func (p *pupil) do(what func(done func(error))) {
	p.t.Helper()
	result := make(chan error, 1)
	p.loop.Post("test", func() { what(func(err error) { result <- err }) })
	if err := await(p.t, result, "answer"); err != nil {
		p.t.Errorf("%v", err)
	}
}

func (p *pupil) wantChange(want string) {
	p.t.Helper()
	if got := await(p.t, p.changes, want); got != want {
		p.t.Errorf("change %q, want %q", got, want)
	}
}

func (p *pupil) say(to jid.JID, text string) {
	p.loop.Post("say", func() {
		p.Send(stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()), stanza.A("type", "chat"),
			stanza.New(stanza.NSClient, "body", stanza.Text(text))))
	})
}

// wantHeard wants a message with the text, and none before it.
func (p *pupil) wantHeard(text string) {
	p.t.Helper()
	if e := await(p.t, p.heard, text); e.Attr("type") == "error" || e.Child(stanza.NSClient, "body").Text() != text {
		p.t.Errorf("heard %s, want %q", e, text)
	}
}

// wantRefused wants a message back.
func (p *pupil) wantRefused() {
	p.t.Helper()
	if e := await(p.t, p.heard, "a refusal"); e.Attr("type") != "error" {
		p.t.Errorf("heard %s, want an error", e)
	}
}

// The school's ejabberd has privacy lists only, Prosody the blocking command
// only. On both, a list holds, is seen by other sessions, and is there at the
// next login.
func TestRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			server := school.StartTest(t, school.Options{Kind: kind, CA: true, Roster: school.RosterNone,
				Users: []school.User{{Name: "ana", Password: "hush-ana"}, {Name: "bob", Password: "hush-bob"}, {Name: "eva", Password: "hush-eva"}}})
			ana, other, bob := logIn(t, server, "ana", "sugar"), logIn(t, server, "ana", "phone"), logIn(t, server, "bob", "sugar")
			if tells := kind == school.Prosody; ana.list.TellsContacts() != tells {
				t.Errorf("TellsContacts is %v", !tells)
			}
			who := []jid.JID{bob.Self().Bare(), addr("eva@" + server.Domain)}
			ana.do(func(done func(error)) { ana.list.Block(who, done) })
			ana.wantChange("+bob@school.test +eva@school.test")
			if kind == school.Prosody { // ejabberd pushes lists, and not that one is in force now
				other.wantChange("+bob@school.test +eva@school.test")
			}
			bob.say(ana.Self().Bare(), "blocked")
			bob.wantRefused()
			logIn(t, server, "ana", "tablet").wantChange("+bob@school.test +eva@school.test")

			ana.do(func(done func(error)) { ana.list.Unblock(who[:1], done) })
			ana.wantChange("-bob@school.test")
			bob.say(ana.Self().Bare(), "hello again")
			ana.wantHeard("hello again")
			ana.do(func(done func(error)) { ana.list.Unblock(who, done) })
			ana.wantChange("-eva@school.test")
			ana.do(func(done func(error)) { ana.list.Block(who[1:], done) })
			ana.wantChange("+eva@school.test")
		})
	}
}
