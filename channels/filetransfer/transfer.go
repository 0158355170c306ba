package filetransfer

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// progressEvery is how often TransferredBytesChanged comes at most
// (specification).
const progressEvery = time.Second

// transfer is one file and its channel.
type transfer struct {
	*channels.Channel
	all  *Transfers
	host Host
	path dbus.ObjectPath
	peer jid.JID // device or occupant
	file filetransfer.File
	uri  string

	state  tp.FileTransferState
	offset uint64
	// length is how many bytes are to pass; unknown for a file without size.
	length uint64

	offer     *bytestream.Offer // of a file that comes in
	forget    func()            // ends the attempt to open a stream
	listener  *socket.Listener  // once accepted or provided
	local     *lateConn
	stream    bytestream.Conn // once there is one
	hasHungUp bool            // the receiver

	moved  atomic.Uint64 // bytes that have passed
	told   uint64        // as announced
	ticker *loop.Timer
	grace  *loop.Timer // until the end counts as orderly, or not
	over   bool
}

// unknown is the length, and on D-Bus the size, of a file that does not say it.
const unknown = math.MaxUint64

func (x *transfer) isIncoming() bool { return x.offer != nil }

func (x *transfer) size() uint64 {
	if x.file.HasSize {
		return x.file.Size
	}
	return unknown
}

// show makes the channel and exports it.
func (x *transfer) show(contact, initiator uint32) {
	id, _ := x.host.Handles().Contacts.ID(contact)
	x.Channel = &channels.Channel{
		Path:       x.path,
		Type:       tp.InterfaceChannelFileTransfer,
		Target:     channels.Target{Type: tp.HandleTypeContact, Handle: contact, ID: id.String()},
		Initiator:  initiator,
		Requested:  !x.isIncoming(),
		Interfaces: []bus.Interface{x.fileTransfer(), x.metadata()},
		Immutable:  x.immutable(),
		OnClose: func(call *bus.Call) {
			x.cancel(tp.FileTransferStateChangeReasonLocalStopped)
			x.host.Closed(x.Channel)
			call.Return()
		},
	}
	x.Channel.Export(x.host)
}

// fileTransfer is Channel.Type.FileTransfer.
func (x *transfer) fileTransfer() bus.Interface {
	fixed := x.description()
	return bus.Interface{
		Facts: tp.InterfaceChannelFileTransfer,
		Methods: map[string]func(*bus.Call){
			"AcceptFile":  x.acceptFile,
			"ProvideFile": x.provideFile,
		},
		Properties: map[string]func() any{
			"State":                func() any { return x.state },
			"ContentType":          bus.Fixed(fixed[tp.PropertyChannelFileTransferContentType]),
			"Filename":             bus.Fixed(fixed[tp.PropertyChannelFileTransferFilename]),
			"Size":                 bus.Fixed(fixed[tp.PropertyChannelFileTransferSize]),
			"ContentHashType":      bus.Fixed(fixed[tp.PropertyChannelFileTransferContentHashType]),
			"ContentHash":          bus.Fixed(fixed[tp.PropertyChannelFileTransferContentHash]),
			"Description":          bus.Fixed(fixed[tp.PropertyChannelFileTransferDescription]),
			"Date":                 bus.Fixed(fixed[tp.PropertyChannelFileTransferDate]),
			"AvailableSocketTypes": func() any { return socket.Supported() },
			"TransferredBytes":     func() any { return x.moved.Load() },
			"InitialOffset":        func() any { return x.offset },
			"URI":                  func() any { return x.uri },
			"FileCollection":       bus.Fixed(""), // XEP-0096 has no collections
		},
		Setters: map[string]func(any) error{"URI": x.setURI},
	}
}

// metadata is Channel.Interface.FileTransfer.Metadata. Its properties are
// immutable, though the specification has them writable.
func (x *transfer) metadata() bus.Interface {
	immutable := func(any) error {
		return tp.Errorf(tp.ErrorPermissionDenied, "metadata is what the sender says")
	}
	return bus.Interface{
		Facts: tp.InterfaceChannelFileTransferMetadata,
		Properties: map[string]func() any{
			"ServiceName": bus.Fixed(x.file.Service),
			"Metadata":    bus.Fixed(x.file.Metadata),
		},
		Setters: map[string]func(any) error{"ServiceName": immutable, "Metadata": immutable},
	}
}

// description is what is said of the file, by full property name.
func (x *transfer) description() map[string]any {
	hashType := tp.FileHashTypeNone
	if x.file.MD5 != "" {
		hashType = tp.FileHashTypeMD5
	}
	var date int64
	if !x.file.Modified.IsZero() {
		date = x.file.Modified.Unix()
	}
	return map[string]any{
		tp.PropertyChannelFileTransferContentType:     x.file.MIMEType,
		tp.PropertyChannelFileTransferFilename:        x.file.Name,
		tp.PropertyChannelFileTransferSize:            x.size(),
		tp.PropertyChannelFileTransferContentHashType: hashType,
		tp.PropertyChannelFileTransferContentHash:     x.file.MD5,
		tp.PropertyChannelFileTransferDescription:     x.file.Description,
		tp.PropertyChannelFileTransferDate:            date,
	}
}

// immutable is what NewChannels tells. Where a file that comes in is to be
// saved is settled later.
func (x *transfer) immutable() map[string]any {
	all := x.description()
	all[tp.PropertyChannelFileTransferAvailableSocketTypes] = socket.Supported()
	all[tp.PropertyChannelFileTransferFileCollection] = ""
	all[tp.PropertyChannelFileTransferMetadataServiceName] = x.file.Service
	all[tp.PropertyChannelFileTransferMetadataMetadata] = x.file.Metadata
	if !x.isIncoming() {
		all[tp.PropertyChannelFileTransferURI] = x.uri
	}
	return all
}

// setURI notes where a file will be saved, until it is accepted.
func (x *transfer) setURI(v any) error {
	if !x.isIncoming() || x.state != tp.FileTransferStatePending {
		return tp.Errorf(tp.ErrorNotAvailable, "the URI is settled")
	}
	x.uri, _ = v.(string)
	x.Emit(tp.SignalChannelFileTransferURIDefined, x.uri)
	return nil
}

func (x *transfer) setState(s tp.FileTransferState, why tp.FileTransferStateChangeReason) {
	x.state = s
	x.Emit(tp.SignalChannelFileTransferFileTransferStateChanged, s, why)
}

// setOpen lets the bytes pass.
func (x *transfer) setOpen() {
	x.Emit(tp.SignalChannelFileTransferInitialOffsetDefined, x.offset)
	x.setState(tp.FileTransferStateOpen, tp.FileTransferStateChangeReasonNone)
	x.tick()
}

// tick tells of the progress, and again as long as there may be any.
func (x *transfer) tick() {
	x.ticker = x.host.After(progressEvery, "file transfer progress", func() {
		x.emitProgress()
		x.tick()
	})
}

func (x *transfer) emitProgress() {
	if now := x.moved.Load(); now != x.told {
		x.told = now
		x.Emit(tp.SignalChannelFileTransferTransferredBytesChanged, now)
	}
}

// complete ends the transfer well.
func (x *transfer) complete() {
	if x.over {
		return
	}
	x.emitProgress()
	x.end(tp.FileTransferStateCompleted, tp.FileTransferStateChangeReasonNone)
}

// cancel ends it otherwise, if it has not ended yet.
func (x *transfer) cancel(why tp.FileTransferStateChangeReason) {
	if x.over {
		return
	}
	if x.isIncoming() && x.state == tp.FileTransferStatePending {
		x.offer.Refuse(nil)
	}
	x.end(tp.FileTransferStateCancelled, why)
}

func (x *transfer) end(s tp.FileTransferState, why tp.FileTransferStateChangeReason) {
	x.over = true
	delete(x.all.open, x)
	x.setState(s, why)
	x.ticker.Stop()
	x.grace.Stop()
	if x.forget != nil {
		x.forget()
	}
	if x.listener != nil {
		x.listener.Close()
	}
	if x.stream != nil {
		_ = x.stream.Close()
	}
	x.local.close()
}

// listen opens the socket for the local program.
func (x *transfer) listen(kind tp.SocketAddressType, control tp.SocketAccessControl, param dbus.Variant) error {
	access, err := socket.ParseAccess(kind, control, param)
	if err != nil {
		return err
	}
	if x.listener, err = socket.Listen(kind, access); err != nil {
		return err // NotAvailable
	}
	x.listener.Serve(func(c socket.Client) {
		if !x.host.Post("file transfer client", func() { x.connected(c) }) {
			_ = c.Close()
		}
	})
	return nil
}

// connected takes the local program's connection; there is one.
func (x *transfer) connected(c socket.Client) {
	if x.over || !x.local.use(c.Conn) {
		_ = c.Close()
		return
	}
	x.listener.Close()
}

// payload is one child of <si/>.
func payload(e *stanza.Element) []stanza.Part { return []stanza.Part{e} }
