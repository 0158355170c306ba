package vcard

import (
	"container/list"

	"telepathy-olpc/xmpp/jid"
)

// Limits on what is kept of vCards, photos left out: an XO-1 has 256 MB for
// everything, and a list of contacts shows a few dozen at a time.
const (
	maxCached      = 1000
	maxCachedBytes = 512 << 10
)

// cache keeps the fields of the vCards that were used last.
type cache struct {
	entries map[jid.JID]*list.Element // of *cached
	order   list.List                 // last used first
	bytes   int
}

type cached struct {
	who    jid.JID
	fields []Field
	bytes  int
}

func (c *cache) get(who jid.JID) ([]Field, bool) {
	e, ok := c.entries[who]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached).fields, true
}

func (c *cache) put(who jid.JID, fields []Field) {
	c.remove(who)
	if c.entries == nil {
		c.entries = make(map[jid.JID]*list.Element)
	}
	entry := &cached{who, fields, len(who.String())}
	for i := range fields {
		entry.bytes += fields[i].size()
	}
	c.entries[who] = c.order.PushFront(entry)
	c.bytes += entry.bytes
	for len(c.entries) > maxCached || c.bytes > maxCachedBytes {
		c.remove(c.order.Back().Value.(*cached).who)
	}
}

func (c *cache) remove(who jid.JID) {
	if e, ok := c.entries[who]; ok {
		delete(c.entries, who)
		c.bytes -= c.order.Remove(e).(*cached).bytes
	}
}
