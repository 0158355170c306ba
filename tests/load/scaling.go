package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	process "telepathy-olpc/internal/child"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp/jid"
)

// ScalingOptions say how a school is brought on-line, on an ejabberd.
type ScalingOptions struct {
	Children            int
	Component           bool   // instead of a shared roster of all who are on-line
	Binary              string // of the component; absolute
	Buddies, Activities int    // sizes of the views
	Log                 io.Writer
}

// Figure is what it took. Stanzas are messages, presences and IQs of all kinds,
// but for those of the login itself.
type Figure struct {
	Children            int
	Component           bool
	Buddies, Activities int           // sizes of the views
	Stanzas             int64         // to all clients together until all have a full Neighborhood
	Bytes               int64         // likewise, in TLS
	Fetched             int64         // nodes that clients had to ask for
	Full                time.Duration // since the first one came
	Arrived             time.Duration // of all
	News                int64         // stanzas to all, after one in ten has changed nick and colour
	Changed             time.Duration
	Server              Usage
	Gadget              Usage // zero without component
	Own                 Usage // the simulation's
}

// scaling is one run.
type scaling struct {
	ScalingOptions
	began   time.Time
	server  *school.Server
	relay   *tap
	gadget  jid.JID
	program *process.Process
	state   string
	heard   tally
	fetched atomic.Int64
	members []*member
	full    chan int
	failed  chan error
}

// Scaling brings a school on-line, has some children change and tells what that
// took.
func Scaling(ctx context.Context, opts ScalingOptions) (*Figure, error) {
	s := &scaling{ScalingOptions: opts, began: time.Now(), full: make(chan int, opts.Children), failed: make(chan error, 1)}
	figure, err := s.play(ctx)
	if err := errors.Join(err, s.end()); err != nil {
		return nil, err
	}
	return figure, nil
}

func (s *scaling) say(format string, a ...any) {
	fmt.Fprintf(s.Log, "%7.2f s  %s\n", time.Since(s.began).Seconds(), fmt.Sprintf(format, a...))
}

// fail ends the run; only the first reason counts.
func (s *scaling) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

func (s *scaling) play(ctx context.Context) (*Figure, error) {
	if err := s.open(ctx); err != nil {
		return nil, err
	}
	f := &Figure{Children: s.Children, Component: s.Component, Buddies: s.Buddies, Activities: s.Activities}
	idle, err := usageOf(s.server.Pid())
	if err != nil {
		return nil, err
	}
	s.say("%d children come; component: %v", s.Children, s.Component)
	began := time.Now()
	if err := each(ctx, s.members, (*member).come); err != nil {
		return nil, err
	}
	f.Arrived = time.Since(began)
	s.say("all have come")
	if err := s.all(ctx, s.full, "a full Neighborhood"); err != nil {
		return nil, err
	}
	f.Full = time.Since(began)
	s.say("all have a full Neighborhood")
	if err := s.ping(ctx); err != nil {
		return nil, err
	}
	f.Stanzas, f.Bytes, f.Fetched = s.heard.total(), s.relay.traffic().In.Bytes, s.fetched.Load()
	if err := s.change(ctx, f); err != nil {
		return nil, err
	}
	err = s.usage(f)
	f.Server.CPU -= idle.CPU // of its start
	return f, err
}

// all waits for a word of each child.
func (s *scaling) all(ctx context.Context, words <-chan int, of string) error {
	for n := range s.members {
		select {
		case <-words:
		case err := <-s.failed:
			return err
		case <-ctx.Done():
			return fmt.Errorf("%d of %d children have %s: %w", n, len(s.members), of, ctx.Err())
		}
	}
	return nil
}

// ping waits until everybody has heard what was sent before.
func (s *scaling) ping(ctx context.Context) error {
	return each(ctx, s.members, func(m *member, ctx context.Context) error { return m.pupil.Ping(ctx, m.pupil.Self) })
}

// change has one child in ten change nick and colour.
func (s *scaling) change(ctx context.Context, f *Figure) error {
	var changing []*member
	colors := make(map[jid.JID]string)
	for n, m := range s.members {
		if n%movers == 0 {
			changing = append(changing, m)
			colors[m.account] = turned(m.color)
		}
	}
	settled := make(chan int, len(s.members))
	if err := each(ctx, s.members, func(m *member, _ context.Context) error { return m.expect(colors, settled) }); err != nil {
		return err
	}
	before, began := s.heard.total(), time.Now()
	if err := each(ctx, changing, func(m *member, ctx context.Context) error { return m.change(ctx) }); err != nil {
		return err
	}
	if err := s.all(ctx, settled, "heard of all changes"); err != nil {
		return err
	}
	f.Changed = time.Since(began)
	s.say("all know that %d have changed", len(changing))
	if err := s.ping(ctx); err != nil {
		return err
	}
	f.News = s.heard.total() - before
	return nil
}

func (s *scaling) usage(f *Figure) error {
	var err error
	if f.Server, err = usageOf(s.server.Pid()); err != nil {
		return err
	}
	if s.Component {
		if f.Gadget, err = usageOf(s.program.Pid()); err != nil {
			return err
		}
	}
	f.Own, err = usageOf(os.Getpid())
	return err
}

func (s *scaling) open(ctx context.Context) error {
	opts := school.Options{Kind: school.Ejabberd, Roster: school.RosterOnline}
	if s.Component {
		opts.Roster, opts.Component = school.RosterNone, "gadget"
	}
	var err error
	if s.server, err = school.Start(ctx, opts); err != nil {
		return err
	}
	if s.relay, err = newTap(s.server, false); err != nil {
		return err
	}
	if s.gadget, err = jid.New("", "gadget."+s.server.Domain, ""); err != nil {
		return err
	}
	if s.Component {
		if err := s.startComponent(ctx); err != nil {
			return err
		}
	}
	for n := range s.Children {
		m, err := newMember(n, s)
		if err != nil {
			return err
		}
		s.members = append(s.members, m)
	}
	return nil
}

// startComponent starts the component and waits until it says that it is connected.
func (s *scaling) startComponent(ctx context.Context) error {
	var err error
	if s.state, err = os.MkdirTemp("", "scaling-"); err != nil {
		return err
	}
	cmd := exec.Command(s.Binary, "--address", s.gadget.String(), "--state", s.state, "--listen", "none",
		"--server", net.JoinHostPort(s.server.Host, strconv.Itoa(int(s.server.ComponentPort))))
	cmd.Env = append(os.Environ(), "OLPC_GADGET_SECRET="+school.ComponentSecret)
	out, in, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stderr = in
	s.program, err = process.Start(cmd)
	in.Close()
	if err != nil {
		return errors.Join(err, out.Close())
	}
	connected := make(chan struct{})
	go func() {
		defer out.Close()
		said := false
		for lines := bufio.NewScanner(out); lines.Scan(); { // to its end, so that it never has to wait
			if !said && strings.Contains(lines.Text(), "msg=Connected") {
				said = true
				close(connected)
			}
		}
	}()
	select {
	case <-connected:
		return nil
	case <-s.program.Done():
		return fmt.Errorf("the component has ended: %v", s.program.Err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// end sends everybody home at once, for whom nobody has to be told.
func (s *scaling) end() error {
	if s.relay != nil {
		s.relay.stop()
	}
	var err error
	if s.server != nil {
		err = s.server.Kill()
	}
	err = errors.Join(err, each(context.Background(), s.members, func(m *member, ctx context.Context) error { return m.leave(ctx) }))
	if s.program != nil {
		err = errors.Join(err, s.program.Stop())
	}
	if s.server != nil {
		err = errors.Join(err, s.server.Stop())
	}
	if s.state != "" {
		err = errors.Join(err, os.RemoveAll(s.state))
	}
	return err
}
