package muc

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRealServers runs the same on an ejabberd and on a Prosody.
func TestRealServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			s := realServer{school.StartTest(t, school.Options{Kind: kind, Roster: school.RosterNone})}
			t.Run("activity", s.testActivity)
			t.Run("forgotten", s.testForgotten)
			t.Run("refused", s.testRefused)
		})
	}
}

type realServer struct{ *school.Server }

// child is somebody with a session, and with at most one room. What happens is
// in the log.
type child struct {
	*xmpp.Session
	t    *testing.T
	loop *loop.Loop
	room *Room
	deaf string // the occupant whose departure the Room is not to hear of
	log  chan string
}

func (s realServer) connect(t *testing.T, name string) *child {
	t.Helper()
	account, err := jid.New(name, s.Domain, "")
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, loop: loop.New(loop.Config{}), log: make(chan string, 1000)}
	c.Session = xmpp.NewSession(xmpp.Config{
		Account: account, Resource: "sugar", Password: xmpp.NewSecret("hush-" + name), Server: s.Host, Port: s.Port,
		Register: true, IgnoreTLSErrors: true,
	}, c.loop, xmpp.Events{Ready: func(jid.JID) { c.log <- "ready" }, Lost: func(err error) { c.log <- "lost " + err.Error() }})
	c.HandlePresence(c.handlePresence)
	c.HandleMessage(c.handleMessage)
	go c.loop.Run()
	t.Cleanup(c.close)
	c.on(c.Connect)
	c.await("ready")
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence")) })
	c.await("own presence") // from here on messages reach it
	return c
}

func (c *child) handlePresence(e *stanza.Element) bool {
	if c.deaf != "" && e.Attr("from") == c.deaf && e.Attr("type") == "unavailable" {
		c.deaf = ""
		c.log <- "out"
		return true
	}
	if e.Attr("from") == c.Self().String() {
		c.log <- "own presence"
	}
	return c.room != nil && c.room.HandlePresence(e)
}

func (c *child) handleMessage(e *stanza.Element) bool {
	if c.room != nil && c.room.HandleMessage(e) {
		return true
	}
	if i, ok := ParseInvitation(e); ok {
		c.log <- fmt.Sprintf("invited %s %s %q mediated=%v", i.Room, i.From.Bare(), i.Reason, i.Mediated)
	}
	return true
}

func (c *child) close() {
	closed := make(chan struct{})
	c.loop.Post("close", func() { c.Close(func() { close(closed) }) })
	<-closed
	c.loop.Close()
	<-c.loop.Done()
}

// on runs f on the loop.
func (c *child) on(f func()) {
	done := make(chan struct{})
	c.loop.Post("test", func() { f(); close(done) })
	<-done
}

// await waits for an event that begins so, and passes over others.
func (c *child) await(want string) string {
	c.t.Helper()
	var passed []string
	for {
		select {
		case got := <-c.log:
			if strings.HasPrefix(got, want) {
				return got
			}
			passed = append(passed, got)
		case <-time.After(20 * time.Second):
			c.t.Fatalf("no %q, but %q", want, passed)
		}
	}
}

// enter goes into a room.
func (c *child) enter(room jid.JID, e Entry) {
	e.Presence = func() *stanza.Element { return stanza.New(stanza.NSClient, "presence") }
	after := func(d time.Duration, label string, f func()) func() { return c.loop.After(d, label, f).Stop }
	c.on(func() {
		w := &world{t: c.t, on: make(map[string]func())}
		c.room = New(Config{Host: c, After: after, Self: c.Self(), Room: room, Events: w.events()})
		for _, event := range []string{"joined", "rejoined", "entered", "left", "renamed", "changed", "self", "subject", "message", "failed", "declined", "reconfigured", "ended"} {
			w.on[event] = func() { c.log <- w.log[len(w.log)-1] }
		}
		c.room.Join(e)
	})
}

// conference finds the service for rooms.
func (c *child) conference() (found jid.JID) {
	c.t.Helper()
	c.on(func() {
		after := func(d time.Duration, label string, f func()) func() { return c.loop.After(d, label, f).Stop }
		services.New(services.Config{Asker: c, After: after, Server: jidOf(c.t, c.Self().Domain())}).First(services.Conference, func(s services.Service, ok bool) {
			found = s.JID
			c.log <- fmt.Sprintf("conference %v", ok)
		})
	})
	c.await("conference true")
	return found
}

func jidOf(t *testing.T, s string) jid.JID { return addr(t, s) }

func (c *child) say(to jid.JID, body string) {
	c.on(func() { c.Send(chat.Build(to, chat.Groupchat, "m-"+body, body)) })
}

func (c *child) info(room jid.JID) (s Settings) {
	c.t.Helper()
	c.on(func() {
		disco.AskInfo(c, room, "", func(info *disco.Info, err error) {
			s = ParseInfo(info)
			c.log <- fmt.Sprintf("info %v %v", IsRoom(info), err)
		})
	})
	c.await("info true <nil>")
	return s
}

// A child shares an activity, another is invited, both talk and leave.
func (s realServer) testActivity(t *testing.T) {
	ana, bea := s.connect(t, "ana"), s.connect(t, "bea")
	room := jidOf(t, "a1b2c3@"+ana.conference().String())
	ana.enter(room, Entry{Nick: "Ana", Settings: ForActivity()})
	if got := ana.await("joined"); got != "joined Ana created" {
		t.Errorf("got %q", got)
	}
	is := ana.info(room)
	for _, setting := range []Setting{Anonymous, InviteOnly, Persistent, Private} {
		if is[setting] != ForActivity()[setting] {
			t.Errorf("%s is %v", setting, is[setting])
		}
	}
	ana.on(func() { ana.Send(BuildInvitation(room, bea.Self().Bare(), "Join me")) })
	bea.await(fmt.Sprintf("invited %s ana@%s %q mediated=true", room, s.Domain, "Join me"))
	bea.on(func() {
		bea.Send(BuildDecline(Invitation{Room: room, From: ana.Self().Bare()}, "Later"))
	})
	if got := ana.await("declined"); !strings.HasPrefix(got, "declined bea@"+s.Domain) || !strings.HasSuffix(got, `"Later"`) {
		t.Errorf("got %q", got)
	}
	bea.enter(room, Entry{Nick: "Ana"})
	bea.await("joined Ana,Ana_")
	ana.await("entered Ana_ none participant bea@" + s.Domain + "/sugar")
	bea.say(room, "hello")
	bea.await(`message groupchat Ana_ "hello" own=true`)
	ana.await(`message groupchat Ana_ "hello" own=false`)
	bea.on(func() { bea.Send(BuildPrivate(room, "Ana", "p1", "psst")) })
	ana.await(`message chat Ana_ "psst"`)
	s.testInvitationByGuest(t, bea, room)
	s.testOwner(t, ana, bea, room)
}

// In a room for an activity everybody may invite.
func (s realServer) testInvitationByGuest(t *testing.T, bea *child, room jid.JID) {
	carla := s.connect(t, "carla")
	bea.on(func() { bea.Send(BuildInvitation(room, carla.Self().Bare(), "")) })
	carla.await("invited " + room.String())
}

func (s realServer) testOwner(t *testing.T, ana, bea *child, room jid.JID) {
	told := func(c *child) func(error) { return func(err error) { c.log <- fmt.Sprint("told ", err) } }
	bea.on(func() { bea.room.Configure(Settings{Private: true}, told(bea)) })
	bea.await("told get form: forbidden")
	ana.on(func() { ana.Send(BuildSubject(room, "Witches")) })
	bea.await(`subject "Witches" Ana`)
	ana.on(func() { ana.room.Configure(Settings{Title: "Heath", Moderated: false}, told(ana)) })
	ana.await("told <nil>")
	bea.await("reconfigured")
	if is := bea.info(room); is[Title] != "Heath" || is[Moderated] != false || is[Private] != true {
		t.Errorf("settings %v", is)
	}
	ana.on(func() { ana.room.Kick("Ana_", "Avaunt", told(ana)) })
	if got := bea.await("ended kicked"); !strings.Contains(got, `"Avaunt"`) {
		t.Errorf("got %q", got)
	}
	ana.await("left Ana_ kicked")
	bea.enter(room, Entry{Nick: "Bea"})
	bea.await("joined Ana,Bea")
	bea.await(`subject "Witches" Ana`)
	bea.on(func() { bea.room.Leave("bye") })
	bea.await("ended parted")
	ana.await(`left Bea parted saying "bye"`)
	bea.enter(room, Entry{Nick: "Bea"})
	bea.await("joined Ana,Bea")
	ana.on(func() { ana.room.Destroy("Macbeth doth come", told(ana)) })
	bea.await(`ended destroyed "Macbeth doth come"`)
	ana.await(`ended destroyed "Macbeth doth come"`)
}

// awaitGone waits until there is no such room. ejabberd 23.01 loses questions
// that come while a room ends; round trips to the server are when to ask again.
func (c *child) awaitGone(room jid.JID) {
	c.t.Helper()
	gone := false
	ping := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", c.Self().Domain()), stanza.New(nsPing, "ping"))
	var again func(*stanza.Element, error)
	again = func(_ *stanza.Element, err error) {
		if gone || err != nil {
			return
		}
		disco.AskInfo(c, room, "", func(info *disco.Info, err error) {
			if err != nil && !gone && !errors.Is(err, xmpp.ErrLost) {
				gone = true
				c.log <- "gone"
			}
		})
		c.Ask(ping, again)
	}
	c.on(func() { again(nil, nil) })
	c.await("gone")
}

// The room forgets a child, with the room still there and without.
func (s realServer) testForgotten(t *testing.T) {
	dora, eva := s.connect(t, "dora"), s.connect(t, "eva")
	room := jidOf(t, "d4e5f6@"+dora.conference().String())
	dora.enter(room, Entry{Nick: "Dora", Settings: ForActivity()})
	dora.await("joined Dora created")
	dora.on(dora.room.Check)
	dora.on(func() { dora.Send(chat.Build(room, chat.Groupchat, "", "still in")) })
	dora.await(`message groupchat Dora "still in"`)
	eva.enter(room, Entry{Nick: "Eva"})
	eva.await("joined Dora,Eva")

	// out leaves past the Room, which does not hear of it.
	out := func(c *child) {
		c.on(func() {
			c.deaf = c.room.self()
			c.Send(stanza.New(stanza.NSClient, "presence", stanza.A("type", "unavailable"), stanza.A("to", c.deaf)))
		})
		c.await("out")
	}
	out(dora)
	dora.say(room, "anybody?")
	dora.await("failed m-anybody?  not-acceptable")
	dora.await("rejoined")
	eva.await("left Dora parted")
	eva.await("entered Dora")

	out(dora)
	out(eva)
	dora.awaitGone(room)
	dora.on(dora.room.Check)
	dora.await("left Eva disconnected")
	dora.await("rejoined")
	eva.on(eva.room.Check)
	eva.await("rejoined")
	if is := eva.info(room); is[Anonymous] != false || is[Private] != true {
		t.Errorf("the new room is %v", is)
	}
}

func (s realServer) testRefused(t *testing.T) {
	flora, gina := s.connect(t, "flora"), s.connect(t, "gina")
	room := jidOf(t, "g7@"+flora.conference().String())
	flora.enter(room, Entry{Nick: "Flora", Settings: Settings{PasswordProtected: true, Password: "hush", InviteOnly: false}})
	flora.await("joined Flora created")
	gina.enter(room, Entry{Nick: "Gina"})
	gina.await("ended refused (not-authorized")
	gina.enter(room, Entry{Nick: "Gina", Password: "hush"})
	gina.await("joined Flora,Gina")
}
