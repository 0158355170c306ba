package presence

import (
	"maps"
	"slices"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
)

// doubts is what a view showed before its component started again, and has not
// been told since.
type doubts struct {
	timer      *loop.Timer
	buddies    map[jid.JID]bool
	activities map[jid.JID]bool
	members    map[jid.JID]map[jid.JID]bool // by activity's room
}

// doubt keeps what the view shows although the component has started again: it
// learns only little by little who is there, and nobody is to go and come
// meanwhile. What is not told again within some time goes.
func (v *View) doubt() {
	v.trust()
	d := &doubts{buddies: maps.Clone(v.buddies), activities: make(map[jid.JID]bool), members: make(map[jid.JID]map[jid.JID]bool)}
	for room, x := range v.activities {
		d.activities[room], d.members[room] = true, maps.Clone(x.members)
	}
	d.timer = v.gadget.host.After(mourning, "what a view showed", v.settle)
	v.doubts = d
}

// trust forgets what was doubtful.
func (v *View) trust() {
	if v.doubts != nil {
		v.doubts.timer.Stop()
		v.doubts = nil
	}
}

// settle takes away what was not told again.
func (v *View) settle() {
	d := v.doubts
	v.trust()
	gone := gadget.Removed{Buddies: slices.Collect(maps.Keys(d.buddies))}
	for room := range d.activities {
		gone.Activities = append(gone.Activities, v.activities[room].Activity)
	}
	v.remove(gone)
	for room, members := range d.members {
		v.change(gadget.Membership{Room: room, Left: slices.Collect(maps.Keys(members))})
	}
}

// confirm notes what has been told of again, and takes away of the rest what
// there is no place for beside it.
func (v *View) confirm(n gadget.Added) {
	d := v.doubts
	if d == nil {
		return
	}
	buddies, activities := len(v.buddies), len(v.activities)
	for _, b := range n.Buddies {
		delete(d.buddies, b.JID)
		if !v.buddies[b.JID] {
			buddies++
		}
	}
	for _, x := range n.Activities {
		delete(d.activities, x.Room)
		for _, b := range x.Buddies {
			delete(d.members[x.Room], b.JID)
		}
		if v.activities[x.Room] == nil {
			activities++
		}
	}
	var gone gadget.Removed
	for who := range d.buddies {
		if buddies-len(gone.Buddies) > v.request.Size {
			gone.Buddies = append(gone.Buddies, who)
		}
	}
	for room := range d.activities {
		if activities-len(gone.Activities) > v.request.Size {
			gone.Activities = append(gone.Activities, v.activities[room].Activity)
		}
	}
	v.remove(gone)
}

// doubtful are the members of an activity who have not been told of again.
func (v *View) doubtful(room jid.JID) map[jid.JID]bool {
	members := make(map[jid.JID]bool)
	if v.doubts != nil {
		maps.Copy(members, v.doubts.members[room])
	}
	return members
}

// dispel notes that there is no doubt of what goes.
func (v *View) dispel(n gadget.Removed) {
	if v.doubts == nil {
		return
	}
	for _, who := range n.Buddies {
		delete(v.doubts.buddies, who)
	}
	for _, x := range n.Activities {
		delete(v.doubts.activities, x.Room)
		delete(v.doubts.members, x.Room)
	}
}

// sure notes that it is known whether somebody is in an activity.
func (v *View) sure(room, who jid.JID) {
	if v.doubts != nil {
		delete(v.doubts.members[room], who)
	}
}
