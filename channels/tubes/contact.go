package tubes

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

// prepare gets a tube of ours ready for being offered: its parameters and, with
// a contact, the device to which it goes. done is called once, at once in rooms.
func (t *tube) prepare(parameters map[string]dbus.Variant, done func(error)) {
	err := t.checkState(tp.TubeChannelStateNotOffered)
	if err == nil && t.preparing {
		err = tp.Errorf(tp.ErrorNotAvailable, "the tube is being offered already")
	}
	if err == nil {
		err = t.setParameters(parameters)
	}
	if err != nil || t.circle.room != nil {
		done(err)
		return
	}
	t.preparing = true
	t.circle.host.FindTubeDevice(t.circle.jid, func(device jid.JID, err error) {
		t.preparing, t.peer = false, device
		switch {
		case t.over:
			err = tp.Errorf(tp.ErrorCancelled, "the tube was closed")
		case err != nil:
			err = tp.Errorf(tp.ErrorNotAvailable, "%v", err)
		}
		done(err)
	})
}

// handleOffer takes the messages by which contacts offer and close stream tubes.
func (t *Tubes) handleOffer(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil || from.IsBare() {
		return false
	}
	if id, closes := tubes.ParseClose(e); closes {
		t.closedBy(from, id)
		return true
	}
	if e.Attr("type") == "error" {
		return t.handleRefusal(from, e)
	}
	offered, is := tubes.ParseOffer(e)
	if !is {
		return false
	}
	if offered.Type != tubes.Stream {
		t.host.Send(tubes.BuildClose(from, offered.ID))
		return true
	}
	if c := t.circles[from.Bare()]; c != nil && c.room == nil {
		if again := c.offeredBy(from, offered); again != nil {
			again.end() // as telepathy-gabble takes it
			return true
		}
	}
	if t.take(from, offered) == nil {
		t.host.Send(tubes.BuildClose(from, offered.ID))
	}
	return true
}

// handleRefusal takes an offer of ours that came back.
func (t *Tubes) handleRefusal(from jid.JID, e *stanza.Element) bool {
	offered := e.Child(tubes.NS, "tube")
	c := t.circles[from.Bare()]
	if offered == nil || c == nil || c.room != nil {
		return offered != nil
	}
	refused := c.find(func(o *tube) bool {
		return o.own && o.Type == tubes.Stream && o.Element().Attr("id") == offered.Attr("id")
	})
	if refused != nil {
		refused.end()
	}
	return true
}

// closedBy takes that the other side has closed a stream tube.
func (t *Tubes) closedBy(from jid.JID, id uint32) {
	c := t.circles[from.Bare()]
	if c == nil || c.room != nil {
		return
	}
	closed := c.find(func(o *tube) bool { return o.Type == tubes.Stream && o.ID == id && !o.peer.IsZero() })
	if closed != nil {
		closed.end()
	}
}

// offeredBy finds a tube that a contact has offered.
func (c *circle) offeredBy(from jid.JID, offered tubes.Tube) *tube {
	return c.find(func(t *tube) bool {
		return !t.own && t.Type == offered.Type && t.ID == offered.ID && t.peer == from
	})
}

// take takes in what a contact offers; nil if it is not to be had.
func (t *Tubes) take(from jid.JID, offered tubes.Tube) *tube {
	bare := from.Bare()
	if from.IsBare() || t.offers == maxOffers || t.rooms.IsRoom(bare) || bare == t.host.Self().Bare() {
		return nil
	}
	c := t.with(bare)
	taken := &tube{
		circle: c, Tube: offered, peer: from, initiator: c.target.Handle, state: tp.TubeChannelStateLocalPending,
	}
	if !c.add(taken) {
		return nil
	}
	t.offers++
	taken.waiting = true
	taken.announce()
	return taken
}

// answered runs when a contact's offer waits for the user no more.
func (t *tube) answered() {
	if t.waiting {
		t.waiting = false
		t.circle.tubes.offers--
	}
}

// handleDBusOffer takes a D-Bus tube that a contact offers.
func (t *Tubes) handleDBusOffer(o *bytestream.Offer, offered tubes.Tube) {
	if c := t.circles[o.From.Bare()]; offered.Type != tubes.DBus || c != nil && c.offeredBy(o.From, offered) != nil {
		o.Refuse(stanza.NewError(stanza.BadRequest, "not a new D-Bus tube"))
		return
	}
	taken := t.take(o.From, offered)
	if taken == nil {
		o.Refuse(stanza.NewError(stanza.NotAcceptable, "no more tubes"))
		return
	}
	taken.pending = o
}

// sayClosed tells the other side that a tube with a contact is closed; D-Bus
// tubes close with their stream.
func (t *tube) sayClosed() {
	if t.Type == tubes.Stream && t.state != tp.TubeChannelStateNotOffered {
		t.circle.host.Send(tubes.BuildClose(t.peer, t.ID))
	}
}

// hangUp ends the stream of a D-Bus tube with a contact.
func (t *tube) hangUp() {
	t.answered()
	if t.pending != nil {
		t.pending.Refuse(nil)
		t.pending = nil
	}
	if t.cancel != nil {
		t.cancel()
		t.cancel = nil
	}
	if t.pipe != nil {
		t.pipe.close()
		t.pipe = nil
	}
}

// DeviceLeft closes the tubes with a contact's device that is gone.
func (t *Tubes) DeviceLeft(device jid.JID) {
	c := t.circles[device.Bare()]
	if c == nil || c.room != nil {
		return
	}
	for i := len(c.list) - 1; i >= 0; i-- {
		if c.list[i].peer == device {
			c.list[i].end()
		}
	}
}
