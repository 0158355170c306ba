package presence

import (
	"time"

	"telepathy-olpc/internal/loop"
)

// patience waits for several things at once, but not for ever: then is called
// once, when all of them are done or the time is over.
type patience struct {
	host    Host
	then    func()
	pending int
	over    bool
	timer   *loop.Timer
}

// newPatience waits for nothing yet.
func newPatience(h Host, then func()) *patience {
	return &patience{host: h, then: then, pending: 1}
}

// one adds a thing; it is done when the function is called, which may be more
// than once.
func (p *patience) one() func() {
	p.pending++
	done := false
	return func() {
		if !done {
			done = true
			p.finish()
		}
	}
}

// begin says that there is nothing more to add.
func (p *patience) begin(limit time.Duration, label string) {
	if p.pending > 1 {
		p.timer = p.host.After(limit, label, func() {
			p.pending = 1
			p.finish()
		})
	}
	p.finish()
}

func (p *patience) finish() {
	if p.pending--; p.pending > 0 || p.over {
		return
	}
	p.over = true
	p.timer.Stop()
	p.then()
}
