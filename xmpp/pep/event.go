package pep

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Kind says what happened to a node.
type Kind int

const (
	Published Kind = iota // it holds Event.Item
	// Retracted: the item with the ID in Event.Item was taken out. It need not
	// be the one known: servers may also retract what a publish replaced, and
	// after it. Who has not kept the ID asks again.
	Retracted
	Emptied // it was purged or deleted and holds nothing
)

// Event is news from a contact's node.
type Event struct {
	Owner jid.JID // bare
	Node  string
	Kind  Kind
	Item  Item
}

// ParseEvent reads an event, XEP-0163 §4.3 and XEP-0060 §7.1 and §8. Whose node
// it is says the sender alone, which the server vouches for: nobody can speak
// for another, whatever is inside. The occupant of a room can only speak for
// the room, which the caller does not take for a contact. Events come as
// headlines, from old servers without type.
func ParseEvent(message *stanza.Element) (Event, bool) {
	if !message.Is(stanza.NSClient, "message") {
		return Event{}, false
	}
	switch message.Attr("type") {
	case "", "normal", "headline":
	default:
		return Event{}, false
	}
	from, err := jid.ParseLenient(message.Attr("from"))
	if err != nil || from.Local() == "" { // a service, not a person
		return Event{}, false
	}
	for c := range message.Child(NSEvent, "event").Each(NSEvent, "items") {
		if e, ok := parseItems(c); ok {
			e.Owner = from.Bare()
			return e, true
		}
	}
	for _, c := range message.Child(NSEvent, "event").Children() {
		if node := c.Attr("node"); node != "" && (c.Is(NSEvent, "purge") || c.Is(NSEvent, "delete")) {
			return Event{Owner: from.Bare(), Node: node, Kind: Emptied}, true
		}
	}
	return Event{}, false
}

// parseItems reads the part of an event that speaks of items.
func parseItems(items *stanza.Element) (Event, bool) {
	e := Event{Node: items.Attr("node")}
	if e.Node == "" {
		return Event{}, false
	}
	var ok bool
	if e.Item, ok = parseItem(items); ok {
		return e, true
	}
	retract := items.Child(NSEvent, "retract")
	e.Kind, e.Item.ID = Retracted, retract.Attr("id")
	return e, retract != nil
}
