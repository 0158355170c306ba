package presence

import (
	"errors"
	"maps"
	"slices"
	"sort"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// greeting is how long the presence of a component is awaited before views
	// are opened: it tells that the component has no views of ours.
	greeting = 3 * time.Second
	// checkup is how often a component is asked whether it is still there: one
	// that was killed cannot say that it goes.
	checkup = 2 * time.Minute
	// mourning is how long what a component's views show is kept after it has
	// gone. One that is only started again is back before.
	mourning = time.Minute
	// maxEarly is how many services may say that they are there before it is
	// known which are components.
	maxEarly = 64
)

// begin begins with components that were found.
func (g *Gadget) begin() {
	g.host.Emit(tp.SignalGadgetGadgetDiscovered)
	if g.sizes.On {
		g.setPublishing(true)
	}
	g.host.After(greeting, "component's presence overdue", g.greet)
	g.greetAll()
	g.check()
}

// HandlePresence takes what a component says of itself.
func (g *Gadget) HandlePresence(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil {
		return false
	}
	if !g.isGadget(from.Bare()) {
		if e.Attr("type") == "" && !g.isAvailable() && g.isOurs(from) {
			g.consider(from)
		}
		return false
	}
	if !g.isGadget(from) {
		return true // it has no devices
	}
	switch e.Attr("type") {
	case "":
		g.appeared(from)
	case "unavailable", "error":
		g.disappeared(from)
	case "subscribe":
		if g.publishing {
			g.host.Send(roster.Subscribed(from))
		} else {
			g.host.Send(roster.Unsubscribed(from))
		}
	}
	return true
}

// consider looks at a service of the own server that says that it is there, as
// components do when they have started: before the search is over that is kept
// for then, and after it has found none it may have come too late for that.
func (g *Gadget) consider(who jid.JID) {
	if !g.searched {
		if len(g.alive) < maxEarly {
			g.alive[who] = true
		}
		return
	}
	if g.looking[who] || len(g.looking) == maxEarly || g.over {
		return
	}
	g.looking[who] = true
	disco.AskInfo(g.host, who, "", func(info *disco.Info, err error) {
		delete(g.looking, who)
		if err != nil || g.over || g.isAvailable() || !info.Is(gadget.Category, gadget.Type) {
			return
		}
		if info.Has(gadget.NSBuddy) {
			g.buddies = who
		}
		if info.Has(gadget.NSActivity) {
			g.rooms = who
		}
		if g.isAvailable() {
			g.alive[who] = true
			g.begin()
		}
	})
}

// appeared notes that a component is there and has no views of ours: for the
// first time, or because it has started again.
func (g *Gadget) appeared(who jid.JID) {
	g.gone[who].Stop()
	delete(g.gone, who)
	g.alive[who] = true
	if g.greeted {
		g.restarted(who)
	} else {
		g.greetAll()
	}
}

// greetAll opens what is to be open once all components are there.
func (g *Gadget) greetAll() {
	for _, who := range g.addresses() {
		if !g.alive[who] {
			return
		}
	}
	g.greet()
}

// greet opens what is to be open.
func (g *Gadget) greet() {
	if g.greeted || !g.isAvailable() {
		return
	}
	g.greeted = true
	for _, v := range g.inOrder() {
		g.request(v)
	}
	if !g.sizes.On {
		return
	}
	if g.rooms != (jid.JID{}) && g.sizes.Activities > 0 {
		g.open(g.newView(gadget.Request{Kind: gadget.Activities, Size: g.sizes.Activities}, true))
	}
	if g.buddies != (jid.JID{}) && g.sizes.Buddies > 0 {
		g.open(g.newView(gadget.Request{Kind: gadget.Buddies, Size: g.sizes.Buddies}, true))
	}
}

// restarted opens the lasting views again and gives the others up.
func (g *Gadget) restarted(who jid.JID) {
	for _, v := range g.inOrder() {
		switch {
		case g.address(v.request.Kind) != who:
		case v.lasting:
			delete(g.views, v.request.View)
			v.doubt()
			g.open(v)
		default:
			g.end(v)
		}
	}
	if who == g.rooms {
		clear(g.invited)
		g.invite()
	}
}

// inOrder are the views in the order in which they were opened.
func (g *Gadget) inOrder() []*View {
	views := slices.Collect(maps.Values(g.views))
	sort.Slice(views, func(i, j int) bool { return views[i].number < views[j].number })
	return views
}

// end gives a view up that the component has forgotten.
func (g *Gadget) end(v *View) {
	closed := v.events.Closed
	v.forget()
	g.people.flush()
	if closed != nil {
		closed()
	}
}

// disappeared notes that a component has gone. What it showed is kept for a while.
func (g *Gadget) disappeared(who jid.JID) {
	delete(g.alive, who)
	if g.gone[who] != nil || !g.greeted {
		return
	}
	g.gone[who] = g.host.After(mourning, "component gone", func() { g.bury(who) })
}

// bury forgets what a component showed.
func (g *Gadget) bury(who jid.JID) {
	for _, v := range g.inOrder() {
		switch {
		case g.address(v.request.Kind) != who:
		case v.lasting:
			v.trust()
			v.show(gadget.Content{})
		default:
			g.end(v)
		}
	}
}

// check asks from time to time whether the components are still there.
func (g *Gadget) check() {
	g.host.After(checkup, "component's checkup", func() {
		if !g.isAvailable() {
			return // the session is over
		}
		for _, who := range g.addresses() {
			if len(g.views) > 0 {
				g.host.Ask(ping(who), func(_ *stanza.Element, err error) { g.checked(who, err) })
			}
		}
		g.check()
	})
}

// ping asks for a sign of life, XEP-0199 §4.3; one that does not know the
// question gives one too.
func ping(who jid.JID) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", who.String()),
		stanza.New(xmpp.NSPing, "ping"))
}

// checked takes the answer to a ping. A component that is there again and has not
// said so does not know us; a view that was refused may be granted by now.
func (g *Gadget) checked(who jid.JID, err error) {
	switch {
	case !g.isGadget(who): // the session is over
	case err != nil && !isRefusal(err):
		g.disappeared(who)
	case g.gone[who] != nil:
		if g.publishing {
			g.host.Send(roster.Subscribe(who, ""))
		}
		g.appeared(who)
	default:
		for _, v := range g.inOrder() {
			if v.lasting && v.refused && g.address(v.request.Kind) == who {
				g.request(v)
			}
		}
	}
}

// isRefusal tells whether an error is the component's own: a server that answers
// for one that is not there says that it has to wait, or that nobody is there.
func isRefusal(err error) bool {
	var e *stanza.Error
	return errors.As(err, &e) &&
		(e.Condition == stanza.FeatureNotImplemented || e.Condition == stanza.ServiceUnavailable && e.Type == stanza.TypeCancel && e.Text == "")
}
