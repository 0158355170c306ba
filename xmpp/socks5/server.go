package socks5

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"
)

// maxHandshakes bounds the connections that have not said yet what they want;
// the oldest makes room.
const maxHandshakes = 64

// pauseAfterError is waited when the system has no descriptor for another
// connection.
const pauseAfterError = 100 * time.Millisecond

// Server listens for the targets of our streams, on all addresses. Any goroutine
// may call it; nothing blocks.
type Server struct {
	listener *net.TCPListener
	done     chan struct{}

	mu       sync.Mutex
	young    []*net.TCPConn          // in the handshake, the oldest first
	expected map[string]*net.TCPConn // by hash; nil until somebody has come
	closed   bool
}

// Listen begins to listen.
func Listen() (*Server, error) {
	l, err := net.ListenTCP("tcp", &net.TCPAddr{})
	if err != nil {
		return nil, err
	}
	s := &Server{listener: l, done: make(chan struct{}), expected: make(map[string]*net.TCPConn)}
	go s.accept()
	return s, nil
}

// Port is where the server listens.
func (s *Server) Port() uint16 { return uint16(s.listener.Addr().(*net.TCPAddr).Port) }

// Expect has those admitted from now on who name the hash.
func (s *Server) Expect(hash string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expected[hash] = nil
}

// Take returns the connection that came last for the hash, nil if there is none,
// and has nobody admitted any more.
func (s *Server) Take(hash string) *net.TCPConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	conn := s.expected[hash]
	delete(s.expected, hash)
	return conn
}

// Close ends the server and all connections that were not taken.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	close(s.done)
	s.listener.Close()
	for _, c := range s.young {
		c.Close()
	}
	for _, c := range s.expected {
		if c != nil {
			c.Close()
		}
	}
	s.young, s.expected = nil, nil
}

func (s *Server) accept() {
	for {
		conn, err := s.listener.AcceptTCP()
		switch {
		case err == nil:
			if s.add(conn) {
				go s.serve(conn)
			}
		case errors.Is(err, net.ErrClosed):
			return
		default:
			select {
			case <-time.After(pauseAfterError):
			case <-s.done:
				return
			}
		}
	}
}

func (s *Server) add(conn *net.TCPConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		conn.Close()
		return false
	}
	if len(s.young) == maxHandshakes {
		s.young[0].Close()
		s.young = slices.Delete(s.young, 0, 1)
	}
	s.young = append(s.young, conn)
	return true
}

// serve is the goroutine of one connection, until it is admitted or not.
func (s *Server) serve(conn *net.TCPConn) {
	conn.SetDeadline(time.Now().Add(connectTimeout))
	hash, err := readRequest(conn)
	if err != nil || !s.admit(conn, hash) {
		if err == nil {
			conn.Write(message(notAllowed, hash))
		}
		s.remove(conn)
		conn.Close()
		return
	}
	// It is there to be taken by now: who is answered tells so over the session.
	conn.Write(message(succeeded, hash))
}

// readRequest is our end of [Handshake], up to the reply.
func readRequest(conn io.ReadWriter) (hash string, err error) {
	var head [2]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return "", err
	}
	if head[0] != version {
		return "", errNotSOCKS5
	}
	methods := make([]byte, head[1])
	if _, err := io.ReadFull(conn, methods); err != nil {
		return "", err
	}
	if !slices.Contains(methods, noAuth) {
		conn.Write([]byte{version, noMethod})
		return "", errRefused
	}
	if _, err := conn.Write([]byte{version, noAuth}); err != nil {
		return "", err
	}
	command, hash, err := readMessage(conn)
	if err == nil && command != connect {
		conn.Write(message(badCommand, hash))
		err = errRefused
	}
	return hash, err
}

// admit puts a connection where it can be taken. One that came before for the
// same stream was given up by the target.
func (s *Server) admit(conn *net.TCPConn, hash string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, wanted := s.expected[hash]
	if !wanted {
		return false
	}
	if old != nil {
		old.Close()
	}
	s.young = slices.DeleteFunc(s.young, func(c *net.TCPConn) bool { return c == conn })
	conn.SetDeadline(time.Time{})
	s.expected[hash] = conn
	return true
}

func (s *Server) remove(conn *net.TCPConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.young = slices.DeleteFunc(s.young, func(c *net.TCPConn) bool { return c == conn })
}
