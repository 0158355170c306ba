// Package filetransfer serves Channel.Type.FileTransfer, one channel for each
// file that is sent or offered (XEP-0096 over the streams of XEP-0095).
//
// The order, on which Sugar relies: ACCEPTED, InitialOffsetDefined, OPEN,
// TransferredBytesChanged, COMPLETED. The local program connects to its socket
// at OPEN. A file that comes in is COMPLETED when the program has got all bytes
// and the end; one that goes out when the receiver has closed the stream behind
// the last byte, or has had time for it. CANCELLED is told before the local
// connection ends, so that nobody takes a part of a file for all of it.
//
// State belongs to the Connection's loop; the bytes pass in goroutines, which
// end with the channel, and are as slow as the slower side.
package filetransfer

import (
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/filetransfer"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// How many files can wait for the user's answer, of one person and of all. A
// teacher gets a class's work at once.
const (
	maxPendingEach = 16
	maxPending     = 128
)

// Host is what file transfers need of their Connection.
type Host interface {
	channels.Host
	After(d time.Duration, label string, f func()) *loop.Timer
	// Post runs f on the loop; any goroutine may call it.
	Post(label string, f func()) bool
	Log() *logrus.Entry
	// FindDevice finds the device to which files for somebody can go.
	FindDevice(who jid.JID, feature string, done func(device jid.JID, err error))
	// IsRoom tells whether a bare address is that of a room.
	IsRoom(bare jid.JID) bool
	// RoomSelf is who we are for the occupants of a room.
	RoomSelf(room jid.JID) jid.JID
}

// Features are what we do, for service discovery.
var Features = []string{filetransfer.NS}

// Classes are the channel classes of files. Sugar looks for one with just these
// two fixed properties.
var Classes = []channels.Class{{
	Fixed: map[string]any{
		tp.PropertyChannelChannelType:      tp.InterfaceChannelFileTransfer.Name,
		tp.PropertyChannelTargetHandleType: tp.HandleTypeContact,
	},
	Allowed: []string{
		tp.PropertyChannelTargetHandle, tp.PropertyChannelTargetID,
		tp.PropertyChannelFileTransferContentType, tp.PropertyChannelFileTransferFilename,
		tp.PropertyChannelFileTransferSize, tp.PropertyChannelFileTransferContentHashType,
		tp.PropertyChannelFileTransferContentHash, tp.PropertyChannelFileTransferDescription,
		tp.PropertyChannelFileTransferDate, tp.PropertyChannelFileTransferURI,
		tp.PropertyChannelFileTransferInitialOffset, // Sugar says 0, always
		tp.PropertyChannelFileTransferMetadataServiceName, tp.PropertyChannelFileTransferMetadataMetadata,
	},
}}

// Transfers are the files of one Connection.
type Transfers struct {
	host    Host
	streams *bytestream.Manager
	open    map[*transfer]bool
	made    int // channels so far
}

var _ channels.Server = (*Transfers)(nil)

// New serves the offers of files that come in by streams.
func New(h Host, streams *bytestream.Manager) *Transfers {
	t := &Transfers{host: h, streams: streams, open: make(map[*transfer]bool)}
	streams.Serve(filetransfer.NS, t.offered)
	return t
}

// Request makes a channel for a file to be sent, as soon as it is known to which
// device.
func (t *Transfers) Request(r *channels.Request) {
	file, uri, err := parseRequest(r)
	if err != nil {
		r.Fail(err)
		return
	}
	who, _ := t.host.Handles().Contacts.ID(r.Target.Handle)
	t.host.FindDevice(who, filetransfer.NS, func(device jid.JID, err error) {
		if err != nil {
			r.Fail(err)
			return
		}
		x := t.add(device, file)
		x.uri = uri
		x.show(r.Target.Handle, t.host.SelfHandle())
		t.host.Opened(x.Channel, r)
		x.propose()
	})
}

// offered takes a file that somebody offers.
func (t *Transfers) offered(o *bytestream.Offer) {
	file, err := filetransfer.Parse(o.SI)
	switch {
	case err != nil:
		o.Refuse(stanza.NewError(stanza.BadRequest, ""))
		return
	case t.isCrowded(o.From):
		o.Refuse(stanza.NewError(stanza.ResourceConstraint, ""))
		return
	}
	who := o.From.Bare()
	if t.host.IsRoom(who) {
		who = o.From
		o.To = t.host.RoomSelf(who.Bare())
	}
	x := t.add(o.From, file)
	x.offer = o
	contact := t.host.Handles().Contacts.Ensure(who)
	x.show(contact, contact)
	t.host.Opened(x.Channel)
}

// isCrowded tells whether there are too many offers that nobody has answered.
func (t *Transfers) isCrowded(from jid.JID) bool {
	all, same := 0, 0
	for x := range t.open {
		if x.offer != nil && x.state == tp.FileTransferStatePending {
			all++
			if x.peer.Bare() == from.Bare() {
				same++
			}
		}
	}
	return all >= maxPending || same >= maxPendingEach
}

func (t *Transfers) add(peer jid.JID, file filetransfer.File) *transfer {
	t.made++
	x := &transfer{
		all: t, host: t.host, peer: peer, file: file, state: tp.FileTransferStatePending, local: newLateConn(),
		path: t.host.ChannelPath("FileTransferChannel" + strconv.Itoa(t.made)),
	}
	t.open[x] = true
	return x
}

// Left notes that a device has gone: it will answer no offer, nor take back its
// own. What is under way may outlast it.
func (t *Transfers) Left(device jid.JID) {
	for x := range t.open {
		if x.peer == device && x.state == tp.FileTransferStatePending {
			x.cancel(tp.FileTransferStateChangeReasonRemoteStopped)
		}
	}
}

// Close ends all transfers because the session is over.
func (t *Transfers) Close() {
	for x := range t.open {
		x.cancel(tp.FileTransferStateChangeReasonLocalError)
	}
}
