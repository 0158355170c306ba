// Package wire is a TCP proxy that can do to a link what school networks do:
// let it fall silent without a word, stall one way, break it, and heal.
//
// Its methods may be called from any goroutine and take effect for what is
// read after they return.
package wire

import (
	"io"
	"net"
	"sync"
	"testing"
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
	l, err := net.Listen("tcp", "127.0.0.1:0")
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

// copy forwards one way. The end of the source is passed on; in the dark
// nothing is, not even that.
func (p *Proxy) copy(l *link, to, from *net.TCPConn) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.awaitLight(l) {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				l.close()
				return
			}
		}
		if err == io.EOF {
			to.CloseWrite()
			return
		}
		if err != nil {
			l.close()
			return
		}
	}
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
