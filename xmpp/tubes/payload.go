package tubes

import (
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// Purpose tells what a stream that somebody initiates is for.
type Purpose string

// The purposes; each is the local name of the element that states it.
const (
	NewTube             Purpose = "tube"       // offers a D-Bus tube; accepting it opens the tube
	StreamConnection    Purpose = "stream"     // one connection to a stream tube with a contact
	MUCStreamConnection Purpose = "muc-stream" // the same in a room
)

// Payload is what a stream initiation (XEP-0095) with the profile [NS] carries.
type Payload struct {
	Purpose Purpose
	ID      uint32 // of the tube that is connected to, or offered
	Tube    Tube   // for NewTube
}

// BuildConnection returns the payload that connects to a stream tube.
func BuildConnection(p Purpose, id uint32) *stanza.Element {
	return stanza.New(NS, string(p), stanza.A("tube", formatID(id)))
}

// Accepted is the payload of the answer that accepts a stream.
var Accepted = stanza.New(NS, "tube")

// ParsePayload reads what an <si/> is for. A stream that is for nothing known is
// refused with the error. So is, by the caller, a [MUCStreamConnection] that
// does not come from an occupant of a room, and a tube that does not exist.
func ParsePayload(si *stanza.Element) (Payload, *stanza.Error) {
	for _, p := range []Purpose{NewTube, StreamConnection, MUCStreamConnection} {
		e := si.Child(NS, string(p))
		switch {
		case e == nil:
		case p == NewTube:
			t, _, ok := parseTube(e, olpc.MaxPropertiesBytes)
			if !ok {
				return Payload{}, stanza.NewError(stanza.BadRequest, "not a tube")
			}
			return Payload{p, t.ID, t}, nil
		default:
			id, ok := parseID(e.Attr("tube"))
			if !ok {
				return Payload{}, stanza.NewError(stanza.BadRequest, "not the number of a tube")
			}
			return Payload{Purpose: p, ID: id}, nil
		}
	}
	return Payload{}, stanza.NewError(stanza.BadRequest, "a stream for nothing")
}
