package doctor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
)

// Names of mission-control's side of Telepathy, which is not ours to serve and
// so not among the facts.
const (
	accountManager   = "org.freedesktop.Telepathy.AccountManager"
	accountInterface = "org.freedesktop.Telepathy.Account"
)

const accountManagerPath = dbus.ObjectPath("/org/freedesktop/Telepathy/AccountManager")

// sessionBus connects to the bus of the desktop. Without one the laptop cannot
// be examined, which is no problem where there is no laptop.
func (e *exam) sessionBus(context.Context) verdict {
	address := e.opts.Bus
	if address == "" {
		address = os.Getenv("DBUS_SESSION_BUS_ADDRESS")
	}
	if address == "" {
		if e.domain != "" {
			return skip("no desktop session here")
		}
		return bad(NoBus, "DBUS_SESSION_BUS_ADDRESS is not set")
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	conn, err := bus.Dial(address, logrus.NewEntry(silent))
	if err != nil {
		return failed(NoBus, err)
	}
	e.bus = conn
	return fine(firstPart(address))
}

// firstPart leaves out the guid and other addresses.
func firstPart(address string) string {
	part, _, _ := strings.Cut(address, ",")
	return part
}

// askBus asks the bus itself for a list of names.
func (e *exam) askBus(ctx context.Context, method string) ([]string, error) {
	ctx, cancel := e.patient(ctx)
	defer cancel()
	var names []string
	reply, err := e.bus.AskBus(ctx, method, "")
	if err == nil {
		err = dbus.Store(reply, &names)
	}
	return names, err
}

// serviceFiles looks whether the bus can start the connection managers, and
// whom it would start.
func (e *exam) serviceFiles(ctx context.Context) verdict {
	if e.bus == nil {
		return skip("no session bus")
	}
	names, err := e.askBus(ctx, "ListActivatableNames")
	if err != nil {
		return failed(NoBus, err)
	}
	var programs, missing []string
	for _, d := range []manager.Definition{manager.Gabble(), manager.Salut()} {
		if !slices.Contains(names, d.BusName()) {
			missing = append(missing, d.Name)
			continue
		}
		if program := serviceProgram(d.BusName()); program != "" && !slices.Contains(programs, program) {
			programs = append(programs, program)
		}
	}
	if len(missing) > 0 {
		return bad(NotInstalled, "nobody serves "+strings.Join(missing, " and "))
	}
	for _, program := range programs {
		if !strings.Contains(filepath.Base(program), "telepathy-olpc") {
			return bad(OtherManager, program)
		}
		if _, err := os.Stat(program); err != nil {
			return bad(NotInstalled, program+" is not there")
		}
	}
	if len(programs) == 0 {
		return fine("the bus knows both")
	}
	return fine(strings.Join(programs, ", "))
}

// dataDirs are the folders for shared data, the own first: XDG Base Directory
// specification.
func dataDirs() []string {
	home := os.Getenv("XDG_DATA_HOME")
	if home == "" {
		home = filepath.Join(os.Getenv("HOME"), ".local/share")
	}
	dirs := os.Getenv("XDG_DATA_DIRS")
	if dirs == "" {
		dirs = "/usr/local/share:/usr/share"
	}
	return append([]string{home}, filepath.SplitList(dirs)...)
}

// findData finds the first file of a name in them.
func findData(name string) string {
	for _, dir := range dataDirs() {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return ""
}

// serviceProgram is what a service file starts; "" if the file is not where
// they usually are.
func serviceProgram(name string) string {
	file, err := os.Open(findData("dbus-1/services/" + name + ".service"))
	if err != nil {
		return ""
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if exec, ok := strings.CutPrefix(lines.Text(), "Exec="); ok {
			program, _, _ := strings.Cut(strings.TrimSpace(exec), " ")
			return program
		}
	}
	return ""
}

// managerFiles looks for what mission-control reads about the connection
// managers.
func (e *exam) managerFiles(context.Context) verdict {
	if e.bus == nil {
		return skip("no session bus")
	}
	var found, missing []string
	for _, d := range []manager.Definition{manager.Gabble(), manager.Salut()} {
		name := d.Name + ".manager"
		path := findData("telepathy/managers/" + name)
		if path == "" {
			missing = append(missing, name)
		} else if dir := filepath.Dir(path); !slices.Contains(found, dir) {
			found = append(found, dir)
		}
	}
	if len(missing) > 0 {
		return bad(NoManagerFiles, "not found: "+strings.Join(missing, ", "))
	}
	return fine(strings.Join(found, ", "))
}

// missionControl looks for who keeps accounts, without starting it: it would
// log in, and its owner may not want that.
func (e *exam) missionControl(ctx context.Context) verdict {
	if e.bus == nil {
		return skip("no session bus")
	}
	names, err := e.askBus(ctx, "ListNames")
	if err != nil {
		return failed(NoBus, err)
	}
	if slices.Contains(names, accountManager) {
		e.manages = true
		return fine("is running")
	}
	names, err = e.askBus(ctx, "ListActivatableNames")
	if err != nil {
		return failed(NoBus, err)
	}
	if slices.Contains(names, accountManager) {
		return bad(MissionAsleep, "is installed and not running")
	}
	return bad(NoMission, "is not installed")
}

// account is what is read of an account of Sugar's. The password is not.
type account struct {
	path       dbus.ObjectPath
	id, server string
	enabled    bool
	status     tp.ConnectionStatus
	failure    string // D-Bus error name
}

// sugarAccount finds the account that Sugar made for its connection manager,
// which it tells by its path, and takes the school's name from it if none was
// given.
func (e *exam) sugarAccount(ctx context.Context) verdict {
	if !e.manages {
		return skip("mission-control is not running")
	}
	all, err := e.properties(ctx, accountManagerPath, accountManager)
	if err != nil {
		return failed(NoMission, err)
	}
	list, _ := all["ValidAccounts"].Value().([]dbus.ObjectPath)
	prefix := accountPrefix(manager.Gabble().Name)
	i := slices.IndexFunc(list, func(p dbus.ObjectPath) bool { return strings.HasPrefix(string(p), prefix) })
	if i < 0 {
		return bad(NoAccount, fmt.Sprintf("none of %s is of %s", number(len(list), "account"), manager.Gabble().Name))
	}
	a, err := e.readAccount(ctx, list[i])
	if err != nil {
		return failed(NoMission, err)
	}
	if e.domain == "" {
		_, domain, _ := strings.Cut(a.id, "@")
		e.domain = domain
		if e.host == "" {
			e.host = a.server
		}
		if e.host == "" {
			e.host = domain
		}
	}
	return a.verdict()
}

// accountPrefix is how the paths of a connection manager's accounts begin.
func accountPrefix(cm string) string { return "/org/freedesktop/Telepathy/Account/" + cm + "/" }

func (a account) verdict() verdict {
	switch {
	case !a.enabled:
		return bad(AccountOff, a.id)
	case a.status == tp.ConnectionStatusConnected:
		return fine(a.id + ", connected")
	case a.failure != "":
		return bad(AccountFailed, a.id+": "+a.failure)
	default:
		return bad(AccountFailed, a.id+": not connected")
	}
}

// properties reads from mission-control, without starting it.
func (e *exam) properties(ctx context.Context, path dbus.ObjectPath, iface string) (map[string]dbus.Variant, error) {
	ctx, cancel := e.patient(ctx)
	defer cancel()
	var all map[string]dbus.Variant
	reply, err := e.bus.Ask(ctx, accountManager, path, tp.InterfaceDBusProperties.Name, "GetAll", "s", iface)
	if err == nil {
		err = dbus.Store(reply, &all)
	}
	return all, err
}

var errNoParameters = errors.New("account without parameters")

func (e *exam) readAccount(ctx context.Context, path dbus.ObjectPath) (account, error) {
	all, err := e.properties(ctx, path, accountInterface)
	if err != nil {
		return account{}, err
	}
	parameters, ok := all["Parameters"].Value().(map[string]dbus.Variant)
	if !ok {
		return account{}, errNoParameters
	}
	a := account{path: path}
	a.id, _ = parameters["account"].Value().(string)
	a.server, _ = parameters["server"].Value().(string)
	a.enabled, _ = all["Enabled"].Value().(bool)
	status, _ := all["ConnectionStatus"].Value().(uint32)
	a.status = tp.ConnectionStatus(status)
	a.failure, _ = all["ConnectionError"].Value().(string)
	return a, nil
}
