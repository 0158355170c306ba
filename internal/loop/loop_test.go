package loop

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start runs a loop that ends with the test.
func start(t testing.TB, cfg Config) *Loop {
	t.Helper()
	l := New(cfg)
	go l.Run()
	t.Cleanup(func() {
		l.Close()
		<-l.Done()
	})
	return l
}

// sync waits until all that was posted so far has run.
func syncLoop(t testing.TB, l *Loop) {
	t.Helper()
	reached := make(chan struct{})
	if !l.Post("sync", func() { close(reached) }) {
		t.Fatal("loop is closed")
	}
	<-reached
}

func TestPost_order(t *testing.T) {
	const posters, each = 8, 500
	l := start(t, Config{})
	got := make([][]int, posters)
	var wg sync.WaitGroup
	for p := range posters {
		wg.Go(func() {
			for n := range each {
				l.Post("note", func() { got[p] = append(got[p], n) })
			}
		})
	}
	wg.Wait()
	syncLoop(t, l)
	for p := range posters {
		if len(got[p]) != each || !slices.IsSorted(got[p]) {
			t.Errorf("poster %d: %d events, sorted %v; want %d in order", p, len(got[p]), slices.IsSorted(got[p]), each)
		}
	}
}

func TestPost_fromTheLoop(t *testing.T) {
	l := start(t, Config{})
	var got []string
	done := make(chan struct{})
	l.Post("outer", func() {
		l.Post("inner", func() {
			got = append(got, "inner")
			close(done)
		})
		got = append(got, "outer")
	})
	<-done
	if want := []string{"outer", "inner"}; !slices.Equal(got, want) {
		t.Errorf("ran %v, want %v", got, want)
	}
}

func TestClose(t *testing.T) {
	l := New(Config{})
	var got []string
	late := true
	l.Post("first", func() {
		got = append(got, "first")
		l.Close()
		l.Close()
		late = l.Post("late", func() { got = append(got, "late") })
	})
	l.Post("second", func() { got = append(got, "second") })
	l.Run()
	<-l.Done()
	if want := []string{"first", "second"}; !slices.Equal(got, want) {
		t.Errorf("ran %v, want %v", got, want)
	}
	if late || l.Post("after", func() {}) {
		t.Error("Post took an event after Close")
	}
}

func TestClose_beforeRun(t *testing.T) {
	l := New(Config{})
	ran := false
	l.Post("queued", func() { ran = true })
	l.Close()
	l.Run()
	if !ran {
		t.Error("a queued event was dropped")
	}
}

func TestPanic(t *testing.T) {
	var report string
	l := start(t, Config{OnPanic: func(label string, v any, stack []byte) {
		report = fmt.Sprint(label, ": ", v)
		if !strings.Contains(string(stack), "explode") {
			t.Errorf("stack does not show where it happened:\n%s", stack)
		}
	}})
	l.Post("bad", explode)
	syncLoop(t, l) // and the loop goes on
	if want := "bad: boom"; report != want {
		t.Errorf("reported %q, want %q", report, want)
	}
}

func explode() { panic("boom") }

func TestPanic_unhandled(t *testing.T) {
	l := New(Config{})
	l.Post("bad", explode)
	defer func() {
		if v := recover(); v != "boom" {
			t.Errorf("Run panicked with %v, want boom", v)
		}
		<-l.Done()
	}()
	l.Run()
}

func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		l := start(t, Config{OnSlow: func(label string, took time.Duration) {
			got = append(got, fmt.Sprint(label, " ", took))
		}})
		for _, d := range []time.Duration{100 * time.Millisecond, 101 * time.Millisecond, 0, time.Second} {
			l.Post(d.String(), func() { time.Sleep(d) })
		}
		syncLoop(t, l)
		if want := []string{"101ms 101ms", "1s 1s"}; !slices.Equal(got, want) {
			t.Errorf("reported %q, want %q", got, want)
		}
	})
}

func TestAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{})
		begin := time.Now()
		var got []string
		note := func(name string) func() {
			return func() { got = append(got, fmt.Sprint(name, " ", time.Since(begin))) }
		}
		l.After(2*time.Second, "two", note("two"))
		l.After(time.Second, "one", note("one"))
		stopped := l.After(time.Second, "stopped", note("stopped"))
		l.Post("stop", stopped.Stop)
		time.Sleep(3 * time.Second)
		syncLoop(t, l)
		if want := []string{"one 1s", "two 2s"}; !slices.Equal(got, want) {
			t.Errorf("ran %q, want %q", got, want)
		}
	})
}

// The time has passed and the event is queued, and still Stop wins.
func TestTimer_stoppedWhileQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, Config{})
		ran := false
		timer := l.After(time.Second, "timer", func() { ran = true })
		l.Post("busy", func() {
			time.Sleep(2 * time.Second)
			timer.Stop()
			timer.Stop()
		})
		time.Sleep(3 * time.Second)
		syncLoop(t, l)
		if ran {
			t.Error("a stopped timer's function ran")
		}
	})
}

func TestTimer_afterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := New(Config{})
		l.After(time.Second, "timer", func() { t.Error("a timer ran after Close") })
		l.Close()
		l.Run()
		time.Sleep(2 * time.Second)
		var none *Timer
		none.Stop()
	})
}

// One event from posting to having run, the price under every call and stanza.
func BenchmarkPost(b *testing.B) {
	l := start(b, Config{})
	b.ReportAllocs()
	for b.Loop() {
		l.Post("bench", func() {})
	}
	syncLoop(b, l)
}

func TestLoop_AfterBurst(t *testing.T) {
	l := New(Config{})
	var got []string
	say := func(what string) { got = append(got, what) }
	for range 3 {
		l.Post("presence", func() {
			say("presence")
			if got[0] == "presence" && len(got) == 1 {
				l.AfterBurst(func() { say("flush") })
			}
		})
	}
	l.Post("call", func() { say("call") })
	l.Post("presence", func() {
		say("presence")
		l.AfterBurst(func() { say("flush") })
	})
	l.Close()
	l.Run()
	want := []string{"presence", "presence", "presence", "flush", "call", "presence", "flush"}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Busy and Idle enclose what is handled in one go, with what follows a burst.
func TestLoop_busy(t *testing.T) {
	var l *Loop
	log := make(chan string, 10)
	l = New(Config{Busy: func() { log <- "busy" }, Idle: func() { log <- "idle" }})
	l.Post("presence", func() {
		log <- "first"
		l.AfterBurst(func() { log <- "burst over" })
	})
	l.Post("other", func() { log <- "second" })
	l.Close()
	l.Run()
	close(log)
	var got []string
	for s := range log {
		got = append(got, s)
	}
	want := []string{"busy", "first", "burst over", "second", "idle"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
