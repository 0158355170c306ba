package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/wire"
)

// asleep lets the time of a suspended laptop pass: the time is what is tested.
func asleep(d time.Duration) { <-time.After(d) }

func suspend(t *testing.T, l *laptop.Laptop) (wake func()) {
	t.Helper()
	pid := l.Pid()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
}

// stayed wants a connection that was never lost.
func stayed(l *laptop.Laptop) {
	l.T.Helper()
	name := tp.SignalConnectionStatusChanged.Interface + "." + tp.SignalConnectionStatusChanged.Name
	for _, s := range l.Heard() {
		if s.Name == name && s.Path == l.Path && s.Body[0] == uint32(tp.ConnectionStatusDisconnected) {
			l.T.Errorf("%s's connection was lost", l.Child.Nick)
		}
	}
}

// testSuspended: the laptop sleeps for twice as long as a silent link is trusted. What was said meanwhile comes, and the link
// stays or is resumed.
func testSuspended(t *testing.T, s *school.Server) {
	ana, ben := open(t, s, "Ida"), open(t, s, "Jon")
	ana.Connect(quick)
	ben.Connect(nil)
	here, there := ana.Join("suspended"), ben.Join("suspended")
	converse(here, there, "before")
	wake := suspend(t, ana)
	if err := there.Say("meanwhile"); err != nil {
		t.Fatal(err)
	}
	asleep(8 * time.Second)
	wake()
	here.Read("meanwhile")
	converse(here, there, "after")
	stayed(ana)
}

// steady is a link that is trusted for longer than the laptop sleeps, whether it has noticed what happened before it slept or
// not: unlike a suspended kernel, that of a stopped process lets the time pass in which a session can be resumed.
var steady = map[string]any{"keepalive-interval": uint32(20)}

// testSuspendedAndCut: while the laptop sleeps, the network forgets its connection without a word.
func testSuspendedAndCut(t *testing.T, s *school.Server) {
	ana, proxy := through(t, s, "Kai")
	ben := open(t, s, "Lou")
	ana.Connect(steady)
	ben.Connect(nil)
	here, there := ana.Join("suspended-cut"), ben.Join("suspended-cut")
	converse(here, there, "before")
	wake := suspend(t, ana)
	proxy.Cut()
	if err := there.Say("meanwhile"); err != nil {
		t.Fatal(err)
	}
	proxy.Break()
	proxy.Heal()
	asleep(6 * time.Second)
	wake()
	here.Read("meanwhile")
	converse(here, there, "after")
	stayed(ana)
}

// place is a network namespace with one link to this machine's.
type place struct {
	name, link string // of the namespace, and of the link in there
	host       string // our address on the link
	net        string // the first three numbers
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		t.Skipf("ip %s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// newPlace makes a namespace, and skips the test where that is not possible.
func newPlace(t *testing.T) *place {
	t.Helper()
	needRoot(t, "network namespaces")
	n := os.Getpid() % 10000
	p := &place{name: fmt.Sprintf("faults%d", n), link: fmt.Sprintf("fb%d", n), net: fmt.Sprintf("10.203.%d", n%250)}
	p.host = p.net + ".1"
	outer := fmt.Sprintf("fa%d", n)
	ip(t, "netns", "add", p.name)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", p.name).Run() })
	ip(t, "link", "add", outer, "type", "veth", "peer", "name", p.link, "netns", p.name)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", outer).Run() })
	ip(t, "addr", "add", p.host+"/24", "dev", outer)
	ip(t, "link", "set", outer, "up")
	ip(t, "-n", p.name, "addr", "add", p.net+".2/24", "dev", p.link)
	ip(t, "-n", p.name, "link", "set", p.link, "up")
	return p
}

// open starts a laptop whose connection manager is in there. It reaches the school through a proxy on the link.
func (p *place) open(t *testing.T, s *school.Server, nick string, more map[string]any) *laptop.Laptop {
	t.Helper()
	proxy := wire.StartOn(t, p.host, address(s))
	l := laptop.Open(t, s, uint16(proxy.Port), nick, script(t, fmt.Sprintf("exec nsenter --net=/run/netns/%s %s \"$@\"", p.name, cmtest.Binary(t))))
	parameters := map[string]any{"server": p.host}
	for name, value := range more {
		parameters[name] = value
	}
	l.Connect(parameters)
	return l
}

// script is a program for the shell.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// testAddressChanged: the laptop comes to another access point and has another address. The old connection is silent from then
// on; the session is resumed over a new one.
func testAddressChanged(t *testing.T, s *school.Server) {
	p := newPlace(t)
	ana, ben := p.open(t, s, "Mia", quick), open(t, s, "Noa")
	ben.Connect(nil)
	here, there := ana.Join("roaming"), ben.Join("roaming")
	converse(here, there, "before")
	ip(t, "-n", p.name, "addr", "del", p.net+".2/24", "dev", p.link)
	if err := there.Say("meanwhile"); err != nil {
		t.Fatal(err)
	}
	ip(t, "-n", p.name, "addr", "add", p.net+".3/24", "dev", p.link)
	here.Read("meanwhile")
	converse(here, there, "after")
	stayed(ana)
}

// testLatency: two seconds to the server and back. Nothing takes that for dead.
func testLatency(t *testing.T, s *school.Server) {
	ana, proxy := through(t, s, "Oki")
	ben := open(t, s, "Pia")
	ben.Connect(nil)
	proxy.Delay(time.Second)
	ana.Connect(nil)
	ana.AwaitBuddy(ben.Self)
	talk(ana, ben, "late")
	stayed(ana)
}

// testLoss has the kernel lose packets and deliver the others two seconds late.
func testLoss(t *testing.T, s *school.Server) {
	p := newPlace(t)
	out, err := exec.Command("ip", "netns", "exec", p.name, "tc", "qdisc", "add", "dev", p.link, "root", "netem", "delay", "2s", "loss", "5%").CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Skipf("this kernel has no netem, but that of make test-vm has: %s", out)
	} else if err != nil {
		t.Skip("tc is not installed (Debian package iproute2)")
	}
	ana, ben := p.open(t, s, "Rio", nil), open(t, s, "Sol")
	ben.Connect(nil)
	ana.AwaitBuddy(ben.Self)
	talk(ana, ben, "lossy")
	stayed(ana)
}
