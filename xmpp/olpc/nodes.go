package olpc

import (
	"slices"

	"telepathy-olpc/xmpp/stanza"
)

// ActivityProperties is an activity and what is known of it.
type ActivityProperties struct {
	Activity
	Properties Properties
}

// Visible tells whether the activity may be shown to everybody: it has an id
// and properties, of which private is there, is a bool and is false.
func (a ActivityProperties) Visible() bool {
	private, ok := a.Properties["private"].(bool)
	return a.ID != "" && ok && !private
}

// BuildBuddyProperties returns the payload of [NodeBuddyProperties].
func BuildBuddyProperties(p Properties) *stanza.Element {
	return stanza.New(NodeBuddyProperties, "properties", p.Build(NodeBuddyProperties, property)...)
}

// ParseBuddyProperties reads the payload of [NodeBuddyProperties]. This and
// the other parsers of payloads tell whether it was there at all: without it
// nothing is known, which is not the same as an empty one.
func ParseBuddyProperties(payload *stanza.Element) (Properties, bool) {
	e := find(payload, NodeBuddyProperties, "properties")
	if e == nil {
		return nil, false
	}
	p, _ := ParseChildren(e, property, MaxPropertiesBytes)
	return p, true
}

// BuildActivities returns the payload of [NodeActivities]. The caller lists
// only activities that are visible.
func BuildActivities(list []Activity) *stanza.Element {
	parts := make([]stanza.Part, len(list))
	for i, a := range list {
		parts[i] = stanza.New(NodeActivities, "activity",
			stanza.A("type", a.ID), // where the id has always been
			stanza.A("room", a.Room.String()))
	}
	return stanza.New(NodeActivities, "activities", parts...)
}

// ParseActivities reads the payload of [NodeActivities], in its order, without
// entries that lack an id or a valid room and without the second of two for
// one room.
func ParseActivities(payload *stanza.Element) ([]Activity, bool) {
	e := find(payload, NodeActivities, "activities")
	if e == nil {
		return nil, false
	}
	var list []Activity
	for c := range entries(e, "activity") {
		if len(list) == MaxActivities {
			break
		}
		a := parseActivity(c, "type", "id")
		if a.ID == "" || a.Room.IsZero() || slices.ContainsFunc(list, a.sharesRoom) {
			continue
		}
		list = append(list, a)
	}
	return list, true
}

func (a Activity) sharesRoom(b Activity) bool { return a.Room == b.Room }

// BuildActivityProperties returns the payload of [NodeActivityProperties]. The
// caller lists only activities that are visible.
func BuildActivityProperties(list []ActivityProperties) *stanza.Element {
	parts := make([]stanza.Part, len(list))
	for i, a := range list {
		parts[i] = a.build()
	}
	return stanza.New(NodeActivityProperties, "activities", parts...)
}

// build returns the <properties/> that goes into the node and into messages.
func (a ActivityProperties) build() *stanza.Element {
	return stanza.New(NodeActivityProperties, "properties", append(a.Properties.Build(NodeActivityProperties, property),
		stanza.A("activity", a.ID), stanza.A("room", a.Room.String()))...)
}

// ParseActivityProperties reads the payload of [NodeActivityProperties]. What
// counts is the room; the id may be empty. Entries without a valid room or
// without properties are left out; of two for one room the last counts.
func ParseActivityProperties(payload *stanza.Element) ([]ActivityProperties, bool) {
	e := find(payload, NodeActivityProperties, "activities")
	if e == nil {
		return nil, false
	}
	var list []ActivityProperties
	left := maxListBytes
	for c := range entries(e, "properties") {
		a := ActivityProperties{Activity: parseActivity(c, "activity", "id")}
		if a.Room.IsZero() {
			continue
		}
		at := slices.IndexFunc(list, func(b ActivityProperties) bool { return a.sharesRoom(b.Activity) })
		if at < 0 && len(list) == MaxActivities {
			continue
		}
		var used int
		a.Properties, used = ParseChildren(c, property, min(left, MaxPropertiesBytes))
		left -= used
		switch {
		case len(a.Properties) == 0:
		case at >= 0:
			list[at] = a
		default:
			list = append(list, a)
		}
	}
	return list, true
}

// noActivity is how every program has written that there is none: attributes
// that are there and empty, which [stanza.New] does not write.
var noActivity, _ = stanza.Parse(`<activity xmlns='` + NodeCurrentActivity + `' type='' room=''/>`)

// BuildCurrentActivity returns the payload of [NodeCurrentActivity]; the zero
// value stands for none. The caller gives none for an activity that is not
// visible.
func BuildCurrentActivity(a Activity) *stanza.Element {
	if a == (Activity{}) {
		return noActivity
	}
	return stanza.New(NodeCurrentActivity, "activity", stanza.A("type", a.ID), stanza.A("room", a.Room.String()))
}

// ParseCurrentActivity reads the payload of [NodeCurrentActivity]. Without a
// valid room there is no activity; an id may be missing where there is a room.
func ParseCurrentActivity(payload *stanza.Element) (Activity, bool) {
	e := find(payload, NodeCurrentActivity, "activity")
	if e == nil {
		return Activity{}, false
	}
	a := parseActivity(e, "type", "id")
	if a.Room.IsZero() {
		return Activity{}, true
	}
	return a, true
}
