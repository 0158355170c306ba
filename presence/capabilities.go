package presence

import (
	"slices"
	"sync"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxClientFeatures bounds what local clients can make us announce: a
	// server refuses, or ends the session for, an answer that is too long.
	maxClientFeatures = 128
	// maxKinds bounds the kinds of clients whose skills are at hand to be
	// shared. A school has some dozen; a stranger can make up any number.
	maxKinds = 128
	// announcedAtOnce is how many contacts one signal tells of: at 2 kB for each
	// it is as much as a socket takes.
	announcedAtOnce = 100
	// saveEvery is how often at most what was learned is written to disk.
	saveEvery = 5 * time.Minute
)

// nsMUCUser marks the presence of a room's occupant, XEP-0045 §7.2.3.
const nsMUCUser = "http://jabber.org/protocol/muc#user"

// identity says what we are, XEP-0030 §3.1.
var identity = disco.Identity{Category: "client", Type: "pc", Name: "telepathy-olpc"}

// always lists the features of every Connection. OLPC's events are asked for
// from the start, so that none is lost before Sugar asks for the first.
var always = append([]string{
	disco.NSInfo, disco.NSItems, caps.NS, xmpp.NSPing, pep.NodeNick, pep.NodeNick + "+notify",
}, olpc.NotifyFeatures()...)

// Capabilities knows what contacts' clients can do, and tells others what we
// can: service discovery (XEP-0030) and its hash in presence (XEP-0115), behind
// the interfaces ContactCapabilities and ClientTypes.
//
// Contacts with the same client share one value; who has several devices can
// do what any of them can, and is of the best one's type.
type Capabilities struct {
	host     Host
	people   *People
	presence *SimplePresence
	resolver *caps.Resolver
	classes  classTable

	own      caps.Own
	stale    bool                // own lacks the latest of the next two
	features []string            // ours, whoever the clients are
	clients  map[string][]string // for each client on the bus

	kinds   map[*disco.Info]*skills // those seen lately
	nobody  *skills                 // of somebody who is not there
	known   map[uint32]*skills      // as last announced
	changed []*Contact              // since then
	mute    map[jid.JID]bool        // devices that announce nothing

	searches []*deviceSearch

	acquaintances *Acquaintances // nil: there are none

	directory string // of the cache, empty for none
	saving    *loop.Timer
	disk      sync.WaitGroup // goroutines that read or write the cache; they end by themselves
}

// skills is what a contact can do and with what. It is shared and not changed.
type skills struct {
	list    []skill
	classes []channelClass // list's form on D-Bus
	types   []string       // Contact_Client_Type; empty when not known
}

// NewCapabilities knows nobody yet. [Capabilities.Offer] comes before anything
// else.
func NewCapabilities(h Host, p *People, s *SimplePresence) *Capabilities {
	c := &Capabilities{
		host: h, people: p, presence: s, directory: CacheDirectory(),
		stale: true, features: always, clients: make(map[string][]string),
		kinds: make(map[*disco.Info]*skills), known: make(map[uint32]*skills), mute: make(map[jid.JID]bool),
	}
	c.resolver = caps.NewResolver(caps.Config{
		Asker:   h,
		After:   func(d time.Duration, label string, f func()) func() { return h.After(d, label, f).Stop },
		Changed: c.learned,
		Log:     h.Log(),
	})
	c.nobody = c.newSkills(&disco.Info{})
	s.Extend(func() *stanza.Element { return c.current().Caps().Element() })
	p.Watch(Watcher{Presence: c.seen, Left: c.left})
	return c
}

// Offer adds classes of channels that contacts can be asked for.
func (c *Capabilities) Offer(classes ...ContactClass) {
	for _, class := range classes {
		c.classes.add(class)
	}
	c.nobody = c.newSkills(&disco.Info{})
}

// Advertise adds features that are served whatever clients there are.
func (c *Capabilities) Advertise(features ...string) {
	c.features = slices.Concat(c.features, features)
	c.change()
}

// Load fetches from disk what earlier sessions learned. It is called when the
// session begins.
func (c *Capabilities) Load() {
	c.disk.Go(func() {
		known, err := caps.Load(c.directory)
		c.host.After(0, "capabilities loaded", func() { // After is for any goroutine
			if err != nil {
				c.host.Log().WithError(err).Debug("Capabilities not loaded whole")
			}
			c.resolver.Restore(known)
		})
	})
}

// Connected is called when the own handle is known, before the own presence
// is sent.
func (c *Capabilities) Connected() {
	c.known[c.host.SelfHandle()] = c.skillsOf(c.current().Info())
}

// Close ends it when the session ends, and has what was learned saved. Nobody
// waits for that: without it there are questions to be asked again.
func (c *Capabilities) Close() {
	c.resolver.Close()
	c.endSearches()
	c.saving.Stop()
	c.save()
}

// HandleInfo answers an IQ of [disco.NSInfo] about us or what a hash of ours
// stands for.
func (c *Capabilities) HandleInfo(iq *stanza.Element) { c.host.Send(c.current().Answer(iq)) }

// HandleItems answers an IQ of [disco.NSItems]: we have none.
func (c *Capabilities) HandleItems(iq *stanza.Element) { c.host.Send(disco.AnswerItems(iq)) }

// change is called when what we announce may have changed. A presence goes out
// and the signal is emitted only if it has.
func (c *Capabilities) change() {
	c.stale = true
	if !c.host.IsConnected() {
		return
	}
	before := c.own.Caps()
	if c.current().Caps() == before {
		return
	}
	c.presence.Resend()
	var n news
	c.learn(c.host.SelfHandle(), c.skillsOf(c.own.Info()), &n)
	c.announce(n)
}

// current is what we announce now.
func (c *Capabilities) current() *caps.Own {
	if !c.stale {
		return &c.own
	}
	c.stale = false
	info := disco.Info{Identities: []disco.Identity{identity}, Features: slices.Concat(c.features, c.clientFeatures())}
	if _, err := c.own.Set(info); err != nil {
		c.host.Log().WithError(err).Error("Own capabilities unfit")
		return &c.own
	}
	c.resolver.Learn(c.own.Caps(), c.own.Info()) // nobody with the same need be asked
	return &c.own
}

// clientFeatures are those of all clients on the bus together.
func (c *Capabilities) clientFeatures() []string {
	var all []string
	for _, features := range c.clients {
		all = append(all, features...)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > maxClientFeatures {
		c.host.Log().WithField("features", len(all)).Warn("Clients handle more kinds of channels than can be announced")
		all = all[:maxClientFeatures]
	}
	return all
}

// seen takes a contact's presence. Who sits in a room is not asked for what
// its client can do.
func (c *Capabilities) seen(person *Contact, from jid.JID, e *stanza.Element) {
	if person.Handle == c.host.SelfHandle() || e.Child(nsMUCUser, "x") != nil {
		return
	}
	announced, is := caps.Parse(e)
	switch {
	case is:
		delete(c.mute, from)
		is = c.resolver.Seen(from, announced)
	case c.resolver.Info(from) == nil:
		c.mute[from] = true
	}
	if is || len(person.resources) > 1 {
		c.touch(person)
	}
	c.searchAgain(from)
}

func (c *Capabilities) left(person *Contact, from jid.JID) {
	delete(c.mute, from)
	c.resolver.Forget(from)
	if c.known[person.Handle] != nil {
		c.touch(person)
	}
}

// learned takes answers and what was loaded.
func (c *Capabilities) learned(devices []jid.JID) {
	for _, full := range devices {
		if person := c.people.Find(full.Bare()); person != nil {
			c.touch(person)
		}
	}
	c.searchAgain(devices...)
	if c.saving == nil && c.resolver.Unsaved() {
		c.saving = c.host.After(saveEvery, "capabilities to be saved", func() {
			c.saving = nil
			c.save()
		})
	}
}

// save has what was learned written, if anything.
func (c *Capabilities) save() {
	if !c.resolver.Unsaved() {
		return
	}
	known, directory, log := c.resolver.Snapshot(), c.directory, c.host.Log()
	c.disk.Go(func() {
		if err := caps.Save(directory, known); err != nil {
			log.WithError(err).Debug("Capabilities not saved")
		}
	})
}

// touch has a contact looked at when the burst is over.
func (c *Capabilities) touch(person *Contact) {
	if len(c.changed) == 0 {
		c.host.FlushSoon(c.flush)
	}
	c.changed = append(c.changed, person)
}

// flush announces some contacts at a time: the skills of thousands are megabytes,
// of which the bus shall have taken most before more is made.
func (c *Capabilities) flush() {
	now := c.changed[:min(len(c.changed), announcedAtOnce)]
	n := news{can: make(map[uint32][]channelClass, len(now))}
	for _, person := range now {
		if person.Handle != c.host.SelfHandle() {
			c.learn(person.Handle, c.sum(person), &n)
		}
	}
	c.announce(n)
	if c.changed = c.changed[len(now):]; len(c.changed) == 0 {
		c.changed = nil
		return
	}
	c.host.AfterOutput(c.flush)
}

// sum is what a contact can do with all its devices; nil when nothing was ever
// known.
func (c *Capabilities) sum(person *Contact) *skills {
	var sum *skills
	for i, r := range person.resources {
		info := c.resolver.Info(person.JID.WithResource(r.name))
		if info == nil {
			continue
		}
		s := c.skillsOf(info)
		switch {
		case sum != nil:
			sum = c.join(sum, s)
		case i == 0:
			sum = s
		default: // the type is that of the best device, which is not known
			sum = &skills{list: s.list, classes: s.classes, types: c.nobody.types}
		}
	}
	if sum == nil && c.known[person.Handle] != nil {
		return c.nobody
	}
	return sum
}

// join adds what a second device can do.
func (c *Capabilities) join(sum, s *skills) *skills {
	all := slices.Concat(sum.list, s.list)
	sortSkills(all)
	all = slices.Compact(all)
	if len(all) == len(sum.list) {
		return sum
	}
	return &skills{list: all, classes: c.classes.classes(all), types: sum.types}
}

// skillsOf gives what a client with this info can do, the same value as long
// as the info is in use.
func (c *Capabilities) skillsOf(info *disco.Info) *skills {
	s := c.kinds[info]
	if s == nil {
		if len(c.kinds) == maxKinds {
			clear(c.kinds)
		}
		s = c.newSkills(info)
		c.kinds[info] = s
	}
	return s
}

func (c *Capabilities) newSkills(info *disco.Info) *skills {
	list := c.classes.skills(info)
	return &skills{list: list, classes: c.classes.classes(list), types: typesOf(info)}
}

// news is what clients on the bus are to be told.
type news struct {
	can  map[uint32][]channelClass
	with []uint32 // contacts whose client types are others
}

// learn takes what a contact can do now, if anything is known of it, and adds
// to the news what of that is new.
func (c *Capabilities) learn(contact uint32, now *skills, n *news) {
	was := c.known[contact]
	if now == nil || now == was {
		return
	}
	c.known[contact] = now
	if was == nil || !slices.Equal(was.list, now.list) {
		if n.can == nil {
			n.can = make(map[uint32][]channelClass, 1)
		}
		n.can[contact] = now.classes
	}
	if was == nil && len(now.types) > 0 || was != nil && !slices.Equal(was.types, now.types) {
		n.with = append(n.with, contact)
	}
}

// announce emits one ContactCapabilitiesChanged for all in it, and ClientTypesUpdated
// for each.
func (c *Capabilities) announce(n news) {
	if len(n.can) > 0 {
		c.host.Emit(tp.SignalConnectionContactCapabilitiesContactCapabilitiesChanged, n.can)
	}
	for _, contact := range n.with {
		c.host.Emit(tp.SignalConnectionClientTypesClientTypesUpdated, contact, c.known[contact].types)
	}
}
