// Package loop is the event loop on which all state of one Telepathy
// connection lives: an unbounded queue of labelled functions, run one after
// the other by the goroutine that calls [Loop.Run]. Timers arrive as events.
package loop

import (
	"runtime/debug"
	"sync"
	"time"
)

// defaultSlow is what an event may take before it is reported: twice that and
// a user notices.
const defaultSlow = 100 * time.Millisecond

// keepQueue bounds the room, in events, that a burst leaves allocated.
const keepQueue = 1024

// Config says who is told about bad events. The functions run on the loop.
type Config struct {
	Slow    time.Duration                           // 0 is 100 ms
	OnSlow  func(label string, took time.Duration)  // after an event that took longer; may be nil
	OnPanic func(label string, v any, stack []byte) // instead of dying with the event; nil lets the panic go on
	// Busy and Idle are called around the events that are handled in one go, so that
	// what they say can leave in one piece. Either may be nil.
	Busy, Idle func()
}

// Loop runs events in the order of [Loop.Post]. Make it with [New].
type Loop struct {
	cfg  Config
	done chan struct{}

	// Only the loop's goroutine looks at these.
	current string   // label of the event that runs
	after   []func() // to run when the burst is over
	burst   string   // its label

	mu     sync.Mutex
	filled sync.Cond // queue or closed changed
	queue  []event
	closed bool // Post is a no-op
}

type event struct {
	label string
	run   func()
}

// New makes a loop; nothing happens before [Loop.Run].
func New(cfg Config) *Loop {
	if cfg.Slow == 0 {
		cfg.Slow = defaultSlow
	}
	l := &Loop{cfg: cfg, done: make(chan struct{})}
	l.filled.L = &l.mu
	return l
}

// Run handles events until [Loop.Close] was called and the queue is empty.
// It may be called once.
func (l *Loop) Run() {
	defer close(l.done)
	var batch []event
	for {
		batch = l.take(batch)
		if len(batch) == 0 {
			return
		}
		tell(l.cfg.Busy)
		start := time.Now()
		for i := range batch {
			e := batch[i]
			batch[i] = event{} // what it holds on to may go as soon as it has run
			if e.label != l.burst {
				l.endBurst()
			}
			l.handle(e)
			end := time.Now()
			if took := end.Sub(start); took > l.cfg.Slow && l.cfg.OnSlow != nil {
				l.cfg.OnSlow(e.label, took)
			}
			start = end
		}
		if l.idle() {
			l.endBurst()
		}
		tell(l.cfg.Idle)
	}
}

// AfterBurst runs f, on the loop, once the events with the label of the present
// one are over: before the first other event, or when none is waiting. It joins
// what would be announced many times into one announcement, without delaying a
// lone event and without letting anything else overtake. It is called on the
// loop.
func (l *Loop) AfterBurst(f func()) {
	l.burst = l.current
	l.after = append(l.after, f)
}

// endBurst runs what AfterBurst left; that may leave more.
func (l *Loop) endBurst() {
	for len(l.after) > 0 {
		after := l.after
		l.after = nil
		for _, f := range after {
			l.handle(event{l.burst, f})
		}
	}
}

func tell(hook func()) {
	if hook != nil {
		hook()
	}
}

func (l *Loop) idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue) == 0
}

// take waits for events and swaps the queue for spare; empty means the end.
func (l *Loop) take(spare []event) []event {
	if cap(spare) > keepQueue {
		spare = nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) == 0 && !l.closed {
		l.filled.Wait()
	}
	batch := l.queue
	l.queue = spare[:0]
	return batch
}

func (l *Loop) handle(e event) {
	if l.cfg.OnPanic != nil {
		defer func() {
			if v := recover(); v != nil {
				l.cfg.OnPanic(e.label, v, debug.Stack())
			}
		}()
	}
	l.current = e.label
	e.run()
}

// Post queues f. Any goroutine may call it, it never blocks, and it is false
// when the loop is closed and f will not run. The label is constant text that
// names the kind of event in reports.
func (l *Loop) Post(label string, f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.queue = append(l.queue, event{label, f})
	l.filled.Signal()
	return true
}

// Close ends the loop once the events that are queued by now have run. Any
// goroutine may call it, also twice.
func (l *Loop) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.filled.Signal()
}

// Done is closed when Run has returned.
func (l *Loop) Done() <-chan struct{} { return l.done }

// Timer is an event that is due later.
type Timer struct {
	timer   *time.Timer
	stopped bool // only the loop looks at it
}

// After posts f when d has passed, unless the loop is closed by then.
func (l *Loop) After(d time.Duration, label string, f func()) *Timer {
	t := &Timer{}
	t.timer = time.AfterFunc(d, func() {
		l.Post(label, func() {
			if !t.stopped {
				f()
			}
		})
	})
	return t
}

// Stop is called on the loop; the timer's function does not run afterwards,
// not even when the time had passed already. A nil timer may be stopped.
//
//go:noinline
func (t *Timer) Stop() {
	if t == nil {
		return
	}
	t.stopped = true
	t.timer.Stop()
}
