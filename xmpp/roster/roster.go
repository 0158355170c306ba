// Package roster keeps the user's contacts as the server has them (RFC 6121
// §2 and, for the version, §2.6, which was XEP-0237). The server's pushes are
// the only truth: what we write comes back as one. Everything belongs to the
// connection's loop.
package roster

import (
	"errors"
	"fmt"
	"iter"
	"maps"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of all stanzas here.
const NS = "jabber:iq:roster"

// maxItems is more than a server with shared groups sends, and what a small
// machine can hold.
const maxItems = 100_000

// errFetching is why a second fetch is refused while one is under way.
var errFetching = errors.New("fetch roster: under way already")

// Asker sends a question and calls done once, on the loop, with the result or
// an error.
type Asker interface {
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// Change is an item before and after; nil where there was or is none.
type Change struct{ Old, New *Item }

// Cached is a roster of an earlier session; its slices are handed over.
type Cached struct {
	Version string
	Items   []Item
}

// Config says what a [Roster] works with.
type Config struct {
	Asker Asker
	Self  jid.JID // full address of the session
	// Changed is told all that one stanza changes, after it changed, in the
	// stanza's order.
	Changed func([]Change)
}

// Roster holds the contacts.
type Roster struct {
	cfg      Config
	items    map[jid.JID]*Item
	version  string
	groups   groupTable
	fetching bool
	early    []update // pushed while fetching
}

// New makes an empty roster.
func New(cfg Config) *Roster { return &Roster{cfg: cfg} }

// Get looks up a contact by bare address, nil if it is none.
func (r *Roster) Get(who jid.JID) *Item { return r.items[who] }

// Len is the number of contacts.
func (r *Roster) Len() int { return len(r.items) }

// All iterates over the contacts, in no order.
func (r *Roster) All() iter.Seq[*Item] { return maps.Values(r.items) }

// Version is what the server calls this state of the roster, "" if nothing.
func (r *Roster) Version() string { return r.version }

// Fetch gets the roster, after which the server pushes. Changed comes before
// done. Cached is nil if the server has no versioning (RFC 6121 §2.6.1); if it
// has, a zero Cached is a first time.
func (r *Roster) Fetch(cached *Cached, done func(error)) {
	if r.fetching {
		done(errFetching)
		return
	}
	r.fetching, r.version = true, ""
	r.cfg.Asker.Ask(getQuery(cached), func(reply *stanza.Element, err error) {
		r.fetching = false
		if err != nil {
			r.early = nil
			done(fmt.Errorf("fetch roster: %w", err))
			return
		}
		r.fetched(reply.Child(NS, "query"), cached)
		done(nil)
	})
}

// fetched takes the whole roster. Without a payload it is what was cached. A
// push that overtook the answer may be newer than it and never comes again, so
// it counts once more; if it was older, a newer one is on its way.
func (r *Roster) fetched(query *stanza.Element, cached *Cached) {
	updates, version := parseItems(query, &r.groups), query.Attr("ver")
	if query == nil && cached != nil {
		updates, version = cached.updates(&r.groups), cached.Version
	}
	updates = overlay(updates, r.early)
	r.early = nil
	if r.version == "" {
		r.version = version
	}
	r.apply(append(updates, r.missing(updates)...))
}

// HandlePush takes a push and gives its answer. Only the account itself may
// push (RFC 6121 §2.1.6); others are answered as they are for everything that
// nobody knows, and learn nothing from it.
func (r *Roster) HandlePush(iq *stanza.Element) *stanza.Element {
	if iq.Attr("type") != "set" || !r.mayPush(iq) {
		return stanza.ReplyError(iq, stanza.NewError(stanza.ServiceUnavailable, ""))
	}
	query := iq.Child(NS, "query")
	updates := parseItems(query, &r.groups)
	if len(updates) == 0 {
		return stanza.ReplyError(iq, stanza.NewError(stanza.BadRequest, ""))
	}
	if query.HasAttr("ver") {
		r.version = query.Attr("ver")
	}
	if r.fetching && len(r.early) < maxItems {
		r.early = append(r.early, updates...)
	}
	r.apply(updates)
	return stanza.Reply(iq)
}

// mayPush tells whether a stanza comes from the account. ejabberd 2.1, which
// school servers ran, sends the pushes of shared groups as from the very
// session that gets them, a name that nobody else can have.
func (r *Roster) mayPush(iq *stanza.Element) bool {
	if iq.Attr("from") == "" {
		return true
	}
	from, err := jid.ParseLenient(iq.Attr("from"))
	return err == nil && (from == r.cfg.Self.Bare() || from == r.cfg.Self)
}

// apply changes what the updates say and tells what was different before.
func (r *Roster) apply(updates []update) {
	if r.items == nil {
		r.items = make(map[jid.JID]*Item, len(updates))
	}
	changes := make([]Change, 0, len(updates))
	for i := range updates {
		u := &updates[i]
		who, old := u.item.JID, r.items[u.item.JID]
		switch {
		case u.remove && old != nil:
			delete(r.items, who)
			changes = append(changes, Change{Old: old})
		case u.remove, old == nil && len(r.items) >= maxItems, old != nil && old.equal(&u.item):
		default:
			r.items[who] = &u.item
			changes = append(changes, Change{old, &u.item})
		}
	}
	if len(changes) > 0 {
		r.cfg.Changed(changes)
	}
}

// missing gives the removal of what the whole roster does not name.
func (r *Roster) missing(whole []update) []update {
	if len(r.items) == 0 {
		return nil // the first time
	}
	named := make(map[jid.JID]bool, len(whole))
	for i := range whole {
		named[whole[i].item.JID] = true
	}
	var gone []update
	for who := range r.items {
		if !named[who] {
			gone = append(gone, update{Item{JID: who}, true})
		}
	}
	return gone
}

// overlay puts later updates in the place of earlier ones of the same contact.
func overlay(updates, later []update) []update {
	if len(later) == 0 {
		return updates
	}
	at := make(map[jid.JID]int, len(updates))
	for i := range updates {
		at[updates[i].item.JID] = i
	}
	for _, u := range later {
		i, ok := at[u.item.JID]
		if !ok {
			i = len(updates)
			at[u.item.JID] = i
			updates = append(updates, u)
		}
		updates[i] = u
	}
	return updates
}

// updates gives the cached items as if they had come.
func (c *Cached) updates(groups *groupTable) []update {
	updates := make([]update, len(c.Items))
	for i, item := range c.Items {
		item.Groups = groups.share(item.Groups)
		updates[i].item = item
	}
	return updates
}
