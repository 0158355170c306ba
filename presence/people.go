package presence

import (
	"slices"
	"strconv"
	"strings"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxResources bounds what is kept of one contact: a person has a
	// handful of devices, a stranger may invent any number.
	maxResources = 16
	// maxContacts bounds those who need not be in the roster to be seen: a
	// stranger may invent any number of addresses.
	maxContacts = 20_000
	// maxText bounds a contact's status message, in bytes.
	maxText = 1024
)

// Contact is one person as far as the server told of them. Contacts are kept
// while they are on-line, in the roster, or asked about.
type Contact struct {
	JID    jid.JID // bare
	Handle uint32

	resources []resource
	shown     simple // as last announced
	next      simple // as it is to be announced
	seen      bool   // announced as being there
	dirty     bool   // in People.dirty
	views     int    // of a server component that show it
	left      bool   // it has told itself, since they do, that it goes
}

// resource is one device of a contact.
type resource struct {
	name     string
	priority int8
	status   uint8 // index into statuses
	text     string
}

// Online tells whether the contact has an available resource.
func (c *Contact) Online() bool { return len(c.resources) > 0 }

// Resources are the full JIDs of the contact's devices, best first.
func (c *Contact) Resources() []jid.JID {
	full := make([]jid.JID, len(c.resources))
	for i, r := range c.resources {
		full[i] = c.JID.WithResource(r.name)
	}
	return full
}

// Watcher hears what happens to people. Each field may be nil.
type Watcher struct {
	// Presence is called for each available presence, before Appeared.
	Presence func(c *Contact, from jid.JID, presence *stanza.Element)
	// Left is called for each resource that goes.
	Left func(c *Contact, from jid.JID)
	// Flush is called once per burst of presences, after PresencesChanged:
	// these contacts have come on-line or gone off-line since the last one.
	Flush func(appeared, gone []*Contact)
}

// People keeps the presence of all contacts.
//
// Presences of a burst are announced together, when something else is about
// to happen or the queue is empty; a lone one is announced at once.
type People struct {
	host     Host
	contacts map[jid.JID]*Contact
	watchers []Watcher
	rostered func(jid.JID) bool // whether off-line is known, not unknown
	dirty    []*Contact
}

// NewPeople keeps nobody yet.
func NewPeople(h Host) *People {
	return &People{
		host:     h,
		contacts: make(map[jid.JID]*Contact),
		rostered: func(jid.JID) bool { return false },
	}
}

// Watch adds a watcher; they are called in the order of their coming.
func (p *People) Watch(w Watcher) { p.watchers = append(p.watchers, w) }

// Find returns the contact with this bare JID, nil when nothing is known.
func (p *People) Find(bare jid.JID) *Contact { return p.contacts[bare] }

// Online lists the contacts announced as on-line, in the order of their handles.
func (p *People) Online() []uint32 {
	handles := []uint32{}
	for _, c := range p.contacts {
		if c.seen {
			handles = append(handles, c.Handle)
		}
	}
	slices.Sort(handles)
	return handles
}

// Ensure returns the contact with this bare JID.
func (p *People) Ensure(bare jid.JID) *Contact {
	c := p.contacts[bare]
	if c == nil {
		c = &Contact{JID: bare, Handle: p.host.Handles().Contacts.Ensure(bare), shown: unknown, next: unknown}
		p.contacts[bare] = c
	}
	return c
}

// admit returns the contact who is heard of; nil for a service, and when there are
// too many of whom nobody else knows.
func (p *People) admit(bare jid.JID) *Contact {
	if jid.IsService(bare, p.host.Self()) || p.contacts[bare] == nil && len(p.contacts) >= maxContacts && !p.rostered(bare) {
		return nil
	}
	return p.Ensure(bare)
}

// HandlePresence takes a contact's presence: available, unavailable or error
// (RFC 6121 §4). Subscription requests are not for it.
func (p *People) HandlePresence(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil {
		return false
	}
	switch e.Attr("type") {
	case "":
		p.available(from, e)
	case "unavailable":
		p.unavailable(from)
	case "error":
		p.failed(from, e)
	default:
		return false
	}
	return true
}

func (p *People) available(from jid.JID, e *stanza.Element) {
	c := p.admit(from.Bare())
	if c == nil {
		return
	}
	r := parseResource(e)
	r.name = from.Resource()
	for _, crowded := range c.put(r) {
		if crowded == r.name {
			return
		}
		p.left(c, crowded)
	}
	c.left = false
	for _, w := range p.watchers {
		if w.Presence != nil {
			w.Presence(c, from, e)
		}
	}
	p.touch(c)
}

func (p *People) unavailable(from jid.JID) {
	c := p.contacts[from.Bare()]
	if c == nil {
		return
	}
	// Without a resource the server speaks for all of them.
	gone := slices.Clone(c.resources)
	gone = slices.DeleteFunc(gone, func(r resource) bool { return !from.IsBare() && r.name != from.Resource() })
	for _, r := range gone {
		c.drop(r.name)
		c.left = !c.Online()
		p.left(c, r.name)
	}
	p.touch(c)
}

func (p *People) left(c *Contact, resource string) {
	for _, w := range p.watchers {
		if w.Left != nil {
			w.Left(c, c.JID.WithResource(resource))
		}
	}
}

// failed takes a presence error: where the contact's server can't be reached,
// nothing it said before holds (RFC 6121 §4.3.2).
func (p *People) failed(from jid.JID, e *stanza.Element) {
	p.unavailable(from.Bare())
	c := p.admit(from.Bare())
	if c == nil {
		return
	}
	why := stanza.ErrorOf(e)
	text := why.Text
	if text == "" {
		text = string(why.Condition)
	}
	p.show(c, simple{tp.ConnectionPresenceTypeError, "error", clip(text)})
}

// parseResource reads what an available presence says of its device,
// RFC 6121 §4.7. A bad priority counts as 0, an unknown <show/> as none.
func parseResource(e *stanza.Element) resource {
	r := resource{
		status: statusOfShow(e.Child(stanza.NSClient, "show").Text()),
		text:   clip(e.Child(stanza.NSClient, "status").Text()),
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(e.Child(stanza.NSClient, "priority").Text()), 10, 8); err == nil {
		r.priority = int8(n)
	}
	return r
}

// clip cuts a stranger's text to maxText and frees it of its stanza.
func clip(text string) string {
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "")
	}
	return strings.Clone(text)
}

// put adds or replaces a device and keeps the best first: highest priority,
// then most available, then latest. It names the device for which there is no
// room any more, which can be the new one.
func (c *Contact) put(r resource) (crowded []string) {
	c.drop(r.name)
	at := slices.IndexFunc(c.resources, func(o resource) bool {
		if r.priority != o.priority {
			return r.priority > o.priority
		}
		return r.status <= o.status
	})
	if at < 0 {
		at = len(c.resources)
	}
	r.name = strings.Clone(r.name)
	c.resources = slices.Insert(c.resources, at, r)
	if len(c.resources) > maxResources {
		crowded = []string{c.resources[maxResources].name}
		c.resources = c.resources[:maxResources]
	}
	return crowded
}

func (c *Contact) drop(name string) {
	c.resources = slices.DeleteFunc(c.resources, func(r resource) bool { return r.name == name })
}

// current is what the contact's devices add up to.
func (p *People) current(c *Contact) simple {
	if len(c.resources) > 0 {
		best := c.resources[0]
		s := statuses[best.status]
		return simple{s.spec.Type, s.name, best.text}
	}
	if c.Present() {
		return available
	}
	// Who was there and is gone is off-line, in the roster or not: Sugar takes
	// a buddy away at nothing else.
	if p.rostered(c.JID) || c.seen || c.shown == offline {
		return offline
	}
	return unknown
}

// touch notes that a contact may have changed and has it announced with the
// rest of the burst.
func (p *People) touch(c *Contact) { p.show(c, p.current(c)) }

// show has a contact announced as this. The user is none: what the server gives
// back of the own presence, or tells of other sessions, is no news of a buddy.
func (p *People) show(c *Contact, now simple) {
	if c.next == now || c.Handle == p.host.SelfHandle() {
		return
	}
	c.next = now
	if !c.dirty {
		c.dirty = true
		p.dirty = append(p.dirty, c)
	}
	p.host.FlushSoon(p.flush)
}

// flush announces what has changed since the last time.
func (p *People) flush() {
	changed := make(map[uint32]simple, len(p.dirty))
	var appeared, gone []*Contact
	for _, c := range p.dirty {
		c.dirty = false
		if c.next == c.shown {
			continue // there and back within one burst
		}
		changed[c.Handle] = c.next
		c.shown = c.next
		switch {
		case c.Present() && !c.seen:
			appeared = append(appeared, c)
		case !c.Present() && c.seen:
			gone = append(gone, c)
		}
		c.seen = c.Present()
	}
	p.dirty = p.dirty[:0]
	if len(changed) > 0 {
		p.host.Emit(tp.SignalConnectionSimplePresencePresencesChanged, changed)
	}
	for _, w := range p.watchers {
		if w.Flush != nil && len(appeared)+len(gone) > 0 {
			w.Flush(appeared, gone)
		}
	}
}

// Reckon looks again at contacts whose place in the roster has changed, which
// makes off-line of unknown and the other way round.
func (p *People) Reckon(bare jid.JID) {
	if c := p.contacts[bare]; c != nil {
		p.touch(c)
	}
}
