package bus

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

// Object is something at a path. It is read-only once exported.
type Object struct {
	Path       dbus.ObjectPath
	Interfaces []Interface // D-Bus' own need not be named
	// Called runs before each call that is handled, D-Bus' own interfaces
	// included; it may be nil.
	Called func(*Call)
}

// Interface joins the facts about an interface with what serves them. All of
// it runs on the loop that serves the object's path.
type Interface struct {
	Facts      *tp.Interface
	Methods    map[string]func(*Call)
	Properties map[string]func() any        // getters over live state, of Go types that marshal to the facts' type
	Setters    map[string]func(v any) error // get the value as godbus decodes it, of the facts' type
}

// Fixed is the getter of a property that never changes.
//
//go:noinline
func Fixed(v any) func() any { return func() any { return v } }

// Serve makes calls to objects at or below prefix events of l. The longest
// prefix of a path wins; the empty one means all paths.
func (c *Conn) Serve(prefix dbus.ObjectPath, l *loop.Loop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.loops[servedPath(prefix)] = l
}

// Unserve undoes [Conn.Serve]. Calls that are queued already are still handled.
func (c *Conn) Unserve(prefix dbus.ObjectPath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loops, servedPath(prefix))
}

func servedPath(prefix dbus.ObjectPath) dbus.ObjectPath {
	if prefix == "" {
		return "/"
	}
	return prefix
}

// loopFor finds the loop that serves a path; nil if none does.
func (c *Conn) loopFor(path dbus.ObjectPath) *loop.Loop {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for {
		if l := c.loops[path]; l != nil || path == "/" {
			return l
		}
		path = parent(path)
	}
}

// parent gives the path above; that of "/", and of nonsense, is "/".
func parent(path dbus.ObjectPath) dbus.ObjectPath {
	if i := strings.LastIndexByte(string(path), '/'); i > 0 {
		return path[:i]
	}
	return "/"
}

// Export puts an object on the bus. It panics when the path is taken or not
// valid, and when handlers and facts disagree.
func (c *Conn) Export(o Object) {
	if !o.Path.IsValid() {
		panic(fmt.Sprintf("bus: export %q: not an object path", o.Path))
	}
	for k := range o.Interfaces {
		if err := o.Interfaces[k].check(o.Interfaces[:k]); err != nil {
			panic(fmt.Sprintf("bus: export %s: %v", o.Path, err))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	at, taken := slices.BinarySearch(c.paths, o.Path)
	if taken {
		panic(fmt.Sprintf("bus: export %s: already exported", o.Path))
	}
	c.paths = slices.Insert(c.paths, at, o.Path)
	c.objects[o.Path] = &o
}

// Unexport takes an object away. Calls to it that are still queued are
// answered with UnknownObject.
func (c *Conn) Unexport(path dbus.ObjectPath) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at, ok := slices.BinarySearch(c.paths, path); ok {
		c.paths = slices.Delete(c.paths, at, at+1)
		delete(c.objects, path)
	}
}

func (c *Conn) object(path dbus.ObjectPath) *Object {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.objects[path]
}

// check compares the handlers with the facts; before are the interfaces of the
// same object that were checked already.
func (i *Interface) check(before []Interface) error {
	f := i.Facts
	if slices.ContainsFunc(before, func(b Interface) bool { return b.Facts.Name == f.Name }) {
		return fmt.Errorf("%s is there twice", f.Name)
	}
	for k := range f.Methods {
		if i.Methods[f.Methods[k].Name] == nil {
			return fmt.Errorf("%s: method %s has no handler", f.Name, f.Methods[k].Name)
		}
	}
	readable, writable := 0, 0
	for _, p := range f.Properties {
		if p.Access.Readable() {
			readable++
			if i.Properties[p.Name] == nil {
				return fmt.Errorf("%s: property %s has no getter", f.Name, p.Name)
			}
		}
		if p.Access.Writable() {
			writable++
			if i.Setters[p.Name] == nil {
				return fmt.Errorf("%s: property %s has no setter", f.Name, p.Name)
			}
		}
	}
	switch {
	case len(i.Methods) != len(f.Methods):
		return fmt.Errorf("%s: handler of an unknown method", f.Name)
	case len(i.Properties) != readable:
		return fmt.Errorf("%s: getter of an unknown property", f.Name)
	case len(i.Setters) != writable:
		return fmt.Errorf("%s: setter of an unknown or read-only property", f.Name)
	}
	return nil
}

// own finds one of the object's own interfaces; nil if there is none.
func (o *Object) own(name string) *Interface {
	for k := range o.Interfaces {
		if o.Interfaces[k].Facts.Name == name {
			return &o.Interfaces[k]
		}
	}
	return nil
}

// has says whether the object has an interface, be it one that every object has.
func (o *Object) has(name string) bool {
	return o.own(name) != nil ||
		slices.ContainsFunc(everywhere[:], func(f *tp.Interface) bool { return f.Name == name })
}
