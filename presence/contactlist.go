package presence

import (
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxRequests bounds the strangers who wait for the user's consent.
	maxRequests = 1000
	// maxRequestText bounds what each of them says, in bytes.
	maxRequestText = 1024
)

// ContactList serves Connection.Interface.ContactList: the true states of
// subscription, as the server's roster has them (RFC 6121 §2 and §3).
//
// Items of shared groups are never written: ejabberd's mod_shared_roster makes
// a one-way subscription of an item that its member writes, and the child
// vanishes from the others' lists. See [ContactList.isShared].
type ContactList struct {
	host     Host
	people   *People
	roster   *roster.Roster // nil before CONNECTED
	cache    rosterCache
	state    tp.ContactListState
	told     map[jid.JID]subscription // as last announced
	requests map[jid.JID]string       // who asks to see us, and with what words
	approved map[jid.JID]bool         // may see us when they ask
	own      map[jid.JID]bool         // items written by a client of this session
	rejected map[jid.JID]bool         // have refused or ended our subscription
	watchers []func([]ListChange)
	blocked  func(who jid.JID) bool // and so does not see us, whatever the roster says

	describe func(contact uint32, interfaces []string) map[string]dbus.Variant
}

// subscription is Contact_Subscriptions, (uus).
type subscription struct {
	Subscribe, Publish tp.SubscriptionState
	Request            string
}

// ListChange is what happened to one contact on the list. Old or New is nil
// where the contact was or is not in the roster.
type ListChange struct {
	Contact uint32
	JID     jid.JID
	roster.Change
	Removed bool // from the list as a whole, requests included
}

// NewContactList makes an empty list. The cache of the account's is a file in
// the directory, empty for none. describe gives what Contacts tells of a contact
// under the named interfaces.
func NewContactList(h Host, p *People, account jid.JID, directory string, describe func(uint32, []string) map[string]dbus.Variant) *ContactList {
	l := &ContactList{
		host: h, people: p, describe: describe,
		cache:    rosterCache{host: h, account: account.Bare(), directory: directory},
		told:     make(map[jid.JID]subscription),
		requests: make(map[jid.JID]string),
		approved: make(map[jid.JID]bool),
		own:      make(map[jid.JID]bool),
		rejected: make(map[jid.JID]bool),
		blocked:  func(jid.JID) bool { return false },
	}
	p.rostered = func(who jid.JID) bool { return l.item(who) != nil }
	return l
}

// Watch has changes told to f, after they were announced.
func (l *ContactList) Watch(f func([]ListChange)) { l.watchers = append(l.watchers, f) }

// Interface is the D-Bus side.
func (l *ContactList) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionContactList,
		Methods: map[string]func(*bus.Call){
			"GetContactListAttributes": l.getContactListAttributes,
			"RequestSubscription":      l.requestSubscription,
			"AuthorizePublication":     l.change(l.authorize),
			"RemoveContacts":           l.change(l.remove),
			"Unsubscribe":              l.change(l.unsubscribe),
			"Unpublish":                l.change(l.unpublish),
			"Download":                 l.download,
		},
		Properties: map[string]func() any{
			"ContactListState":     func() any { return l.state },
			"ContactListPersists":  bus.Fixed(true),
			"CanChangeContactList": bus.Fixed(true),
			"RequestUsesMessage":   bus.Fixed(true),
			"DownloadAtConnection": bus.Fixed(true),
		},
	}
}

// Attributes tells the subscriptions of a contact to the Contacts interface,
// as soon as they are known.
func (l *ContactList) Attributes(contact uint32) map[string]any {
	if l.state != tp.ContactListStateSuccess {
		return nil
	}
	who, _ := l.host.Handles().Contacts.ID(contact)
	s, listed := l.told[who]
	if !listed {
		s = subscription{Subscribe: tp.SubscriptionStateNo, Publish: tp.SubscriptionStateNo}
	}
	name := tp.InterfaceConnectionContactList.Name
	told := map[string]any{name + "/subscribe": s.Subscribe, name + "/publish": s.Publish}
	if s.Request != "" {
		told[name+"/publish-request"] = s.Request
	}
	return told
}

// Load fetches from disk what the list was in an earlier session. It is called
// when the session begins.
func (l *ContactList) Load() { l.cache.load() }

// Connected fetches the roster, from a server that has versions only if it is
// another than what was loaded; pushes come from then on.
func (l *ContactList) Connected(versioned bool) {
	l.setState(tp.ContactListStateWaiting)
	l.roster = roster.New(roster.Config{Asker: l.host, Self: l.host.Self(), Changed: l.rosterChanged})
	cached := l.cache.take(versioned)
	l.roster.Fetch(cached, func(err error) {
		if err != nil {
			l.host.Log().WithError(err).Warn("The server gives no roster")
			l.setState(tp.ContactListStateFailure)
			return
		}
		l.cache.got(l.roster, cached)
		l.setState(tp.ContactListStateSuccess)
	})
}

// Close ends it when the session ends, and has the list saved. Nobody waits for
// that: without it, it is fetched whole the next time.
func (l *ContactList) Close() { l.cache.close(l.roster) }

// HandlePush answers a roster push.
func (l *ContactList) HandlePush(iq *stanza.Element) {
	if l.roster != nil {
		l.host.Send(l.roster.HandlePush(iq))
	}
}

func (l *ContactList) setState(s tp.ContactListState) {
	l.state = s
	l.host.Emit(tp.SignalConnectionContactListContactListStateChanged, s)
}

func (l *ContactList) item(who jid.JID) *roster.Item {
	if l.roster == nil {
		return nil
	}
	return l.roster.Get(who)
}

// rosterChanged announces what one stanza changed in the roster.
func (l *ContactList) rosterChanged(changes []roster.Change) {
	l.cache.changed(l.roster)
	changes = l.withoutServices(changes)
	list := make([]ListChange, len(changes))
	for i, c := range changes {
		item := c.New
		if item == nil {
			item = c.Old
		}
		if c.New == nil || c.New.Subscription.IsTo() {
			delete(l.rejected, item.JID)
		}
		if c.New != nil && c.New.Subscription.IsFrom() {
			delete(l.requests, item.JID)
		}
		list[i] = ListChange{Contact: l.host.Handles().Contacts.Ensure(item.JID), JID: item.JID, Change: c}
		l.people.Reckon(item.JID)
	}
	l.announce(list)
}

// withoutServices leaves out what is no contact: a component that publishes for
// the user is in the roster, too.
func (l *ContactList) withoutServices(changes []roster.Change) []roster.Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c roster.Change) bool {
		item := c.New
		if item == nil {
			item = c.Old
		}
		return jid.IsService(item.JID, l.host.Self())
	})
}

// current is what a contact's subscriptions are now; false when the contact is
// not on the list.
func (l *ContactList) current(who jid.JID) (subscription, bool) {
	item := l.item(who)
	request, asks := l.requests[who]
	s := subscription{Subscribe: tp.SubscriptionStateNo, Publish: tp.SubscriptionStateNo}
	if item != nil {
		switch {
		case item.Subscription.IsTo():
			s.Subscribe = tp.SubscriptionStateYes
		case item.Ask:
			s.Subscribe = tp.SubscriptionStateAsk
		case l.rejected[who]:
			s.Subscribe = tp.SubscriptionStateRemovedRemotely
		}
		if item.Subscription.IsFrom() && !l.blocked(who) {
			s.Publish = tp.SubscriptionStateYes
		}
	}
	if asks && s.Publish != tp.SubscriptionStateYes {
		s.Publish, s.Request = tp.SubscriptionStateAsk, request
	}
	return s, item != nil || asks
}

// announce tells what is different now of the contacts named.
func (l *ContactList) announce(list []ListChange) {
	changed := make(map[uint32]subscription, len(list))
	ids := make(map[uint32]string, len(list))
	removed := make(map[uint32]string)
	for i, c := range list {
		now, listed := l.current(c.JID)
		was, wasListed := l.told[c.JID]
		switch {
		case listed && (!wasListed || was != now):
			l.told[c.JID] = now
			changed[c.Contact], ids[c.Contact] = now, c.JID.String()
		case !listed && wasListed:
			delete(l.told, c.JID)
			removed[c.Contact] = c.JID.String()
			list[i].Removed = true
		}
	}
	if len(changed)+len(removed) > 0 {
		l.host.Emit(tp.SignalConnectionContactListContactsChangedWithID, changed, ids, removed)
		l.host.Emit(tp.SignalConnectionContactListContactsChanged, changed, slices.Sorted(maps.Keys(removed)))
	}
	for _, w := range l.watchers {
		w(list)
	}
}

// announceOne announces a change that was not one of the roster.
func (l *ContactList) announceOne(who jid.JID) { l.announceAll([]jid.JID{who}) }

// announceAll is announceOne for several at once.
func (l *ContactList) announceAll(who []jid.JID) {
	list := make([]ListChange, len(who))
	for i, w := range who {
		item := l.item(w)
		list[i] = ListChange{
			Contact: l.host.Handles().Contacts.Ensure(w), JID: w, Change: roster.Change{Old: item, New: item},
		}
	}
	l.announce(list)
}

// HandlePresence takes requests for and answers about subscription,
// RFC 6121 §3. A schoolmate's request, that is one from the own server, is
// granted and returned, as Sugar's presence service did; others wait for the
// user.
func (l *ContactList) HandlePresence(e *stanza.Element) bool {
	kind := e.Attr("type")
	switch kind {
	case "subscribe", "subscribed", "unsubscribe", "unsubscribed":
	default:
		return false
	}
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil || from.Bare() == l.host.Self().Bare() {
		return true
	}
	who := from.Bare()
	switch kind {
	case "subscribe":
		l.asked(who, e.Child(stanza.NSClient, "status").Text())
	case "unsubscribe":
		l.forgetRequest(who)
	case "unsubscribed":
		if l.item(who) != nil {
			l.rejected[who] = true
			l.announceOne(who)
		}
	case "subscribed":
		delete(l.rejected, who)
	}
	return true
}

func (l *ContactList) asked(who jid.JID, text string) {
	schoolmate := who.Domain() == l.host.Self().Domain() && who.Local() != ""
	switch {
	case schoolmate || l.approved[who]:
		l.host.Send(roster.Subscribed(who))
		if s, _ := l.current(who); schoolmate && s.Subscribe == tp.SubscriptionStateNo {
			l.host.Send(roster.Subscribe(who, ""))
		}
	case len(l.requests) < maxRequests:
		if len(text) > maxRequestText {
			text = ""
		}
		l.requests[who] = text
		l.announceOne(who)
	}
}

func (l *ContactList) forgetRequest(who jid.JID) {
	if _, asks := l.requests[who]; asks {
		delete(l.requests, who)
		l.announceOne(who)
	}
}

// isShared tells whether an item belongs to a shared group, as far as a client
// can know: such groups are those of the own server's accounts, and no client
// of this session has made the item. When in doubt it is left alone.
func (l *ContactList) isShared(item *roster.Item) bool {
	return item != nil && len(item.Groups) > 0 && !l.own[item.JID] && item.JID.Domain() == l.host.Self().Domain()
}
