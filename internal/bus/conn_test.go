package bus

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

func TestDial_failures(t *testing.T) {
	address, _ := startDaemon(t)
	path, _, _ := strings.Cut(strings.TrimPrefix(address, "unix:path="), ",")
	silent, err := net.Listen("unix", t.TempDir()+"/bus")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("REJECTED EXTERNAL\r\n"))
			_ = c.Close()
		}
	}()
	defer silent.Close()
	for _, test := range []struct{ name, address, want string }{
		{"no transport", "nonsense", "is not a Unix socket"},
		{"other transport", "tcp:host=localhost,port=1", "is not a Unix socket"},
		{"no path", "unix:runtime=yes", "has no path"},
		{"bad escape", "unix:path=/tmp/%zz", "bus address"},
		{"nobody there", "unix:path=" + t.TempDir() + "/none", "no such file"},
		{"empty list", ";", "empty bus address"},
		{"rejected", "unix:path=" + silent.Addr().String(), "authenticate"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := Dial(test.address, quiet()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
	for _, good := range []string{
		"tcp:host=localhost,port=1;" + address,
		"unix:path=" + dbus.EscapeBusAddressValue(path),
	} {
		c, err := Dial(good, quiet())
		if err != nil {
			t.Errorf("dial %s: %v", good, err)
			continue
		}
		c.Close()
	}
}

func TestDial_sessionBus(t *testing.T) {
	address, _ := startDaemon(t)
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", address)
	c, err := Dial("", quiet())
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "")
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/a b")
	got, err := sessionAddress()
	equal(t, got, "unix:path=/run/user/a%20b/bus")
	equal(t, err, nil)
	t.Setenv("XDG_RUNTIME_DIR", "")
	if _, err := Dial("", quiet()); err == nil || !strings.Contains(err.Error(), "find session bus") {
		t.Errorf("error is %v", err)
	}
}

func TestSocketName(t *testing.T) {
	for address, want := range map[string]string{
		"unix:path=/run/bus,guid=1":    "/run/bus",
		"unix:guid=1,path=/run/b%2cus": "/run/b,us",
		"unix:abstract=/tmp/x,guid=1":  "@/tmp/x",
	} {
		got, err := socketName(address)
		if err != nil || got != want {
			t.Errorf("socketName(%q) = %q, %v, want %q", address, got, err, want)
		}
	}
}

// The bus dies: Done is closed, nothing hangs, nothing panics.
func TestConn_lost(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	f.stop()
	<-f.conn.Done()
	f.conn.Emit("/t/book", signalNoted, uint32(1))
	claimed := make(chan error, 1)
	f.conn.ClaimName("test.Name", f.loop, func(err error) { claimed <- err })
	if err := <-claimed; !errors.Is(err, errClosed) {
		t.Errorf("claim gives %v", err)
	}
	if err := f.conn.RequestName("test.Name"); !errors.Is(err, errClosed) {
		t.Errorf("request gives %v", err)
	}
	f.conn.ReleaseName("test.Name")
	f.conn.Close()
}

// An answer that is outstanding when the bus dies is an error.
func TestConn_lostWhileAsking(t *testing.T) {
	f := setUp(t)
	claimed := make(chan error, 1)
	f.conn.out.mu.Lock()
	f.conn.out.waiting[1<<31] = question{reply: func(_ []any, err error) { claimed <- err }}
	f.conn.out.mu.Unlock()
	f.stop()
	if err := <-claimed; !errors.Is(err, errClosed) {
		t.Errorf("error is %v", err)
	}
}

// Close sends what is queued, and whoever listens gets all of it.
func TestConn_close(t *testing.T) {
	const signals = 10000
	f := setUp(t)
	last := make(chan struct{})
	next := uint32(0)
	client := connect(t, f.address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type != dbus.TypeSignal || m.Headers[dbus.FieldMember].Value() != "Noted" {
			return
		}
		if m.Body[0] != next {
			t.Errorf("got %v, want %d", m.Body[0], next)
		}
		if next++; next == signals {
			close(last)
		}
	}))
	if err := client.AddMatchSignal(dbus.WithMatchInterface(bookName)); err != nil {
		t.Fatal(err)
	}
	for n := range uint32(signals) {
		f.conn.Emit("/t/book", signalNoted, n)
	}
	f.conn.Close()
	<-f.conn.Done()
	f.conn.Close()
	f.conn.Emit("/t/book", signalNoted, uint32(0)) // nobody minds
	<-last
}

func TestNames(t *testing.T) {
	f := setUp(t)
	other, err := Dial(f.address, quiet())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := f.conn.RequestName("test.Name"); err != nil {
		t.Error(err)
	}
	if err := f.conn.RequestName("test.Name"); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := other.RequestName("test.Name"); err == nil || !strings.Contains(err.Error(), "is taken") {
		t.Errorf("taken name: %v", err)
	}
	if err := other.RequestName("no name"); err == nil || !strings.Contains(err.Error(), "InvalidArgs") {
		t.Errorf("bad name: %v", err)
	}
	f.conn.ReleaseName("test.Name")
	if _, err := f.conn.ask("GetId", ""); err != nil {
		t.Fatal(err)
	}
	if err := other.RequestName("test.Name"); err != nil {
		t.Errorf("released name: %v", err)
	}
}

// The name appears after the signals that were sent before, and its result is
// an event of the loop. This is how a Connection comes to life.
func TestClaimName_order(t *testing.T) {
	f := setUp(t)
	var got []string
	seen := make(chan struct{})
	client := connect(t, f.address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type != dbus.TypeSignal {
			return
		}
		member := m.Headers[dbus.FieldMember].Value()
		if member == "Noted" || member == "NameOwnerChanged" && m.Body[0] == "test.Name" {
			got = append(got, fmt.Sprint(member))
		}
		if len(got) == 4 {
			close(seen)
		}
	}))
	for _, match := range []string{bookName, driverName} {
		if err := client.AddMatchSignal(dbus.WithMatchInterface(match)); err != nil {
			t.Fatal(err)
		}
	}
	f.onLoop(func() {
		f.conn.Emit("/t/book", signalNoted, uint32(1))
		f.conn.ClaimName("test.Name", f.loop, func(err error) {
			if err != nil {
				t.Error(err)
			}
			f.conn.Emit("/t/book", signalNoted, uint32(2))
			f.conn.ReleaseName("test.Name")
		})
	})
	<-seen
	equal(t, got, []string{"Noted", "NameOwnerChanged", "Noted", "NameOwnerChanged"})
}

// Signals to us, and replies nobody waits for or from others than the bus,
// change nothing.
func TestConn_strayMessages(t *testing.T) {
	f := setUp(t)
	f.conn.out.mu.Lock()
	f.conn.out.waiting[4711] = question{driver: true, reply: func(_ []any, err error) {
		if !errors.Is(err, errClosed) {
			t.Errorf("a stranger's reply was taken: %v", err)
		}
	}}
	f.conn.out.mu.Unlock()
	for _, kind := range []dbus.Type{dbus.TypeMethodReply, dbus.TypeError} {
		f.client.Send(&dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{
			dbus.FieldDestination: dbus.MakeVariant(f.conn.UniqueName()),
			dbus.FieldReplySerial: dbus.MakeVariant(uint32(4711)),
			dbus.FieldErrorName:   dbus.MakeVariant("test.Error"),
		}}, nil)
	}
	f.client.Send(&dbus.Message{Type: dbus.TypeSignal, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(f.conn.UniqueName()),
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/freedesktop/DBus")),
		dbus.FieldInterface:   dbus.MakeVariant("org.freedesktop.DBus"),
		dbus.FieldMember:      dbus.MakeVariant("NameLost"),
	}}, nil)
	if err := f.object("/else").Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
		t.Error(err)
	}
}

// What is sent while a loop is busy keeps its place among what others send, also
// when it is more than the bus takes at once.
func TestConn_release(t *testing.T) {
	const rounds, each = 300, 20
	f := setUp(t)
	next := map[dbus.ObjectPath]uint32{}
	last := make(chan struct{})
	left := 2 * rounds * each
	client := connect(t, f.address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if m.Type != dbus.TypeSignal || m.Headers[dbus.FieldMember].Value() != "Noted" {
			return
		}
		path := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
		if m.Body[0] != next[path] {
			t.Errorf("%s: got %v, want %d", path, m.Body[0], next[path])
		}
		next[path]++
		if left--; left == 0 {
			close(last)
		}
	}))
	if err := client.AddMatchSignal(dbus.WithMatchInterface(bookName)); err != nil {
		t.Fatal(err)
	}
	send := func(path dbus.ObjectPath, round int) {
		for i := range each {
			f.conn.Emit(path, signalNoted, uint32(round*each+i))
		}
	}
	other := make(chan struct{})
	go func() {
		defer close(other)
		for round := range rounds {
			send("/t/other", round)
		}
	}()
	for round := range rounds {
		f.conn.Hold()
		send("/t/book", round)
		f.conn.Release()
	}
	<-other
	<-last
}

// TestConn_afterOutput has the rest made after the bus has taken what came before,
// within a loop's time and without.
func TestConn_afterOutput(t *testing.T) {
	f := setUp(t)
	taken := make(chan struct{})
	f.conn.AfterOutput(func() { close(taken) })
	<-taken

	f.conn.Hold()
	for range 10_000 {
		f.conn.Emit("/t/book", signalNoted, uint32(1))
	}
	taken = make(chan struct{})
	f.conn.AfterOutput(func() {
		f.conn.out.mu.Lock()
		defer f.conn.out.mu.Unlock()
		if n := len(f.conn.out.buf); n > keepBuffer {
			t.Errorf("%d bytes still wait", n)
		}
		close(taken)
	})
	f.conn.Release()
	<-taken
}
