package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// BenchmarkSchool is what two children wait for whose laptops have the binary
// as it is released and whose school has a real ejabberd, as clients on D-Bus
// see it. The times are medians: now and then the machine has other things to
// do. CM_BINARY names another connection manager to measure.
func BenchmarkSchool(b *testing.B) {
	binary := releaseBinary(b)
	server := school.StartTest(b, school.Options{Kind: school.Ejabberd})
	for _, benchmark := range []struct {
		name string
		run  func(*testing.B, *pair)
	}{
		{"register", benchmarkRegister},
		{"login", benchmarkLogin},
		{"buddy properties", benchmarkBuddyProperties},
		{"activity", benchmarkActivity},
		{"connect, share, first message", benchmarkFirstMessage},
		{"room message and answer", benchmarkRoundTrip},
		{"room messages", benchmarkMessages},
	} {
		b.Run(benchmark.name, func(b *testing.B) { benchmark.run(b, openPair(b, server, binary)) })
	}
}

// benchmarkRegister is from Connect to CONNECTED for a child without account.
func benchmarkRegister(b *testing.B, p *pair) {
	p.measure(b, func() time.Duration {
		p.ana.request("Newcomer "+newID(), true)
		took := stopwatch(p.ana.connect)
		p.ana.disconnect()
		return took
	})
}

// benchmarkLogin is the same for a child who has one.
func benchmarkLogin(b *testing.B, p *pair) {
	p.register()
	p.measure(b, func() time.Duration {
		p.ana.request(p.ana.nick, false)
		took := stopwatch(p.ana.connect)
		p.ana.disconnect()
		return took
	})
}

// benchmarkBuddyProperties is from one child's call to the other's signal.
func benchmarkBuddyProperties(b *testing.B, p *pair) {
	p.online()
	changes := 0
	p.measure(b, func() time.Duration {
		changes++
		color := fmt.Sprintf("#%06X,#005FE4", changes)
		return stopwatch(func() {
			p.ana.start(p.ana.path, tp.InterfaceBuddyInfo, "SetProperties", map[string]any{"color": color})
			p.ben.sees("a buddy's new colour", tp.SignalBuddyInfoPropertiesChanged, func(s *dbus.Signal) bool {
				return s.Body[1].(map[string]dbus.Variant)["color"].Value() == color
			})
		})
	})
}

// benchmarkActivity is from the calls with which Sugar shares what it has a room
// for to the other child's signal.
func benchmarkActivity(b *testing.B, p *pair) {
	p.online()
	p.measure(b, func() time.Duration {
		activity := newID()
		p.ana.join(activity)
		took := stopwatch(func() {
			p.ana.share(activity)
			p.ben.seesActivity(activity)
		})
		p.ana.call(p.ana.channel, tp.InterfaceChannel, "Close")
		p.ana.sees("the room closed", tp.SignalChannelClosed, func(s *dbus.Signal) bool { return s.Path == p.ana.channel })
		return took
	})
}

// benchmarkFirstMessage is all of the story: both children come, one shares, the
// other sees it and joins, and reads what the first one says then.
func benchmarkFirstMessage(b *testing.B, p *pair) {
	p.register()
	p.measure(b, func() time.Duration {
		activity := newID()
		p.ana.request(p.ana.nick, false)
		p.ben.request(p.ben.nick, false)
		took := stopwatch(func() {
			p.ben.start(p.ben.path, tp.InterfaceConnection, "Connect")
			p.ana.connect()
			p.ben.untilConnected()
			p.meet(activity)
			p.ana.says("hello")
			p.ben.reads("hello")
		})
		p.ana.disconnect()
		p.ben.disconnect()
		return took
	})
}

// benchmarkRoundTrip is a message in a room and the other child's answer.
func benchmarkRoundTrip(b *testing.B, p *pair) {
	p.online()
	p.meet(newID())
	n := 0
	p.measure(b, func() time.Duration {
		n++
		question, answer := fmt.Sprint("question ", n), fmt.Sprint("answer ", n)
		return stopwatch(func() {
			p.ana.says(question)
			p.ben.reads(question)
			p.ben.says(answer)
			p.ana.reads(answer)
		})
	})
}

// benchmarkMessages is how fast messages get through a room, each acknowledged
// as Sugar does it. It tells as well what the processes have grown to.
func benchmarkMessages(b *testing.B, p *pair) {
	p.online()
	p.meet(newID())
	const underway = 100
	sent, read := 0, 0
	readOne := func() {
		read++
		p.ben.reads(fmt.Sprint("message ", read))
	}
	began := time.Now()
	for b.Loop() {
		if sent-read == underway {
			readOne()
		}
		sent++
		p.ana.says(fmt.Sprint("message ", sent))
	}
	for read < sent {
		readOne()
	}
	b.ReportMetric(float64(sent)/time.Since(began).Seconds(), "messages/s")
	b.ReportMetric(max(p.ana.resident(), p.ben.resident()), "RSS-MB")
}

// releaseBinary builds the connection manager as make build does.
func releaseBinary(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("CM_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(b.TempDir(), "telepathy-olpc")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "telepathy-olpc/cmd/telepathy-olpc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the connection manager: %v\n%s", err, out)
	}
	return path
}

func stopwatch(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// pair is two children with a laptop each.
type pair struct{ ana, ben *laptop }

func openPair(b *testing.B, s *school.Server, binary string) *pair {
	b.Helper()
	return &pair{ana: openLaptop(b, s, binary, "Ana "+newID()), ben: openLaptop(b, s, binary, "Ben "+newID())}
}

// measure reports the median of what once gives, after a first time, for which
// the server makes the children's nodes.
func (p *pair) measure(b *testing.B, once func() time.Duration) {
	b.Helper()
	once()
	var took []time.Duration
	for b.Loop() {
		took = append(took, once())
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2])/float64(time.Millisecond), "median-ms")
	b.ReportMetric(0, "ns/op") // has what is done between the measurements
}

// register gives both an account.
func (p *pair) register() {
	for _, l := range []*laptop{p.ana, p.ben} {
		l.request(l.nick, true)
		l.connect()
		l.disconnect()
	}
}

// online has both come for the first time.
func (p *pair) online() {
	for _, l := range []*laptop{p.ana, p.ben} {
		l.request(l.nick, true)
		l.connect()
	}
}

// meet has ana share an activity and ben join it; each sees the other in there.
func (p *pair) meet(activity string) {
	p.ana.join(activity)
	p.ana.share(activity)
	p.ben.seesActivity(activity)
	p.ben.join(activity)
	p.ana.sees("somebody else in the room", tp.SignalChannelGroupMembersChanged, func(s *dbus.Signal) bool {
		return s.Path == p.ana.channel && len(s.Body[1].([]uint32)) > 0
	})
}

// newID is an identifier that nothing had before.
func newID() string { return fmt.Sprintf("%040x", time.Now().UnixNano()) }

// laptop is a session bus with the connection manager and a client in our place.
type laptop struct {
	*desktop.Desktop

	b       *testing.B
	ctx     context.Context
	server  *school.Server
	nick    string
	name    string          // of the connection
	path    dbus.ObjectPath // likewise
	room    uint32          // of the activity
	channel dbus.ObjectPath // to the room
}

func openLaptop(b *testing.B, s *school.Server, binary, nick string) *laptop {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*patience)
	b.Cleanup(cancel)
	d, err := desktop.Start(ctx, desktop.Options{Binary: binary})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("log of %s's session:\n%s", nick, d.Log())
		}
		if err := d.Stop(); err != nil {
			b.Error(err)
		}
	})
	return &laptop{Desktop: d, b: b, ctx: ctx, server: s, nick: nick}
}

// request requests a connection as Sugar does it.
func (l *laptop) request(nick string, register bool) {
	l.b.Helper()
	gabble := manager.Gabble()
	child := desktop.Child{Nick: nick}
	parameters := map[string]any{
		"account": address(l.server, nick), "password": child.Password(), "server": l.server.Host, "port": uint32(l.server.DirectPort),
		"resource": "sugar", "require-encryption": true, "ignore-ssl-errors": true, "register": register, "old-ssl": true,
	}
	err := l.Bus.Object(gabble.BusName(), gabble.Path()).
		CallWithContext(l.ctx, tp.InterfaceConnectionManager.Name+".RequestConnection", 0, "jabber", variants(parameters)).Store(&l.name, &l.path)
	if err != nil {
		l.b.Fatalf("request a connection: %v", err)
	}
	l.call(l.path, tp.InterfaceBuddyInfo, "SetProperties", map[string]any{"key": child.Key(), "color": "#FF2B34,#005FE4"})
}

func (l *laptop) connect() {
	l.b.Helper()
	l.start(l.path, tp.InterfaceConnection, "Connect")
	l.untilConnected()
}

func (l *laptop) untilConnected() {
	l.b.Helper()
	l.hasStatus(tp.ConnectionStatusConnected)
}

func (l *laptop) disconnect() {
	l.b.Helper()
	l.start(l.path, tp.InterfaceConnection, "Disconnect")
	l.hasStatus(tp.ConnectionStatusDisconnected)
}

func (l *laptop) hasStatus(want tp.ConnectionStatus) {
	l.b.Helper()
	l.sees(fmt.Sprint("status ", want), tp.SignalConnectionStatusChanged, func(s *dbus.Signal) bool {
		return s.Path == l.path && s.Body[0] == uint32(want)
	})
}

// join comes into the room of an activity.
func (l *laptop) join(activity string) {
	l.b.Helper()
	var rooms []uint32
	l.call(l.path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeRoom), []string{activity}).Store(&rooms)
	l.room = rooms[0]
	l.call(l.path, tp.InterfaceConnection, "RequestChannel", tp.InterfaceChannelText.Name, uint32(tp.HandleTypeRoom), l.room, true).Store(&l.channel)
}

// share announces an activity whose room has been joined.
func (l *laptop) share(activity string) {
	l.b.Helper()
	l.call(l.path, tp.InterfaceBuddyInfo, "AddActivity", activity, l.room)
	l.call(l.path, tp.InterfaceActivityProperties, "SetProperties", l.room, map[string]any{
		"type": "org.laptop.Chat", "name": l.nick + " Chat Activity", "color": "#FF2B34,#005FE4", "private": false,
	})
}

func (l *laptop) seesActivity(activity string) {
	l.b.Helper()
	l.sees("the activity", tp.SignalBuddyInfoActivitiesChanged, func(s *dbus.Signal) bool {
		return slices.ContainsFunc(s.Body[1].([][]any), func(a []any) bool { return a[0] == activity })
	})
}

func (l *laptop) says(words string) {
	l.start(l.channel, tp.InterfaceChannelText, "Send", uint32(tp.ChannelTextMessageTypeNormal), words)
}

// reads waits for a message and acknowledges it.
func (l *laptop) reads(words string) {
	l.b.Helper()
	got := l.sees(words, tp.SignalChannelTextReceived, func(s *dbus.Signal) bool { return s.Body[5] == words })
	l.start(l.channel, tp.InterfaceChannelText, "AcknowledgePendingMessages", []uint32{got.Body[0].(uint32)})
}

// call makes a call that must succeed, and start one whose effect tells.
func (l *laptop) call(object dbus.ObjectPath, on *tp.Interface, method string, args ...any) *dbus.Call {
	l.b.Helper()
	call := l.Bus.Object(l.name, object).CallWithContext(l.ctx, on.Name+"."+method, 0, dictionaries(args)...)
	if call.Err != nil {
		l.b.Fatalf("%s, %s: %v", l.nick, method, call.Err)
	}
	return call
}

func (l *laptop) start(object dbus.ObjectPath, on *tp.Interface, method string, args ...any) {
	l.Bus.Object(l.name, object).Go(on.Name+"."+method, 0, nil, dictionaries(args)...)
}

func dictionaries(args []any) []any {
	args = slices.Clone(args)
	for i, arg := range args {
		if d, is := arg.(map[string]any); is {
			args[i] = variants(d)
		}
	}
	return args
}

func variants(d map[string]any) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant, len(d))
	for name, value := range d {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

// sees reads signals until it is the one, and asks who they are that come, as
// Sugar does: before that nobody needs to tell what they do.
func (l *laptop) sees(what string, want tp.Signal, is func(*dbus.Signal) bool) *dbus.Signal {
	l.b.Helper()
	for {
		select {
		case s := <-l.Signals:
			l.meet(s)
			if isSignal(s, want) && is(s) {
				return s
			}
		case <-l.ctx.Done():
			l.b.Fatalf("%s waited in vain for %s", l.nick, what)
		}
	}
}

func isSignal(s *dbus.Signal, want tp.Signal) bool { return s.Name == want.Interface+"."+want.Name }

func (l *laptop) meet(s *dbus.Signal) {
	if !isSignal(s, tp.SignalConnectionSimplePresencePresencesChanged) {
		return
	}
	for contact := range s.Body[0].(map[uint32][]any) {
		l.start(l.path, tp.InterfaceConnectionContacts, "GetContactAttributes",
			[]uint32{contact}, []string{tp.InterfaceConnection.Name, tp.InterfaceConnectionAliasing.Name}, false)
		l.start(l.path, tp.InterfaceBuddyInfo, "GetProperties", contact)
	}
}

// resident is the memory of the connection manager in megabytes.
func (l *laptop) resident() float64 {
	l.b.Helper()
	var pid uint32
	if err := l.Bus.BusObject().CallWithContext(l.ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, l.name).Store(&pid); err != nil {
		l.b.Fatal(err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		l.b.Fatal(err)
	}
	var size, pages int
	if _, err := fmt.Sscan(string(status), &size, &pages); err != nil {
		l.b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1e6
}
