// Package services finds what a server offers beside itself, by service
// discovery (XEP-0030): the service for rooms (XEP-0045), relays for streams
// of bytes (XEP-0065), and whatever else has an identity. Everything belongs to
// the connection's loop.
package services

import (
	"iter"
	"time"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// patience is how long a search may take: somebody who shares an activity
	// waits for it, and one service that is down must not keep him.
	patience = 20 * time.Second
	// maxItems is how many items are asked what they are. A school's server
	// has three to ten; one that lists its users there is not asked about all.
	maxItems = 64
)

// Asker sends a question and calls done once, on the loop, with the result or
// an error.
type Asker interface {
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// After calls f on the loop when d is over, unless stop is called before.
type After func(d time.Duration, label string, f func()) (stop func())

// Service is something the server offers.
type Service struct {
	JID  jid.JID
	Name string // for people; may be empty
	Info *disco.Info
}

// Kind is what is looked for: an identity and, if not empty, a feature.
type Kind struct{ Category, Type, Feature string }

// The kinds that are looked for here.
var (
	// Conference is where rooms are. The type keeps out gateways to other
	// networks, which have the feature as well: ejabberd's for IRC had.
	Conference = Kind{"conference", "text", "http://jabber.org/protocol/muc"}
	// Relay passes streams of bytes between two who cannot reach each other.
	Relay = Kind{"proxy", "bytestreams", ""}
)

func (k Kind) fits(i *disco.Info) bool {
	return i.Is(k.Category, k.Type) && (k.Feature == "" || i.Has(k.Feature))
}

// Config says what a Search works with.
type Config struct {
	Asker  Asker
	After  After
	Server jid.JID // whose items they are
}

// Search asks once, the first time somebody wants to know, and once more after
// each [Search.Again]; what it finds holds for the session.
type Search struct {
	cfg     Config
	phase   phase
	found   []Service // in the order of answers
	open    int       // questions without answer
	stop    func()    // the timer
	waiting []waiter  // in the order in which they came
}

type phase int

const (
	idle phase = iota
	searching
	over
)

type waiter struct {
	kind Kind
	done func(Service, bool)
}

// New returns a Search that has not begun.
func New(cfg Config) *Search { return &Search{cfg: cfg} }

// Start begins to search, if that was not done before.
func (s *Search) Start() {
	if s.phase != idle {
		return
	}
	s.phase = searching
	s.stop = s.cfg.After(patience, "services overdue", s.end)
	disco.AskItems(s.cfg.Asker, s.cfg.Server, "", func(items []disco.Item, err error) {
		if s.phase == searching { // without an answer there is nothing to ask
			s.ask(s.pick(items))
		}
	})
}

// Again has the next to ask search anew, if a search is over, for what was not
// there or did not answer.
func (s *Search) Again() {
	if s.phase == over {
		s.phase = idle
	}
}

// First gives the first service of a kind, in the order in which services
// answered, as soon as it is known; false means that there is none. It begins
// the search if need be. done may be called before First returns.
func (s *Search) First(kind Kind, done func(Service, bool)) {
	s.Start()
	if found, ok := s.first(kind); ok || s.phase == over {
		done(found, ok)
		return
	}
	s.waiting = append(s.waiting, waiter{kind, done})
}

// All iterates over the services of a kind that are known by now.
func (s *Search) All(kind Kind) iter.Seq[Service] {
	return func(yield func(Service) bool) {
		for _, f := range s.found {
			if kind.fits(f.Info) && !yield(f) {
				return
			}
		}
	}
}

func (s *Search) first(kind Kind) (Service, bool) {
	for f := range s.All(kind) {
		return f, true
	}
	return Service{}, false
}

// pick leaves out what is no entity of its own, what is there twice, and what is
// known.
func (s *Search) pick(items []disco.Item) []disco.Item {
	var picked []disco.Item
	seen := make(map[jid.JID]bool)
	for _, f := range s.found {
		seen[f.JID] = true
	}
	for _, i := range items {
		if i.Node == "" && !seen[i.JID] && len(seen) < maxItems {
			picked = append(picked, i)
			seen[i.JID] = true
		}
	}
	return picked
}

// ask asks all items what they are, in one go.
func (s *Search) ask(items []disco.Item) {
	s.open = len(items)
	if s.open == 0 {
		s.end()
	}
	for _, i := range items {
		disco.AskInfo(s.cfg.Asker, i.JID, "", func(info *disco.Info, err error) {
			if s.phase == searching {
				s.answered(Service{i.JID, i.Name, info}, err == nil)
			}
		})
	}
}

// answered takes one answer, and those that waited for it.
func (s *Search) answered(found Service, ok bool) {
	if ok {
		s.found = append(s.found, found)
	}
	s.release(func(w waiter) bool { return ok && w.kind.fits(found.Info) })
	if s.open--; s.open == 0 {
		s.end()
	}
}

// end ends the search; what comes later is not looked at, so that everybody is
// told the same.
func (s *Search) end() {
	if s.phase != searching {
		return
	}
	s.phase = over
	s.stop()
	s.release(func(waiter) bool { return true })
}

// release gives their answers to those who need not wait any longer. They may
// ask again meanwhile.
func (s *Search) release(ready func(waiter) bool) {
	all := s.waiting
	s.waiting = nil
	var answered []waiter
	for _, w := range all {
		if ready(w) {
			answered = append(answered, w)
		} else {
			s.waiting = append(s.waiting, w)
		}
	}
	for _, w := range answered {
		w.done(s.first(w.kind))
	}
}
