// Package laptop is a school laptop without Sugar: a session bus with the real connection manager on it, as tests/desktop has it,
// one connection to a school server, and a client that makes Sugar's calls and keeps what it hears until it is told to forget.
//
// A laptop's methods are for the test's goroutine. They end the test when something does not come within patience.
package laptop

import (
	"context"
	"fmt"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// patience ends a hang; nothing that a laptop does takes so long, mission-control's pauses between attempts and the minute that a
// room is kept for an activity that was killed included.
const patience = 2 * time.Minute

// Laptop is one child's.
type Laptop struct {
	*desktop.Desktop
	T     testing.TB
	Child desktop.Child
	Self  string          // address
	Name  string          // bus name of the connection
	Path  dbus.ObjectPath // likewise

	school  *school.Server
	port    uint16
	account dbus.ObjectPath // of mission-control
	end     func() error    // of the session

	mu     sync.Mutex
	heard  []*dbus.Signal
	heed   chan struct{} // closed and replaced when there is more
	silent bool          // the bus is gone
}

// Open starts a session of a child of a school, whose port may be one of a proxy. binary may be a script before the
// connection manager. The test's end ends it, and shows its log if the test failed.
func Open(t testing.TB, s *school.Server, port uint16, nick, binary string, env ...string) *Laptop {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	d, err := desktop.Start(ctx, desktop.Options{Binary: binary, Env: append([]string{"GORACE=atexit_sleep_ms=0", "TELEPATHY_OLPC_DEBUG=" + os.Getenv("TELEPATHY_OLPC_DEBUG")}, env...)})
	if err != nil {
		t.Fatal(err)
	}
	child := desktop.Child{Nick: nick, Color: "#FF2B34,#005FE4"}
	l := &Laptop{
		Desktop: d, T: t, Child: child, Self: child.Name() + "@" + s.Domain, school: s, port: port, heed: make(chan struct{}),
	}
	var listening sync.WaitGroup
	listening.Go(l.listen)
	l.end = sync.OnceValue(func() error {
		err := d.Stop()
		listening.Wait()
		return err
	})
	t.Cleanup(func() {
		if err := l.end(); err != nil {
			t.Error(err)
		}
		l.checkLog()
	})
	return l
}

// checkLog wants nothing in the log that must never be there.
func (l *Laptop) checkLog() {
	said, _, _ := strings.Cut(l.Log(), quitting)
	said = busLine.ReplaceAllString(said, "")
	for _, bad := range []string{"panic", "DATA RACE", "fatal error:", l.Child.Password()} {
		if strings.Contains(said, bad) {
			l.T.Errorf("the log of %s's laptop has %q", l.Child.Nick, bad)
		}
	}
	if l.T.Failed() {
		l.T.Logf("end of the log of %s's laptop:\n%s", l.Child.Nick, tail(said, 60))
	}
}

// busLine is what the bus says; it names our test, with arguments such as -test.paniconexit0.
var busLine = regexp.MustCompile(`(?m)^dbus-daemon\[.*\n?`)

func tail(text string, lines int) string {
	all := strings.Split(text, "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func (l *Laptop) listen() {
	for s := range l.Signals {
		l.mu.Lock()
		l.heard = append(l.heard, s)
		close(l.heed)
		l.heed = make(chan struct{})
		l.mu.Unlock()
	}
	l.mu.Lock()
	l.silent = true
	close(l.heed)
	l.mu.Unlock()
}

// Forget has what was heard so far count no more.
func (l *Laptop) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = nil
}

// Heard gives the signals since the last Forget.
func (l *Laptop) Heard() []*dbus.Signal {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*dbus.Signal(nil), l.heard...)
}

// Await waits until it has heard, since the last Forget, a signal that is meant, and gives the first. It takes nothing away.
func (l *Laptop) Await(what string, want tp.Signal, is func(*dbus.Signal) bool) *dbus.Signal {
	l.T.Helper()
	return l.AwaitName(what, want.Interface+"."+want.Name, is)
}

// AwaitName is Await for a signal of others.
func (l *Laptop) AwaitName(what, name string, is func(*dbus.Signal) bool) *dbus.Signal {
	l.T.Helper()
	overdue := time.NewTimer(patience)
	defer overdue.Stop()
	for seen := 0; ; {
		l.mu.Lock()
		heard, heed, silent := l.heard, l.heed, l.silent
		l.mu.Unlock()
		for ; seen < len(heard); seen++ {
			if s := heard[seen]; s.Name == name && is(s) {
				return s
			}
		}
		if silent {
			l.T.Fatalf("%s: the bus has gone before %s", l.Child.Nick, what)
		}
		select {
		case <-heed:
		case <-overdue.C:
			l.T.Fatalf("%s waited in vain for %s; last heard:\n%s", l.Child.Nick, what, list(heard))
		}
	}
}

func list(heard []*dbus.Signal) string {
	var text strings.Builder
	for _, s := range heard[max(0, len(heard)-15):] {
		fmt.Fprintf(&text, "%s %s %.200v\n", s.Path, s.Name[strings.LastIndex(s.Name, ".")+1:], s.Body)
	}
	return text.String()
}

// Parameters are those of Sugar's account.
func (l *Laptop) Parameters() map[string]any {
	return map[string]any{
		"account": l.Self, "password": l.Child.Password(), "server": "127.0.0.1", "port": uint32(l.port), "resource": "sugar",
		"require-encryption": true, "ignore-ssl-errors": true, "register": l.Name == "", "old-ssl": true,
	}
}

// Request requests a connection, without mission-control, and says what its child looks like.
func (l *Laptop) Request(more map[string]any) {
	l.T.Helper()
	parameters := l.Parameters()
	for name, value := range more {
		parameters[name] = value
	}
	gabble := manager.Gabble()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := l.Bus.Object(gabble.BusName(), gabble.Path()).
		CallWithContext(ctx, tp.InterfaceConnectionManager.Name+".RequestConnection", 0, "jabber", Variants(parameters)).Store(&l.Name, &l.Path)
	if err != nil {
		l.T.Fatalf("%s requests a connection: %v", l.Child.Nick, err)
	}
	l.SayLooks()
}

// SayLooks sets what Sugar sets when it sees a connection.
func (l *Laptop) SayLooks() {
	l.T.Helper()
	l.Call(l.Path, tp.InterfaceBuddyInfo, "SetProperties", map[string]any{"key": l.Child.Key(), "color": l.Child.Color})
}

// Connect requests a connection and brings it on-line.
func (l *Laptop) Connect(more map[string]any) {
	l.T.Helper()
	l.Request(more)
	l.Call(l.Path, tp.InterfaceConnection, "Connect")
	l.AwaitStatus(tp.ConnectionStatusConnected)
}

// AwaitStatus waits for a status of the connection.
func (l *Laptop) AwaitStatus(want tp.ConnectionStatus) {
	l.T.Helper()
	l.Await(fmt.Sprintf("status %d of %s", want, l.Path), tp.SignalConnectionStatusChanged, func(s *dbus.Signal) bool {
		return s.Path == l.Path && s.Body[0] == uint32(want)
	})
}

// Disconnect ends the connection.
func (l *Laptop) Disconnect() {
	l.T.Helper()
	l.Call(l.Path, tp.InterfaceConnection, "Disconnect")
	l.AwaitStatus(tp.ConnectionStatusDisconnected)
}

// Handle is the number of a contact.
func (l *Laptop) Handle(kind tp.HandleType, id string) uint32 {
	l.T.Helper()
	var handles []uint32
	l.Store(l.Call(l.Path, tp.InterfaceConnection, "RequestHandles", uint32(kind), []string{id}), &handles)
	return handles[0]
}

// AwaitBuddy waits until somebody is seen on-line with key and colour, and asks for them as Sugar does.
func (l *Laptop) AwaitBuddy(id string) {
	l.T.Helper()
	who := l.Handle(tp.HandleTypeContact, id)
	var presences map[uint32]struct {
		Type            uint32
		Status, Message string
	}
	l.Store(l.Call(l.Path, tp.InterfaceConnectionSimplePresence, "GetPresences", []uint32{who}), &presences)
	if presences[who].Type != uint32(tp.ConnectionPresenceTypeAvailable) {
		l.Await(id+" on-line", tp.SignalConnectionSimplePresencePresencesChanged, func(s *dbus.Signal) bool {
			p, is := s.Body[0].(map[uint32][]any)[who]
			return is && s.Path == l.Path && p[0] == uint32(tp.ConnectionPresenceTypeAvailable)
		})
	}
	var looks map[string]dbus.Variant
	l.Store(l.Call(l.Path, tp.InterfaceBuddyInfo, "GetProperties", who), &looks)
	if len(looks) == 0 {
		l.Await("looks of "+id, tp.SignalBuddyInfoPropertiesChanged, func(s *dbus.Signal) bool {
			return s.Path == l.Path && s.Body[0] == who && len(s.Body[1].(map[string]dbus.Variant)) > 0
		})
	}
}

// Call makes a call that must succeed.
func (l *Laptop) Call(object dbus.ObjectPath, on *tp.Interface, method string, args ...any) *dbus.Call {
	l.T.Helper()
	call := l.Try(object, on, method, args...)
	if call.Err != nil {
		l.T.Fatalf("%s, %s of %s: %v", l.Child.Nick, method, object, call.Err)
	}
	return call
}

// Try makes a call.
func (l *Laptop) Try(object dbus.ObjectPath, on *tp.Interface, method string, args ...any) *dbus.Call {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return l.Bus.Object(l.Name, object).CallWithContext(ctx, on.Name+"."+method, 0, plain(args)...)
}

// Get reads a property.
func (l *Laptop) Get(object dbus.ObjectPath, on *tp.Interface, property string, into any) {
	l.T.Helper()
	l.Store(l.Call(object, tp.InterfaceDBusProperties, "Get", on.Name, property), into)
}

// Store takes the values of an answer.
func (l *Laptop) Store(call *dbus.Call, into ...any) {
	l.T.Helper()
	if err := call.Store(into...); err != nil {
		l.T.Fatalf("%s, answer to %s: %v", l.Child.Nick, call.Method, err)
	}
}

// plain makes variants of the values of dictionaries.
func plain(args []any) []any {
	list := append([]any(nil), args...)
	for i, arg := range list {
		if d, is := arg.(map[string]any); is {
			list[i] = Variants(d)
		}
	}
	return list
}

// Variants is an a{sv}.
func Variants(d map[string]any) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant, len(d))
	for name, value := range d {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

// Pid is the process of the connection manager.
func (l *Laptop) Pid() int {
	l.T.Helper()
	var pid uint32
	gabble := manager.Gabble().BusName()
	if err := l.Bus.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, gabble).Store(&pid); err != nil {
		l.T.Fatalf("%s: %v", l.Child.Nick, err)
	}
	return int(pid)
}

// BusNames are the names of connections.
func (l *Laptop) BusNames() []string {
	l.T.Helper()
	var names, own []string
	if err := l.Bus.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		l.T.Fatal(err)
	}
	for _, name := range names {
		if strings.HasPrefix(name, tp.InterfaceConnection.Name+".") {
			own = append(own, name)
		}
	}
	return own
}

// Dial connects to a Unix socket of a tube or a file.
func Dial(t testing.TB, path string) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("unix", path, patience)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return c
}

// Usage is what a process takes.
type Usage struct{ Memory, Threads, Descriptors int } // KiB resident

// UsageOf asks the kernel, proc(5).
func UsageOf(t testing.TB, pid int) Usage {
	t.Helper()
	var u Usage
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
		switch name {
		case "VmRSS":
			u.Memory = n
		case "Threads":
			u.Threads = n
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	u.Descriptors = len(open)
	return u
}

// Goroutines ends the connection manager, by SIGQUIT, and counts its goroutines in what Go's runtime then writes to the log. The
// runtime's own come and go as it likes and do not count. The laptop's session ends with it.
func (l *Laptop) Goroutines() int {
	l.T.Helper()
	pid := l.Pid()
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		l.T.Fatal(err)
	}
	l.AwaitName("the end of the process", desktop.SignalNameOwnerChanged, func(s *dbus.Signal) bool {
		return s.Body[0] == l.Name && s.Body[2] == ""
	})
	if err := l.end(); err != nil { // then the log is whole
		l.T.Error(err)
	}
	_, dump, _ := strings.Cut(l.Log(), quitting)
	return strings.Count(dump, "\ncreated by telepathy-olpc/") + strings.Count(dump, "\ncreated by github.com/")
}

// quitting is what Go's runtime writes before it.
const quitting = "SIGQUIT: quit"
