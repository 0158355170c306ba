package dbuspeer

import (
	"errors"
	"net"
	"sync"

	"telepathy-olpc/internal/rawconn"
)

// The bus itself, which does not exist here, and the error for what does not.
const (
	busName        = "org.freedesktop.DBus"
	errorNoService = "org.freedesktop.DBus.Error.ServiceUnknown"
)

// Limits on what waits to be written, in bytes: as much as telepathy-gabble
// keeps while nobody is connected, and two of the longest messages after that.
const (
	maxWaitingBytes = 4096 * 1024
	maxUnwritten    = 2 * MaxMessage
)

// converse serves the client until it goes.
func (s *Server) converse(c *rawconn.Conn, r *Reader) {
	s.out.connected(true)
	var writer sync.WaitGroup
	writer.Go(func() {
		s.write(c)
		c.Close() // wakes the reader, if it was the writer that failed
	})
	if s.events.Connected != nil {
		s.events.Connected()
	}
	s.read(r)
	c.Close()
	s.out.connected(false)
	writer.Wait()
	if s.events.Disconnected != nil {
		s.events.Disconnected()
	}
}

// read passes on what the client says, until it says nothing more.
func (s *Server) read(r *Reader) {
	for {
		b, err := r.Next()
		if errors.Is(err, ErrTooLong) {
			continue
		}
		if err != nil {
			return
		}
		h, err := ParseMessage(b)
		switch {
		case err != nil: // of its own making, and harmful to nobody here
		case h.Destination == busName:
			if h.Kind == KindCall && h.Flags&FlagNoReply == 0 {
				s.Send(BuildError(h, errorNoService, "There is no message bus in a tube"))
			}
		case s.events.Message != nil:
			s.events.Message(h, b)
		}
	}
}

// write writes what is sent to the client.
func (s *Server) write(c *rawconn.Conn) {
	for {
		batch, ok := s.out.take()
		if !ok {
			return
		}
		if _, err := c.WriteBuffers(batch); err != nil {
			return
		}
	}
}

// outbox holds messages until they are written.
type outbox struct {
	mu       sync.Mutex
	changed  sync.Cond // any of the below
	messages net.Buffers
	size     int // of messages and of those that are being written
	writing  int // of those alone
	client   bool
	closed   bool
}

func (o *outbox) init() { o.changed.L = &o.mu }

// add keeps a message, if it fits.
func (o *outbox) add(message []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	limit := maxWaitingBytes
	if o.client {
		limit = maxUnwritten
	}
	if o.closed || o.size+len(message) > limit {
		return false
	}
	o.messages = append(o.messages, message)
	o.size += len(message)
	o.changed.Signal()
	return true
}

// take waits for messages and returns them all, when those taken before are
// written. It is false when the client has gone.
func (o *outbox) take() (net.Buffers, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.size -= o.writing
	o.writing = 0
	for len(o.messages) == 0 && o.client && !o.closed {
		o.changed.Wait()
	}
	if !o.client || o.closed {
		return nil, false
	}
	batch := o.messages
	o.messages, o.writing = nil, o.size
	return batch, true
}

// connected says whether there is a client. With it goes what it did not read.
func (o *outbox) connected(is bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.client = is
	if !is {
		o.messages, o.size, o.writing = nil, 0, 0
	}
	o.changed.Signal()
}

func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.changed.Signal()
}
