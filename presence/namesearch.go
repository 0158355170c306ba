package presence

import (
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// Limits on the search for names.
const (
	// maxSearch is how long a call, or the news of who is there, waits.
	maxSearch = 5 * time.Second
	// maxSearching bounds what is asked at once, in each of two queues.
	// Servers that never answer hold a place for maxSearch only.
	maxSearching = 100
	// maxSearches bounds those that wait: strangers may come in any number.
	maxSearches = 5000
	// fewOnline is up to how many contacts are asked for their nick although
	// the roster has a name for them. Servers tell nicks by themselves, but
	// ejabberd 23.01 loses some; among thousands that must be borne.
	fewOnline = 250
)

// search is a queue of contacts whose name is sought. There is one for those of
// the own server, who do not wait for others to answer.
type search struct {
	queue    []uint32
	underWay int
	starting bool
}

// Prepare seeks the names of contacts that are about to be shown, and calls
// then once: at once if there is nothing to wait for, else when there is, or
// after five seconds. Who has a name from the roster is waited for only on the
// own server, which is quick to answer. Since one who does not answer delays
// all that are prepared together, who shows many calls it for each.
func (a *Aliasing) Prepare(contacts []uint32, then func()) {
	p := newPatience(a.host, then)
	few := max(a.online, len(contacts)) <= fewOnline
	absent := 0
	for _, contact := range contacts {
		if contact == a.host.SelfHandle() || !a.canSeek(contact) {
			continue
		}
		who, _ := a.host.Handles().Contacts.ID(contact)
		_, named := a.lookup(contact)
		c := a.people.Find(who)
		online := c != nil && c.Online()
		if named && (!online || !few) {
			continue // it will do
		}
		if !online {
			if absent++; absent > fewOnline {
				continue
			}
		}
		if named && a.searchFor(contact) == &a.far {
			a.seek(contact, nil)
			continue
		}
		a.seek(contact, p.one())
	}
	p.begin(maxSearch, "names sought")
}

// canSeek tells whether there may be more to find of a contact: it is a person
// who was not asked yet, or has not answered.
func (a *Aliasing) canSeek(contact uint32) bool {
	who, _ := a.host.Handles().Contacts.ID(contact)
	n := a.names[contact]
	return who.IsBare() && who.Local() != "" && (n == nil || !n.sought || n.seeking)
}

// seek asks for a contact's name. done, which may be nil, is called when there
// is one or none is found.
func (a *Aliasing) seek(contact uint32, done func()) {
	n := a.of(contact)
	if done != nil {
		n.waiting = append(n.waiting, done)
	}
	if n.seeking {
		return
	}
	s := a.searchFor(contact)
	if len(s.queue) == maxSearches {
		a.settle(contact)
		return
	}
	n.seeking, n.sought = true, true
	s.queue = append(s.queue, contact)
	a.nextSearch(s)
}

func (a *Aliasing) searchFor(contact uint32) *search {
	if who, _ := a.host.Handles().Contacts.ID(contact); who.Domain() == a.host.Self().Domain() {
		return &a.near
	}
	return &a.far
}

// nextSearch begins as many searches as may be under way. One may end within
// its own beginning.
func (a *Aliasing) nextSearch(s *search) {
	if s.starting {
		return
	}
	s.starting = true
	for s.underWay < maxSearching && len(s.queue) > 0 {
		contact := s.queue[0]
		s.queue = s.queue[1:]
		s.underWay++
		a.seekNick(contact, s)
	}
	s.starting = false
}

// seekNick asks for the nick that a contact publishes and, if there is no name
// at all then, for its vCard. An answer that takes too long is still taken, but
// nobody waits for it.
func (a *Aliasing) seekNick(contact uint32, s *search) {
	p := newPatience(a.host, func() {
		a.of(contact).seeking = false
		a.settle(contact)
		s.underWay--
		a.nextSearch(s)
	})
	end := p.one()
	p.begin(maxSearch, "name overdue")
	who, _ := a.host.Handles().Contacts.ID(contact)
	if s == &a.near && !a.host.HasPEP() {
		a.seekCard(who, end)
		return
	}
	pep.Fetch(a.host, who, pep.NodeNick, func(item pep.Item, err error) {
		if err != nil {
			a.host.Log().WithError(err).Debug("No nick")
		} else {
			a.take(contact, item)
		}
		if _, named := a.lookup(contact); named {
			end()
			return
		}
		a.seekCard(who, end)
	})
}

func (a *Aliasing) seekCard(who jid.JID, end func()) {
	a.cards.Request(who, func(_ *stanza.Element, err error) {
		if err != nil {
			a.host.Log().WithError(err).Debug("No vCard")
		}
		end()
	})
}

// settle tells those who wait for a contact's name.
func (a *Aliasing) settle(contact uint32) {
	n := a.of(contact)
	waiting := n.waiting
	n.waiting = nil
	for _, done := range waiting {
		done()
	}
}
