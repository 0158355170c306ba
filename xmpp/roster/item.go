package roster

import (
	"slices"
	"strings"
	"unicode/utf8"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// What one item may hold; servers allow less.
const (
	maxName   = 1023 // bytes, as of a part of an address
	maxGroups = 64
)

// Subscription says who sees whose presence, RFC 6121 §2.1.2.5.
type Subscription uint8

// The states of a subscription.
const (
	None Subscription = iota
	To                // we see theirs
	From              // they see ours
	Both
)

// subscriptions has the states by their names on the wire. What is missing or
// unknown is None.
var subscriptions = map[string]Subscription{"to": To, "from": From, "both": Both}

// IsTo tells whether we see the contact's presence.
func (s Subscription) IsTo() bool { return s == To || s == Both }

// IsFrom tells whether the contact sees ours.
func (s Subscription) IsFrom() bool { return s == From || s == Both }

// Item is a contact. It is shared, also its groups, and never changed.
type Item struct {
	JID          jid.JID // bare
	Name         string
	Groups       []string // in ascending order
	Subscription Subscription
	Ask          bool // for a subscription that is not answered yet
	Approved     bool // a request is granted before it comes
}

// equal tells whether both say the same.
func (i *Item) equal(o *Item) bool {
	return i.JID == o.JID && i.Name == o.Name && i.Subscription == o.Subscription &&
		i.Ask == o.Ask && i.Approved == o.Approved && slices.Equal(i.Groups, o.Groups)
}

// update is what the server says of one contact.
type update struct {
	item   Item
	remove bool
}

// parseItems reads the items of a query. Those without a usable address are
// passed over, and so is what is over the limit.
func parseItems(query *stanza.Element, groups *groupTable) []update {
	updates := make([]update, 0, min(len(query.Children()), maxItems))
	for e := range query.Each(NS, "item") {
		if len(updates) == maxItems {
			break
		}
		if u, ok := parseItem(e, groups); ok { // one bad item must not hide the others
			updates = append(updates, u)
		}
	}
	return updates
}

// parseItem reads one item; false if its address is not usable.
func parseItem(e *stanza.Element, groups *groupTable) (update, bool) {
	who, err := jid.ParseLenient(e.Attr("jid"))
	if err != nil {
		return update{}, false
	}
	approved := e.Attr("approved")
	return update{Item{
		JID:          who.Bare(),
		Name:         clip(e.Attr("name")),
		Groups:       groups.parse(e),
		Subscription: subscriptions[e.Attr("subscription")],
		Ask:          e.Attr("ask") == "subscribe",
		Approved:     approved == "true" || approved == "1",
	}, e.Attr("subscription") == "remove"}, true
}

// element is the item as a server writes it, the reverse of [parseItem].
func (i *Item) element() *stanza.Element {
	parts := []stanza.Part{stanza.A("jid", i.JID.String()), stanza.A("name", i.Name)}
	for name, s := range subscriptions {
		if s == i.Subscription {
			parts = append(parts, stanza.A("subscription", name))
		}
	}
	if i.Ask {
		parts = append(parts, stanza.A("ask", "subscribe"))
	}
	if i.Approved {
		parts = append(parts, stanza.A("approved", "true"))
	}
	for _, name := range i.Groups {
		parts = append(parts, stanza.New(NS, "group", stanza.Text(name)))
	}
	return stanza.New(NS, "item", parts...)
}

// clip cuts a name that is over the limit, not within a character.
func clip(name string) string {
	if len(name) <= maxName {
		return name
	}
	cut := maxName
	for !utf8.RuneStart(name[cut]) {
		cut--
	}
	return name[:cut]
}

// maxGroupLists bounds what a [groupTable] keeps.
const maxGroupLists = 1000

// groupTable gives items with the same groups the same slice: of a school's
// thousands, nearly all are in one group.
type groupTable struct{ lists map[string][]string }

// parse reads the groups of an item, each once, in order. A name that is empty
// (RFC 6121 §2.1.2.6) or too long is passed over.
func (t *groupTable) parse(item *stanza.Element) []string {
	var room [4]string // for most
	names := room[:0]
	for g := range item.Each(NS, "group") {
		if name := g.Text(); name != "" && len(name) <= maxName && len(names) < maxGroups {
			names = append(names, name)
		}
	}
	return t.share(names)
}

// share gives the slice that is kept for these names, which it puts in order.
func (t *groupTable) share(names []string) []string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return nil
	}
	id := names[0]
	if len(names) > 1 {
		id = strings.Join(names, "\x00") // which XML cannot carry
	}
	if kept, ok := t.lists[id]; ok {
		return kept
	}
	if t.lists == nil || len(t.lists) == maxGroupLists {
		t.lists = make(map[string][]string)
	}
	kept := slices.Clone(names)
	t.lists[id] = kept
	return kept
}
