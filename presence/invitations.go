package presence

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of a message that was kept for later, XEP-0203 and before it
// XEP-0091.
const (
	nsDelay    = "urn:xmpp:delay"
	nsOldDelay = "jabber:x:delay"
)

// HandleMessage takes a message that tells what an activity is, from its room
// or from somebody who invites the user, or that takes an invitation back.
func (a *Activities) HandleMessage(e *stanza.Element) bool {
	said, is := olpc.ParseProperties(e)
	over, isOver := olpc.ParseUninvite(e)
	if !is && !isOver {
		return false
	}
	from, err := jid.ParseLenient(e.Attr("from"))
	switch {
	case err != nil:
	case a.isJoined(from.Bare()):
		if is && e.Attr("type") == "groupchat" {
			said.Room = from.Bare()
			a.handleRoomMessage(from, said, isDelayed(e))
		}
	case is:
		a.handleInvitation(from.Bare(), said)
	default:
		a.handleUninvite(from.Bare(), over)
	}
	return true
}

func isDelayed(e *stanza.Element) bool {
	return e.Child(nsDelay, "delay") != nil || e.Child(nsOldDelay, "x") != nil
}

// handleRoomMessage takes what somebody in the room made of the activity.
// Everybody there may; the last counts.
func (a *Activities) handleRoomMessage(occupant jid.JID, said olpc.ActivityProperties, delayed bool) {
	if a.rooms.IsOwn(occupant) || len(said.Properties) == 0 {
		return
	}
	o := a.own.find(said.Room)
	if o == nil {
		o = a.takePart(said.Activity)
		a.tellOwn()
	}
	before := a.described(o)
	if delayed && len(before.Properties) > 0 || before.Properties.Equal(said.Properties) {
		return
	}
	a.book[said.Room].properties = said.Properties
	a.tellProperties(a.book[said.Room])
	a.inviteAgain(o)
	a.publishChange(before, a.described(o), a.logFailure)
}

// handleInvitation takes the message that comes before the room's own
// invitation. It is the only source of a private activity's properties.
func (a *Activities) handleInvitation(from jid.JID, said olpc.ActivityProperties) {
	if said.Room.IsZero() || a.isJoined(said.Room) {
		return
	}
	b := a.hear(from)
	if b == nil || !a.mayName(b, said.Room) {
		return
	}
	b.invited = slices.DeleteFunc(slices.Clone(b.invited), inRoom(said.Room))
	if len(b.invited) == olpc.MaxActivities {
		return
	}
	b.invited = append(b.invited, said.Activity)
	a.hold(b)
	a.claim(said)
	a.tell(b)
	if a.rooms != nil {
		a.rooms.Known(said.Room)
	}
}

func (a *Activities) handleUninvite(from jid.JID, x olpc.Activity) {
	b := a.buddies[from]
	if b == nil || !slices.Contains(b.invited, x) {
		return
	}
	a.uninvited(b, func(y olpc.Activity) bool { return x == y })
	if a.rooms != nil {
		a.rooms.Withdrawn(x.Room, from)
	}
}

// uninvited drops invitations of a buddy.
func (a *Activities) uninvited(b *buddy, over func(olpc.Activity) bool) {
	if !slices.ContainsFunc(b.invited, over) {
		return
	}
	b.invited = slices.DeleteFunc(slices.Clone(b.invited), over)
	a.hold(b)
	a.tell(b)
}

// takePart has the user take part in an activity without being asked to
// announce it.
func (a *Activities) takePart(x olpc.Activity) *announcement {
	o := &announcement{Activity: x, byJoining: true}
	a.own.list = append(a.own.list, o)
	a.acquire(x.Room)
	return o
}

// Joined notes that the user has come into a room: it takes part in the
// activity there if that is known, and invitations have done their duty.
func (a *Activities) Joined(room jid.JID) {
	id := a.findID(room)
	if id != "" && a.own.find(room) == nil {
		o := a.takePart(olpc.Activity{ID: id, Room: room})
		a.tellOwn()
		a.publishChange(olpc.ActivityProperties{Activity: o.Activity}, a.described(o), a.logFailure)
	}
	for _, b := range a.buddies {
		a.uninvited(b, inRoom(room))
	}
}

// Left notes that the user has gone out of a room. Invitations to it are taken
// back, and nobody sees the user there any more.
func (a *Activities) Left(room jid.JID) {
	wasCurrent := a.own.current.Room == room
	if wasCurrent {
		a.own.current = olpc.Activity{}
	}
	o := a.own.find(room)
	if o == nil {
		return
	}
	for _, to := range o.invitees {
		a.host.Send(olpc.BuildUninvite(to, o.Activity))
	}
	wasPublic := a.isPublic(room)
	a.replace(slices.DeleteFunc(a.own.activities(), inRoom(room)))
	a.tellOwn()
	switch {
	case wasPublic && wasCurrent:
		a.publish(a.logFailure, nodeActivities, nodeDescriptions, nodeCurrent)
	case wasPublic:
		a.publish(a.logFailure, nodeActivities, nodeDescriptions)
	}
}

// Invite tells a contact what the activity in a room is, before the room itself
// invites it, and again when it changes, until the contact has come or the user
// leaves. A room without a known activity needs no such words.
func (a *Activities) Invite(room, to jid.JID) {
	o := a.own.find(room)
	if o == nil || len(a.book[room].properties) == 0 {
		return
	}
	if !slices.Contains(o.invitees, to.Bare()) {
		o.invitees = append(o.invitees, to.Bare())
	}
	a.acquaintances.Introduce(to)
	a.host.Send(olpc.BuildInvitation(to, a.described(o)))
}

// Arrived notes that somebody has come into a room.
func (a *Activities) Arrived(room, who jid.JID) { a.settleInvitation(room, who) }

// Declined notes that somebody does not want to come.
func (a *Activities) Declined(room, who jid.JID) { a.settleInvitation(room, who) }

// settleInvitation forgets that somebody was invited: there is nothing more to
// tell of the activity, and no invitation to take back.
func (a *Activities) settleInvitation(room, who jid.JID) {
	if o := a.own.find(room); o != nil {
		o.invitees = slices.DeleteFunc(o.invitees, func(to jid.JID) bool { return to == who.Bare() })
	}
}

// inviteAgain tells those who are invited and have not come what has changed.
func (a *Activities) inviteAgain(o *announcement) {
	for _, to := range o.invitees {
		a.host.Send(olpc.BuildInvitation(to, a.described(o)))
	}
}

// logFailure is for what no client waits for.
func (a *Activities) logFailure(err error) {
	if err != nil {
		a.host.Log().WithError(err).Debug("Activities not published")
	}
}
