package presence

import (
	"maps"
	"slices"
	"sort"
	"time"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// othersFirst is how long who has only joined an activity leaves it to others to
// invite the component.
const othersFirst = 10 * time.Second

// invite invites the component to all activities of the user that everybody may
// see, as far as that was not done.
func (g *Gadget) invite() {
	public := make(map[jid.JID]bool)
	for _, x := range g.activities.public() {
		public[x.Room] = true
	}
	maps.DeleteFunc(g.invited, func(room jid.JID, _ bool) bool { return !public[room] })
	if !g.publishing || g.rooms == (jid.JID{}) {
		return
	}
	for room := range public {
		if g.invited[room] || !g.activities.isJoined(room) {
			continue
		}
		g.invited[room] = true
		if g.activities.own.find(room).byJoining {
			g.host.After(othersFirst, "component not invited", func() { g.inviteTo(room) })
		} else {
			g.inviteTo(room)
		}
	}
}

// inviteTo invites the component to an activity unless it is in there: first by a
// message that says what it is, as children are invited.
func (g *Gadget) inviteTo(room jid.JID) {
	a := g.activities
	if !g.publishing || !g.invited[room] || !a.isPublic(room) || !a.isJoined(room) || a.rooms.IsInside(room, g.rooms) {
		return
	}
	g.host.Send(olpc.BuildInvitation(g.rooms, a.described(a.own.find(room))))
	g.host.Send(muc.BuildInvitation(room, g.rooms, gadget.InviteReason))
}

func (g *Gadget) isSelf(who jid.JID) bool { return who == g.host.Self().Bare() }

// admits tells whether the component may name one more room, whose handle stays
// for ever.
func (g *Gadget) admits(room jid.JID) bool {
	_, known := g.host.Handles().Rooms.Lookup(room)
	if !known && g.fresh == maxShownRooms {
		return false
	}
	if !known {
		g.fresh++
	}
	return true
}

// admitsBuddy tells whether the component may show somebody: People keeps only so
// many of whom nobody else knows, and their handles stay for ever.
func (g *Gadget) admitsBuddy(who jid.JID) bool { return g.isSelf(who) || g.people.admit(who) != nil }

// contacts gives people as D-Bus has them.
func (g *Gadget) contacts(people map[jid.JID]bool) []uint32 {
	list := make([]uint32, 0, len(people))
	for who := range people {
		list = append(list, g.host.Handles().Contacts.Ensure(who))
	}
	slices.Sort(list)
	return list
}

// byHandle gives people in an order that is the same each time.
func (g *Gadget) byHandle(people map[jid.JID]bool) []jid.JID {
	list := make([]jid.JID, 0, len(people))
	for _, h := range g.contacts(people) {
		who, _ := g.host.Handles().Contacts.ID(h)
		if !g.isSelf(who) {
			list = append(list, who)
		}
	}
	return list
}

// references gives activities as D-Bus has them, in the order of their rooms.
func (g *Gadget) references(list []olpc.Activity) []ActivityReference {
	refs := g.activities.references(list)
	sort.Slice(refs, func(i, j int) bool { return refs[i].Room < refs[j].Room })
	return refs
}

// search asks the component what a buddy looks like, because it does not say so
// itself.
func (g *Gadget) search(who jid.JID, done func(olpc.Properties)) {
	if g.buddies == (jid.JID{}) || !g.publishing {
		done(nil)
		return
	}
	q := gadget.Request{Kind: gadget.Buddies, Criteria: gadget.Criteria{JID: who}}
	g.host.Ask(q.IQ(g.buddies), func(reply *stanza.Element, err error) {
		c, _ := gadget.ParseContent(reply)
		i := slices.IndexFunc(c.Buddies, func(b gadget.Buddy) bool { return b.JID == who })
		if err != nil || i < 0 {
			done(nil)
			return
		}
		done(c.Buddies[i].Properties)
	})
}
