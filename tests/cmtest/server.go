package cmtest

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"telepathy-olpc/xmpp/stanza"
)

// script is what the server is like and what it does out of the ordinary.
type script struct {
	mode         Mode
	certificate  CertificateKind
	legacy       bool
	users        map[string]string
	mechanisms   []string
	iterations   int      // of SCRAM
	bindings     []string // XEP-0440
	registration bool
	registerForm string
	resource     string // "" is what the client wants
	management   bool
	versions     bool // of the roster
	deaf         bool
	actions      map[Step]Action
	rules        []answerRule
	roster       []string
	vcard        string

	tls *tls.Config
}

// Server is an XMPP server that does what the test says, and what a quiet
// school server would do where the test says nothing.
type Server struct {
	Port int

	t         testing.TB
	queue     *queue
	authority *authority
	listener  net.Listener
	running   sync.WaitGroup

	mu       sync.Mutex
	script   script
	users    map[string]string
	streams  []*Stream
	sessions map[string]*session // resumable ones, by XEP-0198 id
	secrets  []string
}

func newServer(t testing.TB, q *queue, a *authority, s script) *Server {
	t.Helper()
	srv := &Server{t: t, queue: q, authority: a, sessions: make(map[string]*session)}
	srv.setScript(s)
	srv.listen(0)
	return srv
}

// Script makes the streams from now on follow the defaults with these options.
// Accounts that were registered are forgotten.
func (s *Server) Script(opts ...Option) {
	s.t.Helper()
	o := defaults()
	for _, option := range opts {
		option(&o)
	}
	s.setScript(o.script)
}

func (s *Server) setScript(sc script) {
	s.t.Helper()
	sc.tls = s.authority.tlsConfig(s.t, &sc)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.script, s.users = sc, make(map[string]string)
	for name, password := range sc.users {
		s.users[name] = password
		s.keepSecret(password)
	}
}

func (s *Server) listen(port int) {
	s.t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	must(s.t, err)
	s.listener, s.Port = l, l.Addr().(*net.TCPAddr).Port
	s.running.Go(func() { s.accept(l) })
}

func (s *Server) accept(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		name := s.queue.nextStream()
		s.mu.Lock()
		stream := newStream(s, name, conn, s.script)
		s.streams = append(s.streams, stream)
		s.mu.Unlock()
		s.running.Go(stream.run)
	}
}

// Address is where it listens, "host:port".
func (s *Server) Address() string { return s.listener.Addr().String() }

// Down stops listening: connections are refused from now on.
func (s *Server) Down() { s.listener.Close() }

// Up listens again, on the same port.
func (s *Server) Up() {
	s.t.Helper()
	s.listen(s.Port)
}

func (s *Server) close() {
	s.listener.Close()
	s.mu.Lock()
	streams := s.streams
	s.mu.Unlock()
	for _, stream := range streams {
		stream.conn.Close()
	}
	s.running.Wait()
}

// Stream is the latest stream that has got as far as a session.
func (s *Server) Stream() *Stream {
	s.t.Helper()
	streams := s.ready()
	if len(streams) == 0 {
		s.t.Fatal("nobody is logged in on the server")
	}
	return streams[len(streams)-1]
}

// ready are the streams with a session.
func (s *Server) ready() []*Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Stream
	for _, stream := range s.streams {
		if stream.isReady() {
			list = append(list, stream)
		}
	}
	return list
}

// Send writes to the latest session: stanzas, or anything else.
func (s *Server) Send(xml string) {
	s.t.Helper()
	s.Stream().Send(xml)
}

// Answer answers a question with a result of that payload.
func (s *Server) Answer(question *Event, payload string) {
	s.t.Helper()
	s.answer(question, "result", payload)
}

// AnswerError answers a question with a stanza error: "cancel", "item-not-found".
func (s *Server) AnswerError(question *Event, kind, condition string) {
	s.t.Helper()
	s.answer(question, "error", stanzaError(kind, condition))
}

func (s *Server) answer(question *Event, kind, payload string) {
	s.t.Helper()
	stream := question.Stream
	if stream.wasAnswered(question.Element) {
		s.t.Fatalf("the server has answered already, see Unanswered: %s", question.Element)
	}
	stream.Send(stream.reply(question.Element, kind, payload))
}

func stanzaError(kind, condition string) string {
	return fmt.Sprintf("<error type='%s'><%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>", kind, condition)
}

// keepSecret notes what must not be in the log; s.mu is held. What is short could
// be anything.
func (s *Server) keepSecret(texts ...string) {
	for _, text := range texts {
		if len(text) >= 8 && !slices.Contains(s.secrets, text) {
			s.secrets = append(s.secrets, text)
		}
	}
}

// noteSecret adds to the Secrets what another server is told.
func (s *Server) noteSecret(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keepSecret(text)
}

// Secrets are the texts used so far that must stay out of every log: passwords
// and SASL payloads.
func (s *Server) Secrets() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.secrets)
}

// Ping asks the client for a sign of life and waits for it. Neither question
// nor answer is an event.
func (s *Stream) Ping(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	s.pings++
	id := fmt.Sprintf("sync-%d", s.pings)
	answered := make(chan struct{})
	s.waiting[id] = answered
	s.mu.Unlock()
	s.write(fmt.Sprintf("<iq type='get' id='%s' from='%s' to='%s'><ping xmlns='urn:xmpp:ping'/></iq>", id, Domain, s.address()), false)
	select {
	case <-answered:
	case <-s.ended:
		t.Fatalf("%s ended while it was to answer a ping", s.name)
	case <-time.After(patience):
		t.Fatalf("%s does not answer a ping", s.name)
	}
}

// isPong tells whether an element answers a [Stream.Ping].
func (s *Stream) isPong(el *stanza.Element) bool {
	if !el.Is(nsClient, "iq") || !strings.HasPrefix(el.Attr("id"), "sync-") {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	answered := s.waiting[el.Attr("id")]
	if answered == nil {
		return false
	}
	delete(s.waiting, el.Attr("id"))
	close(answered)
	return true
}
