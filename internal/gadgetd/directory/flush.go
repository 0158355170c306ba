package directory

import (
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// maxBytes is about what one stanza may take: ejabberd as schools ran it closes
// a stream over one of 64 KiB.
const maxBytes = 48 << 10

// Flush tells all views what has happened since the last flush: what has gone,
// before what has come, so that a view never holds more than it may; activities
// before who joins them; and then what has changed.
func (d *Directory) Flush() {
	dirty := d.dirty
	d.dirty = nil
	for _, v := range dirty {
		v.isDirty = false
		f := flush{view: v, notify: func(n gadget.Notification) { d.cfg.Notify(v.owner, n) }}
		f.run()
	}
}

// flush is what one view is told.
type flush struct {
	*view
	notify func(gadget.Notification)

	fresh map[*person]bool // told whole just now
	added gadget.Added
	room  int
}

func (f *flush) run() {
	if len(f.news) > 0 {
		all := f.news
		f.view.news = make(map[*item]*news)
		f.tellGone(all)
		f.tellNew(all)
		f.tellChanged(all)
	}
	touches := f.touches
	f.view.touches = make(map[*person]change)
	for p, what := range touches {
		f.tellTouched(p, what)
	}
}

func (f *flush) tellGone(all map[*item]*news) {
	gone := gadget.Removed{Kind: f.kind, View: f.id}
	for it, n := range all {
		if n.fate != goes && n.fate != replaced {
			continue
		}
		if it.person != nil {
			gone.Buddies = append(gone.Buddies, it.person.jid)
		} else {
			gone.Activities = append(gone.Activities, it.activity.Activity)
		}
	}
	if len(gone.Buddies)+len(gone.Activities) > 0 {
		f.notify(gone)
	}
}

func (f *flush) tellNew(all map[*item]*news) {
	f.fresh = make(map[*person]bool)
	f.restart()
	type latecomers struct {
		room jid.JID
		who  []*person
	}
	var late []latecomers
	for it, n := range all {
		if n.fate != comes && n.fate != replaced {
			continue
		}
		if f.room -= it.bytes(); f.room < 0 {
			f.send()
		}
		if it.person != nil {
			f.added.Buddies = append(f.added.Buddies, it.person.buddy())
			f.tellFresh(it.person)
			continue
		}
		a, rest := it.activity.tell(maxBytes)
		f.added.Activities = append(f.added.Activities, a)
		for p := range it.activity.members {
			f.tellFresh(p)
		}
		if len(rest) > 0 {
			late = append(late, latecomers{it.activity.Room, rest})
		}
	}
	f.send()
	for _, l := range late {
		f.tellJoined(l.room, l.who)
	}
}

// tellFresh notes that somebody is told whole, but for what it is doing.
func (f *flush) tellFresh(p *person) {
	f.fresh[p] = true
	if !f.d.effective(p).isNone() {
		f.touches[p] |= changedCurrent
	}
}

func (f *flush) restart() { f.added, f.room = gadget.Added{Kind: f.kind, View: f.id}, maxBytes }

// send sends what was collected, if there is something.
func (f *flush) send() {
	if len(f.added.Buddies)+len(f.added.Activities) > 0 {
		f.notify(f.added)
	}
	f.restart()
}

// tellChanged tells what is new of activities that stay.
func (f *flush) tellChanged(all map[*item]*news) {
	for it, n := range all {
		if n.fate != stays || it.activity == nil || !f.members[it] {
			continue
		}
		a := it.activity
		if n.props {
			f.notify(gadget.ActivityChange{View: f.id, Activity: a.Activity, Properties: a.props})
		}
		var joined []*person
		left := gadget.Membership{View: f.id, Room: a.Room}
		for p, in := range n.members {
			if in {
				joined = append(joined, p)
			} else {
				left.Left = append(left.Left, p.jid)
			}
		}
		if len(left.Left) > 0 {
			f.notify(left)
		}
		f.tellJoined(a.Room, joined)
		for _, p := range joined {
			f.tellFresh(p)
		}
	}
}

// tellJoined tells who has joined, in as many pieces as it takes.
func (f *flush) tellJoined(room jid.JID, who []*person) {
	m := gadget.Membership{View: f.id, Room: room}
	left := maxBytes
	for _, p := range who {
		if left -= p.bytes(); left < 0 && len(m.Joined) > 0 {
			f.notify(m)
			m.Joined, left = nil, maxBytes-p.bytes()
		}
		m.Joined = append(m.Joined, p.buddy())
	}
	if len(m.Joined) > 0 {
		f.notify(m)
	}
}

// tellTouched tells what is new of somebody who was there before.
func (f *flush) tellTouched(p *person, what change) {
	if f.fresh[p] {
		what &= changedCurrent
	}
	if what == 0 || !f.shows(p) {
		return
	}
	n := gadget.BuddyChange{View: f.id, Buddy: gadget.Buddy{JID: p.jid}}
	if what&changedAlias != 0 {
		n.Alias = p.alias
	}
	if what&changedProps != 0 {
		n.Properties = p.props
		if n.Properties == nil {
			n.Properties = olpc.Properties{} // nothing is known any more
		}
	}
	if what&changedCurrent != 0 {
		n.Moved, n.Current = true, f.d.known(p)
	}
	f.notify(n)
}
