package pep

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"telepathy-olpc/xmpp/stanza"
)

// How often a publish is tried, and how long is waited after a failure on
// average: the time doubles from try to try up to the longest, a minute in all.
const (
	maxTries    = 16
	firstWait   = 200 * time.Millisecond
	longestWait = 5 * time.Second
)

// Publisher publishes the account's own nodes one after another, in the order
// in which they were given, and looks at each answer. ejabberd 23.01 refuses to
// create a node, with item-not-found, when it creates another one at that moment,
// be it for another account: where a class logs in for the first time, two tries
// of five fail, and who gives up is seen by nobody.
type Publisher struct {
	asker  Asker
	after  After
	vary   func(time.Duration) time.Duration // keeps those who failed together apart
	queue  []*publication                    // the first is under way, or waits to be tried again
	asking bool                              // the first is under way
	stop   func()                            // ends the wait; nil if there is none
	closed error                             // set by Close
}

// publication is a node's newest value that is not yet published.
type publication struct {
	node    string
	payload *stanza.Element
	done    []func(error) // of this value and of those it replaced
	tries   int
}

// NewPublisher returns a Publisher with nothing to do.
func NewPublisher(asker Asker, after After) *Publisher {
	return &Publisher{asker: asker, after: after, vary: func(d time.Duration) time.Duration { return d/2 + rand.N(d) }}
}

// Publish makes payload what the node holds. A value of the same node that
// still waits is replaced, in its place. done, which may be nil, is called once:
// when this value or a newer one is published or cannot be.
func (p *Publisher) Publish(node string, payload *stanza.Element, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	if p.closed != nil {
		done(publishError(node, p.closed))
		return
	}
	if pub := p.waiting(node); pub != nil {
		pub.payload, pub.tries = payload, 0
		pub.done = append(pub.done, done)
		return
	}
	p.queue = append(p.queue, &publication{node: node, payload: payload, done: []func(error){done}})
	p.next()
}

// Close gives up what is not yet published, for the reason given. Without it
// the publications of a session that is lost between two tries have no end.
func (p *Publisher) Close(reason error) {
	if p.closed != nil {
		return
	}
	p.closed = reason
	if p.stop != nil {
		p.stop()
	}
	queue := p.queue
	p.queue, p.stop = nil, nil
	for _, pub := range queue {
		pub.finish(reason)
	}
}

// waiting returns the publication of a node whose value can still be replaced.
func (p *Publisher) waiting(node string) *publication {
	for i, pub := range p.queue {
		if pub.node == node && (i > 0 || !p.asking) {
			return pub
		}
	}
	return nil
}

// next publishes the first in the queue unless there is something to wait for.
func (p *Publisher) next() {
	if p.asking || p.stop != nil || len(p.queue) == 0 {
		return
	}
	p.asking = true
	pub := p.queue[0]
	p.asker.Ask(BuildPublish(pub.node, pub.payload), func(_ *stanza.Element, err error) {
		if p.closed == nil {
			p.handleAnswer(pub, err)
		}
	})
}

func (p *Publisher) handleAnswer(pub *publication, err error) {
	p.asking = false
	newer := p.newer(pub)
	switch {
	case err == nil || !isTransient(err):
	case newer != nil: // it is tried in any case
		newer.done = slices.Concat(pub.done, newer.done)
		pub.done = nil
	case pub.tries+1 < maxTries:
		p.stop = p.after(p.vary(min(firstWait<<pub.tries, longestWait)), "publish again", func() {
			p.stop = nil
			p.next()
		})
		pub.tries++
		return
	}
	p.queue = slices.Delete(p.queue, 0, 1)
	pub.finish(err)
	p.next()
}

// newer returns the publication that waits for the same node as the one which
// is under way.
func (p *Publisher) newer(pub *publication) *publication {
	for _, other := range p.queue[1:] {
		if other.node == pub.node {
			return other
		}
	}
	return nil
}

func (pub *publication) finish(err error) {
	if err != nil {
		err = publishError(pub.node, err)
	}
	for _, done := range pub.done {
		done(err)
	}
}

func publishError(node string, err error) error { return fmt.Errorf("publish %s: %w", node, err) }

// transient holds the conditions that may be gone at the next try although
// their type need not say so.
var transient = map[stanza.Condition]bool{
	stanza.ItemNotFound:        true, // ejabberd, while it creates the node
	stanza.Conflict:            true, // the same, seen from the other side
	stanza.InternalServerError: true, // its database was busy
	stanza.ResourceConstraint:  true,
}

// isTransient tells whether it makes sense to try again. An error that is not
// the server's answer is the end of the session or of its patience.
func isTransient(err error) bool {
	var e *stanza.Error
	return errors.As(err, &e) && (e.Type == stanza.TypeWait || transient[e.Condition])
}

// BuildPublish builds a publish as Sugar's clients always have: to ourselves,
// without an id for the item and without options.
func BuildPublish(node string, payload *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"),
		stanza.New(NS, "pubsub", stanza.New(NS, "publish", stanza.A("node", node), stanza.New(NS, "item", payload))))
}
