package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// testDesktop is a child's session: unmodified mission-control with the accounts
// of Sugar, other clients beside it, and a server that goes down.
func testDesktop(t *testing.T, s *school.Server) {
	d := openDesktop(t)
	requests := countRequests(t, d.Address)
	goOnline(t, s, "Hugo")
	child := desktop.Child{Nick: "Gina"}
	salut, err := d.LinkLocalAccount(d.ctx, child, s.Domain)
	if err != nil {
		t.Fatal(err)
	}
	d.until("the link-local account is refused", func() bool {
		return d.accounts[salut]["ConnectionError"] == string(tp.ErrorNotAvailable)
	})
	gabble, err := d.SchoolAccount(d.ctx, child, desktop.School{Domain: s.Domain, Host: s.Host, Port: s.DirectPort})
	if err != nil {
		t.Fatal(err)
	}
	d.connected(gabble)
	d.until("mission-control does not ask for registration again", func() bool {
		parameters, _ := d.accounts[gabble]["Parameters"].(map[string]dbus.Variant)
		_, registers := parameters["register"]
		return parameters != nil && !registers
	})
	d.until("mission-control has given the connection the child's nick", func() bool { return d.alias == child.Nick })
	t.Run("mc-tool", func(t *testing.T) { testMCTool(t, d, gabble, s) })
	t.Run("telepathy-glib", func(t *testing.T) { testTelepathyGLib(t, d, gabble, s) })
	t.Run("server restarted", func(t *testing.T) { d.serverDown(t, gabble, s, false) })
	t.Run("server killed", func(t *testing.T) { d.serverDown(t, gabble, s, true) })
	// mission-control tries again what may pass after 3 s, twice that when it
	// failed again, and so on; the school's account has just seen it twice.
	if n := requests.of(manager.Salut()); n != 1 {
		t.Errorf("%d requests for the link-local account in %v", n, requests.since())
	}
	t.Logf("requests for connections in %v: link-local %d, school %d", requests.since(), requests.of(manager.Salut()), requests.of(manager.Gabble()))
}

// session is a desktop and what its accounts look like by the signals read so far.
type session struct {
	*desktop.Desktop
	t        *testing.T
	ctx      context.Context
	accounts map[dbus.ObjectPath]map[string]any
	errors   []string // every ConnectionError that an account had
	alias    string   // of the child
}

func openDesktop(t *testing.T) *session {
	t.Helper()
	if _, err := exec.LookPath(desktop.MissionControl); err != nil {
		t.Skip("mission-control is not installed (Debian package telepathy-mission-control-5)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(cancel)
	d, err := desktop.Start(ctx, desktop.Options{Binary: cmtest.Binary(t), Env: []string{"TELEPATHY_OLPC_DEBUG=debug", "GORACE=atexit_sleep_ms=0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		for _, bad := range []string{"panic", "DATA RACE", "fatal error:", desktop.Child{Nick: "Gina"}.Password()} {
			if strings.Contains(d.Log(), bad) {
				t.Errorf("the log has %q", bad)
			}
		}
		if t.Failed() {
			t.Logf("log of the session:\n%s", d.Log())
		}
	})
	return &session{Desktop: d, t: t, ctx: ctx, accounts: make(map[dbus.ObjectPath]map[string]any)}
}

// until reads signals until the condition holds.
func (d *session) until(what string, holds func() bool) {
	d.t.Helper()
	for !holds() {
		select {
		case s := <-d.Signals:
			d.note(s)
		case <-d.ctx.Done():
			d.t.Fatalf("waited in vain until %s; accounts: %v", what, d.accounts)
		}
	}
}

func (d *session) note(s *dbus.Signal) {
	if s.Name == tp.SignalConnectionAliasingAliasesChanged.Interface+"."+tp.SignalConnectionAliasingAliasesChanged.Name {
		d.noteAliases(s)
		return
	}
	var changed map[string]dbus.Variant
	if s.Name != desktop.SignalAccountChanged || dbus.Store(s.Body, &changed) != nil {
		return
	}
	if d.accounts[s.Path] == nil {
		d.accounts[s.Path] = make(map[string]any)
	}
	for name, value := range changed {
		d.accounts[s.Path][name] = value.Value()
	}
	if name, _ := changed["ConnectionError"].Value().(string); name != "" {
		d.errors = append(d.errors, name)
	}
}

func (d *session) noteAliases(s *dbus.Signal) {
	var pairs []struct {
		Contact uint32
		Alias   string
	}
	if dbus.Store(s.Body, &pairs) != nil {
		return
	}
	const self = 1 // handles count up from 1, and 1 is the own one
	for _, p := range pairs {
		if p.Contact == self {
			d.alias = p.Alias
		}
	}
}

func (d *session) connected(account dbus.ObjectPath) {
	d.t.Helper()
	d.until("the account is connected", func() bool {
		return d.accounts[account]["ConnectionStatus"] == uint32(tp.ConnectionStatusConnected)
	})
}

// serverDown has the account fall off the server, and come back by itself.
func (d *session) serverDown(t *testing.T, account dbus.ObjectPath, s *school.Server, killed bool) {
	d.errors = nil
	if killed {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Restart(d.ctx); err != nil {
		t.Fatal(err)
	}
	d.until("the account has lost its connection", func() bool { return len(d.errors) > 0 })
	if d.errors[0] != string(tp.ErrorConnectionLost) {
		t.Errorf("the connection ended with %v", d.errors)
	}
	d.connected(account)
}

func testMCTool(t *testing.T, d *session, account dbus.ObjectPath, s *school.Server) {
	if _, err := exec.LookPath("mc-tool"); err != nil {
		t.Skip("mc-tool is not installed (Debian package telepathy-mission-control-5)")
	}
	name := strings.TrimPrefix(string(account), "/org/freedesktop/Telepathy/Account/")
	list := strings.Fields(d.run(t, "mc-tool", "list"))
	if !slices.Contains(list, name) || len(list) != 2 {
		t.Errorf("mc-tool lists %q, not the two accounts", list)
	}
	shown := strings.Join(strings.Fields(d.run(t, "mc-tool", "show", name)), " ")
	for _, want := range []string{"Nickname: Gina", "Normalized: " + address(s, "Gina"), "Enabled: enabled", "Current: available", "Changing: no"} {
		if !strings.Contains(shown, want) {
			t.Errorf("mc-tool does not show %q: %s", want, shown)
		}
	}
}

// run runs a program in the session.
func (d *session) run(t *testing.T, argv ...string) string {
	t.Helper()
	cmd := exec.CommandContext(d.ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"DBUS_SESSION_BUS_ADDRESS=" + d.Address, "PATH=/usr/bin:/bin", "HOME=" + t.TempDir(), "LANG=C.UTF-8"}
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == exitMissing {
		t.Skipf("%s needs what is not installed (Debian packages python3-gi and gir1.2-telepathyglib-0.12): %s", argv, exit.Stderr)
	} else if errors.As(err, &exit) {
		t.Fatalf("%s: %v\n%s", argv, err, exit.Stderr)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// exitMissing is the exit status of a script whose libraries are missing.
const exitMissing = 77

// testTelepathyGLib has another client of the same connection, one whose library
// checks and uses far more of the specification than Sugar does.
func testTelepathyGLib(t *testing.T, d *session, account dbus.ObjectPath, s *school.Server) {
	const python = "/usr/bin/python3" // Debian's, for which the library is installed
	if _, err := exec.LookPath(python); err != nil {
		t.Skip("Python is not installed (Debian package python3)")
	}
	script, err := filepath.Abs("testdata/contact.py")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Status         uint32
		Identifier     string
		Alias          string
		Presence       string
		Contacts       []string
		ChannelClasses int `json:"channel classes"`
		Prepared       []bool
	}
	out := d.run(t, python, script, string(account))
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		t.Fatal(err)
	}
	if got.Status != uint32(tp.ConnectionStatusConnected) || got.Identifier != address(s, "Gina") || got.Alias != "Gina" || got.Presence != "available" ||
		!slices.Contains(got.Contacts, address(s, "Hugo")) || got.ChannelClasses == 0 || slices.Contains(got.Prepared, false) {
		t.Errorf("telepathy-glib sees %s", out)
	}
}

// requestCounter counts the calls of RequestConnection that a monitor of the bus
// sees.
type requestCounter struct {
	began time.Time

	mu     sync.Mutex
	counts map[dbus.ObjectPath]int
}

func countRequests(t *testing.T, address string) *requestCounter {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	rule := fmt.Sprintf("type='method_call',interface='%s',member='RequestConnection'", tp.InterfaceConnectionManager.Name)
	if err := conn.BusObject().Call("org.freedesktop.DBus.Monitoring.BecomeMonitor", 0, []string{rule}, uint32(0)).Err; err != nil {
		t.Fatal(err)
	}
	r := &requestCounter{began: time.Now(), counts: make(map[dbus.ObjectPath]int)}
	messages := make(chan *dbus.Message, 1000)
	conn.Eavesdrop(messages)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for m := range messages {
			r.add(m)
		}
	}()
	t.Cleanup(func() {
		conn.Close()
		<-ended
	})
	return r
}

func (r *requestCounter) add(m *dbus.Message) {
	r.mu.Lock()
	defer r.mu.Unlock()
	path, _ := m.Headers[dbus.FieldPath].Value().(dbus.ObjectPath)
	r.counts[path]++
}

// of gives the number of requests to one connection manager.
func (r *requestCounter) of(d manager.Definition) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.counts[d.Path()]
}

func (r *requestCounter) since() time.Duration {
	return time.Since(r.began).Round(100 * time.Millisecond)
}
