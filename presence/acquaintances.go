package presence

import (
	"maps"
	"slices"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// maxAcquaintances is how many people can make themselves known: whoever has an
// account at the school can, and can make many.
const maxAcquaintances = 256

// Acquaintances are people of the own school with whom the user has to do
// although neither sees the other's presence: views of a component tell no
// devices, and whom one child is shown is not shown that child.
//
// Who begins something with such a person sends it a presence of its own (RFC
// 6121 §4.6) that says who it is. Whose client is willing answers in the same
// way, as soon as its programs know who that is, so that what is then begun
// comes from somebody they know. Both servers take the presences back when one
// of the two goes.
//
// What is learned so of a person counts as what a view shows: no events follow
// such a presence.
type Acquaintances struct {
	gadget       *Gadget
	capabilities *Capabilities
	presence     *SimplePresence
	alias        func(contact uint32) string
	// met are those whose presence was sent to us alone, by bare address: their
	// devices, and whether these wait for an answer.
	met map[jid.JID]map[jid.JID]bool
}

// NewAcquaintances knows nobody yet. alias gives the user's own name.
func NewAcquaintances(g *Gadget, c *Capabilities, p *SimplePresence, alias func(contact uint32) string) *Acquaintances {
	a := &Acquaintances{gadget: g, capabilities: c, presence: p, alias: alias, met: make(map[jid.JID]map[jid.JID]bool)}
	g.activities.acquaintances, c.acquaintances = a, a
	return a
}

// Introduce makes the user known to somebody with whom something begins, if
// that is how to hear of a device; it tells whether it was done.
func (a *Acquaintances) Introduce(who jid.JID) bool {
	if a == nil || !a.isOfSchool(who) || a.met[who.Bare()] != nil {
		return false
	}
	if c := a.gadget.people.Find(who.Bare()); c != nil && c.Online() {
		return false
	}
	a.send(who.Bare(), true)
	return true
}

// Devices are those that somebody has told us of.
func (a *Acquaintances) Devices(who jid.JID) []jid.JID {
	if a == nil {
		return nil
	}
	return slices.Collect(maps.Keys(a.met[who]))
}

// Knows tells whether somebody has heard of us so, and we of them.
func (a *Acquaintances) Knows(who jid.JID) bool { return a.met[who] != nil }

// Close forgets all because the session is over.
func (a *Acquaintances) Close() { clear(a.met) }

// isOfSchool tells whether the user is to be seen by somebody: who publishes
// shows itself to all who have an account at the own server, and to nobody else.
func (a *Acquaintances) isOfSchool(who jid.JID) bool {
	g := a.gadget
	return g.publishing && who.Local() != "" && who.Domain() == g.host.Self().Domain() && !g.isSelf(who.Bare())
}

// send sends a presence to one address, with who we are.
func (a *Acquaintances) send(to jid.JID, asks bool) {
	h := a.gadget.host
	self := gadget.Buddy{JID: h.Self().Bare(), Alias: a.alias(h.SelfHandle()), Properties: a.gadget.activities.own.properties}
	h.Send(a.presence.Build().With(stanza.A("to", to.String()), gadget.Introduction{Buddy: self, Asks: asks}.Element()))
}

// HandlePresence takes a presence by which somebody makes itself known, and the
// end of it.
func (a *Acquaintances) HandlePresence(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil {
		return false
	}
	i, is := gadget.ParseIntroduction(e)
	switch {
	case e.Attr("type") == "unavailable":
		a.part(from)
	case !is:
	case e.Attr("type") == "error":
		return true // ours has come back
	case e.Attr("type") == "" && i.JID == from.Bare() && !from.IsBare() && a.isOfSchool(from):
		return a.meet(from, i)
	}
	return false
}

// meet notes a device of somebody; it is false if the presence is also an
// ordinary one, or comes from one too many.
func (a *Acquaintances) meet(device jid.JID, i gadget.Introduction) bool {
	devices, g := a.met[i.JID], a.gadget
	if devices == nil {
		if len(a.met) == maxAcquaintances || !g.people.Glimpse(i.JID) {
			return false
		}
		devices = make(map[jid.JID]bool)
		a.met[i.JID] = devices
	}
	if len(devices) < maxResources {
		devices[device] = i.Asks
	}
	g.learn(i.Buddy)
	g.activities.glimpsed(i.JID)
	c := g.people.Find(i.JID)
	if g.activities.isIntroduced(c) {
		a.answer(i.JID)
	}
	a.capabilities.searchAgain(device)
	return !c.Online()
}

// answer makes us known to those of somebody's devices that wait for it.
func (a *Acquaintances) answer(who jid.JID) {
	if a == nil {
		return
	}
	for device, waits := range a.met[who] {
		if waits {
			a.met[who][device] = false
			a.send(device, false)
		}
	}
}

// part notes that a device has gone, or, without one, all of somebody's.
func (a *Acquaintances) part(from jid.JID) {
	who, people := from.Bare(), a.gadget.people
	devices := a.met[who]
	for device := range devices {
		if !from.IsBare() && device != from {
			continue
		}
		delete(devices, device)
		if c := people.Find(who); !c.Online() {
			people.left(c, device.Resource())
		}
		if len(devices) == 0 {
			delete(a.met, who)
			people.Unglimpse(who)
		}
	}
}
