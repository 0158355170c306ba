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

// Publisher publishes the account's own nodes in the order in which the values
// were given, and looks at each answer. ejabberd 23.01 refuses to create a node,
// with item-not-found, when it creates another one at that moment, be it for
// another account: where a class logs in for the first time, two tries of five
// fail, and who gives up is seen by nobody. So a node that may have to be made is
// published alone; those that are there go out one behind the other without
// waiting for answers, since a server handles one client's stanzas in order
// (RFC 6120 §10.1). Only a value that has to be tried again may come later than
// those behind it.
type Publisher struct {
	asker  Asker
	after  After
	vary   func(time.Duration) time.Duration // keeps those who failed together apart
	queue  []*publication                    // those that are under way, then those that wait
	made   map[string]bool                   // nodes that are there
	stop   func()                            // ends the wait; nil if there is none
	closed error                             // set by Close
}

// publication is a node's newest value that is not yet published.
type publication struct {
	node    string
	payload *stanza.Element
	done    []func(error) // of this value and of those it replaced
	tries   int
	asking  bool // it is under way
}

// NewPublisher returns a Publisher with nothing to do.
func NewPublisher(asker Asker, after After) *Publisher {
	return &Publisher{
		asker: asker, after: after, made: make(map[string]bool),
		vary: func(d time.Duration) time.Duration { return d/2 + rand.N(d) },
	}
}

// Publish makes payload what the node holds. A value of the same node that
// still waits is replaced, and the new one goes behind all others. done, which
// may be nil, is called once: when this value or a newer one is published or
// cannot be.
func (p *Publisher) Publish(node string, payload *stanza.Element, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	if p.closed != nil {
		done(publishError(node, p.closed))
		return
	}
	pub := &publication{node: node, payload: payload}
	if i := slices.IndexFunc(p.queue, func(o *publication) bool { return o.node == node && !o.asking }); i >= 0 {
		pub.done = p.queue[i].done
		p.queue = slices.Delete(p.queue, i, i+1)
	}
	pub.done = append(pub.done, done)
	p.queue = append(p.queue, pub)
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

// next publishes what need not wait. An answer that comes before Ask returns has
// done so already for the rest.
func (p *Publisher) next() {
	for p.stop == nil {
		pub := p.ready()
		if pub == nil {
			return
		}
		pub.asking = true
		p.asker.Ask(BuildPublish(pub.node, pub.payload), func(_ *stanza.Element, err error) {
			if p.closed == nil {
				p.handleAnswer(pub, err)
			}
		})
	}
}

// ready gives the first that waits, unless it has to: for its node to be made
// alone, for another to be made, or for an older value of the same node.
func (p *Publisher) ready() *publication {
	for i, pub := range p.queue {
		switch {
		case pub.asking && p.made[pub.node]:
		case pub.asking, i > 0 && !p.made[pub.node]:
			return nil
		case slices.ContainsFunc(p.queue[:i], func(o *publication) bool { return o.node == pub.node }):
			return nil
		default:
			return pub
		}
	}
	return nil
}

func (p *Publisher) handleAnswer(pub *publication, err error) {
	pub.asking = false
	p.made[pub.node] = err == nil
	newer := p.newer(pub)
	switch {
	case err == nil || !isTransient(err):
	case newer != nil: // it is tried in any case
		newer.done = slices.Concat(pub.done, newer.done)
		pub.done = nil
	case pub.tries+1 < maxTries:
		p.wait(pub)
		return
	}
	p.queue = slices.DeleteFunc(p.queue, func(o *publication) bool { return o == pub })
	pub.finish(err)
	p.next()
}

// wait has a publication tried again later, and nothing before it.
func (p *Publisher) wait(pub *publication) {
	if p.stop == nil {
		p.stop = p.after(p.vary(min(firstWait<<pub.tries, longestWait)), "publish again", func() {
			p.stop = nil
			p.next()
		})
	}
	pub.tries++
}

// newer returns the publication that waits for the same node as the one that
// was under way.
func (p *Publisher) newer(pub *publication) *publication {
	for _, other := range p.queue {
		if other != pub && other.node == pub.node {
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
