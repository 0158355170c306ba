package presence

import (
	"slices"
	"strconv"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// introduction is how long a contact's activities are kept back when
	// nobody has asked about the contact since it came on-line. Sugar's
	// handler raises KeyError for a buddy whose attributes it has not got yet,
	// and never shows that buddy in its activities afterwards.
	introduction = 5 * time.Second
	// grace is how long the events of a contact that has come on-line may be
	// on their way before it is asked itself.
	grace = 300 * time.Millisecond
)

// Rooms is what activities need to know of the rooms they happen in.
type Rooms interface {
	IsJoined(room jid.JID) bool
	// IsOwn tells whether the occupant, a full JID, is the user.
	IsOwn(occupant jid.JID) bool
	// IsInside tells whether somebody, a bare address, is known to be in a room.
	IsInside(room, who jid.JID) bool
	// Known says that clients have been told what the activity in a room is.
	Known(room jid.JID)
	// Withdrawn says that somebody, a bare address, has taken an invitation back.
	Withdrawn(room, by jid.JID)
}

// Activities is what is known of Sugar's shared activities: what they are,
// which contacts take part in them, and what the user announces. BuddyInfo and
// ActivityProperties are its two D-Bus sides.
//
// Contacts' data come as personal events. Because events get lost (ejabberd
// 23.01, when two subscriptions overlap), what is missing when a client asks
// is fetched, once for all who ask; after that answers come from here as long
// as the contact is on-line.
//
// Signals of a contact begin when it was announced as on-line; its activities
// only when it is introduced, see [Activities.Introduced]. What an activity is
// is told before who takes part in it.
type Activities struct {
	host   Host
	people *People
	events *PersonalEvents
	rooms  Rooms   // nil: nothing is joined
	gadget *Gadget // nil: nobody asks for one

	acquaintances *Acquaintances // nil: there are none

	book      map[jid.JID]*activity // by room
	buddies   map[jid.JID]*buddy
	strangers int // buddies with stranger set
	newcomers map[uint32]newcomer
	shown     map[jid.JID]*shown // by room
	fetches   fetches
	own       announcements
	closed    bool // by Disconnecting
}

// activity is what is known of the activity in a room.
type activity struct {
	room       jid.JID
	properties olpc.Properties // empty: nothing known
	told       olpc.Properties // as last announced
	holders    int             // lists with this room; without any it is forgotten
}

// newcomer is a contact who has just come on-line, by handle in newcomers.
type newcomer struct {
	*arrival
	introduced bool
}

// arrival is a group of newcomers of the same moment.
type arrival struct {
	contacts []*Contact
	settled  bool // the grace is over
}

// NewActivities knows nothing yet. It is made after the one who tells of
// contacts coming on-line, so that this is always told first.
func NewActivities(h Host, p *People, events *PersonalEvents) *Activities {
	a := &Activities{
		host: h, people: p, events: events,
		book:      make(map[jid.JID]*activity),
		buddies:   make(map[jid.JID]*buddy),
		newcomers: make(map[uint32]newcomer),
		shown:     make(map[jid.JID]*shown),
	}
	for n, name := range nodeNames {
		events.Read(name, a.eventHandler(node(n)))
	}
	p.Watch(Watcher{Presence: a.handlePresence, Left: a.handleLeft, Flush: a.handleFlush})
	return a
}

// Use says which rooms there are.
func (a *Activities) Use(rooms Rooms) { a.rooms = rooms }

// Disconnecting takes back what is published of activities, since the user
// leaves them all, and answers those who wait for a contact's data. Nobody waits
// for the server's answers: what does not arrive is cleared when the next session
// begins.
func (a *Activities) Disconnecting() {
	public := len(a.public()) > 0
	a.own.list, a.own.current = nil, olpc.Activity{}
	if public {
		for _, n := range []node{nodeDescriptions, nodeActivities, nodeCurrent} {
			a.host.Send(pep.BuildPublish(nodeNames[n], a.payload(n)).With(stanza.A("id", "gone"+strconv.Itoa(int(n)))))
		}
	}
	a.closed = true
	for _, b := range a.buddies {
		b.retry.Stop()
		for n := range b.nodes {
			b.nodes[n].answer(errDisconnected())
		}
	}
}

// Introduced notes that a client has been told the contact's attributes, or
// was about to ask for its activities: from now on it knows who is meant when
// they change.
func (a *Activities) Introduced(contact uint32) {
	c, is := a.newcomers[contact]
	if !is || c.introduced {
		return
	}
	c.introduced = true
	if c.settled {
		delete(a.newcomers, contact)
	} else {
		a.newcomers[contact] = c
	}
	bare, _ := a.host.Handles().Contacts.ID(contact)
	if b := a.buddies[bare]; b != nil {
		a.tell(b)
	}
	a.acquaintances.answer(bare)
}

// isIntroduced tells whether clients know who is meant when a contact does
// something.
func (a *Activities) isIntroduced(c *Contact) bool {
	n, is := a.newcomers[c.Handle]
	return c.seen && (!is || n.introduced)
}

// isFresh tells whether the contact's events may still be on their way.
func (a *Activities) isFresh(contact uint32) bool {
	c, is := a.newcomers[contact]
	return is && !c.settled
}

// handleFlush takes contacts who have come on-line or gone off-line; clients
// have just been told.
func (a *Activities) handleFlush(appeared, gone []*Contact) {
	for _, c := range gone {
		delete(a.newcomers, c.Handle)
		if b := a.buddies[c.JID]; b != nil {
			b.unwant()
			a.tell(b)
			a.fetchWanted(b)
		}
	}
	if len(appeared) == 0 {
		return
	}
	group := a.arrive(appeared)
	for _, c := range appeared {
		a.newcomers[c.Handle] = newcomer{arrival: group}
		if b := a.buddies[c.JID]; b != nil {
			a.tell(b)
		}
	}
	a.host.After(introduction, "introduce contacts", func() { a.introduce(group) })
}

// arrive begins the grace of contacts.
func (a *Activities) arrive(contacts []*Contact) *arrival {
	group := &arrival{contacts: contacts}
	a.host.After(grace, "contacts' events overdue", func() { a.settle(group) })
	return group
}

// settle ends the grace: what was asked for meanwhile and has not come is
// fetched.
func (a *Activities) settle(group *arrival) {
	group.settled = true
	for _, c := range group.contacts {
		n := a.newcomers[c.Handle]
		if n.arrival != group {
			continue // has come again since
		}
		if n.introduced {
			delete(a.newcomers, c.Handle)
		}
		if b := a.buddies[c.JID]; b != nil {
			a.fetchWanted(b)
		}
	}
}

// introduce stops keeping back the activities of contacts nobody asked about.
func (a *Activities) introduce(group *arrival) {
	for _, c := range group.contacts {
		if a.newcomers[c.Handle].arrival == group {
			a.Introduced(c.Handle)
		}
	}
}

// handlePresence notes that a buddy is there. One who went and came back within
// one burst was never announced as gone, so nobody is going to ask again.
func (a *Activities) handlePresence(c *Contact, _ jid.JID, _ *stanza.Element) {
	b := a.buddies[c.JID]
	if b == nil || b.online {
		return
	}
	b.online = true
	a.befriend(b)
	if _, is := a.newcomers[c.Handle]; c.seen && !is {
		a.newcomers[c.Handle] = newcomer{a.arrive([]*Contact{c}), true}
	}
}

// handleLeft forgets what a contact does when its last device goes. Its
// activities are taken back while clients still know who it is.
func (a *Activities) handleLeft(c *Contact, _ jid.JID) {
	b := a.buddies[c.JID]
	if b == nil || c.Online() || !b.online {
		return
	}
	b.leave()
	a.hold(b)
	a.tell(b)
}

// hold makes the book keep the rooms of a buddy's lists, and no longer those
// that were there before.
func (a *Activities) hold(b *buddy) {
	before := b.rooms
	b.rooms = b.listed()
	for _, room := range b.rooms {
		a.acquire(room)
	}
	for _, room := range before {
		a.release(room)
	}
}

func (a *Activities) acquire(room jid.JID) {
	x := a.book[room]
	if x == nil {
		x = &activity{room: room}
		a.book[room] = x
	}
	x.holders++
}

func (a *Activities) release(room jid.JID) {
	x := a.book[room]
	if x.holders--; x.holders == 0 {
		delete(a.book, room)
	}
}

// claim takes what a contact says of an activity. Of one the user takes part
// in the user and the others in the room know better.
func (a *Activities) claim(said olpc.ActivityProperties) {
	x := a.book[said.Room]
	if len(said.Properties) == 0 || len(x.properties) > 0 && a.own.find(said.Room) != nil {
		return
	}
	x.properties = said.Properties
}

// IsKnown tells whether it is known what the activity in a room is.
func (a *Activities) IsKnown(room jid.JID) bool {
	x := a.book[room]
	return x != nil && len(x.properties) > 0
}

// tellProperties announces what an activity is, if that is news.
func (a *Activities) tellProperties(x *activity) {
	if len(x.properties) == 0 || x.told.Equal(x.properties) {
		return
	}
	x.told = x.properties
	a.host.Emit(tp.SignalActivityPropertiesActivityPropertiesChanged, a.roomHandle(x.room), variants(x.properties))
}

// findActivity gives the room of an activity: the user's own, else the one that
// was known first.
func (a *Activities) findActivity(id string) (room uint32, known bool) {
	for _, o := range a.own.list {
		if o.ID == id {
			return a.roomHandle(o.Room), true
		}
	}
	consider := func(x olpc.Activity) {
		if h := a.roomHandle(x.Room); x.ID == id && (!known || h < room) {
			room, known = h, true
		}
	}
	for _, b := range a.buddies {
		for _, x := range b.activities() {
			consider(x)
		}
	}
	for _, s := range a.shown {
		consider(s.Activity)
	}
	return room, known
}

// findID gives the activity in a room as the contact known first names it.
func (a *Activities) findID(room jid.JID) (id string) {
	var by uint32
	for _, b := range a.buddies {
		if named := idIn(b.activities(), room); named != "" && (id == "" || b.handle < by) {
			id, by = named, b.handle
		}
	}
	if s := a.shown[room]; id == "" && s != nil {
		return s.ID
	}
	return id
}

func idIn(list []olpc.Activity, room jid.JID) string {
	if i := slices.IndexFunc(list, inRoom(room)); i >= 0 {
		return list[i].ID
	}
	return ""
}

func inRoom(room jid.JID) func(olpc.Activity) bool {
	return func(x olpc.Activity) bool { return x.Room == room }
}

func (a *Activities) roomHandle(room jid.JID) uint32 { return a.host.Handles().Rooms.Ensure(room) }

func (a *Activities) isJoined(room jid.JID) bool { return a.rooms != nil && a.rooms.IsJoined(room) }
