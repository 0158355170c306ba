package manager

import (
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
)

func TestParseValues(t *testing.T) {
	table := []Parameter{
		{Name: "account", Signature: "s", Flags: tp.ConnMgrParamFlagsRequired},
		{Name: "port", Signature: "q"},
		{Name: "priority", Signature: "n", Default: int16(0)},
		{Name: "interval", Signature: "u"},
		{Name: "register", Signature: "b", Default: false},
		{Name: "servers", Signature: "as", Default: []string{}},
	}
	type given = map[string]dbus.Variant
	with := func(name string, v any) given {
		return given{"account": dbus.MakeVariant("ada@school"), name: dbus.MakeVariant(v)}
	}
	defaults := Values{"account": "ada@school", "priority": int16(0), "register": false, "servers": []string{}}
	and := func(name string, v any) Values {
		all := Values{name: v}
		for k, d := range defaults {
			if k != name {
				all[k] = d
			}
		}
		return all
	}
	for _, row := range []struct {
		name    string
		given   given
		want    Values
		blaming string // parameter that the error names; empty: no error
	}{
		{name: "only what is required", given: with("register", false), want: defaults},
		{name: "port as Sugar sends it", given: with("port", uint32(5223)), want: and("port", uint16(5223))},
		{name: "port as int64", given: with("port", int64(5223)), want: and("port", uint16(5223))},
		{name: "port too large", given: with("port", uint32(65536)), blaming: "port"},
		{name: "port negative", given: with("port", int32(-1)), blaming: "port"},
		{name: "port as text", given: with("port", "5223"), blaming: "port"},
		{name: "negative priority", given: with("priority", int32(-5)), want: and("priority", int16(-5))},
		{name: "priority too small", given: with("priority", int32(-32769)), blaming: "priority"},
		{name: "interval as byte", given: with("interval", byte(9)), want: and("interval", uint32(9))},
		{name: "text for a flag", given: with("register", "true"), blaming: "register"},
		{name: "number for a flag", given: with("register", uint32(1)), blaming: "register"},
		{name: "list", given: with("servers", []string{"a", "b"}), want: and("servers", []string{"a", "b"})},
		{name: "text for a list", given: with("servers", "a"), blaming: "servers"},
		{name: "number for a text", given: given{"account": dbus.MakeVariant(uint32(1))}, blaming: "account"},
		{name: "required is missing", given: given{"port": dbus.MakeVariant(uint16(1))}, blaming: "account"},
		{name: "unknown", given: with("colour", "red"), blaming: "colour"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := parseValues(table, row.given)
			if row.blaming != "" {
				checkInvalid(t, err, row.blaming)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(row.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// checkInvalid wants InvalidArgument with the parameter's name in it.
func checkInvalid(t *testing.T, err error, parameter string) {
	t.Helper()
	e, is := err.(*tp.Error)
	if !is || e.Name != tp.ErrorInvalidArgument || !strings.Contains(e.Message, parameter) {
		t.Errorf("error = %v, want InvalidArgument naming %s", err, parameter)
	}
}

// sugar is what Sugar's shell sends with CreateAccount, as mission-control
// passes it on.
func sugar(account string) map[string]dbus.Variant {
	return map[string]dbus.Variant{
		"account":            dbus.MakeVariant(account),
		"password":           dbus.MakeVariant("268e06f0fc5d58e78669af1c3d41b3bfe59f7105"),
		"server":             dbus.MakeVariant("schoolserver.test"),
		"resource":           dbus.MakeVariant("sugar"),
		"require-encryption": dbus.MakeVariant(true),
		"ignore-ssl-errors":  dbus.MakeVariant(true),
		"register":           dbus.MakeVariant(true),
		"old-ssl":            dbus.MakeVariant(true),
		"port":               dbus.MakeVariant(uint32(5223)),
	}
}

func jabberValues(t *testing.T, given map[string]dbus.Variant) Values {
	t.Helper()
	values, err := parseValues(Gabble().Protocols[0].Parameters, given)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func TestConfigureJabber_asSugarDoes(t *testing.T) {
	cfg, err := configureJabber(jabberValues(t, sugar("e82a57a0affd3bbbfce7e5d7b22e717f25e4f09b@schoolserver.test")))
	if err != nil {
		t.Fatal(err)
	}
	x := cfg.XMPP
	if x.Account.String() != "e82a57a0affd3bbbfce7e5d7b22e717f25e4f09b@schoolserver.test" || x.Resource != "sugar" {
		t.Errorf("account %q, resource %q", x.Account, x.Resource)
	}
	if x.Server != "schoolserver.test" || x.Port != 5223 || !x.DirectTLS || !x.Register || !x.IgnoreTLSErrors || !x.RequireEncryption {
		t.Errorf("configuration %+v", x)
	}
	cfg.Manager = "gabble"
	const path = "/org/freedesktop/Telepathy/Connection/gabble/jabber/e82a57a0affd3bbbfce7e5d7b22e717f25e4f09b_40schoolserver_2etest_2fsugar"
	if string(cfg.Path()) != path {
		t.Errorf("path %s", cfg.Path())
	}
	if want := strings.ReplaceAll(path[1:], "/", "."); cfg.BusName() != want {
		t.Errorf("bus name %s", cfg.BusName())
	}
}

func TestConfigureJabber_refused(t *testing.T) {
	for _, row := range []struct {
		name, blaming string
		change        func(map[string]dbus.Variant)
	}{
		{"Sugar without a server", "account", func(p map[string]dbus.Variant) {
			p["account"] = dbus.MakeVariant("e82a57a0affd3bbbfce7e5d7b22e717f25e4f09b@")
			p["server"] = dbus.MakeVariant("")
		}},
		{"account without a name", "account", func(p map[string]dbus.Variant) { p["account"] = dbus.MakeVariant("schoolserver.test") }},
		{"account with a resource", "account", func(p map[string]dbus.Variant) { p["account"] = dbus.MakeVariant("a@b/c") }},
		{"empty account", "account", func(p map[string]dbus.Variant) { p["account"] = dbus.MakeVariant("") }},
		{"priority out of XMPP's range", "priority", func(p map[string]dbus.Variant) { p["priority"] = dbus.MakeVariant(int16(128)) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			given := sugar("ada@schoolserver.test")
			row.change(given)
			_, err := configureJabber(jabberValues(t, given))
			checkInvalid(t, err, row.blaming)
		})
	}
}
