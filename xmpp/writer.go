package xmpp

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxOutput bounds what waits to be sent; whoever has more to say than
	// the network takes must wait for answers in between.
	maxOutput = 8 << 20
	// writeChunk is what has to get out within the stall time: little enough
	// for the slowest link that is still of use.
	writeChunk = 16 << 10
	// keepBuffer bounds the buffer that a burst leaves behind. A few of the
	// largest stanzas of a tube fit in, so that a long message does not make
	// one anew for each.
	keepBuffer = 256 << 10
)

var errOverflow = fmt.Errorf("%w: more to send than the network takes", ErrLost)

// outbox is what waits to be written, and the goroutine that writes it. What
// has come together meanwhile goes out in one piece.
type outbox struct {
	stall     time.Duration // longest that the network may take nothing
	limit     int           // of what waits
	lastWrite atomic.Int64  // [sinceEpoch]
	done      chan struct{} // closed when run has returned
	err       error         // of the network, if it ended run; read after done

	mu        sync.Mutex
	filled    sync.Cond // any of the below changed
	buf       []byte
	finished  bool      // takes no more; run ends when all is written
	hangUp    bool      // then the connection is ended
	abandoned bool      // run ends at once
	last      time.Time // with hangUp: when patience ends
}

func (o *outbox) init(stall time.Duration) {
	o.filled.L, o.stall, o.limit, o.done = &o.mu, stall, maxOutput, make(chan struct{})
	o.lastWrite.Store(int64(sinceEpoch()))
}

// add queues bytes, which are copied. It is false when there is too much.
func (o *outbox) add(b []byte) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.finished {
		return true
	}
	if len(o.buf)+len(b) > o.limit {
		return false
	}
	o.buf = append(o.buf, b...)
	o.filled.Signal()
	return true
}

// waiting tells how many bytes are queued.
func (o *outbox) waiting() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.buf)
}

// finish queues the last bytes. With hangUp the connection is ended behind
// them, otherwise that is left to the peer. Only the first call says the last
// bytes.
func (o *outbox) finish(last []byte, hangUp bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.finished {
		o.buf = append(o.buf, last...)
	}
	o.finished = true
	if hangUp && !o.hangUp {
		o.hangUp, o.last = true, time.Now().Add(goodbyeTimeout)
	}
	o.filled.Signal()
}

func (o *outbox) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.abandoned = true
	o.filled.Signal()
}

// run writes until the outbox is finished, abandoned, or the network fails;
// then the connection is ended, unless a finish left that to the peer.
func (o *outbox) run(w *wire) {
	defer close(o.done)
	var b []byte
	for {
		var more bool
		if b, more = o.next(b); !more {
			break
		}
		if err := o.write(w.Conn, b); err != nil {
			o.err = err
			break
		}
	}
	w.cut()
}

// next waits for something to write; spare is a buffer to use again.
func (o *outbox) next(spare []byte) (b []byte, more bool) {
	if cap(spare) > keepBuffer {
		spare = nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.buf) == 0 && !o.abandoned && !o.hangUp {
		o.filled.Wait()
	}
	if o.abandoned || len(o.buf) == 0 {
		return nil, false
	}
	b, o.buf = o.buf, spare[:0]
	return b, true
}

func (o *outbox) write(conn net.Conn, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), writeChunk)
		conn.SetWriteDeadline(o.deadline())
		if _, err := conn.Write(b[:n]); err != nil {
			return err
		}
		o.lastWrite.Store(int64(sinceEpoch()))
		b = b[n:]
	}
	return nil
}

// deadline is until when the network may take nothing, or, at the end, not all.
func (o *outbox) deadline() time.Time {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.hangUp {
		return o.last
	}
	return time.Now().Add(o.stall)
}
