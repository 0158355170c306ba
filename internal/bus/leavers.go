package bus

import (
	"slices"
	"sync"

	"telepathy-olpc/internal/loop"
)

// leavers are the clients whose leaving somebody waits for. The bus tells of all
// who leave by one rule, which is there as long as somebody waits.
type leavers struct {
	mu    sync.Mutex
	waits map[string][]*Leaving // by unique name
}

const leaversRule = "type='signal',sender='" + driverName + "',interface='" + driverInterface + "',member='NameOwnerChanged',arg2=''"

// Leaving is the wait for a client to leave the bus.
type Leaving struct {
	conn    *Conn
	name    string
	loop    *loop.Loop
	gone    func()
	stopped bool // only the loop looks at it
}

// WhenGone runs gone on l, once, when the client with a unique name has left the
// bus, also if it had before.
func (c *Conn) WhenGone(name string, l *loop.Loop, gone func()) *Leaving {
	w := &Leaving{conn: c, name: name, loop: l, gone: gone}
	c.leavers.mu.Lock()
	if len(c.leavers.waits) == 0 {
		c.leavers.waits = make(map[string][]*Leaving)
		c.call("AddMatch", "s", nil, leaversRule)
	}
	c.leavers.waits[name] = append(c.leavers.waits[name], w)
	c.leavers.mu.Unlock()
	// Asked after the rule is there, so that nobody slips through between.
	c.call("NameHasOwner", "s", func(reply []any, err error) {
		if err == nil && len(reply) == 1 && reply[0] == false {
			c.left(name)
		}
	}, name)
	return w
}

// Stop is called on the loop; gone does not run afterwards.
func (w *Leaving) Stop() {
	w.stopped = true
	l := &w.conn.leavers
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.waits[w.name], w); i >= 0 {
		l.waits[w.name] = slices.Delete(l.waits[w.name], i, i+1)
		w.conn.forget(w.name)
	}
}

// left tells all who wait for a client that it has left.
func (c *Conn) left(name string) {
	c.leavers.mu.Lock()
	defer c.leavers.mu.Unlock()
	waits := c.leavers.waits[name]
	if len(waits) == 0 {
		return
	}
	c.leavers.waits[name] = nil
	c.forget(name)
	for _, w := range waits {
		w.loop.Post("client gone", func() {
			if !w.stopped {
				w.gone()
			}
		})
	}
}

// forget is called with the lock held. It takes back what nobody waits for.
func (c *Conn) forget(name string) {
	if len(c.leavers.waits[name]) > 0 {
		return
	}
	delete(c.leavers.waits, name)
	if len(c.leavers.waits) == 0 {
		c.call("RemoveMatch", "s", nil, leaversRule)
	}
}

// handleLeaver takes the bus' word that a name has no owner any more.
func (c *Conn) handleLeaver(s Signal) {
	if s.Sender != driverName || s.Member != "NameOwnerChanged" || len(s.Body) != 3 || s.Body[2] != "" {
		return
	}
	if name, is := s.Body[0].(string); is {
		c.left(name)
	}
}
