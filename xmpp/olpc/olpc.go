// Package olpc is the wire format of Sugar's collaboration, as the proto-XEP
// "OLPC-specific properties" 1.0 and telepathy-gabble have it: what a buddy and
// an activity are, published in four PEP nodes and sent in messages.
//
// All functions are pure. Builders write what every reader understands; parsers
// pass over what they cannot read and keep the rest, so that one bad entry does
// not hide the others, and hold what a stranger may make us keep to the limits
// below.
package olpc

import (
	"iter"
	"strings"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// The PEP nodes; each is also the namespace of its payload.
const (
	NodeBuddyProperties    = "http://laptop.org/xmpp/buddy-properties"
	NodeActivities         = "http://laptop.org/xmpp/activities"
	NodeActivityProperties = "http://laptop.org/xmpp/activity-properties"
	NodeCurrentActivity    = "http://laptop.org/xmpp/current-activity"
)

// Limits on what one contact can make us keep. What is over them is passed
// over; what we publish ourselves is held to them by [Properties.Check].
const (
	// MaxActivities is the number of activities of one contact. A child takes
	// part in a handful; more than a screenful could not be shown anyway.
	MaxActivities = 100
	// maxEntries is how many entries of a list are looked at, good or bad: to
	// prepare a strange address takes time, which others wait for.
	maxEntries = 4 * MaxActivities
	// MaxProperties is the number of properties in one set. Sugar uses three
	// for a buddy and five for an activity.
	MaxProperties = 32
	// MaxPropertiesBytes is the length of names and values of one set as they
	// are on the wire. A key takes 780 bytes; titles and tags the most.
	MaxPropertiesBytes = 16 << 10
	// maxListBytes is the same for all activities of a contact together: the
	// stanza size above which ejabberd as schools ran it closes the stream.
	maxListBytes = 64 << 10
	// maxIDBytes is the length of an activity's id, which has 40 characters.
	maxIDBytes = 255
)

// NotifyFeatures returns the features that ask contacts' servers for events
// from the four nodes, XEP-0163 §4.2.
func NotifyFeatures() []string {
	const notify = "+notify"
	return []string{
		NodeBuddyProperties + notify, NodeActivities + notify,
		NodeActivityProperties + notify, NodeCurrentActivity + notify,
	}
}

// Activity is an activity and the room in which it is shared. The two names
// are independent of each other, though Sugar makes one out of the other.
type Activity struct {
	ID   string
	Room jid.JID
}

// ActivityOf reads an activity out of the attributes of an element that is not
// of this package; id is in the first of the attributes named that has a value.
// Either part may come out empty.
func ActivityOf(e *stanza.Element, names ...string) Activity { return parseActivity(e, names...) }

// parseActivity reads an activity out of the attributes of e; id is in the
// first of the attributes named that has a value, as writers disagree. Either
// may come out empty.
func parseActivity(e *stanza.Element, names ...string) Activity {
	var a Activity
	for _, name := range names {
		if a.ID = e.Attr(name); a.ID != "" {
			break
		}
	}
	if len(a.ID) > maxIDBytes {
		a.ID = ""
	}
	a.Room = parseRoom(e.Attr("room"))
	return a
}

// parseRoom reads the address of a room, which another client wrote and no
// server prepared; the zero value stands for none and for an invalid one.
func parseRoom(s string) jid.JID {
	parse := jid.Parse
	if isPrepared(s) {
		parse = jid.ParseLenient // same result at a tenth of the cost
	}
	room, err := parse(s)
	if err != nil || room.Local() == "" || !room.IsBare() {
		return jid.JID{}
	}
	return room
}

// isPrepared tells whether preparing the address would leave it alone, as it
// does what Sugar makes: no capitals, no other scripts, no encoded names.
func isPrepared(s string) bool {
	const plain = "0123456789abcdefghijklmnopqrstuvwxyz-.@"
	for i := 0; i < len(s); i++ {
		if strings.IndexByte(plain, s[i]) < 0 {
			return false
		}
	}
	return !strings.Contains(s, "xn--") && !strings.HasSuffix(s, ".")
}

// find returns e or the first element below it with this name, since readers
// have always searched a payload at any depth.
func find(e *stanza.Element, space, local string) *stanza.Element {
	if e.Is(space, local) {
		return e
	}
	for _, c := range e.Children() {
		if f := find(c, space, local); f != nil {
			return f
		}
	}
	return nil
}

// entries iterates over the children of a list as far as they are looked at.
func entries(list *stanza.Element, local string) iter.Seq[*stanza.Element] {
	return func(yield func(*stanza.Element) bool) {
		n := 0
		for c := range list.Each(list.Space(), local) {
			if n++; n > maxEntries || !yield(c) {
				return
			}
		}
	}
}
