package tubes

import (
	"context"
	"errors"
	"maps"
	"net"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

// stream is what a stream tube has beside what all have.
type stream struct {
	owner       string               // nick of who offers a tube of somebody else in a room
	kind        tp.SocketAddressType // of the local socket
	address     dbus.Variant         // of the local socket, which is ours if we have accepted
	target      socket.Address       // the same, of the program that offers
	access      socket.Access
	listener    *socket.Listener
	connections map[uint32]*connection
	last        uint32 // number of the last connection
}

// connection is one connection through a stream tube.
type connection struct {
	tube   *tube
	id     uint32
	local  net.Conn           // nil until there is one
	stop   func()             // ends the opening of the stream
	dial   context.CancelFunc // ends the connecting to the local program
	splice *socket.Splice     // once both are there
}

func (t *tube) newConnection() *connection {
	if t.connections == nil {
		t.connections = make(map[uint32]*connection)
	}
	t.last++
	c := &connection{tube: t, id: t.last, stop: func() {}, dial: func() {}}
	t.connections[c.id] = c
	return c
}

// offerStream offers a socket on which a local program listens. done is called
// once, at once in rooms.
func (t *tube) offerStream(o offeredSocket, parameters map[string]dbus.Variant, done func(error)) {
	access, err := socket.ParseOfferedAccess(o.kind, o.control)
	var target socket.Address
	if err == nil {
		target, err = socket.ParseAddress(o.kind, o.address)
	}
	if err != nil {
		done(err)
		return
	}
	t.prepare(parameters, func(err error) {
		if err != nil {
			done(err)
			return
		}
		t.kind, t.address, t.target, t.access = o.kind, target.Variant(), target, access
		if t.circle.room != nil {
			t.initiator = t.circle.self()
			t.offered(tp.TubeChannelStateOpen)
		} else {
			t.circle.host.Send(tubes.BuildOffer(t.peer, t.Tube))
			t.offered(tp.TubeChannelStateRemotePending)
		}
		done(nil)
	})
}

// offeredSocket is what a client says of the socket that it offers.
type offeredSocket struct {
	kind    tp.SocketAddressType
	address dbus.Variant
	control tp.SocketAccessControl
}

// acceptStream opens a socket for local programs and gives its address.
func (t *tube) acceptStream(kind tp.SocketAddressType, control tp.SocketAccessControl, param dbus.Variant) (any, error) {
	if err := t.checkState(tp.TubeChannelStateLocalPending); err != nil {
		return nil, err
	}
	access, err := socket.ParseAccess(kind, control, param)
	if err != nil {
		return nil, err
	}
	access.HasByte = false // the parameter says nothing with credentials
	l, err := socket.Listen(kind, access)
	if err != nil {
		t.circle.host.Log().WithError(err).Warn("No socket for a tube")
		return nil, tp.Errorf(tp.ErrorNotAvailable, "%v", err)
	}
	t.answered()
	t.kind, t.address, t.listener = kind, l.Address().Variant(), l
	l.Serve(func(client socket.Client) {
		if !t.circle.host.Post("tube connection", func() { t.connected(client.Conn, l) }) {
			_ = client.Close()
		}
	})
	t.setState(tp.TubeChannelStateOpen)
	return t.address, nil
}

// proposal is for one connection to who offers the tube.
func (t *tube) proposal() bytestream.Proposal {
	p := bytestream.Proposal{To: t.peer, Profile: tubes.NS}
	purpose := tubes.StreamConnection
	if r := t.circle.room; r != nil {
		purpose = tubes.MUCStreamConnection
		p.To, p.From, p.InRoom = r.JID().WithResource(t.owner), r.JID().WithResource(r.Nick()), true
	}
	p.Payload = []stanza.Part{tubes.BuildConnection(purpose, t.ID)}
	return p
}

// connected takes a connection of a local program.
func (t *tube) connected(local net.Conn, l *socket.Listener) {
	if t.listener != l || len(t.connections) == maxConnections {
		_ = local.Close()
		return
	}
	c := t.newConnection()
	c.local = local
	if t.face != nil {
		t.face.emitLocalConnection(c.id)
	}
	c.stop = t.circle.tubes.streams.Open(t.proposal(), func(s bytestream.Conn, _ *stanza.Element, err error) {
		c.opened(s, err)
	})
}

// opened goes on when the stream is there, or is not to be had.
func (c *connection) opened(s bytestream.Conn, err error) {
	c.stop = func() {}
	var refused *stanza.Error
	switch {
	case errors.As(err, &refused):
		c.close(tp.Errorf(tp.ErrorConnectionRefused, "%v", err))
	case err != nil:
		c.close(tp.Errorf(tp.ErrorConnectionLost, "%v", err))
	default:
		host := c.tube.circle.host
		c.splice = socket.Join(c.local, s, func(e socket.End) {
			host.Post("tube connection over", func() { c.close(reason(e)) })
		})
	}
}

// reason tells clients why a connection is over.
func reason(e socket.End) *tp.Error {
	switch {
	case e.Err == nil:
		return tp.Errorf(tp.ErrorCancelled, "the connection was closed")
	case e.Side == socket.Remote:
		return tp.Errorf(tp.ErrorConnectionLost, "the stream was broken: %v", e.Err)
	}
	return tp.Errorf(tp.ErrorCancelled, "local socket has been disconnected")
}

// close takes the connection away.
func (c *connection) close(why *tp.Error) {
	t := c.tube
	if t.connections[c.id] != c {
		return
	}
	delete(t.connections, c.id)
	c.stop()
	c.dial()
	switch {
	case c.splice != nil:
		c.splice.Close()
	case c.local != nil:
		_ = c.local.Close()
	}
	if t.face != nil {
		t.face.emitConnectionClosed(c.id, why)
	}
}

// closeConnections ends all connections and lets no more in.
func (t *tube) closeConnections(why *tp.Error) {
	if t.listener != nil {
		t.listener.Close()
		t.listener = nil
	}
	for _, id := range slices.Sorted(maps.Keys(t.connections)) {
		t.connections[id].close(why)
	}
}

// connect takes a connection of somebody to a tube that we offer: the local
// program is connected to first, as the other side can be refused only now.
func (c *circle) connect(o *bytestream.Offer, id uint32) *stanza.Error {
	t := c.find(func(t *tube) bool { return t.own && t.Type == tubes.Stream && t.ID == id })
	switch {
	case t == nil || t.state == tp.TubeChannelStateNotOffered || o.From.IsBare():
		return stanza.NewError(stanza.BadRequest, "no such tube")
	case len(t.connections) == maxConnections:
		return stanza.NewError(stanza.ResourceConstraint, "too many connections")
	}
	if c.room != nil {
		o.To = c.jid.WithResource(c.room.Nick())
	}
	conn := t.newConnection()
	ctx, cancel := context.WithCancel(context.Background())
	conn.dial = cancel
	target, access, host := t.target, t.access, c.host
	go func() {
		local, param, err := socket.Dial(ctx, target, access)
		posted := host.Post("tube connected", func() { conn.dialed(o, local, param, err) })
		if !posted && err == nil {
			_ = local.Close()
		}
	}()
	return nil
}

// dialed goes on when the local program is connected, or is not there.
func (c *connection) dialed(o *bytestream.Offer, local net.Conn, param dbus.Variant, err error) {
	t := c.tube
	if gone := t.connections[c.id] != c; gone || err != nil {
		if err == nil {
			_ = local.Close()
		}
		delete(t.connections, c.id)
		c.dial()
		o.Refuse(stanza.NewError(stanza.ServiceUnavailable, "nobody there"))
		return
	}
	c.local = local
	if t.state == tp.TubeChannelStateRemotePending {
		t.setState(tp.TubeChannelStateOpen)
	}
	who := t.circle.handleOf(o.From)
	if t.circle.face != nil {
		t.circle.face.emitConnection(t, who)
	}
	if t.face != nil {
		t.face.emitRemoteConnection(who, param, c.id)
	}
	c.stop = o.Accept([]stanza.Part{tubes.Accepted}, c.opened)
}

// handleOf is the handle of one who shares the tubes.
func (c *circle) handleOf(who jid.JID) uint32 {
	if c.room != nil {
		return c.room.Handle(who.Resource())
	}
	return c.target.Handle
}
