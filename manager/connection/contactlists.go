package connection

import (
	"slices"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/contactlist"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/presence"
)

// lists joins what is known of people with the older ContactList channels.
type lists struct {
	*contactlist.Lists
	conn *Connection
}

func newLists(c *Connection) *lists {
	l := &lists{conn: c}
	l.Lists = contactlist.New(c, l)
	c.people.people.Watch(presence.Watcher{Flush: l.flushed})
	c.contactList.Watch(l.changed)
	c.blocking.Watch(l.blocked)
	return l
}

// ListMembers tells who is on a list when it is opened.
func (l *lists) ListMembers(list string) channels.Change {
	var c channels.Change
	switch list {
	case contactlist.Subscribe:
		c.Added = l.conn.people.people.Online()
		c.RemotePending = l.conn.contactList.Asked()
	case contactlist.Publish:
		c.Added, c.LocalPending = l.conn.contactList.Published()
	case contactlist.Stored:
		c.Added = l.conn.contactList.Stored()
	case contactlist.Deny:
		c.Added = l.conn.blocking.Blocked()
	}
	return c
}

// flushed moves contacts on and off "subscribe" as they come and go.
func (l *lists) flushed(appeared, gone []*presence.Contact) {
	l.Changed(contactlist.Subscribe, channels.Change{Added: handlesOf(appeared)})
	l.Changed(contactlist.Subscribe, channels.Change{Removed: handlesOf(gone)})
}

func handlesOf(contacts []*presence.Contact) []uint32 {
	handles := make([]uint32, len(contacts))
	for i, c := range contacts {
		handles[i] = c.Handle
	}
	return handles
}

// changed keeps the lists in step with the roster: "publish", "stored" and who
// waits on "subscribe".
func (l *lists) changed(changes []presence.ListChange) {
	var subscribe, publish, stored channels.Change
	for _, c := range changes {
		switch {
		case c.New != nil && c.Old == nil:
			stored.Added = append(stored.Added, c.Contact)
		case c.New == nil && c.Old != nil:
			stored.Removed = append(stored.Removed, c.Contact)
		}
		if who := l.conn.people.people.Find(c.JID); who == nil || !who.Present() {
			if l.conn.contactList.SubscribeState(c.JID) == tp.SubscriptionStateAsk {
				subscribe.RemotePending = append(subscribe.RemotePending, c.Contact)
			} else {
				subscribe.Removed = append(subscribe.Removed, c.Contact)
			}
		}
		switch l.conn.contactList.PublishState(c.JID) {
		case tp.SubscriptionStateYes:
			publish.Added = append(publish.Added, c.Contact)
		case tp.SubscriptionStateAsk:
			publish.LocalPending = append(publish.LocalPending, c.Contact)
		default:
			publish.Removed = append(publish.Removed, c.Contact)
		}
	}
	l.Changed(contactlist.Stored, stored)
	l.Changed(contactlist.Publish, publish)
	l.Changed(contactlist.Subscribe, subscribe)
}

// blocked keeps "deny" in step with the block list.
func (l *lists) blocked(blocked, unblocked []uint32) {
	l.Changed(contactlist.Deny, channels.Change{Added: blocked, Removed: unblocked})
}

// AddToList does what adding to each list means to the roster.
func (l *lists) AddToList(call *bus.Call, list string, contacts []uint32, message string) {
	switch list {
	case contactlist.Subscribe:
		l.conn.contactList.Subscribe(call, contacts, message)
	case contactlist.Publish:
		l.conn.contactList.Authorize(call, contacts)
	case contactlist.Stored:
		l.conn.contactList.Store(call, contacts)
	case contactlist.Deny:
		l.conn.blocking.Block(call, contacts)
	}
}

// RemoveFromList does what removing from each list means to the roster.
func (l *lists) RemoveFromList(call *bus.Call, list string, contacts []uint32, _ string) {
	switch list {
	case contactlist.Subscribe:
		l.conn.contactList.Unsubscribe(call, contacts)
	case contactlist.Publish:
		l.conn.contactList.Unpublish(call, contacts)
	case contactlist.Stored:
		l.conn.contactList.Remove(call, contacts)
	case contactlist.Deny:
		l.conn.blocking.Unblock(call, contacts)
	}
}

// parseList accepts the names of lists that there are.
func parseList(id string) (string, error) {
	if !slices.Contains(contactlist.Names, id) {
		return "", tp.Errorf(tp.ErrorInvalidHandle, "there is no list %q", id)
	}
	return id, nil
}
