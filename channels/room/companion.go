package room

import (
	"telepathy-olpc/channels"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

// Companion lives in the rooms beside the Text channel: it adds to each of our
// presences and hears of those of others. Tubes do so.
type Companion interface {
	// RoomPresence is added to our presence in a room; nil adds nothing.
	RoomPresence(room jid.JID) *stanza.Element
	// RoomJoined comes once we are in a room, with all who are there.
	RoomJoined(r *Room, occupants []muc.Occupant)
	// RoomPresent comes with each presence of somebody, also of ourselves.
	RoomPresent(r *Room, o muc.Occupant)
	RoomLeft(r *Room, nick string)
	RoomRenamed(r *Room, old, nick string)
	// RoomEnded comes when we are in the room no more, or have never come
	// in, before the Text channel closes.
	RoomEnded(r *Room)
}

// Accompany has a companion from now on; there is one.
func (s *Rooms) Accompany(c Companion) { s.companion = c }

// alone is the companion of rooms that have none.
type alone struct{}

func (alone) RoomPresence(jid.JID) *stanza.Element { return nil }
func (alone) RoomJoined(*Room, []muc.Occupant)     {}
func (alone) RoomPresent(*Room, muc.Occupant)      {}
func (alone) RoomLeft(*Room, string)               {}
func (alone) RoomRenamed(*Room, string, string)    {}
func (alone) RoomEnded(*Room)                      {}

// visit is somebody who waits for a room to have its Text channel.
type visit struct {
	then func(*Room)
	fail func(error)
}

// Visit runs then as soon as the room has a Text channel, after that was
// announced; the room is joined first if need be. Either function is called,
// once.
func (s *Rooms) Visit(room jid.JID, then func(*Room), fail func(error)) {
	r := s.rooms[room]
	if r == nil {
		r = s.add(room)
		r.requested = true
	}
	switch {
	case r.leaving:
		r.revisits = append(r.revisits, visit{then, fail})
		return
	case r.channel != nil:
		then(r)
		return
	}
	r.visits = append(r.visits, visit{then, fail})
	if r.hold != nil {
		r.showInvitation()
		return
	}
	r.join()
}

// open announces the channel to those who asked for it, to all, and to visitors.
func (r *Room) open() {
	r.host.Opened(r.channel, r.takeWaiting()...)
	visits := r.visits
	r.visits = nil
	for _, v := range visits {
		v.then(r)
	}
}

// turnAway tells those who asked for the room, or came by, that there is none.
func (r *Room) turnAway(err error) {
	for _, req := range append(r.takeWaiting(), r.again...) {
		req.Fail(err)
	}
	for _, v := range append(r.visits, r.revisits...) {
		v.fail(err)
	}
	r.again, r.visits, r.revisits = nil, nil, nil
}

// reopen lets those in who asked for the room while it was being left.
func (r *Room) reopen() {
	again, revisits := r.again, r.revisits
	r.again, r.revisits = nil, nil
	for _, req := range again {
		r.rooms.Request(req)
	}
	for _, v := range revisits {
		r.rooms.Visit(r.jid, v.then, v.fail)
	}
}

// presence is ours as the room is to see it now.
func (r *Room) presence() *stanza.Element {
	p := r.host.Presence()
	if part := r.rooms.companion.RoomPresence(r.jid); part != nil {
		p = p.With(part)
	}
	return p
}

// JID is the room's address.
func (r *Room) JID() jid.JID { return r.jid }

// Target is the room as the target of a channel.
func (r *Room) Target() channels.Target {
	return channels.Target{Type: tp.HandleTypeRoom, Handle: r.handle, ID: r.jid.String()}
}

// Group is that of the Text channel.
func (r *Room) Group() *channels.Group { return r.group }

// IsJoined tells whether we are in the room.
func (r *Room) IsJoined() bool { return r.isJoined() && !r.leaving }

// Nick is ours in the room; empty before it is tried to join.
func (r *Room) Nick() string {
	if r.muc == nil {
		return ""
	}
	return r.muc.Nick()
}

// Handle is that of somebody in the room.
func (r *Room) Handle(nick string) uint32 { return r.occupant(nick) }

// Occupant looks somebody up by nick.
func (r *Room) Occupant(nick string) (muc.Occupant, bool) {
	if r.muc == nil {
		return muc.Occupant{}, false
	}
	return r.muc.Occupant(nick)
}

// UpdatePresence tells the room our presence again.
func (r *Room) UpdatePresence() {
	if r.muc != nil {
		r.muc.UpdatePresence()
	}
}
