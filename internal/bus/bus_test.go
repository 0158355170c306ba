package bus

import (
	"bufio"
	"errors"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startDaemon starts a private bus and gives its address and how to end it.
func startDaemon(t testing.TB) (address string, stop func()) {
	t.Helper()
	cmd := exec.Command("dbus-daemon", "--session", "--nofork", "--print-address=1", "--address=unix:tmpdir=/tmp")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), stop
}

func quiet() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}

// fixture is a bus with one connection of ours and one client on it.
type fixture struct {
	address string
	stop    func() // the daemon
	conn    *Conn
	loop    *loop.Loop
	client  *dbus.Conn
}

func setUp(t testing.TB) *fixture {
	t.Helper()
	f := &fixture{loop: loop.New(loop.Config{})}
	f.address, f.stop = startDaemon(t)
	var err error
	if f.conn, err = Dial(f.address, quiet()); err != nil {
		t.Fatal(err)
	}
	go f.loop.Run()
	t.Cleanup(func() {
		f.conn.Close()
		f.loop.Close()
		<-f.loop.Done()
	})
	f.conn.Serve("/t", f.loop)
	f.client = connect(t, f.address)
	return f
}

// connect gives a client; what it is sent can be had by interceptors.
func connect(t testing.TB, address string, options ...dbus.ConnOption) *dbus.Conn {
	t.Helper()
	c, err := dbus.Connect(address, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func (f *fixture) object(path dbus.ObjectPath) dbus.BusObject {
	return f.client.Object(f.conn.UniqueName(), path)
}

// onLoop runs something on the loop and waits for it.
func (f *fixture) onLoop(run func()) {
	done := make(chan struct{})
	f.loop.Post("test", func() { defer close(done); run() })
	<-done
}

// wantError fails unless err is the D-Bus error.
func wantError(t testing.TB, err error, name tp.ErrorName) {
	t.Helper()
	var e dbus.Error
	if !errors.As(err, &e) || e.Name != string(name) {
		t.Errorf("error is %#v, want %s", err, name)
	}
}

func equal(t testing.TB, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const bookName = "test.Book"

// book is an interface that has one of everything.
var book = &tp.Interface{
	Name: bookName,
	Methods: []tp.Method{
		{Name: "Close"},
		{Name: "Lookup", In: []tp.Arg{{Name: "Word", Type: "s"}, {Name: "Options", Type: "a{sv}"}}, Out: []tp.Arg{{Name: "Found", Type: "a(us)"}, {Type: "b"}}},
		{Name: "Note", In: []tp.Arg{{Name: "Number", Type: "u"}}, Out: []tp.Arg{{Name: "Number", Type: "u"}}},
	},
	Signals: []tp.Member{{Name: "Noted", Args: []tp.Arg{{Name: "Number", Type: "u"}}}, {Name: "Closed"}},
	Properties: []tp.Property{
		{Name: "Title", Type: "s", Access: tp.AccessReadWrite},
		{Name: "Pages", Type: "u", Access: tp.AccessReadWrite},
		{Name: "Index", Type: "a(us)", Access: tp.AccessRead},
		{Name: "Secret", Type: "s", Access: tp.AccessWrite},
	},
}

var signalNoted = tp.Signal{Interface: bookName, Name: "Noted", Signature: "u"}

type entryOf struct {
	Page uint32
	Word string
}

// newBook serves book; tests replace what they look at.
func newBook(path dbus.ObjectPath) Object {
	title, pages := "Emil", uint32(175)
	return Object{Path: path, Interfaces: []Interface{{
		Facts: book,
		Methods: map[string]func(*Call){
			"Close":  func(c *Call) { c.Return() },
			"Lookup": func(c *Call) { c.Return([]entryOf{}, false) },
			"Note": func(c *Call) {
				var n uint32
				if c.Args(&n) {
					c.Return(n)
				}
			},
		},
		Properties: map[string]func() any{
			"Title": func() any { return title },
			"Pages": func() any { return pages },
			"Index": Fixed([]entryOf{{1, "a"}, {2, "b"}}),
		},
		Setters: map[string]func(any) error{
			"Title": func(v any) error {
				if v == "" {
					return tp.Errorf(tp.ErrorInvalidArgument, "no title")
				}
				title = v.(string)
				return nil
			},
			"Pages":  func(v any) error { pages = v.(uint32); return nil },
			"Secret": func(any) error { return errors.New("the shelf is locked") },
		},
	}}}
}

// logged collects what is logged as an error.
type logged struct {
	mu   sync.Mutex
	list []string
}

func hookErrors(c *Conn) *logged {
	l := &logged{}
	c.log.Logger.AddHook(l)
	return l
}

func (l *logged) Levels() []logrus.Level { return []logrus.Level{logrus.ErrorLevel} }

func (l *logged) Fire(e *logrus.Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e.Message)
	return nil
}

func (l *logged) messages() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list
}
