package tubes

import (
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/dbuspeer"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

// offerDBus offers a D-Bus tube. done is called once, at once in rooms: by then
// there is an address for the local program, or an error.
func (t *tube) offerDBus(parameters map[string]dbus.Variant, control tp.SocketAccessControl, done func(error)) {
	t.prepare(parameters, func(err error) {
		if err == nil {
			err = t.listen(control)
		}
		if err != nil {
			done(err)
			return
		}
		if t.circle.room != nil {
			t.startInRoom()
			t.offered(tp.TubeChannelStateOpen)
		} else {
			t.propose()
			t.offered(tp.TubeChannelStateRemotePending)
		}
		done(nil)
	})
}

// startInRoom makes a new D-Bus tube of a room.
func (t *tube) startInRoom() {
	r := t.circle.room
	t.StreamID = fmt.Sprintf("%d-%s", time.Now().Unix(), rand.Text())
	t.Initiator = r.JID().WithResource(r.Nick())
	t.initiator = t.circle.self()
	t.enter()
}

// enter makes us take part in a D-Bus tube of a room.
func (t *tube) enter() {
	t.DBusName = tubes.UniqueName(t.circle.room.Nick())
	t.circle.tubes.receiver.Open(t.circle.jid, t.StreamID, t.received)
}

// acceptDBus gives the address for the local program.
func (t *tube) acceptDBus(control tp.SocketAccessControl) (any, error) {
	if err := t.checkState(tp.TubeChannelStateLocalPending); err != nil {
		return nil, err
	}
	if t.circle.room == nil && t.pending == nil {
		return nil, tp.Errorf(tp.ErrorNotAvailable, "the tube is accepted already")
	}
	if err := t.listen(control); err != nil {
		return nil, err
	}
	address := t.server.Address()
	if t.circle.room == nil {
		t.acceptPipe()
		return address, nil
	}
	t.enter()
	t.setState(tp.TubeChannelStateOpen)
	t.circle.room.UpdatePresence()
	return address, nil
}

// accesses are the access controls of the sockets of D-Bus tubes.
var accesses = map[tp.SocketAccessControl]dbuspeer.Access{
	tp.SocketAccessControlCredentials: dbuspeer.SameUser,
	tp.SocketAccessControlLocalhost:   dbuspeer.Localhost,
}

// listen waits for the local program.
func (t *tube) listen(control tp.SocketAccessControl) error {
	access, is := accesses[control]
	if !is {
		return tp.Errorf(tp.ErrorNotImplemented, "D-Bus tubes have no access control %d", control)
	}
	f := newFlow()
	events := dbuspeer.Events{Message: func(h dbuspeer.Header, m []byte) { t.sayInRoom(h, m, f) }}
	if t.circle.room == nil {
		t.pipe = newPipe()
		events = t.pipe.events()
	}
	s, err := dbuspeer.Listen(os.Getenv("XDG_RUNTIME_DIR"), access, events)
	if err != nil { // it may be gone, or too long for a socket
		s, err = dbuspeer.Listen("", access, events)
	}
	if err != nil {
		t.circle.host.Log().WithError(err).Warn("No socket for a tube")
		return tp.Errorf(tp.ErrorNotAvailable, "%v", err)
	}
	t.server, t.flow = s, f
	return nil
}

// sayInRoom takes what the local program says, in the goroutine that reads it.
func (t *tube) sayInRoom(h dbuspeer.Header, m []byte, f *flow) {
	if f.take(len(m)) {
		t.circle.host.Post("tube message", func() { t.say(h, m, f) })
	}
}

// say passes on what the local program says: to all, itself included, or to
// whom it is for. What is for nobody is answered as a bus would answer it.
func (t *tube) say(h dbuspeer.Header, m []byte, f *flow) {
	n := len(m)
	if t.flow != f || t.state != tp.TubeChannelStateOpen {
		f.give(n)
		return
	}
	to := t.circle.jid
	if h.Destination != "" {
		nick, known := t.owners[h.Destination]
		if !known {
			f.give(n)
			t.answerUnknown(h)
			return
		}
		to = to.WithResource(nick)
	}
	signed, err := dbuspeer.SetSender(m, t.DBusName)
	if err != nil {
		f.give(n)
		return
	}
	t.circle.tubes.sender.Send(to, t.StreamID, signed, func() { f.give(n) })
}

// answerUnknown answers a call for somebody who is not there, so that nobody
// waits for an answer.
func (t *tube) answerUnknown(h dbuspeer.Header) {
	if h.Kind == dbuspeer.KindCall && h.Flags&dbuspeer.FlagNoReply == 0 {
		t.server.Send(dbuspeer.BuildError(h, "org.freedesktop.DBus.Error.NameHasNoOwner", "nobody in the tube has this name"))
	}
}

// received takes what somebody says in a room: who says so has to be who the
// message says, and it has to be for us.
func (t *tube) received(from jid.JID, m []byte) {
	name := t.names[from.Resource()]
	if name == "" || t.server == nil {
		return
	}
	h, err := dbuspeer.ParseMessage(m)
	if err != nil || h.Sender != name || h.Destination != "" && h.Destination != t.DBusName {
		t.circle.host.Log().WithField("bytes", len(m)).Debug("Message in a tube not delivered")
		return
	}
	t.server.Send(m)
}

// propose offers a D-Bus tube to a contact: the stream that is accepted is the
// tube.
func (t *tube) propose() {
	c := t.circle
	t.Initiator = c.host.Self().Bare()
	proposal := bytestream.Proposal{To: t.peer, Profile: tubes.NS, Payload: []stanza.Part{t.Element()}}
	t.cancel = c.tubes.streams.Open(proposal, func(pipe bytestream.Conn, _ *stanza.Element, err error) { t.piped(pipe, err) })
}

// acceptPipe accepts the D-Bus tube of a contact; it is open when the stream is.
func (t *tube) acceptPipe() {
	offer := t.pending
	t.pending = nil
	t.answered()
	t.cancel = offer.Accept([]stanza.Part{tubes.Accepted}, t.piped)
}

// piped runs when the stream of a tube with a contact is there, or is not to be
// had.
func (t *tube) piped(stream bytestream.Conn, err error) {
	t.cancel = nil
	if err != nil {
		t.circle.host.Log().WithError(err).Debug("D-Bus tube not opened")
		t.end()
		return
	}
	host, p := t.circle.host, t.pipe
	p.open(stream, t.server, func(err error) {
		host.Post("tube closed", func() {
			if t.pipe == p {
				host.Log().WithError(err).Debug("D-Bus tube over")
				t.end()
			}
		})
	})
	t.setState(tp.TubeChannelStateOpen)
}
