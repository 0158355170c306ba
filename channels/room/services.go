package room

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
)

// isService tells whether an occupant is no person but a service of the server,
// such as the component that looks into activities to tell others of them. Nobody
// is to take it for a child.
func (r *Room) isService(o muc.Occupant) bool { return jid.IsService(o.Real, r.host.Self()) }

// withoutServices are the people among occupants.
func (r *Room) withoutServices(all []muc.Occupant) []muc.Occupant {
	return slices.DeleteFunc(slices.Clone(all), r.isService)
}

// IsInside tells whether somebody, a bare address, is known to be in a room.
func (s *Rooms) IsInside(room, who jid.JID) bool {
	r := s.rooms[room]
	return r != nil && r.muc != nil && slices.ContainsFunc(r.muc.Occupants(), func(o muc.Occupant) bool {
		return o.Real.Bare() == who
	})
}
