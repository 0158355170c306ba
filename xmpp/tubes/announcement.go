package tubes

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// BuildAnnouncement returns the <tubes/> that belongs into every presence sent
// to a room. It holds all tubes that are open, and is there without any: who
// has closed the last one must say so.
func BuildAnnouncement(open []Tube) *stanza.Element {
	parts := make([]stanza.Part, len(open))
	for i, t := range open {
		parts[i] = t.Element()
	}
	return stanza.New(NS, "tubes", parts...)
}

// ParseAnnouncement reads which tubes an occupant has open. It tells whether the
// presence says so at all: without <tubes/> nothing changes, which is not the
// same as an empty one. Left out are the second of two tubes with one id and
// D-Bus tubes without a stream, without a name of their owner's or with an
// initiator who is no occupant of this room, because nobody could use them.
func ParseAnnouncement(presence *stanza.Element) (open []Tube, ok bool) {
	e := presence.Child(NS, "tubes")
	if e == nil {
		return nil, false
	}
	room, _ := jid.ParseLenient(presence.Attr("from"))
	left, looked := maxParametersBytes, 0
	for c := range e.Each(NS, "tube") {
		// Bad ones count for the time that they cost.
		if looked++; looked > 4*MaxTubes || len(open) == MaxTubes {
			break
		}
		t, used, ok := parseTube(c, left)
		if !ok || t.Type == DBus && !t.usableIn(room.Bare()) ||
			slices.ContainsFunc(open, func(o Tube) bool { return o.ID == t.ID }) {
			continue
		}
		left -= used
		open = append(open, t)
	}
	return open, true
}

func (t Tube) usableIn(room jid.JID) bool {
	return t.StreamID != "" && t.DBusName != "" && !t.Initiator.IsBare() && t.Initiator.Bare() == room
}
