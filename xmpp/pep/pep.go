// Package pep publishes, fetches and hears of what people tell about
// themselves: personal eventing, XEP-0163, which is the part of XEP-0060 that
// every account's own address serves, with one item in each node.
//
// A [Publisher] belongs to the connection's loop; all callbacks come on it.
package pep

import (
	"errors"
	"fmt"
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of XEP-0060.
const (
	NS      = "http://jabber.org/protocol/pubsub"
	NSEvent = "http://jabber.org/protocol/pubsub#event"
)

// Asker sends a question and calls done once, on the loop, with the result or
// an error, which is a [*stanza.Error] if it is the answer.
type Asker interface {
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// After calls f on the loop when d is over, unless stop is called before.
type After func(d time.Duration, label string, f func()) (stop func())

// Identified is what service discovery tells of an entity.
type Identified interface {
	Is(category, typ string) bool
}

// Supported tells whether the account can publish, from what its server and
// its own bare address say of themselves: either may have the identity, old
// servers give it to the one, new ones to the other.
func Supported(entities ...Identified) bool {
	for _, e := range entities {
		if e.Is("pubsub", "pep") {
			return true
		}
	}
	return false
}

// Item is what a node holds; the zero value stands for nothing.
type Item struct {
	ID      string
	Payload *stanza.Element // nil also in an event of a server that leaves it out
}

// parseItem takes what is in a node out of an <items/>. Should there be
// several, the first that has a payload counts: a node of ours has one.
func parseItem(items *stanza.Element) (item Item, ok bool) {
	for i := range items.Each(items.Space(), "item") {
		if ok && i.First() == nil {
			continue
		}
		item, ok = Item{i.Attr("id"), i.First()}, true
		if item.Payload != nil {
			break
		}
	}
	return item, ok
}

// ItemsQuery builds the question for what a contact's node holds.
func ItemsQuery(owner jid.JID, node string) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", owner.Bare().String()),
		stanza.New(NS, "pubsub", stanza.New(NS, "items", stanza.A("node", node), stanza.A("max_items", "1"))))
}

// ParseItems reads the answer to [ItemsQuery]. An answer without the node or
// without an item in it means that nothing is published.
func ParseItems(reply *stanza.Element, node string) Item {
	for items := range reply.Child(NS, "pubsub").Each(NS, "items") {
		if n := items.Attr("node"); n == node || n == "" {
			item, _ := parseItem(items)
			return item
		}
	}
	return Item{}
}

// Fetch asks for what a contact's node holds. A node that does not exist holds
// nothing, which is an answer; without an answer, or without the right to one,
// there is an error, and what was known of the contact stays true.
func Fetch(a Asker, owner jid.JID, node string, done func(Item, error)) {
	a.Ask(ItemsQuery(owner, node), func(reply *stanza.Element, err error) {
		if refused := (*stanza.Error)(nil); errors.As(err, &refused) && refused.Condition == stanza.ItemNotFound {
			done(Item{}, nil)
			return
		}
		if err != nil {
			done(Item{}, fmt.Errorf("fetch %s of %s: %w", node, owner, err))
			return
		}
		done(ParseItems(reply, node), nil)
	})
}
