package mucbytestream

import (
	"bytes"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Limits on messages that are not whole yet. Each counts with partOverhead
// more than its bytes, and each of its fragments with fragmentOverhead, so that
// very many empty ones do not come free, nor the search among them.
const (
	maxUnfinished    = 2 * MaxMessage
	partOverhead     = 16 << 10
	fragmentOverhead = 64
)

// Receiver puts the messages of all streams together. It keeps what is not whole
// yet: of one sender on one stream [MaxMessage] at most, and of all twice that.
// Beyond, the message is given up that has waited longest for its next fragment,
// so that who never finishes one does not stand in the way of others.
type Receiver struct {
	streams map[stream]func(from jid.JID, message []byte)
	parts   map[source]*unfinished
	size    int // of all parts, see unfinished.size
	clock   int // counts fragments
}

type stream struct {
	room jid.JID
	sid  string
}

type source struct {
	stream
	nick string
}

type unfinished struct {
	fragments [][]byte // put together when the last one has come
	length    int      // of all
	touched   int      // the clock at the last fragment
}

func (u *unfinished) size() int {
	return u.length + partOverhead + len(u.fragments)*fragmentOverhead
}

// NewReceiver returns one without streams.
func NewReceiver() *Receiver {
	return &Receiver{
		streams: make(map[stream]func(jid.JID, []byte)),
		parts:   make(map[source]*unfinished),
	}
}

// Open says who gets the messages of a stream; they are the callee's to keep.
func (r *Receiver) Open(room jid.JID, sid string, received func(from jid.JID, message []byte)) {
	r.streams[stream{room, sid}] = received
}

// Close ends a stream.
func (r *Receiver) Close(room jid.JID, sid string) {
	at := stream{room, sid}
	delete(r.streams, at)
	for s := range r.parts {
		if s.stream == at {
			r.drop(s)
		}
	}
}

// Left forgets what an occupant has begun to say. It is for when it leaves.
func (r *Receiver) Left(occupant jid.JID) {
	for s := range r.parts {
		if s.room == occupant.Bare() && s.nick == occupant.Resource() {
			r.drop(s)
		}
	}
}

// HandleMessage takes a message that carries data, and tells whether it was one;
// it then may have called whom [Receiver.Open] named. Data for no stream and bad
// data are passed over in silence: nobody waits for an answer.
func (r *Receiver) HandleMessage(message *stanza.Element) bool {
	b, ok := parse(message)
	if !ok {
		return message.Child(NS, "data") != nil
	}
	at := stream{b.from.Bare(), b.sid}
	received := r.streams[at]
	if received == nil {
		return true
	}
	if whole := r.add(source{at, b.from.Resource()}, b); whole != nil {
		received(b.from, whole)
	}
	return true
}

// add puts a block where it belongs and returns the message it completes.
func (r *Receiver) add(from source, b block) (whole []byte) {
	data, ok := b.decode()
	u := r.parts[from]
	continues := b.part == middle || b.part == last
	switch {
	case !ok, len(data) > MaxMessage, continues && u != nil && u.length+len(data) > MaxMessage:
		r.drop(from) // it has a hole now, or gets too long
		return nil
	case b.part == complete:
		r.drop(from)
		return data
	case b.part == first:
		r.drop(from)
		r.grow(from, data)
	case !continues || u == nil:
		return nil // a part unknown, or of something that we have not seen begin
	case b.part == middle:
		r.grow(from, data)
	default:
		whole = bytes.Join(append(u.fragments, data), nil) // Concat would clear the memory first
		r.drop(from)
	}
	return whole
}

// grow keeps more of a sender's message.
func (r *Receiver) grow(from source, data []byte) {
	u := r.parts[from]
	if u == nil {
		u = &unfinished{}
		r.parts[from] = u
		r.size += u.size()
	}
	r.clock++
	u.touched = r.clock
	u.fragments = append(u.fragments, data)
	u.length += len(data)
	r.size += len(data) + fragmentOverhead
	for r.size > maxUnfinished {
		r.drop(r.stalest())
	}
}

// stalest returns whose last fragment is the longest ago.
func (r *Receiver) stalest() (oldest source) {
	at := r.clock + 1
	for s, u := range r.parts {
		if u.touched < at {
			oldest, at = s, u.touched
		}
	}
	return oldest
}

func (r *Receiver) drop(from source) {
	if u := r.parts[from]; u != nil {
		r.size -= u.size()
		delete(r.parts, from)
	}
}
