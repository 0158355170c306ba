package bytestream

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// usedWithin is how long the target may take to connect, in all.
	usedWithin = 30 * time.Second
	// reachWithin is what we take as a target, so that the answer is in time.
	reachWithin = 25 * time.Second
)

// tcpConn is a stream over a TCP connection of its own. The Manager knows of it
// until it is closed.
type tcpConn struct {
	*net.TCPConn
	once     sync.Once
	finished atomic.Bool // CloseWrite was called
	m        *Manager
	slot     *slot
}

// newTCPConn makes a connection a stream.
func (m *Manager) newTCPConn(conn *net.TCPConn, s *slot) *tcpConn {
	c := &tcpConn{TCPConn: conn, m: m, slot: s}
	m.mu.Lock()
	m.conns[c] = struct{}{}
	m.mu.Unlock()
	return c
}

// CloseWrite ends our direction.
func (c *tcpConn) CloseWrite() error {
	c.finished.Store(true)
	return c.TCPConn.CloseWrite()
}

// Close ends both directions. Without CloseWrite before, the other side gets an
// error, as something is missing.
func (c *tcpConn) Close() error {
	err := c.cut()
	c.once.Do(func() {
		c.m.mu.Lock()
		delete(c.m.conns, c)
		c.m.mu.Unlock()
		c.m.host.Post("bytestream closed", c.slot.free)
	})
	return err
}

// cut closes the connection.
func (c *tcpConn) cut() error {
	if !c.finished.Load() {
		c.SetLinger(0)
	}
	return c.TCPConn.Close()
}

// listen has somebody expected at our server, which lives while anybody is.
func (m *Manager) listen(hash string) (*socks5.Server, error) {
	if m.server == nil {
		server, err := socks5.Listen()
		if err != nil {
			return nil, err
		}
		m.server = server
	}
	m.awaiting++
	m.server.Expect(hash)
	return m.server, nil
}

// unlisten ends what listen began, with the connection if somebody came.
func (m *Manager) unlisten(hash string) *net.TCPConn {
	conn := m.server.Take(hash)
	if m.awaiting--; m.awaiting == 0 {
		m.server.Close()
		m.server = nil
	}
	return conn
}

// direct is the attempt of an opening to go over TCP.
type direct struct {
	o      *opening
	hash   string
	relays []socks5.StreamHost
	ended  bool
	cancel context.CancelFunc // of the goroutine that connects to a relay
}

// tryDirect begins with SOCKS5: relays are asked for, then the other side is
// told where to connect.
func (o *opening) tryDirect() {
	d := &direct{o: o, hash: socks5.Hash(o.sid, o.self, o.p.To), cancel: func() {}}
	o.stop = d.stop
	if o.p.InRoom || o.m.relays == nil {
		d.offer(nil)
		return
	}
	o.m.relays.Relays(func(relays []socks5.StreamHost) {
		if !d.ended {
			d.offer(relays)
		}
	})
}

// stop ends the attempt.
func (d *direct) stop() {
	if d.ended {
		return
	}
	d.ended = true
	d.cancel()
}

// offer asks the other side to connect to us, or to a relay.
func (d *direct) offer(relays []socks5.StreamHost) {
	o, m := d.o, d.o.m
	server, err := m.listen(d.hash)
	if err != nil {
		d.failed(err)
		return
	}
	d.relays = relays
	q := socks5.Query{SID: o.sid}
	for _, h := range socks5.LocalAddresses() {
		q.Hosts = append(q.Hosts, socks5.StreamHost{JID: o.self, Host: h, Port: server.Port()})
	}
	q.Hosts = append(q.Hosts, relays...)
	asked := false // and answered or stopped
	taken := func() *net.TCPConn {
		if asked {
			return nil
		}
		asked = true
		return m.unlisten(d.hash)
	}
	o.stop = func() {
		d.stop()
		if conn := taken(); conn != nil {
			conn.Close()
		}
	}
	m.session.AskWithin(usedWithin, set(o.p.To, q.Element()), func(reply *stanza.Element, err error) {
		if conn := taken(); !d.ended {
			d.answered(conn, reply, err)
		}
	})
}

// answered goes on with the other side's choice; conn is who came to our own
// server, if anybody did.
func (d *direct) answered(conn *net.TCPConn, reply *stanza.Element, err error) {
	var used jid.JID
	if err == nil {
		used, err = socks5.ParseUsed(reply.First())
	}
	own := err == nil && peerName(used) == peerName(d.o.self)
	if conn != nil && own {
		d.ended = true
		d.o.done(d.o.m.newTCPConn(conn, d.o.slot))
		return
	}
	if conn != nil {
		conn.Close()
	}
	for _, r := range d.relays {
		if err == nil && peerName(r.JID) == peerName(used) {
			d.relay(r)
			return
		}
	}
	if err == nil {
		err = socks5.ErrNoHost
	}
	d.failed(err)
}

// relay connects to the relay that the other side has chosen, and has it pass on
// bytes.
func (d *direct) relay(r socks5.StreamHost) {
	d.o.m.reach([]socks5.StreamHost{r}, d.hash, d, func(conn *net.TCPConn, _ socks5.StreamHost, err error) {
		if err != nil {
			d.failed(err)
			return
		}
		d.o.stop = func() { d.stop(); conn.Close() }
		d.o.m.host.Ask(set(r.JID, socks5.Activate(d.o.sid, d.o.p.To)), func(_ *stanza.Element, err error) {
			switch {
			case d.ended:
			case err != nil:
				conn.Close()
				d.failed(err)
			default:
				d.ended = true
				d.o.stop = func() {}
				d.o.done(d.o.m.newTCPConn(conn, d.o.slot))
			}
		})
	})
}

// failed goes on with the next method.
func (d *direct) failed(err error) {
	if !d.ended {
		d.ended = true
		d.o.next(err)
	}
}

// reaching is an attempt to connect that can be stopped.
type reaching interface {
	begin(cancel context.CancelFunc) (over func() bool)
}

func (d *direct) begin(cancel context.CancelFunc) func() bool {
	d.cancel = cancel
	return func() bool { return d.ended }
}

// reach connects to one of the hosts in a goroutine. When the attempt is over
// before, reached does not run.
func (m *Manager) reach(hosts []socks5.StreamHost, hash string, a reaching, reached func(*net.TCPConn, socks5.StreamHost, error)) {
	ctx, cancel := context.WithTimeout(context.Background(), reachWithin)
	over := a.begin(cancel)
	go func() {
		conn, host, err := socks5.Dial(ctx, hosts, hash, socks5.Alone)
		posted := m.host.Post("streamhost reached", func() {
			cancel()
			switch {
			case !over():
				reached(conn, host, err)
			case conn != nil:
				conn.Close()
			}
		})
		if !posted {
			cancel()
			if conn != nil {
				conn.Close()
			}
		}
	}()
}
