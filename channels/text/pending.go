package text

import (
	"slices"
	"strings"

	"telepathy-olpc/internal/tp"
)

// What one conversation keeps of messages that nobody acknowledges. A chatty
// room fills this in an hour; a client that is there acknowledges at once.
const (
	maxPending      = 4096
	maxPendingBytes = 512 << 10
)

// pending is a message, or a delivery report, that nobody has acknowledged.
type pending struct {
	Message
	id        uint32
	at        int64 // when it came, Unix time
	truncated bool
	rescued   bool
	report    *report // what it reports; nil for a message
}

func (p *pending) bytes() int {
	n := len(p.Text) + len(p.Token) + len(p.Nickname)
	if p.report != nil {
		n += len(p.report.sent.text)
	}
	return n
}

func (p *pending) kind() tp.ChannelTextMessageType {
	if p.report != nil {
		return tp.ChannelTextMessageTypeDeliveryReport
	}
	return p.Type
}

// flags are those of the older interface.
func (p *pending) flags() tp.ChannelTextMessageFlags {
	var f tp.ChannelTextMessageFlags
	if p.truncated {
		f |= tp.ChannelTextMessageFlagsTruncated
	}
	if p.report != nil {
		f |= tp.ChannelTextMessageFlagsNonTextContent
	}
	if p.Scrollback {
		f |= tp.ChannelTextMessageFlagsScrollback
	}
	if p.rescued {
		f |= tp.ChannelTextMessageFlagsRescued
	}
	return f
}

// queue has what is pending, in the order of ids, which is that of coming.
type queue struct {
	list  []pending
	bytes int
	last  uint32 // the latest id; ids begin at 1
}

// add queues p, gives it its id, and names what had to go for it.
func (q *queue) add(p *pending) (lost []uint32) {
	if len(q.list) == maxPending || q.bytes+p.bytes() > maxPendingBytes && len(q.list) > 0 {
		lost = q.shed(p.bytes())
	}
	q.last++
	p.id = q.last
	q.list = append(q.list, *p)
	q.bytes += p.bytes()
	return lost
}

// shed drops the oldest, and as many that an eighth of the queue is free
// afterwards: then not every message that comes costs another.
func (q *queue) shed(room int) []uint32 {
	n, bytes := 0, q.bytes+room
	for n < len(q.list) && (len(q.list)-n > maxPending*7/8 || bytes > maxPendingBytes*7/8) {
		bytes -= q.list[n].bytes()
		n++
	}
	return q.drop(n)
}

// drop takes the first n away.
func (q *queue) drop(n int) []uint32 {
	ids := make([]uint32, n)
	for i := range n {
		ids[i] = q.list[i].id
		q.bytes -= q.list[i].bytes()
	}
	clear(q.list[:n])
	if n == len(q.list) {
		q.list = q.list[:0]
	} else {
		q.list = q.list[n:]
	}
	return ids
}

func (q *queue) find(id uint32) (*pending, bool) {
	i, found := slices.BinarySearchFunc(q.list, id, compareID)
	if !found {
		return nil, false
	}
	return &q.list[i], true
}

func compareID(p pending, id uint32) int {
	switch {
	case p.id < id:
		return -1
	case p.id > id:
		return 1
	}
	return 0
}

// remove takes messages away, all of them or, when one is not there, none. It
// returns their ids in order, each once.
func (q *queue) remove(ids []uint32) ([]uint32, bool) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	for _, id := range ids {
		if _, found := q.find(id); !found {
			return nil, false
		}
	}
	if n := len(ids); n > 0 && q.list[n-1].id == ids[n-1] {
		return q.drop(n), true // the usual case: they are the oldest
	}
	q.list = slices.DeleteFunc(q.list, func(p pending) bool {
		_, goes := slices.BinarySearch(ids, p.id)
		if goes {
			q.bytes -= p.bytes()
		}
		return goes
	})
	return ids, true
}

// clip cuts a text to n bytes, between characters.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.Clone(strings.ToValidUTF8(text[:n], ""))
}
