package cmtest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// queue is the one list of all that happened, in order of arrival.
type queue struct {
	start time.Time

	mu      sync.Mutex
	events  []*Event
	past    map[string]int // source → number of events, all sources, that are behind it
	bans    []*Ban
	streams int           // of all servers
	broken  string        // the first forbidden event, or the end of the process
	arrived chan struct{} // closed and replaced by each event
}

// Ban is a matcher whose events fail the test.
type Ban struct {
	queue   *queue
	matcher Matcher
	lifted  bool
}

func newQueue() *queue {
	return &queue{start: time.Now(), past: make(map[string]int), arrived: make(chan struct{})}
}

// add appends an event; called from any goroutine.
func (q *queue) add(e *Event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	e.at = time.Since(q.start)
	q.events = append(q.events, e)
	for _, b := range q.bans {
		if !b.lifted && q.broken == "" && b.matcher.Match(e) {
			q.broken = fmt.Sprintf("forbidden: %s\nhappened: %s", b.matcher, e)
		}
	}
	close(q.arrived)
	q.arrived = make(chan struct{})
}

// nextStream names a new stream.
func (q *queue) nextStream() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.streams++
	return fmt.Sprintf("c2s %d", q.streams)
}

// fail makes every wait end; called from any goroutine.
func (q *queue) fail(reason string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.broken == "" {
		q.broken = reason
	}
	close(q.arrived)
	q.arrived = make(chan struct{})
}

func (q *queue) failure() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.broken
}

// find looks for one event per matcher among those that are not past. The
// indexes tell where they are.
func (q *queue) find(matchers []Matcher) (found []int, all bool) {
	found = make([]int, len(matchers))
	for m := range found {
		found[m] = -1
	}
	left := len(matchers)
	for i, e := range q.events {
		if i < q.past[e.Source] {
			continue
		}
		for m, matcher := range matchers {
			if found[m] < 0 && matcher.Match(e) {
				found[m], left = i, left-1
				break
			}
		}
		if left == 0 {
			return found, true
		}
	}
	return found, false
}

// wait returns the first events that match, one for each matcher. With
// consume, they and what came before them from the same sources is past.
func (q *queue) wait(t testing.TB, limit time.Duration, consume bool, matchers ...Matcher) []*Event {
	t.Helper()
	timeout := time.NewTimer(limit)
	defer timeout.Stop()
	began := time.Now()
	for {
		q.mu.Lock()
		found, all := q.find(matchers)
		broken, arrived := q.broken, q.arrived
		if all && broken == "" {
			events := q.take(found, consume)
			q.mu.Unlock()
			return events
		}
		q.mu.Unlock()
		if broken != "" {
			t.Fatalf("while waiting for %s\n%s", missing(matchers, found), broken)
		}
		select {
		case <-arrived:
		case <-timeout.C:
			t.Fatalf("waited %.1f s in vain for %s", time.Since(began).Seconds(), missing(matchers, found))
		}
	}
}

func (q *queue) take(found []int, consume bool) []*Event {
	events := make([]*Event, len(found))
	for m, i := range found {
		events[m] = q.events[i]
		if source := events[m].Source; consume && q.past[source] <= i {
			q.past[source] = i + 1
		}
	}
	return events
}

// liftAll ends all bans.
func (q *queue) liftAll() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, b := range q.bans {
		b.lifted = true
	}
}

// forget makes all that happened until now past.
func (q *queue) forget() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, e := range q.events {
		q.past[e.Source] = len(q.events)
	}
}

func (q *queue) transcript() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var b strings.Builder
	for _, e := range q.events {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// told is all that the binary said on the bus.
func (q *queue) told() string {
	q.mu.Lock()
	defer q.mu.Unlock()
	var b strings.Builder
	for _, e := range q.events {
		if e.Kind == KindReply || e.Kind == KindError || e.Kind == KindSignal {
			b.WriteString(body(e.Message))
			b.WriteByte('\n')
		}
	}
	return b.String()
}

func missing(matchers []Matcher, found []int) string {
	var parts []string
	for m, i := range found {
		if i < 0 {
			parts = append(parts, matchers[m].String())
		}
	}
	return strings.Join(parts, "\n and ")
}

// Lift ends a ban that [CM.Forbid] began.
func (b *Ban) Lift() {
	b.queue.mu.Lock()
	defer b.queue.mu.Unlock()
	b.lifted = true
}
