// Package rawconn reads and writes sockets without telling Go's scheduler.
//
// Package net announces each of its system calls as one that may block. After
// an idle moment that wakes the scheduler's monitor thread, which from then on
// looks every 20 µs whether the processor should go to another thread, and
// often gives it to one. A service that sleeps between small messages spends
// half of its time so. But sockets of package net are non-blocking: a call
// takes what there is and returns, and there is nothing to announce.
package rawconn

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// Socket is a connection of package net that is a file descriptor:
// [*net.TCPConn] and [*net.UnixConn].
type Socket interface {
	net.Conn
	syscall.Conn
}

// Conn is a [Socket] that reads and writes with plain system calls. Deadlines,
// and Close from any goroutine, work as with package net. Make it with [New].
type Conn struct {
	net.Conn
	raw syscall.RawConn
	in  input
	out output
}

// New takes over a connection, which may still be used for all but reading and
// writing. The error is that of one that is closed already.
func New(s Socket) (*Conn, error) {
	raw, err := s.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &Conn{Conn: s, raw: raw}
	c.in.attempt, c.out.attempt, c.out.once = c.in.read, c.out.writeAll, c.out.writeOnce
	return c, nil
}

// input is a read that is under way. Its function is made once: a closure for
// each call would be garbage of each message.
type input struct {
	mu      sync.Mutex
	attempt func(fd uintptr) (done bool)

	b     []byte
	n     int
	errno syscall.Errno
}

// Read is [io.Reader.Read].
func (c *Conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	in.b, in.n, in.errno = b, 0, 0
	err := c.raw.Read(in.attempt)
	in.b = nil
	switch {
	case err != nil:
		return 0, err
	case in.errno != 0:
		return 0, os.NewSyscallError("read", in.errno)
	case in.n == 0:
		return 0, io.EOF
	}
	return in.n, nil
}

func (in *input) read(fd uintptr) bool {
	n, errno := retry(syscall.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(in.b)), len(in.b))
	if errno == syscall.EAGAIN {
		return false
	}
	in.n, in.errno = n, errno
	return true
}

// maxPieces is how many buffers go out in one system call; the kernel takes 1,024.
const maxPieces = 64

// output is a write that is under way.
type output struct {
	mu      sync.Mutex
	attempt func(fd uintptr) (done bool)
	once    func(fd uintptr) (done bool)

	single [1][]byte
	rest   net.Buffers
	pieces [maxPieces]syscall.Iovec
	n      int
	errno  syscall.Errno
}

// Write is [io.Writer.Write].
func (c *Conn) Write(b []byte) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.single[0] = b
	return c.write(c.out.single[:])
}

// WriteBuffers writes all of them, in as few system calls as it can, and
// leaves nothing of them in buffers.
func (c *Conn) WriteBuffers(buffers net.Buffers) (int, error) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	return c.write(buffers)
}

func (c *Conn) write(buffers net.Buffers) (int, error) {
	c.out.rest, c.out.n, c.out.errno = buffers, 0, 0
	err := c.raw.Write(c.out.attempt)
	c.out.rest, c.out.single[0] = nil, nil
	if err == nil && c.out.errno != 0 {
		err = os.NewSyscallError("writev", c.out.errno)
	}
	return c.out.n, err
}

// TryWrite writes what the socket takes at once, and gives how many bytes that
// was. An error is left to the next Write, which meets it again.
func (c *Conn) TryWrite(b []byte) int {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.single[0] = b
	c.out.rest, c.out.n = c.out.single[:], 0
	_ = c.raw.Write(c.out.once)
	c.out.rest, c.out.single[0] = nil, nil
	return c.out.n
}

func (o *output) writeOnce(fd uintptr) bool {
	o.writeSome(fd)
	return true
}

func (o *output) writeAll(fd uintptr) bool {
	for len(o.rest) > 0 {
		switch errno := o.writeSome(fd); errno {
		case 0:
		case syscall.EAGAIN:
			return false
		default:
			o.errno = errno
			return true
		}
	}
	return true
}

// writeSome makes one system call and takes away what it has written.
func (o *output) writeSome(fd uintptr) syscall.Errno {
	count := 0
	for _, b := range o.rest[:min(len(o.rest), maxPieces)] {
		o.pieces[count].Base = unsafe.SliceData(b)
		o.pieces[count].SetLen(len(b))
		count++
	}
	n, errno := retry(syscall.SYS_WRITEV, fd, unsafe.Pointer(&o.pieces), count)
	clear(o.pieces[:count])
	if errno != 0 {
		return errno
	}
	o.n += n
	for len(o.rest) > 0 && n >= len(o.rest[0]) {
		n -= len(o.rest[0])
		o.rest[0] = nil
		o.rest = o.rest[1:]
	}
	if n > 0 {
		o.rest[0] = o.rest[0][n:]
	}
	return 0
}

// retry makes a system call that is not announced, until no signal interrupts it.
func retry(call, fd uintptr, p unsafe.Pointer, length int) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(p), uintptr(length))
		if errno == 0 {
			return int(n), 0
		}
		if errno != syscall.EINTR {
			return 0, errno
		}
	}
}
