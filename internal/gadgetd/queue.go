package gadgetd

import (
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/pep"
)

// queue is work that waits for the network: to greet a school takes more than
// one may send at once.
type queue struct {
	jobs  []func()
	under int // under way
}

func (q *queue) add(f func()) { q.jobs = append(q.jobs, f) }

func (q *queue) len() int { return len(q.jobs) + q.under }

func (q *queue) next() func() {
	if len(q.jobs) == 0 {
		return nil
	}
	f := q.jobs[0]
	q.jobs[0] = nil
	q.jobs = q.jobs[1:]
	return f
}

const (
	// maxWaiting is how much may wait for the network before work stops.
	maxWaiting = 1 << 20
	// workEvery is when it is looked again.
	workEvery = 20 * time.Millisecond
	// maxFetches is how many questions for nodes are under way at once.
	maxFetches = 64
	// maxTries is how often a node is asked for that cannot be had.
	maxTries   = 3
	retryAfter = 5 * time.Second
)

// work does what waits, as far as the network takes it.
func (s *Server) work() {
	for s.link.Waiting() < maxWaiting {
		job := s.jobs.next()
		if job == nil {
			return
		}
		job()
	}
	s.jobTimer.Stop()
	s.jobTimer = s.loop.After(workEvery, "work", s.work)
}

// askLater asks for what somebody who has just come will not have told: events
// are a hint, servers lose some.
func (s *Server) askLater(p *publisher) {
	who, stay := p.jid, p.stay
	s.loop.After(fetchAfter, "fetch", func() {
		p := s.publishers[who]
		if p == nil || p.stay != stay || !s.isUp {
			return
		}
		for node := range nodes {
			if !p.known[node] {
				s.fetch(p, node)
			}
		}
	})
}

// fetch asks for a node, after those before it, unless it is asked for already:
// who tells much that has to be asked for does not make us ask as much.
func (s *Server) fetch(p *publisher, node string) {
	if p.asked[node] {
		return
	}
	p.asked[node] = true
	s.fetchTry(p.jid, p.stay, node, 1)
}

func (s *Server) fetchTry(who jid.JID, stay int, node string, try int) {
	s.fetches.add(func() {
		if p := s.publishers[who]; p == nil || p.stay != stay {
			return
		}
		s.fetches.under++
		s.count.Fetches++
		pep.Fetch(s.link, who, node, func(item pep.Item, err error) {
			if !s.isUp {
				return
			}
			s.fetches.under--
			s.fetched(who, stay, node, try, item, err)
			s.fetchMore()
		})
	})
	s.fetchMore()
}

func (s *Server) fetchMore() {
	for s.fetches.under < maxFetches {
		job := s.fetches.next()
		if job == nil {
			return
		}
		job()
	}
}

func (s *Server) fetched(who jid.JID, stay int, node string, try int, item pep.Item, err error) {
	p := s.publishers[who]
	if p == nil || p.stay != stay {
		return
	}
	switch {
	case err == nil:
		delete(p.asked, node)
		s.learn(p, node, item.Payload)
	case try < maxTries:
		s.loop.After(retryAfter, "fetch again", func() {
			if s.isUp {
				s.fetchTry(who, stay, node, try+1)
			}
		})
	default:
		delete(p.asked, node)
		s.log.WithField("peer", who).WithField("node", node).WithError(err).Debug("Node not available")
	}
}
