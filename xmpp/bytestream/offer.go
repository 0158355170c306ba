package bytestream

import (
	"context"
	"net"
	"slices"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

// openWithin is how long the initiator may take from our acceptance, or from the
// failure of one method, to the next.
const openWithin = 60 * time.Second

// Offer is a stream that somebody else offers. It waits until it is accepted or
// refused; nothing tells when its sender has lost interest.
type Offer struct {
	// From is who offers; an occupant's address in rooms.
	From jid.JID
	// To is who we are for the other side. Who serves rooms puts our own
	// occupant's address here before Accept, since stanzas that come through
	// a room do not say it.
	To jid.JID
	// SI is the whole offer, with the profile's own children.
	SI *stanza.Element

	m       *Manager
	id      string
	iq      *stanza.Element
	offer   si.Offer
	slot    *slot
	methods []string // that the initiator may still try, once accepted
	timer   *loop.Timer
	over    bool
	query   *stanza.Element    // the SOCKS5 query that we are busy with
	cancel  context.CancelFunc // of the goroutine that connects
	opened  func(c Conn, err error)
}

// handleOffer handles the offers of XEP-0095.
func (m *Manager) handleOffer(iq *stanza.Element) {
	from := m.sender(iq)
	offer, err := si.ParseOffer(iq.First())
	k := key{peerName(from), offer.ID}
	handle := m.profiles[iq.First().Attr("profile")]
	switch {
	case iq.Attr("type") != "set" || !iq.First().Is(si.NS, "si"):
		m.refuse(iq, stanza.BadRequest)
	case handle == nil:
		m.host.Send(stanza.ReplyError(iq, si.BadProfile()))
	case err != nil:
		m.refuse(iq, stanza.BadRequest)
	case len(offer.Choose(m.methods)) == 0:
		m.host.Send(stanza.ReplyError(iq, si.NoValidStreams()))
	case m.offers[k] != nil || m.inBand[k] != nil:
		m.refuse(iq, stanza.Conflict)
	default:
		m.admit(iq, from, offer, handle)
	}
}

// admit tells of an offer, unless there are too many.
func (m *Manager) admit(iq *stanza.Element, from jid.JID, offer si.Offer, handle func(*Offer)) {
	peer := peerName(from)
	waiting := 0
	for k, o := range m.offers {
		if k.peer == peer && o.iq != nil {
			waiting++
		}
	}
	var s *slot
	if waiting < maxWaiting && !m.closed {
		s = m.takeSlot(peer)
	}
	if s == nil {
		m.refuse(iq, stanza.ResourceConstraint)
		return
	}
	to, err := jid.ParseLenient(iq.Attr("to"))
	if err != nil {
		to = m.host.Self()
	}
	o := &Offer{From: from, To: to, SI: iq.First(), m: m, id: offer.ID, iq: iq, offer: offer, slot: s, cancel: func() {}}
	m.offers[o.key()] = o
	handle(o)
}

func (o *Offer) key() key { return key{peerName(o.From), o.id} }

// allows tells whether the initiator may try a method now.
func (o *Offer) allows(method string) bool { return slices.Contains(o.methods, method) }

// Accept accepts the offer, with the profile's own children of the answer.
// opened runs once, on the loop and after Accept has returned, with the stream
// or with an error. After cancel, which may be called at any time, it does not
// run. An offer that was answered already is left alone.
func (o *Offer) Accept(payload []stanza.Part, opened func(c Conn, err error)) (cancel func()) {
	switch {
	case o.iq == nil:
		return func() {}
	case o.over: // by the end of the session
		o.iq = nil
		o.m.host.Post("stream refused", func() { opened(nil, ErrClosed) })
		return func() {}
	}
	o.opened = opened
	o.methods = o.offer.Choose(o.m.methods)
	if len(o.methods) == 0 {
		o.answer(stanza.ReplyError(o.iq, si.NoValidStreams()))
		o.m.host.Post("stream refused", func() { o.fail(ErrNoMethod) })
		return o.abandon
	}
	o.answer(stanza.Reply(o.iq, o.offer.Accept(o.methods, payload...)))
	o.wait()
	return o.abandon
}

// Refuse answers the offer with an error; nil is that the user does not want it.
// One that was answered already is left alone.
func (o *Offer) Refuse(e *stanza.Error) {
	if o.iq == nil || o.over {
		return
	}
	if e == nil {
		e = si.Declined()
	}
	o.answer(stanza.ReplyError(o.iq, e))
	o.abandon()
}

func (o *Offer) answer(reply *stanza.Element) {
	o.iq = nil
	o.m.host.Send(reply)
}

// wait gives the initiator its time to open the stream.
func (o *Offer) wait() {
	o.timer.Stop()
	o.timer = o.m.host.After(openWithin, "stream overdue", func() { o.fail(ErrOverdue) })
}

// handleSOCKS5 handles the IQs of XEP-0065. We are no relay.
func (m *Manager) handleSOCKS5(iq *stanza.Element) {
	q, err := socks5.ParseQuery(iq.First())
	o := m.offers[key{peerName(m.sender(iq)), q.SID}]
	switch {
	case iq.Attr("type") != "set":
		m.refuse(iq, stanza.ServiceUnavailable)
	case err != nil:
		m.refuse(iq, stanza.BadRequest)
	case o == nil || !o.allows(socks5.NS):
		m.refuse(iq, stanza.ItemNotFound)
	case o.query != nil:
		m.refuse(iq, stanza.UnexpectedRequest)
	default:
		o.connect(iq, q.Hosts)
	}
}

// connect tries the streamhosts and answers which it was.
func (o *Offer) connect(iq *stanza.Element, hosts []socks5.StreamHost) {
	o.query = iq
	o.timer.Stop()
	hash := socks5.Hash(o.id, o.From, o.To)
	o.m.reach(hosts, hash, o, func(conn *net.TCPConn, host socks5.StreamHost, err error) {
		if err != nil {
			o.unreached(err)
			return
		}
		o.query = nil
		o.m.host.Send(stanza.Reply(iq, socks5.Used(o.id, host.JID)))
		o.done(o.m.newTCPConn(conn, o.slot))
	})
}

// unreached tells the initiator to try something else.
func (o *Offer) unreached(err error) {
	o.refuseQuery()
	o.methods = slices.DeleteFunc(o.methods, func(m string) bool { return m == socks5.NS })
	if len(o.methods) == 0 {
		o.fail(err)
		return
	}
	o.m.host.Log().WithError(err).Debug("No streamhost reached, waiting for another method")
	o.wait()
}

func (o *Offer) refuseQuery() {
	if o.query != nil {
		o.m.refuse(o.query, stanza.ItemNotFound)
		o.query = nil
	}
}

// begin makes an Offer [reaching].
func (o *Offer) begin(cancel context.CancelFunc) func() bool {
	o.cancel = cancel
	return func() bool { return o.query == nil || o.over }
}

// end takes the offer out of the Manager.
func (o *Offer) end() {
	o.over = true
	delete(o.m.offers, o.key())
	o.timer.Stop()
	o.refuseQuery()
	o.cancel()
}

// done hands over the stream, and with it the slot.
func (o *Offer) done(c Conn) {
	o.end()
	o.opened(c, nil)
}

func (o *Offer) fail(err error) {
	if o.over {
		return
	}
	o.end()
	o.slot.free()
	if o.opened != nil {
		o.opened(nil, err)
	}
}

func (o *Offer) abandon() {
	if o.over {
		return
	}
	o.end()
	o.slot.free()
}
