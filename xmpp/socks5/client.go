// Package socks5 is SOCKS5 Bytestreams (XEP-0065): bytes over a TCP connection
// of their own, directly or through a relay. Both ends of the few bytes of
// SOCKS5 (RFC 1928) that it takes are here, with the stanzas. Nothing here
// belongs to a loop.
package socks5

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"syscall"
	"time"
)

// RFC 1928.
const (
	version    = 5
	noAuth     = 0
	noMethod   = 0xff
	connect    = 1
	typeIPv4   = 1
	typeDomain = 3
	typeIPv6   = 4
	succeeded  = 0
	notAllowed = 2
	badCommand = 7
)

const hashLen = 40 // SHA-1 in hexadecimal

const (
	// connectTimeout bounds one connection with its handshake.
	connectTimeout = 10 * time.Second
	// stagger is how long an address has alone before the next is tried too:
	// most of those that do not answer never will.
	stagger = 300 * time.Millisecond
)

// Why there is no connection.
var (
	errNotSOCKS5 = errors.New("not SOCKS5")
	errRefused   = errors.New("refused by the other end of SOCKS5")
	errAddress   = errors.New("address that no streamhost can have")
)

// Dial connects to the first of the hosts that can be reached and knows the
// stream. A loopback address is tried only if alone, which is [Alone], is true:
// what listens there is not meant for others to point at.
func Dial(ctx context.Context, hosts []StreamHost, hash string, alone func() bool) (*net.TCPConn, StreamHost, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d := dialer{ctx: ctx, hosts: hosts, alone: alone, came: make(chan attempt, len(hosts))}
	defer d.abandon()
	next := time.NewTimer(0)
	defer next.Stop()
	err := ErrNoHost
	for d.open > 0 || d.begun < len(hosts) {
		select {
		case <-ctx.Done():
			return nil, StreamHost{}, ctx.Err()
		case <-next.C:
			if d.begin() {
				next.Reset(stagger)
			}
		case a := <-d.came:
			d.open--
			if a.err == nil {
				a.err = handshake(ctx, a.conn, hash)
			}
			if a.err == nil {
				return a.conn, a.host, nil
			}
			err = fmt.Errorf("connect to %s: %w", a.host.JID.Domain(), a.err)
			next.Reset(0)
		}
	}
	return nil, StreamHost{}, err
}

// dialer connects to several addresses, each a little after the one before.
type dialer struct {
	ctx         context.Context
	hosts       []StreamHost
	alone       func() bool
	begun, open int
	came        chan attempt
}

type attempt struct {
	host StreamHost
	conn *net.TCPConn
	err  error
}

// begin tries the next host, if there is one.
func (d *dialer) begin() bool {
	if d.begun == len(d.hosts) {
		return false
	}
	host := d.hosts[d.begun]
	d.begun++
	d.open++
	go func() {
		conn, err := d.connect(host)
		d.came <- attempt{host, conn, err}
	}()
	return true
}

func (d *dialer) connect(h StreamHost) (*net.TCPConn, error) {
	tcp := net.Dialer{Timeout: connectTimeout, Control: func(_, address string, _ syscall.RawConn) error {
		return d.check(address)
	}}
	conn, err := tcp.DialContext(d.ctx, "tcp", net.JoinHostPort(h.Host, strconv.Itoa(int(h.Port))))
	if err != nil {
		return nil, err
	}
	return conn.(*net.TCPConn), nil
}

// check keeps to addresses of other machines.
func (d *dialer) check(address string) error {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	ip := net.ParseIP(host)
	if ip.IsUnspecified() || ip.IsMulticast() || ip.Equal(net.IPv4bcast) || ip.IsLoopback() && !d.alone() {
		return errAddress
	}
	return nil
}

// abandon closes the connections that nobody waits for any more.
func (d *dialer) abandon() {
	open, came := d.open, d.came
	go func() {
		for range open {
			if a := <-came; a.conn != nil {
				a.conn.Close()
			}
		}
	}()
}

// handshake is [Handshake] within its time; the connection is closed if it
// fails.
func handshake(ctx context.Context, conn *net.TCPConn, hash string) error {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	conn.SetDeadline(time.Now().Add(connectTimeout))
	err := Handshake(conn, hash)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		conn.Close()
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// Handshake asks for a stream at the other end of a connection, XEP-0065 §5.3.2:
// without authentication, the hash as the host, and port 0. It takes no byte
// of what comes after.
func Handshake(conn io.ReadWriter, hash string) error {
	if _, err := conn.Write([]byte{version, 1, noAuth}); err != nil {
		return err
	}
	var choice [2]byte
	if _, err := io.ReadFull(conn, choice[:]); err != nil {
		return err
	}
	switch {
	case choice[0] != version:
		return errNotSOCKS5
	case choice[1] != noAuth:
		return errRefused
	}
	if _, err := conn.Write(message(connect, hash)); err != nil {
		return err
	}
	code, _, err := readMessage(conn)
	if err == nil && code != succeeded {
		err = fmt.Errorf("%w: reply %d", errRefused, code)
	}
	return err
}

// message builds a request, or the reply to one: they differ in the code alone.
func message(code byte, hash string) []byte {
	b := append([]byte{version, code, 0, typeDomain, byte(len(hash))}, hash...)
	return append(b, 0, 0)
}

// readMessage reads a request or a reply: its code, and its host if that is a
// name.
func readMessage(r io.Reader) (code byte, host string, err error) {
	var head [5]byte // with the first byte of the address
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, "", err
	}
	if head[0] != version {
		return 0, "", errNotSOCKS5
	}
	rest := 2 // the port
	switch head[3] {
	case typeIPv4:
		rest += 4 - 1
	case typeIPv6:
		rest += 16 - 1
	case typeDomain:
		rest += int(head[4])
	default:
		return 0, "", errNotSOCKS5
	}
	b := make([]byte, rest)
	if _, err := io.ReadFull(r, b); err != nil {
		return 0, "", err
	}
	if head[3] == typeDomain {
		host = string(b[:rest-2])
	}
	return head[1], host, nil
}
