package socket

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// chunk is how much is carried at a time: what a Unix socket holds.
	chunk = 256 << 10
	// linger bounds how long we wait for the other side's end after the local
	// program has gone, so that what it said last still arrives.
	linger = 10 * time.Second
)

// Stream is a stream of bytes from afar, as bytestream.Conn is.
type Stream interface {
	io.Reader
	io.Writer
	CloseWrite() error // sends what is left, then the end
	Close() error      // ends both ways at once, and calls of Read and Write
}

// Side says where something happened.
type Side uint8

// The sides of a [Splice].
const (
	Local Side = iota + 1
	Remote
)

// End is how a [Splice] has come to its end.
type End struct {
	// Side is where it began: the first to close its way or to fail.
	Side Side
	// Err is nil when both ways were closed one after the other.
	Err error
}

// ErrClosed is the end of a [Splice] that we have closed ourselves.
var ErrClosed = errors.New("closed by this side")

// Splice carries bytes between a local program and a stream from afar, both
// ways, as fast as the slower one takes them.
type Splice struct {
	local  net.Conn
	remote Stream
	out    atomic.Uint64
	in     atomic.Uint64
	ways   sync.WaitGroup

	mu  sync.Mutex
	end End
}

// Join begins to carry. When both ways have ended, or one has failed, both
// connections are closed and done is called once, from a goroutine of its own.
func Join(local net.Conn, remote Stream, done func(End)) *Splice {
	s := &Splice{local: local, remote: remote}
	s.ways.Go(s.carryOut)
	s.ways.Go(s.carryIn)
	go func() {
		s.ways.Wait()
		s.closeBoth()
		s.mu.Lock()
		end := s.end
		s.mu.Unlock()
		done(end)
	}()
	return s
}

// Sent is how many bytes went from the local program to the stream.
func (s *Splice) Sent() uint64 { return s.out.Load() }

// Received is how many bytes went from the stream to the local program.
func (s *Splice) Received() uint64 { return s.in.Load() }

// Close ends it from our side, at once. It may be called from any goroutine and
// more than once.
func (s *Splice) Close() {
	s.fail(0, ErrClosed)
	s.closeBoth()
}

func (s *Splice) closeBoth() {
	_ = s.local.Close()
	_ = s.remote.Close()
}

func (s *Splice) carryOut() {
	side := Local
	err := Copy(s.remote, s.local, &s.out)
	if err == nil {
		s.note(Local)
		if err = s.remote.CloseWrite(); err == nil {
			return
		}
		side = Remote
	}
	if isWriting(err) {
		side = Remote
	}
	s.fail(side, err)
	s.closeBoth()
}

func (s *Splice) carryIn() {
	err := Copy(s.local, s.remote, &s.in)
	switch {
	case err == nil:
		s.note(Remote)
		if half, can := s.local.(interface{ CloseWrite() error }); can {
			_ = half.CloseWrite() // it fails when the program has gone, which is no news
		}
	case isWriting(err):
		// The local program has gone. What it wrote last may still be on its
		// way, and would be lost if unread bytes made the stream break off.
		s.fail(Local, err)
		timer := time.AfterFunc(linger, s.closeBoth)
		_, _ = io.Copy(io.Discard, s.remote)
		timer.Stop()
	default:
		s.fail(Remote, err)
		s.closeBoth()
	}
}

// note remembers the side that closed its way first.
func (s *Splice) note(side Side) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end.Side == 0 && s.end.Err == nil {
		s.end.Side = side
	}
}

// fail remembers the first failure; those that follow come of it.
func (s *Splice) fail(side Side, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end.Err == nil {
		s.end = End{Side: side, Err: err}
	}
}

// WriteError is what goes wrong where a [Copy] goes to, not where it comes from.
type WriteError struct{ Err error }

func (e *WriteError) Error() string { return e.Err.Error() }

// Unwrap gives the error of the connection.
func (e *WriteError) Unwrap() error { return e.Err }

func isWriting(err error) bool {
	var w *WriteError
	return errors.As(err, &w)
}

// buffers are those of copies that have ended.
var buffers = sync.Pool{New: func() any { return new([chunk]byte) }}

// Copy carries bytes until src ends, which is no error, and counts those that
// dst has taken. An error of dst is a [WriteError].
func Copy(dst io.Writer, src io.Reader, count *atomic.Uint64) error {
	buf := buffers.Get().(*[chunk]byte)
	defer buffers.Put(buf)
	for {
		n, err := src.Read(buf[:])
		if n > 0 {
			written, err := dst.Write(buf[:n])
			count.Add(uint64(max(written, 0)))
			if err != nil {
				return &WriteError{err}
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}
