package xmpp

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"telepathy-olpc/internal/rawconn"
)

// connectTimeout bounds one attempt, all addresses of a host together, so that
// a host that drops packets leaves time for the next.
const connectTimeout = 10 * time.Second

// tcpKeepalive finds out about peers that are gone while nothing is under way;
// the session's own questions are the quicker test on a link in use.
var tcpKeepalive = net.KeepAliveConfig{Enable: true, Idle: 30 * time.Second, Interval: 10 * time.Second, Count: 3}

// clientALPN announces XMPP on ports shared with other protocols, XEP-0368 §4.
const clientALPN = "xmpp-client"

// dial connects to the account's server, TLS handshake included where the
// target has TLS from the first byte: the connection is a [*tls.Conn] then. It
// blocks until there is a connection, nothing is left to try, or ctx ends.
//
// The FallbackServers come after all others. A bad certificate ends the search
// with its [*CertificateError], because it may mean that somebody wants us to
// go elsewhere. Otherwise the error is that of the attempt that came furthest:
// [ErrTLSFailed], [*DialError] or [*DNSError]; or [ErrTimeout].
func (c Config) dial(ctx context.Context) (net.Conn, target, error) {
	targets, failure := c.mainTargets(ctx)
	for _, t := range slices.Concat(targets, c.fallbackTargets()) {
		conn, err := c.connect(ctx, t)
		if err == nil {
			return conn, t, nil
		}
		if ctx.Err() != nil {
			return nil, t, contextError(ctx, "connect to "+t.address())
		}
		if errors.As(err, new(*CertificateError)) {
			return nil, t, err
		}
		if failure == nil || progress(err) > progress(failure) {
			failure = err
		}
	}
	return nil, target{}, failure
}

var errNoName = errors.New("no server name")

// progress ranks errors by how far an attempt came.
func progress(err error) int {
	switch {
	case errors.Is(err, ErrTLSFailed):
		return 2
	case errors.As(err, new(*DialError)):
		return 1
	default:
		return 0
	}
}

// connect tries one target. The dialer tries its addresses of both families
// (RFC 8305) and leaves Nagle's algorithm off.
func (c Config) connect(ctx context.Context, t target) (net.Conn, error) {
	if t.host == "" {
		return nil, &DNSError{Err: errNoName} // the dialer would take it for this machine
	}
	dialer := net.Dialer{Timeout: connectTimeout, KeepAliveConfig: tcpKeepalive, Resolver: c.Resolver}
	socket, err := dialer.DialContext(ctx, "tcp", t.address())
	if err != nil {
		return nil, dialError(t, err)
	}
	conn, err := rawconn.New(socket.(*net.TCPConn))
	if err != nil {
		return nil, dialError(t, err)
	}
	if !t.directTLS {
		return conn, nil
	}
	config := c.tlsConfig(t.host)
	config.NextProtos = []string{clientALPN}
	secure, err := startTLS(ctx, conn, config)
	if err != nil {
		return nil, err // and no typed nil
	}
	return secure, nil
}

// dialError tells a name that does not resolve from a host that does not answer.
func dialError(t target, err error) error {
	if errors.As(err, new(*net.DNSError)) || errors.As(err, new(*net.AddrError)) {
		return &DNSError{Name: t.host, Err: err}
	}
	return &DialError{Address: t.address(), Err: err}
}
