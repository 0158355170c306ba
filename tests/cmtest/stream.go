package cmtest

import (
	"bufio"
	"crypto/tls"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"telepathy-olpc/xmpp/stanza"
)

// Stream is one TCP connection of a client to the server.
type Stream struct {
	name   string
	server *Server
	script script
	ended  chan struct{}

	// Used by the goroutine that reads.
	in       *bufio.Reader
	decoder  *xml.Decoder
	secure   bool
	user     string // once authenticated
	exchange *scram
	current  *stanza.Element // being handled
	greeted  bool            // the stream has our header

	writing sync.Mutex

	mu       sync.Mutex
	conn     net.Conn
	jid      string // full address, once bound
	ready    bool
	managed  *session // XEP-0198
	answered map[*stanza.Element]bool
	waiting  map[string]chan struct{}
	pings    int
}

// errOver ends a stream without a remark.
var errOver = errors.New("the script ends the stream")

func newStream(s *Server, name string, conn net.Conn, sc script) *Stream {
	return &Stream{
		name: name, server: s, script: sc, conn: conn, in: bufio.NewReader(conn), ended: make(chan struct{}),
		answered: make(map[*stanza.Element]bool), waiting: make(map[string]chan struct{}),
	}
}

// run serves the connection to its end.
func (s *Stream) run() {
	defer close(s.ended)
	err := s.serve()
	s.mu.Lock()
	s.ready = false
	s.mu.Unlock()
	s.conn.Close()
	text := ""
	if err != io.EOF && err != errOver && !errors.Is(err, net.ErrClosed) {
		text = err.Error()
	}
	s.emit(KindGone, text)
}

// serve handles the stream until it ends, and gives the reason.
func (s *Stream) serve() error {
	if err := s.do(StepConnect, func() error { return nil }); err != nil {
		return err
	}
	if s.script.mode == DirectTLS {
		if err := s.do(StepHandshake, s.startTLS); err != nil {
			return err
		}
	}
	if err := s.open(); err != nil {
		return err
	}
	for {
		el, err := s.read()
		if err != nil {
			return err
		}
		s.count(el)
		if s.isPong(el) {
			continue
		}
		s.server.queue.add(&Event{Kind: KindElement, Source: s.name, Stream: s, Element: el})
		if err := s.handle(el); err != nil {
			return err
		}
	}
}

// read returns the next child of the stream. It is read with encoding/xml, not
// with the product's own parser, so that what the product writes is checked by
// somebody else.
func (s *Stream) read() (*stanza.Element, error) {
	for {
		token, err := s.decoder.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			return s.element(token)
		case xml.EndElement:
			s.emit(KindClosed, "")
			if s.script.deaf {
				return nil, Silence(s, nil)
			}
			s.write("</stream:stream>", true)
			return nil, errOver
		}
	}
}

// element reads the rest of an element.
func (s *Stream) element(start xml.StartElement) (*stanza.Element, error) {
	var parts []stanza.Part
	for _, a := range start.Attr {
		name := a.Name.Local
		switch a.Name.Space {
		case "", "xmlns":
		case "http://www.w3.org/XML/1998/namespace":
			name = "xml:" + name
		default:
			name = a.Name.Space + " " + name
		}
		if name != "xmlns" && a.Name.Space != "xmlns" {
			parts = append(parts, stanza.A(name, a.Value))
		}
	}
	for {
		token, err := s.decoder.Token()
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			child, err := s.element(token)
			if err != nil {
				return nil, err
			}
			parts = append(parts, child)
		case xml.CharData:
			parts = append(parts, stanza.Text(token))
		case xml.EndElement:
			return stanza.New(start.Name.Space, start.Name.Local, parts...), nil
		}
	}
}

// startTLS does the server's side of a handshake.
func (s *Stream) startTLS() error {
	conn := tls.Server(bufferedConn{s.conn, s.in}, s.script.tls)
	if err := conn.Handshake(); err != nil {
		return fmt.Errorf("TLS handshake: %w", err)
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	s.in = bufio.NewReader(conn)
	s.secure = true
	return nil
}

// bufferedConn is a connection of which something was read ahead.
type bufferedConn struct {
	net.Conn
	in *bufio.Reader
}

func (c bufferedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// Send writes as it is.
func (s *Stream) Send(xml string) { s.write(xml, true) }

// write sends to the client. An error shows as the end of the stream.
func (s *Stream) write(xml string, shown bool) {
	s.writing.Lock() // what is counted first is written first
	defer s.writing.Unlock()
	s.mu.Lock()
	if s.managed != nil {
		s.managed.sent(xml)
	}
	conn := s.conn
	s.mu.Unlock()
	if shown {
		s.server.queue.add(&Event{Kind: KindSent, Source: s.name, Stream: s, Text: xml})
	}
	io.WriteString(conn, xml)
}

// Cut ends the TCP connection without a word.
func (s *Stream) Cut() {
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	if t, is := conn.(*tls.Conn); is {
		conn = t.NetConn() // without TLS' close_notify
	}
	conn.Close()
}

// HangUp ends the server's half of the TCP connection behind what was sent; it
// goes on to read.
func (s *Stream) HangUp() {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	conn := s.conn
	s.mu.Unlock()
	conn.(interface{ CloseWrite() error }).CloseWrite()
}

func (s *Stream) emit(kind Kind, text string) {
	s.server.queue.add(&Event{Kind: kind, Source: s.name, Stream: s, Text: text})
}

func (s *Stream) isReady() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ready
}

// address is the client's full address.
func (s *Stream) address() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.jid
}

func (s *Stream) wasAnswered(question *stanza.Element) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.answered[question]
	s.answered[question] = true
	return was
}

// reply builds an answer to an IQ.
func (s *Stream) reply(iq *stanza.Element, kind, payload string) string {
	from := ""
	if to := iq.Attr("to"); to != "" {
		from = " from='" + escape(to) + "'"
	}
	return fmt.Sprintf("<iq type='%s' id='%s'%s to='%s'>%s</iq>", kind, escape(iq.Attr("id")), from, escape(s.address()), payload)
}
