package bus

import (
	"fmt"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/introspect"

	"telepathy-olpc/internal/tp"
)

const wantBook = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
<node>
  <interface name="test.Book">
    <method name="Close">
    </method>
    <method name="Lookup">
      <arg name="Word" type="s" direction="in"/>
      <arg name="Options" type="a{sv}" direction="in"/>
      <arg name="Found" type="a(us)" direction="out"/>
      <arg type="b" direction="out"/>
    </method>
    <method name="Note">
      <arg name="Number" type="u" direction="in"/>
      <arg name="Number" type="u" direction="out"/>
    </method>
    <signal name="Noted">
      <arg name="Number" type="u"/>
    </signal>
    <signal name="Closed">
    </signal>
    <property name="Title" type="s" access="readwrite"/>
    <property name="Pages" type="u" access="readwrite"/>
    <property name="Index" type="a(us)" access="read"/>
    <property name="Secret" type="s" access="write"/>
  </interface>
  <interface name="org.freedesktop.DBus.Properties">
    <method name="Get">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="out"/>
    </method>
    <method name="GetAll">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="properties" type="a{sv}" direction="out"/>
    </method>
    <method name="Set">
      <arg name="interface_name" type="s" direction="in"/>
      <arg name="property_name" type="s" direction="in"/>
      <arg name="value" type="v" direction="in"/>
    </method>
    <signal name="PropertiesChanged">
      <arg name="interface_name" type="s"/>
      <arg name="changed_properties" type="a{sv}"/>
      <arg name="invalidated_properties" type="as"/>
    </signal>
  </interface>
  <interface name="org.freedesktop.DBus.Introspectable">
    <method name="Introspect">
      <arg name="xml_data" type="s" direction="out"/>
    </method>
  </interface>
  <interface name="org.freedesktop.DBus.Peer">
    <method name="Ping">
    </method>
    <method name="GetMachineId">
      <arg name="machine_uuid" type="s" direction="out"/>
    </method>
  </interface>
  <node name="page1"/>
</node>
`

func TestIntrospect_exact(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	f.conn.Export(newBook("/t/book/page1/note"))
	var xml string
	if err := f.object("/t/book").Call("org.freedesktop.DBus.Introspectable.Introspect", 0).Store(&xml); err != nil {
		t.Fatal(err)
	}
	equal(t, xml, wantBook)
}

// Introspection and facts agree also as another program reads the XML.
func TestIntrospect_facts(t *testing.T) {
	f := setUp(t)
	for _, facts := range []*tp.Interface{tp.InterfaceConnection, tp.InterfaceChannelGroup, tp.InterfaceBuddyInfo, tp.InterfaceConnectionPrivacy} {
		f.conn.Export(Object{Path: "/t/any", Interfaces: []Interface{serveAll(facts)}})
		node, err := introspect.Call(f.object("/t/any"))
		if err != nil {
			t.Fatal(err)
		}
		f.conn.Unexport("/t/any")
		equal(t, shapeOf(node.Interfaces[0]), *facts)
	}
}

// serveAll gives every method and property a handler of no use.
func serveAll(facts *tp.Interface) Interface {
	i := Interface{
		Facts:      facts,
		Methods:    map[string]func(*Call){},
		Properties: map[string]func() any{},
		Setters:    map[string]func(any) error{},
	}
	for _, m := range facts.Methods {
		i.Methods[m.Name] = func(c *Call) { c.Return() }
	}
	for _, p := range facts.Properties {
		i.Properties[p.Name] = func() any { return nil }
		if p.Access.Writable() {
			i.Setters[p.Name] = func(any) error { return nil }
		}
	}
	return i
}

// shapeOf turns introspection data back into facts.
func shapeOf(x introspect.Interface) tp.Interface {
	f := tp.Interface{Name: x.Name}
	for _, m := range x.Methods {
		method := tp.Method{Name: m.Name}
		for _, a := range m.Args {
			if a.Direction == "in" {
				method.In = append(method.In, tp.Arg{Name: a.Name, Type: a.Type})
			} else {
				method.Out = append(method.Out, tp.Arg{Name: a.Name, Type: a.Type})
			}
		}
		f.Methods = append(f.Methods, method)
	}
	for _, s := range x.Signals {
		member := tp.Member{Name: s.Name}
		for _, a := range s.Args {
			member.Args = append(member.Args, tp.Arg{Name: a.Name, Type: a.Type})
		}
		f.Signals = append(f.Signals, member)
	}
	for _, p := range x.Properties {
		f.Properties = append(f.Properties, tp.Property{Name: p.Name, Type: p.Type, Access: tp.Access(p.Access)})
	}
	return f
}

func TestIntrospect_nodes(t *testing.T) {
	f := setUp(t)
	for _, path := range []dbus.ObjectPath{"/t/a", "/t/a/b", "/t/a_c", "/t/a/b/d/e", "/t/aB", "/t/z/z", "/u", "/"} {
		f.conn.Export(newBook(path))
	}
	for path, want := range map[dbus.ObjectPath][]string{
		"/":         {"t", "u"},
		"/t":        {"a", "aB", "a_c", "z"},
		"/t/a":      {"b"},
		"/t/a/b":    {"d"},
		"/t/a/b/d":  {"e"},
		"/t/z":      {"z"},
		"/t/z/z":    nil,
		"/t/a/none": nil,
	} {
		equal(t, f.conn.children(path), want)
		if got := f.conn.hasChildren(path); got != (want != nil) {
			t.Errorf("hasChildren(%s) = %v", path, got)
		}
	}
	var names []string
	node, err := introspect.Call(f.object("/t/z"))
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range node.Interfaces {
		names = append(names, i.Name)
	}
	equal(t, names, []string{"org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Peer"})
	for _, path := range []dbus.ObjectPath{"/t/a", "/t/a/b", "/t/a_c", "/t/a/b/d/e", "/t/aB", "/t/z/z", "/u", "/", "/none"} {
		f.conn.Unexport(path)
	}
	if f.conn.hasChildren("/") || len(f.conn.objects) != 0 {
		t.Errorf("left: %v", f.conn.paths)
	}
}

// Export finds handlers that do not fit, at once and not when they are called.
func TestExport_refused(t *testing.T) {
	for _, test := range []struct {
		name  string
		spoil func(*Object)
		want  string
	}{
		{"path", func(o *Object) { o.Path = "/t/-" }, `bus: export "/t/-": not an object path`},
		{"method missing", func(o *Object) { delete(o.Interfaces[0].Methods, "Note") }, "method Note has no handler"},
		{"method unknown", func(o *Object) { o.Interfaces[0].Methods["Burn"] = func(*Call) {} }, "handler of an unknown method"},
		{"getter missing", func(o *Object) { delete(o.Interfaces[0].Properties, "Pages") }, "property Pages has no getter"},
		{"getter unknown", func(o *Object) { o.Interfaces[0].Properties["X"] = func() any { return 1 } }, "getter of an unknown property"},
		{"getter of write-only", func(o *Object) { o.Interfaces[0].Properties["Secret"] = func() any { return 1 } }, "getter of an unknown property"},
		{"setter missing", func(o *Object) { delete(o.Interfaces[0].Setters, "Pages") }, "property Pages has no setter"},
		{"setter of read-only", func(o *Object) { o.Interfaces[0].Setters["Index"] = func(any) error { return nil } }, "setter of an unknown or read-only property"},
		{"interface twice", func(o *Object) { o.Interfaces = append(o.Interfaces, o.Interfaces[0]) }, "is there twice"},
		{"path taken", func(o *Object) { o.Path = "/t/taken" }, "already exported"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := offline()
			c.Export(newBook("/t/taken"))
			o := newBook("/t/book")
			test.spoil(&o)
			defer func() {
				if v := fmt.Sprint(recover()); !strings.Contains(v, test.want) {
					t.Errorf("panics with %q, want %q", v, test.want)
				}
				equal(t, len(c.paths), 1)
			}()
			c.Export(o)
		})
	}
}
