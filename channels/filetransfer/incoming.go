package filetransfer

import (
	"github.com/godbus/dbus/v5"

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
	if !x.isIncoming() || x.state != tp.FileTransferStatePending {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "not a file that is waiting"))
		return
	}
	if !x.file.Ranged {
		offset = 0
	}
	if offset > x.size() {
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "the file ends before its byte %d", offset))
		return
	}
	if err := x.listen(kind, control, param); err != nil {
		call.Fail(err)
		return
	}
	x.offset = offset
	x.length = unknown
	if x.file.HasSize {
		x.length = x.file.Size - offset
	}
	x.setState(tp.FileTransferStateAccepted, tp.FileTransferStateChangeReasonRequested)
	call.Return(x.listener.Address().Variant())
	x.forget = x.offer.Accept(payload(filetransfer.Range{Offset: offset}.Element()), x.opened)
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
