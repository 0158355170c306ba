package dbuspeer

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const (
	python = "/usr/bin/python3"
	// What the tests give the two ends as names.
	nameA, nameB = ":2.b25l", ":2.b3RoZXI"
)

// script is a Python program that runs along with a test.
type script struct {
	t     testing.TB
	name  string
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// run starts one of testdata's programs. It ends with the test.
func run(t testing.TB, name string, args ...string) *script {
	t.Helper()
	return runAt(t, "", name, args...)
}

// runAt is run with another home, if one is given.
func runAt(t testing.TB, home, name string, args ...string) *script {
	t.Helper()
	if err := exec.Command(python, "-c", "import dbus; from gi.repository import GLib").Run(); err != nil {
		t.Skipf("%s with dbus-python and GLib: %v", python, err)
	}
	s := &script{t: t, name: strings.Join(append([]string{name}, args[1:]...), " ")}
	s.cmd = exec.Command(python, append([]string{"testdata/" + name}, args...)...)
	s.cmd.Stderr = os.Stderr
	if home != "" {
		s.cmd.Env = append(os.Environ(), "HOME="+home)
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s.lines = bufio.NewScanner(out)
	t.Cleanup(func() {
		s.cmd.Process.Kill()
		s.cmd.Wait()
	})
	return s
}

func (s *script) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if !s.lines.Scan() {
			s.t.Fatalf("%s ended before %q: %v", s.name, w, s.lines.Err())
		}
		if got := s.lines.Text(); got != w {
			s.t.Fatalf("%s said %q, not %q", s.name, got, w)
		}
	}
}

// listen opens a server and closes it with the test, before scripts are killed.
func listen(t testing.TB, access Access, events Events) *Server {
	t.Helper()
	s, err := Listen(t.TempDir(), access, events)
	if err != nil {
		t.Fatal(err)
	}
	closeAfter(t, s)
	return s
}

func closeAfter(t testing.TB, s *Server) {
	t.Cleanup(func() {
		s.Close()
		s.Wait()
	})
}

// listenFor is listen for those who get in by one mechanism alone, with the
// keyring of the home that it gives. It answers calls.
func listenFor(t testing.TB, mechanism string) (s *Server, home string) {
	t.Helper()
	s, err := open(t.TempDir(), Localhost, Events{Message: func(h Header, _ []byte) {
		if h.Kind == KindCall {
			s.Send(BuildError(h, "org.laptop.Heard", h.Member))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	home = t.TempDir()
	s.door.offers = []string{mechanism}
	s.door.keys.dir = filepath.Join(home, ".dbus-keyrings")
	s.running.Go(s.accept)
	closeAfter(t, s)
	return s, home
}

// relay makes a tube of two servers, as a room does: each says who the sender is.
func relay(t *testing.T) (a, b *Server) {
	failed := func(err error) {
		if err != nil {
			t.Errorf("relay: %v", err)
		}
	}
	pass := func(sender string, to **Server) func(Header, []byte) {
		return func(_ Header, m []byte) {
			m, err := SetSender(m, sender)
			failed(err)
			_, err = ParseMessage(m)
			failed(err)
			if !(*to).Send(m) {
				failed(fmt.Errorf("no room for %d bytes", len(m)))
			}
		}
	}
	ready := make(chan struct{})
	after := func(f func(Header, []byte)) func(Header, []byte) {
		return func(h Header, m []byte) { <-ready; f(h, m) }
	}
	a = listen(t, SameUser, Events{Message: after(pass(nameA, &b))})
	b = listen(t, SameUser, Events{Message: after(pass(nameB, &a))})
	close(ready)
	return a, b
}

// Two of Sugar's activities talk as they do in a room.
func TestPython(t *testing.T) {
	a, b := relay(t)
	callee := run(t, "client.py", b.Address(), "callee")
	callee.expect("connected")
	caller := run(t, "client.py", a.Address(), "caller")
	caller.expect("connected", "reply hi [dbus.String('k')] from "+nameA, "count 10485760",
		"bus org.freedesktop.DBus.Error.ServiceUnknown")
	callee.expect("signal to all from " + nameA)
	a.Close()
	b.Close()
	caller.expect("disconnected")
	callee.expect("disconnected")
}

// GLib's own implementation of D-Bus gets in by every mechanism that we have.
func TestGDBus(t *testing.T) {
	for _, mechanism := range []string{external, cookieSHA1, anonymous} {
		t.Run(mechanism, func(t *testing.T) {
			s, home := listenFor(t, mechanism)
			c := runAt(t, home, "gdbus.py", s.Address())
			c.expect("GDBus.Error:org.laptop.Heard: Hear")
		})
	}
}

// So does libdbus.
func TestPython_mechanisms(t *testing.T) {
	for _, mechanism := range []string{external, anonymous, cookieSHA1} {
		s, home := listenFor(t, mechanism)
		runAt(t, home, "client.py", s.Address(), "once").expect("connected", "org.laptop.Heard")
	}
}
