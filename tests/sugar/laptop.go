package sugar

import (
	"bufio"
	"context"
	"crypto/sha1"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"telepathy-olpc/internal/child"
	"telepathy-olpc/manager"
)

// Debian's own; another Python of the machine has no Sugar.
const python = "/usr/bin/python3"

// Logs in the laptop's folder of the results.
const (
	sessionLog = "session.log" // the bus and what it starts: mission-control and the connection manager
	shellLog   = "shell.log"
)

//go:embed agent/*.py
var agents embed.FS

// pupil is who sits at a laptop; with [Options] as after a login, the number is in the name of the folder for sockets.
type pupil struct{ nick, colors, number string }

// laptop is one child's Sugar: profile, X server, buses, shell. Its home is thrown away at the end.
type laptop struct {
	pupil
	key     string // the public key as others see it
	account string // name on the school server
	binary  string // see [Options]
	shell   *Process

	dir, out  string
	home, run string // HOME and XDG_RUNTIME_DIR
	login     bool   // see [Options]
	env       []string
	children  []*child.Process // in the order of their start
	listener  net.Listener
	accepted  sync.WaitGroup
	arrivals  chan *Process

	mu      sync.Mutex
	running []*Process
}

// newLaptop makes home and profile, so that the name of the account is known.
func newLaptop(ctx context.Context, opts Options, c pupil) (*laptop, error) {
	name := strings.ToLower(c.nick)
	dir, err := os.MkdirTemp("", "sugar-"+name+"-") // short: a socket's path has 108 bytes at most
	if err != nil {
		return nil, err
	}
	l := &laptop{
		pupil: c, binary: opts.Binary, login: opts.Login, arrivals: make(chan *Process, 16),
		dir: dir, out: filepath.Join(opts.Out, name), home: filepath.Join(dir, "home"), run: filepath.Join(dir, "run"),
	}
	if l.login {
		l.home, l.run = "/home/"+name, "/run/user/"+c.number
	}
	for _, d := range []string{l.out, l.run, l.path("agent"), l.profile()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return l, err
		}
	}
	l.env = l.environment()
	return l, errors.Join(l.writeKeys(ctx), l.writeSettings(), l.writeAgent())
}

func (l *laptop) path(name ...string) string {
	return filepath.Join(append([]string{l.dir}, name...)...)
}

// runtime is a file or socket that lasts as long as the session.
func (l *laptop) runtime(name string) string { return filepath.Join(l.run, name) }

// profile is Sugar's folder in the home.
func (l *laptop) profile() string { return filepath.Join(l.home, ".sugar", "default") }

// address is the account's.
func (l *laptop) address() string { return l.account + "@" + domain }

// environment is what /usr/bin/sugar sets, and what keeps the session in its folder.
func (l *laptop) environment() []string {
	const data = "/usr/share/sugar/data/"
	home := l.home
	return []string{
		"PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LANG=C.UTF-8", "LANGUAGE=en", "TMPDIR=" + l.run,
		"HOME=" + home, "XDG_CONFIG_HOME=" + home + "/.config", "XDG_CACHE_HOME=" + home + "/.cache", "XDG_DATA_HOME=" + home + "/.local/share",
		"XDG_RUNTIME_DIR=" + l.run, "XDG_DATA_DIRS=" + l.path("share") + ":/usr/share",
		"DBUS_SESSION_BUS_ADDRESS=unix:path=" + l.runtime("bus"), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + l.runtime("system"),
		"SUGAR_HOME=" + home + "/.sugar", "SUGAR_PROFILE=default", "SUGAR_SCALING=72", "SUGAR_LOGGER_LEVEL=debug",
		"SUGAR_GROUP_LABELS=" + data + "group-labels.defaults", "SUGAR_MIME_DEFAULTS=" + data + "mime.defaults",
		"SUGAR_ACTIVITIES_HIDDEN=" + data + "activities.hidden", "GTK2_RC_FILES=" + data + "sugar-72.gtkrc",
		"MC_ACCOUNT_DIR=" + l.profile() + "/accounts",
		"GSETTINGS_BACKEND=keyfile",                                  // no dconf, which would need a service more
		"GIO_USE_NETWORK_MONITOR=base",                               // always on-line; the default one wants to see a default route
		"NO_AT_BRIDGE=1", "GTK_A11Y=none", "LIBGL_ALWAYS_SOFTWARE=1", // nothing outside the session
		"TELEPATHY_OLPC_DEBUG=trace",
	}
}

// writeKeys makes the key pair as Sugar's first start does; the account's name is made of it.
func (l *laptop) writeKeys(ctx context.Context) error {
	file := filepath.Join(l.profile(), "owner.key")
	if out, err := exec.CommandContext(ctx, "ssh-keygen", "-q", "-t", "dsa", "-f", file, "-C", "", "-N", "").CombinedOutput(); err != nil {
		return fmt.Errorf("ssh-keygen: %w: %s", err, out)
	}
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		return err
	}
	l.key = strings.TrimPrefix(strings.TrimSpace(string(text)), "ssh-dss ")
	sum := sha1.Sum([]byte(l.key))
	l.account = hex.EncodeToString(sum[:])
	return nil
}

// settings is what the child has chosen, in GLib's key file of settings.
const settings = `[org/sugarlabs/user]
nick='%s'
color='%s'
group-label='Adult'
[org/sugarlabs/collaboration]
jabber-server='%s'
[org/sugarlabs/power]
automatic=false
[org/gnome/desktop/interface]
enable-animations=false
`

func (l *laptop) writeSettings() error {
	return write(fmt.Sprintf(settings, l.nick, l.colors, domain), filepath.Join(l.home, ".config", "glib-2.0", "settings", "keyfile"))
}

func (l *laptop) writeAgent() error {
	return fs.WalkDir(agents, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := agents.ReadFile(name)
		if err != nil {
			return err
		}
		return write(string(text), l.path(name))
	})
}

// writeService has D-Bus and mission-control find the connection manager, before one that is installed.
func (l *laptop) writeService() error {
	var errs []error
	for _, m := range []manager.Definition{manager.Gabble(), manager.Salut()} {
		if l.binary != "" {
			errs = append(errs,
				write(m.ServiceFile(l.binary), l.path("share", "dbus-1", "services", m.BusName()+".service")),
				write(m.ManagerFile(), l.path("share", "telepathy", "managers", m.Name+".manager")))
		}
	}
	return errors.Join(errs...)
}

// write makes a file and the folders it is in.
func write(text, path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o600)
}

// start brings up the session and returns when the shell is complete.
func (l *laptop) start(ctx context.Context) error {
	if err := errors.Join(l.writeService(), l.listen()); err != nil {
		return err
	}
	display, err := l.spawnReady(ctx, "x.log", "Xvfb", "-displayfd", "3", "-screen", "0", "1200x900x24", "-nolisten", "tcp")
	if err != nil {
		return err
	}
	l.env = append(l.env, "DISPLAY=:"+display)
	for bus, log := range map[string]string{"bus": sessionLog, "system": "system.log"} {
		_, err := l.spawnReady(ctx, log, "dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=3", "--address=unix:path="+l.runtime(bus))
		if err != nil {
			return err
		}
	}
	l.env = append(l.env, "PYTHONPATH="+l.path("agent"), "PYTHONDONTWRITEBYTECODE=1", "SUGAR_TEST_SOCKET="+l.runtime("agent"))
	shell := []string{python, "-m", "jarabe.main"}
	if l.binary == "" {
		shell = []string{"/usr/bin/sugar"}
	}
	if err := l.spawn(shellLog, nil, shell...); err != nil {
		return err
	}
	if l.shell, err = l.arrival(ctx); err != nil {
		return fmt.Errorf("%s's shell: %w", l.nick, err)
	}
	if err := l.shell.until(ctx, nil, "desktop"); err != nil {
		return fmt.Errorf("%s's shell: %w", l.nick, err)
	}
	return nil
}

// spawn starts a program of the session, whose output goes to a log; ready is its descriptor 3, if any.
func (l *laptop) spawn(log string, ready *os.File, argv ...string) error {
	file, err := os.OpenFile(filepath.Join(l.out, log), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = l.home, l.env
	cmd.Stdout, cmd.Stderr = file, file
	if ready != nil {
		cmd.ExtraFiles = []*os.File{ready}
	}
	p, err := child.Start(cmd)
	if err != nil {
		return err
	}
	l.children = append(l.children, p)
	return nil
}

// spawnReady starts a program that writes a line to descriptor 3 when it is ready, and gives that line.
func (l *laptop) spawnReady(ctx context.Context, log string, argv ...string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	err = l.spawn(log, w, argv...)
	w.Close()
	if err != nil {
		return "", err
	}
	defer context.AfterFunc(ctx, func() { r.Close() })()
	line, err := bufio.NewReader(r).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s ended at once, see %s", argv[0], filepath.Join(l.out, log))
	}
	return strings.TrimSpace(line), nil
}

// listen waits for the agents of shell and activities.
func (l *laptop) listen() error {
	var err error
	if l.listener, err = net.Listen("unix", l.runtime("agent")); err != nil {
		return err
	}
	l.accepted.Go(func() {
		for {
			conn, err := l.listener.Accept()
			if err != nil {
				return
			}
			if p, err := meet(conn); err == nil {
				l.mu.Lock()
				l.running = append(l.running, p)
				l.mu.Unlock()
				l.arrivals <- p
			}
		}
	})
	return nil
}

// arrival is the next process that starts.
func (l *laptop) arrival(ctx context.Context) (*Process, error) {
	select {
	case p := <-l.arrivals:
		return p, nil
	case <-ctx.Done():
		return nil, errors.New("waited in vain for a process to start")
	}
}

// activities are those that run.
func (l *laptop) activities() []*Process {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.running = slices.DeleteFunc(l.running, func(p *Process) bool { return p.ended() != nil })
	var found []*Process
	for _, p := range l.running {
		if p != l.shell {
			found = append(found, p)
		}
	}
	return found
}

// launch starts an activity, or joins the one of an id, and gives it when its window is there.
func (l *laptop) launch(ctx context.Context, bundle, id string) (p *Process, activity string, err error) {
	if err := l.shell.call(ctx, nil, "launch", bundle, id); err != nil {
		return nil, "", err
	}
	return l.started(ctx, bundle)
}

// started is the activity that is about to start, and its id.
func (l *laptop) started(ctx context.Context, bundle string) (p *Process, id string, err error) {
	if p, err = l.arrival(ctx); err != nil {
		return nil, "", err
	}
	if p.hello.Bundle != bundle {
		return nil, "", fmt.Errorf("%s starts, not %s", p.hello.Bundle, bundle)
	}
	return p, id, p.until(ctx, &id, "identity")
}

// photograph keeps the screen as a picture.
func (l *laptop) photograph(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, stateLimit)
	defer cancel()
	if err := l.shell.call(ctx, nil, "screenshot", filepath.Join(l.out, name+".png")); err != nil {
		// Not worth a failure of its own; the log of the shell stays.
		os.WriteFile(filepath.Join(l.out, name+".txt"), []byte(err.Error()), 0o644)
	}
}

// describe is what the child has before it, for a report.
func (l *laptop) describe(ctx context.Context) string {
	lines := []string{l.nick + "'s shell: " + l.shell.state(ctx)}
	for _, p := range l.activities() {
		lines = append(lines, fmt.Sprintf("%s's %s: %s", l.nick, p.hello.Bundle, p.state(ctx)))
	}
	return strings.Join(lines, "\n")
}

// stop ends the session, keeps Sugar's own logs, and throws the rest away.
func (l *laptop) stop() error {
	var errs []error
	for _, c := range slices.Backward(l.children) {
		errs = append(errs, c.Stop())
	}
	if l.listener != nil {
		errs = append(errs, l.listener.Close())
		l.accepted.Wait()
	}
	logs := filepath.Join(l.profile(), "logs")
	if _, err := os.Stat(logs); err == nil {
		errs = append(errs, os.CopyFS(filepath.Join(l.out, "sugar"), os.DirFS(logs)))
	}
	if l.login {
		errs = append(errs, os.RemoveAll(l.home), os.RemoveAll(l.run))
	}
	return errors.Join(append(errs, os.RemoveAll(l.dir))...)
}
