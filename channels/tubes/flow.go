package tubes

import "sync"

// maxAhead bounds what a local program has said on one tube and has not gone
// out, in bytes; one message goes through however large it is.
const maxAhead = 1 << 20

// flow holds a local program back to what the connection carries. Its reader
// takes, the loop gives back.
type flow struct {
	mu     sync.Mutex
	freed  sync.Cond
	used   int
	closed bool
}

func newFlow() *flow {
	f := &flow{}
	f.freed.L = &f.mu
	return f
}

// take waits for room for n bytes; it is false once the flow is closed.
func (f *flow) take(n int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.used > 0 && f.used+n > maxAhead && !f.closed {
		f.freed.Wait()
	}
	f.used += n
	return !f.closed
}

func (f *flow) give(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.used -= n
	f.freed.Signal()
}

func (f *flow) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.freed.Broadcast()
}
