// Package mucbytestream carries D-Bus messages among the occupants of a room, as
// the proto-XEP "Multi-User Chat Bytestreams" and telepathy-gabble have it: to
// all, oneself included, or to one. A stream has a name, which all who take part
// know from the tube that uses it; a message too long for one stanza goes in
// fragments.
//
// [Sender] writes and [Receiver] reads. Both belong to the loop of their session.
// What is sent never fills the session's output; what is received and not yet
// whole is bounded for each sender and for all together.
package mucbytestream

import (
	"encoding/base64"
	"slices"
	"strings"

	"telepathy-olpc/xmpp/amp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of <data/>.
const NS = "http://telepathy.freedesktop.org/xmpp/protocol/muc-bytestream"

// MaxBlock is how much of a message goes into one stanza. In base64 it is 60
// KiB, which fits the 64 KiB that servers of schools allowed.
const MaxBlock = 45 << 10

// MaxMessage is the longest message that is sent or put together.
const MaxMessage = 16 << 20

// frag tells which part of a message a stanza carries; "complete" may be left out.
type frag string

const (
	complete frag = "complete"
	first    frag = "first"
	middle   frag = "middle"
	last     frag = "last"
)

// buildBlock returns one stanza. One to an occupant has no type: XEP-0045 §7.5
// allows that, and forbids the groupchat that the proto-XEP shows.
func buildBlock(to jid.JID, sid string, part frag, block []byte) *stanza.Element {
	typ := ""
	if to.IsBare() {
		typ = "groupchat"
	}
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()), stanza.A("type", typ),
		stanza.New(NS, "data", stanza.A("sid", sid), stanza.A("frag", string(part)),
			stanza.Text(encode(block))),
		amp.Immediate)
}

// encode is EncodeToString without a second copy of the text, of which a long
// message would leave much behind.
func encode(block []byte) string {
	const step = 3 << 10 // divides by three: padding comes at the end alone
	var piece [4 << 10]byte
	var text strings.Builder
	text.Grow(base64.StdEncoding.EncodedLen(len(block)))
	for part := range slices.Chunk(block, step) {
		n := base64.StdEncoding.EncodedLen(len(part))
		base64.StdEncoding.Encode(piece[:n], part)
		text.Write(piece[:n])
	}
	return text.String()
}

// block is what one stanza carries.
type block struct {
	from jid.JID // an occupant
	sid  string
	part frag
	text string // base64
}

// parse reads a stanza; ok is false if it is none of ours. What comes back as an
// error carries our own words, and what comes from a room itself nobody's.
func parse(message *stanza.Element) (b block, ok bool) {
	e := message.Child(NS, "data")
	if e == nil || !message.Is(stanza.NSClient, "message") || message.Attr("type") == "error" {
		return block{}, false
	}
	from, err := jid.ParseLenient(message.Attr("from"))
	if err != nil || from.IsBare() {
		return block{}, false
	}
	b = block{from: from, sid: e.Attr("sid"), part: frag(e.Attr("frag")), text: e.Text()}
	if b.part == "" {
		b.part = complete
	}
	return b, true
}

// decode reads the bytes; ok is false if the base64 is bad anywhere.
func (b block) decode() (data []byte, ok bool) {
	data, err := base64.StdEncoding.Strict().DecodeString(b.text)
	return data, err == nil
}
