package vcard

import (
	"errors"
	"fmt"
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// How long a server may take. For the own vCard it is long, since a school's
// server may have two hundred children logging in at once.
const (
	ownTimeout     = 90 * time.Second
	contactTimeout = 30 * time.Second
)

// What a request ends with besides the server's answer.
var (
	ErrTimeout = errors.New("no answer in time")
	ErrBusy    = errors.New("too many requests")
)

// Asker sends a question and calls done once, on the loop, with the result or
// an error, which is a [*stanza.Error] if it is the answer.
type Asker interface {
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// After calls f on the loop when d is over, unless stop is called before.
type After func(d time.Duration, label string, f func()) (stop func())

// Manager changes the own vCard and requests those of others.
type Manager struct {
	asker Asker
	after After
	self  jid.JID // bare

	edits   []edit // of the own vCard that wait for it to be read
	round   []edit // that are being written
	editing bool   // the own vCard is being read or written

	requests map[jid.JID][]func(*stanza.Element, error) // askers of a vCard that waits or is under way
	lanes    lanes                                      // those that wait
	starting bool                                       // next is at work

	cache  cache
	closed error // set by Close
}

// edit is a change that was asked for.
type edit struct {
	change Edit
	done   func(error)
}

// NewManager returns the manager of the account self.
func NewManager(asker Asker, after After, self jid.JID) *Manager {
	return &Manager{
		asker: asker, after: after, self: self.Bare(),
		requests: make(map[jid.JID][]func(*stanza.Element, error)), lanes: newLanes(self.Domain()),
	}
}

// Close gives up everything that is under way or waits, for the reason given.
func (m *Manager) Close(reason error) {
	if m.closed != nil {
		return
	}
	m.closed = reason
	round, edits, requests := m.round, m.edits, m.requests
	m.round, m.edits, m.requests, m.lanes = nil, nil, nil, newLanes(m.self.Domain())
	finish(round, reason)
	finish(edits, reason)
	for _, askers := range requests {
		for _, done := range askers {
			done(nil, reason)
		}
	}
}

// Edit changes the own vCard: it is read, changed and written, since only the
// whole of it can be written and others may have changed the rest meanwhile.
// Changes are made one after another, so that the last one wins; those that
// come while the vCard is being read are written together. done, which may be
// nil, is called once. A vCard that cannot be read is never written; one that
// does not change is not written either.
func (m *Manager) Edit(change Edit, done func(error)) {
	if done == nil {
		done = func(error) {}
	}
	if m.closed != nil {
		done(m.closed)
		return
	}
	m.edits = append(m.edits, edit{change, done})
	m.read()
}

// read begins the next round of edits, unless one is under way.
func (m *Manager) read() {
	if m.editing || len(m.edits) == 0 {
		return
	}
	m.editing = true
	m.ask(ownTimeout, buildQuery(jid.JID{}), func(reply *stanza.Element, err error) {
		card, err := readCard(reply, err, stanza.ItemNotFound)
		m.round, m.edits = m.edits, nil
		if err != nil {
			m.endRound(fmt.Errorf("read own vCard: %w", err))
			return
		}
		m.write(card)
	})
}

// write makes the changes that have come until now.
func (m *Manager) write(card *stanza.Element) {
	changed := card
	for _, e := range m.round {
		changed = e.change(changed)
	}
	if changed.Equal(card) {
		m.endRound(nil)
		return
	}
	m.ask(ownTimeout, stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), changed), func(_ *stanza.Element, err error) {
		if err != nil {
			m.cache.remove(m.self) // the server may have it all the same
			m.endRound(fmt.Errorf("write own vCard: %w", err))
			return
		}
		m.cache.put(m.self, ParseFields(changed))
		m.endRound(nil)
	})
}

// endRound tells how a round of edits ended and begins the next.
func (m *Manager) endRound(err error) {
	round := m.round
	m.round, m.editing = nil, false
	finish(round, err)
	m.read()
}

func finish(edits []edit, err error) {
	for _, e := range edits {
		e.done(err)
	}
}

// Request asks for a vCard, also of ourselves or, by its full address, of an
// occupant of a room. Who asks for one that is already asked for shares the
// answer. A person without a vCard has an empty one.
func (m *Manager) Request(who jid.JID, done func(card *stanza.Element, err error)) {
	if m.closed != nil {
		done(nil, m.closed)
		return
	}
	askers, asked := m.requests[who]
	if !asked && !m.lanes.add(who) {
		done(nil, ErrBusy)
		return
	}
	m.requests[who] = append(askers, done)
	m.next()
}

// next begins as many requests as may be under way. An answer may come before
// Ask returns, even to all of a long queue, and must not begin the next one
// within its own turn.
func (m *Manager) next() {
	if m.starting {
		return
	}
	m.starting = true
	for who, free := m.lanes.take(); free; who, free = m.lanes.take() {
		to := who
		if who == m.self {
			to = jid.JID{} // XEP-0054 §3.1: the own one is asked for without address
		}
		m.ask(contactTimeout, buildQuery(to), func(reply *stanza.Element, err error) { m.handleCard(who, reply, err) })
	}
	m.starting = false
}

func (m *Manager) handleCard(who jid.JID, reply *stanza.Element, err error) {
	m.lanes.done(who)
	askers := m.requests[who]
	delete(m.requests, who)
	// XEP-0054 §3.3 allows both to say that there is none.
	card, err := readCard(reply, err, stanza.ItemNotFound, stanza.ServiceUnavailable)
	if err == nil {
		m.cache.put(who, ParseFields(card))
	} else {
		err = fmt.Errorf("request vCard of %s: %w", who, err)
	}
	for _, done := range askers {
		done(card, err)
	}
	m.next()
}

// Cached returns the fields of a vCard that was seen lately, which are not to
// be changed.
func (m *Manager) Cached(who jid.JID) ([]Field, bool) { return m.cache.get(who) }

// Forget drops what is cached of somebody whose vCard has changed.
func (m *Manager) Forget(who jid.JID) { m.cache.remove(who) }

// ask asks with a limit of time: the first of answer and time-out counts, and
// neither does after Close.
func (m *Manager) ask(limit time.Duration, iq *stanza.Element, done func(*stanza.Element, error)) {
	over := false
	once := func(reply *stanza.Element, err error) {
		if !over && m.closed == nil {
			over = true
			done(reply, err)
		}
	}
	stop := m.after(limit, "vCard timeout", func() { once(nil, ErrTimeout) })
	m.asker.Ask(iq, func(reply *stanza.Element, err error) {
		stop()
		once(reply, err)
	})
}

func buildQuery(to jid.JID) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", to.String()), stanza.New(NS, "vCard"))
}

// readCard takes the vCard out of an answer. Who has none has an empty one,
// whichever way the server says it: an empty element, nothing, or one of the
// conditions given.
func readCard(reply *stanza.Element, err error, absent ...stanza.Condition) (*stanza.Element, error) {
	if err != nil {
		for _, condition := range absent {
			if e := (*stanza.Error)(nil); errors.As(err, &e) && e.Condition == condition {
				return empty(), nil
			}
		}
		return nil, err
	}
	if card := reply.Child(NS, "vCard"); card != nil {
		return card, nil
	}
	return empty(), nil
}
