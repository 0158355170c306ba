package presence

import (
	"slices"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxStrangers is how many people are listened to who are neither on-line
	// nor in the roster. Anybody can make up any number of them, and whoever
	// comes on-line is asked anyway.
	maxStrangers = 256
	// maxRooms is how many rooms nobody else has named one contact may name,
	// as their handles stay for ever.
	maxRooms = 1000
)

// node is one of the four personal nodes of Sugar.
type node int

const (
	nodeProperties node = iota
	nodeActivities
	nodeDescriptions
	nodeCurrent
)

var nodeNames = [...]string{
	nodeProperties:   olpc.NodeBuddyProperties,
	nodeActivities:   olpc.NodeActivities,
	nodeDescriptions: olpc.NodeActivityProperties,
	nodeCurrent:      olpc.NodeCurrentActivity,
}

// buddy is a contact that told something about itself or was asked about.
type buddy struct {
	jid      jid.JID // bare
	handle   uint32
	online   bool
	stranger bool // neither on-line nor in the roster, and never was
	named    int  // rooms that nobody had named before
	nodes    [len(nodeNames)]nodeState
	retries  int
	retry    *loop.Timer

	properties olpc.Properties // nil: never known
	list       []olpc.Activity // as it published them
	invited    []olpc.Activity // to which it invited the user
	described  []jid.JID       // rooms of which it published the properties
	current    olpc.Activity
	glimpse    glimpse
	rooms      []jid.JID // held in the book

	toldProperties olpc.Properties
	told           []olpc.Activity
	toldCurrent    olpc.Activity
}

// activities are all that the buddy is known to take part in.
func (b *buddy) activities() []olpc.Activity {
	all := slices.Clone(b.list)
	all = append(all, withoutRooms(b.invited, all)...)
	return append(all, withoutRooms(b.seenIn(), all)...)
}

// listed are the rooms of all its lists, each once.
func (b *buddy) listed() []jid.JID {
	rooms := make([]jid.JID, 0, len(b.list)+len(b.invited)+len(b.glimpse.list))
	for _, x := range b.activities() {
		rooms = append(rooms, x.Room)
	}
	for _, room := range b.described {
		if !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	return rooms
}

// leave forgets what does not outlast the buddy's going off-line. Its
// properties stay, but are asked for again.
func (b *buddy) leave() {
	b.online = false
	b.retry.Stop()
	b.retries = 0
	for n := range b.nodes {
		b.nodes[n].known = false
		b.nodes[n].item = ""
	}
	b.invited = nil
	b.glimpse = glimpse{}
	b.rest()
}

// rest forgets what the buddy does.
func (b *buddy) rest() { b.list, b.described, b.current = nil, nil, olpc.Activity{} }

// buddy returns the entry of a contact, also of one nothing is known of.
func (a *Activities) buddy(bare jid.JID) *buddy {
	b := a.buddies[bare]
	if b == nil {
		c := a.people.Find(bare)
		b = &buddy{jid: bare, handle: a.host.Handles().Contacts.Ensure(bare), online: c != nil && c.Online()}
		a.buddies[bare] = b
	}
	return b
}

// hear returns the entry of who says something; nil if that is nobody to
// listen to: the user's own echo, somebody in a room, one stranger too many.
func (a *Activities) hear(bare jid.JID) *buddy {
	if bare == a.host.Self().Bare() || a.isJoined(bare) {
		return nil
	}
	if b := a.buddies[bare]; b != nil {
		return b
	}
	c := a.people.Find(bare)
	stranger := (c == nil || !c.Online()) && !a.people.rostered(bare)
	if stranger && a.strangers == maxStrangers {
		a.host.Log().WithField("peer", bare).Debug("Too many strangers to listen to this one")
		return nil
	}
	b := a.buddy(bare)
	if stranger {
		b.stranger = true
		a.strangers++
	}
	return b
}

// befriend notes that somebody has come on-line and is no stranger any more.
func (a *Activities) befriend(b *buddy) {
	if b.stranger {
		b.stranger = false
		a.strangers--
	}
}

// eventHandler takes the events of a node.
func (a *Activities) eventHandler(n node) func(pep.Event) {
	return func(e pep.Event) {
		b := a.hear(e.Owner)
		if b == nil {
			return
		}
		s := &b.nodes[n]
		var payload *stanza.Element
		switch e.Kind {
		case pep.Published:
			payload = e.Item.Payload
			if payload == nil { // the server leaves it out
				a.invalidate(b, n)
				return
			}
		case pep.Retracted:
			if e.Item.ID == "" || s.item == "" {
				a.invalidate(b, n)
				return
			}
			if e.Item.ID != s.item { // what this one has replaced
				return
			}
		}
		if !a.take(b, n, payload) {
			a.host.Log().WithField("peer", b.jid).WithField("node", nodeNames[n]).Debug("Event without sense")
			return
		}
		s.known, s.item = true, e.Item.ID
		a.tell(b)
		s.answer(nil)
	}
}

// take makes payload what is known from a node, nil for nothing. It is false
// when that is none of the node's payloads.
func (a *Activities) take(b *buddy, n node, payload *stanza.Element) bool {
	if payload == nil {
		b.empty(n)
	} else if !a.parse(b, n, payload) {
		return false
	}
	a.hold(b)
	return true
}

func (b *buddy) empty(n node) {
	switch n {
	case nodeProperties:
		b.properties = olpc.Properties{}
	case nodeActivities:
		b.list = nil
	case nodeDescriptions:
		b.described = nil
	case nodeCurrent:
		b.current = olpc.Activity{}
	}
}

func (a *Activities) parse(b *buddy, n node, payload *stanza.Element) (is bool) {
	switch n {
	case nodeProperties:
		var p olpc.Properties
		if p, is = olpc.ParseBuddyProperties(payload); is {
			b.properties = p
		}
	case nodeActivities:
		var list []olpc.Activity
		if list, is = olpc.ParseActivities(payload); is {
			b.list = slices.DeleteFunc(list, func(x olpc.Activity) bool { return !a.mayName(b, x.Room) })
			a.fetchDescriptions(b)
		}
	case nodeDescriptions:
		var list []olpc.ActivityProperties
		if list, is = olpc.ParseActivityProperties(payload); is {
			a.describe(b, list)
		}
	case nodeCurrent:
		var x olpc.Activity
		if x, is = olpc.ParseCurrentActivity(payload); is && !x.Room.IsZero() && !a.mayName(b, x.Room) {
			x = olpc.Activity{}
		}
		if is {
			b.current = x
		}
	}
	return is
}

// mayName tells whether the buddy may speak of a room.
func (a *Activities) mayName(b *buddy, room jid.JID) bool {
	if _, named := a.host.Handles().Rooms.Lookup(room); named {
		return true
	}
	if b.named == maxRooms {
		return false
	}
	b.named++
	a.roomHandle(room)
	return true
}

// describe takes all that a buddy says of activities.
func (a *Activities) describe(b *buddy, list []olpc.ActivityProperties) {
	list = slices.DeleteFunc(list, func(x olpc.ActivityProperties) bool { return !a.mayName(b, x.Room) })
	b.described = make([]jid.JID, len(list))
	for i, x := range list {
		b.described[i] = x.Room
	}
	a.hold(b)
	for _, x := range list {
		a.claim(x)
	}
}

// tell announces what is new about a buddy, if it is time.
func (a *Activities) tell(b *buddy) {
	c := a.people.Find(b.jid)
	seen := c != nil && c.seen
	if look := b.look(); seen && !b.toldProperties.Equal(look) {
		b.toldProperties = look
		a.host.Emit(tp.SignalBuddyInfoPropertiesChanged, b.handle, variants(look))
	}
	// Who is not on-line may still invite, and take that back.
	if n, is := a.newcomers[b.handle]; is && !n.introduced || !seen && len(b.invited)+len(b.told) == 0 {
		return
	}
	for _, room := range b.rooms {
		a.tellProperties(a.book[room])
	}
	list := b.activities()
	if !slices.Equal(list, b.told) {
		b.told = list
		a.host.Emit(tp.SignalBuddyInfoActivitiesChanged, b.handle, a.references(list))
	}
	if current := b.watched(); seen && current != b.toldCurrent {
		b.toldCurrent = current
		id, room := a.currentReference(current, list)
		a.host.Emit(tp.SignalBuddyInfoCurrentActivityChanged, b.handle, id, room)
	}
}

// currentReference gives a current activity as D-Bus has it. An id that is left
// out is that of the room in list.
func (a *Activities) currentReference(x olpc.Activity, list []olpc.Activity) (id string, room uint32) {
	if x.Room.IsZero() {
		return "", 0
	}
	if x.ID == "" {
		x.ID = idIn(list, x.Room)
	}
	return x.ID, a.roomHandle(x.Room)
}

// reference is an activity as D-Bus has it, (su).
type reference struct {
	ID   string
	Room uint32
}

func (a *Activities) references(list []olpc.Activity) []reference {
	refs := make([]reference, len(list))
	for i, x := range list {
		refs[i] = reference{x.ID, a.roomHandle(x.Room)}
	}
	return refs
}
