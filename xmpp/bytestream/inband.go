package bytestream

import (
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

var _ Conn = (*ibb.Stream)(nil)

// roomInBand tells whether one more stream may go through the server.
func (m *Manager) roomInBand(peer string) bool {
	n := 0
	for k := range m.inBand {
		if k.peer == peer {
			n++
		}
	}
	return len(m.inBand) < maxInBand && n < maxInBandPerPeer
}

// newInBand makes an agreed stream.
func (m *Manager) newInBand(peer jid.JID, sid string, size int, s *slot) *ibb.Stream {
	k := key{peerName(peer), sid}
	stream := ibb.NewStream(ibb.Config{
		Host: m.host, To: peer.String(), SID: sid, BlockSize: size,
		Window: func() int { return min(max(maxBlocks/max(len(m.inBand), 1), 1), ibb.Window) },
		Ended: func() {
			delete(m.inBand, k)
			s.free()
		},
	})
	m.inBand[k] = stream
	return stream
}

// handleIBB handles the IQs of XEP-0047.
func (m *Manager) handleIBB(iq *stanza.Element) {
	e, from := iq.First(), m.sender(iq)
	k := key{peerName(from), e.Attr("sid")}
	stream := m.inBand[k]
	switch {
	case iq.Attr("type") != "set":
		m.refuse(iq, stanza.BadRequest)
	case e.Local() == "open":
		m.handleOpen(iq, k)
	case e.Local() != "data" && e.Local() != "close":
		m.refuse(iq, stanza.BadRequest)
	case stream == nil:
		m.refuse(iq, stanza.ItemNotFound)
	case e.Local() == "data":
		stream.HandleData(iq)
	default:
		stream.HandleClose(iq)
	}
}

// handleOpen opens the stream of an offer that was accepted; there are no others
// here.
func (m *Manager) handleOpen(iq *stanza.Element, k key) {
	open, err := ibb.ParseOpen(iq.First())
	o := m.offers[k]
	switch {
	case err != nil || o == nil || !o.allows(ibb.NS):
		m.refuse(iq, stanza.BadRequest)
	case open.BlockSize > ibb.MaxBlockSize || !m.roomInBand(k.peer):
		m.refuse(iq, stanza.ResourceConstraint)
	default:
		m.host.Send(stanza.Reply(iq))
		o.done(m.newInBand(o.From, o.id, open.BlockSize, o.slot))
	}
}

// handleMessage takes blocks that come in messages, XEP-0047 §3.
func (m *Manager) handleMessage(message *stanza.Element) bool {
	data := message.Child(ibb.NS, "data")
	if data == nil {
		return false
	}
	stream := m.inBand[key{peerName(m.sender(message)), data.Attr("sid")}]
	if stream != nil && message.Attr("type") != "error" {
		stream.HandleData(message)
	}
	return true
}
