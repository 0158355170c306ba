package desktop

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Names of mission-control's side of Telepathy.
const (
	AccountManagerName      = "org.freedesktop.Telepathy.AccountManager"
	AccountInterface        = "org.freedesktop.Telepathy.Account"
	SignalAccountChanged    = AccountInterface + ".AccountPropertyChanged"
	SignalNameOwnerChanged  = busName + ".NameOwnerChanged"
	accountManagerInterface = AccountManagerName
	accountManagerPath      = "/org/freedesktop/Telepathy/AccountManager"
)

// Child is who sits at the desktop.
type Child struct{ Nick, Color string }

// Key stands for the text of the child's public key.
func (c Child) Key() []byte { return []byte("public key of " + c.Nick) }

// Name is the child's account name: Sugar takes the lower-case hexadecimal SHA-1 of the public key's text.
func (c Child) Name() string { return digest(string(c.Key())) }

// Password is what Sugar makes of the private key in the same way.
func (c Child) Password() string { return digest("private key of " + c.Nick) }

func digest(text string) string {
	sum := sha1.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// School is the server that the child's laptop is set to.
type School struct {
	Domain string
	Host   string
	Port   uint16 // with direct TLS
}

// Wake speaks to mission-control, so that D-Bus starts it.
func (d *Desktop) Wake(ctx context.Context) error {
	err := d.Bus.Object(AccountManagerName, accountManagerPath).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, accountManagerInterface, "Interfaces").Err
	if err != nil {
		return fmt.Errorf("wake mission-control: %w", err)
	}
	return nil
}

// LinkLocalAccount makes the salut account, as Sugar does before any other.
func (d *Desktop) LinkLocalAccount(ctx context.Context, c Child, school string) (dbus.ObjectPath, error) {
	return d.createAccount(ctx, "salut", "local-xmpp", c.Nick, map[string]any{
		"nickname":       c.Nick,
		"first-name":     "",
		"last-name":      "",
		"jid":            c.Name() + "@" + school,
		"published-name": c.Name()[:8],
	})
}

// SchoolAccount makes the gabble account with the parameters that Sugar gives, in the types that Sugar gives them:
// the port is an unsigned 32-bit number. Sugar gives the school's name for a server and 5223 for a port.
func (d *Desktop) SchoolAccount(ctx context.Context, c Child, s School) (dbus.ObjectPath, error) {
	return d.createAccount(ctx, "gabble", "jabber", c.Nick, map[string]any{
		"account":            c.Name() + "@" + s.Domain,
		"password":           c.Password(),
		"server":             s.Host,
		"resource":           "sugar",
		"require-encryption": true,
		"ignore-ssl-errors":  true,
		"register":           true,
		"old-ssl":            true,
		"port":               uint32(s.Port),
	})
}

// createAccount calls AccountManager.CreateAccount; the protocol is the display name too, as with Sugar.
func (d *Desktop) createAccount(ctx context.Context, cm, protocol, nick string, parameters map[string]any) (dbus.ObjectPath, error) {
	properties := map[string]any{
		AccountInterface + ".Enabled":              true,
		AccountInterface + ".Nickname":             nick,
		AccountInterface + ".ConnectAutomatically": true,
	}
	display := protocol
	if cm == "salut" {
		display = cm
	}
	var path dbus.ObjectPath
	err := d.Bus.Object(AccountManagerName, accountManagerPath).
		CallWithContext(ctx, accountManagerInterface+".CreateAccount", 0, cm, protocol, display, variants(parameters), variants(properties)).
		Store(&path)
	if err != nil {
		return "", fmt.Errorf("create the %s account: %w", cm, err)
	}
	return path, nil
}

// Set changes a property of an account, such as Enabled.
func (d *Desktop) Set(ctx context.Context, account dbus.ObjectPath, property string, value any) error {
	return d.Bus.Object(AccountManagerName, account).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Set", 0, AccountInterface, property, dbus.MakeVariant(value)).Err
}

// Account reads all properties of an account.
func (d *Desktop) Account(ctx context.Context, account dbus.ObjectPath) (map[string]dbus.Variant, error) {
	var properties map[string]dbus.Variant
	err := d.Bus.Object(AccountManagerName, account).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.GetAll", 0, AccountInterface).Store(&properties)
	return properties, err
}

func variants(m map[string]any) map[string]dbus.Variant {
	vs := make(map[string]dbus.Variant, len(m))
	for k, v := range m {
		vs[k] = dbus.MakeVariant(v)
	}
	return vs
}
