// Package ibb is In-Band Bytestreams (XEP-0047): bytes in stanzas, for when
// nothing else gets through. This file has the stanzas; [Stream] is one open
// stream.
package ibb

import (
	"encoding/base64"
	"errors"
	"strconv"

	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of everything here.
const NS = "http://jabber.org/protocol/ibb"

// Sizes of blocks, before base64.
const (
	// BlockSize is what we ask for: larger than the 4096 that is usual, so
	// that a stanza's cost is shared by more bytes, and its stanza of 11 KiB is
	// still far below what any server refuses.
	BlockSize = 8192
	// SmallBlockSize is asked for when the first was too large.
	SmallBlockSize = 4096
	// MaxBlockSize is the largest that we agree to: a full window of such
	// blocks has room in what is left of a stream's buffer when we stop
	// acknowledging.
	MaxBlockSize = 16384
	// maxWireSize is the largest that can be said, XEP-0047 §2.1.
	maxWireSize = 65535
)

// maxSID bounds the id of a stream, as that of its offer.
const maxSID = 256

// What is wrong with a stanza of a stream.
var (
	ErrMalformed = errors.New("in-band stanza is malformed")
	ErrTooLarge  = errors.New("in-band block is larger than agreed")
)

// Open is a request to open a stream.
type Open struct {
	SID       string
	BlockSize int
}

// ParseOpen reads <open/>, XEP-0047 §2.1.
func ParseOpen(e *stanza.Element) (Open, error) {
	size, err := strconv.ParseUint(e.Attr("block-size"), 10, 16)
	o := Open{e.Attr("sid"), int(size)}
	if err != nil || size == 0 || o.SID == "" || len(o.SID) > maxSID {
		return Open{}, ErrMalformed
	}
	if s := e.Attr("stanza"); s != "" && s != "iq" && s != "message" {
		return Open{}, ErrMalformed
	}
	return o, nil
}

// Element builds what [ParseOpen] reads.
func (o Open) Element() *stanza.Element {
	return stanza.New(NS, "open", stanza.A("sid", o.SID), stanza.A("block-size", strconv.Itoa(o.BlockSize)), stanza.A("stanza", "iq"))
}

// Data is one block of a stream. It may be empty.
type Data struct {
	SID   string
	Seq   uint16
	Bytes []byte
}

// ParseData reads <data/>, XEP-0047 §2.2; max is the stream's block size.
func ParseData(e *stanza.Element, max int) (Data, error) {
	seq, err := strconv.ParseUint(e.Attr("seq"), 10, 16)
	if err != nil {
		return Data{}, ErrMalformed
	}
	text := e.Text()
	if base64.StdEncoding.DecodedLen(len(text)) > max+2 { // two of padding
		return Data{}, ErrTooLarge
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil || base64.StdEncoding.EncodedLen(len(b)) != len(text): // the library passes over newlines
		return Data{}, ErrMalformed
	case len(b) > max:
		return Data{}, ErrTooLarge
	}
	return Data{SID: e.Attr("sid"), Seq: uint16(seq), Bytes: b}, nil
}

// Element builds what [ParseData] reads.
func (d Data) Element() *stanza.Element {
	return stanza.New(NS, "data", stanza.A("sid", d.SID), stanza.A("seq", strconv.Itoa(int(d.Seq))),
		stanza.Text(base64.StdEncoding.EncodeToString(d.Bytes)))
}

// Close builds the end of a stream, XEP-0047 §2.3.
func Close(sid string) *stanza.Element { return stanza.New(NS, "close", stanza.A("sid", sid)) }
