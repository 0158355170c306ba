package filetransfer

import (
	"errors"
	"net"
	"sync"
	"time"
)

// readWithin is how long a local program may take to read the end of a file.
// All bytes are in its socket by then, and stay there.
const readWithin = 5 * time.Second

// lateConn is the connection of the local program, which comes when it comes:
// who reads or writes waits for it.
type lateConn struct {
	ready  chan struct{} // closed when conn is there
	gone   chan struct{} // closed when it will not come, or is over
	conn   net.Conn
	ending sync.Once
}

func newLateConn() *lateConn {
	return &lateConn{ready: make(chan struct{}), gone: make(chan struct{})}
}

// use takes the program's connection, unless there is one. It is called on the
// loop.
func (l *lateConn) use(c net.Conn) bool {
	if l.conn != nil {
		return false
	}
	l.conn = c
	close(l.ready)
	return true
}

// close ends the connection, or the wait for it. It is called on the loop.
func (l *lateConn) close() {
	l.ending.Do(func() {
		close(l.gone)
		if l.conn != nil {
			_ = l.conn.Close()
		}
	})
}

// wait waits for the program.
func (l *lateConn) wait() (net.Conn, error) {
	select {
	case <-l.ready:
		return l.conn, nil
	case <-l.gone:
		return nil, net.ErrClosed
	}
}

// Read reads what the program writes.
func (l *lateConn) Read(p []byte) (int, error) {
	c, err := l.wait()
	if err != nil {
		return 0, err
	}
	return c.Read(p)
}

// Write has the program read p.
func (l *lateConn) Write(p []byte) (int, error) {
	c, err := l.wait()
	if err != nil {
		return 0, err
	}
	return c.Write(p)
}

// interrupt has Read return what is there, and then an error. It is called on
// the loop; it is false when there is no program.
func (l *lateConn) interrupt() bool {
	return l.conn != nil && l.conn.SetReadDeadline(time.Unix(1, 0)) == nil
}

// finish tells the program that there is no more, and waits until it has read
// that and closed its end, for some time.
func (l *lateConn) finish() error {
	c, err := l.wait()
	if err != nil {
		return err
	}
	half, can := c.(interface{ CloseWrite() error })
	if !can {
		return errors.ErrUnsupported
	}
	if err := errors.Join(half.CloseWrite(), c.SetReadDeadline(time.Now().Add(readWithin))); err != nil {
		return err
	}
	for p := make([]byte, 512); err == nil; {
		_, err = c.Read(p)
	}
	return nil // whatever it was, the program has its bytes
}
