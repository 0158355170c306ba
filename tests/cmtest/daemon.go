package cmtest

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
)

// The names under which the binary is activated.
const (
	GabbleName = "org.freedesktop.Telepathy.ConnectionManager.gabble"
	SalutName  = "org.freedesktop.Telepathy.ConnectionManager.salut"
)

// daemonConfig has the policy and the limits of a session bus, with service files
// of its own.
const daemonConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%[1]s/bus</listen>
  <auth>EXTERNAL</auth>
  <servicedir>%[1]s/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">1000000000</limit>
  <limit name="max_outgoing_bytes">1000000000</limit>
  <limit name="max_message_size">1000000000</limit>
  <limit name="max_replies_per_connection">50000</limit>
  <limit name="max_match_rules_per_connection">50000</limit>
  <limit name="max_names_per_connection">50000</limit>
</busconfig>
`

// daemon is a private dbus-daemon in a folder of its own. What it starts
// inherits its environment and its standard error, which is a log file.
type daemon struct {
	dir, address string
	cmd          *exec.Cmd
	stopped      bool
}

// startDaemon writes configuration and service files and waits until the bus
// takes connections. args are given to the binary in the service files.
func startDaemon(t testing.TB, binary string, args, env []string) *daemon {
	t.Helper()
	// t.TempDir is named after the test: too long for the path of a socket.
	dir, err := os.MkdirTemp("", "cm-")
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{dir: dir}
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.MkdirAll(filepath.Join(dir, "services"), 0o700))
	must(t, os.MkdirAll(filepath.Join(dir, "home"), 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "bus.conf"), fmt.Appendf(nil, daemonConfig, dir), 0o600))
	for _, name := range []string{GabbleName, SalutName} {
		service := fmt.Sprintf("[D-BUS Service]\nName=%s\nExec=%s\n", name, strings.Join(append([]string{binary}, args...), " "))
		must(t, os.WriteFile(filepath.Join(dir, "services", name+".service"), []byte(service), 0o600))
	}
	d.start(t, env)
	return d
}

// logPath is the file that daemon and connection manager write to.
func (d *daemon) logPath() string { return filepath.Join(d.dir, "log") }

func (d *daemon) start(t testing.TB, env []string) {
	t.Helper()
	log, err := os.Create(d.logPath())
	must(t, err)
	defer log.Close()
	ready, print, err := os.Pipe()
	must(t, err)
	defer ready.Close()
	d.cmd = exec.Command("dbus-daemon", "--config-file="+filepath.Join(d.dir, "bus.conf"), "--nofork", "--nopidfile", "--print-address=3")
	d.cmd.Env = append(d.environment(), env...)
	d.cmd.Stderr = log
	d.cmd.ExtraFiles = []*os.File{print}
	err = d.cmd.Start()
	print.Close()
	must(t, err)
	t.Cleanup(d.stop)
	address, err := bufio.NewReader(ready).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon gave no address: %v", err)
	}
	d.address = strings.TrimSpace(address)
}

// environment is all that the connection manager sees of this machine.
func (d *daemon) environment() []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=" + filepath.Join(d.dir, "home"),
		"TELEPATHY_OLPC_DEBUG=trace",
		"GORACE=atexit_sleep_ms=0", // a second per test otherwise
	}
	for _, name := range []string{"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "TMPDIR"} {
		dir := filepath.Join(d.dir, "home", strings.ToLower(name))
		os.MkdirAll(dir, 0o700)
		env = append(env, name+"="+dir)
	}
	return env
}

// stop ends the daemon; everybody on the bus is cut off.
func (d *daemon) stop() {
	if d.stopped {
		return
	}
	d.stopped = true
	d.cmd.Process.Signal(syscall.SIGTERM)
	d.cmd.Wait()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// managerPath is the object path of the ConnectionManager object that owns a
// bus name.
func managerPath(busName string) dbus.ObjectPath {
	return dbus.ObjectPath("/" + strings.ReplaceAll(busName, ".", "/"))
}
