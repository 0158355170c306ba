package bus

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Sugar is written in Python, and dbus-python marshals what introspection says.
func TestPython(t *testing.T) {
	const python = "/usr/bin/python3"
	if err := exec.Command(python, "-c", "import dbus").Run(); err != nil {
		t.Skipf("%s with dbus-python: %v", python, err)
	}
	f := setUp(t)
	o := newBook("/t/book")
	o.Interfaces[0].Methods["Lookup"] = func(c *Call) { c.Return([]entryOf{{1, "one"}}, true) }
	f.conn.Export(o)
	cmd := exec.Command(python, "testdata/client.py", f.conn.UniqueName())
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+f.address)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("client: %v", err)
	}
	equal(t, strings.Split(strings.TrimSpace(string(out)), "\n"), []string{
		"note 7",
		"lookup [[(1, 'one')]]",
		"negative refused",
		"set None",
		"pages 300",
		"all Index Pages Title",
		"bare note 8",
		"bare get Emil",
		"bare introspect True",
		"bare guess org.freedesktop.DBus.Error.InvalidArgs",
		"no method org.freedesktop.DBus.Error.UnknownMethod",
		"no object org.freedesktop.DBus.Error.UnknownObject",
		"introspect nodes True",
	})
}
