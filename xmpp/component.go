package xmpp

import (
	"cmp"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// ComponentConfig says which component to be, and where. The stream of a
// component is not encrypted: it is for loopback, or for a tunnel.
type ComponentConfig struct {
	Address jid.JID // the component's, a domain
	Server  string  // host to connect to
	Port    uint16
	Secret  Secret

	Keepalive    time.Duration // as in [Config]
	DeadAfter    time.Duration
	LoginTimeout time.Duration
	MinBackoff   time.Duration // before the first new attempt; 0 is the default
	MaxBackoff   time.Duration // up to which the time is doubled

	Limits stanza.Limits
	Log    *logrus.Entry // nil logs nothing
}

// Defaults of [ComponentConfig].
const (
	defaultMinBackoff = time.Second
	defaultMaxBackoff = time.Minute
)

// maxComponentOutput is maxOutput for a component, which talks to everybody.
const maxComponentOutput = 32 << 20

// ComponentEvents tells what happens to a component; all run on the loop.
type ComponentEvents struct {
	// Ready runs when the server has taken the component in, each time anew.
	Ready func()
	// Lost runs after Ready, when the stream has ended, and for each attempt
	// that failed. Another one follows by itself. Questions have been answered
	// with [ErrLost].
	Lost func(err error)
}

// Component is an external component of a server, XEP-0114. Unlike a [Session]
// it never ends by itself: it connects again until it is closed, and what was
// said meanwhile is lost. Its methods are for the loop.
type Component struct {
	exchange
	cfg Config // what a component has in common with a session
	own ComponentConfig
	ev  ComponentEvents

	phase   phase
	link    *link
	cancel  context.CancelFunc
	backoff time.Duration
	scratch []byte
	done    []func()

	retryTimer *loop.Timer
	watchTimer *loop.Timer
	closeTimer *loop.Timer
}

// NewComponent makes a component; nothing happens before [Component.Connect].
func NewComponent(cfg ComponentConfig, l *loop.Loop, ev ComponentEvents) *Component {
	cfg.MinBackoff = cmp.Or(cfg.MinBackoff, defaultMinBackoff)
	cfg.MaxBackoff = max(cmp.Or(cfg.MaxBackoff, defaultMaxBackoff), cfg.MinBackoff)
	c := &Component{exchange: newExchange(l), own: cfg, ev: ev, backoff: cfg.MinBackoff}
	c.cfg = Config{
		Account: cfg.Address, Keepalive: cfg.Keepalive, DeadAfter: cfg.DeadAfter, LoginTimeout: cfg.LoginTimeout,
		Limits: cfg.Limits, Log: cfg.Log,
	}.withDefaults()
	c.send, c.isOpen, c.mayAnswer = c.Send, c.IsOnline, sameAddress
	c.HandleIQ(NSPing, func(iq *stanza.Element) { c.Send(stanza.Reply(iq)) })
	return c
}

// Self returns the component's address.
func (c *Component) Self() jid.JID { return c.own.Address }

// IsOnline tells whether there is a stream.
func (c *Component) IsOnline() bool { return c.phase == online }

// Waiting tells how many bytes the network has not taken yet. Who has much to
// say says it bit by bit.
func (c *Component) Waiting() int {
	if c.link == nil {
		return 0
	}
	return c.link.out.waiting()
}

// Connect begins. It may be called once.
func (c *Component) Connect() {
	if c.phase == idle {
		c.connect()
	}
}

// Send sends a stanza, from the component's address if it names no other.
// Without a stream it is dropped.
func (c *Component) Send(e *stanza.Element) {
	if c.phase != online {
		return
	}
	if e.Attr("from") == "" {
		e = e.With(stanza.A("from", c.own.Address.String()))
	}
	c.link.trace.sent(e)
	// In the stream, its namespace is the one that is not written.
	c.scratch = e.AppendXML(c.scratch[:0], stanza.NSClient)
	c.link.write(c.scratch)
	if cap(c.scratch) > keepBuffer {
		c.scratch = nil
	}
}

// Close ends the stream, and runs done when the connection and its goroutines
// are gone. It may be called in any state, and more than once.
func (c *Component) Close(done func()) {
	if c.phase == over {
		done()
		return
	}
	c.done = append(c.done, done)
	was := c.phase
	c.phase = closing
	c.retryTimer.Stop()
	c.watchTimer.Stop()
	switch {
	case was == closing:
	case c.link != nil:
		l := c.link
		l.out.finish([]byte(closeTag), false)
		c.closeTimer = c.loop.After(goodbyeTimeout, "goodbye overdue", func() { l.cut(ErrStreamClosed) })
	case c.cancel != nil:
		c.cancel()
	default:
		c.finish()
	}
}

func (c *Component) finish() {
	c.phase = over
	c.closeTimer.Stop()
	c.abandonQuestions()
	for _, done := range c.done {
		done()
	}
}

// connect starts the goroutine of one connection.
func (c *Component) connect() {
	c.phase = connecting
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.LoginTimeout)
	c.cancel = cancel
	go c.connection(ctx)
}

// connection is that goroutine: it connects, and reads.
func (c *Component) connection(ctx context.Context) {
	w, err := c.handshake(ctx)
	if err != nil {
		c.loop.Post("component not connected", func() { c.failed(err) })
		return
	}
	l := newLink(w, c.cfg.DeadAfter)
	l.out.limit = maxComponentOutput
	go l.out.run(l.wire)
	if !c.loop.Post("component connected", func() { c.ready(l) }) {
		l.abandon()
	}
	err = l.read(func(e *stanza.Element, cost int) bool {
		return c.loop.Post(label(e), func() {
			defer l.room.give(cost)
			c.received(l, e)
		})
	})
	c.loop.Post("component's link down", func() { c.linkDown(l, err) })
}

// handshake opens the stream, XEP-0114 §3.
func (c *Component) handshake(ctx context.Context) (*wire, error) {
	address := net.JoinHostPort(c.own.Server, strconv.Itoa(int(c.own.Port)))
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, &DialError{address, err}
	}
	w := newWire(conn, c.cfg)
	stop := context.AfterFunc(ctx, w.cut)
	err = w.shakeHands(c.own.Address.String(), c.own.Secret)
	if !stop() {
		w.cut()
		return nil, contextError(ctx, "connect component")
	}
	if err != nil {
		w.sayWhy(err)
		w.cut()
		return nil, err
	}
	return w, nil
}

func (w *wire) shakeHands(address string, secret Secret) error {
	header := stanza.New("", "stream:stream", stanza.A("xmlns", stanza.NSComponent), stanza.A("xmlns:stream", stanza.NSStream), stanza.A("to", address))
	if _, err := w.Conn.Write(header.AppendOpen(nil, "")); err != nil {
		return readError(err)
	}
	answer, err := w.in.Open()
	if err != nil {
		return readError(err)
	}
	w.trace.received(answer)
	if !answer.Is(stanza.NSStream, "stream") {
		return fmt.Errorf("%w: no stream of a component", ErrNotXMPP)
	}
	sum := sha1.Sum([]byte(answer.Attr("id") + secret.Reveal()))
	if _, err := io.WriteString(w.Conn, "<handshake>"+hex.EncodeToString(sum[:])+"</handshake>"); err != nil {
		return readError(err)
	}
	reply, err := w.next()
	if err != nil {
		return err
	}
	if !reply.Is(stanza.NSClient, "handshake") {
		return unexpected(reply)
	}
	return nil
}

func (c *Component) ready(l *link) {
	c.endAttempt()
	c.link = l
	if c.phase == closing {
		l.cut(ErrStreamClosed)
		return
	}
	c.phase, c.backoff = online, c.own.MinBackoff
	if c.cfg.Keepalive > 0 {
		c.watch()
	}
	c.ev.Ready()
}

// endAttempt frees what an attempt takes.
func (c *Component) endAttempt() {
	c.cancel()
	c.cancel = nil
}

func (c *Component) failed(err error) {
	c.endAttempt()
	c.retry(err)
}

// linkDown runs when both goroutines of a link have ended.
func (c *Component) linkDown(l *link, err error) {
	c.link = nil
	c.watchTimer.Stop()
	if l.cause != nil {
		err = l.cause
	}
	c.retry(err)
}

// retry tries again after a while, which grows and is never the same for all
// components of a server that has restarted.
func (c *Component) retry(err error) {
	if c.phase == closing {
		c.finish()
		return
	}
	c.phase = resuming
	c.abandonQuestions()
	wait := c.backoff/2 + rand.N(c.backoff/2+1)
	c.backoff = min(2*c.backoff, c.own.MaxBackoff)
	c.retryTimer = c.loop.After(wait, "component connects again", c.connect)
	c.ev.Lost(err)
}

// received handles one element of the stream.
func (c *Component) received(l *link, e *stanza.Element) {
	if c.phase != online || c.link != l {
		return
	}
	l.trace.received(e)
	switch {
	case e.Is(stanza.NSStream, "error"):
		l.end(parseStreamError(e), closeTag)
	case e.Space() != stanza.NSClient:
	case sameAddress(e.Attr("to"), c.own.Address.String()):
		c.dispatch(e)
	case e.Local() == "iq" && (e.Attr("type") == "get" || e.Attr("type") == "set"):
		// A component is asked for all addresses of its domain and has one.
		c.Send(stanza.ReplyError(e, stanza.NewError(stanza.ItemNotFound, "")).With(stanza.A("from", e.Attr("to"))))
	}
}

// watch is [Session.watch]. The sign of life is a question to ourselves, which
// goes by way of the server: it knows nobody else whom the server must have.
func (c *Component) watch() {
	next := c.link.watch(c.cfg.Keepalive, c.cfg.DeadAfter, func() {
		to := stanza.A("to", c.own.Address.String())
		c.Ask(stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), to, stanza.New(NSPing, "ping")), func(*stanza.Element, error) {})
	})
	if next > 0 {
		c.watchTimer = c.loop.After(next, "component's keepalive", c.watch)
	}
}
