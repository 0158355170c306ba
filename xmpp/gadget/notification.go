package gadget

import (
	"cmp"

	"telepathy-olpc/xmpp/amp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// Notification is news of one view: a [BuddyChange], [ActivityChange], [Added],
// [Removed] or [Membership].
type Notification interface {
	// Element builds the payload of its message.
	Element() *stanza.Element
}

// BuddyChange tells what is new of a buddy in a view.
type BuddyChange struct {
	View    string
	Buddy                 // Alias and Properties as far as they have changed
	Moved   bool          // the current activity has changed
	Current olpc.Activity // with Moved: to this one; zero for none
}

// ActivityChange tells the new properties of an activity in a view.
type ActivityChange struct {
	View          string
	olpc.Activity // readers may rely on the room alone
	Properties    olpc.Properties
}

// Added tells what has come into a view; of a view of one kind only that kind.
type Added struct {
	Kind       Kind
	View       string
	Buddies    []Buddy
	Activities []Activity
}

// Removed tells what is in a view no more.
type Removed struct {
	Kind       Kind
	View       string
	Buddies    []jid.JID
	Activities []olpc.Activity
}

// Membership tells who has joined or left an activity in a view.
type Membership struct {
	View   string
	Room   jid.JID
	Joined []Buddy
	Left   []jid.JID
}

// Message builds the message that brings news. It is a headline, which servers
// do not keep, as it says besides (XEP-0079): it would be about a view that is
// gone. The first programs had the type "notice", which is none.
func Message(to jid.JID, n Notification) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()), stanza.A("type", "headline"), n.Element(), amp.Immediate)
}

// Element builds <change/>.
func (c BuddyChange) Element() *stanza.Element {
	var current *stanza.Element
	switch {
	case c.Moved && c.Current == olpc.Activity{}:
		current = noActivity
	case c.Moved:
		current = stanza.New(olpc.NodeCurrentActivity, "activity", stanza.A("id", c.Current.ID), stanza.A("room", c.Current.Room.String()))
	}
	return c.Buddy.element(NSBuddy, "change").With(stanza.A("id", c.View), current)
}

// noActivity is how it is written that there is no current activity.
var noActivity, _ = stanza.Parse(`<activity xmlns='` + olpc.NodeCurrentActivity + `' id='' room=''/>`)

// Element builds <change/>.
func (c ActivityChange) Element() *stanza.Element {
	return stanza.New(NSActivity, "change", stanza.A("activity", c.ID), stanza.A("room", c.Room.String()), stanza.A("id", c.View),
		propertiesElement(c.Properties, olpc.NodeActivityProperties))
}

// Element builds <added/>.
func (a Added) Element() *stanza.Element {
	return stanza.New(a.Kind.Namespace(), "added", append(entries(a.Buddies, a.Activities), stanza.A("id", a.View))...)
}

// Element builds <removed/>.
func (r Removed) Element() *stanza.Element {
	parts := []stanza.Part{stanza.A("id", r.View)}
	for _, b := range r.Buddies {
		parts = append(parts, stanza.New(NSBuddy, "buddy", stanza.A("jid", b.String())))
	}
	for _, a := range r.Activities {
		parts = append(parts, stanza.New(NSActivity, "activity", stanza.A("id", a.ID), stanza.A("room", a.Room.String())))
	}
	return stanza.New(r.Kind.Namespace(), "removed", parts...)
}

// Element builds <activity/> with <joined/> and <left/>.
func (m Membership) Element() *stanza.Element {
	parts := []stanza.Part{stanza.A("room", m.Room.String()), stanza.A("view", m.View)}
	for _, b := range m.Joined {
		parts = append(parts, b.element(NSActivity, "joined"))
	}
	for _, b := range m.Left {
		parts = append(parts, stanza.New(NSActivity, "left", stanza.A("jid", b.String())))
	}
	return stanza.New(NSActivity, "activity", parts...)
}

// ParseNotifications reads the news in a message, of whatever type but error.
// The caller has made sure that it is from a component.
func ParseNotifications(message *stanza.Element) []Notification {
	if !message.Is(stanza.NSClient, "message") || message.Attr("type") == "error" {
		return nil
	}
	var list []Notification
	for _, e := range message.Children() {
		if len(list) == MaxEntries {
			break
		}
		if n := parseNotification(e); n != nil {
			list = append(list, n)
		}
	}
	return list
}

// parseNotification reads one payload; nil if it is none.
func parseNotification(e *stanza.Element) Notification {
	kind, ok := kindOf(e.Space())
	view := bounded(e.Attr("id"), maxIDBytes)
	switch {
	case !ok:
	case kind == Activities && e.Local() == "activity":
		return parseMembership(e)
	case view == "":
	case kind == Buddies && e.Local() == "change":
		return parseBuddyChange(e, view)
	case e.Local() == "change":
		return parseActivityChange(e, view)
	case kind == Buddies && e.Local() == "added":
		return Added{Kind: kind, View: view, Buddies: parseBuddies(e, NSBuddy, "buddy")}
	case e.Local() == "added":
		return Added{Kind: kind, View: view, Activities: parseActivities(e)}
	case e.Local() == "removed":
		return parseRemoved(e, kind, view)
	}
	return nil
}

func parseBuddyChange(e *stanza.Element, view string) Notification {
	b, ok := parseBuddy(e)
	if !ok {
		return nil
	}
	c := BuddyChange{View: view, Buddy: b}
	if current := e.Child(olpc.NodeCurrentActivity, "activity"); current != nil {
		c.Moved = true
		if c.Current = olpc.ActivityOf(current, "id", "type", "activity"); c.Current.Room.IsZero() {
			c.Current = olpc.Activity{}
		}
	}
	return c
}

func parseActivityChange(e *stanza.Element, view string) Notification {
	c := ActivityChange{
		View:       view,
		Activity:   olpc.ActivityOf(e, "activity"), // "id" is the view's
		Properties: parseProperties(e.Child(olpc.NodeActivityProperties, "properties")),
	}
	if c.Room.IsZero() {
		return nil
	}
	return c
}

func parseRemoved(e *stanza.Element, kind Kind, view string) Notification {
	r := Removed{Kind: kind, View: view}
	if kind == Buddies {
		r.Buddies = addresses(parseBuddies(e, NSBuddy, "buddy"))
		return r
	}
	for c := range e.Each(NSActivity, "activity") {
		// The room is enough to know it by.
		if a := olpc.ActivityOf(c, "id", "activity"); !a.Room.IsZero() && len(r.Activities) < MaxEntries {
			r.Activities = append(r.Activities, a)
		}
	}
	return r
}

// parseMembership reads <activity/>, whose view is in "view" and once was in "id".
func parseMembership(e *stanza.Element) Notification {
	m := Membership{
		View:   bounded(cmp.Or(e.Attr("view"), e.Attr("id")), maxIDBytes),
		Room:   olpc.ActivityOf(e).Room,
		Joined: parseBuddies(e, NSActivity, "joined"),
		Left:   addresses(parseBuddies(e, NSActivity, "left")),
	}
	if m.View == "" || m.Room.IsZero() {
		return nil
	}
	return m
}

func addresses(buddies []Buddy) []jid.JID {
	var list []jid.JID
	for _, b := range buddies {
		list = append(list, b.JID)
	}
	return list
}
