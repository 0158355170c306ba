// Package gadget runs the server component on real servers, as an administrator
// would set it up, with children who speak XMPP and nothing else.
package gadget

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"telepathy-olpc/internal/child"
	"telepathy-olpc/tests/pupil"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// program is the built component.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "gadget-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	program = filepath.Join(dir, "olpc-gadget")
	out, err := exec.Command("go", "build", "-race", "-o", program, "telepathy-olpc/cmd/olpc-gadget").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s%v\n", out, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(dir)
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// hang bounds what would otherwise wait for ever.
const hang = 60 * time.Second

// world is a school with a component.
type world struct {
	t      *testing.T
	ctx    context.Context
	server *school.Server
	gadget jid.JID
	state  string

	proc *child.Process
	out  *lines
}

// lines collects what a program prints and tells when a line comes.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
	came chan string
}

func (l *lines) read(r io.Reader) {
	for in := bufio.NewScanner(r); in.Scan(); {
		l.mu.Lock()
		l.text.WriteString(in.Text() + "\n")
		l.mu.Unlock()
		l.came <- in.Text()
	}
	close(l.came)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newWorld(t *testing.T, kind school.Kind) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	w := &world{
		t: t, ctx: ctx, state: t.TempDir(), gadget: addr(t, "gadget.school.test"),
		server: school.StartTest(t, school.Options{Kind: kind, Roster: school.RosterNone, Component: "gadget"}),
	}
	w.start()
	t.Cleanup(func() {
		if err := w.proc.Stop(); err != nil {
			t.Errorf("component ended with %v", err)
		}
		if t.Failed() {
			t.Logf("component:\n%s", w.out)
		}
	})
	return w
}

// start starts the component and waits until the server has taken it in.
func (w *world) start() {
	w.t.Helper()
	cmd := exec.Command(program, "--address", w.gadget.String(), "--state", w.state, "--listen", "none", "--log-level", "debug",
		"--server", net.JoinHostPort(w.server.Host, strconv.Itoa(int(w.server.ComponentPort))))
	cmd.Env = append(os.Environ(), "OLPC_GADGET_SECRET="+school.ComponentSecret)
	r, out, err := os.Pipe()
	if err != nil {
		w.t.Fatal(err)
	}
	cmd.Stderr = out
	if w.proc, err = child.Start(cmd); err != nil {
		w.t.Fatal(err)
	}
	out.Close()
	w.out = &lines{came: make(chan string, 10_000)}
	go func() {
		defer r.Close()
		w.out.read(r)
	}()
	w.connected()
}

// connected waits until the component says so.
func (w *world) connected() {
	w.t.Helper()
	for timeout := time.After(hang); ; {
		select {
		case line, ok := <-w.out.came:
			if strings.Contains(line, "msg=Connected") {
				return
			}
			if !ok {
				w.t.Fatalf("component ended:\n%s", w.out)
			}
		case <-timeout:
			w.t.Fatalf("component not connected:\n%s", w.out)
		}
	}
}

var addr = xmpptest.JID

// kid is a child with views.
type kid struct {
	*pupil.Pupil
	w     *world
	name  string
	cfg   xmpp.Config
	in    chan *stanza.Element
	room  *muc.Room
	views map[string]*mirror
	here  int // how often the component has said that it is here
}

// mirror is a view as its client knows it.
type mirror struct {
	buddies    map[jid.JID]gadget.Buddy
	current    map[jid.JID]olpc.Activity
	activities map[jid.JID]gadget.Activity
	members    map[jid.JID]map[jid.JID]bool
}

// kid logs somebody in, registering the account the first time.
func (w *world) kid(name string) *kid {
	w.t.Helper()
	k := &kid{w: w, name: name, cfg: xmpp.Config{
		Account: addr(w.t, name+"@"+w.server.Domain), Resource: "xo", Password: xmpp.NewSecret("hush"), Server: w.server.Host, Port: w.server.DirectPort,
		DirectTLS: true, Register: true, RootCAs: w.server.CertPool,
	}}
	k.login()
	k.cfg.Register = false
	w.t.Cleanup(func() { k.Logout() })
	return k
}

func (k *kid) login() {
	k.w.t.Helper()
	k.in, k.views, k.room = make(chan *stanza.Element, 10_000), make(map[string]*mirror), nil
	in := k.in
	var err error
	k.Pupil, err = pupil.Login(k.w.ctx, k.cfg, func(s *xmpp.Session) {
		s.HandlePresence(func(e *stanza.Element) bool {
			if k.room == nil || !k.room.HandlePresence(e) {
				k.presence(s, e)
				in <- e
			}
			return true
		})
		s.HandleMessage(func(e *stanza.Element) bool {
			if k.room == nil || !k.room.HandleMessage(e) {
				in <- e
			}
			return true
		})
	})
	if err != nil {
		k.w.t.Fatal(err)
	}
	k.send(stanza.New(stanza.NSClient, "presence"))
}

// loginAgain is login of somebody whom the component knows, and waits until it
// says that it is here.
func (k *kid) loginAgain() {
	k.w.t.Helper()
	here := k.here
	k.login()
	k.until("the component is there", func(*stanza.Element) bool { return k.here > here })
}

// presence grants the component what it asks for.
func (k *kid) presence(s *xmpp.Session, e *stanza.Element) {
	if e.Attr("type") == "subscribe" {
		s.Send(stanza.New(stanza.NSClient, "presence", stanza.A("to", e.Attr("from")), stanza.A("type", "subscribed")))
	}
}

func (k *kid) send(e *stanza.Element) {
	k.w.t.Helper()
	if err := k.Send(e); err != nil {
		k.w.t.Fatal(err)
	}
}

// tell publishes a node of one's own.
func (k *kid) tell(node string, payload *stanza.Element) {
	k.w.t.Helper()
	for { // ejabberd refuses to make two nodes at once
		_, err := k.Ask(k.w.ctx, pep.BuildPublish(node, payload))
		if err == nil {
			return
		}
		if k.w.ctx.Err() != nil {
			k.w.t.Fatalf("%s publishes %s: %v", k.name, node, err)
		}
	}
}

// publish lets the component know what one looks like.
func (k *kid) publish(color string) {
	k.w.t.Helper()
	k.tell(pep.NodeNick, pep.BuildNick(strings.ToUpper(k.name)))
	k.tell(olpc.NodeBuddyProperties, olpc.BuildBuddyProperties(olpc.Properties{"color": color, "key": []byte(k.name)}))
	k.send(stanza.New(stanza.NSClient, "presence", stanza.A("to", k.w.gadget.String()), stanza.A("type", "subscribe")))
	here := k.here
	k.until("the component is there", func(*stanza.Element) bool { return k.here > here })
}

// until reads what comes until it is what is awaited.
func (k *kid) until(what string, is func(*stanza.Element) bool) {
	k.w.t.Helper()
	var seen []string
	for timeout := time.After(hang); ; {
		select {
		case e := <-k.in:
			seen = append(seen, fmt.Sprintf("%.300s", e))
			k.take(e)
			if is(e) {
				return
			}
		case <-timeout:
			k.w.t.Fatalf("%s waits: %s; came:\n%s", k.name, what, strings.Join(seen, "\n"))
		}
	}
}

// take keeps the views up to date.
func (k *kid) take(e *stanza.Element) {
	if e.Attr("from") != k.w.gadget.String() {
		return
	}
	if e.Local() == "presence" && e.Attr("type") == "" {
		k.here++
		clear(k.views) // they are gone with the old component
	}
	for _, n := range gadget.ParseNotifications(e) {
		k.notified(n)
	}
}

func (k *kid) notified(n gadget.Notification) {
	switch n := n.(type) {
	case gadget.Added:
		k.views[n.View].add(n.Buddies, n.Activities)
	case gadget.Removed:
		for _, b := range n.Buddies {
			delete(k.views[n.View].buddies, b)
		}
		for _, a := range n.Activities {
			delete(k.views[n.View].activities, a.Room)
		}
	case gadget.BuddyChange:
		v := k.views[n.View]
		b := v.buddies[n.JID]
		if n.Properties != nil {
			b.Properties = n.Properties
		}
		if n.Alias != "" {
			b.Alias = n.Alias
		}
		if n.Moved {
			v.current[n.JID] = n.Current
		}
		v.buddies[n.JID] = b
	case gadget.ActivityChange:
		v := k.views[n.View]
		a := v.activities[n.Room]
		a.Properties = n.Properties
		v.activities[n.Room] = a
	case gadget.Membership:
		v := k.views[n.View]
		for _, b := range n.Joined {
			v.members[n.Room][b.JID] = true
		}
		for _, b := range n.Left {
			delete(v.members[n.Room], b)
		}
	}
}

func (m *mirror) add(buddies []gadget.Buddy, activities []gadget.Activity) {
	for _, b := range buddies {
		m.buddies[b.JID] = b
	}
	for _, a := range activities {
		m.activities[a.Room], m.members[a.Room] = a, make(map[jid.JID]bool)
		for _, b := range a.Buddies {
			m.members[a.Room][b.JID] = true
		}
	}
}

// view opens a view.
func (k *kid) view(r gadget.Request) *mirror {
	k.w.t.Helper()
	reply, err := k.Ask(k.w.ctx, r.IQ(k.w.gadget))
	if err != nil {
		k.w.t.Fatalf("%s opens a view: %v", k.name, err)
	}
	c, ok := gadget.ParseContent(reply)
	if !ok {
		k.w.t.Fatalf("no content in %s", reply)
	}
	m := &mirror{make(map[jid.JID]gadget.Buddy), make(map[jid.JID]olpc.Activity), make(map[jid.JID]gadget.Activity), make(map[jid.JID]map[jid.JID]bool)}
	k.views[c.View] = m
	m.add(c.Buddies, c.Activities)
	return m
}

// sees waits until a view is as it should be.
func (k *kid) sees(what string, is func() bool) {
	k.w.t.Helper()
	if !is() {
		k.until(what, func(*stanza.Element) bool { return is() })
	}
}

// enter goes into a room, and makes it if it is not there.
func (k *kid) enter(room jid.JID) {
	k.w.t.Helper()
	joined := make(chan muc.Ending, 1)
	err := k.Do(func(s *xmpp.Session) {
		k.room = muc.New(muc.Config{Host: s, After: k.After, Self: k.Self, Room: room, Events: muc.Events{
			Joined: func(muc.Arrival) { joined <- muc.Ending{} }, Rejoined: func() {}, Entered: func(muc.Occupant) {}, Left: func(muc.Occupant, muc.Departure) {},
			Renamed: func(string, muc.Occupant) {}, Changed: func(_, _ muc.Occupant) {}, SelfChanged: func(_, _ muc.Occupant) {}, Subject: func(muc.Subject) {},
			Message: func(muc.Message) {}, Failed: func(string, string, *stanza.Error) {}, Declined: func(muc.Decline) {}, Reconfigured: func() {},
			Ended: func(e muc.Ending) { joined <- e },
		}})
		k.room.Join(muc.Entry{Nick: k.name, Settings: muc.ForActivity(), Presence: func() *stanza.Element { return stanza.New(stanza.NSClient, "presence") }})
	})
	if err != nil {
		k.w.t.Fatal(err)
	}
	if e := <-joined; e != (muc.Ending{}) {
		k.w.t.Fatalf("%s is not let into %s: %+v", k.name, room, e)
	}
}

func (k *kid) leave() {
	k.w.t.Helper()
	if err := k.Do(func(*xmpp.Session) { k.room.Leave("") }); err != nil {
		k.w.t.Fatal(err)
	}
}

// share makes an activity public, in the order of Sugar's clients.
func (k *kid) share(a olpc.ActivityProperties) {
	k.w.t.Helper()
	k.enter(a.Room)
	k.announce(a)
}

// announce makes the activity public whose room one is in.
func (k *kid) announce(a olpc.ActivityProperties) {
	k.w.t.Helper()
	k.send(olpc.BuildRoomMessage(a))
	k.tell(olpc.NodeActivityProperties, olpc.BuildActivityProperties([]olpc.ActivityProperties{a}))
	k.tell(olpc.NodeActivities, olpc.BuildActivities([]olpc.Activity{a.Activity}))
	k.send(olpc.BuildInvitation(k.w.gadget, a))
	k.send(muc.BuildInvitation(a.Room, k.w.gadget, gadget.InviteReason))
}
