package caps

import (
	"container/list"

	"telepathy-olpc/xmpp/disco"
)

// What is remembered. A school has some dozen kinds of clients; a stranger can
// make up any number, which then push each other out.
const (
	maxKnown      = 1000
	maxKnownBytes = 1 << 20
)

// Known is an info and the hash that it was verified by.
type Known struct {
	Hash, Ver string
	Info      *disco.Info
}

// cache holds what is known by hash, and forgets what was not used longest.
type cache struct {
	byHash map[hashKey]*list.Element
	recent list.List // of Known, last used first
	bytes  int
}

type hashKey struct{ hash, ver string }

// get returns what the hash stands for, or nil.
func (c *cache) get(k hashKey) *disco.Info {
	e := c.byHash[k]
	if e == nil {
		return nil
	}
	c.recent.MoveToFront(e)
	return e.Value.(Known).Info
}

// put adds what is known, unless it was, which is false.
func (c *cache) put(k Known) bool {
	key := hashKey{k.Hash, k.Ver}
	if c.byHash[key] != nil {
		return false
	}
	if c.byHash == nil {
		c.byHash = make(map[hashKey]*list.Element)
	}
	c.byHash[key] = c.recent.PushFront(k)
	c.bytes += footprint(k.Info)
	for len(c.byHash) > maxKnown || c.bytes > maxKnownBytes {
		last := c.recent.Remove(c.recent.Back()).(Known)
		delete(c.byHash, hashKey{last.Hash, last.Ver})
		c.bytes -= footprint(last.Info)
	}
	return true
}

// all lists everything, last used first.
func (c *cache) all() []Known {
	known := make([]Known, 0, len(c.byHash))
	for e := c.recent.Front(); e != nil; e = e.Next() {
		known = append(known, e.Value.(Known))
	}
	return known
}

// footprint estimates the memory an info takes.
func footprint(info *disco.Info) int {
	const fixed, perText = 256, 24
	n := fixed + info.Size() + perText*(len(info.Features)+4*len(info.Identities))
	for _, f := range info.Forms {
		for _, l := range f.Fields {
			n += perText * (3 + len(l.Values))
		}
	}
	return n
}
