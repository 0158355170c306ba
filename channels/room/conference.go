package room

import (
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/muc"
)

// conferenceProperties are those of Channel.Interface.Conference that a request
// may say.
var conferenceProperties = []string{
	tp.PropertyChannelConferenceInitialChannels, tp.PropertyChannelConferenceInitialInviteeHandles,
	tp.PropertyChannelConferenceInitialInviteeIDs, tp.PropertyChannelConferenceInvitationMessage,
}

// Conference says which chats with one person a room continues, and who is to
// come into it.
type Conference struct {
	Channels []dbus.ObjectPath // the chats
	Partners []uint32          // with whom they are, in the same order
	Invitees []uint32          // all who are to come, the partners among them, each once
	Message  string            // that invites them
	Unnamed  bool              // the room's name was made up
}

// conference serves Channel.Interface.Conference. Only a room has it that was
// made by a request that says something of it, or by an invitation that says
// that it continues a chat.
type conference struct {
	Conference
	room *Room
	open []dbus.ObjectPath // of Channels
}

// Confer gives the channel to a room, which is joined first if need be, and
// invites those who are to come. They are also invited into a room that is
// there already (specification, Channel.Interface.Conference).
func (s *Rooms) Confer(req *channels.Request, c Conference) {
	where, _ := s.host.Handles().Rooms.ID(req.Target.Handle)
	if s.rooms[where] == nil {
		r := s.add(where)
		r.requested = true
		r.conference = &conference{Conference: c, room: r, open: slices.Clone(c.Channels)}
	}
	answer := req.Answer
	req.Answer = func(ch *channels.Channel, yours bool) {
		answer(ch, yours)
		if r := s.rooms[where]; r != nil {
			r.invite(c)
		}
	}
	s.Request(req)
}

// invite invites those who are to come, XEP-0045 §7.8.2; who was in a chat is
// told that this continues it (§7.6).
func (r *Room) invite(c Conference) {
	if r.muc == nil || !r.muc.IsJoined() {
		return
	}
	for _, h := range c.Invitees {
		to, known := r.host.Handles().Contacts.ID(h)
		switch {
		case !known:
		case slices.Contains(c.Partners, h):
			r.host.Send(muc.BuildContinuation(r.jid, to, c.Message))
		default:
			r.host.Send(muc.BuildInvitation(r.jid, to, c.Message))
		}
	}
}

// continued is the conference into which the user is invited out of a chat, nil
// if the invitation is an ordinary one. Of others that are invited nothing is
// known.
func (r *Room) continued(inviter uint32) *conference {
	if !r.invitation.Continues {
		return nil
	}
	c := &conference{Conference: Conference{
		Channels: []dbus.ObjectPath{}, Partners: []uint32{}, Invitees: []uint32{r.occupant(r.host.Nick())}, Message: r.invitation.Reason,
	}, room: r}
	if chat, open := r.host.ChatWith(inviter); open {
		c.Channels, c.Partners = append(c.Channels, chat), append(c.Partners, inviter)
	}
	c.open = slices.Clone(c.Channels)
	return c
}

// interfaces is the D-Bus side; none without a conference.
func (c *conference) interfaces() []bus.Interface {
	if c == nil {
		return nil
	}
	return []bus.Interface{{
		Facts: tp.InterfaceChannelConference,
		Properties: map[string]func() any{
			"Channels":              func() any { return slices.Clone(c.open) },
			"InitialChannels":       bus.Fixed(c.Channels),
			"InitialInviteeHandles": bus.Fixed(c.Invitees),
			"InitialInviteeIDs":     bus.Fixed(c.ids()),
			"InvitationMessage":     bus.Fixed(c.Message),
			// Who somebody in the room is, HandleOwners says; it may be empty
			// where nobody is there twice.
			"OriginalChannels": bus.Fixed(map[uint32]dbus.ObjectPath{}),
		},
	}}
}

func (c *conference) immutable() map[string]any {
	if c == nil {
		return nil
	}
	return map[string]any{
		tp.PropertyChannelConferenceInitialChannels:       c.Channels,
		tp.PropertyChannelConferenceInitialInviteeHandles: c.Invitees,
		tp.PropertyChannelConferenceInitialInviteeIDs:     c.ids(),
		tp.PropertyChannelConferenceInvitationMessage:     c.Message,
	}
}

func (c *conference) ids() []string {
	ids := make([]string, len(c.Invitees))
	for i, h := range c.Invitees {
		id, _ := c.room.host.Handles().Contacts.ID(h)
		ids[i] = id.String()
	}
	return ids
}

// ChannelClosed tells that a channel has closed, after Closed: it may be a chat
// that a room continues.
func (s *Rooms) ChannelClosed(path dbus.ObjectPath) {
	for _, r := range s.rooms {
		if r.conference != nil {
			r.conference.remove(path)
		}
	}
}

func (c *conference) remove(path dbus.ObjectPath) {
	i := slices.Index(c.open, path)
	if i < 0 {
		return
	}
	c.open = slices.Delete(c.open, i, i+1)
	if c.room.channel != nil && !c.room.leaving {
		c.room.channel.Emit(tp.SignalChannelConferenceChannelRemoved, path, map[string]dbus.Variant{})
	}
}
