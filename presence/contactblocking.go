package presence

import (
	"errors"
	"slices"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/blocking"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// ContactBlocking serves Connection.Interface.ContactBlocking over the block
// list that the server keeps. Whether a blocked contact is on-line is for the
// server to tell, as of any other.
type ContactBlocking struct {
	host     Host
	presence *SimplePresence
	contacts *ContactList
	list     *blocking.List // nil before CONNECTED
	server   *disco.Info
	state    blockingState
	waiting  []func(error) // for the list to be known
	watchers []func(blocked, unblocked []uint32)
}

// blockingState is how far the list has come.
type blockingState uint8

const (
	blockingUnknown blockingState = iota // not fetched, or without success: worth another try
	blockingFetching
	blockingKnown
	blockingUnsupported
)

// NewContactBlocking knows nobody yet. The own presence and the contact list
// are for servers that leave it to the client to have those whom it blocks see
// it go.
func NewContactBlocking(h Host, p *SimplePresence, l *ContactList) *ContactBlocking {
	b := &ContactBlocking{host: h, presence: p, contacts: l}
	l.blocked = func(who jid.JID) bool { return b.list != nil && b.list.Has(who) }
	return b
}

// Watch has changes told to f, after they were announced.
func (b *ContactBlocking) Watch(f func(blocked, unblocked []uint32)) {
	b.watchers = append(b.watchers, f)
}

// Interface is the D-Bus side.
func (b *ContactBlocking) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionContactBlocking,
		Methods: map[string]func(*bus.Call){
			"BlockContacts":          b.blockContacts,
			"UnblockContacts":        b.unblockContacts,
			"RequestBlockedContacts": b.requestBlockedContacts,
		},
		Properties: map[string]func() any{
			"ContactBlockingCapabilities": bus.Fixed(tp.ContactBlockingCapabilities(0)),
		},
	}
}

// Attributes tells the Contacts interface whether a contact is blocked, as
// soon as that is known.
func (b *ContactBlocking) Attributes(contact uint32) map[string]any {
	if b.state != blockingKnown {
		return nil
	}
	who, _ := b.host.Handles().Contacts.ID(contact)
	return map[string]any{tp.ContactAttributeConnectionContactBlockingBlocked: b.list.Has(who)}
}

// Connected fetches the list. Server is what the server tells of itself, nil
// if it tells nothing.
func (b *ContactBlocking) Connected(server *disco.Info) {
	b.server = server
	b.list = blocking.New(blocking.Config{Asker: b.host, Self: b.host.Self(), Changed: b.changed})
	b.fetch()
}

// HandlePush answers a push of the block list or of privacy lists.
func (b *ContactBlocking) HandlePush(iq *stanza.Element) {
	if b.list == nil {
		b.host.Send(stanza.ReplyError(iq, stanza.NewError(stanza.ServiceUnavailable, "")))
		return
	}
	b.host.Send(b.list.HandlePush(iq))
}

func (b *ContactBlocking) fetch() {
	b.state = blockingFetching
	b.list.Fetch(b.server, func(err error) {
		switch {
		case err == nil:
			b.state = blockingKnown
		case errors.Is(err, blocking.ErrUnsupported):
			b.state = blockingUnsupported
		default:
			b.state = blockingUnknown
		}
		if err != nil {
			b.host.Log().WithError(err).Debug("Nobody can be blocked")
		}
		waiting := b.waiting
		b.waiting = nil
		for _, then := range waiting {
			then(err)
		}
	})
}

// whenKnown goes on when the list is known, or answers the call with why it is
// not. After a failure it is asked for again.
func (b *ContactBlocking) whenKnown(call *bus.Call, then func()) {
	wait := func() {
		b.waiting = append(b.waiting, func(err error) {
			if err != nil {
				call.Fail(refusal(err))
				return
			}
			then()
		})
	}
	switch {
	case !b.host.IsConnected():
		call.Fail(errDisconnected())
	case b.state == blockingKnown:
		then()
	case b.state == blockingUnsupported:
		call.Fail(refusal(blocking.ErrUnsupported))
	case b.state == blockingFetching:
		wait()
	default:
		wait()
		b.fetch()
	}
}

// changed announces who was blocked and unblocked, and who of them can't see
// the user any more or sees them again.
func (b *ContactBlocking) changed(blocked, unblocked []jid.JID) {
	b.host.Emit(tp.SignalConnectionContactBlockingBlockedContactsChanged, b.identified(blocked), b.identified(unblocked))
	come, gone := b.handles(blocked), b.handles(unblocked)
	for _, w := range b.watchers {
		w(come, gone)
	}
	b.contacts.announceAll(slices.Concat(blocked, unblocked))
}

func (b *ContactBlocking) handles(who []jid.JID) []uint32 {
	handles := make([]uint32, len(who))
	for i, w := range who {
		handles[i] = b.host.Handles().Contacts.Ensure(w)
	}
	return handles
}

// identified is Handle_Identifier_Map, a{us}.
func (b *ContactBlocking) identified(who []jid.JID) map[uint32]string {
	ids := make(map[uint32]string, len(who))
	for _, w := range who {
		ids[b.host.Handles().Contacts.Ensure(w)] = w.String()
	}
	return ids
}

// Blocked lists the blocked contacts as far as they are known.
func (b *ContactBlocking) Blocked() []uint32 {
	if b.list == nil {
		return []uint32{}
	}
	handles := b.handles(slices.Collect(b.list.All()))
	slices.Sort(handles)
	return handles
}

func (b *ContactBlocking) requestBlockedContacts(call *bus.Call) {
	b.whenKnown(call, func() { call.Return(b.identified(slices.Collect(b.list.All()))) })
}

// blockContacts blocks without a report: the specification wants that where
// reports can't be made.
func (b *ContactBlocking) blockContacts(call *bus.Call) {
	var contacts []uint32
	var report bool
	if call.Args(&contacts, &report) {
		b.Block(call, contacts)
	}
}

func (b *ContactBlocking) unblockContacts(call *bus.Call) {
	var contacts []uint32
	if call.Args(&contacts) {
		b.Unblock(call, contacts)
	}
}

// Block blocks contacts and answers the call.
func (b *ContactBlocking) Block(call *bus.Call, contacts []uint32) {
	b.change(call, contacts, func(who []jid.JID, done func(error)) {
		self := b.host.Self()
		for _, w := range who {
			if w.Bare() == self.Bare() {
				done(tp.Errorf(tp.ErrorInvalidArgument, "nobody can block oneself"))
				return
			}
		}
		b.showTo(who, func() *stanza.Element {
			return stanza.New(stanza.NSClient, "presence", stanza.A("type", "unavailable"))
		})
		b.list.Block(who, done)
	})
}

// Unblock unblocks contacts and answers the call.
func (b *ContactBlocking) Unblock(call *bus.Call, contacts []uint32) {
	b.change(call, contacts, func(who []jid.JID, done func(error)) {
		who = slices.DeleteFunc(who, func(w jid.JID) bool { return !b.list.Has(w) })
		b.list.Unblock(who, func(err error) {
			if err == nil {
				b.showTo(who, b.presence.Build)
			}
			done(err)
		})
	})
}

// change answers the call when the contacts are as they are to be.
func (b *ContactBlocking) change(call *bus.Call, contacts []uint32, do func(who []jid.JID, done func(error))) {
	b.whenKnown(call, func() {
		who, ok := b.contacts.resolve(call, contacts)
		if !ok {
			return
		}
		do(who, func(err error) {
			if err != nil {
				call.Fail(refusal(err))
				return
			}
			call.Return()
		})
	})
}

// showTo sends a presence to those who may see the user and are not blocked,
// unless the server does it.
func (b *ContactBlocking) showTo(who []jid.JID, presence func() *stanza.Element) {
	if b.list.TellsContacts() {
		return
	}
	for _, w := range who {
		if !b.list.Has(w) && b.contacts.PublishState(w) == tp.SubscriptionStateYes {
			b.host.Send(presence().With(stanza.A("to", w.String())))
		}
	}
}
