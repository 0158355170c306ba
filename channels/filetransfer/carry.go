package filetransfer

import (
	"errors"
	"io"
	"math"
	"net"
	"syscall"

	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/ibb"
)

// maxChatter bounds what a receiver may say, in bytes: it has nothing to.
const maxChatter = 1 << 10

// Why the bytes of a file have stopped passing.
var (
	errLocal   = errors.New("the local program has gone")
	errStopped = errors.New("the other side has stopped")
	errChatter = errors.New("the receiver sends data")
)

// reasons says why a transfer was cancelled, by what stopped the bytes; anything
// else is a RemoteError.
var reasons = []struct {
	err error
	why tp.FileTransferStateChangeReason
}{
	{errLocal, tp.FileTransferStateChangeReasonLocalError},
	{bytestream.ErrClosed, tp.FileTransferStateChangeReasonLocalError},
	{net.ErrClosed, tp.FileTransferStateChangeReasonLocalError}, // closed by our side of the session
	{errStopped, tp.FileTransferStateChangeReasonRemoteStopped},
	{ibb.ErrReset, tp.FileTransferStateChangeReasonRemoteStopped},
	{syscall.ECONNRESET, tp.FileTransferStateChangeReasonRemoteStopped},
	{syscall.EPIPE, tp.FileTransferStateChangeReasonRemoteStopped},
}

func reasonOf(err error) tp.FileTransferStateChangeReason {
	for _, r := range reasons {
		if errors.Is(err, r.err) {
			return r.why
		}
	}
	return tp.FileTransferStateChangeReasonRemoteError
}

// broken ends a transfer that something has stopped.
func (x *transfer) broken(err error) {
	x.host.Log().WithError(err).Debug("File transfer stopped")
	x.cancel(reasonOf(err))
}

// send passes the local program's bytes to the stream, in a goroutine.
func (x *transfer) send() {
	stream, local, length := x.stream, x.local, x.length
	go func() {
		read, wrote := x.passOut(stream, local, length)
		x.host.Post("file sent", func() { x.sent(read, wrote) })
	}()
}

// passOut tells what went wrong before the last byte, and behind it.
func (x *transfer) passOut(stream bytestream.Conn, local *lateConn, length uint64) (err, ending error) {
	if _, err := local.wait(); err != nil {
		return errLocal, nil
	}
	err = socket.Copy(stream, limit(local, length), &x.moved)
	var remote *socket.WriteError
	switch {
	case errors.As(err, &remote):
		return err, nil
	case err != nil || x.moved.Load() < length:
		return errLocal, nil
	}
	return nil, stream.CloseWrite()
}

// watch waits, in a goroutine, for the end of a stream by which nothing should
// come.
func (x *transfer) watch() {
	stream := x.stream
	go func() {
		n, err := io.CopyN(io.Discard, stream, maxChatter)
		switch {
		case n == maxChatter:
			err = errChatter
		case errors.Is(err, io.EOF):
			err = nil
		}
		x.host.Post("file receiver hung up", func() { x.hungUp(err) })
	}()
}

// receive passes the stream's bytes to the local program, in a goroutine.
func (x *transfer) receive() {
	stream, local, length := x.stream, x.local, x.length
	go func() {
		err := x.passIn(stream, local, length)
		x.host.Post("file received", func() { x.received(err) })
	}()
}

func (x *transfer) passIn(stream bytestream.Conn, local *lateConn, length uint64) error {
	err := socket.Copy(local, limit(stream, length), &x.moved)
	var gone *socket.WriteError
	switch {
	case errors.As(err, &gone):
		return errLocal
	case err != nil:
		return err
	case length != unknown && x.moved.Load() < length:
		return errStopped
	}
	if local.finish() != nil {
		return errLocal
	}
	_ = stream.CloseWrite() // the sender learns that nothing is missing
	return nil
}

func limit(r io.Reader, length uint64) io.Reader {
	return io.LimitReader(r, int64(min(length, math.MaxInt64)))
}
