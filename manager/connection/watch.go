package connection

import (
	"time"

	"telepathy-olpc/internal/tp"
)

// slow reports an event that kept the loop busy for longer than it should.
func (c *Connection) slow(label string, took time.Duration) {
	c.log.WithField("event", label).WithField("took", took).Warn("Slow event")
}

// panicked ends this Connection, and only this one, after a defect of ours.
func (c *Connection) panicked(label string, v any, stack []byte) {
	c.log.WithField("event", label).WithField("panic", v).WithField("stack", string(stack)).Error("Event panicked")
	c.finish(ending{
		err:     tp.ErrorConfused,
		reason:  tp.ConnectionStatusReasonNoneSpecified,
		message: "internal error; see the log",
	})
}
