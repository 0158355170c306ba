package cmtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// failing takes the place of a test that is to fail.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Helper() {}

func (f *failing) Fatalf(format string, a ...any) {
	f.said = fmt.Sprintf(format, a...)
	runtime.Goexit()
}

// said runs f as a test of its own and returns what it failed with.
func said(f func(t testing.TB)) string {
	t := &failing{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(t)
	}()
	<-done
	return t.said
}

// noted matches a note.
func noted(text string) Match {
	return ofKind(KindNote, text).Where("", func(e *Event) bool { return e.Text == text })
}

func newTestQueue(sources ...string) *queue {
	q := newQueue()
	for _, at := range sources {
		source, text, _ := strings.Cut(at, ":")
		q.add(&Event{Kind: KindNote, Source: source, Text: text})
	}
	return q
}

func TestQueue_orderHoldsWithinASource(t *testing.T) {
	q := newTestQueue("bus:one", "wire:two", "bus:three")
	q.wait(t, patience, true, noted("three"))
	q.wait(t, patience, true, noted("two")) // another source: not left behind
	got := said(func(t testing.TB) { q.wait(t, time.Millisecond, true, noted("one")) })
	if !strings.Contains(got, "in vain for one") {
		t.Errorf("an event that was passed over was found again: %q", got)
	}
}

func TestQueue_unordered(t *testing.T) {
	q := newTestQueue("bus:one", "bus:two")
	events := q.wait(t, patience, true, noted("two"), noted("one"))
	if events[0].Text != "two" || events[1].Text != "one" {
		t.Errorf("events do not stand in the order of their matchers: %v", events)
	}
}

func TestQueue_oneEventAnswersOneMatcher(t *testing.T) {
	q := newTestQueue("bus:one")
	got := said(func(t testing.TB) { q.wait(t, time.Millisecond, true, noted("one"), noted("one")) })
	if got == "" {
		t.Error("one event was taken for two")
	}
}

func TestQueue_forbidden(t *testing.T) {
	q := newTestQueue("bus:before")
	cm := &CM{queue: q}
	cm.Forbid(noted("before"))
	lifted := cm.Forbid(noted("lifted"))
	lifted.Lift()
	cm.Forbid(noted("bad"))
	q.add(&Event{Kind: KindNote, Text: "lifted"})
	if q.failure() != "" {
		t.Fatal(q.failure())
	}
	q.add(&Event{Kind: KindNote, Text: "bad"})
	q.add(&Event{Kind: KindNote, Text: "good"})
	got := said(func(t testing.TB) { q.wait(t, patience, true, noted("good")) })
	if !strings.Contains(got, "forbidden: bad") {
		t.Errorf("the forbidden event is not told: %q", got)
	}
}

func TestCheckLog(t *testing.T) {
	for name, row := range map[string]struct {
		log  string
		want bool
	}{
		"clean":  {"level=info msg=Connected", false},
		"panic":  {"panic: runtime error", true},
		"race":   {"WARNING: DATA RACE", true},
		"secret": {"password is sesame-street", true},
	} {
		t.Run(name, func(t *testing.T) {
			f := &reporting{}
			checkLog(f, row.log)
			checkSecrets(f, "log", row.log, []string{"sesame-street"})
			if f.failed != row.want {
				t.Errorf("found fault: %v", f.failed)
			}
		})
	}
}

// reporting takes note of errors.
type reporting struct {
	testing.TB
	failed bool
}

func (r *reporting) Helper()               {}
func (r *reporting) Errorf(string, ...any) { r.failed = true }
