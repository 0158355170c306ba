package xmpp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"
)

// handshakeTimeout bounds one TLS handshake, so that a server that accepts
// connections and then says nothing does not use up the time of the others.
const handshakeTimeout = 15 * time.Second

// tlsConfig is for a TLS client on a connection to host. It asks for the
// account's domain and verifies the certificate itself; what it does not like
// comes out of the handshake as a [*CertificateError].
//
// A certificate must be for the account's domain, or for a name that the user
// gave: Server, an ExtraIdentity, or host if that is one of the
// FallbackServers. A name that only DNS gave counts for nothing, RFC 6120
// §13.7.1.2.1.
//
// With IgnoreTLSErrors any certificate does, and so do the protocols of school
// servers of 2008.
func (c Config) tlsConfig(host string) *tls.Config {
	config := &tls.Config{
		ServerName:         asciiHost(c.Account.Domain()),
		MinVersion:         tls.VersionTLS12,
		InsecureSkipVerify: true, // VerifyConnection does it
	}
	if c.IgnoreTLSErrors {
		allowOldServers(config)
		return config
	}
	config.VerifyConnection = verifier{roots: c.RootCAs, references: c.references(host)}.verify
	return config
}

// references lists the names one of which the certificate of host must have.
func (c Config) references(host string) []string {
	names := []string{asciiHost(c.Account.Domain())}
	if c.Server != "" {
		names = append(names, asciiHost(c.Server))
	}
	for _, extra := range c.ExtraIdentities {
		names = append(names, asciiHost(extra))
	}
	for _, t := range c.fallbackTargets() {
		if t.host == asciiHost(host) {
			names = append(names, t.host)
		}
	}
	return names
}

// allowOldServers lets a handshake with OpenSSL 0.9.8 succeed: TLS 1.0, RSA key
// exchange, CBC. RC4 stays out, because a server that prefers it would get it
// although it has AES too. Key shares of a kilobyte stay out, because a first
// message in more than one packet is too much for some old servers and routers.
func allowOldServers(config *tls.Config) {
	config.MinVersion = tls.VersionTLS10
	config.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
		if !slices.Contains(rc4Suites, suite.ID) {
			config.CipherSuites = append(config.CipherSuites, suite.ID)
		}
	}
}

var rc4Suites = []uint16{
	tls.TLS_RSA_WITH_RC4_128_SHA,
	tls.TLS_ECDHE_RSA_WITH_RC4_128_SHA,
	tls.TLS_ECDHE_ECDSA_WITH_RC4_128_SHA,
}

// startTLS makes conn a TLS connection and returns when the handshake is over.
// It fails with a [*CertificateError], with [ErrTLSFailed], or with what ended
// ctx; conn is closed then.
func startTLS(ctx context.Context, conn net.Conn, config *tls.Config) (*tls.Conn, error) {
	limited, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	secure := tls.Client(conn, config)
	err := secure.HandshakeContext(limited)
	if err == nil {
		return secure, nil
	}
	conn.Close()
	if ctx.Err() != nil {
		return nil, contextError(ctx, "TLS handshake")
	}
	return nil, handshakeError(err)
}

// handshakeError gives an error of a handshake its type.
func handshakeError(err error) error {
	var certificate *CertificateError
	if errors.As(err, &certificate) {
		return certificate
	}
	return fmt.Errorf("%w: %w", ErrTLSFailed, err)
}

// contextError tells why ctx is over: [ErrTimeout], or what cancelled it.
func contextError(ctx context.Context, what string) error {
	cause := context.Cause(ctx)
	if errors.Is(cause, context.DeadlineExceeded) {
		return fmt.Errorf("%s: %w", what, ErrTimeout)
	}
	return fmt.Errorf("%s: %w", what, cause)
}
