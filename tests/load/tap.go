package load

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"io"
	"math/big"
	"net"
	"strconv"
	"sync"
	"time"

	"telepathy-olpc/tests/school"
)

// tap stands between clients and a school server's port with direct TLS. One
// that listens in ends the encryption and begins it anew, so that it sees the
// stanzas; its certificate is worth nothing. The other sees bytes.
type tap struct {
	port     uint16
	listener net.Listener
	server   string
	inside   *tls.Config // towards clients; nil when it does not listen in
	outside  *tls.Config // towards the server

	running sync.WaitGroup
	mu      sync.Mutex
	links   map[net.Conn]bool
	counts  Traffic
}

// Traffic is what went over one or many links. Bytes are of XML where stanzas
// were counted, and of TLS otherwise.
type Traffic struct{ In, Out Flow }

// Flow is one way of a [Traffic], as the client sees it.
type Flow struct {
	Bytes                   int64
	Messages, Presences, IQ int
}

// Stanzas is the number of all three kinds.
func (f Flow) Stanzas() int { return f.Messages + f.Presences + f.IQ }

// since is what came after an earlier time.
func (t Traffic) since(earlier Traffic) Traffic {
	return Traffic{t.In.since(earlier.In), t.Out.since(earlier.Out)}
}

func (f Flow) since(earlier Flow) Flow {
	return Flow{f.Bytes - earlier.Bytes, f.Messages - earlier.Messages, f.Presences - earlier.Presences, f.IQ - earlier.IQ}
}

func newTap(s *school.Server, listensIn bool) (*tap, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	t := &tap{
		port: uint16(l.Addr().(*net.TCPAddr).Port), listener: l, links: make(map[net.Conn]bool),
		server: net.JoinHostPort(s.Host, strconv.Itoa(int(s.DirectPort))),
	}
	if listensIn {
		if t.inside, err = worthless(); err != nil {
			return nil, errors.Join(err, l.Close())
		}
		t.outside = &tls.Config{RootCAs: s.CertPool, ServerName: s.Domain}
	}
	t.running.Go(t.accept)
	return t, nil
}

// worthless is a certificate that nobody has a reason to trust.
func worthless() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, nil
}

func (t *tap) accept() {
	for {
		client, err := t.listener.Accept()
		if err != nil {
			return
		}
		t.running.Go(func() { t.serve(client) })
	}
}

// serve relays one connection until one of its ends is gone.
func (t *tap) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", t.server)
	if err != nil {
		return
	}
	defer server.Close()
	if !t.keep(client, server) {
		return
	}
	defer t.forget(client, server)
	hangUp := func() {
		client.Close()
		server.Close()
	}
	near, far := client, server
	if t.inside != nil {
		near, far = tls.Server(client, t.inside), tls.Client(server, t.outside)
	}
	var both sync.WaitGroup
	both.Go(func() {
		defer hangUp()
		t.relay(far, near, &t.counts.Out)
	})
	both.Go(func() {
		defer hangUp()
		t.relay(near, far, &t.counts.In)
	})
	both.Wait()
}

// relay passes on what comes until there is an end or an error, which is one too.
func (t *tap) relay(to io.Writer, from io.Reader, flow *Flow) {
	if t.inside == nil {
		_, _ = io.Copy(counted{to, func(n int) { t.add(func() { flow.Bytes += int64(n) }) }}, from)
		return
	}
	d := xml.NewDecoder(io.TeeReader(from, to))
	depth, seen := 0, int64(0)
	for {
		token, err := d.RawToken()
		if err != nil {
			return
		}
		n := d.InputOffset() - seen
		seen += n
		t.add(func() { flow.Bytes += n })
		switch token := token.(type) {
		case xml.StartElement:
			if token.Name.Local == "stream" { // also in the middle: after SASL it begins again
				depth = 0
			}
			if depth == 1 {
				t.add(func() { flow.count(token.Name.Local) })
			}
			depth++
		case xml.EndElement:
			depth--
		}
	}
}

// counted tells of the bytes that it writes.
type counted struct {
	io.Writer
	add func(n int)
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.add(n)
	return n, err
}

func (f *Flow) count(name string) {
	switch name {
	case "message":
		f.Messages++
	case "presence":
		f.Presences++
	case "iq":
		f.IQ++
	}
}

func (t *tap) add(count func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	count()
}

// traffic is what was counted so far.
func (t *tap) traffic() Traffic {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts
}

// keep notes connections for stop; false is the end.
func (t *tap) keep(conns ...net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		if t.links != nil {
			t.links[c] = true
		}
	}
	return t.links != nil
}

func (t *tap) forget(conns ...net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range conns {
		delete(t.links, c)
	}
}

// stop ends all links and returns when that is done.
func (t *tap) stop() {
	t.listener.Close()
	t.mu.Lock()
	links := t.links
	t.links = nil
	t.mu.Unlock()
	for c := range links {
		c.Close()
	}
	t.running.Wait()
}
