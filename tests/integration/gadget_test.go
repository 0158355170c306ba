package integration

import (
	"bufio"
	"context"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/child"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/wire"
)

// inspector is the server component, the real program.
type inspector struct {
	t       *testing.T
	server  *school.Server
	program string
	state   string
	proc    *child.Process
	ended   chan struct{} // closed when nobody reads any more what it says
}

func startInspector(t *testing.T, s *school.Server) *inspector {
	t.Helper()
	program := filepath.Join(t.TempDir(), "olpc-gadget")
	if out, err := exec.Command("go", "build", "-race", "-o", program, "telepathy-olpc/cmd/olpc-gadget").CombinedOutput(); err != nil {
		t.Fatalf("build the component: %v\n%s", err, out)
	}
	i := &inspector{t: t, server: s, program: program, state: t.TempDir()}
	i.start()
	t.Cleanup(func() {
		if err := i.proc.Stop(); err != nil {
			t.Errorf("the component ended with %v", err)
		}
		<-i.ended
	})
	return i
}

// start returns when the server has taken it in.
func (i *inspector) start() {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.t.Context(), patience)
	defer cancel()
	cmd := exec.Command(i.program, "--address", "gadget."+i.server.Domain, "--state", i.state, "--listen", "none",
		"--server", net.JoinHostPort(i.server.Host, strconv.Itoa(int(i.server.ComponentPort))))
	cmd.Env = append(os.Environ(), "OLPC_GADGET_SECRET="+school.ComponentSecret)
	out, in, err := os.Pipe()
	if err != nil {
		i.t.Fatal(err)
	}
	cmd.Stderr = in
	i.proc, err = child.Start(cmd)
	in.Close()
	if err != nil {
		i.t.Fatal(err)
	}
	connected := make(chan struct{})
	i.ended = make(chan struct{})
	go func() {
		defer close(i.ended)
		defer out.Close()
		tell := sync.OnceFunc(func() { close(connected) })
		for lines := bufio.NewScanner(out); lines.Scan(); { // to its end, so that it never has to wait
			if strings.Contains(lines.Text(), "msg=Connected") {
				tell()
			}
		}
	}()
	select {
	case <-connected:
	case <-ctx.Done():
		i.t.Fatal("the server does not take the component in")
	}
}

func (i *inspector) kill() {
	i.t.Helper()
	if err := i.proc.Kill(); err != nil {
		i.t.Fatal(err)
	}
	<-i.ended
}

// newViewer has one more child come, and those who are there meet it.
func newViewer(cm *cmtest.CM, nick string, s *school.Server, there ...*sharer) *sharer {
	cm.T.Helper()
	accounts, err := s.Accounts(cm.T.Context())
	if err != nil {
		cm.T.Fatal(err)
	}
	isNew := !slices.Contains(accounts, desktop.Child{Nick: nick}.Name())
	p := newSharer(cm, nick, s, cmtest.Param("register", isNew))
	p.looks("#FF2B34,#005FE4")
	if len(there) == 0 {
		return p
	}
	comings := []cmtest.Matcher{p.seesAll(there)}
	for _, other := range there {
		comings = append(comings, other.comes(p))
	}
	cm.ExpectUnordered(comings...)
	for _, other := range there {
		p.asksAbout(other)
		other.asksAbout(p)
	}
	return p
}

func (p *sharer) looks(color string) {
	p.T.Helper()
	p.Call(p.Path, tp.InterfaceBuddyInfo, "SetProperties", map[string]dbus.Variant{
		"color": dbus.MakeVariant(color), "key": dbus.MakeVariant([]byte(p.nick)),
	})
}

// colored matches that the other is seen in that colour.
func (p *sharer) colored(other *sharer, color string) cmtest.Matcher {
	p.T.Helper()
	return cmtest.Signal(tp.SignalBuddyInfoPropertiesChanged).At(p.Path).Args(p.contact(other)).Where("in "+color, func(e *cmtest.Event) bool {
		return cmtest.As[map[string]any](p.T, e.Arg(1))["color"] == color
	})
}

// takesPart matches that the other is in an activity, or, for "", in none.
func (p *sharer) takesPart(other *sharer, activity string) cmtest.Matcher {
	p.T.Helper()
	return p.sees(other, activity)[1]
}

// seesAll matches the last of the signals that tell of all: of some the same one
// may.
func (p *sharer) seesAll(all []*sharer) cmtest.Matcher {
	p.T.Helper()
	missing := make(map[uint32]cmtest.Matcher)
	for _, other := range all {
		missing[p.contact(other)] = p.comes(other)
	}
	return cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged).At(p.Path).Where("all are seen", func(e *cmtest.Event) bool {
		maps.DeleteFunc(missing, func(_ uint32, coming cmtest.Matcher) bool { return coming.Match(e) })
		return len(missing) == 0
	})
}

// testViews has children see each other who have nobody in their rosters: they
// share, join and chat, and whatever is ended comes back.
func testViews(t *testing.T, s *school.Server) {
	i := startInspector(t, s)
	proxy := wire.Start(t, net.JoinHostPort(s.Host, strconv.Itoa(int(s.DirectPort))))
	cm := cmtest.Start(t, sugars(s, "Anna", cmtest.Param("port", uint32(proxy.Port)))...)
	anna := newViewer(cm, "Anna", s)
	bela := newViewer(cm, "Bela", s, anna)
	cleo := newViewer(cm, "Cleo", s, anna, bela)
	for _, p := range []*sharer{bela, cleo} {
		got := cmtest.As[map[string]any](t, p.Call(p.Path, tp.InterfaceBuddyInfo, "GetProperties", p.contact(anna)).Arg(0))
		cmtest.Equal(t, got["color"], any("#FF2B34,#005FE4"))
	}

	sendFile(cm, cleo, anna)
	meetStranger(cm, s, bela)
	shareAmong(cm, anna, bela, cleo)
	bans := steady(cm, anna, bela, cleo)
	t.Log("the component is killed and starts again")
	i.kill()
	i.start()
	anna.looks("#00FF00,#0000FF")
	cm.ExpectUnordered(bela.colored(anna, "#00FF00,#0000FF"), cleo.colored(anna, "#00FF00,#0000FF"))
	t.Log("links break")
	proxy.Break()
	cleo.looks("#123456,#654321")
	cm.ExpectUnordered(anna.colored(cleo, "#123456,#654321"), bela.colored(cleo, "#123456,#654321"))
	cm.Sync()
	for _, b := range bans {
		b.Lift()
	}

	t.Log("Cleo goes while the component is away")
	i.kill()
	gone := both(seen(anna.Connection, anna.contact(cleo), offline), seen(bela.Connection, bela.contact(cleo), offline))
	cleo.Disconnect()
	i.start()
	cm.ExpectWithin(2*patience, gone)

	t.Log("the server is restarted")
	cm.ExpectExitOn(func() { // with nobody on-line the program has nothing to do
		if err := s.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}, 2*patience)
	cm = cmtest.Start(t, sugars(s, "Anna")...)
	anna = newViewer(cm, "Anna", s)
	bela = newViewer(cm, "Bela", s, anna)
	anna.Disconnect()
	bela.Disconnect()
}

// sendFile has one child send a file to another, of whom it knows no device.
func sendFile(cm *cmtest.CM, from, to *sharer) {
	cm.T.Helper()
	f := &passing{cm: cm, from: from.Connection, to: to.Connection, contact: from.contact(to), size: 1 << 20}
	f.begin()
	f.carry()
	f.check()
}

// meetStranger has one begin a chat with a child who is shown nobody, and send it
// a file; each is a buddy of the other then, until one goes.
func meetStranger(cm *cmtest.CM, s *school.Server, p *sharer) {
	cm.T.Helper()
	none := uint32(0)
	dora := newSharer(cm, "Dora", s, cmtest.Param("register", true), cmtest.Param("gadget-buddies", none), cmtest.Param("gadget-activities", none))
	coming := p.comes(dora)
	dora.looks("#FF2B34,#005FE4")
	cm.Expect(coming)
	met := dora.comes(p)
	cm.CallAsync(p.Path, tp.InterfaceConnection, "RequestChannel", tp.InterfaceChannelText.Name, uint32(tp.HandleTypeContact), p.contact(dora), true)
	cm.Expect(met)
	dora.asksAbout(p)
	got := cmtest.As[map[string]any](cm.T, dora.Call(dora.Path, tp.InterfaceBuddyInfo, "GetProperties", dora.contact(p)).Arg(0))
	cmtest.Equal(cm.T, got["key"], any([]byte(p.nick)))
	sendFile(cm, p, dora)
	gone := seen(p.Connection, p.contact(dora), offline)
	dora.Disconnect()
	cm.Expect(gone)
}

// both matches the second of two events, whichever that is.
func both(one, other cmtest.Matcher) cmtest.Matcher {
	var first, second bool
	return cmtest.Match{}.Where(one.String()+" and "+other.String(), func(e *cmtest.Event) bool {
		first, second = first || one.Match(e), second || other.Match(e)
		return first && second
	})
}

// steady forbids that any child goes, or leaves its activity, for any other.
func steady(cm *cmtest.CM, all ...*sharer) []*cmtest.Ban {
	cm.T.Helper()
	var bans []*cmtest.Ban
	for _, p := range all {
		bans = append(bans, cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged).At(p.Path)))
		for _, other := range all {
			if p != other {
				bans = append(bans, cm.Forbid(seen(p.Connection, p.contact(other), offline)), cm.Forbid(p.takesPart(other, "")))
			}
		}
	}
	return bans
}

// shareAmong has one share an activity, another join it, and a third see both in it.
func shareAmong(cm *cmtest.CM, owner, guest, third *sharer) {
	cm.T.Helper()
	owner.enter(owner.Room(sharedID))
	owner.Call(owner.Path, tp.InterfaceBuddyInfo, "AddActivity", sharedID, owner.room)
	owner.Call(owner.Path, tp.InterfaceActivityProperties, "SetProperties", owner.room, map[string]dbus.Variant{
		"color": dbus.MakeVariant("#FF2B34,#005FE4"), "name": dbus.MakeVariant("Our trees"),
		"type": dbus.MakeVariant("org.laptop.Chat"), "private": dbus.MakeVariant(false),
	})
	cm.ExpectUnordered(guest.takesPart(owner, sharedID), third.takesPart(owner, sharedID))
	room := cmtest.As[uint32](cm.T, guest.Call(guest.Path, tp.InterfaceActivityProperties, "GetActivity", sharedID).Arg(0))
	guest.enter(room)
	changed := cm.ExpectUnordered(owner.membersChange(), third.takesPart(guest, sharedID))
	owner.meets(guest, cmtest.As[[]uint32](cm.T, changed[0].Arg(1)))
	guest.meets(owner, slices.Clone(cmtest.As[[]uint32](cm.T, guest.Call(guest.channel, tp.InterfaceChannelGroup, "GetAllMembers").Arg(0))))
	owner.says("Which tree is in front of your house?", guest)
	guest.says("An old lime", owner)
}
