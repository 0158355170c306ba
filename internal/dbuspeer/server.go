package dbuspeer

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"telepathy-olpc/internal/rawconn"
)

// MaxMessage is the longest message that a client may send; of a longer one it
// hears no more.
const MaxMessage = 16 << 20

// Limits on programs that are not, or not yet, the client.
const (
	maxWaiting  = 8
	authTimeout = 10 * time.Second
	// slotTimeout is how long a program waits for the one before it to go.
	slotTimeout = time.Second
	// acceptPause is how long we wait when the system has nothing left to give.
	acceptPause = 100 * time.Millisecond
)

// Access says who may be the client.
type Access int

// The ways of access. Either way the socket is in a directory that only our own
// user, and root, can enter.
const (
	// SameUser lets programs in that show that they are of our own user.
	SameUser Access = iota
	// Localhost lets in whoever gets to the socket, also without a name.
	Localhost
)

// Events is what a server calls, in goroutines of its own, for one client after
// the other: Connected, then Message for all that it sends, then Disconnected.
// After [Server.Close] one that was under way may still come. Any may be nil.
type Events struct {
	Connected func()
	// Message gets a valid message, which is the callee's, and what its header
	// says. Until it returns nothing more is read.
	Message      func(h Header, message []byte)
	Disconnected func()
}

// Server is the local end of one D-Bus tube.
type Server struct {
	events   Events
	door     door
	dir      string
	listener *net.UnixListener
	slot     chan struct{} // has room for one: the client
	out      outbox
	running  sync.WaitGroup
	ended    chan struct{}

	mu    sync.Mutex
	conns map[*net.UnixConn]struct{} // nil after Close
}

// Listen opens a socket in a directory of its own below dir and lets programs in.
func Listen(dir string, access Access, events Events) (*Server, error) {
	s, err := open(dir, access, events)
	if err == nil {
		s.running.Go(s.accept)
	}
	return s, err
}

// open opens the socket, at which nobody listens yet.
func open(dir string, access Access, events Events) (*Server, error) {
	s := &Server{
		events: events,
		door: door{
			guid: randomHex(16), access: access, self: uint32(os.Getuid()),
			keys: newKeyring(), offers: []string{external, cookieSHA1},
		},
		slot:  make(chan struct{}, 1),
		ended: make(chan struct{}),
		conns: make(map[*net.UnixConn]struct{}),
	}
	if access == Localhost {
		s.door.offers = append(s.door.offers, anonymous)
	}
	s.out.init()
	var err error
	if s.dir, err = os.MkdirTemp(dir, "dbus-tube-"); err != nil { // with mode 0700
		return nil, fmt.Errorf("make directory for D-Bus tube: %w", err)
	}
	name := &net.UnixAddr{Name: filepath.Join(s.dir, "socket"), Net: "unix"}
	if s.listener, err = net.ListenUnix("unix", name); err != nil {
		os.Remove(s.dir)
		return nil, fmt.Errorf("listen for D-Bus tube: %w", err)
	}
	return s, nil
}

// Address returns the D-Bus address of the socket.
func (s *Server) Address() string {
	return "unix:path=" + escape(s.listener.Addr().String())
}

// escape writes a value of an address: D-Bus specification, "Server Addresses".
func escape(value string) string {
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}

// Send passes a valid message on to the client, or keeps it for the one that
// comes. It is false if there is no room for it any more, and then it is lost.
// The message must not change any more.
func (s *Server) Send(message []byte) bool { return s.out.add(message) }

// Close takes socket and directory away and ends the client's connection. What
// was sent and is not written yet is lost. The server's goroutines end soon.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		return
	}
	close(s.ended)
	s.listener.Close() // which removes the socket
	os.Remove(s.dir)
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.out.close()
}

// Wait returns when the server was closed and its goroutines have ended. No event
// may call it.
func (s *Server) Wait() { s.running.Wait() }

func (s *Server) accept() {
	for {
		c, err := s.listener.AcceptUnix()
		if err == nil {
			s.take(c)
			continue
		}
		select {
		case <-s.ended:
			return
		case <-time.After(acceptPause):
		}
	}
}

// take has somebody look after a connection.
func (s *Server) take(c *net.UnixConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil || len(s.conns) > maxWaiting {
		c.Close()
		return
	}
	s.conns[c] = struct{}{}
	s.running.Go(func() {
		s.serve(c)
		c.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
	})
}

// serve lets a program in and then, if no other is the client, makes it that.
func (s *Server) serve(c *net.UnixConn) {
	fast, err := rawconn.New(c)
	if err != nil {
		return
	}
	r := bufio.NewReaderSize(fast, readBuffer)
	d := s.door
	d.peer = func() uint32 { return peerOf(c) }
	c.SetDeadline(time.Now().Add(authTimeout))
	if d.admit(r, c) != nil {
		return // it knows why; whoever can get here is of our own user
	}
	c.SetDeadline(time.Time{})
	select {
	case s.slot <- struct{}{}:
		defer func() { <-s.slot }()
	case <-time.After(slotTimeout):
		return
	case <-s.ended:
		return
	}
	s.converse(fast, NewReader(r, MaxMessage))
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(`-_/\.*`, c) >= 0
}

// peerOf asks the kernel whose program is at the other end.
func peerOf(c *net.UnixConn) uint32 {
	peer := uint32(nobody)
	raw, err := c.SyscallConn()
	if err != nil {
		return peer
	}
	raw.Control(func(fd uintptr) {
		if u, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			peer = u.Uid
		}
	})
	return peer
}
