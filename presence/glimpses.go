package presence

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// glimpse is what the views of a server component tell of a buddy. What the
// buddy says itself always goes before it.
type glimpse struct {
	properties olpc.Properties // nil: not told
	list       []olpc.Activity // in which the views show it
	current    olpc.Activity
}

// Glimpse notes that one more view shows a contact, who counts as available as
// long as its own presence does not say otherwise. It is false when there are too
// many people already.
func (p *People) Glimpse(who jid.JID) bool {
	c := p.admit(who)
	if c == nil {
		return false
	}
	c.views++
	c.left = false
	p.touch(c)
	return true
}

// Unglimpse notes that one view less shows a contact.
func (p *People) Unglimpse(who jid.JID) {
	if c := p.contacts[who]; c != nil && c.views > 0 {
		c.views--
		p.touch(c)
	}
}

// Present tells whether the contact counts as being there.
func (c *Contact) Present() bool { return c.Online() || c.views > 0 && !c.left }

// look is what the buddy looks like.
func (b *buddy) look() olpc.Properties {
	if b.glimpse.properties != nil && (b.properties == nil || !b.online) {
		return b.glimpse.properties
	}
	return b.properties
}

// watched is what the buddy looks at.
func (b *buddy) watched() olpc.Activity {
	if !b.online && b.current == (olpc.Activity{}) {
		return b.glimpse.current
	}
	return b.current
}

// seenIn are the activities in which views show the buddy, unless it says itself
// in which it is.
func (b *buddy) seenIn() []olpc.Activity {
	if b.online && b.nodes[nodeActivities].known {
		return nil
	}
	return b.glimpse.list
}

// isGlimpsed tells whether a node of a buddy who is not on-line for us is known
// from views, as well as it can be.
func (a *Activities) isGlimpsed(b *buddy, n node) bool {
	c := a.people.Find(b.jid)
	return !b.online && c != nil && c.Present() && (n != nodeProperties || b.glimpse.properties != nil)
}

// glimpseOf is what views tell of a buddy, to change it; [Activities.glimpsed]
// announces that.
func (a *Activities) glimpseOf(who jid.JID) *glimpse { return &a.buddy(who).glimpse }

// glimpsed announces what views have told of a buddy.
func (a *Activities) glimpsed(who jid.JID) {
	b := a.buddy(who)
	a.befriend(b)
	a.hold(b)
	a.tell(b)
}

// shown is an activity that views show, and in how many.
type shown struct {
	olpc.Activity
	views int
}

// showActivity has the book keep an activity that one more view shows, and
// announces what it is.
func (a *Activities) showActivity(x olpc.Activity, p olpc.Properties) {
	s := a.shown[x.Room]
	if s == nil {
		s = &shown{Activity: x}
		a.shown[x.Room] = s
		a.acquire(x.Room)
	}
	s.views++
	a.redescribe(x, p)
}

// redescribe takes what a view says that an activity is.
func (a *Activities) redescribe(x olpc.Activity, p olpc.Properties) {
	a.claim(olpc.ActivityProperties{Activity: x, Properties: p})
	a.tellProperties(a.book[x.Room])
}

// hideActivity forgets an activity when no view shows it any more.
func (a *Activities) hideActivity(room jid.JID) {
	s := a.shown[room]
	if s.views--; s.views == 0 {
		delete(a.shown, room)
		a.release(room)
	}
}

// inviteGadget has a server component told of what everybody may see now.
func (a *Activities) inviteGadget() {
	if a.gadget != nil {
		a.gadget.invite()
	}
}

// withoutRooms leaves out the activities in rooms that are in the other list.
func withoutRooms(list, others []olpc.Activity) []olpc.Activity {
	return slices.DeleteFunc(slices.Clone(list), func(x olpc.Activity) bool {
		return slices.ContainsFunc(others, inRoom(x.Room))
	})
}
