// Package faults is what can go wrong around the connection manager, with the real one, a real ejabberd and, where it matters,
// mission-control: what is killed, cut, full, missing, slow or somebody else's. Its last output is a table of how each ended.
//
// Some of it needs root, for network namespaces, small file systems and a second user; without, those are skipped.
package faults

import (
	"flag"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/wire"
)

func TestMain(m *testing.M) {
	if os.Getenv(activityOf) != "" {
		playActivity()
		return
	}
	cmtest.Main(m)
}

// all is for make faults.
var all = flag.Bool("all", false, "also what takes half a minute or more")

// fault is one row.
type fault struct {
	name string
	run  func(*testing.T, *school.Server)
	slow bool // only with -all
}

var matrix = []fault{
	{"server killed", testServerKilled, true},
	{"connection manager killed", testManagerKilled, false},
	{"activity with a tube killed", testActivityKilled, false},
	{"activity killed for good", testActivityGone, true},
	{"dbus-monitor stopped and killed", testMonitorKilled, false},
	{"suspended for longer than a link is trusted", testSuspended, false},
	{"suspended, and the connection dead on waking", testSuspendedAndCut, false},
	{"other network address", testAddressChanged, false},
	{"two seconds of latency", testLatency, true},
	{"packets lost and late", testLoss, true},
	{"cache folder full", testCacheFull, false},
	{"no HOME", testNoHome, false},
	{"HOME that cannot be written", testHomeReadOnly, false},
	{"another user at the sockets", testOtherUser, false},
}

// TestFaults goes through the matrix on one server; what kills it comes first.
func TestFaults(t *testing.T) {
	server := school.StartTest(t, school.Options{})
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	for _, f := range matrix {
		began, how := time.Now(), ""
		t.Run(f.name, func(t *testing.T) {
			defer func() { how = outcome(t) }()
			if f.slow && !*all {
				t.Skip("takes long: make faults does it")
			}
			f.run(t, server)
		})
		if how != "" { // asked for by -run
			fmt.Fprintf(w, "%s\t%s\t%.1f s\n", f.name, how, time.Since(began).Seconds())
		}
	}
	w.Flush()
	t.Logf("\n%s", table.String())
}

func outcome(t *testing.T) string {
	switch {
	case t.Skipped():
		return "skipped"
	case t.Failed():
		return "FAILED"
	}
	return "survived"
}

// open starts a laptop with the server at its usual port.
func open(t *testing.T, s *school.Server, nick string) *laptop.Laptop {
	t.Helper()
	return laptop.Open(t, s, s.DirectPort, nick, cmtest.Binary(t))
}

// address is where the server listens.
func address(s *school.Server) string {
	return net.JoinHostPort(s.Host, strconv.Itoa(int(s.DirectPort)))
}

// through starts a laptop whose way to the server is a proxy.
func through(t *testing.T, s *school.Server, nick string) (*laptop.Laptop, *wire.Proxy) {
	t.Helper()
	p := wire.Start(t, address(s))
	return laptop.Open(t, s, uint16(p.Port), nick, cmtest.Binary(t)), p
}

// quick is a link that is trusted for four seconds without a sign of life.
var quick = map[string]any{"keepalive-interval": uint32(4)}

// talk has two laptops meet in an activity and hear each other.
func talk(a, b *laptop.Laptop, room string) {
	a.T.Helper()
	here, there := a.Join(room), b.Join(room)
	converse(here, there, "hello")
	here.Leave()
	there.Leave()
}

func converse(here, there *laptop.Activity, text string) {
	here.Laptop.T.Helper()
	for _, pair := range [][2]*laptop.Activity{{here, there}, {there, here}} {
		said := text + " from " + pair[0].Laptop.Child.Nick
		if err := pair[0].Say(said); err != nil {
			here.Laptop.T.Fatal(err)
		}
		pair[1].Read(said)
	}
}

// needRoot skips what only root can set up.
func needRoot(t *testing.T, what string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skipf("%s: only root can do that", what)
	}
}
