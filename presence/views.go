package presence

import (
	"maps"
	"slices"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// ActivityReference is an activity as D-Bus has it, (su).
type ActivityReference = reference

// ViewEvents are called on the loop when what a view shows has changed. Each
// may be nil.
type ViewEvents struct {
	BuddiesChanged    func(added, removed []uint32)
	ActivitiesChanged func(added, removed []ActivityReference)
	// Closed is called once when the component has forgotten the view.
	Closed func()
}

// View is a named result that the server component keeps up to date.
//
// Of an activity that comes into it this is told in this order: what it is,
// ActivitiesChanged, BuddiesChanged, and then of each of its buddies that it is
// in it; what a buddy looks like comes after that. Of one that goes: of its
// buddies that they are no more in it, BuddiesChanged, ActivitiesChanged.
type View struct {
	gadget  *Gadget
	request gadget.Request
	events  ViewEvents
	// lasting: it is opened again when the component has forgotten it, and
	// shows what it has until it is told more.
	lasting bool
	number  int  // the name's
	refused bool // the component did not open it

	buddies    map[jid.JID]bool // that it shows for their own sake
	activities map[jid.JID]*viewed
	doubts     *doubts // nil without
}

// viewed is an activity in a view.
type viewed struct {
	olpc.Activity
	members map[jid.JID]bool
}

// Buddies are all that the view shows, members of its activities too, in the
// order of their handles.
func (v *View) Buddies() []uint32 { return v.gadget.contacts(v.everybody()) }

// Activities are those in the view, in the order of their rooms' handles.
func (v *View) Activities() []ActivityReference {
	list := make([]olpc.Activity, 0, len(v.activities))
	for _, x := range v.activities {
		list = append(list, x.Activity)
	}
	return v.gadget.references(list)
}

func (v *View) everybody() map[jid.JID]bool {
	all := maps.Clone(v.buddies)
	for _, x := range v.activities {
		maps.Copy(all, x.members)
	}
	return all
}

// Close ends the view because its user wants no more of it.
func (v *View) Close() {
	if v.gadget.views[v.request.View] == v {
		v.gadget.send(gadget.Close{Kind: v.request.Kind, View: v.request.View}.Message(v.gadget.address(v.request.Kind)))
		v.forget()
		v.gadget.people.flush()
	}
}

// forget takes a view away with all that it shows. What it showed goes, and its
// user knows that of itself.
func (v *View) forget() {
	v.events = ViewEvents{}
	v.trust()
	delete(v.gadget.views, v.request.View)
	v.show(gadget.Content{})
}

// take takes the answer to the request for the view.
func (v *View) take(c gadget.Content) {
	switch {
	case v.gadget.views[v.request.View] != v || c.Kind != v.request.Kind:
	case v.doubts != nil:
		v.add(gadget.Added{Buddies: c.Buddies, Activities: c.Activities})
	default:
		v.show(c)
	}
}

// show makes c what the view shows.
func (v *View) show(c gadget.Content) {
	keep := make(map[jid.JID]bool)
	for _, x := range c.Activities {
		keep[x.Room] = true
	}
	var gone []olpc.Activity
	for room, x := range v.activities {
		if !keep[room] {
			gone = append(gone, x.Activity)
		}
	}
	stay := make(map[jid.JID]bool)
	for _, b := range c.Buddies {
		stay[b.JID] = true
	}
	var left []jid.JID
	for who := range v.buddies {
		if !stay[who] {
			left = append(left, who)
		}
	}
	v.remove(gadget.Removed{Buddies: left, Activities: gone})
	v.add(gadget.Added{Buddies: c.Buddies, Activities: c.Activities})
}

// add brings buddies and activities into the view. Those that are there already
// are told anew.
func (v *View) add(n gadget.Added) {
	v.confirm(n)
	before := v.everybody()
	var added []olpc.Activity
	told := n.Buddies
	touched := make(map[jid.JID]bool)
	for _, x := range n.Activities {
		was := v.activities[x.Room]
		if was == nil {
			if len(v.activities) >= v.request.Size || !v.gadget.admits(x.Room) {
				continue
			}
			was = &viewed{Activity: x.Activity, members: make(map[jid.JID]bool)}
			v.activities[x.Room] = was
			added = append(added, x.Activity)
			v.gadget.activities.showActivity(x.Activity, x.Properties)
		} else {
			maps.Copy(touched, was.members)
			was.members = v.doubtful(x.Room)
			v.gadget.activities.redescribe(x.Activity, x.Properties)
		}
		for _, b := range x.Buddies {
			if v.gadget.admitsBuddy(b.JID) {
				was.members[b.JID] = true
			}
		}
		told = append(slices.Clip(told), x.Buddies...)
	}
	for _, b := range n.Buddies {
		if len(v.buddies) < v.request.Size && v.gadget.admitsBuddy(b.JID) {
			v.buddies[b.JID] = true
		}
	}
	v.told(told, touched)
	v.announce(before, added, nil, touched)
}

// remove takes buddies and activities out of the view.
func (v *View) remove(n gadget.Removed) {
	v.dispel(n)
	before := v.everybody()
	var gone []olpc.Activity
	touched := make(map[jid.JID]bool)
	for _, x := range n.Activities {
		if was := v.activities[x.Room]; was != nil {
			maps.Copy(touched, was.members)
			gone = append(gone, was.Activity)
			delete(v.activities, x.Room)
		}
	}
	for _, who := range n.Buddies {
		delete(v.buddies, who)
	}
	v.announce(before, nil, gone, touched)
	for _, x := range gone {
		v.gadget.activities.hideActivity(x.Room)
	}
}

// change takes who has joined and left an activity.
func (v *View) change(n gadget.Membership) {
	x := v.activities[n.Room]
	if x == nil {
		return
	}
	before := v.everybody()
	touched := make(map[jid.JID]bool)
	for _, b := range n.Joined {
		v.sure(n.Room, b.JID)
		if len(x.members) < gadget.MaxEntries && v.gadget.admitsBuddy(b.JID) {
			x.members[b.JID] = true
		}
	}
	for _, who := range n.Left {
		v.sure(n.Room, who)
		delete(x.members, who)
		touched[who] = true
	}
	v.told(n.Joined, touched)
	v.announce(before, nil, nil, touched)
}

// told takes what is said of buddies that the view shows, and adds them to those
// who are touched.
func (v *View) told(buddies []gadget.Buddy, touched map[jid.JID]bool) {
	everybody := v.everybody()
	for _, b := range buddies {
		if !everybody[b.JID] || v.gadget.isSelf(b.JID) {
			continue
		}
		touched[b.JID] = true
		v.gadget.learn(b)
	}
}

// announce tells how the view has changed, and everybody's part in it.
func (v *View) announce(before map[jid.JID]bool, added, gone []olpc.Activity, touched map[jid.JID]bool) {
	after := v.everybody()
	came, went := missing(after, before), missing(before, after)
	for who := range came {
		if !v.gadget.isSelf(who) {
			v.gadget.people.Glimpse(who)
		}
	}
	for who := range went {
		if !v.gadget.isSelf(who) {
			v.gadget.people.Unglimpse(who)
			touched[who] = true
		}
	}
	if len(gone)+len(went) > 0 {
		v.gadget.glimpsed(touched)
	}
	if len(added) > 0 {
		v.activitiesChanged(added, nil)
	}
	if (len(came) > 0 || len(went) > 0) && v.events.BuddiesChanged != nil {
		v.events.BuddiesChanged(v.gadget.contacts(came), v.gadget.contacts(went))
	}
	if len(gone) > 0 {
		v.activitiesChanged(nil, gone)
	}
	if len(gone)+len(went) == 0 {
		v.gadget.glimpsed(touched)
	}
}

func (v *View) activitiesChanged(added, removed []olpc.Activity) {
	if v.events.ActivitiesChanged != nil {
		v.events.ActivitiesChanged(v.gadget.references(added), v.gadget.references(removed))
	}
}

// missing is who is in a and not in b.
func missing(a, b map[jid.JID]bool) map[jid.JID]bool {
	d := make(map[jid.JID]bool)
	for who := range a {
		if !b[who] {
			d[who] = true
		}
	}
	return d
}
