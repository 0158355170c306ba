package bus

import (
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// everywhere has the facts of [standard], which cannot be named here: it
// refers to handleIntrospect.
var everywhere = [...]*tp.Interface{tp.InterfaceDBusProperties, tp.InterfaceDBusIntrospectable, tp.InterfaceDBusPeer}

// doctype is from the D-Bus specification, "Introspection Data Format".
const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

// handleIntrospect is org.freedesktop.DBus.Introspectable.Introspect. Names
// and types need no escaping: they are identifiers and signatures.
func handleIntrospect(call *Call) {
	var b strings.Builder
	b.WriteString(doctype)
	b.WriteString("<node>\n")
	if call.object != nil {
		for k := range call.object.Interfaces {
			describe(&b, call.object.Interfaces[k].Facts)
		}
	}
	for _, f := range everywhere {
		if call.object != nil || f != tp.InterfaceDBusProperties {
			describe(&b, f)
		}
	}
	for _, name := range call.conn.children(call.path) {
		element(&b, "  <node", "name", name)
		b.WriteString("/>\n")
	}
	b.WriteString("</node>\n")
	call.Return(b.String())
}

func describe(b *strings.Builder, f *tp.Interface) {
	element(b, "  <interface", "name", f.Name)
	b.WriteString(">\n")
	for k := range f.Methods {
		m := &f.Methods[k]
		element(b, "    <method", "name", m.Name)
		b.WriteString(">\n")
		arguments(b, m.In, "in")
		arguments(b, m.Out, "out")
		b.WriteString("    </method>\n")
	}
	for k := range f.Signals {
		element(b, "    <signal", "name", f.Signals[k].Name)
		b.WriteString(">\n")
		arguments(b, f.Signals[k].Args, "")
		b.WriteString("    </signal>\n")
	}
	for _, p := range f.Properties {
		element(b, "    <property", "name", p.Name, "type", p.Type, "access", string(p.Access))
		b.WriteString("/>\n")
	}
	b.WriteString("  </interface>\n")
}

func arguments(b *strings.Builder, args []tp.Arg, direction string) {
	for _, a := range args {
		element(b, "      <arg", "name", a.Name, "type", a.Type, "direction", direction)
		b.WriteString("/>\n")
	}
}

// element writes the beginning of a tag, without the attributes that are empty.
func element(b *strings.Builder, tag string, attrs ...string) {
	b.WriteString(tag)
	for k := 0; k < len(attrs); k += 2 {
		if attrs[k+1] != "" {
			b.WriteString(" " + attrs[k] + `="` + attrs[k+1] + `"`)
		}
	}
}

// children gives the names of the nodes right below a path.
func (c *Conn) children(path dbus.ObjectPath) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	at, prefix := c.firstBelow(path)
	var names []string
	for at < len(c.paths) {
		rest, ok := strings.CutPrefix(string(c.paths[at]), prefix)
		if !ok {
			break
		}
		name, _, _ := strings.Cut(rest, "/")
		names = append(names, name)
		// '0' is the next character after '/', so all below name sorts before this.
		next, _ := slices.BinarySearch(c.paths[at:], dbus.ObjectPath(prefix+name+"0"))
		at += next
	}
	return names
}

// hasChildren says whether there are objects below a path.
func (c *Conn) hasChildren(path dbus.ObjectPath) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	at, prefix := c.firstBelow(path)
	return at < len(c.paths) && strings.HasPrefix(string(c.paths[at]), prefix)
}

// firstBelow says where objects below a path would begin in the list of
// paths, and how they all begin.
func (c *Conn) firstBelow(path dbus.ObjectPath) (at int, prefix string) {
	prefix = string(path) + "/"
	if path == "/" {
		prefix = "/"
	}
	at, found := slices.BinarySearch(c.paths, dbus.ObjectPath(prefix))
	if found {
		at++ // the root itself
	}
	return at, prefix
}
