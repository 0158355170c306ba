// Package tubes is the wire format of tubes, as the proto-XEP "Tubes" and
// telepathy-gabble have it: which tubes there are, in the presence of a room and
// in offers to a contact, and what is said when one is used and closed.
//
// All functions are pure. Builders write what every reader understands; parsers
// pass over a bad tube and keep the rest, and hold what a stranger may make us
// keep to the limits below.
package tubes

import (
	"strconv"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of all elements, the stream-initiation profile of tubes,
// and the feature of who understands them.
const NS = "http://telepathy.freedesktop.org/xmpp/tubes"

// Limits on what one occupant or contact can make us keep.
const (
	// MaxTubes is the number of tubes in one presence; activities have one or two.
	MaxTubes = 32
	// MaxText is the length of a service's name and of a stream's id.
	MaxText = 255
	// maxParametersBytes bounds the parameters of all tubes in one presence; those
	// of one tube have the limits of [olpc.Properties].
	maxParametersBytes = 64 << 10
)

// Type tells what goes through a tube.
type Type string

// The types of tubes.
const (
	DBus   Type = "dbus"   // D-Bus messages
	Stream Type = "stream" // any number of connections to a socket
)

// Tube is one tube, as it is written in the presence of those who have it open
// or offered to a contact.
type Tube struct {
	Type       Type
	Service    string
	ID         uint32 // never 0; shared by all who have a D-Bus tube open
	Parameters olpc.Properties

	// Of D-Bus tubes in rooms. All but the last are the same with everybody.
	StreamID  string
	Initiator jid.JID // the occupant who started it
	DBusName  string  // of whose presence it is in; see [CheckName]
}

// Element returns the <tube/>, in a presence, a message or a stream initiation.
func (t Tube) Element() *stanza.Element {
	initiator := ""
	if !t.Initiator.IsZero() {
		initiator = t.Initiator.String()
	}
	return stanza.New(NS, "tube",
		stanza.A("type", string(t.Type)),
		stanza.A("service", t.Service),
		stanza.A("id", formatID(t.ID)),
		stanza.A("stream-id", t.StreamID),
		stanza.A("initiator", initiator),
		stanza.A("dbus-name", t.DBusName),
		stanza.New(NS, "parameters", t.Parameters.Build(NS, parameter)...))
}

// parameter is the local name of the element that holds one.
const parameter = "parameter"

// parseTube reads a <tube/>, its parameters as far as limit bytes go, and tells
// how many they took. An initiator that is no address is left out, as in offers
// to contacts nothing hangs on it.
func parseTube(e *stanza.Element, limit int) (t Tube, used int, ok bool) {
	id, ok := parseID(e.Attr("id"))
	t = Tube{
		Type:     Type(e.Attr("type")),
		Service:  e.Attr("service"),
		ID:       id,
		StreamID: e.Attr("stream-id"),
		DBusName: e.Attr("dbus-name"),
	}
	if !ok || t.Type != DBus && t.Type != Stream || t.Service == "" ||
		len(t.Service) > MaxText || len(t.StreamID) > MaxText || len(t.DBusName) > MaxText {
		return Tube{}, 0, false
	}
	if j, err := jid.ParseLenient(e.Attr("initiator")); err == nil {
		t.Initiator = j
	}
	t.Parameters, used = olpc.ParseChildren(e.Child(NS, "parameters"), parameter, min(limit, olpc.MaxPropertiesBytes))
	return t, used, true
}

// formatID writes the number of a tube; 0 is none.
func formatID(id uint32) string {
	if id == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(id), 10)
}

// parseID reads the number of a tube, in decimal and not 0.
func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != 0
}
