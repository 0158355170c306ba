package pep

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
)

// world is a server that answers when it is told to, and a clock that stands
// still. What happens is written down in order.
type world struct {
	t      *testing.T
	log    []string
	asked  []func(*stanza.Element, error)
	timers []*timer
}

type timer struct {
	d time.Duration
	f func()
}

func (w *world) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	publish := iq.Child(NS, "pubsub").Child(NS, "publish")
	w.log = append(w.log, "ask "+publish.Attr("node")+"="+publish.Child(NS, "item").First().Local())
	w.asked = append(w.asked, done)
}

func (w *world) after(d time.Duration, label string, f func()) func() {
	t := &timer{d, f}
	w.timers = append(w.timers, t)
	w.log = append(w.log, "wait "+d.String())
	return func() { t.f = nil; w.log = append(w.log, "stop") }
}

// answer answers the oldest question.
func (w *world) answer(err error) {
	w.t.Helper()
	if len(w.asked) == 0 {
		w.t.Fatalf("nothing is asked; happened: %q", w.log)
	}
	done := w.asked[0]
	w.asked = w.asked[1:]
	done(nil, err)
}

// ring lets the oldest timer end.
func (w *world) ring() {
	w.t.Helper()
	if len(w.timers) == 0 {
		w.t.Fatalf("nothing is waited for; happened: %q", w.log)
	}
	f := w.timers[0].f
	w.timers = w.timers[1:]
	if f != nil {
		f()
	}
}

// happened compares what went on since the last call.
func (w *world) happened(want ...string) {
	w.t.Helper()
	if diff := cmp.Diff(want, w.log); diff != "" {
		w.t.Errorf("(-want +got):\n%s", diff)
	}
	w.log = nil
}

// publish publishes and writes down the end.
func (w *world) publish(p *Publisher, node, value string) {
	p.Publish(node, stanza.New("x", value), func(err error) {
		text := "ok"
		if err != nil {
			text = err.Error()
		}
		w.log = append(w.log, fmt.Sprintf("done %s=%s: %s", node, value, text))
	})
}

func start(t *testing.T) (*world, *Publisher) {
	w := &world{t: t}
	p := NewPublisher(w, w.after)
	p.vary = func(d time.Duration) time.Duration { return d }
	return w, p
}

var notFound = stanza.NewError(stanza.ItemNotFound, "")

func TestBuildPublish(t *testing.T) {
	want := parse(t, `<iq type="set"><pubsub xmlns="http://jabber.org/protocol/pubsub"><publish node="http://laptop.org/xmpp/activities">`+
		`<item><activities xmlns="http://laptop.org/xmpp/activities"/></item></publish></pubsub></iq>`)
	const node = "http://laptop.org/xmpp/activities"
	if got := BuildPublish(node, stanza.New(node, "activities")); !got.Equal(want) {
		t.Errorf("got %s", got)
	}
}

func TestPublisher_oneAfterAnother(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.publish(p, "b", "1")
	w.happened("ask a=1")
	w.answer(nil)
	w.happened("done a=1: ok", "ask b=1")
	w.answer(nil)
	w.happened("done b=1: ok")
	w.publish(p, "a", "1")
	w.happened("ask a=1")
}

// made has the publisher's server make nodes.
func (w *world) made(p *Publisher, nodes ...string) {
	for _, node := range nodes {
		p.Publish(node, stanza.New("x", "0"), nil)
		w.answer(nil)
	}
	w.log = nil
}

// Nodes that are there need not wait for each other, only for their own.
func TestPublisher_oneBehindTheOther(t *testing.T) {
	w, p := start(t)
	w.made(p, "a", "b")
	w.publish(p, "a", "1")
	w.publish(p, "b", "1")
	w.publish(p, "a", "2")
	w.publish(p, "b", "2")
	w.publish(p, "new", "1")
	w.happened("ask a=1", "ask b=1")
	w.answer(nil)
	w.happened("done a=1: ok", "ask a=2")
	w.answer(nil)
	w.happened("done b=1: ok", "ask b=2")
	w.answer(nil)
	w.answer(nil)
	w.happened("done a=2: ok", "done b=2: ok", "ask new=1")
	w.publish(p, "a", "3") // while another node is made
	w.answer(nil)
	w.happened("done new=1: ok", "ask a=3")
}

// What fails for a moment holds up what comes after it, not what is under way.
func TestPublisher_oneOfManyFails(t *testing.T) {
	w, p := start(t)
	w.made(p, "a", "b", "c", "d")
	for _, node := range []string{"a", "b", "c"} {
		w.publish(p, node, "1")
	}
	w.happened("ask a=1", "ask b=1", "ask c=1")
	w.answer(notFound)
	w.answer(notFound)
	w.answer(nil)
	w.publish(p, "d", "1")
	w.happened("wait 200ms", "done c=1: ok")
	w.ring()
	w.happened("ask a=1")
	w.answer(nil)
	w.happened("done a=1: ok", "ask b=1")
	w.answer(stanza.NewError(stanza.Forbidden, ""))
	w.happened("done b=1: publish b: forbidden", "ask d=1")
}

// A newer value is behind what was to be told before it.
func TestPublisher_newerGoesBehind(t *testing.T) {
	w, p := start(t)
	w.made(p, "a", "b")
	w.publish(p, "new", "1")
	w.publish(p, "b", "1")
	w.publish(p, "a", "1")
	w.publish(p, "b", "2")
	w.answer(nil)
	w.happened("ask new=1", "done new=1: ok", "ask a=1", "ask b=2")
	w.answer(nil)
	w.answer(nil)
	w.happened("done a=1: ok", "done b=1: ok", "done b=2: ok")
}

func TestPublisher_newerReplacesWaiting(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.publish(p, "a", "2")
	w.publish(p, "b", "1")
	w.publish(p, "a", "3")
	p.Publish("b", stanza.New("x", "2"), nil)
	w.answer(nil)
	w.happened("ask a=1", "done a=1: ok", "ask a=3")
	w.answer(nil)
	w.happened("done a=2: ok", "done a=3: ok", "ask b=2")
	w.answer(nil)
	w.happened("done b=1: ok")
}

func TestPublisher_triesAgain(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.publish(p, "b", "1")
	w.answer(notFound)
	w.happened("ask a=1", "wait 200ms")
	w.ring()
	w.happened("ask a=1")
	w.answer(nil)
	w.happened("done a=1: ok", "ask b=1")
}

func TestPublisher_givesUp(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.publish(p, "b", "1")
	var want []string
	for try := range maxTries - 1 {
		w.answer(notFound)
		w.ring()
		want = append(want, "ask a=1", "wait "+min(200*time.Millisecond<<try, 5*time.Second).String())
	}
	w.answer(notFound)
	w.happened(append(want, "ask a=1", "done a=1: publish a: item-not-found", "ask b=1")...)
}

// Who failed together does not try again together.
func TestPublisher_varies(t *testing.T) {
	p := NewPublisher(nil, nil)
	const mean = time.Second
	first := p.vary(mean)
	same := true
	for range 100 {
		d := p.vary(mean)
		same = same && d == first
		if d < mean/2 || d >= mean/2+mean {
			t.Errorf("waits %v", d)
		}
	}
	if same {
		t.Errorf("waits always %v", first)
	}
}

func TestPublisher_refusedForGood(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.publish(p, "a", "2")
	w.answer(stanza.NewError(stanza.Forbidden, ""))
	w.happened("ask a=1", "done a=1: publish a: forbidden", "ask a=2")
	w.answer(errors.New("connection lost"))
	w.happened("done a=2: publish a: connection lost")
}

func TestPublisher_newerInsteadOfAgain(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.publish(p, "a", "2")
	w.answer(notFound)
	w.happened("ask a=1", "ask a=2")
	w.answer(nil)
	w.happened("done a=1: ok", "done a=2: ok")
}

func TestPublisher_newerWhileWaiting(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.answer(notFound)
	w.publish(p, "a", "2")
	w.happened("ask a=1", "wait 200ms")
	w.ring()
	w.answer(notFound)
	w.happened("ask a=2", "wait 200ms") // tried from the start
	w.ring()
	w.answer(nil)
	w.happened("ask a=2", "done a=1: ok", "done a=2: ok")
}

func TestPublisher_publishWithinDone(t *testing.T) {
	w, p := start(t)
	p.Publish("properties", stanza.New("x", "1"), func(error) { w.publish(p, "activities", "1") })
	w.answer(nil)
	w.happened("ask properties=1", "ask activities=1")
}

// A session that is gone answers at once.
func TestPublisher_answersAtOnce(t *testing.T) {
	var got []string
	p := NewPublisher(scripted(func(*stanza.Element) (*stanza.Element, error) { return nil, nil }), nil)
	p.Publish("a", nil, func(error) {
		p.Publish("b", nil, func(error) { got = append(got, "b") })
		got = append(got, "a")
	})
	if diff := cmp.Diff([]string{"b", "a"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPublisher_Close(t *testing.T) {
	w, p := start(t)
	gone := errors.New("gone")
	w.publish(p, "a", "1")
	w.publish(p, "b", "1")
	p.Close(gone)
	p.Close(errors.New("twice"))
	w.happened("ask a=1", "done a=1: publish a: gone", "done b=1: publish b: gone")
	w.answer(nil) // too late
	w.publish(p, "a", "2")
	w.happened("done a=2: publish a: gone")
}

func TestPublisher_closeWhileWaiting(t *testing.T) {
	w, p := start(t)
	w.publish(p, "a", "1")
	w.answer(notFound)
	p.Close(errors.New("gone"))
	w.ring()
	w.happened("ask a=1", "wait 200ms", "stop", "done a=1: publish a: gone")
}

func TestIsTransient(t *testing.T) {
	want := map[stanza.Condition]bool{
		stanza.Conflict: true, stanza.InternalServerError: true, stanza.ItemNotFound: true, stanza.RecipientUnavailable: true,
		stanza.RemoteServerTimeout: true, stanza.ResourceConstraint: true, stanza.UnexpectedRequest: true,
	}
	for _, c := range stanza.Conditions() {
		if got := isTransient(fmt.Errorf("wrapped: %w", stanza.NewError(c, ""))); got != want[c] {
			t.Errorf("%s: %v", c, got)
		}
	}
	if isTransient(errors.New("lost")) {
		t.Error("a lost session is transient")
	}
}
