package bytestream

import (
	"errors"
	"time"

	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

// answerWithin is how long an offer stands: its receiver asks the user first, who
// may be at lunch.
const answerWithin = 24 * time.Hour

// Proposal is a stream that we offer.
type Proposal struct {
	To       jid.JID // full; an occupant's address in rooms
	From     jid.JID // zero, or our own occupant's address in rooms
	Profile  string
	MimeType string        // may be empty
	Payload  []stanza.Part // the profile's own children of <si/>
	InRoom   bool          // To is an occupant: no relays
}

// opening is an offer of ours until the stream is open.
type opening struct {
	m       *Manager
	p       Proposal
	self    jid.JID // who we are for the other side
	sid     string
	offer   si.Offer
	slot    *slot
	accept  *stanza.Element
	methods []string // still to be tried
	stop    func()   // ends what is under way
	over    bool
	opened  func(c Conn, accept *stanza.Element, err error)
}

// Open offers a stream. opened runs once, on the loop and after Open has
// returned: with the stream and the <si/> that accepted it, or with an error,
// which is the other side's [*stanza.Error] if it refused. The other side may
// take a day to answer, since it may have to ask its user. After cancel, which may be called at any time, opened does not run.
func (m *Manager) Open(p Proposal, opened func(c Conn, accept *stanza.Element, err error)) (cancel func()) {
	o := &opening{m: m, p: p, self: p.From, sid: newID(), opened: opened, stop: func() {}}
	if o.self.IsZero() {
		o.self = m.host.Self()
	}
	err := ErrClosed
	if !m.closed {
		err = ErrTooMany
		o.slot = m.takeSlot(peerName(p.To))
	}
	if o.slot == nil {
		m.host.Post("stream refused", func() {
			if !o.over {
				o.over = true
				opened(nil, nil, err)
			}
		})
		return func() { o.over = true }
	}
	m.openings[o] = struct{}{}
	o.ask()
	return o.cancel
}

func (o *opening) ask() {
	o.offer = si.Offer{ID: o.sid, Profile: o.p.Profile, MimeType: o.p.MimeType, Methods: o.m.methods, Multiple: true}
	o.m.session.AskWithin(answerWithin, set(o.p.To, o.offer.Element(o.p.Payload...)), func(reply *stanza.Element, err error) {
		var methods []string
		if err == nil {
			o.accept = reply.Child(si.NS, "si")
			methods, err = o.offer.Accepted(o.accept)
		}
		switch {
		case o.over:
			o.takeBack(methods)
		case err != nil:
			o.fail(err)
		default:
			o.methods = methods
			o.next(ErrNoMethod)
		}
	})
	if !o.p.InRoom && o.m.relays != nil {
		o.m.relays.Relays(func([]socks5.StreamHost) {}) // to be known when the other side has decided
	}
}

// takeBack ends a stream that was cancelled before it was accepted, in the only
// way there is: it is opened, and closed.
func (o *opening) takeBack(methods []string) {
	for _, method := range methods {
		if method != ibb.NS || o.m.closed {
			continue
		}
		o.m.host.Ask(set(o.p.To, ibb.Open{SID: o.sid, BlockSize: ibb.SmallBlockSize}.Element()), func(_ *stanza.Element, err error) {
			if err == nil {
				o.m.host.Ask(set(o.p.To, ibb.Close(o.sid)), func(*stanza.Element, error) {})
			}
		})
	}
}

// next tries the next method; err is why the last one did not work.
func (o *opening) next(err error) {
	if o.over {
		return
	}
	o.stop = func() {}
	if len(o.methods) == 0 {
		o.fail(err)
		return
	}
	method := o.methods[0]
	o.methods = o.methods[1:]
	switch method {
	case socks5.NS:
		o.tryDirect()
	case ibb.NS:
		o.tryInBand(ibb.BlockSize)
	}
}

// tryInBand opens the stream through the server.
func (o *opening) tryInBand(size int) {
	if !o.m.roomInBand(o.slot.peer) {
		o.next(ErrTooMany)
		return
	}
	o.m.host.Ask(set(o.p.To, ibb.Open{SID: o.sid, BlockSize: size}.Element()), func(_ *stanza.Element, err error) {
		var answer *stanza.Error
		tooLarge := errors.As(err, &answer) && size > ibb.SmallBlockSize &&
			(answer.Condition == stanza.ResourceConstraint || answer.Condition == stanza.NotAcceptable)
		switch {
		case o.over && err == nil:
			o.m.host.Ask(set(o.p.To, ibb.Close(o.sid)), func(*stanza.Element, error) {})
		case o.over:
		case tooLarge:
			o.tryInBand(ibb.SmallBlockSize)
		case err != nil:
			o.next(err)
		default:
			o.done(o.m.newInBand(o.p.To, o.sid, size, o.slot))
		}
	})
}

// end takes the opening out of the Manager.
func (o *opening) end() {
	o.over = true
	delete(o.m.openings, o)
	o.stop()
}

// done hands over the stream, and with it the slot.
func (o *opening) done(c Conn) {
	o.end()
	o.opened(c, o.accept, nil)
}

func (o *opening) fail(err error) {
	if o.over {
		return
	}
	o.end()
	o.slot.free()
	o.opened(nil, o.accept, err)
}

func (o *opening) cancel() {
	if o.over {
		return
	}
	o.end()
	o.slot.free()
}
