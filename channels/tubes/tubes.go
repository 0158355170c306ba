// Package tubes serves tubes: D-Bus and byte streams that activities share, in
// a room or with one contact. Each tube is one thing behind two faces, the
// older Channel.Type.Tubes, which has all tubes of a room or contact, and
// Channel.Type.DBusTube and StreamTube, which have one each.
//
// Everything runs on the loop of the Connection, but for what carries bytes:
// those goroutines post to it.
//
// Order. An own tube: its state and names, then NewTube, then the answer, as
// telepathy-gabble 0.16 has it. A tube of others: NewTube, then the names. An
// occupant who goes leaves the tubes first, then the group. A tube that closes:
// TubeClosed, then its own channel's Closed; those of a room close before it.
//
// Others' tubes get a channel of their own only where no Tubes channel is open:
// whoever opened that looks after them, and mission-control would close the
// channel for want of a handler. Closing a channel of a tube that was not
// accepted does no more than that in a room, where the tube stays.
//
// What others can make us keep: see maxTubes, maxOffers and maxConnections.
package tubes

import (
	"fmt"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/room"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/mucbytestream"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

const (
	// maxTubes bounds the tubes of one room or contact. Activities have one or
	// two, but everybody in a class may offer one.
	maxTubes = 256
	// maxOffers bounds the tubes of contacts that wait for the user.
	maxOffers = 64
	// maxConnections bounds those of one stream tube at a time.
	maxConnections = 128
)

// Host is what tubes need of their Connection.
type Host interface {
	channels.Host
	mucbytestream.Session
	// Post runs f on the loop, from any goroutine.
	Post(label string, f func()) bool
	Log() *logrus.Entry
	Self() jid.JID
	// FindTubeDevice finds a device of a contact that takes tubes. done is
	// called once.
	FindTubeDevice(contact jid.JID, done func(device jid.JID, err error))
}

// Rooms gives the rooms to which tubes belong, as [room.Rooms] does.
type Rooms interface {
	Visit(where jid.JID, then func(*room.Room), fail func(error))
	IsRoom(bare jid.JID) bool
}

// Streams opens streams to others, as [bytestream.Manager] does.
type Streams interface {
	Open(p bytestream.Proposal, opened func(c bytestream.Conn, accept *stanza.Element, err error)) (cancel func())
}

// Tubes are the tubes of one Connection.
type Tubes struct {
	host     Host
	rooms    Rooms
	streams  Streams
	sender   *mucbytestream.Sender
	receiver *mucbytestream.Receiver
	circles  map[jid.JID]*circle // by the bare address of the room or contact
	offers   int                 // of contacts, that wait for the user
	paths    int                 // number of the last channel
}

var (
	_ channels.Server = (*Tubes)(nil)
	_ room.Companion  = (*Tubes)(nil)
)

// New has no tube yet.
func New(h Host, rooms Rooms, streams Streams) *Tubes {
	return &Tubes{
		host: h, rooms: rooms, streams: streams,
		sender: mucbytestream.NewSender(h), receiver: mucbytestream.NewReceiver(),
		circles: make(map[jid.JID]*circle),
	}
}

// Classes are the channel classes of tubes.
var Classes = classes()

func classes() (all []channels.Class) {
	for _, kind := range []tp.HandleType{tp.HandleTypeRoom, tp.HandleTypeContact} {
		for _, c := range []struct {
			facts    *tp.Interface
			property string
		}{
			{tp.InterfaceChannelTubes, ""},
			{tp.InterfaceChannelDBusTube, tp.PropertyChannelDBusTubeServiceName},
			{tp.InterfaceChannelStreamTube, tp.PropertyChannelStreamTubeService},
		} {
			class := channels.Class{
				Fixed: map[string]any{
					tp.PropertyChannelChannelType:      c.facts.Name,
					tp.PropertyChannelTargetHandleType: kind,
				},
				Allowed: []string{tp.PropertyChannelTargetHandle, tp.PropertyChannelTargetID},
			}
			if c.property != "" {
				class.Allowed = append(class.Allowed, c.property)
			}
			all = append(all, class)
		}
	}
	return all
}

// Request gives the Tubes channel of a room or contact, or a channel for a new
// tube. A room is joined first if need be.
func (t *Tubes) Request(r *channels.Request) {
	if r.Target.Type == tp.HandleTypeRoom {
		where, _ := t.host.Handles().Rooms.ID(r.Target.Handle)
		t.rooms.Visit(where, func(at *room.Room) { t.inRoom(at).request(r) }, r.Fail)
		return
	}
	who, _ := t.host.Handles().Contacts.ID(r.Target.Handle)
	if r.Target.Handle == t.host.SelfHandle() || !who.IsBare() {
		r.Fail(tp.Errorf(tp.ErrorNotAvailable, "tubes are with contacts or in rooms"))
		return
	}
	t.with(who).request(r)
}

// inRoom gives the circle of a room.
func (t *Tubes) inRoom(r *room.Room) *circle {
	c := t.circle(r.JID(), r.Target())
	c.room = r
	return c
}

// with gives the circle of a contact.
func (t *Tubes) with(who jid.JID) *circle {
	return t.circle(who, channels.Target{
		Type: tp.HandleTypeContact, Handle: t.host.Handles().Contacts.Ensure(who), ID: who.String(),
	})
}

func (t *Tubes) circle(who jid.JID, target channels.Target) *circle {
	c := t.circles[who]
	if c == nil {
		c = &circle{tubes: t, host: t.host, jid: who, target: target}
		t.circles[who] = c
	}
	return c
}

// HandleMessage takes what goes through D-Bus tubes in rooms, and offers of
// contacts.
func (t *Tubes) HandleMessage(e *stanza.Element) bool {
	return t.receiver.HandleMessage(e) || t.handleOffer(e)
}

// HandleStream takes a stream that somebody opens for a tube, one with the
// profile [tubes.NS].
func (t *Tubes) HandleStream(o *bytestream.Offer) {
	p, refusal := tubes.ParsePayload(o.SI)
	c := t.circles[o.From.Bare()]
	inRoom := c != nil && c.room != nil
	switch {
	case refusal != nil:
	case p.Purpose == tubes.NewTube && !inRoom:
		t.handleDBusOffer(o, p.Tube)
		return
	case c == nil || p.Purpose == tubes.NewTube || inRoom != (p.Purpose == tubes.MUCStreamConnection):
		refusal = stanza.NewError(stanza.BadRequest, "no such tube")
	default:
		refusal = c.connect(o, p.ID)
	}
	if refusal != nil {
		o.Refuse(refusal)
	}
}

// Close ends all tubes because the session is over, without a word to others.
// Channels are still there, to tell why their connections are closed; nothing
// else is told, since they go next.
func (t *Tubes) Close(why *tp.Error) {
	for who, c := range t.circles {
		delete(t.circles, who)
		for _, tube := range c.list {
			tube.closeConnections(why)
			tube.release()
			tube.face = nil
		}
	}
}

// path names the next channel.
func (t *Tubes) path(kind string) string {
	t.paths++
	return fmt.Sprintf("%s%d", kind, t.paths)
}
