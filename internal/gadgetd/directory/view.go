package directory

import (
	"maps"
	"slices"
	"strings"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// view is a view of a client.
type view struct {
	sought
	d       *Directory
	owner   jid.JID // full
	id      string
	size    int
	members map[*item]bool
	waiting bool // it is in the hall's hungry

	isDirty bool
	news    map[*item]*news
	touches map[*person]change
}

// change says what is new of a person.
type change uint8

const (
	changedAlias change = 1 << iota
	changedProps
	changedCurrent
)

// fate is what has become of an item in a view since the last flush.
type fate uint8

const (
	stays    fate = iota
	comes         // and was not there before
	goes          // and was
	replaced      // went, and is back
)

// news is what the owner of a view has yet to be told of an item.
type news struct {
	fate    fate
	props   bool
	members map[*person]bool // of an activity that stays: joined or left
}

// Open opens a view and gives its content. What does not fit into one answer
// comes at the next flush. A view with the same id, of the same client, is
// replaced: clients number them from 1 in each life.
func (d *Directory) Open(owner jid.JID, r gadget.Request) (gadget.Content, *stanza.Error) {
	d.closeView(d.views[owner][r.View])
	if d.viewsOf(owner.Bare()) >= d.cfg.Views {
		return gadget.Content{}, &stanza.Error{Type: stanza.TypeWait, Condition: stanza.ResourceConstraint, Text: "Too many views"}
	}
	v := &view{
		sought: newSought(r), d: d, owner: owner, id: r.View, size: min(r.Size, d.cfg.Size),
		members: make(map[*item]bool), news: make(map[*item]*news), touches: make(map[*person]change),
	}
	if d.views[owner] == nil {
		d.views[owner] = make(map[string]*view)
	}
	d.views[owner][r.View] = v
	if d.clients[owner.Bare()] == nil {
		d.clients[owner.Bare()] = make(map[jid.JID]bool)
	}
	d.clients[owner.Bare()][owner] = true
	d.count[r.Kind]++
	d.fill(v)
	return d.begin(v), nil
}

// begin gives the first content of a view and leaves the rest to the flush.
func (d *Directory) begin(v *view) gadget.Content {
	c := gadget.Content{Kind: v.kind, View: v.id, Size: v.size}
	room := maxBytes
	for it := range v.members {
		if room -= it.bytes(); room < 0 && len(c.Buddies)+len(c.Activities) > 0 {
			continue
		}
		delete(v.news, it)
		if it.person != nil {
			c.Buddies = append(c.Buddies, it.person.buddy())
			if !d.effective(it.person).isNone() {
				v.touched(it.person, changedCurrent)
			}
			continue
		}
		a, rest := it.activity.tell(maxBytes)
		c.Activities = append(c.Activities, a)
		for _, p := range rest {
			v.moved(it.activity, p, true)
		}
		v.touchMembers(it.activity)
	}
	return c
}

// touchMembers has it told what those in an activity are doing, which has no
// place where the activity itself is told.
func (v *view) touchMembers(a *activity) {
	for p := range a.members {
		if !v.d.effective(p).isNone() {
			v.touched(p, changedCurrent)
		}
	}
}

// Search answers a question that is asked once.
func (d *Directory) Search(r gadget.Request) gadget.Content {
	s := newSought(r)
	n := d.cfg.Size
	if r.Size > 0 {
		n = min(n, r.Size)
	}
	c := gadget.Content{Kind: r.Kind, Size: r.Size}
	room := maxBytes
	for _, it := range d.halls[r.Kind].find(&s, n, func(*item) bool { return false }) {
		if room -= it.bytes(); room < 0 && len(c.Buddies)+len(c.Activities) > 0 {
			break
		}
		if it.person != nil {
			c.Buddies = append(c.Buddies, it.person.buddy())
		} else {
			a, _ := it.activity.tell(maxBytes)
			c.Activities = append(c.Activities, a)
		}
	}
	return c
}

// Close closes one view of a client.
func (d *Directory) Close(owner jid.JID, c gadget.Close) {
	if v := d.views[owner][c.View]; v != nil && v.kind == c.Kind {
		d.closeView(v)
	}
}

// CloseAll closes all views of a client.
func (d *Directory) CloseAll(owner jid.JID) {
	for _, v := range d.views[owner] {
		d.closeView(v)
	}
}

// CloseAccount closes the views of all clients of an account.
func (d *Directory) CloseAccount(who jid.JID) {
	for owner := range d.clients[who] {
		d.CloseAll(owner)
	}
}

// viewsOf counts the views of all clients of an account.
func (d *Directory) viewsOf(who jid.JID) int {
	n := 0
	for owner := range d.clients[who] {
		n += len(d.views[owner])
	}
	return n
}

// Viewers lists all clients that have views.
func (d *Directory) Viewers() []jid.JID { return slices.Collect(maps.Keys(d.views)) }

// HasViews tells whether a client has any.
func (d *Directory) HasViews(owner jid.JID) bool { return len(d.views[owner]) > 0 }

func (d *Directory) closeView(v *view) {
	if v == nil {
		return
	}
	for it := range v.members {
		delete(it.views, v)
	}
	v.members = nil
	v.rest()
	clear(v.news)
	clear(v.touches)
	delete(d.views[v.owner], v.id)
	if len(d.views[v.owner]) == 0 {
		delete(d.views, v.owner)
		delete(d.clients[v.owner.Bare()], v.owner)
		if len(d.clients[v.owner.Bare()]) == 0 {
			delete(d.clients, v.owner.Bare())
		}
	}
	d.count[v.kind]--
}

// takes tells whether an item belongs into a view. Nobody needs to be shown
// themselves.
func (v *view) takes(it *item) bool {
	return it.shown && !(it.person != nil && it.person.jid == v.owner.Bare()) && v.fits(it)
}

// fill looks for what a view has room for, and lets it wait for the rest.
func (d *Directory) fill(v *view) {
	if n := v.size - len(v.members); n > 0 {
		for _, it := range d.halls[v.kind].find(&v.sought, n, func(it *item) bool { return v.members[it] || !v.takes(it) }) {
			v.add(it)
		}
	}
	if len(v.members) < v.size {
		v.wait()
	} else {
		v.rest()
	}
}

// place is the key under which a view waits.
func (v *view) place() key {
	if len(v.keys) == 0 {
		return 0
	}
	return v.keys[0]
}

func (v *view) wait() {
	if v.waiting {
		return
	}
	v.waiting = true
	hungry := v.d.halls[v.kind].hungry
	if hungry[v.place()] == nil {
		hungry[v.place()] = make(map[*view]bool)
	}
	hungry[v.place()][v] = true
}

// rest ends a wait.
func (v *view) rest() {
	if !v.waiting {
		return
	}
	v.waiting = false
	hungry := v.d.halls[v.kind].hungry
	delete(hungry[v.place()], v)
	if len(hungry[v.place()]) == 0 {
		delete(hungry, v.place())
	}
}

// refile is what follows a change of an item: it is found by other keys, leaves
// the views that it does not belong into any more and comes into those that
// wait for it.
func (d *Directory) refile(it *item, keys []key) {
	kind := gadget.Buddies
	if it.activity != nil {
		kind = gadget.Activities
	}
	h := &d.halls[kind]
	h.file(it, keys)
	var left []*view
	for v := range it.views {
		if !v.takes(it) {
			left = append(left, v)
		}
	}
	for _, v := range left {
		v.remove(it)
		d.fill(v)
	}
	if !it.shown {
		return
	}
	d.offer(h.hungry[0], it)
	for _, k := range it.keys {
		d.offer(h.hungry[k], it)
	}
}

// offer puts an item into the views that wait for it.
func (d *Directory) offer(views map[*view]bool, it *item) {
	for v := range views {
		if v.members[it] || !v.takes(it) {
			continue
		}
		v.add(it)
		if len(v.members) == v.size {
			v.rest()
		}
	}
}

func (v *view) add(it *item) {
	v.members[it] = true
	if it.views == nil {
		it.views = make(map[*view]bool)
	}
	it.views[v] = true
	n := v.newsOf(it)
	if n.fate == goes {
		n.fate = replaced
	} else {
		n.fate = comes
	}
}

func (v *view) remove(it *item) {
	delete(v.members, it)
	delete(it.views, v)
	n := v.newsOf(it)
	if n.fate == comes {
		delete(v.news, it) // nobody was told of it
		return
	}
	*n = news{fate: goes}
}

// changed notes that an item's properties have changed.
func (v *view) changed(it *item) { v.newsOf(it).props = true }

// moved notes that somebody has joined or left an activity.
func (v *view) moved(a *activity, p *person, joined bool) {
	n := v.newsOf(&a.item)
	if n.fate != stays {
		return // it is told whole
	}
	if was, ok := n.members[p]; ok && was != joined {
		delete(n.members, p)
		return
	}
	if n.members == nil {
		n.members = make(map[*person]bool)
	}
	n.members[p] = joined
}

// touched notes that something is new of somebody.
func (v *view) touched(p *person, what change) {
	if what != 0 {
		v.mark()
		v.touches[p] |= what
	}
}

func (v *view) newsOf(it *item) *news {
	v.mark()
	n := v.news[it]
	if n == nil {
		n = new(news)
		v.news[it] = n
	}
	return n
}

// mark has the view flushed.
func (v *view) mark() {
	if v.isDirty {
		return
	}
	v.isDirty = true
	if v.d.dirty = append(v.d.dirty, v); len(v.d.dirty) == 1 {
		v.d.cfg.Dirty()
	}
}

// shows tells whether somebody is in a view, alone or in an activity.
func (v *view) shows(p *person) bool {
	if v.kind == gadget.Buddies {
		return v.members[&p.item]
	}
	for a := range p.in {
		if v.members[&a.item] {
			return true
		}
	}
	return false
}

// tell gives an activity with as many of its members as fit, and the others.
func (a *activity) tell(room int) (gadget.Activity, []*person) {
	told := gadget.Activity{Activity: a.Activity, Properties: a.props}
	room -= a.weight
	members := slices.SortedFunc(maps.Keys(a.members), func(p, q *person) int { return strings.Compare(p.jid.String(), q.jid.String()) })
	for i, p := range members {
		if room -= p.bytes(); room < 0 && i > 0 {
			return told, members[i:]
		}
		told.Buddies = append(told.Buddies, p.buddy())
	}
	return told, nil
}

// bytes estimates what an item takes on the wire, with its members.
func (it *item) bytes() int {
	const frame = 200
	if it.person != nil {
		return frame + it.person.weight
	}
	n := frame + it.activity.weight
	for p := range it.activity.members {
		n += p.bytes()
	}
	return min(n, maxBytes)
}

// known is the current activity of somebody as it is told.
func (d *Directory) known(p *person) olpc.Activity { return olpc.Activity(d.effective(p)) }
