// Package sugar proves that two children can share activities: two unmodified Sugar desktops, each with its own home, X
// server and session bus, use the built connection manager against a real school server.
//
// The desktops are Debian's. What is added is a file that Python loads into the shell and the activities (folder agent), so
// that the test sees what the child would see and does what the child would do; see [Process]. Everything runs in namespaces
// of its own ([Enclose]): Sugar knows no port but 5223, and nothing is left running.
//
// The steps are the table [steps]; the command below cmd is `make test-sugar`.
package sugar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"telepathy-olpc/tests/school"
)

// Options of a run on one server.
type Options struct {
	Binary string      // the connection manager; absolute, "" for the one that is installed, with Sugar's own way to start
	Server school.Kind // of the school
	Gadget string      // the program of the server component, absolute; with it, the school has no shared roster
	Login  bool        // homes in /home and sockets in /run/user, where a user who logs in has them; for a machine of its own
	Steps  []string    // names of the optional steps; none means all
	Out    string      // folder for what is left of the run: report, logs, screenshots; absolute
	Report io.Writer   // gets the lines of the report as well
}

const (
	// domain is the one name that has an address on every machine, since Sugar connects to the school by its name.
	domain = "localhost"
	// sugarPort is the only one that Sugar knows.
	sugarPort = 5223
	// startLimit is for the server and both desktops on a machine that has other things to do.
	startLimit = 4 * time.Minute
	// patience ends one check that would hang.
	patience = 90 * time.Second
)

// errFailed says that the report has a failure.
var errFailed = errors.New("not all checks passed")

// Stage is what the steps play on.
type Stage struct {
	alice, bob *laptop
	server     *school.Server
	gadget     *gadget // nil where there is a shared roster
	report     *report
}

// Run starts everything, plays the steps and ends everything. The error tells whether all checks passed; the report has the rest.
func Run(ctx context.Context, opts Options) (err error) {
	if err := prepareOut(opts.Out); err != nil {
		return err
	}
	file, err := os.Create(filepath.Join(opts.Out, "report.txt"))
	if err != nil {
		return err
	}
	defer file.Close()
	s := &Stage{report: &report{out: io.MultiWriter(opts.Report, file), folder: opts.Out, began: time.Now()}}
	defer func() { err = errors.Join(err, s.close()) }()
	s.report.title(opts.title())
	if err := s.open(ctx, opts); err != nil {
		return fmt.Errorf("%s: not as far as the first step: %w\nlogs are in %s", opts.title(), err, opts.Out)
	}
	s.play(ctx, opts.Steps)
	return s.report.end()
}

// title says which school it is.
func (o Options) title() string {
	if o.Gadget != "" {
		return string(o.Server) + " without shared roster, with the component"
	}
	return string(o.Server)
}

// prepareOut empties the folder of the last run; it removes no folder that is something else.
func prepareOut(dir string) error {
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(dir, "report.txt")); err != nil {
			return fmt.Errorf("%s has something else in it than a report", dir)
		}
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	return os.MkdirAll(dir, 0o755)
}

// open starts the server and both desktops.
func (s *Stage) open(ctx context.Context, opts Options) error {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	var err error
	if s.alice, err = newLaptop(ctx, opts, pupil{nick: "Alice", colors: "#FF2B34,#005FE4", number: "1001"}); err != nil {
		return err
	}
	if s.bob, err = newLaptop(ctx, opts, pupil{nick: "Bob", colors: "#00A0FF,#8BFF7A", number: "1002"}); err != nil {
		return err
	}
	if err := s.openSchool(ctx, opts); err != nil {
		return err
	}
	for _, l := range s.laptops() {
		if err := l.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openSchool starts the server, and the component if there is to be one.
func (s *Stage) openSchool(ctx context.Context, opts Options) (err error) {
	o := school.Options{Kind: opts.Server, Domain: domain, DirectPort: sugarPort, Members: []string{s.alice.account, s.bob.account}}
	if opts.Gadget != "" {
		o.Roster, o.Component = school.RosterNone, gadgetLabel
	}
	if s.server, err = school.Start(ctx, o); err != nil || opts.Gadget == "" {
		return err
	}
	s.gadget, err = startGadget(ctx, opts.Gadget, opts.Out, s.server)
	return err
}

func (s *Stage) laptops() []*laptop { return []*laptop{s.alice, s.bob} }

// close ends what runs and keeps the logs.
func (s *Stage) close() error {
	var errs []error
	for _, l := range s.laptops() {
		if l != nil {
			errs = append(errs, l.stop())
		}
	}
	if s.gadget != nil {
		errs = append(errs, s.gadget.stop())
	}
	if s.server != nil {
		errs = append(errs, os.WriteFile(filepath.Join(s.report.folder, "server.log"), []byte(s.server.Log()), 0o644), s.server.Stop())
	}
	return errors.Join(errs...)
}

// play plays the steps.
func (s *Stage) play(ctx context.Context, wanted []string) {
	for _, step := range chosen(wanted) {
		ok := s.playStep(ctx, step)
		s.clear(ctx)
		if !ok && step.needed {
			s.report.note("the other steps need this one")
			return
		}
	}
	s.report.check("health", "the connection managers have nothing to complain of", s.health)
}

// playStep plays one step up to the first check that fails: the rest of it would only fail for that.
func (s *Stage) playStep(ctx context.Context, step step) bool {
	for _, c := range step.checks(s) {
		ok := s.report.check(step.name, c.what, func() error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			return c.do(ctx)
		})
		if !ok {
			s.explain(ctx)
			s.photograph(ctx, "failed-"+step.name)
			return false
		}
	}
	return true
}

// explain tells what both children have before them when a check has failed.
func (s *Stage) explain(ctx context.Context) {
	for _, l := range s.laptops() {
		s.report.note("%s", l.describe(ctx))
	}
}

// clear closes what a step has left open, so that the next one finds empty desktops.
func (s *Stage) clear(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, l := range s.laptops() {
		for _, p := range l.activities() {
			if err := p.close(ctx); err != nil {
				s.report.note("%s: %v", l.nick, err)
			}
		}
	}
}

// complaints are what the log of a connection manager must not have.
var complaints = []string{"panic", "fatal error:", "DATA RACE", "level=error"}

// health reads the logs of the sessions.
func (s *Stage) health() error {
	var found []string
	for _, l := range s.laptops() {
		text, err := os.ReadFile(filepath.Join(l.out, sessionLog))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			for _, bad := range complaints {
				if strings.Contains(line, bad) {
					found = append(found, l.nick+": "+strings.TrimSpace(line))
					break
				}
			}
		}
	}
	if len(found) > 0 {
		return errors.New(strings.Join(found, "\n"))
	}
	return nil
}

// photograph keeps both screens.
func (s *Stage) photograph(ctx context.Context, name string) {
	for _, l := range s.laptops() {
		l.photograph(ctx, name)
	}
}
