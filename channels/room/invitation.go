package room

import (
	"slices"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
)

// showInvitation announces the channel of a room that the user is invited to.
func (r *Room) showInvitation() {
	r.hold.Stop()
	r.hold = nil
	contacts := &r.host.Handles().Contacts
	inviter := contacts.Ensure(r.invitation.From.Bare())
	if r.invitation.From.Bare() == r.jid { // the room hides who it is
		inviter = contacts.Ensure(r.invitation.From)
	}
	r.conference = r.continued(inviter)
	r.make(inviter)
	r.group.Self = r.occupant(r.host.Nick())
	r.group.FillOwners(map[uint32]uint32{r.group.Self: r.host.SelfHandle()})
	r.group.Fill(channels.Change{Added: []uint32{inviter}})
	r.group.Fill(channels.Change{
		LocalPending: []uint32{r.group.Self}, Actor: inviter,
		Reason: tp.ChannelGroupChangeReasonInvited, Message: r.invitation.Reason,
	})
	r.open()
}

// addMembers accepts the user's own invitation, or invites others.
func (r *Room) addMembers(call *bus.Call, contacts []uint32, message string) {
	if slices.Contains(contacts, r.group.Self) || slices.Contains(contacts, r.host.SelfHandle()) {
		if r.group.IsLocalPending(r.group.Self) {
			r.join()
		}
		contacts = slices.DeleteFunc(slices.Clone(contacts), func(h uint32) bool {
			return h == r.group.Self || h == r.host.SelfHandle()
		})
	}
	if len(contacts) > 0 && (r.muc == nil || !r.muc.IsJoined()) {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "only who is in a room can invite others"))
		return
	}
	for _, h := range contacts {
		to, _ := r.host.Handles().Contacts.ID(h)
		if r.group.Has(h) {
			continue
		}
		r.rooms.activities.Invite(r.jid, to.Bare())
		r.host.Send(muc.BuildInvitation(r.jid, to.Bare(), message))
	}
	call.Return()
}

// removeMembers leaves the room, declines the invitation, or throws others out.
func (r *Room) removeMembers(call *bus.Call, contacts []uint32, message string, _ tp.ChannelGroupChangeReason) {
	if slices.Contains(contacts, r.group.Self) {
		call.Return()
		r.leave(message)
		return
	}
	pending := 1
	var failed error
	done := func(err error) {
		if failed == nil && err != nil {
			failed = tp.Errorf(tp.ErrorPermissionDenied, "the room refused: %v", err)
		}
		if pending--; pending > 0 {
			return
		}
		if failed != nil {
			call.Fail(failed)
			return
		}
		call.Return()
	}
	for _, h := range contacts {
		who, _ := r.host.Handles().Contacts.ID(h)
		if !r.group.Has(h) || who.Bare() != r.jid || r.muc == nil {
			continue
		}
		pending++
		r.muc.Kick(who.Resource(), message, done)
	}
	done(nil)
}

// decline says no to the invitation, or to a room with a password.
func (r *Room) decline(message string) {
	if r.invitation != nil && r.invitation.Mediated {
		r.host.Send(muc.BuildDecline(*r.invitation, message))
	}
	r.forgo(r.group.Self, message)
}

// withdraw takes away an invitation that its sender has taken back.
func (r *Room) withdraw(by jid.JID) {
	if r.muc != nil || r.invitation == nil || r.invitation.From.Bare() != by {
		return
	}
	r.forgo(r.host.Handles().Contacts.Ensure(by), "")
}

// forgo ends an invitation that was not accepted, by whose doing.
func (r *Room) forgo(actor uint32, message string) {
	r.hold.Stop()
	delete(r.rooms.rooms, r.jid)
	r.endInvitation()
	if r.channel != nil {
		r.rooms.companion.RoomEnded(r)
		r.group.Apply(channels.Change{Removed: []uint32{r.group.Self}, Actor: actor, Message: message})
		r.host.Closed(r.channel)
	}
}
