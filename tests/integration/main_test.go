// Package integration has the scenarios that the real binary must pass on real
// school servers, an ejabberd and a Prosody, and under its real clients:
// mission-control and telepathy-glib.
//
// Each server is started once; its scenarios run one after another, each with
// accounts of its own, and the servers beside each other.
package integration

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

func TestMain(m *testing.M) { cmtest.Main(m) }

// scenario is what must go the same way on every server of its kind.
type scenario struct {
	name string
	run  func(*testing.T, *school.Server)
}

// Servers as most schools have them show a certificate that they made
// themselves; others have one from an authority.
var (
	usual = []scenario{
		{"registration", testRegistration},
		{"STARTTLS", testStartTLS},
		{"certificate of its own", testSelfSigned},
		{"resumption", testResumption},
		{"text", testText},
		{"rooms", testRooms},
		{"files", testFiles},
		{"tubes", testTubes},
		{"streams", testStreams},
		{"sharing, golden", testGolden},
		{"desktop", testDesktop},
	}
	// Nobody is in anybody's roster where there is the component.
	withComponent = []scenario{{"views", testViews}}
	certified     = []scenario{
		{"known authority", testKnownAuthority},
		{"unknown authority", testUnknownAuthority},
	}
)

// group are the children whom Prosody shows to everybody; ejabberd does so with
// all who are on-line.
var group = names("Bela", "Cleo", "Dora", "Gina", "Hugo", "Kofi", "Lena", "Olga", "Pete", "Quim", "Rosa", "Sven")

func names(nicks ...string) []string {
	var all []string
	for _, nick := range nicks {
		all = append(all, desktop.Child{Nick: nick}.Name())
	}
	return all
}

func TestSchools(t *testing.T) {
	for _, row := range []struct {
		name      string
		options   school.Options
		scenarios []scenario
	}{
		{"ejabberd", school.Options{Kind: school.Ejabberd}, usual},
		{"prosody", school.Options{Kind: school.Prosody, Members: group}, usual},
		{"ejabberd with the component", school.Options{Kind: school.Ejabberd, Roster: school.RosterNone, Component: "gadget"}, withComponent},
		{"prosody with the component", school.Options{Kind: school.Prosody, Roster: school.RosterNone, Component: "gadget"}, withComponent},
		{"ejabberd, certified and with channel binding", school.Options{Kind: school.Ejabberd, CA: true, Plus: true}, certified},
		{"prosody, certified", school.Options{Kind: school.Prosody, CA: true}, certified},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			server := school.StartTest(t, row.options)
			for _, s := range row.scenarios {
				t.Run(s.name, func(t *testing.T) { s.run(t, server) })
			}
		})
	}
}

// sugars are the parameters that Sugar gives for a child's account.
func sugars(s *school.Server, nick string, more ...cmtest.Option) []cmtest.Option {
	child := desktop.Child{Nick: nick}
	return append([]cmtest.Option{
		cmtest.Param("account", address(s, nick)),
		cmtest.Param("password", child.Password()),
		cmtest.Param("server", s.Host),
		cmtest.Param("port", uint32(s.DirectPort)),
		cmtest.Param("register", true),
	}, more...)
}

// address is that of a child's account.
func address(s *school.Server, nick string) string {
	return desktop.Child{Nick: nick}.Name() + "@" + s.Domain
}

// login logs in and out again.
func login(cm *cmtest.CM, more ...cmtest.Option) {
	cm.T.Helper()
	c := cm.Request(more...)
	c.Login()
	c.Disconnect()
}

// Reasons of a disconnection, shortened.
const (
	authentication = tp.ConnectionStatusReasonAuthenticationFailed
	nameInUse      = tp.ConnectionStatusReasonNameInUse
)

// startTLS is for the port where encryption comes later.
func startTLS(s *school.Server) []cmtest.Option {
	return []cmtest.Option{cmtest.Param("port", uint32(s.Port)), cmtest.Param("old-ssl", false)}
}
