// Package doctor has the doctor examine servers that are well, and servers that
// are each broken in one way, and wants the right cause named.
package doctor

import (
	"context"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"telepathy-olpc/internal/doctor"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
)

func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "4") // they wait more than they work, however few cores there are
	cmtest.Main(m)
}

// patience is for one question of the doctor's: a healthy server on this
// machine takes milliseconds, a silent one should not take the test's time.
const patience = 5 * time.Second

// at is for the server of a school.
func at(s *school.Server) doctor.Options {
	return doctor.Options{Server: s.Domain, Host: s.Host, Port: s.DirectPort, Port2: s.Port, RootCAs: s.CertPool, Patience: patience, Bus: noBus}
}

// noBus keeps the doctor from the session of who runs the tests.
const noBus = "unix:path=/nonexistent/bus"

// examine runs the doctor; what it says is in the log of a failed test.
func examine(t *testing.T, opts doctor.Options) *doctor.Report {
	t.Helper()
	var log strings.Builder
	printer := &doctor.Printer{Out: &log}
	opts.Found = printer.Found
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	report := doctor.Run(ctx, opts)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return report
}

// expect wants a step to have found something. The first of its level has to be
// the right one, since people begin there; what comes from it may follow.
func expect(t *testing.T, r *doctor.Report, step string, level doctor.Level, cause doctor.Cause) {
	t.Helper()
	got := r.Finding(step)
	if got.Level != level || got.Cause != cause {
		t.Errorf("%s is %s, cause %q; want %s, %q", step, got.Level, got.Cause, level, cause)
	}
	if got.Cause != "" && (got.Means == "" || got.Do+got.Ejabberd+got.Prosody == "") {
		t.Errorf("%s does not say what it means and what to do: %+v", step, got)
	}
	for _, f := range r.Findings {
		if f.Group == "This laptop" || f.Level != level {
			continue
		}
		if f.Cause != cause {
			t.Errorf("the first that is named is %s at %s; want %s", f.Cause, f.Step, cause)
		}
		break
	}
}

// broken starts a server whose configuration has one text instead of another.
func broken(t *testing.T, kind school.Kind, old, instead string) *school.Server {
	t.Helper()
	return school.StartTest(t, school.Options{Kind: kind, Edit: func(config string) string {
		if !strings.Contains(config, old) {
			t.Errorf("the configuration has no %q", old)
		}
		return strings.ReplaceAll(config, old, instead)
	}})
}

// leavesNothing wants the server to have no accounts.
func leavesNothing(t *testing.T, s *school.Server, r *doctor.Report) {
	t.Helper()
	if got := r.Finding("clean-up"); got.Level != doctor.OK {
		t.Errorf("left behind: %s", got.Found)
	}
	accounts, err := s.Accounts(t.Context())
	if err != nil || len(accounts) > 0 {
		t.Errorf("accounts are %q, %v", accounts, err)
	}
}

func TestDoctor_healthyEjabberd(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{CA: true})
	r := examine(t, at(s))
	for _, f := range r.Findings {
		if f.Group != "This laptop" && f.Level != doctor.OK {
			t.Errorf("%s is %s: %s", f.Step, f.Level, f.Found)
		}
	}
	leavesNothing(t, s, r)
}

// Prosody has no group of all who are on-line: who is not in its list is not
// seen, and the doctor's laptops are not.
func TestDoctor_healthyProsody(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Members: []string{"ada", "bob"}})
	r := examine(t, at(s))
	for _, f := range r.Findings {
		if f.Group != "This laptop" && f.Level != doctor.OK && f.Step != "roster" {
			t.Errorf("%s is %s: %s", f.Step, f.Level, f.Found)
		}
	}
	expect(t, r, "roster", doctor.Warning, doctor.ListedOnly)
	leavesNothing(t, s, r)
}

// With an account nothing is registered, and the account stays as it was.
func TestDoctor_account(t *testing.T) {
	t.Parallel()
	ada := school.User{Name: "ada", Password: "secret"}
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Users: []school.User{ada, {Name: "bob", Password: "secret"}}, Closed: true})
	opts := at(s)
	opts.Account, _ = jid.New(ada.Name, s.Domain, "")
	opts.Password = xmpp.NewSecret(ada.Password)
	r := examine(t, opts)
	for _, f := range r.Findings {
		if f.Group != "This laptop" && f.Level != doctor.OK && f.Level != doctor.Skipped {
			t.Errorf("%s is %s: %s", f.Step, f.Level, f.Found)
		}
	}
	accounts, err := s.Accounts(t.Context())
	if err != nil || len(accounts) != 2 {
		t.Errorf("accounts are %q, %v", accounts, err)
	}
}

func TestDoctor_wrongPassword(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Users: []school.User{{Name: "ada", Password: "secret"}}})
	opts := at(s)
	opts.Account, _ = jid.New("ada", s.Domain, "")
	opts.Password = xmpp.NewSecret("wrong")
	expect(t, examine(t, opts), "login", doctor.Problem, doctor.Refused)
}

func TestDoctor_nothingListens(t *testing.T) {
	t.Parallel()
	ports := deadPorts(t, 2)
	r := examine(t, doctor.Options{Server: "school.test", Host: "127.0.0.1", Port: ports[0], Port2: ports[1], Bus: noBus, Patience: patience})
	expect(t, r, "port-5223", doctor.Problem, doctor.NoDirect)
	if r.Status != 2 {
		t.Errorf("status %d", r.Status)
	}
}

// deadPorts are ports that nobody listens on, and nobody else can: they are taken.
func deadPorts(t *testing.T, n int) []uint16 {
	t.Helper()
	var ports []uint16
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(fd) })
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			t.Fatal(err)
		}
		name, err := unix.Getsockname(fd)
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, uint16(name.(*unix.SockaddrInet4).Port))
	}
	return ports
}

// The name server that this laptop is told of is not there.
func TestDoctor_noNameServer(t *testing.T) {
	t.Parallel()
	resolver := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, os.ErrDeadlineExceeded
	}}
	r := examine(t, doctor.Options{Server: "jabber.school.test", Resolver: resolver, Bus: noBus, Patience: patience})
	expect(t, r, "dns", doctor.Problem, doctor.NoName)
}

func TestDoctor_plainPortOnly(t *testing.T) {
	t.Parallel()
	s := broken(t, school.Prosody, `"tls"; `, "")
	opts := at(s)
	opts.Port = deadPorts(t, 1)[0]
	r := examine(t, opts)
	expect(t, r, "port-5223", doctor.Problem, doctor.NoDirectPort)
	if got := r.Finding("port-5222"); got.Cause != doctor.NoStartTLS {
		t.Errorf("port 5222: %+v", got)
	}
	if got := r.Finding("tls"); got.Cause != doctor.NoTLS {
		t.Errorf("encryption: %+v", got)
	}
}

// The rest is examined by the other port.
func TestDoctor_noDirectPort(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Members: []string{"ada"}})
	opts := at(s)
	opts.Port = deadPorts(t, 1)[0]
	r := examine(t, opts)
	expect(t, r, "port-5223", doctor.Problem, doctor.NoDirectPort)
	if got := r.Finding("room"); got.Level != doctor.OK {
		t.Errorf("room: %+v", got)
	}
	leavesNothing(t, s, r)
}

// A listener without TLS on Sugar's port.
func TestDoctor_plainOnDirectPort(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Members: []string{"ada"}})
	opts := at(s)
	opts.Port = s.Port
	expect(t, examine(t, opts), "tls", doctor.Problem, doctor.NoTLS)
}

func TestDoctor_unknownDomain(t *testing.T) {
	t.Parallel()
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			opts := at(school.StartTest(t, school.Options{Kind: kind}))
			opts.Server = "other.test"
			expect(t, examine(t, opts), "port-5222", doctor.Problem, doctor.WrongHost)
		})
	}
}

func TestDoctor_registrationClosed(t *testing.T) {
	t.Parallel()
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := school.StartTest(t, school.Options{Kind: kind, Closed: true})
			r := examine(t, at(s))
			expect(t, r, "registration", doctor.Problem, doctor.Closed)
			leavesNothing(t, s, r)
		})
	}
}

// The first laptop registers, the second behind the same address may not.
func TestDoctor_registrationThrottled(t *testing.T) {
	t.Parallel()
	t.Run("ejabberd", func(t *testing.T) {
		t.Parallel()
		s := broken(t, school.Ejabberd, "registration_timeout: infinity", "registration_timeout: 600")
		r := examine(t, at(s))
		expect(t, r, "second-laptop", doctor.Problem, doctor.Throttled)
		leavesNothing(t, s, r)
	})
	t.Run("Prosody", func(t *testing.T) {
		t.Parallel()
		s := broken(t, school.Prosody, "allow_registration = true",
			"allow_registration = true\nregistration_throttle_max = 1\nregistration_throttle_period = 600\nregistration_allowlist = {}")
		r := examine(t, at(s))
		expect(t, r, "second-laptop", doctor.Problem, doctor.Throttled)
		leavesNothing(t, s, r)
	})
}

func TestDoctor_noPEP(t *testing.T) {
	t.Parallel()
	s := broken(t, school.Prosody, `"vcard4"; "vcard_legacy"; "ping"; "pep"; `, `"ping"; `)
	r := examine(t, at(s))
	expect(t, r, "pep", doctor.Problem, doctor.NoPEP)
	leavesNothing(t, s, r)
}

func TestDoctor_noConference(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Members: []string{"ada"}, Edit: func(config string) string {
		before, rest, _ := strings.Cut(config, `Component "conference.`)
		_, after, _ := strings.Cut(rest, `Component "proxy.`)
		return before + `Component "proxy.` + after
	}})
	r := examine(t, at(s))
	expect(t, r, "conference", doctor.Problem, doctor.NoRooms)
	leavesNothing(t, s, r)
}

func TestDoctor_roomRefused(t *testing.T) {
	t.Parallel()
	s := broken(t, school.Ejabberd, "access_create: all", "access_create: none")
	r := examine(t, at(s))
	expect(t, r, "room", doctor.Problem, doctor.RoomRefused)
	leavesNothing(t, s, r)
}

// A module of the administrator's makes every room one for members.
func TestDoctor_membersOnly(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Members: []string{"ada"}, Edit: func(config string) string {
		return "plugin_paths = { \"" + modules(t) + "\" }\n" + strings.Replace(config, `Component "conference.school.test" "muc"`,
			`Component "conference.school.test" "muc"`+"\n\tmodules_enabled = { \"members_only\" }", 1)
	}})
	r := examine(t, at(s))
	expect(t, r, "room", doctor.Problem, doctor.RoomMembers)
	leavesNothing(t, s, r)
}

// modules is a folder with a module for Prosody that lets nobody open a room.
func modules(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	const module = `module:hook("muc-config-submitted/muc#roomconfig_membersonly", function(event)
	event.value = true;
end, 100);
module:hook("muc-room-created", function(event) event.room:set_members_only(true); end);
`
	if err := os.WriteFile(filepath.Join(dir, "mod_members_only.lua"), []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestDoctor_noSharedRoster(t *testing.T) {
	t.Parallel()
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			s := school.StartTest(t, school.Options{Kind: kind, Roster: school.RosterNone})
			r := examine(t, at(s))
			expect(t, r, "roster", doctor.Problem, doctor.Alone)
			leavesNothing(t, s, r)
		})
	}
}

func TestDoctor_noProxy(t *testing.T) {
	t.Parallel()
	s := school.StartTest(t, school.Options{Edit: func(config string) string {
		before, rest, _ := strings.Cut(config, "  mod_proxy65:")
		_, after, _ := strings.Cut(rest, "\n")
		return before + after
	}})
	r := examine(t, at(s))
	expect(t, r, "proxy", doctor.Warning, doctor.NoProxy)
	leavesNothing(t, s, r)
}

// The relay names an address that nobody listens on.
func TestDoctor_proxyUnreachable(t *testing.T) {
	t.Parallel()
	s := broken(t, school.Prosody, `proxy65_address = "127.0.0.1"`, `proxy65_address = "127.0.0.9"; proxy65_interfaces = { "127.0.0.1" }`)
	r := examine(t, at(s))
	if got := r.Finding("proxy"); got.Cause != doctor.DeadProxy {
		t.Errorf("proxy: %+v", got)
	}
}
