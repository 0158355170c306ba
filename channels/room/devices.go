package room

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
)

// Devices lists where somebody, a bare address, is in our rooms with: full
// addresses, as far as the rooms show them. They are known before the
// presence that the contact sends to all.
func (s *Rooms) Devices(who jid.JID) []jid.JID {
	var devices []jid.JID
	for _, r := range s.rooms {
		if r.muc == nil {
			continue
		}
		for _, o := range r.muc.Occupants() {
			if o.Real.Bare() == who && !o.Real.IsBare() && !slices.Contains(devices, o.Real) {
				devices = append(devices, o.Real)
			}
		}
	}
	return devices
}

// Self is who we are for the occupants of a room; zero if we are not in it.
func (s *Rooms) Self(room jid.JID) jid.JID {
	if !s.IsJoined(room) {
		return jid.JID{}
	}
	return room.WithResource(s.rooms[room].muc.Nick())
}
