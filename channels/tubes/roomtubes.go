package tubes

import (
	"slices"
	"sort"

	"telepathy-olpc/channels/room"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

// RoomPresence tells which tubes are open here: D-Bus tubes that we take part in
// and stream tubes of ours.
func (t *Tubes) RoomPresence(where jid.JID) *stanza.Element {
	var open []tubes.Tube
	if c := t.circles[where]; c != nil {
		for _, tube := range c.list {
			if tube.state == tp.TubeChannelStateOpen && (tube.own || tube.Type == tubes.DBus) {
				open = append(open, tube.Tube)
			}
		}
	}
	return tubes.BuildAnnouncement(open)
}

// RoomJoined takes the tubes of all who are there.
func (t *Tubes) RoomJoined(r *room.Room, occupants []muc.Occupant) {
	for _, o := range occupants {
		t.RoomPresent(r, o)
	}
}

// RoomPresent takes the tubes of one occupant. A presence that says nothing of
// tubes changes nothing.
func (t *Tubes) RoomPresent(r *room.Room, o muc.Occupant) {
	if o.Nick == r.Nick() || o.Presence == nil {
		return
	}
	open, told := tubes.ParseAnnouncement(o.Presence)
	if !told || len(open) == 0 && t.circles[r.JID()] == nil {
		return
	}
	t.inRoom(r).present(o.Nick, open)
}

// RoomLeft takes an occupant out of all tubes.
func (t *Tubes) RoomLeft(r *room.Room, nick string) {
	t.receiver.Left(r.JID().WithResource(nick))
	if c := t.circles[r.JID()]; c != nil {
		c.present(nick, nil)
	}
}

// RoomRenamed follows an occupant who has another nick. Names in D-Bus tubes
// are made of nicks, so that the next presence says the new one.
func (t *Tubes) RoomRenamed(r *room.Room, old, nick string) {
	t.receiver.Left(r.JID().WithResource(old))
	c := t.circles[r.JID()]
	if c == nil {
		return
	}
	for _, tube := range c.list {
		if tube.Type == tubes.Stream && tube.owner == old {
			tube.owner = nick
		}
	}
	if nick != r.Nick() {
		c.present(old, nil)
		return
	}
	for _, tube := range c.list {
		if tube.names[old] != "" {
			tube.DBusName = tubes.UniqueName(nick)
			tube.dropName(old)
			tube.addName(nick, tube.DBusName)
		}
	}
	r.UpdatePresence()
}

// RoomEnded closes all tubes of a room.
func (t *Tubes) RoomEnded(r *room.Room) {
	if c := t.circles[r.JID()]; c != nil {
		c.end()
	}
}

// present makes an occupant take part in these tubes and no others.
func (c *circle) present(nick string, open []tubes.Tube) {
	var in []*tube
	for _, announced := range open {
		if t := c.take(nick, announced); t != nil {
			in = append(in, t)
		}
	}
	for _, t := range slices.Clone(c.list) {
		if !slices.Contains(in, t) {
			t.left(nick)
		}
	}
}

// take finds the tube that an occupant announces, or takes it in; nil if it is
// not to be had.
func (c *circle) take(nick string, announced tubes.Tube) *tube {
	if announced.Type == tubes.Stream {
		return c.takeStream(nick, announced)
	}
	t := c.find(func(t *tube) bool { return t.Type == tubes.DBus && t.StreamID == announced.StreamID })
	switch {
	case t != nil && (t.ID != announced.ID || t.Service != announced.Service || t.Initiator != announced.Initiator):
		return nil // somebody makes up another tube in the place of this one
	case t != nil && t.names[nick] != "":
		return t // the first name counts
	case !tubes.CheckName(announced.DBusName, nick) || t != nil && t.owners[announced.DBusName] != "":
		return nil
	}
	name := announced.DBusName
	if t == nil {
		announced.DBusName = ""
		t = &tube{
			circle: c, Tube: announced, initiator: c.room.Handle(announced.Initiator.Resource()),
			state: tp.TubeChannelStateLocalPending,
		}
		if !c.add(t) {
			return nil
		}
		t.announce()
	}
	t.addName(nick, name)
	return t
}

func (c *circle) takeStream(nick string, announced tubes.Tube) *tube {
	t := c.find(func(t *tube) bool { return t.Type == tubes.Stream && t.owner == nick && t.ID == announced.ID })
	if t != nil {
		return t
	}
	t = &tube{
		circle: c, Tube: announced, initiator: c.room.Handle(nick), state: tp.TubeChannelStateLocalPending,
		stream: stream{owner: nick},
	}
	if !c.add(t) {
		return nil
	}
	t.announce()
	return t
}

// left takes an occupant out of the tube. A stream tube ends with who offers
// it, a D-Bus tube with the last who has it open.
func (t *tube) left(nick string) {
	switch {
	case t.Type == tubes.Stream:
		if !t.own && t.owner == nick {
			t.end()
		}
	case t.names[nick] != "":
		t.dropName(nick)
		if len(t.names) == 0 {
			t.end()
		}
	}
}

// addName tells clients of somebody who takes part.
func (t *tube) addName(nick, name string) {
	if t.names == nil {
		t.names, t.owners = make(map[string]string), make(map[string]string)
	}
	t.names[nick], t.owners[name] = name, nick
	t.emitNames([]member{{t.circle.room.Handle(nick), name}}, []uint32{})
}

// dropName tells clients of somebody who takes part no more.
func (t *tube) dropName(nick string) {
	name, in := t.names[nick]
	if !in {
		return
	}
	delete(t.names, nick)
	delete(t.owners, name)
	t.emitNames([]member{}, []uint32{t.circle.room.Handle(nick)})
}

func (t *tube) emitNames(added []member, removed []uint32) {
	if t.face != nil {
		t.face.emitNames(added, removed)
	}
	if t.circle.face != nil && t.isTube() {
		t.circle.face.emitNames(t, added, removed)
	}
}

// members are those who take part in a D-Bus tube of a room, by handle.
func (t *tube) members() []member {
	list := make([]member, 0, len(t.names))
	for nick, name := range t.names {
		list = append(list, member{t.circle.room.Handle(nick), name})
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Handle < list[j].Handle })
	return list
}
