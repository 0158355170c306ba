package faults

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/child"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/tests/school"
)

// testServerKilled is a restart and a power cut in the school: mission-control brings both back, and they see each other.
func testServerKilled(t *testing.T, s *school.Server) {
	ana, ben := open(t, s, "Ana"), open(t, s, "Ben")
	for _, l := range []*laptop.Laptop{ana, ben} {
		l.Account()
	}
	ana.AwaitBuddy(ben.Self)
	ben.AwaitBuddy(ana.Self)
	for _, end := range []func() error{func() error { return nil }, s.Kill} { // in order first: ejabberd writes to disk late
		ana.Forget()
		ben.Forget()
		if err := errors.Join(end(), s.Restart(t.Context())); err != nil {
			t.Fatal(err)
		}
		ana.AwaitOnline()
		ben.AwaitOnline()
		ana.AwaitBuddy(ben.Self)
		ben.AwaitBuddy(ana.Self)
		talk(ana, ben, "server-killed")
	}
}

// testManagerKilled: mission-control has a new one started, and the Neighborhood is as it was, with the activity that another
// shares.
func testManagerKilled(t *testing.T, s *school.Server) {
	ana, ben := open(t, s, "Cora"), open(t, s, "Dino")
	ana.Account()
	ben.Connect(nil)
	shared := ben.Join("manager-killed")
	shared.Share()
	ana.AwaitBuddy(ben.Self)
	awaitActivity(ana, ben, shared.ID)
	before := ana.Pid()
	ana.Forget()
	if err := syscall.Kill(before, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ana.AwaitOnline()
	if ana.Pid() == before {
		t.Error("the connection manager is the one that was killed")
	}
	ana.AwaitBuddy(ben.Self)
	awaitActivity(ana, ben, shared.ID)
	ben.AwaitBuddy(ana.Self)
	converse(ana.Join(shared.ID), shared, "again")
}

// awaitActivity waits until a laptop knows what another shares.
func awaitActivity(l, of *laptop.Laptop, id string) {
	l.T.Helper()
	who := l.Handle(tp.HandleTypeContact, of.Self)
	var activities []struct {
		ID   string
		Room uint32
	}
	l.Store(l.Call(l.Path, tp.InterfaceBuddyInfo, "GetActivities", who), &activities)
	if len(activities) == 1 && activities[0].ID == id {
		return
	}
	l.Await("activity "+id, tp.SignalBuddyInfoActivitiesChanged, func(s *dbus.Signal) bool {
		if s.Path != l.Path || s.Body[0] != who {
			return false
		}
		for _, a := range s.Body[1].([][]any) {
			if a[0] == id {
				return true
			}
		}
		return false
	})
}

// activityOf makes this program an activity on the bus with that address.
const activityOf = "FAULTS_ACTIVITY_BUS"

// playActivity shares a D-Bus tube, says so, and waits to be killed.
func playActivity() {
	say := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	bus, err := dbus.Connect(os.Getenv(activityOf))
	say(err)
	object := func(path string) dbus.BusObject {
		return bus.Object(os.Getenv("FAULTS_CONNECTION"), dbus.ObjectPath(path))
	}
	connection := object(os.Getenv("FAULTS_PATH"))
	var rooms []uint32
	say(connection.Call(tp.InterfaceConnection.Name+".RequestHandles", 0, uint32(tp.HandleTypeRoom), []string{"activity-killed"}).Store(&rooms))
	var text, tubes dbus.ObjectPath
	for channel, kind := range map[*dbus.ObjectPath]string{&text: tp.InterfaceChannelText.Name, &tubes: tp.InterfaceChannelTubes.Name} {
		say(connection.Call(tp.InterfaceConnection.Name+".RequestChannel", 0, kind, uint32(tp.HandleTypeRoom), rooms[0], true).Store(channel))
	}
	var number uint32
	say(object(string(tubes)).Call(tp.InterfaceChannelTubes.Name+".OfferDBusTube", 0, "org.laptop.Killed", map[string]dbus.Variant{}).Store(&number))
	var address string
	say(object(string(tubes)).Call(tp.InterfaceChannelTubes.Name+".GetDBusTubeAddress", 0, number).Store(&address))
	peer, err := dbus.Dial(address)
	say(err)
	say(peer.Auth(nil))
	fmt.Println("ready")
	select {}
}

// testActivityKilled: an activity is killed in the middle of a tube. For a minute nobody closes its channels for it; when it comes
// back to the activity it is in the tube again, and with leaving the socket goes.
func testActivityKilled(t *testing.T, s *school.Server) {
	ana, ben := open(t, s, "Emil"), open(t, s, "Flor")
	ana.Account()
	ben.Connect(nil)
	there := ben.Join("activity-killed")
	activity := startActivity(t, ana)
	number := there.AwaitTube("org.laptop.Killed")
	peer := ben.OpenPeer(there.AcceptDBusTube(number))
	defer peer.Close()
	there.AwaitNames(number, 2, 0)
	sockets(t, ana, 1)
	if err := activity.Kill(); err != nil {
		t.Fatal(err)
	}
	here := ana.Join("activity-killed")
	again := here.AwaitTube("org.laptop.Killed")
	var address string
	ana.Store(ana.Call(here.Tubes, tp.InterfaceChannelTubes, "GetDBusTubeAddress", again), &address)
	back := ana.OpenPeer(address)
	defer back.Close()
	if err := peer.Emit("/", "org.laptop.Killed.Said", "hello"); err != nil {
		t.Fatal(err)
	}
	if got := <-back.Signals; got.Body[0] != "hello" {
		t.Errorf("heard %v", got.Body)
	}
	ben.Forget()
	here.Leave()
	there.AwaitNames(number, 0, 1)
	sockets(t, ana, 0)
}

// testActivityGone: an activity is killed and does not come back. The others see the child leave, and nothing of it stays.
func testActivityGone(t *testing.T, s *school.Server) {
	ana, ben := open(t, s, "Nina"), open(t, s, "Otto")
	ana.Account()
	ben.Connect(nil)
	there := ben.Join("activity-killed")
	activity := startActivity(t, ana)
	number := there.AwaitTube("org.laptop.Killed")
	there.AcceptDBusTube(number)
	there.AwaitNames(number, 2, 0)
	ben.Forget()
	if err := activity.Kill(); err != nil {
		t.Fatal(err)
	}
	there.AwaitNames(number, 0, 1)
	sockets(t, ana, 0)
}

// startActivity has an activity run until it is in its tube.
func startActivity(t *testing.T, l *laptop.Laptop) *child.Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), activityOf+"="+l.Address, "FAULTS_CONNECTION="+l.Name, "FAULTS_PATH="+string(l.Path))
	activity, line := firstLine(t, cmd)
	if line != "ready\n" {
		t.Fatalf("the activity says %q", line)
	}
	return activity
}

// firstLine starts a program and waits for what it says first. The test's end kills it.
func firstLine(t *testing.T, cmd *exec.Cmd) (p *child.Process, line string) {
	t.Helper()
	out, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { out.Close() })
	cmd.Stdout = in
	p, err = child.Start(cmd)
	in.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Kill() })
	line, _ = bufio.NewReader(out).ReadString('\n')
	return p, line
}

// sockets wants so many folders with sockets of tubes and files.
func sockets(t *testing.T, l *laptop.Laptop, want int) {
	t.Helper()
	var all []string
	for _, pattern := range []string{"dbus-tube-*", "olpc-*"} {
		found, err := filepath.Glob(filepath.Join(l.Dir(), pattern))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) != want {
		t.Errorf("folders with sockets: %v, want %d", all, want)
	}
}

// testMonitorKilled: who listens in and then does not, or is gone, disturbs nobody.
func testMonitorKilled(t *testing.T, s *school.Server) {
	path, err := exec.LookPath("dbus-monitor")
	if err != nil {
		t.Fatal("dbus-monitor is not installed (Debian package dbus-bin)")
	}
	ana, ben := open(t, s, "Gala"), open(t, s, "Hein")
	ben.Connect(nil)
	monitor, _ := firstLine(t, exec.Command(path, "--address", ana.Address)) // so it listens
	ana.Connect(nil)
	talk(ana, ben, "monitored")
	if err := syscall.Kill(monitor.Pid(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	talk(ana, ben, "monitor-stopped")
	if err := monitor.Kill(); err != nil {
		t.Fatal(err)
	}
	talk(ana, ben, "monitor-killed")
}
