package cmtest

import (
	"fmt"
	"strconv"
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// nsManagement is XEP-0198.
const nsManagement = "urn:xmpp:sm:3"

// session is what outlives a stream under XEP-0198. Its owner's mutex guards it.
type session struct {
	id, jid  string
	received uint32
	acked    uint32
	unacked  []string
}

// sent keeps a stanza until the client has acknowledged it.
func (m *session) sent(xml string) {
	for _, name := range []string{"<iq", "<presence", "<message"} {
		if strings.HasPrefix(xml, name) {
			m.unacked = append(m.unacked, xml)
			return
		}
	}
}

func (m *session) acknowledge(h uint32) {
	n := min(int(h-m.acked), len(m.unacked))
	m.unacked, m.acked = m.unacked[n:], h
}

// count counts a stanza received.
func (s *Stream) count(el *stanza.Element) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.managed != nil && el.Space() == nsClient {
		s.managed.received++
	}
}

// handleManagement does the server's side of XEP-0198.
func (s *Stream) handleManagement(el *stanza.Element) error {
	switch el.Local() {
	case "enable":
		s.enable()
	case "r":
		s.mu.Lock()
		h := s.managed.received
		s.mu.Unlock()
		s.Send(fmt.Sprintf("<a xmlns='%s' h='%d'/>", nsManagement, h))
	case "a":
		h, _ := strconv.ParseUint(el.Attr("h"), 10, 32)
		s.mu.Lock()
		s.managed.acknowledge(uint32(h))
		s.mu.Unlock()
	case "resume":
		s.resume(el)
	}
	return nil
}

func (s *Stream) enable() {
	m := &session{jid: s.address()}
	srv := s.server
	srv.mu.Lock()
	m.id = fmt.Sprintf("session-%d", len(srv.sessions)+1)
	srv.sessions[m.id] = m
	srv.mu.Unlock()
	s.Send(fmt.Sprintf("<enabled xmlns='%s' id='%s' resume='true' max='300'/>", nsManagement, m.id))
	s.mu.Lock()
	s.managed = m
	s.mu.Unlock()
}

// Forget drops what could be resumed.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.sessions)
}

func (s *Stream) resume(el *stanza.Element) {
	srv := s.server
	srv.mu.Lock()
	m := srv.sessions[el.Attr("previd")]
	srv.mu.Unlock()
	if m == nil {
		s.Send("<failed xmlns='" + nsManagement + "'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>")
		return
	}
	h, _ := strconv.ParseUint(el.Attr("h"), 10, 32)
	m.acknowledge(uint32(h))
	again := m.unacked
	m.unacked = nil
	s.Send(fmt.Sprintf("<resumed xmlns='%s' previd='%s' h='%d'/>", nsManagement, m.id, m.received))
	s.mu.Lock()
	s.managed, s.jid, s.ready = m, m.jid, true
	s.mu.Unlock()
	for _, stanza := range again {
		s.Send(stanza)
	}
}
