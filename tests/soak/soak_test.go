// Package soak has two laptops with the real connection manager live through school days: a class of simulated children on a real
// ejabberd that come, change and go, shared activities with chat, D-Bus and byte streams, files, links that are cut, and a server
// that is killed and comes back. Nothing may grow once it is warm, and every message has to be accounted for.
//
// How long: go test ./tests/soak -args -soak 30m -children 60, or make soak SOAKTIME=30m; as a normal test a few rounds.
package soak

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"telepathy-olpc/tests/cmtest"
)

var (
	soakFor  = flag.Duration("soak", 20*time.Second, "how long rounds are begun")
	children = flag.Int("children", 12, "simulated children")
	seed     = flag.Uint64("seed", 1, "of what happens by chance")
)

func TestMain(m *testing.M) { cmtest.Main(m) }

// TestSoak ends with a table of what was done and what it took. It is the same for a long soak and for a short one; only a long
// one proves that nothing grows slowly.
func TestSoak(t *testing.T) {
	s := open(t, rand.New(rand.NewPCG(*seed, 0)))
	began := time.Now()
	for round := 0; round < fewest || time.Since(began) < *soakFor; round++ {
		s.play(round)
	}
	s.finish(time.Since(began))
}
