package filetransfer

import (
	"errors"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/stanza"
)

// confirmWithin is how long the receiver may take to close the stream after the
// last byte. Who keeps it open has got the file all the same.
const confirmWithin = 10 * time.Second

// propose offers the file.
func (x *transfer) propose() {
	room := x.peer.Bare()
	p := bytestream.Proposal{
		To: x.peer, Profile: filetransfer.NS, MimeType: x.file.MIMEType,
		Payload: payload(x.file.Element()), InRoom: x.host.IsRoom(room),
	}
	if p.InRoom {
		p.From = x.host.RoomSelf(room)
	}
	x.forget = x.all.streams.Open(p, x.accepted)
}

// accepted goes on when the other side has accepted, and there is a stream, or
// there is none.
func (x *transfer) accepted(c bytestream.Conn, accept *stanza.Element, err error) {
	if err != nil {
		x.failed(err)
		return
	}
	part := filetransfer.ParseRange(accept)
	x.stream = c
	if part.Offset > x.file.Size {
		x.cancel(tp.FileTransferStateChangeReasonRemoteError)
		return
	}
	x.offset = part.Offset
	x.length = x.file.Size - x.offset
	if part.Length > 0 {
		x.length = min(x.length, part.Length)
	}
	x.setState(tp.FileTransferStateAccepted, tp.FileTransferStateChangeReasonNone)
	x.watch()
	if x.listener != nil {
		x.provided()
	}
}

// failed ends a transfer that never got a stream: declined, or not possible.
func (x *transfer) failed(err error) {
	x.host.Log().WithError(err).Debug("No stream for a file")
	why := tp.FileTransferStateChangeReasonRemoteError
	var refused *stanza.Error
	if errors.As(err, &refused) && refused.Condition == stanza.Forbidden {
		why = tp.FileTransferStateChangeReasonRemoteStopped // XEP-0095 §3, declined
	}
	x.cancel(why)
}

func (x *transfer) provideFile(call *bus.Call) {
	var kind tp.SocketAddressType
	var control tp.SocketAccessControl
	var param dbus.Variant
	if !call.Args((*uint32)(&kind), (*uint32)(&control), &param) {
		return
	}
	address, err := x.provide(kind, control, param)
	if err != nil {
		call.Fail(err)
		return
	}
	call.Return(address.Variant())
	if x.state == tp.FileTransferStateAccepted {
		x.provided()
	}
}

func (x *transfer) provide(kind tp.SocketAddressType, control tp.SocketAccessControl, param dbus.Variant) (socket.Address, error) {
	if x.isIncoming() || x.over || x.listener != nil {
		return socket.Address{}, tp.Errorf(tp.ErrorNotAvailable, "not a file that is waited for")
	}
	if err := x.listen(kind, control, param); err != nil {
		return socket.Address{}, err
	}
	return x.listener.Address(), nil
}

// provided goes on when there are both a stream and a socket.
func (x *transfer) provided() {
	x.setOpen()
	x.send()
	if x.hasHungUp {
		x.judge()
	}
}

// sent is called when the local program's bytes are all on their way, or when
// that has failed: at a byte, or at the end behind them.
func (x *transfer) sent(err, ending error) {
	switch {
	case x.over:
	case x.hasHungUp:
		x.judge()
	case err != nil:
		x.broken(err)
	case ending != nil: // closed by the receiver, perhaps because it has everything
		x.grace = x.host.After(confirmWithin, "file not confirmed", func() { x.broken(ending) })
	default:
		x.grace = x.host.After(confirmWithin, "file not confirmed", x.complete)
	}
}

// hungUp is called when the receiver has closed the stream. It may do so before
// we know that the last byte is on its way, so sending is given the time to
// find out.
func (x *transfer) hungUp(err error) {
	x.hasHungUp = true
	switch {
	case x.over:
	case err != nil:
		x.broken(err)
	case x.moved.Load() == x.length && x.state == tp.FileTransferStateOpen:
		x.judge()
	case x.length == 0: // an empty file ends early; it is still to be provided
	case x.local.interrupt():
		x.grace.Stop()
		x.grace = x.host.After(confirmWithin, "file not read to its end", x.judge)
	default:
		x.judge()
	}
}

// judge ends a transfer whose stream the receiver has closed: well if it has got
// everything.
func (x *transfer) judge() {
	if x.moved.Load() == x.length {
		x.complete()
		return
	}
	x.cancel(tp.FileTransferStateChangeReasonRemoteStopped)
}
