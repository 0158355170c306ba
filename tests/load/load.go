// Package load measures what a school full of children costs one laptop: a
// throwaway school server, simulated children who come, change, go and come back,
// and one real connection manager, whose Sugar has to show them all.
//
// Everything is on loopback and ends with the run; nothing of it can be pointed at
// a server that others use.
package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/school"
)

// Options of a run.
type Options struct {
	Children int           // who are simulated
	Server   school.Kind   // school server's software
	Binary   string        // connection manager; absolute
	Rest     time.Duration // how long nothing happens at the end
	Log      io.Writer     // gets a line for each step
}

// run is a school and those who are in it.
type run struct {
	Options
	began    time.Time
	server   *school.Server
	heard    tally
	relay    *tap // of the children
	tap      *tap // of the laptop
	children []*child
	laptop   *laptop
	report   Report
}

// logins is how many children log in at the same time.
const logins = 32

// movers is the share of children who change, and who go and come back: one in so
// many.
const movers = 10

// Run plays a school day and returns what was measured.
func Run(ctx context.Context, opts Options) (*Report, error) {
	r := &run{Options: opts, began: time.Now()}
	err := r.play(ctx)
	if err != nil && r.laptop != nil {
		err = fmt.Errorf("%w\n%s", err, r.laptop.Log())
	}
	if err := errors.Join(err, r.end()); err != nil {
		return nil, err
	}
	r.report.Children = opts.Children
	r.report.Crowd = r.relay.traffic()
	r.report.Heard = Flow{Messages: int(r.heard.messages.Load()), Presences: int(r.heard.presences.Load())}
	return &r.report, nil
}

func (r *run) play(ctx context.Context) error {
	if err := r.open(ctx); err != nil {
		return err
	}
	r.say("%d children arrive", len(r.children))
	began := time.Now()
	if err := each(ctx, r.children, (*child).arrive); err != nil {
		return err
	}
	r.report.Arrival = time.Since(began)
	var err error
	if r.report.Own, err = usageOf(os.Getpid()); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{r.lookAround, r.changes, r.goings, r.returns, r.rest} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// open starts the server and prepares everybody.
func (r *run) open(ctx context.Context) error {
	opts := school.Options{Kind: r.Server, Members: []string{observer.Name()}}
	for n := range r.Children {
		opts.Members = append(opts.Members, user(n).Name())
	}
	r.say("%s starts", r.Server)
	var err error
	if r.server, err = school.Start(ctx, opts); err != nil {
		return err
	}
	if r.relay, err = newTap(r.server, false); err != nil {
		return err
	}
	if r.tap, err = newTap(r.server, true); err != nil {
		return err
	}
	for n := range r.Children {
		c, err := newChild(n, r.server, r.relay.port, &r.heard)
		if err != nil {
			return err
		}
		r.children = append(r.children, c)
	}
	return nil
}

// lookAround brings the laptop on-line and waits until it shows everybody.
func (r *run) lookAround(ctx context.Context) error {
	var err error
	if r.laptop, err = openLaptop(ctx, r.Binary); err != nil {
		return err
	}
	if err := r.laptop.request(ctx, r.server.Domain, r.tap.port); err != nil {
		return err
	}
	r.say("the laptop connects")
	return r.measure(ctx, &r.report.Look, func() error {
		r.laptop.connect()
		began := time.Now()
		defer func() { r.report.Connected = time.Since(began) }()
		return r.laptop.until(ctx, "the laptop is connected", func() bool { return r.laptop.status == tp.ConnectionStatusConnected })
	})
}

// measure has something done, waits until the laptop shows the children as they
// are, and takes down what that cost.
func (r *run) measure(ctx context.Context, m *Measure, do func() error) error {
	before, err := r.cost(ctx)
	if err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	began := time.Now()
	for _, stage := range []struct {
		what string
		took *time.Duration
		sees func(*buddy, *child) bool
	}{
		{"all have key and colour", &m.Shown, looksLike},
		{"all have nick and activities", &m.Complete, isLike},
	} {
		shown := func() int { return r.laptop.shows(r.children, stage.sees) }
		if err := r.laptop.until(ctx, stage.what, func() bool { return shown() == len(r.children) }); err != nil {
			return fmt.Errorf("%w; of %d children %d do", err, len(r.children), shown())
		}
		*stage.took = time.Since(began)
		r.say("%s after %v", stage.what, stage.took.Round(time.Millisecond))
	}
	after, err := r.cost(ctx)
	m.Cost = after.since(before)
	return err
}

// cost is what the laptop has cost so far.
func (r *run) cost(ctx context.Context) (Cost, error) {
	pid, err := r.laptop.pid(ctx)
	if err != nil {
		return Cost{}, err
	}
	u, err := usageOf(pid)
	return Cost{Usage: u, Traffic: r.tap.traffic(), Calls: r.laptop.calls, Signals: r.laptop.signals}, err
}

// some are the children who do something, others for different numbers.
func (r *run) some(which int) []*child {
	var list []*child
	for n, c := range r.children {
		if n%movers == which {
			list = append(list, c)
		}
	}
	return list
}

// changes gives some children another nick and another colour.
func (r *run) changes(ctx context.Context) error {
	changing := r.some(0)
	r.say("%d children change nick and colour", len(changing))
	return r.measure(ctx, &r.report.Change, func() error { return each(ctx, changing, (*child).change) })
}

// goings has some children leave.
func (r *run) goings(ctx context.Context) error {
	leaving := r.some(1)
	r.say("%d children leave", len(leaving))
	began := time.Now()
	if err := each(ctx, leaving, (*child).leave); err != nil {
		return err
	}
	anything := func(*buddy, *child) bool { return true }
	err := r.laptop.until(ctx, "they are gone", func() bool { return r.laptop.shows(leaving, anything) == 0 })
	r.report.Gone = time.Since(began)
	return err
}

// returns has them come back.
func (r *run) returns(ctx context.Context) error {
	r.say("they come back")
	return r.measure(ctx, &r.report.Return, func() error { return each(ctx, r.some(1), (*child).arrive) })
}

// rest has nobody do anything for a while.
func (r *run) rest(ctx context.Context) error {
	r.say("nothing happens for %v", r.Rest)
	before, err := r.cost(ctx)
	if err != nil {
		return err
	}
	resting, cancel := context.WithTimeout(ctx, r.Rest)
	defer cancel()
	err = r.laptop.until(resting, "the rest is over", func() bool { return false })
	if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	after, err := r.cost(ctx)
	r.report.Rest = after.since(before)
	return err
}

// end sends everybody home and closes the school.
func (r *run) end() error {
	ctx := context.Background() // what is begun has to be ended
	err := each(ctx, r.children, (*child).leave)
	if r.laptop != nil {
		err = errors.Join(err, r.laptop.Stop())
	}
	for _, t := range []*tap{r.relay, r.tap} {
		if t != nil {
			t.stop()
		}
	}
	if r.server != nil {
		err = errors.Join(err, r.server.Stop())
	}
	return err
}

// each has children do something, a few at the same time, until one fails.
func each[C any](ctx context.Context, children []C, do func(C, context.Context) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var group sync.WaitGroup
	places := make(chan struct{}, logins)
	for _, c := range children {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		group.Go(func() {
			defer func() { <-places }()
			if err := do(c, ctx); err != nil {
				fail(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

func (r *run) say(format string, a ...any) {
	fmt.Fprintf(r.Log, "%7.2f s  %s\n", time.Since(r.began).Seconds(), fmt.Sprintf(format, a...))
}
