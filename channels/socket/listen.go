package socket

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"telepathy-olpc/internal/tp"
)

// maxUnchecked bounds the connections that have not sent their credentials yet.
const maxUnchecked = 16

// Listener is a socket on which local programs connect to us.
type Listener struct {
	listener net.Listener
	access   Access
	dir      string // of a Unix socket, made for it; empty for others

	mu        sync.Mutex
	closed    bool
	unchecked map[net.Conn]bool
}

// Client is a local program that has connected and may do so.
type Client struct {
	net.Conn
	// Byte came with its credentials, where the access control asks for them.
	Byte byte
}

// From is where the client connects from.
func (c Client) From() Address { return addressOf(c.RemoteAddr()) }

// Listen opens a socket of a supported type. Nobody is let in before
// [Listener.Serve]; who connects earlier waits.
func Listen(kind tp.SocketAddressType, access Access) (*Listener, error) {
	l := &Listener{access: access, unchecked: make(map[net.Conn]bool)}
	network, address := "tcp", "127.0.0.1:0"
	switch kind {
	case tp.SocketAddressTypeIPv6:
		address = "[::1]:0"
	case tp.SocketAddressTypeUnix:
		dir, err := os.MkdirTemp(socketDirectory(), "olpc-") // only for its owner
		if err != nil {
			return nil, fmt.Errorf("make a directory for a socket: %w", err)
		}
		l.dir = dir
		network, address = "unix", filepath.Join(dir, "s")
	case tp.SocketAddressTypeAbstractUnix:
		network, address = "unix", "@telepathy-olpc-"+rand.Text()
	}
	cfg := net.ListenConfig{Control: l.control}
	var err error
	if l.listener, err = cfg.Listen(context.Background(), network, address); err != nil {
		l.removeDirectory()
		return nil, fmt.Errorf("listen on a local socket: %w", err)
	}
	return l, nil
}

// socketDirectory is where sockets of this session's user belong.
func socketDirectory() string {
	const room = len("/olpc-0123456789/s")
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" && len(dir)+room <= maxPath {
		return dir
	}
	return "" // os.MkdirTemp's default
}

// control has credentials come with the first byte, from the moment on from
// which there can be one.
func (l *Listener) control(_, _ string, c syscall.RawConn) error {
	if l.access.Control != tp.SocketAccessControlCredentials {
		return nil
	}
	var err error
	if outer := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1) }); outer != nil {
		return outer
	}
	return err
}

// Address is where clients connect to.
func (l *Listener) Address() Address { return addressOf(l.listener.Addr()) }

// Serve calls accepted, from any goroutine, for each client that may connect.
// The connection is then accepted's. It does not block, and is called once. The
// function may still be called just after Close.
func (l *Listener) Serve(accepted func(Client)) {
	go func() {
		for {
			c, err := l.listener.Accept()
			if err != nil {
				return // closed; on Linux nothing else ends a listening socket
			}
			l.check(c, accepted)
		}
	}()
}

// check lets a client in if it may.
func (l *Listener) check(c net.Conn, accepted func(Client)) {
	if _, is := c.(*net.TCPConn); is && !ofOurUser(c) {
		_ = c.Close()
		return
	}
	switch l.access.Control {
	case tp.SocketAccessControlPort:
		if addressOf(c.RemoteAddr()) != l.access.From {
			_ = c.Close()
			return
		}
	case tp.SocketAccessControlCredentials:
		if l.hold(c) {
			go l.checkCredentials(c.(*net.UnixConn), accepted)
		}
		return
	default:
		if local, is := c.(*net.UnixConn); is && !sameUser(local) {
			_ = c.Close()
			return
		}
	}
	accepted(Client{Conn: c})
}

// checkCredentials waits for a client's byte, which is no part of the data.
func (l *Listener) checkCredentials(c *net.UnixConn, accepted func(Client)) {
	b, err := readCredentials(c)
	l.release(c)
	if err != nil || l.access.HasByte && b != l.access.Byte {
		_ = c.Close()
		return
	}
	accepted(Client{Conn: c, Byte: b})
}

// hold keeps a connection whose credentials are awaited, if there is room.
func (l *Listener) hold(c net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.unchecked) == maxUnchecked {
		_ = c.Close()
		return false
	}
	l.unchecked[c] = true
	return true
}

func (l *Listener) release(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.unchecked, c)
}

// Close takes the socket away; clients that are connected stay. Any goroutine
// may call it, also twice.
func (l *Listener) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	_ = l.listener.Close() // it removes the socket's file
	for c := range l.unchecked {
		_ = c.Close()
	}
	l.removeDirectory()
}

func (l *Listener) removeDirectory() {
	if l.dir != "" {
		_ = os.RemoveAll(l.dir)
	}
}
