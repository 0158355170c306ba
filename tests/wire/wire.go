// Package wire is a TCP proxy that can do to a link what school networks do:
// let it fall silent without a word, stall one way, break it, slow it down, and
// heal.
//
// Its methods may be called from any goroutine and take effect for what is
// read after they return.
package wire

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy forwards TCP connections to one address.
type Proxy struct {
	Port int

	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex
	links  map[*link]bool
	closed bool
	dark   bool
	delay  time.Duration
	change chan struct{} // closed and replaced when the state changes
}

// link is one connection through the proxy.
type link struct {
	client, server *net.TCPConn
	ended          chan struct{}
	end            sync.Once
}

// Start begins to forward to target, "host:port", from a port of its own on
// loopback. The test's end stops it.
func Start(t testing.TB, target string) *Proxy {
	t.Helper()
	return StartOn(t, "127.0.0.1", target)
}

// StartOn is Start on another address of this machine.
func StartOn(t testing.TB, host, target string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		Port: l.Addr().(*net.TCPAddr).Port, target: target, listener: l,
		links: make(map[*link]bool), change: make(chan struct{}),
	}
	p.running.Go(p.accept)
	t.Cleanup(p.stop)
	return p
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.forward(client.(*net.TCPConn)) })
	}
}

// forward connects to the target and copies both ways until one side ends.
func (p *Proxy) forward(client *net.TCPConn) {
	server, err := net.Dial("tcp", p.target)
	if err != nil {
		client.SetLinger(0)
		client.Close()
		return
	}
	l := &link{client: client, server: server.(*net.TCPConn), ended: make(chan struct{})}
	if !p.keep(l) {
		l.close()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, l.server, l.client) })
	both.Go(func() { p.copy(l, l.client, l.server) })
	both.Wait()
	l.close()
	p.mu.Lock()
	delete(p.links, l)
	p.mu.Unlock()
}

func (p *Proxy) keep(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links[l] = true
	}
	return !p.closed
}

// piece is what was read, and when it is due on the other side.
type piece struct {
	data []byte
	err  error
	due  time.Time
}

// underWay bounds the pieces that are on their way through a slow link.
const underWay = 1000

// copy forwards one way. The end of the source is passed on; in the dark
// nothing is, not even that.
func (p *Proxy) copy(l *link, to, from *net.TCPConn) {
	pieces := make(chan piece, underWay)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() {
		for range pieces { // the reader may wait for room
		}
	}()
	reading.Go(func() {
		defer close(pieces)
		for {
			buf := make([]byte, 32<<10)
			n, err := from.Read(buf)
			pieces <- piece{buf[:n], err, time.Now().Add(p.lag())}
			if err != nil {
				return
			}
		}
	})
	for one := range pieces {
		if !l.awaitDue(one.due) || !p.awaitLight(l) || !l.pass(to, one) {
			return
		}
	}
}

// pass writes a piece; false is the end of this way.
func (l *link) pass(to *net.TCPConn, one piece) bool {
	if len(one.data) > 0 {
		if _, err := to.Write(one.data); err != nil {
			l.close()
			return false
		}
	}
	switch one.err {
	case nil:
		return true
	case io.EOF:
		to.CloseWrite()
	default:
		l.close()
	}
	return false
}

// awaitDue waits for a time; false is the end of the link.
func (l *link) awaitDue(due time.Time) bool {
	wait := time.Until(due)
	if wait <= 0 {
		return true
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ended:
		return false
	}
}

func (p *Proxy) lag() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.delay
}

// awaitLight holds what was read back while the proxy is dark; false is the
// end of the link.
func (p *Proxy) awaitLight(l *link) bool {
	for {
		p.mu.Lock()
		dark, change := p.dark, p.change
		p.mu.Unlock()
		if !dark {
			return true
		}
		select {
		case <-change:
		case <-l.ended:
			return false
		}
	}
}

// Cut makes all links silent: both ends keep an open connection through which
// nothing comes any more. New connections are accepted and stay silent too.
func (p *Proxy) Cut() { p.set(true) }

// Heal lets everything through again, first what was held back.
func (p *Proxy) Heal() { p.set(false) }

// Delay has what is read from now on arrive so much later, either way.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

func (p *Proxy) set(dark bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dark = dark
	close(p.change)
	p.change = make(chan struct{})
}

// Break ends all links at once as a router that lost its memory does: with RST.
// New connections go on as before.
func (p *Proxy) Break() {
	for _, l := range p.current() {
		l.client.SetLinger(0)
		l.server.SetLinger(0)
		l.close()
	}
}

// Drop ends all links with what was forwarded and a FIN to both sides.
func (p *Proxy) Drop() {
	for _, l := range p.current() {
		l.close()
	}
}

func (p *Proxy) current() []*link {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []*link
	for l := range p.links {
		list = append(list, l)
	}
	return list
}

func (l *link) close() {
	l.end.Do(func() {
		close(l.ended)
		l.client.Close()
		l.server.Close()
	})
}

func (p *Proxy) stop() {
	p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Drop()
	p.running.Wait()
}
