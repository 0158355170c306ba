package presence

import (
	"math/rand/v2"
	"strconv"
	"time"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxViews bounds the views that are open.
	maxViews = 50
	// Where there is no component one is sought again, ever more rarely: 3,000
	// children ask some three questions in a second in the end. To those who have
	// published before it speaks by itself.
	soughtFirst = time.Minute
	soughtLast  = 30 * time.Minute
	// maxShownRooms is how many rooms a component may name that nobody else has.
	maxShownRooms = 20_000
)

// The kinds of services that components are to discovery.
var (
	gadgetOfBuddies    = services.Kind{Category: gadget.Category, Type: gadget.Type, Feature: gadget.NSBuddy}
	gadgetOfActivities = services.Kind{Category: gadget.Category, Type: gadget.Type, Feature: gadget.NSActivity}
)

// Gadget serves org.laptop.Telepathy.Gadget: what is had of a server component
// that knows who is there and what they do, and shows each client a part of it in
// views. Buddies and activities may be known by two components.
//
// To publish is to let it see the user's presence and personal events, and to
// invite it to the user's public activities.
//
// What views show goes into People and Activities like everything else that is
// known of people. Without a local program that asks, a view of random buddies
// and one of random activities are kept open, so that Sugar's neighborhood has
// somebody in it where there is no shared roster.
type Gadget struct {
	host       Host
	people     *People
	activities *Activities
	named      func(who jid.JID, alias string)
	sizes      Sizes

	buddies, rooms jid.JID // addresses, zero where there is none
	services       *services.Search
	later          time.Duration // until the next search, when this one finds none
	searched       bool
	waiting        []func() // for the end of the search
	publishing     bool
	alive          map[jid.JID]bool        // has said that it is there
	greeted        bool                    // views may be opened
	gone           map[jid.JID]*loop.Timer // until what it showed is forgotten
	looking        map[jid.JID]bool        // at those who may be components
	views          map[string]*View
	lastView       int
	invited        map[jid.JID]bool // rooms to which it was invited
	fresh          int              // rooms that nobody had named before
	over           bool             // the session
}

// Sizes are those of the views that are open without being asked for. Off, there
// are none, and nothing is published unless a client asks for it.
type Sizes struct {
	On                  bool
	Buddies, Activities int
}

// NewGadget knows no component yet. named is told what a component calls buddies.
func NewGadget(h Host, p *People, activities *Activities, named func(who jid.JID, alias string), sizes Sizes) *Gadget {
	g := &Gadget{
		host: h, people: p, activities: activities, named: named, sizes: sizes,
		alive:   make(map[jid.JID]bool),
		looking: make(map[jid.JID]bool),
		gone:    make(map[jid.JID]*loop.Timer),
		views:   make(map[string]*View),
		invited: make(map[jid.JID]bool),
	}
	activities.gadget = g
	return g
}

// Interface is the D-Bus side.
func (g *Gadget) Interface() bus.Interface {
	return bus.Interface{
		Facts:   tp.InterfaceGadget,
		Methods: map[string]func(*bus.Call){"Publish": whileConnected(g.host, g.publish)},
		Properties: map[string]func() any{
			"GadgetAvailable": func() any { return g.isAvailable() },
		},
	}
}

func (g *Gadget) isAvailable() bool { return g.buddies != jid.JID{} || g.rooms != jid.JID{} }

// Connected looks for components among what the server has.
func (g *Gadget) Connected(search *services.Search) {
	g.services, g.later = search, soughtFirst
	g.seek()
}

func (g *Gadget) seek() {
	g.services.First(gadgetOfBuddies, func(b services.Service, _ bool) {
		g.services.First(gadgetOfActivities, func(r services.Service, _ bool) { g.sought(b.JID, r.JID) })
	})
}

// sought takes what was found, zero where there is none. Without a component it
// is tried again later: one that was down then answers, if the server lists it as
// Prosody does; to ejabberd it is new.
func (g *Gadget) sought(buddies, rooms jid.JID) {
	if g.over || g.isAvailable() {
		return // it has said meanwhile that it is there
	}
	if g.isOurs(buddies) {
		g.buddies = buddies
	}
	if g.isOurs(rooms) {
		g.rooms = rooms
	}
	g.found()
	if g.isAvailable() {
		return
	}
	for who := range g.alive {
		g.consider(who) // it has come after the server had said what there is
	}
	if g.sizes.On {
		g.host.After(g.later/2+rand.N(g.later), "component sought", g.seekAgain)
		g.later = min(2*g.later, soughtLast)
	}
}

func (g *Gadget) seekAgain() {
	if !g.over && !g.isAvailable() {
		g.services.Again()
		g.seek()
	}
}

// isOurs tells whether a service belongs to the own server: it is going to see
// what children do.
func (g *Gadget) isOurs(who jid.JID) bool { return jid.IsService(who, g.host.Self()) }

// found ends the search.
func (g *Gadget) found() {
	if g.over {
		return
	}
	g.searched = true
	if g.isAvailable() {
		g.begin()
	}
	waiting := g.waiting
	g.waiting = nil
	for _, proceed := range waiting {
		proceed()
	}
}

// whenSearched calls proceed, at once or later, when it is known whether there is
// a component.
func (g *Gadget) whenSearched(proceed func()) {
	if g.searched {
		proceed()
		return
	}
	g.waiting = append(g.waiting, proceed)
}

// Close answers those who wait, because the session is over.
func (g *Gadget) Close() {
	for _, timer := range g.gone {
		timer.Stop()
	}
	for _, v := range g.views {
		v.trust()
	}
	g.over, g.publishing = true, false
	g.searched, g.buddies, g.rooms = true, jid.JID{}, jid.JID{}
	waiting := g.waiting
	g.waiting = nil
	for _, proceed := range waiting {
		proceed()
	}
}

func errNoGadget(name tp.ErrorName) error {
	return tp.Errorf(name, "the server has no component for views")
}

func (g *Gadget) publish(call *bus.Call) {
	var on bool
	if !call.Args(&on) {
		return
	}
	g.whenSearched(func() {
		if !g.isAvailable() {
			call.Fail(errNoGadget(tp.ErrorNetworkError))
			return
		}
		g.setPublishing(on)
		call.Return()
	})
}

// setPublishing lets the components see the user, or no longer. Each session says
// so again.
func (g *Gadget) setPublishing(on bool) {
	g.publishing = on
	for _, who := range g.addresses() {
		if on {
			g.host.Send(roster.Subscribe(who, ""))
		} else {
			g.host.Send(roster.Unsubscribe(who))
			g.host.Send(roster.Unsubscribed(who))
		}
	}
	g.invite()
}

// addresses are those of the components, each once.
func (g *Gadget) addresses() []jid.JID {
	var list []jid.JID
	if g.buddies != (jid.JID{}) {
		list = append(list, g.buddies)
	}
	if g.rooms != (jid.JID{}) && g.rooms != g.buddies {
		list = append(list, g.rooms)
	}
	return list
}

// address is whom to ask for views of a kind.
func (g *Gadget) address(kind gadget.Kind) jid.JID {
	if kind == gadget.Activities {
		return g.rooms
	}
	return g.buddies
}

func (g *Gadget) isGadget(who jid.JID) bool {
	return who != jid.JID{} && (who == g.buddies || who == g.rooms)
}

func (g *Gadget) send(e *stanza.Element) { g.host.Send(e) }

func (g *Gadget) newView(r gadget.Request, lasting bool) *View {
	return &View{
		gadget: g, request: r, lasting: lasting,
		buddies: make(map[jid.JID]bool), activities: make(map[jid.JID]*viewed),
	}
}

// Open opens a view for a local program, empty at first. done is called once,
// when it is known whether there is a component to ask.
func (g *Gadget) Open(r gadget.Request, done func(*View, error)) {
	g.whenSearched(func() {
		switch {
		case g.address(r.Kind) == jid.JID{}:
			done(nil, errNoGadget(tp.ErrorNotAvailable))
		case len(g.views) >= maxViews:
			done(nil, tp.Errorf(tp.ErrorNotAvailable, "%d views are open already", maxViews))
		default:
			v := g.newView(r, false)
			done(v, nil)
			g.open(v)
		}
	})
}

// Watch sets who is told of changes.
func (v *View) Watch(e ViewEvents) { v.events = e }

// open gives the view a name and asks the component for it.
func (g *Gadget) open(v *View) {
	g.lastView++
	v.number, v.request.View = g.lastView, strconv.Itoa(g.lastView)
	g.views[v.request.View] = v
	if g.greeted {
		g.request(v)
	}
}

// request asks for the content of a view; without an answer the view stays as it
// is.
func (g *Gadget) request(v *View) {
	id := v.request.View
	v.refused = false
	g.host.Ask(v.request.IQ(g.address(v.request.Kind)), func(reply *stanza.Element, err error) {
		if v.request.View != id {
			return // it was opened anew
		}
		if err != nil {
			v.refused = true
			g.host.Log().WithError(err).Debug("View not opened")
			return
		}
		if c, is := gadget.ParseContent(reply); is {
			v.take(c)
		}
	})
}

// HandleMessage takes what a component tells of views. Nothing else that it may
// say is for anybody.
func (g *Gadget) HandleMessage(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil || !g.isGadget(from) {
		return false
	}
	for _, n := range gadget.ParseNotifications(e) {
		g.handleNews(n)
	}
	return true
}

func (g *Gadget) handleNews(n gadget.Notification) {
	switch n := n.(type) {
	case gadget.Added:
		if v := g.views[n.View]; v != nil && v.request.Kind == n.Kind {
			v.add(n)
		}
	case gadget.Removed:
		if v := g.views[n.View]; v != nil && v.request.Kind == n.Kind {
			v.remove(n)
		}
	case gadget.Membership:
		if v := g.views[n.View]; v != nil {
			v.change(n)
		}
	case gadget.ActivityChange:
		if v := g.views[n.View]; v != nil && v.activities[n.Room] != nil {
			g.activities.redescribe(v.activities[n.Room].Activity, n.Properties)
		}
	case gadget.BuddyChange:
		if v := g.views[n.View]; v != nil && v.everybody()[n.JID] && !g.isSelf(n.JID) {
			g.learn(n.Buddy)
			if n.Moved {
				g.activities.glimpseOf(n.JID).current = g.knownOnly(n.Current)
			}
			g.activities.glimpsed(n.JID)
		}
	}
}

// knownOnly is an activity that somebody has named before, or none: a buddy may
// look at what is shown to others alone.
func (g *Gadget) knownOnly(x olpc.Activity) olpc.Activity {
	if _, known := g.host.Handles().Rooms.Lookup(x.Room); !known {
		return olpc.Activity{}
	}
	return x
}

// learn takes what is said of a buddy; [Gadget.glimpsed] tells it.
func (g *Gadget) learn(b gadget.Buddy) {
	known := g.activities.glimpseOf(b.JID)
	if b.Properties != nil {
		known.properties = b.Properties
	}
	if b.Alias != "" {
		g.named(b.JID, b.Alias)
	}
}

// glimpsed tells what views show of people.
func (g *Gadget) glimpsed(people map[jid.JID]bool) {
	for _, who := range g.byHandle(people) {
		known := g.activities.glimpseOf(who)
		if shown, list := g.shows(who); shown {
			known.list = list
		} else {
			known.list, known.current = nil, olpc.Activity{} // what it looks like is not forgotten
		}
		g.activities.glimpsed(who)
	}
}

// shows tells whether any view shows somebody, and in which activities.
func (g *Gadget) shows(who jid.JID) (shown bool, list []olpc.Activity) {
	for _, v := range g.views {
		shown = shown || v.buddies[who]
		for _, x := range v.activities {
			if x.members[who] {
				shown = true
				list = append(list, withoutRooms([]olpc.Activity{x.Activity}, list)...)
			}
		}
	}
	return shown, list
}
