// Package blocking keeps the list of those whom the account blocks: over the
// blocking command (XEP-0191) or, on servers that have nothing newer, over a
// privacy list (XEP-0016), of which only the items that block somebody wholly
// are touched. Everything belongs to the connection's loop.
package blocking

import (
	"errors"
	"fmt"
	"iter"
	"maps"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of the blocking command, and the feature of a server
// that has it.
const NS = "urn:xmpp:blocking"

// maxEntries is more than anybody blocks, and what still fits into one stanza.
const maxEntries = 10_000

// What may be wrong with the list as a whole.
var (
	ErrUnsupported = errors.New("the server keeps no block list")
	errTooLong     = fmt.Errorf("the block list holds %d entries", maxEntries)
)

// Asker sends a question and calls done once, on the loop, with the result or
// an error.
type Asker interface {
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// Config says what a [List] works with.
type Config struct {
	Asker Asker
	Self  jid.JID // full address of the session
	// Changed is told what has changed, after it changed.
	Changed func(blocked, unblocked []jid.JID)
}

// way is one of the protocols.
type way interface {
	fetch(done func(all []jid.JID, err error))
	// edit blocks or unblocks somebody, at least one. It gives the whole
	// list as it is then, or nil if no more is known than what was asked.
	edit(who []jid.JID, block bool, done func(all []jid.JID, err error))
}

// List holds who is blocked: addresses as the server has them, which may be
// those of persons, devices or whole domains.
//
// What takes round trips is done one after the other: a privacy list is read
// and written as a whole.
type List struct {
	cfg     Config
	way     way // nil before the list was fetched
	blocked map[jid.JID]bool
	queue   []*task
	running *task
	stale   bool // a fetch is queued because of a push
}

// task is one thing that takes round trips.
type task struct {
	run func(t *task)
	// What pushes said since it began. They count more than its result: a
	// server may send both in any order, and if a push was older than the
	// result, a newer one is on its way.
	pushed  map[jid.JID]bool // to whether it is blocked
	cleared bool             // everybody was unblocked
}

// New makes an empty list.
func New(cfg Config) *List { return &List{cfg: cfg, blocked: make(map[jid.JID]bool)} }

// Has tells whether exactly this address is on the list.
func (l *List) Has(who jid.JID) bool { return l.blocked[who] }

// All iterates over the list, in no order.
func (l *List) All() iter.Seq[jid.JID] { return maps.Keys(l.blocked) }

// TellsContacts tells whether the server itself has those whom we block and
// unblock see us go and come, as XEP-0191 §3.3 and §3.4 want it. XEP-0016 has
// no such rule.
func (l *List) TellsContacts() bool {
	_, does := l.way.(*commands)
	return does
}

// Fetch gets the list, after which the server pushes. Changed comes before
// done. Info is what the server says of itself, nil if that is not known; the
// error is or wraps [ErrUnsupported] when it has neither protocol.
func (l *List) Fetch(server *disco.Info, done func(error)) {
	l.start(func(t *task) { l.try(t, l.ways(server), done) })
}

// ways lists the protocols to be tried. Privacy lists always are: they were
// part of RFC 3921, and the ejabberd of old school servers has them without
// naming the feature.
func (l *List) ways(server *disco.Info) []way {
	lists := &privacy{asker: l.cfg.Asker}
	if server == nil || server.Has(NS) {
		return []way{&commands{l.cfg.Asker}, lists}
	}
	return []way{lists}
}

func (l *List) try(t *task, ways []way, done func(error)) {
	ways[0].fetch(func(all []jid.JID, err error) {
		switch {
		case isUnsupported(err) && len(ways) > 1:
			l.try(t, ways[1:], done)
			return
		case isUnsupported(err):
			err = ErrUnsupported
		case err != nil:
			err = fmt.Errorf("fetch block list: %w", err)
		default:
			l.way = ways[0]
			l.replace(t, all)
		}
		l.end(done, err)
	})
}

// isUnsupported tells whether a server refused because it doesn't know what it
// was asked, RFC 6120 §8.3.3.
func isUnsupported(err error) bool {
	var refused *stanza.Error
	return errors.As(err, &refused) &&
		(refused.Condition == stanza.ServiceUnavailable || refused.Condition == stanza.FeatureNotImplemented)
}

// Block puts addresses on the list; those that are on it already don't count.
// Changed comes before done.
func (l *List) Block(who []jid.JID, done func(error)) {
	l.edit(who, true, done)
}

// Unblock takes addresses off the list; those that are not on it don't count.
// Changed comes before done.
func (l *List) Unblock(who []jid.JID, done func(error)) {
	l.edit(who, false, done)
}

func (l *List) edit(who []jid.JID, block bool, done func(error)) {
	l.start(func(t *task) {
		who := l.differing(who, block)
		switch {
		case l.way == nil:
			l.end(done, ErrUnsupported)
		case len(who) == 0:
			l.end(done, nil)
		case block && len(l.blocked)+len(who) > maxEntries:
			l.end(done, errTooLong)
		default:
			l.way.edit(who, block, func(all []jid.JID, err error) {
				switch {
				case err != nil:
					err = fmt.Errorf("change block list: %w", err)
				case all != nil:
					l.replace(t, all)
				default:
					l.settle(t, who, block)
				}
				l.end(done, err)
			})
		}
	})
}

// differing lists, each once, those that are not yet as they are to be.
func (l *List) differing(who []jid.JID, blocked bool) []jid.JID {
	var list []jid.JID
	listed := make(map[jid.JID]bool, len(who))
	for _, w := range who {
		if l.blocked[w] != blocked && !listed[w] {
			listed[w] = true
			list = append(list, w)
		}
	}
	return list
}

// start runs a task when all others before it are done.
func (l *List) start(run func(t *task)) {
	l.queue = append(l.queue, &task{run: run, pushed: make(map[jid.JID]bool)})
	l.next()
}

func (l *List) next() {
	if l.running == nil && len(l.queue) > 0 {
		t := l.queue[0]
		l.queue = l.queue[1:]
		l.running = t
		t.run(t)
	}
}

// end tells the result of the running task and goes on to the next.
func (l *List) end(done func(error), err error) {
	l.running = nil
	done(err)
	l.next()
}

// replace takes the whole list that a task has fetched.
func (l *List) replace(t *task, all []jid.JID) {
	if t.cleared {
		all = nil
	}
	listed := make(map[jid.JID]bool, len(all))
	for _, who := range all {
		listed[who] = true
	}
	for who, blocked := range t.pushed {
		listed[who] = blocked
		all = append(all, who)
	}
	var gone []jid.JID
	for who := range l.blocked {
		if !listed[who] {
			gone = append(gone, who)
		}
	}
	var come []jid.JID
	for _, who := range all {
		if listed[who] {
			come = append(come, who)
		}
	}
	l.change(come, gone)
}

// settle takes what a task has written.
func (l *List) settle(t *task, who []jid.JID, blocked bool) {
	var left []jid.JID
	for _, w := range who {
		if _, known := t.pushed[w]; !known {
			left = append(left, w)
		}
	}
	if blocked {
		l.change(left, nil)
	} else {
		l.change(nil, left)
	}
}

// change alters the list and tells what of it made a difference.
func (l *List) change(block, unblock []jid.JID) {
	var blocked, unblocked []jid.JID
	for _, who := range unblock {
		if l.blocked[who] {
			delete(l.blocked, who)
			unblocked = append(unblocked, who)
		}
	}
	for _, who := range block {
		if !l.blocked[who] && len(l.blocked) < maxEntries {
			l.blocked[who] = true
			blocked = append(blocked, who)
		}
	}
	if len(blocked)+len(unblocked) > 0 {
		l.cfg.Changed(blocked, unblocked)
	}
}
