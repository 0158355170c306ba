package bytestream

import (
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/ibb"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/si"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxPerPeer and maxStreams bound the offers and streams, in both
	// directions and in whatever state, with one address and with all: a page
	// that is read through a tube takes some six.
	maxPerPeer = 128
	maxStreams = 1024
	// maxWaiting bounds the offers of one address that nobody has answered.
	maxWaiting = 32
	// maxInBandPerPeer and maxInBand bound the streams that go through the
	// server: each may have a full buffer.
	maxInBandPerPeer = 32
	maxInBand        = 128
	// maxBlocks bounds the blocks under way of all streams together. The
	// session ends when 8 MiB wait to be sent; these are 0.9.
	maxBlocks = 80
)

// Why there is no stream.
var (
	ErrClosed   = errors.New("session over")
	ErrTooMany  = errors.New("too many streams")
	ErrNoMethod = errors.New("no way to pass the bytes")
	ErrOverdue  = errors.New("the other side took too long to open the stream")
)

// Features is what a client with this package advertises (XEP-0030).
var Features = []string{si.NS, socks5.NS, ibb.NS, si.NSMultiple}

// Host is what a Manager works with; its methods are called on the loop, Post by
// any goroutine.
type Host interface {
	Send(e *stanza.Element)
	Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error))
	Post(label string, f func()) bool
	After(d time.Duration, label string, f func()) *loop.Timer
	Self() jid.JID // our full address
	Log() *logrus.Entry
}

// Session is where stanzas come from; an [*xmpp.Session] is one.
type Session interface {
	HandleIQ(space string, handle func(iq *stanza.Element))
	HandleMessage(handle func(message *stanza.Element) bool)
	AskWithin(limit time.Duration, iq *stanza.Element, answer func(reply *stanza.Element, err error))
}

// ProxySource knows relays (XEP-0065 §4). Relays calls done once, on the loop
// and maybe at once, with those that are known within a short time.
type ProxySource interface {
	Relays(done func([]socks5.StreamHost))
}

// Conn is an open stream. Read and Write wait, and so hold back the other side;
// they and the rest may be called by any goroutines. A Conn that goes through
// SOCKS5 also has the ReadFrom and WriteTo of its TCP connection, with which
// [io.Copy] from and to sockets costs no copy. Reading ends with [io.EOF] when
// the other side has said everything and closed its direction, and with an
// error when the stream was cut. Who gets a Conn closes it.
type Conn interface {
	io.Reader
	io.Writer
	// CloseWrite sends what was written, and then the end.
	CloseWrite() error
	// Close ends both directions at once, and wakes Read and Write. What the
	// other side has not read may be lost, and it gets an error unless
	// CloseWrite came before. It may be called twice.
	Close() error
}

// Manager opens streams and takes those that others open, for one session.
type Manager struct {
	host     Host
	session  Session
	relays   ProxySource
	profiles map[string]func(*Offer)
	methods  []string // that we use, in this order

	slots    map[string]int // offers and streams in use, by the peer's address
	used     int
	offers   map[key]*Offer        // of others, until they are streams
	openings map[*opening]struct{} // of ours, until they are streams
	inBand   map[key]*ibb.Stream   // open
	server   *socks5.Server        // while somebody is expected
	awaiting int                   // how many are expected
	closed   bool

	mu    sync.Mutex
	conns map[*tcpConn]struct{} // open; Close of a Conn takes it out on the loop
}

// key names a stream: ids are unique for each peer alone.
type key struct{ peer, sid string }

// New returns a Manager; nothing comes in before [Manager.Listen].
func New(h Host, proxies ProxySource) *Manager {
	return &Manager{
		host: h, relays: proxies,
		profiles: make(map[string]func(*Offer)),
		methods:  []string{socks5.NS, ibb.NS},
		slots:    make(map[string]int),
		offers:   make(map[key]*Offer),
		openings: make(map[*opening]struct{}),
		inBand:   make(map[key]*ibb.Stream),
		conns:    make(map[*tcpConn]struct{}),
	}
}

// Listen registers for all stanzas of streams. It is called once, before any
// other method but Serve and SetMethods.
func (m *Manager) Listen(s Session) {
	m.session = s
	s.HandleIQ(si.NS, m.handleOffer)
	s.HandleIQ(socks5.NS, m.handleSOCKS5)
	s.HandleIQ(ibb.NS, m.handleIBB)
	s.HandleMessage(m.handleMessage)
}

// Serve says who gets the offers of a profile; those of other profiles are
// refused.
func (m *Manager) Serve(profile string, offered func(*Offer)) { m.profiles[profile] = offered }

// SetMethods keeps to these methods, the namespaces of SOCKS5 and IBB, in this
// order, for what is offered and accepted from now on.
func (m *Manager) SetMethods(methods ...string) { m.methods = methods }

// Close ends everything: openings and accepted offers fail with [ErrClosed], and
// so does who reads or writes.
func (m *Manager) Close() {
	if m.closed {
		return
	}
	m.closed = true
	for o := range m.openings {
		o.fail(ErrClosed)
	}
	for _, o := range m.offers {
		o.fail(ErrClosed)
	}
	for _, s := range m.inBand {
		s.Fail(ErrClosed)
	}
	m.mu.Lock()
	conns := m.conns
	m.conns = nil
	m.mu.Unlock()
	for c := range conns {
		c.cut()
	}
}

// peerName is the key of an address: servers prepare bare addresses differently,
// so their case does not count.
func peerName(j jid.JID) string {
	return strings.ToLower(j.Bare().String()) + "/" + j.Resource()
}

// sender reads who sent a stanza; without an address that is our own account.
func (m *Manager) sender(st *stanza.Element) jid.JID {
	from, err := jid.ParseLenient(st.Attr("from"))
	if err != nil {
		return m.host.Self().Bare()
	}
	return from
}

// slot is one place among the streams, from the offer to the end of the stream.
type slot struct {
	m    *Manager
	peer string
}

// takeSlot is nil when there are too many.
func (m *Manager) takeSlot(peer string) *slot {
	if m.used == maxStreams || m.slots[peer] == maxPerPeer {
		return nil
	}
	m.used++
	m.slots[peer]++
	return &slot{m, peer}
}

// free gives the place back; twice does nothing.
func (s *slot) free() {
	if s.m == nil {
		return
	}
	s.m.used--
	if s.m.slots[s.peer]--; s.m.slots[s.peer] == 0 {
		delete(s.m.slots, s.peer)
	}
	s.m = nil
}

// newID is the id of a stream, which nobody can guess: with it, and the two
// addresses, one gets in at the [socks5.Server].
func newID() string { return rand.Text() }

// refuse answers an IQ with an error.
func (m *Manager) refuse(iq *stanza.Element, c stanza.Condition) {
	m.host.Send(stanza.ReplyError(iq, stanza.NewError(c, "")))
}

// set builds an IQ that asks for something.
func set(to jid.JID, payload *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("to", to.String()), payload)
}
