package functional

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// paramSpec is Param_Spec.
type paramSpec struct {
	Name      string
	Flags     uint32
	Signature string
	Default   any
}

func TestManager_protocols(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnectionManager, "ListProtocols").Arg(0), []string{"jabber"})
	all := cmtest.As[map[string]map[string]any](t, cm.Get(cm.Path, tp.InterfaceConnectionManager, "Protocols"))
	object := cm.GetAll(cm.Path+"/jabber", tp.InterfaceProtocol)
	for name := range object {
		if _, has := all["jabber"][tp.InterfaceProtocol.Name+"."+name]; !has {
			t.Errorf("Protocols does not have %s", name)
		}
	}
	cmtest.Equal(t, object["VCardField"], "x-jabber")
	listed := cmtest.As[[]paramSpec](t, cm.Call(cm.Path, tp.InterfaceConnectionManager, "GetParameters", "jabber").Arg(0))
	cmtest.Equal(t, cmtest.As[[]paramSpec](t, object["Parameters"]), listed)
	for _, want := range []string{"account", "password", "server", "port", "resource", "priority", "register", "old-ssl", "require-encryption",
		"ignore-ssl-errors", "low-bandwidth", "keepalive-interval", "fallback-servers", "fallback-conference-server",
		"fallback-socks5-proxies", "extra-certificate-identities"} {
		if !slices.ContainsFunc(listed, func(p paramSpec) bool { return p.Name == want }) {
			t.Errorf("parameter %s is missing", want)
		}
	}
	cm.Refused(tp.ErrorNotImplemented, cm.Path, tp.InterfaceConnectionManager, "GetParameters", "telegraph")
	cm.Refused(tp.ErrorNotImplemented, cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "telegraph", map[string]dbus.Variant{})
}

func TestManager_protocolObject(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	jabber := cm.Path + "/jabber"
	cmtest.Equal(t, cm.Call(jabber, tp.InterfaceProtocol, "IdentifyAccount", cm.Parameters()).Arg(0), cmtest.Account)
	cmtest.Equal(t, cm.Call(jabber, tp.InterfaceProtocol, "NormalizeContact", "Bob@School.TEST/home").Arg(0), "bob@school.test")
	for _, bad := range []string{"", "@school.test", "a b@school.test", "bob@"} {
		cm.Refused(tp.ErrorInvalidHandle, jabber, tp.InterfaceProtocol, "NormalizeContact", bad)
	}
}

func TestManager_parameters(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	for name, row := range map[string]struct {
		option cmtest.Option
		named  string
	}{
		"unknown":                        {cmtest.Param("colour", "#FF0000"), "colour"},
		"missing account":                {cmtest.Param("account", nil), "account"},
		"text for a number":              {cmtest.Param("port", "5223"), "port"},
		"number for a text":              {cmtest.Param("server", int32(7)), "server"},
		"number for a truth":             {cmtest.Param("register", int32(1)), "register"},
		"port too high":                  {cmtest.Param("port", uint32(65536)), "port"},
		"port below zero":                {cmtest.Param("port", int32(-1)), "port"},
		"Sugar without a server":         {cmtest.Param("account", cmtest.User+"@"), "account"},
		"account without a name":         {cmtest.Param("account", "school.test"), "account"},
		"account with a forbidden name":  {cmtest.Param("account", "two words@school.test"), "account"},
		"priority that XMPP cannot have": {cmtest.Param("priority", int32(1000)), "priority"},
		"text for a list":                {cmtest.Param("fallback-servers", "one.test"), "fallback-servers"},
	} {
		cm.Note("parameter: %s", name)
		answer := cm.Refused(tp.ErrorInvalidArgument, cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters(row.option))
		if text, _ := answer.Arg(0).(string); !strings.Contains(text, row.named) {
			t.Errorf("%s: the error does not name the parameter: %q", name, text)
		}
	}
	cm.Request().Login()
}

// Inside an a{sv} introspection helps no client: each sends what it likes.
func TestManager_anyIntegerType(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	port := cm.Server.Port
	for name, value := range map[string]any{
		"q": uint16(port), "u": uint32(port), "t": uint64(port), "i": int32(port), "x": int64(port),
	} {
		c := cm.Request(cmtest.Param("port", value), cmtest.Param("resource", name))
		c.Login()
	}
}

// Sugar's dialogue: server is empty until a child's teacher has set one.
func TestManager_emptyServer(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber",
		cm.Parameters(cmtest.Param("account", cmtest.User+"@"), cmtest.Param("server", "")))
	cm.Sync()
}

func TestManager_sameAccountTwice(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Refused(tp.ErrorNotAvailable, cm.CM.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters())
	other := cm.Request(cmtest.Param("resource", "another"))
	other.Login()
	other.Disconnect()
	cm.Call(cm.Path, tp.InterfaceConnection, "Disconnect")
	cm.Expect(cmtest.NameGone(cm.Name))
	cm.Request().Login()
}

// While the bus name of the first is still being claimed, too.
func TestManager_sameAccountTwiceAtOnce(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	first := cm.CallAsync(cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters())
	second := cm.CallAsync(cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters())
	cm.ExpectUnordered(cmtest.Reply(first), cmtest.Refusal(second, tp.ErrorNotAvailable))
}

func TestManager_salut(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Name(cmtest.SalutName))
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnectionManager, "ListProtocols").Arg(0), []string{"local-xmpp"})
	sugar := map[string]dbus.Variant{}
	for name, value := range map[string]string{
		"nickname": "Maria", "first-name": "", "last-name": "", "jid": cmtest.Account, "published-name": "5b0f1a6c",
	} {
		sugar[name] = dbus.MakeVariant(value)
	}
	answer := cm.Refused(tp.ErrorNotAvailable, cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "local-xmpp", sugar)
	if text, _ := answer.Arg(0).(string); len(strings.Fields(text)) < 4 {
		t.Errorf("a person cannot make much of %q", text)
	}
}

// The answers of two processes would differ: one process has both names.
func TestManager_oneProcessForBothNames(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Activate(cmtest.SalutName)
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnection, "GetStatus").Arg(0), tp.ConnectionStatusConnected)
}

// Who sees the bus name go may request the account again.
func TestManager_accountIsFreeWhenItsNameGoes(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	for range 50 {
		c := cm.Request()
		cm.CallAsync(c.Path, tp.InterfaceConnection, "Disconnect")
		cm.Expect(cmtest.NameGone(c.Name))
	}
}
