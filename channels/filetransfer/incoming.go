package filetransfer

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/filetransfer"
)

func (x *transfer) acceptFile(call *bus.Call) {
	var kind tp.SocketAddressType
	var control tp.SocketAccessControl
	var param dbus.Variant
	var offset uint64
	if !call.Args((*uint32)(&kind), (*uint32)(&control), &param, &offset) {
		return
	}
	address, err := x.accept(kind, control, param, offset)
	if err != nil {
		call.Fail(err)
		return
	}
	call.Return(address.Variant())
}

func (x *transfer) accept(kind tp.SocketAddressType, control tp.SocketAccessControl, param dbus.Variant, offset uint64) (socket.Address, error) {
	if !x.isIncoming() || x.state != tp.FileTransferStatePending {
		return socket.Address{}, tp.Errorf(tp.ErrorNotAvailable, "not a file that is waiting")
	}
	if !x.file.Ranged {
		offset = 0
	}
	if offset > x.size() {
		return socket.Address{}, tp.Errorf(tp.ErrorInvalidArgument, "the file ends before its byte %d", offset)
	}
	if err := x.listen(kind, control, param); err != nil {
		return socket.Address{}, err
	}
	x.offset = offset
	x.length = unknown
	if x.file.HasSize {
		x.length = x.file.Size - offset
	}
	x.setState(tp.FileTransferStateAccepted, tp.FileTransferStateChangeReasonRequested)
	x.forget = x.offer.Accept(payload(filetransfer.Range{Offset: offset}.Element()), x.opened)
	return x.listener.Address(), nil
}

// opened goes on when there is a stream, or there is none.
func (x *transfer) opened(c bytestream.Conn, err error) {
	if err != nil {
		x.failed(err)
		return
	}
	x.stream = c
	x.setOpen()
	x.receive()
}

// received is called when the local program has got everything, or when that has
// failed.
func (x *transfer) received(err error) {
	switch {
	case x.over:
	case err != nil:
		x.broken(err)
	default:
		x.complete()
	}
}
