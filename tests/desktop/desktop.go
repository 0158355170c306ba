// Package desktop is one child's login session as Sugar has it, without Sugar: a session bus of its own, on which D-Bus
// starts an unmodified mission-control and the connection manager, and the accounts that Sugar makes.
//
// A desktop lives in a folder of its own and dies with the program that started it.
package desktop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/child"
	"telepathy-olpc/manager"
)

// MissionControl is where Debian has it.
const MissionControl = "/usr/lib/telepathy/mission-control-5"

// Options of a desktop.
type Options struct {
	Binary string   // the connection manager; absolute
	Env    []string // more environment for everything that D-Bus starts
}

// Desktop is a running session.
type Desktop struct {
	Address string // of the session bus
	Bus     *dbus.Conn
	// Signals has everything below /org/freedesktop/Telepathy and the comings and goings of Telepathy's bus names, in order.
	Signals <-chan *dbus.Signal

	dir    string
	daemon *child.Process
	out    *firstLine
}

// Start brings up the bus. mission-control comes when it is first spoken to.
func Start(ctx context.Context, opts Options) (*Desktop, error) {
	dir, err := os.MkdirTemp("", "desktop-") // short: a socket's path has 108 bytes at most
	if err != nil {
		return nil, err
	}
	d := &Desktop{dir: dir}
	if err := d.writeFiles(opts.Binary); err != nil {
		return nil, errors.Join(err, d.Stop())
	}
	if err := d.start(ctx, opts.Env); err != nil {
		return nil, errors.Join(fmt.Errorf("%w\n%s", err, d.Log()), d.Stop())
	}
	return d, nil
}

// busConfig has the policy and the limits of a session bus; without those, 128 calls at once are too many.
const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=%[1]s/bus</listen>
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

// writeFiles writes the bus' configuration and all that is installed on a laptop, and no more: other Telepathy clients of
// this machine, such as a logger, stay away.
func (d *Desktop) writeFiles(binary string) error {
	files := map[string]string{
		"bus.conf": fmt.Sprintf(busConfig, d.dir),
		"services/" + AccountManagerName + ".service": "[D-BUS Service]\nName=" + AccountManagerName + "\nExec=" + MissionControl + "\n",
	}
	for _, m := range []manager.Definition{manager.Gabble(), manager.Salut()} {
		files["services/"+m.BusName()+".service"] = m.ServiceFile(binary)
		files["share/telepathy/managers/"+m.Name+".manager"] = m.ManagerFile()
	}
	for name, text := range files {
		path := filepath.Join(d.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (d *Desktop) start(ctx context.Context, env []string) error {
	d.out = &firstLine{came: make(chan struct{})}
	cmd := exec.Command("dbus-daemon", "--config-file="+filepath.Join(d.dir, "bus.conf"), "--nofork", "--nopidfile", "--print-address=1")
	cmd.Dir = d.dir
	cmd.Env = append(d.environment(), env...)
	cmd.Stdout, cmd.Stderr = d.out, d.out // what D-Bus starts holds it too, so the process is done when all are gone
	var err error
	if d.daemon, err = child.Start(cmd); err != nil {
		return err
	}
	select {
	case <-d.out.came:
	case <-d.daemon.Done():
		return errors.New("dbus-daemon ended at once")
	case <-ctx.Done():
		return fmt.Errorf("dbus-daemon: %w", ctx.Err())
	}
	d.Address = "unix:path=" + filepath.Join(d.dir, "bus")
	return d.connect(ctx)
}

func (d *Desktop) environment() []string {
	return []string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8",
		"HOME=" + d.dir, "XDG_RUNTIME_DIR=" + d.dir, "XDG_CONFIG_HOME=" + d.dir, "XDG_CACHE_HOME=" + d.dir, "XDG_DATA_HOME=" + d.dir,
		"XDG_DATA_DIRS=" + filepath.Join(d.dir, "share"),
		"GSETTINGS_SCHEMA_DIR=/usr/share/glib-2.0/schemas", "GSETTINGS_BACKEND=memory",
		"DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + filepath.Join(d.dir, "no-system-bus"),
		"MC_ACCOUNT_DIR=" + filepath.Join(d.dir, "accounts"),
		// mission-control connects nothing until its network monitor sees a default route; this one always does.
		"GIO_USE_NETWORK_MONITOR=base",
	}
}

// connect opens our own connection, with a queue that keeps signals in order however late they are read.
func (d *Desktop) connect(ctx context.Context) error {
	var err error
	if d.Bus, err = dbus.Connect(d.Address, dbus.WithSignalHandler(dbus.NewSequentialSignalHandler())); err != nil {
		return fmt.Errorf("connect to the session bus: %w", err)
	}
	signals := make(chan *dbus.Signal)
	d.Bus.Signal(signals)
	d.Signals = signals
	for _, match := range [][]dbus.MatchOption{
		{dbus.WithMatchPathNamespace("/org/freedesktop/Telepathy")},
		{dbus.WithMatchSender(busName), dbus.WithMatchMember("NameOwnerChanged"), dbus.WithMatchArg0Namespace("org.freedesktop.Telepathy")},
	} {
		if err := d.Bus.AddMatchSignalContext(ctx, match...); err != nil {
			return fmt.Errorf("watch the session bus: %w", err)
		}
	}
	return nil
}

// busName is the bus itself.
const busName = "org.freedesktop.DBus"

// Stop ends the session and everything that D-Bus started in it, and removes its folder.
func (d *Desktop) Stop() error {
	var errs []error
	if d.Bus != nil {
		errs = append(errs, d.Bus.Close()) // closes d.Signals as well
	}
	if d.daemon != nil {
		errs = append(errs, d.daemon.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(d.dir))...)
}

// Dir is the session's folder, where everything is that programs of a session keep somewhere.
func (d *Desktop) Dir() string { return d.dir }

// Log is what the bus and all that it started have printed.
func (d *Desktop) Log() string {
	if d.out == nil {
		return ""
	}
	return strings.TrimSpace(d.out.String())
}

// firstLine keeps what is written and tells when the first line is complete.
type firstLine struct {
	mu   sync.Mutex
	text bytes.Buffer
	came chan struct{}
	told bool
}

var _ io.Writer = (*firstLine)(nil)

func (w *firstLine) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if !w.told && bytes.ContainsRune(p, '\n') {
		w.told = true
		close(w.came)
	}
	return len(p), nil
}

func (w *firstLine) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}
