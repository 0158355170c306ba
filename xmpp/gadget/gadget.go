// Package gadget is the wire format between an OLPC server component, the
// Gadget of 2008, and its clients: what is asked for in views and searches, the
// answers, and the messages that keep a view up to date.
//
// Both ends are here. All functions are pure. Builders write what
// telepathy-gabble 0.7–0.10 reads and wrote; parsers take that, the forms that
// came before it (messages of type "notice", an activity's id in "activity",
// a view's in "view" or "id", <random/>) and pass over what they cannot read:
// one bad entry must not hide the others.
//
// The attribute "alias" of a buddy in answers and notifications is ours: it
// spares clients a question about everybody they are shown. Old ones pass over it.
// So is an [Introduction], which no component sees.
package gadget

import (
	"strconv"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of views, searches and notifications. They are also the features
// by which a component is known.
const (
	NSBuddy    = "http://laptop.org/xmpp/buddy"
	NSActivity = "http://laptop.org/xmpp/activity"
)

// What a component is to service discovery.
const (
	Category = "collaboration"
	Type     = "gadget"
)

// InviteReason is what an invitation of the component into an activity says,
// and Inspector the nick that it has there.
const (
	InviteReason = "Share activity"
	Inspector    = "inspector"
)

// Limits on what one stanza can make us keep; what is over them is passed over.
const (
	// MaxEntries is the number of buddies, or of activities, in one stanza, and
	// of participants of one activity in it.
	MaxEntries = 1000
	// maxIDBytes is the length of a view's name.
	maxIDBytes = 255
	// maxAliasBytes is the length of a buddy's name.
	maxAliasBytes = 255
)

// Kind says what a view or a search is about.
type Kind uint8

// The kinds.
const (
	Buddies Kind = iota
	Activities
)

// Namespace is the one of the kind's elements.
func (k Kind) Namespace() string {
	if k == Activities {
		return NSActivity
	}
	return NSBuddy
}

// kindOf tells the kind by the namespace.
func kindOf(space string) (Kind, bool) {
	switch space {
	case NSBuddy:
		return Buddies, true
	case NSActivity:
		return Activities, true
	}
	return 0, false
}

// Buddy is a buddy as a component tells of it.
type Buddy struct {
	JID        jid.JID         // bare
	Alias      string          // "" if it was not told
	Properties olpc.Properties // nil if they were not told
}

// Activity is an activity as a component tells of it.
type Activity struct {
	olpc.Activity
	Properties olpc.Properties
	Buddies    []Buddy // who takes part
}

// element builds a <buddy/>, or what else stands for one.
func (b Buddy) element(space, local string) *stanza.Element {
	return stanza.New(space, local, stanza.A("jid", b.JID.String()), stanza.A("alias", b.Alias), propertiesElement(b.Properties, olpc.NodeBuddyProperties))
}

// element builds an <activity/>.
func (a Activity) element() *stanza.Element {
	parts := []stanza.Part{stanza.A("id", a.ID), stanza.A("room", a.Room.String()), propertiesElement(a.Properties, olpc.NodeActivityProperties)}
	for _, b := range a.Buddies {
		parts = append(parts, b.element(NSActivity, "buddy"))
	}
	return stanza.New(NSActivity, "activity", parts...)
}

// propertiesElement builds the properties unless they are unknown.
func propertiesElement(p olpc.Properties, space string) *stanza.Element {
	if p == nil {
		return nil
	}
	return stanza.New(space, "properties", p.Build(space, "property")...)
}

// parseProperties reads what propertiesElement builds; nil if e is nil.
func parseProperties(e *stanza.Element) olpc.Properties {
	if e == nil {
		return nil
	}
	p, _ := olpc.ParseChildren(e, "property", olpc.MaxPropertiesBytes)
	return p
}

// parseBuddy reads what stands for a buddy; without an address there is none.
func parseBuddy(e *stanza.Element) (Buddy, bool) {
	b := Buddy{
		JID:        parseAddress(e.Attr("jid")),
		Alias:      bounded(e.Attr("alias"), maxAliasBytes),
		Properties: parseProperties(e.Child(olpc.NodeBuddyProperties, "properties")),
	}
	return b, !b.JID.IsZero()
}

// Introduction is part of a presence that goes to one person alone: who sends
// it, as a component would tell.
type Introduction struct {
	Buddy
	Asks bool // for the same in return
}

// Element builds it.
func (i Introduction) Element() *stanza.Element {
	e := i.element(NSBuddy, "buddy")
	if i.Asks {
		e = e.With(stanza.A("asks", "true"))
	}
	return e
}

// ParseIntroduction reads it out of a presence, if it is there.
func ParseIntroduction(presence *stanza.Element) (Introduction, bool) {
	e := presence.Child(NSBuddy, "buddy")
	b, is := parseBuddy(e)
	return Introduction{b, e.Attr("asks") == "true"}, is
}

// parseActivity reads an <activity/>; without room and id there is none.
func parseActivity(e *stanza.Element) (Activity, bool) {
	a := Activity{
		Activity:   olpc.ActivityOf(e, "id", "activity"),
		Properties: parseProperties(e.Child(olpc.NodeActivityProperties, "properties")),
	}
	if a.ID == "" || a.Room.IsZero() {
		return Activity{}, false
	}
	a.Buddies = parseBuddies(e, e.Space(), "buddy")
	return a, true
}

func parseBuddies(e *stanza.Element, space, local string) []Buddy {
	var list []Buddy
	for c := range e.Each(space, local) {
		if len(list) == MaxEntries {
			break
		}
		if b, ok := parseBuddy(c); ok {
			list = append(list, b)
		}
	}
	return list
}

func parseActivities(e *stanza.Element) []Activity {
	var list []Activity
	for c := range e.Each(NSActivity, "activity") {
		if len(list) == MaxEntries {
			break
		}
		if a, ok := parseActivity(c); ok {
			list = append(list, a)
		}
	}
	return list
}

// parseAddress reads the address of a person, which is bare; the zero value
// stands for none.
func parseAddress(s string) jid.JID {
	j, err := jid.ParseLenient(s)
	if err != nil || j.Local() == "" {
		return jid.JID{}
	}
	return j.Bare()
}

// bounded returns s unless it is too long.
func bounded(s string, most int) string {
	if len(s) > most {
		return ""
	}
	return s
}

func size(n int) stanza.Attr {
	if n <= 0 {
		return stanza.A("size", "")
	}
	return stanza.A("size", strconv.Itoa(n))
}
