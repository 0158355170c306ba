package muc

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// What a room can make us keep.
const (
	// maxOccupants is far above what a school has, and a service allows.
	// Whoever is over it is not seen.
	maxOccupants = 10_000
	// maxPresenceBytes is for all presences together; one with tubes has a few
	// hundred bytes. What is over it is told when it comes, but not kept.
	maxPresenceBytes = 16 << 20
	// maxHeld is how many messages can come before Joined. A room that is
	// being set up is new and has no history.
	maxHeld = 128
)

// Occupant is somebody in a room.
type Occupant struct {
	Nick        string
	Real        jid.JID // zero as long as it is hidden
	Affiliation Affiliation
	Role        Role
	// Presence is the last one. It is nil when the occupants of the room have
	// sent more than can be kept.
	Presence *stanza.Element
}

// member is an occupant on the books.
type member struct {
	Occupant
	weight int // of the presence
}

// described makes the occupant of a presence, with what is known and not said
// again: who was seen once does not become a stranger when the room hides
// addresses later.
func (m member) described(nick string, e *stanza.Element, u *user) Occupant {
	o := m.Occupant
	o.Nick, o.Presence = nick, e
	switch {
	case u.hasItem:
		o.Affiliation, o.Role = u.affiliation, u.role
	case m.Nick == "": // before there were items
		o.Role = Participant
	}
	if !u.real.IsZero() {
		o.Real = u.real
	}
	return o
}

// keep puts an occupant on the books, in place of what is there. It tells
// whether there is room.
func (r *Room) keep(o Occupant) bool {
	old, known := r.occupants[o.Nick]
	if !known && len(r.occupants) >= maxOccupants && o.Nick != r.nick {
		return false
	}
	m := member{o, weigh(o.Presence)}
	if r.weight-old.weight+m.weight > maxPresenceBytes {
		m.Presence, m.weight = nil, 0
	}
	r.weight += m.weight - old.weight
	r.occupants[o.Nick] = m
	return true
}

// drop takes an occupant off the books.
func (r *Room) drop(nick string) {
	r.weight -= r.occupants[nick].weight
	delete(r.occupants, nick)
	delete(r.unseen, nick)
}

// weigh tells roughly what an element takes in memory.
func weigh(e *stanza.Element) int {
	n := 128 + len(e.Text())
	for _, a := range e.Attrs() {
		n += 32 + len(a.Name) + len(a.Value)
	}
	for _, c := range e.Children() {
		n += weigh(c)
	}
	return n
}
