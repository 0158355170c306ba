package presence

import (
	"errors"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

// ready answers the call with the right error unless the list is there.
func (l *ContactList) ready(call *bus.Call) bool {
	switch {
	case l.state == tp.ContactListStateSuccess:
		return true
	case l.state == tp.ContactListStateFailure:
		call.Fail(tp.Errorf(tp.ErrorNetworkError, "the server gave no roster"))
	default:
		call.Fail(tp.Errorf(tp.ErrorNotYet, "the contact list is not there yet"))
	}
	return false
}

func (l *ContactList) download(call *bus.Call) {
	if !l.host.IsConnected() {
		call.Fail(errDisconnected())
		return
	}
	call.Return() // it is downloaded at connection
}

func (l *ContactList) getContactListAttributes(call *bus.Call) {
	var interfaces []string
	var hold bool
	if !call.Args(&interfaces, &hold) || !l.ready(call) {
		return
	}
	all := make(map[uint32]map[string]dbus.Variant, len(l.told))
	interfaces = append(interfaces, tp.InterfaceConnectionContactList.Name)
	for who := range l.told {
		h, _ := l.host.Handles().Contacts.Lookup(who)
		all[h] = l.describe(h, interfaces)
	}
	call.Return(all)
}

// resolve turns handles into JIDs, or answers InvalidHandle.
func (l *ContactList) resolve(call *bus.Call, contacts []uint32) ([]jid.JID, bool) {
	who := make([]jid.JID, len(contacts))
	for i, h := range contacts {
		id, known := l.host.Handles().Contacts.ID(h)
		if !known {
			call.Fail(tp.Errorf(tp.ErrorInvalidHandle, "%d is not a contact", h))
			return nil, false
		}
		who[i] = id
	}
	return who, true
}

func (l *ContactList) requestSubscription(call *bus.Call) {
	var contacts []uint32
	var message string
	if !call.Args(&contacts, &message) || !l.ready(call) {
		return
	}
	l.Subscribe(call, contacts, message)
}

// Subscribe asks contacts to let us see them. Those not in the roster are
// put there first, so that the change is announced before the reply.
func (l *ContactList) Subscribe(call *bus.Call, contacts []uint32, message string) {
	who, ok := l.resolve(call, contacts)
	if !ok {
		return
	}
	all := gather(call)
	for _, w := range who {
		if s, _ := l.current(w); s.Subscribe == tp.SubscriptionStateYes {
			continue
		}
		subscribe := func() { l.host.Send(roster.Subscribe(w, message)) }
		if l.item(w) != nil {
			subscribe()
			continue
		}
		l.own[w] = true
		done := all.one()
		l.host.Ask(roster.SetQuery(w, "", nil), func(_ *stanza.Element, err error) {
			if err == nil {
				subscribe()
			}
			done(err)
		})
	}
	all.wait()
}

// change wraps a method that only takes contacts.
func (l *ContactList) change(each func(who jid.JID, done func(error))) func(*bus.Call) {
	return func(call *bus.Call) {
		var contacts []uint32
		if !call.Args(&contacts) || !l.ready(call) {
			return
		}
		l.forEach(call, contacts, each)
	}
}

// forEach does something to each contact and answers when all is done.
func (l *ContactList) forEach(call *bus.Call, contacts []uint32, each func(who jid.JID, done func(error))) {
	who, ok := l.resolve(call, contacts)
	if !ok {
		return
	}
	all := gather(call)
	for _, w := range who {
		each(w, all.one())
	}
	all.wait()
}

func (l *ContactList) authorize(who jid.JID, done func(error)) {
	if s, _ := l.current(who); s.Publish != tp.SubscriptionStateYes {
		l.approved[who] = true
		l.host.Send(roster.Subscribed(who))
	}
	done(nil)
}

// remove takes a contact off the roster, or refuses its request. What can't be
// removed is left, for the method is to succeed all the same.
func (l *ContactList) remove(who jid.JID, done func(error)) {
	delete(l.approved, who)
	if _, asks := l.requests[who]; asks {
		l.host.Send(roster.Unsubscribed(who))
		l.forgetRequest(who)
	}
	item := l.item(who)
	if item == nil || l.isShared(item) {
		done(nil)
		return
	}
	l.host.Ask(roster.RemoveQuery(who), func(*stanza.Element, error) { done(nil) })
}

// unsubscribe ends seeing a contact. After a refusal there is nothing to end,
// but the user has taken note of it.
func (l *ContactList) unsubscribe(who jid.JID, done func(error)) {
	s, _ := l.current(who)
	delete(l.rejected, who)
	switch s.Subscribe {
	case tp.SubscriptionStateYes, tp.SubscriptionStateAsk:
		l.host.Send(roster.Unsubscribe(who))
	case tp.SubscriptionStateRemovedRemotely:
		l.announceOne(who)
	}
	done(nil)
}

func (l *ContactList) unpublish(who jid.JID, done func(error)) {
	delete(l.approved, who)
	_, asks := l.requests[who]
	if item := l.item(who); asks || item != nil && item.Subscription.IsFrom() {
		l.host.Send(roster.Unsubscribed(who))
	}
	l.forgetRequest(who)
	done(nil)
}

// Authorize, Unsubscribe, Unpublish, Remove and Store do to all contacts what the
// methods of the interface do, and answer the call.
func (l *ContactList) Authorize(call *bus.Call, contacts []uint32) {
	l.forEach(call, contacts, l.authorize)
}

// Unsubscribe is described with [ContactList.Authorize].
func (l *ContactList) Unsubscribe(call *bus.Call, contacts []uint32) {
	l.forEach(call, contacts, l.unsubscribe)
}

// Unpublish is described with [ContactList.Authorize].
func (l *ContactList) Unpublish(call *bus.Call, contacts []uint32) {
	l.forEach(call, contacts, l.unpublish)
}

// Remove is described with [ContactList.Authorize].
func (l *ContactList) Remove(call *bus.Call, contacts []uint32) {
	l.forEach(call, contacts, l.remove)
}

// Store puts contacts into the roster, without a subscription.
func (l *ContactList) Store(call *bus.Call, contacts []uint32) {
	l.forEach(call, contacts, func(who jid.JID, done func(error)) {
		if l.item(who) != nil {
			done(nil)
			return
		}
		l.writeItem(who, "", nil, done)
	})
}

// SubscribeState tells whether we may see a contact.
func (l *ContactList) SubscribeState(who jid.JID) tp.SubscriptionState { return l.told[who].Subscribe }

// PublishState tells whether a contact may see us.
func (l *ContactList) PublishState(who jid.JID) tp.SubscriptionState { return l.told[who].Publish }

// Asked lists the contacts whose consent we wait for.
func (l *ContactList) Asked() []uint32 {
	return l.withState(func(s subscription) bool { return s.Subscribe == tp.SubscriptionStateAsk })
}

// Published lists the contacts who may see us, and those who ask to.
func (l *ContactList) Published() (yes, ask []uint32) {
	return l.withState(func(s subscription) bool { return s.Publish == tp.SubscriptionStateYes }),
		l.withState(func(s subscription) bool { return s.Publish == tp.SubscriptionStateAsk })
}

// Stored lists the contacts in the roster.
func (l *ContactList) Stored() []uint32 {
	handles := []uint32{}
	for who := range l.told {
		if l.item(who) != nil {
			h, _ := l.host.Handles().Contacts.Lookup(who)
			handles = append(handles, h)
		}
	}
	slices.Sort(handles)
	return handles
}

func (l *ContactList) withState(fits func(subscription) bool) []uint32 {
	handles := []uint32{}
	for who, s := range l.told {
		if fits(s) {
			h, _ := l.host.Handles().Contacts.Lookup(who)
			handles = append(handles, h)
		}
	}
	slices.Sort(handles)
	return handles
}

// gathering answers a call when several things are done: with the first error,
// if there was any.
type gathering struct {
	call    *bus.Call
	pending int
	err     error
}

// gather begins; the call is answered after wait and after every one.
func gather(call *bus.Call) *gathering { return &gathering{call: call, pending: 1} }

// one adds a thing to wait for.
func (g *gathering) one() func(error) {
	g.pending++
	return g.done
}

// wait says that there is nothing more to add.
func (g *gathering) wait() { g.done(nil) }

func (g *gathering) done(err error) {
	var answer *tp.Error
	switch {
	case err == nil || g.err != nil:
	case errors.As(err, &answer):
		g.err = answer
	default:
		g.err = tp.Errorf(tp.ErrorNetworkError, "the server refused: %v", err)
	}
	if g.pending--; g.pending > 0 {
		return
	}
	if g.err != nil {
		g.call.Fail(g.err)
		return
	}
	g.call.Return()
}
