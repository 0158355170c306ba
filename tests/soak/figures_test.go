package soak

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/laptop"
)

// sample is what the first laptop's connection manager, and the second's, take at the end of a round.
type sample struct {
	round int
	what  string
	took  time.Duration
	of    [2]figures
}

type figures struct {
	laptop.Usage
	names, channels int
}

// Of what may not grow. The runtime keeps threads that once were busy and opens descriptors of its own as it likes; memory comes
// in pages and goes back when the collector is done with it.
const (
	moreThreads     = 6
	moreDescriptors = 2
	moreMemory      = 2 << 10 // KiB, beside a tenth
	warmUp          = 4       // one in so many samples does not count
)

func (s *soak) sample(round int, what string, took time.Duration) {
	s.t.Helper()
	one := sample{round: round, what: what, took: took}
	for i, l := range s.laptops {
		f := &one.of[i]
		f.names = len(l.BusNames())
		var channels []struct {
			Path       dbus.ObjectPath
			Properties map[string]dbus.Variant
		}
		l.Get(l.Path, tp.InterfaceConnectionRequests, "Channels", &channels) // also waits until the round is over on the loop
		f.channels = len(channels)
		f.Usage = laptop.UsageOf(s.t, l.Pid())
	}
	s.samples = append(s.samples, one)
}

// finish prints what was found and judges it.
func (s *soak) finish(took time.Duration) {
	s.t.Helper()
	s.print(took)
	warm := s.samples[max(1, len(s.samples)/warmUp):]
	for i, l := range s.laptops {
		first, last := warm[0].of[i], warm[len(warm)-1].of[i]
		for what, grown := range map[string]bool{
			"bus names":   last.names > 1,
			"channels":    last.channels > first.channels,
			"threads":     last.Threads > first.Threads+moreThreads,
			"descriptors": last.Descriptors > first.Descriptors+moreDescriptors,
		} {
			if grown {
				s.t.Errorf("%s of %s's laptop have grown: %+v, then %+v", what, l.Child.Nick, first, last)
			}
		}
		half := len(warm) / 2
		if early, late := middle(warm[:max(1, half)], i), middle(warm[half:], i); late > early+early/10+moreMemory {
			s.t.Errorf("memory of %s's laptop has grown from %d to %d KiB", l.Child.Nick, early, late)
		}
	}
	s.countGoroutines()
}

// middle is the median memory.
func middle(list []sample, i int) int {
	var all []int
	for _, one := range list {
		all = append(all, one.of[i].Memory)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// countGoroutines ends both connection managers in the way in which Go's runtime tells what they were doing, beside one that has
// only just logged in.
func (s *soak) countGoroutines() {
	s.t.Helper()
	fresh := laptop.Open(s.t, s.server, s.server.DirectPort, "Cyd", s.binary)
	fresh.Connect(nil)
	want := fresh.Goroutines()
	for _, l := range s.laptops {
		got := l.Goroutines()
		s.t.Logf("goroutines of %s's laptop: %d; of one that has just logged in: %d", l.Child.Nick, got, want)
		if got > want+1 {
			s.t.Errorf("%d goroutines of %s's laptop are left over", got-want, l.Child.Nick)
		}
	}
}

const printed = 30 // rows

func (s *soak) print(took time.Duration) {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "round\thow\ttook\tmemory KiB\tthreads\tdescriptors\tnames\tchannels\t")
	for i, one := range s.samples {
		if len(s.samples) > printed && i%(len(s.samples)/printed+1) != 0 && i != len(s.samples)-1 {
			continue
		}
		a, b := one.of[0], one.of[1]
		fmt.Fprintf(w, "%d\t%s\t%.1fs\t%d %d\t%d %d\t%d %d\t%d %d\t%d %d\t\n", one.round, one.what, one.took.Seconds(),
			a.Memory, b.Memory, a.Threads, b.Threads, a.Descriptors, b.Descriptors, a.names, b.names, a.channels, b.channels)
	}
	w.Flush()
	d, g := s.done, &s.ledger
	s.t.Logf("%d rounds in %v with %d children:\n%s", len(s.samples), took.Round(time.Second), *children, text.String())
	s.t.Logf("%d joins and %d leaves, %d children came, %d tubes, %d files, %.1f MB, %d links cut, %d servers killed; the children heard %d stanzas",
		d.joins, d.leaves, d.comings, d.tubes, d.files, float64(d.bytes)/1e6, d.cuts, d.outages, s.crowd.Heard())
	s.t.Logf("messages: %d received once, %d refused or reported, %d gone with a connection whose end was told", g.received, g.refused, g.goneWith)
}
