package presence

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

const (
	// maxAlias bounds an alias, in bytes: it is to fit under an icon.
	maxAlias = 255
	// maxNames is of how many people a nick is kept that is known of in no
	// other way.
	maxNames = 20_000
)

// Aliasing serves Connection.Interface.Aliasing. Of the names that a contact
// goes by, the first that there is counts:
//
//  1. the one that the user has given it in this session with SetAliases;
//  2. the nick that it publishes (XEP-0172), or has in its presence;
//  3. the nickname in its vCard, if that was read;
//  4. the name in the roster;
//  5. the full name in its vCard;
//  6. its address, as the specification wants.
//
// A nick goes before a name in the roster, because there it is mostly the
// server's or an older client's copy of a nick of old: ejabberd takes the names
// of a shared group from vCards, and a child's new nick has to be seen. A name
// that the user gave is told from such a copy only as long as the session lasts.
//
// The occupant of a room is called by its resource.
type Aliasing struct {
	host   Host
	people *People
	events *PersonalEvents
	cards  *VCards
	list   *ContactList

	names     map[uint32]*names // of whom more is known than the roster says
	addressed map[uint32]bool   // who was told of by address, for want of a name
	online    int               // contacts
	own       ownNick
	near, far search // on the own server, and elsewhere
}

// names are what is known of a contact besides the name in the roster.
type names struct {
	chosen    string // by the user
	nick      string
	published bool   // nick is that of its node, which goes before presence
	card      string // in its vCard
	formal    bool   // card is a full name, no nickname
	sought    bool   // since the contact has come on-line, or it told by itself
	seeking   bool
	waiting   []func() // for the end of the search
}

// pair is Alias_Pair, (us).
type pair struct {
	Contact uint32
	Alias   string
}

// NewAliasing knows no name yet but those that the list has.
func NewAliasing(h Host, p *People, events *PersonalEvents, cards *VCards, list *ContactList) *Aliasing {
	a := &Aliasing{
		host: h, people: p, events: events, cards: cards, list: list,
		names:     make(map[uint32]*names),
		addressed: make(map[uint32]bool),
	}
	p.Watch(Watcher{Presence: a.handlePresence, Flush: a.count})
	events.Read(pep.NodeNick, a.handleNick)
	cards.Read(a.readCard)
	list.Watch(a.listChanged)
	return a
}

// Interface is the D-Bus side.
func (a *Aliasing) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionAliasing,
		Methods: map[string]func(*bus.Call){
			"GetAliasFlags": whileConnected(a.host, func(call *bus.Call) {
				call.Return(tp.ConnectionAliasFlagsUserSet)
			}),
			"RequestAliases": whileConnected(a.host, a.requestAliases),
			"GetAliases":     whileConnected(a.host, a.getAliases),
			"SetAliases":     whileConnected(a.host, a.setAliases),
		},
	}
}

// Attributes tells the alias of a contact to the Contacts interface.
func (a *Aliasing) Attributes(contact uint32) map[string]any {
	return map[string]any{tp.ContactAttributeConnectionAliasingAlias: a.tell(contact)}
}

// Alias is the best name there is for a contact, its address if there is none.
func (a *Aliasing) Alias(contact uint32) string {
	alias, _ := a.lookup(contact)
	return alias
}

// tell gives the alias to a client, who has to hear of a better one later.
func (a *Aliasing) tell(contact uint32) string {
	alias, named := a.lookup(contact)
	if !named {
		a.addressed[contact] = true
	}
	return alias
}

// lookup gives a contact's alias and whether it is more than the address.
func (a *Aliasing) lookup(contact uint32) (alias string, named bool) {
	who, _ := a.host.Handles().Contacts.ID(contact)
	return a.choose(contact, who, nameOf(a.list.item(who)))
}

// choose picks the alias, given the name in the roster.
func (a *Aliasing) choose(contact uint32, who jid.JID, rostered string) (alias string, named bool) {
	if !who.IsBare() {
		if alias = cleanName(who.Resource()); alias != "" {
			return alias, true
		}
		return who.String(), false
	}
	if n := a.names[contact]; n != nil {
		switch {
		case n.chosen != "":
			return n.chosen, true
		case n.nick != "":
			return n.nick, true
		case n.card != "" && !n.formal:
			return n.card, true
		}
	}
	if alias = cleanName(rostered); alias != "" {
		return alias, true
	}
	if n := a.names[contact]; n != nil && n.card != "" {
		return n.card, true
	}
	return who.String(), false
}

// of gives what is kept of a contact, to change it.
func (a *Aliasing) of(contact uint32) *names {
	n := a.names[contact]
	if n == nil {
		n = &names{}
		a.names[contact] = n
	}
	return n
}

// change changes what is known of a contact and announces the alias if that
// makes another one.
func (a *Aliasing) change(contact uint32, change func(*names)) {
	before, named := a.lookup(contact)
	change(a.of(contact))
	if after := a.Alias(contact); after != before && a.isNews(contact, named) {
		a.emitAliases([]pair{{contact, after}})
	}
}

// isNews tells whether somebody may know a contact by another alias. Nobody
// does as long as there was none, unless the address was told instead.
func (a *Aliasing) isNews(contact uint32, named bool) bool {
	return named || a.addressed[contact] || contact == a.host.SelfHandle()
}

func (a *Aliasing) emitAliases(changed []pair) {
	for _, p := range changed {
		delete(a.addressed, p.Contact)
		if _, named := a.lookup(p.Contact); !named {
			a.addressed[p.Contact] = true
		}
	}
	a.host.Emit(tp.SignalConnectionAliasingAliasesChanged, changed)
}

// listChanged takes new names in the roster, of which there may be thousands at
// a time.
func (a *Aliasing) listChanged(list []ListChange) {
	var changed []pair
	for _, c := range list {
		was, is := nameOf(c.Old), nameOf(c.New)
		if was == is {
			continue
		}
		before, named := a.choose(c.Contact, c.JID, was)
		if n := a.names[c.Contact]; n != nil && n.chosen != "" {
			n.chosen = cleanName(is) // another client of the user's may have renamed it
		}
		if after, _ := a.choose(c.Contact, c.JID, is); after != before && a.isNews(c.Contact, named) {
			changed = append(changed, pair{c.Contact, after})
		}
	}
	if len(changed) > 0 {
		a.emitAliases(changed)
	}
}

// handlePresence reads the nick in a presence (XEP-0172 §4.2), which few
// clients put there.
func (a *Aliasing) handlePresence(c *Contact, _ jid.JID, presence *stanza.Element) {
	nick, ok := pep.ParseNick(presence.Child(pep.NodeNick, "nick"))
	if !ok || c.Handle == a.host.SelfHandle() || a.names[c.Handle] != nil && a.names[c.Handle].published {
		return
	}
	a.change(c.Handle, func(n *names) { n.nick = keepName(nick) })
}

// handleNick takes news of the nick that somebody publishes.
func (a *Aliasing) handleNick(e pep.Event) {
	contact, known := a.host.Handles().Contacts.Lookup(e.Owner)
	switch {
	case !known && len(a.names) >= maxNames:
		return
	case !known: // its presence may be on its way
		contact = a.host.Handles().Contacts.Ensure(e.Owner)
	case contact == a.host.SelfHandle() && a.own.pending > 0:
		return // the answer to our own publish says it
	}
	if e.Kind == pep.Retracted || e.Kind == pep.Published && e.Item.Payload == nil {
		a.seek(contact, nil) // the server does not tell what there is now
		return
	}
	a.take(contact, e.Item)
	a.of(contact).sought = true
	if _, named := a.lookup(contact); named {
		a.settle(contact)
	}
}

// take takes what a contact's node holds. Without anything in it, the contact
// has no nick; what is no nick is passed over.
func (a *Aliasing) take(contact uint32, item pep.Item) {
	nick, ok := pep.ParseNick(item.Payload)
	nick = keepName(nick)
	if item.Payload != nil && !ok {
		return
	}
	a.change(contact, func(n *names) {
		if nick != "" || n.published {
			n.nick, n.published = nick, nick != ""
		}
	})
}

// readCard takes the name out of somebody's vCard.
func (a *Aliasing) readCard(who jid.JID, card *stanza.Element) {
	contact, known := a.host.Handles().Contacts.Lookup(who)
	if !known || contact == a.host.SelfHandle() && a.own.pending > 0 {
		return
	}
	name := keepName(vcard.Alias(card))
	if name == "" && a.names[contact] == nil {
		return
	}
	formal := cleanName(card.Child(vcard.NS, "NICKNAME").Text()) == ""
	a.change(contact, func(n *names) { n.card, n.formal = name, formal })
}

// count notes who has come and gone; those may come back with another nick.
func (a *Aliasing) count(appeared, gone []*Contact) {
	a.online += len(appeared) - len(gone)
	for _, c := range gone {
		if n := a.names[c.Handle]; n != nil {
			n.sought = false
		}
	}
}

func (a *Aliasing) getAliases(call *bus.Call) {
	contacts, ok := contactsOf(a.host, call)
	if !ok {
		return
	}
	told := make(map[uint32]string, len(contacts))
	for _, contact := range contacts {
		told[contact] = a.tell(contact)
	}
	a.Prepare(contacts, func() {}) // what it finds is signalled
	call.Return(told)
}

func (a *Aliasing) requestAliases(call *bus.Call) {
	contacts, ok := contactsOf(a.host, call)
	if !ok {
		return
	}
	a.request(contacts, func(aliases []string) { call.Return(aliases) })
}

// request gives aliases once a name was sought for those who have none.
func (a *Aliasing) request(contacts []uint32, done func(aliases []string)) {
	p := newPatience(a.host, func() {
		aliases := make([]string, len(contacts))
		for i, contact := range contacts {
			aliases[i] = a.tell(contact)
		}
		done(aliases)
	})
	for _, contact := range contacts {
		if _, named := a.lookup(contact); !named && a.canSeek(contact) {
			a.seek(contact, p.one())
		}
	}
	p.begin(maxSearch, "aliases requested")
}

func (a *Aliasing) setAliases(call *bus.Call) {
	var aliases map[uint32]string
	if !call.Args(&aliases) {
		return
	}
	a.set(aliases, func(err error) {
		if err != nil {
			call.Fail(refusal(err))
			return
		}
		call.Return()
	})
}

// set names several contacts, all or, when an argument is wrong, none. done
// gets the first error once all is over.
func (a *Aliasing) set(aliases map[uint32]string, done func(error)) {
	for contact, alias := range aliases {
		who, known := a.host.Handles().Contacts.ID(contact)
		switch {
		case !known:
			done(tp.Errorf(tp.ErrorInvalidArgument, "%d is not a contact", contact))
			return
		case !who.IsBare():
			done(tp.Errorf(tp.ErrorInvalidArgument, "%s is called so in its room alone", who))
			return
		case len(alias) > maxAlias:
			done(tp.Errorf(tp.ErrorInvalidArgument, "the alias is longer than %d bytes", maxAlias))
			return
		}
	}
	pending := len(aliases)
	var first error
	one := func(err error) {
		if first == nil {
			first = err
		}
		if pending--; pending == 0 {
			done(first)
		}
	}
	if pending == 0 {
		done(nil)
	}
	for contact, alias := range aliases {
		if alias = cleanName(alias); contact == a.host.SelfHandle() {
			a.setOwn(alias, one)
		} else {
			a.setContact(contact, alias, one)
		}
	}
}

// setContact stores the user's name for a contact in the roster.
func (a *Aliasing) setContact(contact uint32, alias string, done func(error)) {
	who, _ := a.host.Handles().Contacts.ID(contact)
	a.tell(contact) // who names it wants to hear of it
	a.list.SetName(who, alias, func(err error) {
		if err == nil {
			a.change(contact, func(n *names) { n.chosen = alias })
		}
		done(err)
	})
}

// cleanName makes one line of text that a stranger wrote, without what could
// change how the text around it is shown, and cuts it to maxAlias. Nearly all
// names are returned as they are.
func cleanName(name string) string {
	if len(name) > maxAlias {
		cut := maxAlias
		for !utf8.RuneStart(name[cut]) {
			cut--
		}
		name = name[:cut]
	}
	return strings.TrimSpace(strings.Map(cleanRune, name))
}

// keepName is cleanName for a name that is kept longer than the stanza it is in.
func keepName(name string) string { return strings.Clone(cleanName(name)) }

func cleanRune(r rune) rune {
	switch {
	case unicode.IsSpace(r):
		return ' '
	case unicode.IsControl(r), unicode.Is(unicode.Bidi_Control, r), r == utf8.RuneError:
		return -1
	}
	return r
}

// Named takes the name that a server component gives of a buddy, unless it
// publishes one itself.
func (a *Aliasing) Named(who jid.JID, name string) {
	contact := a.host.Handles().Contacts.Ensure(who)
	n := a.names[contact]
	if n != nil && n.published || n == nil && len(a.names) >= maxNames {
		return
	}
	a.change(contact, func(n *names) { n.nick, n.sought = keepName(name), true })
}
