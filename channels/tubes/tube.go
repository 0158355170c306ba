package tubes

import (
	"slices"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/dbuspeer"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/tubes"
)

// tube is one tube, of ours or of somebody else.
type tube struct {
	tubes.Tube // as on the wire
	circle     *circle
	number     uint32 // by which clients know it
	own        bool   // offered by us since we are here
	initiator  uint32
	state      tp.TubeChannelState
	face       *tubeChannel // nil while it has no channel of its own
	hidden     bool         // closed by a client while others have it
	peer       jid.JID      // the other side's device, with a contact
	waiting    bool         // offered by a contact, and not answered
	preparing  bool         // to be offered to a contact
	over       bool         // it is in no list any more

	names   map[string]string // in D-Bus tubes of rooms, by nick
	owners  map[string]string // the nicks, by name
	server  *dbuspeer.Server  // for the local program, of D-Bus tubes
	flow    *flow             // of what the program says
	pending *bytestream.Offer // D-Bus tube of a contact that is not accepted
	pipe    *pipe             // of a D-Bus tube with a contact
	cancel  func()            // ends the opening of the pipe; nil if there is none

	stream
}

// isTube tells whether the tube is on offer or in use, so that the older API
// knows it.
func (t *tube) isTube() bool { return t.state != tp.TubeChannelStateNotOffered && !t.hidden }

// setState changes the state and tells clients. The user's name in a D-Bus tube
// comes with its being open.
func (t *tube) setState(s tp.TubeChannelState) {
	t.state = s
	if t.face != nil {
		t.face.emitState()
	}
	if s == tp.TubeChannelStateOpen && t.Type == tubes.DBus && t.circle.room != nil {
		t.addName(t.circle.room.Nick(), t.DBusName)
	}
	if t.circle.face != nil {
		t.circle.face.emitState(t)
	}
}

// announce tells clients of a tube that is new on offer: the older face by a
// signal, the newer by a channel where nobody has the older.
func (t *tube) announce() {
	switch {
	case t.circle.face != nil:
		t.circle.face.emitNew(t)
	case t.face == nil:
		t.show(false)
	}
}

// show gives the tube a channel of its own.
func (t *tube) show(requested bool, answered ...*channels.Request) {
	t.face = newTubeChannel(t, requested)
	t.circle.host.Opened(t.face.channel, answered...)
}

// offered runs when a tube of ours is on offer.
func (t *tube) offered(s tp.TubeChannelState) {
	t.setState(s)
	if t.circle.face != nil {
		t.circle.face.emitNew(t)
	}
	if t.circle.room != nil {
		t.circle.room.UpdatePresence()
	}
}

// checkState gives an error if the tube is not in the state that a call asks for.
func (t *tube) checkState(wanted tp.TubeChannelState) error {
	if t.state != wanted {
		return tp.Errorf(tp.ErrorNotAvailable, "the tube's state is %d", t.state)
	}
	return t.circle.checkReady()
}

// close ends our part in a tube, as a client wishes. Others may go on with a
// D-Bus tube in a room; a stream tube of another is only not ours to use.
func (t *tube) close() {
	open := t.state == tp.TubeChannelStateOpen
	if t.circle.room == nil {
		t.sayClosed()
	}
	left := t.circle.room != nil && !t.own
	if t.circle.room != nil && t.Type == tubes.DBus {
		t.dropName(t.circle.room.Nick())
		left = len(t.names) > 0
	}
	t.release()
	if left {
		t.retire()
	} else {
		t.end()
	}
	if t.circle.room != nil && open {
		t.circle.room.UpdatePresence()
	}
}

// retire takes a tube away from clients that others still have.
func (t *tube) retire() {
	t.tellClosed()
	t.state = tp.TubeChannelStateLocalPending
	t.hidden = true
}

// end takes a tube away for good.
func (t *tube) end() {
	if t.over {
		return
	}
	t.over = true
	t.release()
	c := t.circle
	c.list = slices.DeleteFunc(c.list, func(other *tube) bool { return other == t })
	if !t.hidden {
		t.tellClosed()
	}
	c.prune()
}

// tellClosed tells clients that there is no such tube any more.
func (t *tube) tellClosed() {
	if t.circle.face != nil && t.isTube() {
		t.circle.face.emitClosed(t)
	}
	if t.face != nil {
		t.face.vanish()
	}
}

// release gives back what the tube holds of the system, and closes what goes
// through it.
func (t *tube) release() {
	t.closeConnections(tp.Errorf(tp.ErrorCancelled, "the tube was closed"))
	if t.server != nil {
		t.flow.close()
		t.server.Close()
		t.server = nil
	}
	if t.circle.room != nil && t.StreamID != "" {
		t.circle.tubes.receiver.Close(t.circle.jid, t.StreamID)
	}
	t.hangUp()
}
