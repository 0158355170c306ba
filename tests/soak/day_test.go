package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/tests/load"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/wire"
)

const (
	fewest      = 3  // rounds
	cutEvery    = 2  // rounds with a link that is cut
	outageEvery = 10 // rounds with a server that is killed; the third has one too
	activities  = 8  // that are shared by turns: numbers of rooms are never given again
	speakers    = 5  // children in a room
	sentences   = 8  // of each in a room
	patience    = 3 * time.Minute
)

// patient is how long, in seconds, a link that was lost may take to be replaced. A server that is gone is missed as late.
var patient = map[string]any{"keepalive-interval": uint32(10)}

// soak is the school and who is watched in it.
type soak struct {
	t       *testing.T
	random  *rand.Rand
	server  *school.Server
	crowd   *load.Crowd
	wires   []*wire.Proxy
	laptops []*laptop.Laptop
	binary  string

	ledger  ledger
	samples []sample
	done    tally
}

// tally is what was done.
type tally struct{ joins, leaves, comings, bytes, tubes, files, cuts, outages int }

func open(t *testing.T, random *rand.Rand) *soak {
	s := &soak{t: t, random: random, binary: cmtest.Binary(t)}
	s.server = school.StartTest(t, school.Options{})
	s.ledger.t = t
	var err error
	if s.crowd, err = load.NewCrowd(*children, s.server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.crowd.Leave(context.Background()) })
	s.arrive()
	for _, nick := range []string{"Ana", "Ben"} {
		proxy := wire.Start(t, net.JoinHostPort(s.server.Host, strconv.Itoa(int(s.server.DirectPort))))
		l := laptop.Open(t, s.server, uint16(proxy.Port), nick, s.binary)
		l.Connect(patient)
		s.wires, s.laptops = append(s.wires, proxy), append(s.laptops, l)
	}
	s.meet()
	return s
}

// arrive has children log in; none is all.
func (s *soak) arrive(which ...int) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.crowd.Arrive(ctx, which...); err != nil {
		s.t.Fatal(err)
	}
	s.done.comings += max(len(which), 1)
}

// meet waits until the laptops see each other.
func (s *soak) meet() {
	s.t.Helper()
	for i, l := range s.laptops {
		l.AwaitBuddy(s.laptops[1-i].Self)
	}
}

// play is one round: some come and go, an activity is shared, used and left, and then all is counted.
func (s *soak) play(round int) {
	s.t.Helper()
	began := time.Now()
	s.comeAndGo()
	shared := s.share(round % activities)
	s.talk(shared, fmt.Sprint(round))
	s.dbusTube(shared, round)
	s.streamTube(shared, round)
	s.passFile(round)
	what := "quiet"
	if round%cutEvery == 1 {
		what = "link cut"
		s.talkThroughCuts(shared, round)
	}
	if round%outageEvery == 2 {
		what = "server killed"
		s.outage(shared, round)
	} else {
		s.leave(shared)
	}
	s.ledger.settle(s.laptops)
	for _, l := range s.laptops {
		l.Forget()
	}
	s.sample(round, what, time.Since(began))
}

// comeAndGo has some children go, others come back, and some change.
func (s *soak) comeAndGo() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	some := s.random.Perm(*children)[:max(1, *children/10)]
	if err := s.crowd.Leave(ctx, some...); err != nil {
		s.t.Fatal(err)
	}
	s.arrive(some...)
	if err := s.crowd.Change(ctx, some...); err != nil {
		s.t.Fatal(err)
	}
}

// shared is an activity and who is in it.
type shared struct {
	of    []*laptop.Activity // by laptop
	room  string
	crowd []int
}

// share has the first laptop share an activity, and the second and some children join.
func (s *soak) share(n int) *shared {
	s.t.Helper()
	a := &shared{crowd: s.random.Perm(*children)[:min(speakers, *children)]}
	id := fmt.Sprintf("soak-%d", n)
	for i, l := range s.laptops {
		a.of = append(a.of, l.Join(id))
		if i == 0 {
			a.of[0].Share()
		}
	}
	a.room = id + "@conference." + s.server.Domain
	for _, n := range a.crowd {
		s.join(n, a.room)
	}
	s.done.joins += len(a.of) + len(a.crowd)
	return a
}

// leave has all go.
func (s *soak) leave(a *shared) {
	s.t.Helper()
	for _, n := range a.crowd {
		s.part(n, a.room)
	}
	for _, on := range a.of {
		on.Leave()
	}
	s.done.leaves += len(a.of) + len(a.crowd)
}

// outage has somebody speak just before the server is killed; then it comes back, and everybody to it.
func (s *soak) outage(a *shared, round int) {
	s.t.Helper()
	for i, on := range a.of {
		for n := range sentences {
			s.ledger.say(on, s.laptops[1-i], fmt.Sprintf("%d last words %d of %d", round, n, i))
		}
	}
	if err := s.server.Kill(); err != nil {
		s.t.Fatal(err)
	}
	for _, l := range s.laptops {
		l.AwaitStatus(tp.ConnectionStatusDisconnected)
		l.Await("the error", tp.SignalConnectionConnectionError, func(e *dbus.Signal) bool { return e.Path == l.Path })
		s.ledger.lost[l]++
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	if err := s.server.Restart(ctx); err != nil {
		s.t.Fatal(err)
	}
	s.ledger.settle(s.laptops) // paths of connections and channels begin anew
	for _, l := range s.laptops {
		l.Forget()
		l.Connect(patient)
	}
	s.arrive()
	s.meet()
	s.done.outages++
}
