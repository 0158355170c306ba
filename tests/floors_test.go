// Package tests holds what is checked of the repository as a whole.
package tests

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "telepathy-olpc"

// Modules from outside that are not the standard library's.
const (
	godbus  = "github.com/godbus/dbus/v5"
	logrus  = "github.com/sirupsen/logrus"
	mellium = "mellium.im/xmpp"
	sasl    = "mellium.im/sasl"
	xnet    = "golang.org/x/net"
	xsys    = "golang.org/x/sys"
	xtext   = "golang.org/x/text"
	gocmp   = "github.com/google/go-cmp"
	goleak  = "go.uber.org/goleak"
)

// dbus is what the XMPP side of the house knows nothing of, and xmppSide the reverse.
var (
	dbus     = []string{"internal/bus", "internal/tp", "internal/handle"}
	xmppSide = []string{"xmpp/..."}
)

// room is one package, or with a trailing /... a package and all below it.
// It may import rooms of lower floors and nothing else, but for what the other fields say.
type room struct {
	path    string
	floor   int
	not     []string // rooms of lower floors that it leaves alone all the same
	beside  []string // rooms of its own floor
	outside []string // foreign modules
}

// house is the table of docs/architecture.md. The first row that fits counts.
var house = []room{
	{path: "xmpp/stanza", floor: 0},
	{path: "xmpp/jid", floor: 0, outside: []string{mellium + "/jid", xtext}},
	{path: "internal/tp/gen", floor: 0},
	{path: "internal/tp", floor: 0},
	{path: "internal/loop", floor: 0},
	{path: "internal/rawconn", floor: 0},
	{path: "internal/dbuspeer", floor: 0, beside: []string{"internal/dbuswire", "internal/rawconn"}},
	{path: "internal/dbuswire", floor: 0},
	{path: "internal/child/...", floor: 0},
	{path: "internal/cachefile", floor: 0},
	{path: "internal/console", floor: 0, outside: []string{xsys}},

	{path: "internal/bus", floor: 1, not: xmppSide, outside: []string{godbus, logrus}},
	{path: "internal/handle", floor: 1},
	{path: "xmpp/xmpptest", floor: 1},
	{path: "xmpp", floor: 1, not: dbus, outside: []string{logrus, mellium, sasl, xnet, xtext}},

	{path: "xmpp/bytestream", floor: 2, not: dbus, beside: []string{"xmpp/si", "xmpp/socks5", "xmpp/ibb", "xmpp/services"}, outside: []string{logrus}},
	{path: "xmpp/...", floor: 2, not: dbus, beside: []string{"xmpp/disco", "xmpp/pep", "xmpp/chat", "xmpp/olpc", "xmpp/amp"}, outside: []string{logrus}},

	{path: "internal/gadgetd/...", floor: 3, not: dbus, beside: []string{"internal/gadgetd/..."}, outside: []string{logrus, xtext}},
	{path: "presence", floor: 3, outside: []string{godbus, logrus}},

	{path: "channels", floor: 4, outside: []string{godbus, logrus}},
	{path: "channels/tubes", floor: 4, beside: []string{"channels", "channels/room", "channels/socket"}, outside: []string{godbus, logrus}},
	{path: "channels/...", floor: 4, beside: []string{"channels", "channels/text", "channels/socket"}, outside: []string{godbus, logrus, xsys}},

	{path: "manager/connection", floor: 5, outside: []string{godbus, logrus}},
	{path: "manager", floor: 5, beside: []string{"manager/connection"}, outside: []string{godbus, logrus}},

	{path: "internal/doctor", floor: 5, beside: []string{"manager"}, outside: []string{godbus, logrus}},
	{path: "internal/watch", floor: 5, beside: []string{"manager"}, outside: []string{godbus, logrus}},

	{path: "cmd/...", floor: 6, outside: []string{logrus}},
	{path: "internal/datafiles", floor: 6},

	// What only tests and the demo use stands above all and may look at anything.
	{path: "tests/...", floor: 7, beside: []string{"tests/..."}, outside: []string{godbus, logrus, gocmp, goleak, xsys}},
	{path: "internal/demo", floor: 8, outside: []string{godbus}},
}

// roomOf finds the row of a package path inside the module.
func roomOf(path string) (room, bool) {
	i := slices.IndexFunc(house, func(r room) bool { return fits(r.path, path) })
	if i < 0 {
		return room{}, false
	}
	return house[i], true
}

// fits tells whether a path is what a pattern names.
func fits(pattern, path string) bool {
	if base, below := strings.CutSuffix(pattern, "/..."); below {
		return path == base || strings.HasPrefix(path, base+"/")
	}
	return path == pattern
}

// objection says what is wrong when the package path imports imported, "" when nothing is.
func objection(path, imported string) string {
	from, ok := roomOf(path)
	if !ok {
		return fmt.Sprintf("%s stands on no floor: add it to the table house in tests/floors_test.go and to docs/architecture.md", path)
	}
	own, ok := strings.CutPrefix(imported, module+"/")
	if !ok {
		foreign := strings.Contains(strings.Split(imported, "/")[0], ".")
		listed := slices.ContainsFunc(from.outside, func(m string) bool { return fits(m+"/...", imported) })
		if foreign && !listed {
			return fmt.Sprintf("%s must not import %s", path, imported)
		}
		return ""
	}
	to, ok := roomOf(own)
	if !ok {
		return "" // reported where the package itself is looked at
	}
	if slices.ContainsFunc(from.not, func(p string) bool { return fits(p, own) }) {
		return fmt.Sprintf("%s must not import %s", path, own)
	}
	if to.floor < from.floor {
		return ""
	}
	if to.floor == from.floor && slices.ContainsFunc(from.beside, func(p string) bool { return fits(p, own) }) {
		return ""
	}
	return fmt.Sprintf("%s (floor %d) imports %s (floor %d): imports go down only", path, from.floor, own, to.floor)
}

func TestFloors(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"/...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Logf("%s", exit.Stderr)
		}
		t.Fatal("go list:", err)
	}
	packages := 0
	for dec := json.NewDecoder(bytes.NewReader(out)); ; packages++ {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		path := strings.TrimPrefix(p.ImportPath, module+"/")
		if path == "tests" {
			continue // tests only
		}
		for _, imported := range append(p.Imports, "errors") { // at least one, for packages that import nothing
			if text := objection(path, imported); text != "" {
				t.Error(text)
			}
		}
	}
	if packages < 10 {
		t.Errorf("only %d packages seen", packages)
	}
}

func TestObjection(t *testing.T) {
	tests := []struct {
		name, path, imported string
		refused              bool
	}{
		{"down", "xmpp", module + "/xmpp/stanza", false},
		{"up", "xmpp/stanza", module + "/xmpp", true},
		{"sideways", "xmpp/vcard", module + "/xmpp/muc", true},
		{"sideways, agreed", "xmpp/caps", module + "/xmpp/disco", false},
		{"sideways, in the same family", "channels/text", module + "/channels/tube", true},
		{"standard library", "internal/tp", "encoding/json", false},
		{"foreign module, agreed", "internal/bus", godbus, false},
		{"package of a foreign module", "xmpp", xnet + "/idna", false},
		{"foreign module", "internal/tp", godbus, true},
		{"protocol that knows D-Bus", "xmpp/muc", module + "/internal/bus", true},
		{"unknown package", "brand/new", "fmt", true},
		{"product using test code", "manager", module + "/tests/school", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := objection(tt.path, tt.imported); (got != "") != tt.refused {
				t.Errorf("objection is %q, refused should be %v", got, tt.refused)
			}
		})
	}
}
