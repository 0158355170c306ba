package functional

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// screen is a terminal of 100 by 30 on which the real "watch" draws.
type screen struct {
	t       *testing.T
	program *exec.Cmd
	drawn   *bufio.Reader
	last    string // since the screen was cleared
}

// watchOn starts the program on a new terminal.
func watchOn(t *testing.T, cm *cmtest.CM) *screen {
	t.Helper()
	master, name := terminal(t)
	slave, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()
	cmd := exec.Command(cmtest.Binary(t), "watch")
	cmd.Env = []string{"DBUS_SESSION_BUS_ADDRESS=" + cm.BusAddress(), "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0", "TERM=xterm"}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &screen{t: t, program: cmd, drawn: bufio.NewReader(master)}
}

// terminal opens a pseudo-terminal, pty(7), and gives the name of its other end.
func terminal(t *testing.T) (*os.File, string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { master.Close() })
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, fmt.Sprint("/dev/pts/", number)
}

// clear goes home and clears the screen, ECMA-48 CUP and ED.
const clear = "\x1b[H\x1b[2J"

// shows reads until all the texts are on the screen at once.
func (s *screen) shows(texts ...string) {
	s.t.Helper()
	for {
		line, err := s.drawn.ReadString('\n')
		if err != nil {
			s.t.Fatalf("no screen with %q: %v; the last one:\n%s", texts, err, s.last)
		}
		if _, after, cleared := strings.Cut(line, clear); cleared {
			line, s.last = after, ""
		}
		s.last += line
		if !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(s.last, text) }) {
			return
		}
	}
}

// ends has Ctrl-C given to the program, which puts the old screen back.
func (s *screen) ends() {
	s.t.Helper()
	s.program.Process.Signal(unix.SIGINT)
	rest, _ := io.ReadAll(s.drawn) // ends with EIO when the other end is closed
	if err := s.program.Wait(); err != nil {
		s.t.Error(err)
	}
	if !strings.HasSuffix(string(rest), "\x1b[?25h\x1b[?1049l") {
		s.t.Errorf("ended with %q", rest)
	}
}

// busMonitor is Debian's dbus-monitor on all calls.
type busMonitor struct {
	t     *testing.T
	lines *bufio.Reader
}

func monitorCalls(t *testing.T, cm *cmtest.CM) *busMonitor {
	t.Helper()
	cmd := exec.Command("dbus-monitor", "--address", cm.BusAddress(), "type='method_call'")
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	m := &busMonitor{t: t, lines: bufio.NewReader(out)}
	m.until("NameLost") // its own one: monitors have none
	return m
}

// until gives what was called before something.
func (m *busMonitor) until(text string) (calls []string) {
	m.t.Helper()
	for {
		line, err := m.lines.ReadString('\n')
		if err != nil {
			m.t.Fatalf("the monitor does not tell of %q: %v", text, err)
		}
		if strings.Contains(line, text) {
			return calls
		}
		if strings.HasPrefix(line, "method call ") {
			calls = append(calls, line)
		} else if len(calls) > 0 {
			calls[len(calls)-1] += line
		}
	}
}

// reading are the methods that change nothing. The last two hold handles if they
// are told to.
var reading = []string{
	"org.freedesktop.DBus.Hello", "org.freedesktop.DBus.AddMatch", "org.freedesktop.DBus.ListNames",
	"org.freedesktop.DBus.Properties.Get", "org.freedesktop.DBus.Properties.GetAll",
	tp.InterfaceConnection.Name + ".InspectHandles",
	tp.InterfaceBuddyInfo.Name + ".GetActivities", tp.InterfaceActivityProperties.Name + ".GetProperties",
	tp.InterfaceChannelTubes.Name + ".ListTubes",
	tp.InterfaceConnectionContactList.Name + ".GetContactListAttributes", tp.InterfaceConnectionContacts.Name + ".GetContactAttributes",
}

var callLine = regexp.MustCompile(`^method call .* sender=(\S+) .*; interface=(\S+); member=(\S+)`)

// madeBy are the methods that somebody has called.
func madeBy(t *testing.T, calls []string, sender string) map[string]int {
	t.Helper()
	made := make(map[string]int)
	for _, call := range calls {
		m := callLine.FindStringSubmatch(call)
		if m == nil || m[1] != sender {
			continue
		}
		method := m[2] + "." + m[3]
		made[method]++
		if !slices.Contains(reading, method) || strings.Contains(call, "boolean true") {
			t.Errorf("not a question: %s", call)
		}
	}
	return made
}

// uniqueName is the one that a process has on the bus.
func uniqueName(t *testing.T, bus *dbus.Conn, pid int) string {
	t.Helper()
	var names []string
	if err := bus.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var owner uint32
		err := bus.BusObject().Call("org.freedesktop.DBus.GetConnectionUnixProcessID", 0, name).Store(&owner)
		if err == nil && int(owner) == pid && strings.HasPrefix(name, ":") {
			return name
		}
	}
	t.Fatalf("%d is not on the bus", pid)
	return ""
}

// The whole life of an activity is on the screen, and watching it asks nothing
// that anybody else would notice: no handle is held, no channel requested.
func TestWatch_screen(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact(bobID), cmtest.Answers(aboutRoom, roomInfo))
	monitor := monitorCalls(t, cm.CM)
	s := watchOn(t, cm.CM)
	s.shows(cmtest.Account, "connected", "asking who was there before")
	bus, err := dbus.Connect(cm.BusAddress())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bus.Close() })
	sender := uniqueName(t, bus, s.program.Process.Pid)

	h := &hall{Connection: cm, handle: cm.Room(chatID)}
	tellOfChat(h)
	s.shows("Buddies 1", "bob", "Activities 1", "“Chat”", "org.laptop.Chat")
	call := h.ask()
	h.Expect(entering)
	h.comes("bob")
	h.admit("none")
	h.joined(call)
	s.shows("Rooms 1", chatRoom+"  2 inside")
	h.comes("ada")
	s.shows(chatRoom + "  3 inside")

	path := h.tubes()
	h.shares("ada", announced("ada", 77, "s1"))
	s.shows("Tubes 1", "D-Bus   "+calculator+"  offered to us")
	h.Call(path, tubesType, "AcceptDBusTube", uint32(77))
	s.shows("D-Bus   " + calculator + "  open")
	h.shares("bob", "<tube type='stream' service='"+reader+"' id='9'/>")
	s.shows("stream  " + reader + "  offered to us")
	h.shares("ada", "")
	h.shares("bob", "")
	s.shows("Ctrl-C ends", chatRoom+"  3 inside") // who was there has been asked for
	h.Server.Send("<presence from='" + bobID + "/sugar' type='unavailable'/>")
	s.ends()

	const marker = "io.school.Marker"
	bus.BusObject().Call("org.freedesktop.DBus.NameHasOwner", 0, marker)
	made := madeBy(t, monitor.until(marker), sender)
	for _, method := range []string{"org.freedesktop.DBus.Properties.GetAll", tp.InterfaceConnectionContactList.Name + ".GetContactListAttributes"} {
		if made[method] == 0 {
			t.Errorf("%s is not among the calls, which are %v", method, made)
		}
	}
}
