package ibb

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// Window is how many blocks may be under way to the other side.
	Window = 10
	// maxBuffer bounds what was received and nobody has read yet.
	maxBuffer = 512 << 10
	// fullBuffer is how much of that makes us keep back acknowledgements: a
	// window of the largest blocks has room in the rest.
	fullBuffer = maxBuffer - Window*MaxBlockSize
	// maxHeld bounds the acknowledgements that are kept back.
	maxHeld = 64
	// maxUnsent bounds what was written and is not under way yet.
	maxUnsent = 64 << 10
	// keepBuffer is what an empty buffer may leave allocated.
	keepBuffer = 64 << 10

	// ackWithin is how long an acknowledgement is kept back at most: the other
	// side gives up after a minute, as we do.
	ackWithin = 45 * time.Second
	// closeWithin is how long what was left to say may take once the other
	// side has closed.
	closeWithin = 30 * time.Second
)

// Why a stream has ended.
var (
	ErrSequence = errors.New("in-band blocks out of sequence")
	ErrOverflow = errors.New("in-band blocks in spite of a full buffer")
	ErrReset    = errors.New("in-band stream closed by the other side")
)

// Host is what a Stream works with. Its methods are called on the loop, Post by
// any goroutine.
type Host interface {
	Send(e *stanza.Element)
	Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error))
	Post(label string, f func()) bool
	After(d time.Duration, label string, f func()) *loop.Timer
}

// Config says what a Stream is.
type Config struct {
	Host      Host
	To        string // the other side
	SID       string
	BlockSize int
	Window    func() int // blocks under way, at most and at this time; on the loop
	Ended     func()     // no stanza of it is awaited any more; on the loop, once
}

// Stream is one open stream. Read, Write, CloseWrite and Close are for the
// goroutines of its user; all else is for the loop. A block is acknowledged when
// it is in the buffer, which is bounded: acknowledgements wait while it is full.
type Stream struct {
	cfg Config

	// Of the loop alone.
	in, out   uint16            // the next numbers
	held      []*stanza.Element // that are not acknowledged yet
	heldTimer *loop.Timer
	farewell  *stanza.Element // the other side's <close/>, while it is not answered
	grace     *loop.Timer     // for it
	saidClose bool
	ended     bool

	mu       sync.Mutex
	readable sync.Cond // received, readErr
	writable sync.Cond // unsent, unacked, writeErr
	received bytes.Buffer
	wantRoom bool  // somebody's acknowledgement waits
	readErr  error // after what was received
	unsent   bytes.Buffer
	unacked  int
	finished bool // by CloseWrite
	posted   bool // pump is about to run
	writeErr error
}

// NewStream returns a stream that both sides have agreed on.
func NewStream(cfg Config) *Stream {
	s := &Stream{cfg: cfg}
	s.readable.L, s.writable.L = &s.mu, &s.mu
	return s
}

// Read reads what has come. After an orderly end it is [io.EOF], after Close
// [net.ErrClosed].
func (s *Stream) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.received.Len() == 0 && s.readErr == nil && len(p) > 0 {
		s.readable.Wait()
	}
	if s.received.Len() == 0 && len(p) > 0 {
		return 0, s.readErr
	}
	n, _ := s.received.Read(p)
	if s.received.Len() == 0 && s.received.Cap() > keepBuffer {
		s.received = bytes.Buffer{}
	}
	if s.wantRoom && s.received.Len() <= fullBuffer {
		s.wantRoom = false
		s.cfg.Host.Post("in-band acknowledge", s.acknowledge)
	}
	return n, nil
}

// Write waits until all of p is under way or has room to wait for it.
func (s *Stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := 0
	for {
		switch {
		case s.writeErr != nil:
			return written, s.writeErr
		case s.finished:
			return written, net.ErrClosed
		case written == len(p):
			return written, nil
		}
		n := min(maxUnsent-s.unsent.Len(), len(p)-written)
		if n == 0 {
			s.writable.Wait()
			continue
		}
		s.unsent.Write(p[written : written+n])
		written += n
		s.wake()
	}
}

// wake has the loop send what there is.
func (s *Stream) wake() {
	if s.posted {
		return
	}
	s.posted = s.cfg.Host.Post("in-band send", s.pump)
	if !s.posted {
		s.setErrors(net.ErrClosed)
	}
}

// CloseWrite says that nothing more will be written, and waits until the other
// side has acknowledged everything. What it still has to say can be read, if it
// does not close at once, as old programs do.
func (s *Stream) CloseWrite() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.wake()
	for s.writeErr == nil && (s.unsent.Len() > 0 || s.unacked > 0) {
		s.writable.Wait()
	}
	return s.writeErr
}

// Close ends the stream at once, with all that is under way, and wakes who reads
// or writes. It may be called twice.
func (s *Stream) Close() error {
	s.mu.Lock()
	s.received.Reset()
	s.readErr = net.ErrClosed
	s.setErrors(net.ErrClosed)
	s.mu.Unlock()
	s.cfg.Host.Post("in-band close", s.shut)
	return nil
}

// setErrors ends both directions for the user, if that was not done before.
func (s *Stream) setErrors(err error) {
	if s.readErr == nil {
		s.readErr = err
	}
	if s.writeErr == nil && !(s.finished && s.unsent.Len() == 0 && s.unacked == 0) {
		s.writeErr = err
	}
	s.unsent = bytes.Buffer{}
	s.readable.Broadcast()
	s.writable.Broadcast()
}

// pump sends blocks while the window allows, and <close/> behind the last.
func (s *Stream) pump() {
	s.mu.Lock()
	s.posted = false
	var blocks [][]byte
	for s.writeErr == nil && s.unsent.Len() > 0 && s.unacked < s.cfg.Window() {
		blocks = append(blocks, bytes.Clone(s.unsent.Next(s.cfg.BlockSize)))
		s.unacked++
	}
	flushed := s.finished && s.unsent.Len() == 0 && s.unacked == 0 && s.writeErr == nil
	s.writable.Broadcast()
	s.mu.Unlock()
	for _, b := range blocks {
		s.send(b)
	}
	if flushed {
		s.sayClose()
	}
}

func (s *Stream) send(block []byte) {
	d := Data{s.cfg.SID, s.out, block}
	s.out++
	s.cfg.Host.Ask(s.iq(d.Element()), func(_ *stanza.Element, err error) {
		s.mu.Lock()
		s.unacked--
		s.mu.Unlock()
		if err != nil {
			s.refused(err)
			return
		}
		s.pump()
	})
}

// refused ends a stream whose block was not taken.
func (s *Stream) refused(err error) {
	var answer *stanza.Error
	if errors.As(err, &answer) && answer.Condition == stanza.ItemNotFound {
		err = ErrReset
		s.saidClose = true // there is nobody to say it to
	}
	s.Fail(err)
}

func (s *Stream) iq(payload *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("to", s.cfg.To), payload)
}

// sayClose ends our direction.
func (s *Stream) sayClose() {
	switch {
	case s.ended:
	case s.farewell != nil:
		s.end()
	case !s.saidClose:
		s.saidClose = true
		s.cfg.Host.Ask(s.iq(Close(s.cfg.SID)), func(*stanza.Element, error) { s.finish(io.EOF) })
	}
}

// HandleData takes a block, in an IQ or in a message.
func (s *Stream) HandleData(st *stanza.Element) {
	d, err := ParseData(st.Child(NS, "data"), s.cfg.BlockSize)
	switch {
	case s.ended || s.farewell != nil:
		refuse(s.cfg.Host, st, stanza.ItemNotFound)
	case err != nil:
		refuse(s.cfg.Host, st, stanza.BadRequest)
		s.Fail(err)
	case d.Seq != s.in:
		refuse(s.cfg.Host, st, stanza.UnexpectedRequest)
		s.Fail(ErrSequence)
	default:
		s.in++
		s.take(st, d.Bytes)
	}
}

// take buffers a block and acknowledges it, or keeps that back.
func (s *Stream) take(st *stanza.Element, block []byte) {
	s.mu.Lock()
	closed := s.readErr != nil // and shut is about to run
	over := s.received.Len()+len(block) > maxBuffer || len(s.held) == maxHeld
	if !closed && !over {
		s.received.Write(block)
	}
	full := s.received.Len() > fullBuffer
	s.wantRoom = full
	s.readable.Broadcast()
	s.mu.Unlock()
	switch {
	case closed:
		refuse(s.cfg.Host, st, stanza.ItemNotFound)
	case over:
		refuse(s.cfg.Host, st, stanza.ResourceConstraint)
		s.Fail(ErrOverflow)
	case !full:
		reply(s.cfg.Host, st)
	case st.Local() == "iq":
		s.hold(st)
	}
}

func (s *Stream) hold(iq *stanza.Element) {
	if len(s.held) == 0 {
		s.heldTimer = s.cfg.Host.After(ackWithin, "in-band acknowledgement overdue", s.acknowledge)
	}
	s.held = append(s.held, iq)
}

// acknowledge answers what was kept back.
func (s *Stream) acknowledge() {
	for _, iq := range s.drop() {
		reply(s.cfg.Host, iq)
	}
}

// drop takes out what was kept back.
func (s *Stream) drop() []*stanza.Element {
	held := s.held
	s.held = nil
	s.heldTimer.Stop()
	return held
}

// HandleClose takes the other side's <close/>. It is answered when our user has
// closed as well, so that what was left to say can be said (XEP-0047 §2.3).
func (s *Stream) HandleClose(iq *stanza.Element) {
	if s.ended || s.farewell != nil {
		refuse(s.cfg.Host, iq, stanza.ItemNotFound)
		return
	}
	s.acknowledge()
	s.farewell = iq
	s.mu.Lock()
	if s.readErr == nil {
		s.readErr = io.EOF
	}
	s.readable.Broadcast()
	over := s.writeErr != nil || s.finished && s.unsent.Len() == 0 && s.unacked == 0
	s.mu.Unlock()
	if over {
		s.end()
		return
	}
	s.grace = s.cfg.Host.After(closeWithin, "in-band close overdue", func() { s.finish(ErrReset) })
}

// Fail ends the stream with an error for both directions.
func (s *Stream) Fail(err error) {
	if s.ended {
		return
	}
	s.mu.Lock()
	s.setErrors(err)
	s.mu.Unlock()
	s.shut()
}

// shut ends what the user or an error has ended already.
func (s *Stream) shut() {
	if s.ended {
		return
	}
	for _, iq := range s.drop() {
		refuse(s.cfg.Host, iq, stanza.ItemNotFound)
	}
	if s.farewell == nil && !s.saidClose {
		s.saidClose = true
		s.cfg.Host.Ask(s.iq(Close(s.cfg.SID)), func(*stanza.Element, error) {})
	}
	s.end()
}

// finish ends both directions and the stream.
func (s *Stream) finish(err error) {
	if s.ended {
		return
	}
	s.mu.Lock()
	s.setErrors(err)
	s.mu.Unlock()
	s.acknowledge()
	s.end()
}

// end ends the stream towards the other side.
func (s *Stream) end() {
	s.ended = true
	s.grace.Stop()
	s.heldTimer.Stop()
	if s.farewell != nil {
		reply(s.cfg.Host, s.farewell)
	}
	s.cfg.Ended()
}

// reply acknowledges an IQ; messages have no answer.
func reply(h Host, st *stanza.Element) {
	if st.Local() == "iq" {
		h.Send(stanza.Reply(st))
	}
}

func refuse(h Host, st *stanza.Element, c stanza.Condition) {
	if st.Local() == "iq" {
		h.Send(stanza.ReplyError(st, stanza.NewError(c, "")))
	}
}
