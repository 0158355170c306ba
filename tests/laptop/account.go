package laptop

import (
	"context"
	"os/exec"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/desktop"
)

// Account has mission-control bring the laptop on-line from now on, with the account that Sugar makes; a test that it does not
// run is skipped.
func (l *Laptop) Account() {
	l.T.Helper()
	if _, err := exec.LookPath(desktop.MissionControl); err != nil {
		l.T.Skip("mission-control is not installed (Debian package telepathy-mission-control-5)")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var err error
	l.account, err = l.SchoolAccount(ctx, l.Child, desktop.School{Domain: l.school.Domain, Host: l.school.Host, Port: l.port})
	if err != nil {
		l.T.Fatal(err)
	}
	l.AwaitOnline()
}

// AwaitOnline waits until mission-control has, since the last Forget, a connection on-line, and goes on with that.
func (l *Laptop) AwaitOnline() {
	l.T.Helper()
	l.AwaitName("mission-control is on-line", desktop.SignalAccountChanged, func(s *dbus.Signal) bool {
		changed := s.Body[0].(map[string]dbus.Variant)
		return s.Path == l.account && changed["ConnectionStatus"].Value() == uint32(tp.ConnectionStatusConnected)
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	properties, err := l.Desktop.Account(ctx, l.account)
	if err != nil {
		l.T.Fatal(err)
	}
	l.Path, _ = properties["Connection"].Value().(dbus.ObjectPath)
	l.Name = strings.ReplaceAll(strings.TrimPrefix(string(l.Path), "/"), "/", ".")
	l.SayLooks()
}
