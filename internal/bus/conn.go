package bus

import (
	"bufio"
	"bytes"
	"errors"
	"flag"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/rawconn"
	"telepathy-olpc/internal/tp"
)

const (
	handshakeTime = 30 * time.Second // authentication and Hello; an XO under load takes seconds
	closeTime     = 2 * time.Second  // for what is still queued
	keepBuffer    = 64 << 10         // bytes that a burst may leave allocated
)

var errClosed = errors.New("bus connection is closed")

// Conn is a connection to a message bus. Make it with [Dial].
type Conn struct {
	socket *net.UnixConn
	fast   *rawconn.Conn // of socket
	log    *logrus.Entry
	strict bool   // a defect panics
	name   string // unique
	done   chan struct{}
	ended  sync.WaitGroup // reader and writer

	pending atomic.Int64 // bytes of calls that were posted and did not run yet

	out     outbox
	leavers leavers

	mu      sync.RWMutex // guards what follows; never held while calling out
	loops   map[dbus.ObjectPath]*loop.Loop
	objects map[dbus.ObjectPath]*Object
	paths   []dbus.ObjectPath // of objects, sorted
	signals func(Signal)      // nil: nobody watches
}

// outbox is the queue of encoded messages.
type outbox struct {
	mu      sync.Mutex
	filled  sync.Cond // buf or closed changed
	buf     []byte
	serial  uint32 // of the last message
	waiting map[uint32]question
	held    int      // loops that are going to send more; it goes out when they are done
	writing bool     // buf was taken and is being written
	spare   []byte   // for Release
	after   []func() // of AfterOutput
	closed  bool     // nothing is taken any more
	lost    bool     // nothing is written any more
}

// question is a call of ours without an answer.
type question struct {
	reply  func(body []any, err error)
	driver bool // the bus itself was asked, and nobody else may answer
}

// Dial connects to the bus at address, or to the session bus if that is empty.
// It blocks; the answer comes after the bus has given us our unique name.
func Dial(address string, log *logrus.Entry) (*Conn, error) {
	if address == "" {
		var err error
		if address, err = sessionAddress(); err != nil {
			return nil, fmt.Errorf("find session bus: %w", err)
		}
	}
	socket, err := dialAddress(address)
	if err != nil {
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	c := &Conn{
		socket:  socket,
		log:     log,
		strict:  flag.Lookup("test.v") != nil, // package testing itself would be linked in
		done:    make(chan struct{}),
		loops:   map[dbus.ObjectPath]*loop.Loop{},
		objects: map[dbus.ObjectPath]*Object{},
	}
	if c.fast, err = rawconn.New(socket); err != nil {
		return nil, err
	}
	c.out.filled.L = &c.out.mu
	c.out.waiting = map[uint32]question{}
	if err := c.start(); err != nil {
		return nil, fmt.Errorf("connect to bus: %w", err)
	}
	return c, nil
}

// start authenticates and gets the unique name.
func (c *Conn) start() error {
	if err := c.socket.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	r := bufio.NewReader(c.fast)
	if err := authenticate(c.socket, r); err != nil {
		return errors.Join(fmt.Errorf("authenticate: %w", err), c.socket.Close())
	}
	c.ended.Add(2)
	go c.read(r)
	go c.write()
	reply, err := c.ask("Hello", "")
	if err != nil {
		c.Close()
		return err
	}
	if err := dbus.Store(reply, &c.name); err != nil {
		c.Close()
		return fmt.Errorf("answer to Hello: %w", err)
	}
	return c.socket.SetDeadline(time.Time{})
}

// UniqueName is the name that the bus gave us.
func (c *Conn) UniqueName() string { return c.name }

// Done is closed when the connection is gone, by [Conn.Close] or because the
// bus has ended it.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Close sends what is queued and ends the connection; it blocks for two
// seconds at most. The bus sees our end only after the last message, so that
// nothing is lost. It may be called twice.
func (c *Conn) Close() {
	c.out.mu.Lock()
	c.out.closed = true
	c.out.filled.Signal()
	c.out.mu.Unlock()
	// An error means that the socket is closed already.
	_ = c.socket.SetDeadline(time.Now().Add(closeTime))
	c.ended.Wait()
}

// read runs on the reader's goroutine until the connection is gone.
func (c *Conn) read(r *bufio.Reader) {
	defer c.ended.Done()
	var buf bytes.Buffer
	for {
		m, body, err := readMessage(r, &buf)
		switch {
		case err == nil:
			c.receive(&m, body)
		case errors.Is(err, errHeader):
			c.log.WithField("sender", m.sender).Debug("Message with malformed header dropped")
		case err == errTooLong: // not wrapped: that is beyond what could be passed over
			c.refuse(&m, tp.ErrorDBusLimitsExceeded, "message is too long")
		default:
			c.lose(err)
			return
		}
		if buf.Cap() > keepBuffer {
			buf = bytes.Buffer{}
		}
	}
}

// receive handles a message on the reader's goroutine. Of signals the service gets
// those about its own names, unasked, and for a time those of [Conn.WhenGone].
func (c *Conn) receive(m *message, body []byte) {
	switch m.kind {
	case dbus.TypeMethodCall:
		args, err := decodeBody(m, body)
		if err != nil {
			c.refuse(m, tp.ErrorDBusInvalidArgs, err.Error())
			return
		}
		c.route(newCall(c, m, args))
	case dbus.TypeMethodReply, dbus.TypeError:
		reply := c.out.answered(m)
		if reply == nil {
			return
		}
		args, err := decodeBody(m, body)
		if err == nil && m.kind == dbus.TypeError {
			err = &tp.Error{Name: tp.ErrorName(m.errorName), Message: firstString(args)}
		}
		reply(args, err)
	case dbus.TypeSignal:
		c.handleSignal(m, body)
	}
}

// answered takes out who waits for an answer; nil if it is not for anybody.
func (o *outbox) answered(m *message) func(body []any, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.waiting[m.replySerial]
	if q.driver && m.sender != driverName {
		return nil
	}
	delete(o.waiting, m.replySerial)
	return q.reply
}

// firstString is an error's message, D-Bus specification, "Errors".
func firstString(body []any) string {
	if len(body) == 0 {
		return ""
	}
	s, _ := body[0].(string)
	return s
}

// refuse answers a call that does not get as far as a loop.
func (c *Conn) refuse(m *message, name tp.ErrorName, text string) {
	if m.kind == dbus.TypeMethodCall {
		newCall(c, m, nil).fail(name, text)
	}
}

// lose ends the connection after the socket failed, and tells everybody.
func (c *Conn) lose(err error) {
	c.out.mu.Lock()
	first := !c.out.lost
	expected := c.out.closed
	waiting := c.out.waiting
	c.out.closed, c.out.lost = true, true
	c.out.waiting, c.out.buf = nil, nil
	c.out.filled.Signal()
	c.out.mu.Unlock()
	if !first {
		return
	}
	if !expected {
		c.log.WithError(err).Info("Bus connection lost")
	}
	_ = c.socket.Close() // nothing is left to be told
	for _, q := range waiting {
		q.reply(nil, errClosed)
	}
	close(c.done)
}

// write runs on the writer's goroutine. Messages that queued up while one was
// written go out together.
func (c *Conn) write() {
	defer c.ended.Done()
	var spare []byte
	for {
		buf := c.out.take(spare)
		if len(buf) == 0 {
			break
		}
		if _, err := c.fast.Write(buf); err != nil {
			c.lose(err)
			return
		}
		if spare = buf; cap(spare) > keepBuffer {
			spare = nil
		}
	}
	_ = c.socket.CloseWrite() // an error: it is closed already
}

// take waits for messages and swaps the queue for spare; empty means the end.
func (o *outbox) take(spare []byte) []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.writing = false
	o.relieve()
	for o.writing || len(o.buf) == 0 && !o.closed {
		o.filled.Wait()
		o.relieve()
	}
	buf := o.buf
	o.buf = spare[:0]
	o.writing = true
	return buf
}

// Hold says that a loop begins to handle events. What is sent from now on goes out
// with [Conn.Release], in one piece and, as long as the bus takes it, without
// waking the writer: that costs a client's call and a message in a room a third of
// their time.
func (c *Conn) Hold() {
	c.out.mu.Lock()
	c.out.held++
	c.out.mu.Unlock()
}

// Release undoes [Conn.Hold].
func (c *Conn) Release() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.held--
	defer o.relieve()
	if o.writing || len(o.buf) == 0 || o.closed {
		return
	}
	o.writing = true
	buf := o.buf
	o.buf, o.spare = o.spare[:0], nil
	o.mu.Unlock()
	n := c.fast.TryWrite(buf)
	o.mu.Lock()
	o.writing = false
	if n < len(buf) {
		o.buf = append(buf[n:], o.buf...)
	} else if cap(buf) <= keepBuffer {
		o.spare = buf
	}
	if len(o.buf) > 0 || o.closed {
		o.filled.Signal()
	}
}

// AfterOutput has f called, on any goroutine, once the bus has taken nearly all that
// was sent: whoever has megabytes to say makes them piece by piece. Without a bus it
// is not called.
func (c *Conn) AfterOutput(f func()) {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.out.after = append(c.out.after, f)
	if c.out.held == 0 {
		c.out.filled.Signal()
	}
}

// relieve is called with mu held, which it gives up meanwhile.
func (o *outbox) relieve() {
	if o.writing || o.lost || len(o.buf) > keepBuffer || len(o.after) == 0 {
		return
	}
	after := o.after
	o.after = nil
	o.mu.Unlock()
	for _, f := range after {
		f()
	}
	o.mu.Lock()
}

// send queues a message. It is encoded here and now, with which text is refused
// that is no UTF-8 or has a NUL: libdbus would end the connection of whoever
// sends such a thing. Reply, if not nil, is called once, also after an error;
// if all is well on the reader's goroutine.
func (c *Conn) send(m *outgoing, reply func(body []any, err error)) error {
	err := c.out.put(m, reply)
	if err != nil && reply != nil {
		reply(nil, err)
	}
	return err
}

func (o *outbox) put(m *outgoing, reply func(body []any, err error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return errClosed
	}
	o.serial++
	if o.serial == 0 {
		o.serial++ // no message has serial 0
	}
	before := len(o.buf)
	buf, err := m.appendTo(o.buf, o.serial)
	if err != nil {
		o.buf = buf[:before]
		return err
	}
	o.buf = buf
	if reply != nil {
		o.waiting[o.serial] = question{reply, m.dest == driverName}
	}
	if o.held == 0 || len(o.buf) > keepBuffer {
		o.filled.Signal()
	}
	return nil
}

// defect reports a mistake of ours: a panic in tests, an error in the log otherwise.
func (c *Conn) defect(err error, what, member string) {
	if c.strict {
		panic(fmt.Sprintf("%s: %s: %v", what, member, err))
	}
	c.log.WithError(err).WithField("member", member).Error(what)
}
