package functional

import (
	"encoding/xml"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// nowhere is an interface that nothing has.
var nowhere = &tp.Interface{Name: "org.example.Nowhere"}

// What is not there has the standard errors of D-Bus.
func TestBus_unknown(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	properties := tp.InterfaceDBusProperties
	for name, row := range map[string]struct {
		err    tp.ErrorName
		path   dbus.ObjectPath
		iface  *tp.Interface
		member string
		args   []any
	}{
		"object":                    {tp.ErrorDBusUnknownObject, "/nowhere", tp.InterfaceConnection, "GetStatus", nil},
		"object below a real one":   {tp.ErrorDBusUnknownObject, cm.Path + "/x", tp.InterfaceConnection, "GetStatus", nil},
		"interface":                 {tp.ErrorDBusUnknownInterface, cm.Path, nowhere, "GetStatus", nil},
		"method":                    {tp.ErrorDBusUnknownMethod, cm.Path, tp.InterfaceConnection, "Levitate", nil},
		"method without interface":  {tp.ErrorDBusUnknownMethod, cm.Path, nil, "Levitate", nil},
		"method of the other":       {tp.ErrorDBusUnknownMethod, cm.Path, tp.InterfaceConnection, "GetContactAttributes", nil},
		"property":                  {tp.ErrorDBusUnknownProperty, cm.Path, properties, "Get", []any{tp.InterfaceConnection.Name, "Weight"}},
		"property's interface":      {tp.ErrorDBusUnknownInterface, cm.Path, properties, "Get", []any{nowhere.Name, "Status"}},
		"interface of GetAll":       {tp.ErrorDBusUnknownInterface, cm.Path, properties, "GetAll", []any{nowhere.Name}},
		"too few arguments":         {tp.ErrorDBusInvalidArgs, cm.Path, tp.InterfaceConnection, "RequestHandles", nil},
		"too many arguments":        {tp.ErrorDBusInvalidArgs, cm.Path, tp.InterfaceConnection, "GetStatus", []any{"now"}},
		"arguments of another type": {tp.ErrorDBusInvalidArgs, cm.Path, tp.InterfaceConnection, "RequestHandles", []any{int32(1), []string{}}},
		"setting a fixed property": {tp.ErrorDBusPropertyReadOnly, cm.Path, properties, "Set",
			[]any{tp.InterfaceConnection.Name, "Status", dbus.MakeVariant(uint32(0))}},
		"setting an unknown property": {tp.ErrorDBusUnknownProperty, cm.Path, properties, "Set",
			[]any{tp.InterfaceConnection.Name, "Weight", dbus.MakeVariant(uint32(0))}},
	} {
		cm.Note("unknown: %s", name)
		cm.Refused(row.err, row.path, row.iface, row.member, row.args...)
	}
}

// Sugar's CollabWrapper calls on the bare proxy: no interface in the message.
func TestBus_callsWithoutInterface(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cmtest.Equal(t, cm.Call(cm.Path, nil, "GetStatus").Arg(0), tp.ConnectionStatusConnected)
	cmtest.Equal(t, cm.Call(cm.Path, nil, "Get", tp.InterfaceConnection.Name, "SelfHandle").Arg(0), uint32(1))
	cm.Call(cm.Path, nil, "SetPresence", "away", "")
	cm.Call(cm.Path, nil, "Ping")
	cmtest.Equal(t, cm.Call(cm.CM.Path, nil, "ListProtocols").Arg(0), []string{"jabber"})
}

// Rule of order 1: answers come in the order of the calls.
func TestBus_answersInOrder(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	const calls = 500
	var pending []*cmtest.Call
	for i := range calls {
		name := "child" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + "@school.test"
		pending = append(pending, cm.CallAsync(cm.Path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeContact), []string{name}))
		if i%10 == 0 {
			pending = append(pending, cm.CallAsync(cm.Path, tp.InterfaceDBusProperties, "Get", tp.InterfaceConnection.Name, "Status"))
		}
	}
	for _, call := range pending {
		cm.Expect(cmtest.Reply(call))
	}
}

// Rule of order 2: whoever hears of an object finds it.
func TestBus_objectBeforeItsName(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	request := cm.CallAsync(cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters())
	appeared := cm.Expect(cmtest.Signal(tp.Signal{Interface: "org.freedesktop.DBus", Name: "NameOwnerChanged"}).
		Where("of a connection", func(e *cmtest.Event) bool {
			name, _ := e.Arg(0).(string)
			return strings.HasPrefix(name, tp.InterfaceConnection.Name+".")
		}))
	path := dbus.ObjectPath("/" + strings.ReplaceAll(appeared.Arg(0).(string), ".", "/"))
	interfaces := cmtest.As[[]string](t, cm.Call(path, tp.InterfaceConnection, "GetInterfaces").Arg(0))
	if !slices.Contains(interfaces, tp.InterfaceConnectionRequests.Name) {
		t.Errorf("interfaces are not complete from the start: %v", interfaces)
	}
	cm.Expect(cmtest.Reply(request).Where("with the path", func(e *cmtest.Event) bool { return e.Arg(1) == path }))
}

// Rule of order 4: NewConnection, then the reply.
func TestBus_newConnectionBeforeReply(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	request := cm.CallAsync(cm.Path, tp.InterfaceConnectionManager, "RequestConnection", "jabber", cm.Parameters())
	announced := cm.Expect(cmtest.Signal(tp.SignalConnectionManagerNewConnection).At(cm.Path))
	reply := cm.Expect(cmtest.Reply(request))
	cmtest.Equal(t, announced.Arg(0), cmtest.As[string](t, reply.Arg(0)))
	cmtest.Equal(t, announced.Arg(1), cmtest.As[dbus.ObjectPath](t, reply.Arg(1)))
	cmtest.Equal(t, announced.Arg(2), "jabber")
}

// Rule of order 6: nothing is left when the name goes.
func TestBus_objectGoesWithItsName(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Server.Stream().Cut()
	cm.Ends(tp.ErrorConnectionLost, network)
	cm.Refused(tp.ErrorDBusUnknownObject, cm.Path, tp.InterfaceConnection, "GetStatus")
}

// Rule of order 7.
func TestBus_handles(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cmtest.Equal(t, cm.Get(cm.Path, tp.InterfaceConnection, "HasImmortalHandles"), true)
	cmtest.Equal(t, cm.Handle(cmtest.Account), uint32(1))
	cmtest.Equal(t, cm.Handle("bob@school.test"), uint32(2))
	cmtest.Equal(t, cm.Handle("carol@school.test"), uint32(3))
	cmtest.Equal(t, cm.Handle("Bob@School.Test/x"), uint32(2)) // RFC 7622: the same person
	cm.Call(cm.Path, tp.InterfaceConnection, "HoldHandles", uint32(1), []uint32{2})
	cm.Call(cm.Path, tp.InterfaceConnection, "ReleaseHandles", uint32(1), []uint32{2, 3})
	names := cm.Call(cm.Path, tp.InterfaceConnection, "InspectHandles", uint32(1), []uint32{3, 1, 2})
	cmtest.Equal(t, names.Arg(0), []string{"carol@school.test", cmtest.Account, "bob@school.test"})
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnection, "InspectHandles", uint32(1), []uint32{1, 99})
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnection, "RequestHandles", uint32(1), []string{"no@@jid"})
	cm.Refused(tp.ErrorNotImplemented, cm.Path, tp.InterfaceConnection, "RequestHandles", uint32(17), []string{"x"})
}

// Rule of order 8, and more: introspection, Interfaces, GetInterfaces and GetAll
// tell the same story, before, during and after the login.
func TestBus_interfacesTellOneStory(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	before := interfacesOf(t, c)
	c.Login()
	cmtest.Equal(t, interfacesOf(t, c), before)
}

// interfacesOf checks the sources against each other.
func interfacesOf(t *testing.T, c *cmtest.Connection) []string {
	t.Helper()
	names := cmtest.As[[]string](t, c.Call(c.Path, tp.InterfaceConnection, "GetInterfaces").Arg(0))
	cmtest.Equal(t, c.Get(c.Path, tp.InterfaceConnection, "Interfaces"), names)
	seen := introspect(t, c.CM, c.Path)
	var optional []string
	for _, i := range seen.Interfaces {
		if !slices.Contains([]string{tp.InterfaceConnection.Name, tp.InterfaceDBusIntrospectable.Name, tp.InterfaceDBusPeer.Name,
			tp.InterfaceDBusProperties.Name}, i.Name) {
			optional = append(optional, i.Name)
		}
		all := c.GetAll(c.Path, &tp.Interface{Name: i.Name})
		for _, p := range i.Properties {
			if _, has := all[p.Name]; has != strings.HasPrefix(p.Access, "read") {
				t.Errorf("%s.%s: in GetAll %v, introspected as %s", i.Name, p.Name, has, p.Access)
			}
			delete(all, p.Name)
		}
		if len(all) > 0 {
			t.Errorf("%s: GetAll has more than introspection: %v", i.Name, all)
		}
	}
	slices.Sort(optional)
	sorted := slices.Sorted(slices.Values(names))
	cmtest.Equal(t, optional, sorted)
	return names
}

// node is an introspection document.
type node struct {
	Interfaces []struct {
		Name    string `xml:"name,attr"`
		Methods []struct {
			Name string `xml:"name,attr"`
		} `xml:"method"`
		Properties []struct {
			Name   string `xml:"name,attr"`
			Access string `xml:"access,attr"`
		} `xml:"property"`
	} `xml:"interface"`
	Nodes []struct {
		Name string `xml:"name,attr"`
	} `xml:"node"`
}

func introspect(t *testing.T, cm *cmtest.CM, path dbus.ObjectPath) node {
	t.Helper()
	var n node
	text := cmtest.As[string](t, cm.Call(path, tp.InterfaceDBusIntrospectable, "Introspect").Arg(0))
	if err := xml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("introspection of %s: %v\n%s", path, err, text)
	}
	return n
}

// One finds every object by introspection from the root.
func TestBus_treeIsWalkable(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	found := map[dbus.ObjectPath]bool{}
	var walk func(path dbus.ObjectPath)
	walk = func(path dbus.ObjectPath) {
		n := introspect(t, cm.CM, path)
		found[path] = len(n.Interfaces) > 0
		for _, child := range n.Nodes {
			walk(dbus.ObjectPath(strings.TrimSuffix(string(path), "/") + "/" + child.Name))
		}
	}
	walk("/")
	for _, path := range []dbus.ObjectPath{
		cm.Path, cm.CM.Path, cm.CM.Path + "/jabber", "/org/freedesktop/Telepathy/ConnectionManager/salut/local_xmpp", "/org/freedesktop/Telepathy/debug",
	} {
		if !found[path] {
			t.Errorf("%s is not found from the root", path)
		}
	}
}
