package directory

import (
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/olpc"
)

// key is the hash of one thing that can be sought. Two may fall together, so
// what is found under one is looked at again.
type key uint64

var seed = maphash.MakeSeed()

// The classes of keys, the most selective first.
const (
	byAddress  = "j"
	byRoom     = "r"
	byID       = "i"
	byMember   = "m"
	byGram     = "g"
	byProperty = "p"
)

func keyOf(class string, parts ...string) key {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(class)
	for _, p := range parts {
		h.WriteString(p)
		h.WriteByte(0)
	}
	return key(h.Sum64())
}

// propertyKey tells values apart as [olpc.Properties.Equal] does.
func propertyKey(name string, value any) key {
	if b, ok := value.([]byte); ok {
		return keyOf(byProperty, name, "bytes", string(b))
	}
	return keyOf(byProperty, name, fmt.Sprintf("%T", value), fmt.Sprint(value))
}

func propertyKeys(keys []key, p olpc.Properties) []key {
	for name, value := range p {
		keys = append(keys, propertyKey(name, value))
	}
	return keys
}

func (p *person) keysOf() []key {
	keys := append(make([]key, 0, 16), keyOf(byAddress, p.jid.String()))
	return propertyKeys(gramKeys(keys, p.folded), p.props)
}

func (a *activity) keysOf() []key {
	keys := append(make([]key, 0, 16), keyOf(byRoom, a.Room.String()), keyOf(byID, a.ID))
	for p := range a.members {
		keys = append(keys, keyOf(byMember, p.jid.String()))
	}
	return propertyKeys(keys, a.props)
}

// fold makes of a name what is compared: without case, accents and width.
func fold(name string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFKD.String(name)))
}

// gram is how many letters together a name is found by.
const gram = 3

// gramKeys adds the keys of all runs of letters in a name.
func gramKeys(keys []key, folded string) []key {
	letters := []rune(folded)
	for i := 0; i+gram <= len(letters); i++ {
		keys = append(keys, keyOf(byGram, string(letters[i:i+gram])))
	}
	return keys
}

// sought is what a view or a search is after.
type sought struct {
	gadget.Criteria
	kind   gadget.Kind
	folded string
	keys   []key // all must be there
}

func newSought(r gadget.Request) sought {
	s := sought{Criteria: r.Criteria, kind: r.Kind, folded: fold(r.Criteria.Alias)}
	add := func(class, value string) {
		if value != "" {
			s.keys = append(s.keys, keyOf(class, value))
		}
	}
	add(byAddress, s.JID.String())
	add(byRoom, s.Activity.Room.String())
	add(byID, s.Activity.ID)
	for _, p := range s.Participants {
		add(byMember, p.String())
	}
	s.keys = propertyKeys(gramKeys(s.keys, s.folded), s.Properties)
	return s
}

// fits tells whether an item that is shown is what is sought.
func (s *sought) fits(it *item) bool {
	if p := it.person; p != nil {
		return (s.JID.IsZero() || s.JID == p.jid) && strings.Contains(p.folded, s.folded) && has(p.props, s.Properties)
	}
	a := it.activity
	if s.Activity.ID != "" && s.Activity.ID != a.ID || !s.Activity.Room.IsZero() && s.Activity.Room != a.Room || !has(a.props, s.Properties) {
		return false
	}
	for _, who := range s.Participants {
		if !slices.Contains(a.keys, keyOf(byMember, who.String())) {
			return false
		}
	}
	return true
}

// has tells whether all properties wanted are there, with type and value.
func has(p, wanted olpc.Properties) bool {
	for name, value := range wanted {
		have, ok := p[name]
		if !ok || !(olpc.Properties{name: value}).Equal(olpc.Properties{name: have}) {
			return false
		}
	}
	return true
}

// hall holds all items of one kind, and the views that wait for some.
type hall struct {
	all    *pool
	byKey  map[key]*pool
	hungry map[key]map[*view]bool // views with room left, by one of their keys; 0 for those without
}

func newHall() hall {
	return hall{all: new(pool), byKey: make(map[key]*pool), hungry: make(map[key]map[*view]bool)}
}

// file puts an item under its keys in the place of those that it had.
func (h *hall) file(it *item, keys []key) {
	slices.Sort(keys)
	keys = slices.Compact(keys)
	for _, k := range it.keys {
		if _, stays := slices.BinarySearch(keys, k); !stays {
			h.byKey[k].remove(it)
			if h.byKey[k].len() == 0 {
				delete(h.byKey, k)
			}
		}
	}
	for _, k := range keys {
		if _, there := slices.BinarySearch(it.keys, k); there {
			continue
		}
		if h.byKey[k] == nil {
			h.byKey[k] = new(pool)
		}
		h.byKey[k].add(it)
	}
	it.keys = keys
	if it.shown {
		h.all.add(it)
	} else {
		h.all.remove(it)
	}
}

// candidates gives the smallest pool that holds all that fits.
func (h *hall) candidates(s *sought) *pool {
	best := h.all
	for _, k := range s.keys {
		p := h.byKey[k]
		if p == nil {
			return new(pool)
		}
		if p.len() < best.len() {
			best = p
		}
	}
	return best
}

// maxLooked bounds how many candidates one search looks at.
const maxLooked = 5000

// find gives up to n items that fit, by chance, and are not in skip.
func (h *hall) find(s *sought, n int, skip func(*item) bool) []*item {
	var found []*item
	looked := 0
	for it := range h.candidates(s).shuffled() {
		if looked++; len(found) == n || looked > maxLooked {
			break
		}
		if !skip(it) && s.fits(it) {
			found = append(found, it)
		}
	}
	return found
}

// pool is a set that can be gone through in a random order.
type pool struct {
	items []*item
	at    map[*item]int // nil while there are few
}

// few is up to how many items a pool is searched instead of indexed: most pools
// hold one.
const few = 8

func (p *pool) len() int { return len(p.items) }

func (p *pool) find(it *item) int {
	if p.at == nil {
		return slices.Index(p.items, it)
	}
	if i, ok := p.at[it]; ok {
		return i
	}
	return -1
}

func (p *pool) add(it *item) {
	if p.find(it) >= 0 {
		return
	}
	p.items = append(p.items, it)
	switch {
	case p.at != nil:
		p.at[it] = len(p.items) - 1
	case len(p.items) > few:
		p.at = make(map[*item]int, 2*few)
		for i, it := range p.items {
			p.at[it] = i
		}
	}
}

func (p *pool) remove(it *item) {
	i := p.find(it)
	if i < 0 {
		return
	}
	last := len(p.items) - 1
	p.items[i] = p.items[last]
	p.items[last] = nil
	p.items = p.items[:last]
	if p.at != nil {
		delete(p.at, it)
		if i < last {
			p.at[p.items[i]] = i
		}
	}
}

// shuffled goes through all items once, from a place and in steps that chance
// gives: that takes no time before the first.
func (p *pool) shuffled() func(yield func(*item) bool) {
	return func(yield func(*item) bool) {
		n := len(p.items)
		if n == 0 {
			return
		}
		step := 1 + rand.N(n)
		for gcd(step, n) != 1 {
			step = 1 + rand.N(n)
		}
		for i, k := rand.N(n), 0; k < n; i, k = (i+step)%n, k+1 {
			if !yield(p.items[i]) {
				return
			}
		}
	}
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
