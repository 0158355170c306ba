// Package school starts throwaway school servers: a real ejabberd, set up as OLPC's XS school servers had it, or a real Prosody.
//
// Each server lives in a folder of its own, listens on loopback ports of its own and dies with the program that started it;
// servers that run as services of the machine, and other instances, are neither needed nor disturbed.
// The methods of a [Server] are for one goroutine at a time.
package school

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/internal/child"
)

// Kind is the server software.
type Kind string

const (
	Ejabberd Kind = "ejabberd"
	Prosody  Kind = "prosody"
)

// Kinds lists both, for tests that run on each.
var Kinds = []Kind{Ejabberd, Prosody}

// Roster says whom the server's shared roster group shows to everybody.
type Roster string

const (
	RosterOnline Roster = "@online@" // who is on-line, as on the XS; Prosody has no such group and shows Users and Members
	RosterAll    Roster = "@all@"    // every account; Prosody as above
	RosterNone   Roster = "none"     // no shared group
)

// User is an account.
type User struct{ Name, Password string }

// Options of a server; the zero value is an ejabberd for school.test.
type Options struct {
	Kind    Kind     // default Ejabberd
	Dir     string   // default a new folder below [os.TempDir], which Stop removes
	Domain  string   // default school.test; it needs no DNS, clients are given Host and Port
	CA      bool     // certificate issued by a throwaway authority instead of self-signed
	Plus    bool     // ejabberd offers SCRAM with channel binding; Prosody 0.12 has it for TLS 1.2 only and always offers it
	Closed  bool     // no in-band registration
	Roster  Roster   // default RosterOnline
	Users   []User   // accounts that exist from the start
	Members []string // names for Prosody's shared group that register themselves later

	Component string // first label of an external component (XEP-0114), which logs in with [ComponentSecret]; "" for none

	DirectPort uint16 // default a free one; clients that know nothing but 5223 need that

	// Edit changes the text of the configuration, to have a server that is wrong in some way; nil leaves it as it is.
	Edit func(config string) string
}

// ComponentSecret is what a component shows.
const ComponentSecret = "component-hush"

// Server is a running server.
type Server struct {
	Domain     string
	Host       string // 127.0.0.1
	Port       uint16 // plain with STARTTLS, as 5222
	DirectPort uint16 // TLS from the first byte, as 5223
	ProxyPort  uint16 // SOCKS5 bytestreams, XEP-0065

	ComponentPort uint16 // external components, if there may be one

	CertPool *x509.CertPool // what a strict client must trust
	CAFile   string         // the same as a PEM file, for SSL_CERT_FILE

	opts    Options
	dir     string
	ownDir  bool
	apiPort uint16
	backend backend
	proc    *child.Process
	out     *output // what this run printed
}

// Kind is the server software.
func (s *Server) Kind() Kind { return s.opts.Kind }

// backend is what differs between the servers.
type backend interface {
	// configure writes the server's configuration into s.dir.
	configure(s *Server) error
	// command is the server's program and arguments.
	command(s *Server) (argv, env []string, err error)
	// prepare runs once, when the server answers for the first time.
	prepare(ctx context.Context, s *Server) error
	register(ctx context.Context, s *Server, u User) error
	accounts(ctx context.Context, s *Server) ([]string, error)
}

var backends = map[Kind]backend{Ejabberd: ejabberd{}, Prosody: prosody{}}

// portAttempts bounds the starts with other ports when somebody took one of ours between choosing and listening.
const portAttempts = 4

// Start brings up a server and returns when it answers. The context bounds the start, not the server's life.
func Start(ctx context.Context, opts Options) (*Server, error) {
	s, err := newServer(opts)
	if err != nil {
		return nil, err
	}
	for range portAttempts {
		if err = s.start(ctx); !errors.Is(err, errPortTaken) {
			break
		}
	}
	if err == nil {
		err = s.prepare(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w\n%s", s.opts.Kind, err, s.logTail()), s.Kill(), s.removeDir())
	}
	return s, nil
}

// startTimeout is for a cold ejabberd beside a running race-detector build on two cores.
const startTimeout = 90 * time.Second

// StartTest starts a server for one test, ends it with the test, and shows the end of its log when the test failed.
func StartTest(t testing.TB, opts Options) *Server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := Start(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.logTail())
		}
	})
	return s
}

func newServer(opts Options) (*Server, error) {
	if opts.Kind == "" {
		opts.Kind = Ejabberd
	}
	if opts.Domain == "" {
		opts.Domain = "school.test"
	}
	if opts.Roster == "" {
		opts.Roster = RosterOnline
	}
	s := &Server{Domain: opts.Domain, Host: "127.0.0.1", opts: opts, dir: opts.Dir, backend: backends[opts.Kind], out: new(output)}
	if s.backend == nil {
		return nil, fmt.Errorf("no school server of kind %q", opts.Kind)
	}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "school-")
		if err != nil {
			return nil, err
		}
		s.dir, s.ownDir = dir, true
	}
	if err := s.makeCertificates(); err != nil {
		return nil, errors.Join(err, s.removeDir())
	}
	return s, nil
}

// start chooses ports and launches the server on them.
func (s *Server) start(ctx context.Context) error {
	ports, err := freePorts(5)
	if err != nil {
		return err
	}
	s.Port, s.DirectPort, s.ProxyPort, s.apiPort, s.ComponentPort = ports[0], ports[1], ports[2], ports[3], ports[4]
	if s.opts.DirectPort != 0 {
		s.DirectPort = s.opts.DirectPort
	}
	if err := s.backend.configure(s); err != nil {
		return err
	}
	return s.launch(ctx)
}

func (s *Server) prepare(ctx context.Context) error {
	if err := s.backend.prepare(ctx, s); err != nil {
		return err
	}
	for _, u := range s.opts.Users {
		if err := s.Register(ctx, u); err != nil {
			return err
		}
	}
	return nil
}

// Register makes an account, whether or not registration is open to clients.
func (s *Server) Register(ctx context.Context, u User) error {
	if err := s.backend.register(ctx, s, u); err != nil {
		return fmt.Errorf("register %s on %s: %w", u.Name, s.opts.Kind, err)
	}
	return nil
}

// Accounts lists the names of all accounts.
func (s *Server) Accounts(ctx context.Context) ([]string, error) { return s.backend.accounts(ctx, s) }

// Stop shuts the server down as an administrator does: clients are told before their streams end.
func (s *Server) Stop() error { return errors.Join(s.end((*child.Process).Stop), s.removeDir()) }

// Kill ends the server as a power cut does; its folder stays, for [Server.Restart].
func (s *Server) Kill() error { return s.end((*child.Process).Kill) }

// Pid is the process of the running server.
func (s *Server) Pid() int { return s.proc.Pid() }

// Restart brings the server back on the same ports with the same accounts; a running one is shut down before.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.end((*child.Process).Stop); err != nil {
		return err
	}
	if err := s.launch(ctx); err != nil {
		return fmt.Errorf("restart %s: %w\n%s", s.opts.Kind, err, s.logTail())
	}
	return nil
}

func (s *Server) end(how func(*child.Process) error) error {
	if s.proc == nil {
		return nil
	}
	p := s.proc
	s.proc = nil
	return how(p)
}

func (s *Server) removeDir() error {
	if !s.ownDir {
		return nil
	}
	return os.RemoveAll(s.dir)
}

// Log is what the server has logged since its last start, or what it printed when it did not get so far.
func (s *Server) Log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, logFile))
	if err != nil || len(text) == 0 {
		return s.out.String()
	}
	return string(text)
}

// logLines is how much of the log a failure message shows.
const logLines = 40

func (s *Server) logTail() string {
	lines := strings.Split(strings.TrimSpace(s.Log()), "\n")
	return "end of the server's log:\n" + strings.Join(lines[max(0, len(lines)-logLines):], "\n")
}
