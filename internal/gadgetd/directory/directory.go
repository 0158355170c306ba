// Package directory knows who and what a server component can show, and keeps
// views of it up to date: buddies, activities, and who takes part in which.
//
// It is data alone. What may be shown is decided by who calls it; what it is
// told is public. Views are told of changes by [Directory.Flush], which sums up
// what has happened since the last one, so that a change that is taken back, or
// is one of a thousand in a second, costs the viewers nothing.
//
// All is found by keys: each buddy and activity has one for each thing that it
// can be sought by, and each view that has room left waits under one key of what
// it seeks. So a change costs what it concerns and not what there is, and so
// does a random choice. A Directory belongs to one goroutine.
package directory

import (
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// Config says what a Directory works with.
type Config struct {
	// Notify sends one piece of news to the owner of a view.
	Notify func(owner jid.JID, n gadget.Notification)
	// Dirty runs when there is something to flush, once until the flush.
	Dirty func()
	Limits
}

// Limits of what one client can have.
type Limits struct {
	Views int // of one address, all its devices together
	Size  int // entries in one view or answer
}

// Directory is what can be shown, and the views of it.
type Directory struct {
	cfg Config

	people     map[jid.JID]*person          // shown, or taking part
	activities map[jid.JID]*activity        // by room
	at         map[jid.JID]map[*person]bool // whose current activity is in a room, shown or not
	halls      [2]hall                      // by kind

	views   map[jid.JID]map[string]*view // by full address and id
	clients map[jid.JID]map[jid.JID]bool // full addresses with views, by bare one
	count   [2]int
	dirty   []*view
}

// item is what a view can hold: a buddy or an activity.
type item struct {
	person   *person // one of the two
	activity *activity
	shown    bool
	keys     []key
	views    map[*view]bool // that hold it
}

// person is somebody who is shown as a buddy, takes part in activities, or both.
type person struct {
	item
	jid     jid.JID
	alias   string
	folded  string // alias as it is sought
	props   olpc.Properties
	weight  int           // bytes of it on the wire
	current olpc.Activity // as it was published
	in      map[*activity]bool
}

// activity is a public activity.
type activity struct {
	item
	olpc.Activity
	props   olpc.Properties
	weight  int
	members map[*person]bool
}

// New returns an empty Directory.
func New(cfg Config) *Directory {
	return &Directory{
		cfg: cfg, people: make(map[jid.JID]*person), activities: make(map[jid.JID]*activity), at: make(map[jid.JID]map[*person]bool),
		halls: [2]hall{newHall(), newHall()},
		views: make(map[jid.JID]map[string]*view), clients: make(map[jid.JID]map[jid.JID]bool),
	}
}

// SetLimits changes what clients can have from now on.
func (d *Directory) SetLimits(l Limits) { d.cfg.Limits = l }

// Stats counts what there is.
type Stats struct{ Buddies, Activities, BuddyViews, ActivityViews int }

// Stats counts.
func (d *Directory) Stats() Stats {
	return Stats{d.halls[gadget.Buddies].all.len(), d.halls[gadget.Activities].all.len(), d.count[gadget.Buddies], d.count[gadget.Activities]}
}

// person gives the record of somebody, made if there is none.
func (d *Directory) person(who jid.JID) *person {
	p := d.people[who]
	if p == nil {
		p = &person{jid: who, in: make(map[*activity]bool)}
		p.item.person = p
		d.people[who] = p
	}
	return p
}

// forget drops the record of somebody who is neither shown nor anywhere.
func (d *Directory) forget(p *person) {
	if !p.shown && len(p.in) == 0 {
		d.leaveCurrent(p)
		delete(d.people, p.jid)
	}
}

// ShowBuddy shows a buddy, or changes what is shown of one.
func (d *Directory) ShowBuddy(b gadget.Buddy) {
	p := d.person(b.JID)
	var what change
	if p.alias != b.Alias {
		what |= changedAlias
	}
	if p.props == nil || !p.props.Equal(b.Properties) {
		what |= changedProps
	}
	if p.shown && what == 0 {
		return
	}
	p.alias, p.folded, p.props = b.Alias, fold(b.Alias), b.Properties
	p.weight = weigh(b.Properties) + len(b.Alias)
	if !p.shown && !d.effective(p).isNone() {
		what |= changedCurrent
	}
	p.shown = true
	d.touch(p, what)
	d.refile(&p.item, p.keysOf())
}

// HideBuddy takes a buddy out of all views of buddies. In activities it stays,
// as somebody of whom nothing is known.
func (d *Directory) HideBuddy(who jid.JID) {
	p := d.people[who]
	if p == nil || !p.shown {
		return
	}
	what := changedProps
	if !d.effective(p).isNone() {
		what |= changedCurrent
	}
	p.shown = false
	d.refile(&p.item, nil)
	d.leaveCurrent(p)
	p.alias, p.folded, p.props, p.weight = "", "", nil, 0
	d.touch(p, what) // in activities
	d.forget(p)
}

// SetCurrent tells what a buddy who is shown is doing; the zero value is
// nothing. It is told on only while the activity is public.
func (d *Directory) SetCurrent(who jid.JID, a olpc.Activity) {
	p := d.people[who]
	if p == nil || !p.shown || p.current == a {
		return
	}
	before := d.effective(p)
	d.leaveCurrent(p)
	p.current = a
	if !a.Room.IsZero() {
		if d.at[a.Room] == nil {
			d.at[a.Room] = make(map[*person]bool)
		}
		d.at[a.Room][p] = true
	}
	if d.effective(p) != before {
		d.touch(p, changedCurrent)
	}
}

func (d *Directory) leaveCurrent(p *person) {
	room := p.current.Room
	p.current = olpc.Activity{}
	delete(d.at[room], p)
	if len(d.at[room]) == 0 {
		delete(d.at, room)
	}
}

// current is an activity that may be told.
type current olpc.Activity

func (c current) isNone() bool { return c == current{} }

// effective is somebody's current activity as far as it is public.
func (d *Directory) effective(p *person) current {
	if a := d.activities[p.current.Room]; a != nil {
		return current(a.Activity)
	}
	return current{}
}

// ShowActivity shows an activity, or changes what is shown of one.
func (d *Directory) ShowActivity(a olpc.Activity, props olpc.Properties) {
	act := d.activities[a.Room]
	if act != nil && act.ID != a.ID {
		d.HideActivity(a.Room) // another one in the same room
		act = nil
	}
	if act == nil {
		act = &activity{Activity: a, members: make(map[*person]bool)}
		act.item.activity = act
		d.activities[a.Room] = act
		defer d.touchCurrent(a.Room)
	} else if act.props.Equal(props) {
		return
	}
	act.props, act.weight = props, weigh(props)
	act.shown = true
	for v := range act.views {
		v.changed(&act.item)
	}
	d.refile(&act.item, act.keysOf())
}

// HideActivity takes an activity out of all views, and everybody out of it.
func (d *Directory) HideActivity(room jid.JID) {
	a := d.activities[room]
	if a == nil {
		return
	}
	a.shown = false
	d.refile(&a.item, nil)
	delete(d.activities, room)
	for p := range a.members {
		delete(p.in, a)
		d.forget(p)
	}
	d.touchCurrent(room)
}

// touchCurrent tells that what those are doing who are in a room is public now,
// or is not any more.
func (d *Directory) touchCurrent(room jid.JID) {
	for p := range d.at[room] {
		d.touch(p, changedCurrent)
	}
}

// Join puts somebody into an activity that is shown.
func (d *Directory) Join(room, who jid.JID) {
	a := d.activities[room]
	if a == nil {
		return
	}
	p := d.person(who)
	if a.members[p] {
		return
	}
	a.members[p], p.in[a] = true, true
	for v := range a.views {
		v.moved(a, p, true)
	}
	d.refile(&a.item, a.keysOf())
}

// Leave takes somebody out of an activity.
func (d *Directory) Leave(room, who jid.JID) {
	a, p := d.activities[room], d.people[who]
	if a == nil || p == nil || !a.members[p] {
		return
	}
	delete(a.members, p)
	delete(p.in, a)
	for v := range a.views {
		v.moved(a, p, false)
	}
	d.refile(&a.item, a.keysOf())
	d.forget(p)
}

// touch marks a change of somebody in all views that show it.
func (d *Directory) touch(p *person, what change) {
	for v := range p.views {
		v.touched(p, what)
	}
	for a := range p.in {
		for v := range a.views {
			v.touched(p, what)
		}
	}
}

// buddy is what is told of somebody.
func (p *person) buddy() gadget.Buddy {
	return gadget.Buddy{JID: p.jid, Alias: p.alias, Properties: p.props}
}

// weigh estimates what properties take on the wire.
func weigh(p olpc.Properties) int {
	n := 0
	for name, value := range p {
		n += len(name) + 50
		switch v := value.(type) {
		case string:
			n += len(v)
		case []byte:
			n += len(v) * 4 / 3
		}
	}
	return n
}
