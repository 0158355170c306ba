package xmpp

import (
	"errors"
	"net"
	"sync"
	"time"

	"telepathy-olpc/xmpp/stanza"
)

// link is a connection that has logged in: a reader, which is the goroutine
// that logged in, a writer, and what bounds them. The loop owns it and ends it
// with end or cut; the reader's last event is linkDown.
type link struct {
	*wire
	out  outbox
	room credit

	asked time.Duration // [sinceEpoch] when a sign of life was asked for; 0 if none is awaited
	cause error         // why the loop ended it
}

// maxPosted bounds what the reader may be ahead of the loop, in
// [stanza.Reader.Cost]. One stanza goes through however large it is.
const maxPosted = 8 << 20

func newLink(w *wire, stall time.Duration) *link {
	l := &link{wire: w}
	l.room.init(maxPosted)
	l.out.init(stall)
	return l
}

// write queues bytes for the server.
func (l *link) write(b []byte) {
	if !l.out.add(b) {
		l.cut(errOverflow)
	}
}

// end ends the link for the reason given, after the last words have gone out.
func (l *link) end(cause error, last string) {
	if l.cause == nil {
		l.cause = cause
	}
	l.out.finish([]byte(last), true)
}

// cut ends the link at once.
func (l *link) cut(cause error) {
	if l.cause == nil {
		l.cause = cause
	}
	l.abandon()
}

// abandon ends the connection and both goroutines. Any goroutine may call it.
func (l *link) abandon() {
	l.wire.cut()
	l.out.abandon()
	l.room.close()
}

// read gives elements to post, with what they cost, until the stream ends or
// post is false. It returns when the writer has ended as well, with the reason.
func (l *link) read(post func(e *stanza.Element, cost int) bool) error {
	err := l.readAll(post)
	if last := lastWords(err); last != nil {
		l.out.finish(last, true)
	} else if err == ErrStreamClosed {
		l.out.finish([]byte(closeTag), true)
	} else {
		l.abandon()
	}
	<-l.out.done
	l.abandon()
	if errors.Is(err, net.ErrClosed) && l.out.err != nil {
		return readError(l.out.err) // why the writer closed it
	}
	return err
}

func (l *link) readAll(post func(*stanza.Element, int) bool) error {
	for {
		e, err := l.in.Next()
		if err != nil {
			return readError(err)
		}
		cost := l.in.Cost()
		if !l.room.take(cost) || !post(e, cost) {
			return ErrLost
		}
	}
}

// credit bounds what is under way between two goroutines.
type credit struct {
	mu     sync.Mutex
	freed  sync.Cond // used or closed changed
	used   int
	limit  int
	closed bool
}

func (c *credit) init(limit int) { c.freed.L, c.limit = &c.mu, limit }

// take waits for room for n, or for nothing else to be under way; it is false
// once the credit is closed.
func (c *credit) take(n int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.used > 0 && c.used+n > c.limit && !c.closed {
		c.freed.Wait()
	}
	c.used += n
	return !c.closed
}

func (c *credit) give(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used -= n
	c.freed.Signal()
}

func (c *credit) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.freed.Signal()
}

// idle tells whether nothing is under way.
func (c *credit) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used == 0
}
