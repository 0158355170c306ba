package presence

import (
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
)

// maxFetches is how many questions to contacts are under way at once. School
// servers read 3,000 bytes a second from a client, so all the questions of a
// big neighborhood would keep everything else waiting for a minute; most of
// them are answered by events while they wait here.
const maxFetches = 16

// fetchPatience is how long an answer is awaited before the next question goes
// out all the same: servers of some contacts may never answer.
const fetchPatience = 3 * time.Second

// keyRetries is how long is waited before a buddy without a key is asked
// again: Sugar shows nobody without, and the event that would bring it may
// have been lost.
var keyRetries = []time.Duration{5 * time.Second, 30 * time.Second}

// nodeState is what is known of one node of a buddy.
type nodeState struct {
	known  bool // what we have is what the node holds
	wanted bool // somebody has asked since the buddy came on-line
	asked  bool // a question is under way or queued
	// outdated: it has changed since it was asked, in a way not told.
	outdated bool
	item     string // id of what it holds, if known
	waiting  []func(error)
}

// answer tells those who wait that the node is known, or why not.
func (s *nodeState) answer(err error) {
	waiting := s.waiting
	s.waiting = nil
	for _, done := range waiting {
		done(err)
	}
}

// fetches is the queue of questions to contacts.
type fetches struct {
	queue  []question
	asking int // how many are under way
}

type question struct {
	buddy *buddy
	node  node
}

// want calls done, at once or later, when a node of the buddy is known or
// can't be.
func (a *Activities) want(b *buddy, n node, done func(error)) {
	s := &b.nodes[n]
	if s.known || a.isGlimpsed(b, n) {
		done(nil)
		return
	}
	s.wanted = true
	s.waiting = append(s.waiting, done)
	a.fetch(b, n)
}

// unwant notes that what was asked for of a buddy who has gone need not be
// kept up to date.
func (b *buddy) unwant() {
	for n := range b.nodes {
		b.nodes[n].wanted = len(b.nodes[n].waiting) > 0
	}
}

// invalidate notes that a node holds something else by now.
func (a *Activities) invalidate(b *buddy, n node) {
	s := &b.nodes[n]
	s.known, s.item, s.outdated = false, "", s.asked
	if s.wanted {
		a.fetch(b, n)
	}
}

// fetchDescriptions has the buddy describe its activities where nobody has.
func (a *Activities) fetchDescriptions(b *buddy) {
	if b.online && a.lacksDescription(b) {
		b.nodes[nodeDescriptions].wanted = true
		a.invalidate(b, nodeDescriptions)
	}
}

func (a *Activities) lacksDescription(b *buddy) bool {
	for _, x := range b.list {
		if known := a.book[x.Room]; known == nil || len(known.properties) == 0 {
			return true
		}
	}
	return false
}

// fetchWanted fetches what was put off.
func (a *Activities) fetchWanted(b *buddy) {
	for n := range b.nodes {
		if b.nodes[n].wanted && !b.nodes[n].known {
			a.fetch(b, node(n))
		}
	}
}

// fetch asks for a node, unless that is being done or the event is awaited.
func (a *Activities) fetch(b *buddy, n node) {
	if b.nodes[n].asked || a.isFresh(b.handle) {
		return
	}
	b.nodes[n].asked = true
	a.fetches.queue = append(a.fetches.queue, question{b, n})
	a.nextFetch()
}

func (a *Activities) nextFetch() {
	f := &a.fetches
	for f.asking < maxFetches && len(f.queue) > 0 && !a.closed {
		q := f.queue[0]
		f.queue = f.queue[1:]
		s := &q.buddy.nodes[q.node]
		if s.known { // by an event meanwhile
			s.asked = false
			continue
		}
		free := a.occupy()
		pep.Fetch(a.host, q.buddy.jid, nodeNames[q.node], func(item pep.Item, err error) {
			a.handleItem(q.buddy, q.node, item, err)
			free()
		})
	}
}

// occupy takes a place among the questions under way, until free is called or
// the answer has been awaited for long enough.
func (a *Activities) occupy() (free func()) {
	a.fetches.asking++
	freed := false
	var overdue *loop.Timer
	free = func() {
		if !freed {
			freed = true
			overdue.Stop()
			a.fetches.asking--
			a.nextFetch()
		}
	}
	overdue = a.host.After(fetchPatience, "contact's answer overdue", free)
	return free
}

// handleItem takes the answer to a fetch. An event that came meanwhile is
// newer; without an answer what was known stays.
func (a *Activities) handleItem(b *buddy, n node, item pep.Item, err error) {
	s := &b.nodes[n]
	outdated := s.outdated
	s.asked, s.outdated = false, false
	if a.closed || s.known {
		return
	}
	if err != nil && n == nodeProperties && a.gadget != nil && b.glimpse.properties == nil {
		a.gadget.search(b.jid, func(p olpc.Properties) {
			if b.glimpse.properties == nil {
				b.glimpse.properties = p
			}
			a.finishFetch(b, n, pep.Item{}, err, outdated)
		})
		return
	}
	a.finishFetch(b, n, item, err, outdated)
}

// finishFetch takes what there is of a node.
func (a *Activities) finishFetch(b *buddy, n node, item pep.Item, err error, outdated bool) {
	s := &b.nodes[n]
	if a.closed || s.known {
		return
	}
	if err != nil {
		a.host.Log().WithError(err).Debug("Contact's node not available")
	} else {
		s.known, s.item = b.online && !outdated, item.ID
		if !a.take(b, n, item.Payload) {
			a.take(b, n, nil)
		}
	}
	if b.online {
		a.tell(b)
		s.answer(err)
	} else { // no event will tell that it has changed
		s.answer(err)
		b.rest()
		a.hold(b)
	}
	if outdated {
		a.fetchWanted(b)
	}
	if n == nodeProperties {
		a.retryKey(b)
	}
}

// retryKey fetches the properties again some time later while the buddy is
// on-line and has no key.
func (a *Activities) retryKey(b *buddy) {
	if a.closed || !b.online || b.hasKey() || b.retries == len(keyRetries) {
		return
	}
	b.retry.Stop()
	b.retry = a.host.After(keyRetries[b.retries], "ask for a key again", func() {
		if !a.closed && b.online && !b.hasKey() {
			a.invalidate(b, nodeProperties)
		}
	})
	b.retries++
}

func (b *buddy) hasKey() bool {
	_, has := b.properties["key"]
	return has
}
