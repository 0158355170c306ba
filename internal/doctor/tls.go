package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/stanza"
)

// encryption does the handshake, on the port that Sugar takes if there is
// somebody, and settles the way that later steps go.
func (e *exam) encryption(ctx context.Context) verdict {
	switch {
	case e.direct:
		v := e.handshake(ctx, route{e.opts.Port, true})
		if e.route == nil && e.starttls {
			e.handshake(ctx, route{e.opts.Port2, false}) // to look at the rest
		}
		return v
	case e.starttls:
		return e.handshake(ctx, route{e.opts.Port2, false})
	case e.addresses == nil:
		return skip("the server has no address")
	default:
		return bad(NoTLS, "no port offers encryption")
	}
}

// handshake goes a way up to encryption, and remembers it if that works.
func (e *exam) handshake(ctx context.Context, r route) verdict {
	ctx, cancel := e.patient(ctx)
	defer cancel()
	conn, err := e.dial(ctx, r.port)
	if err != nil {
		return bad(NoTLS, e.dialText(r.port, err))
	}
	defer conn.Close()
	if !r.direct {
		if err := e.proceed(conn); err != nil {
			return bad(NoTLS, fmt.Sprintf("port %d: STARTTLS: %v", r.port, err))
		}
	}
	secure := tls.Client(conn, e.tlsConfig(r))
	if err := secure.HandshakeContext(ctx); err != nil {
		return bad(tlsCause(err), fmt.Sprintf("port %d: %s", r.port, tlsText(err)))
	}
	state := secure.ConnectionState()
	e.state, e.route = &state, &r
	found := fmt.Sprintf("port %d: %s, %s", r.port, tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite))
	if state.Version < tls.VersionTLS12 {
		return bad(OldTLS, found)
	}
	return fine(found)
}

// tlsConfig takes any certificate, which is the next step's business, and the
// protocols that Sugar's accounts take.
func (e *exam) tlsConfig(r route) *tls.Config {
	c := &tls.Config{ServerName: e.domain, InsecureSkipVerify: true, MinVersion: tls.VersionTLS10}
	if r.direct {
		c.NextProtos = []string{"xmpp-client"} // XEP-0368 §4
	}
	for _, suite := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		c.CipherSuites = append(c.CipherSuites, suite.ID)
	}
	return c
}

// proceed asks for encryption, RFC 6120 §5.4.2.
func (e *exam) proceed(conn net.Conn) error {
	if _, err := e.features(conn); err != nil {
		return err
	}
	if _, err := conn.Write(stanza.New(nsTLS, "starttls").AppendXML(nil, stanza.NSClient)); err != nil {
		return err
	}
	answer, err := stanza.NewReader(conn, stanza.Limits{}).Next()
	if err != nil {
		return err
	}
	if !answer.Is(nsTLS, "proceed") {
		return errors.New("refused")
	}
	return nil
}

// alertUnrecognizedName is RFC 6066 §3: the server knows no such domain.
const alertUnrecognizedName tls.AlertError = 112

func tlsCause(err error) Cause {
	var alert tls.AlertError
	if errors.As(err, &alert) && alert == alertUnrecognizedName {
		return WrongHost
	}
	return NoTLS
}

func tlsText(err error) string {
	if errors.As(err, new(tls.RecordHeaderError)) {
		return "what answers does not speak TLS"
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer to the TLS handshake"
	}
	return "TLS handshake: " + err.Error()
}

// soon is how long before its end a certificate is worth a warning. Let's
// Encrypt renews 30 days before; certificates of a few days have less.
func soon(c *x509.Certificate) time.Duration {
	return min(14*24*time.Hour, c.NotAfter.Sub(c.NotBefore)/4)
}

// certificateCauses says of each reason what it is. A certificate that nobody
// known has signed is what a school's server usually has, and Sugar's accounts
// take it.
var certificateCauses = map[xmpp.CertificateReason]Cause{
	xmpp.CertificateInvalid:             CertWeak,
	xmpp.CertificateNotProvided:         CertWeak,
	xmpp.CertificateUntrusted:           "",
	xmpp.CertificateExpired:             CertExpired,
	xmpp.CertificateNotActivated:        CertEarly,
	xmpp.CertificateFingerprintMismatch: CertWeak,
	xmpp.CertificateHostnameMismatch:    CertHost,
	xmpp.CertificateSelfSigned:          "",
	xmpp.CertificateRevoked:             CertWeak,
	xmpp.CertificateInsecure:            CertWeak,
	xmpp.CertificateLimitExceeded:       CertWeak,
}

// certificate looks at what the handshake showed.
func (e *exam) certificate(context.Context) verdict {
	if e.state == nil {
		return skip("there was no encryption")
	}
	if len(e.state.PeerCertificates) == 0 {
		return bad(CertWeak, "none shown")
	}
	err := xmpp.VerifyCertificate(*e.state, e.opts.RootCAs, e.domain, e.host)
	leaf := e.state.PeerCertificates[0]
	day := leaf.NotAfter.Format(time.DateOnly)
	var wrong *xmpp.CertificateError
	if errors.As(err, &wrong) {
		if cause := certificateCauses[wrong.Reason]; cause != "" {
			return bad(cause, fmt.Sprintf("%s, for %s, until %s", wrong.Reason, e.names(), day))
		}
		return e.untrusted(wrong.Reason)
	}
	if time.Until(leaf.NotAfter) < soon(leaf) {
		return bad(CertExpires, "valid until "+day)
	}
	return fine(fmt.Sprintf("for %s, until %s, signed by %s", e.names(), day, leaf.Issuer.CommonName))
}

// untrusted looks at the rest of a certificate that nobody known has signed.
func (e *exam) untrusted(reason xmpp.CertificateReason) verdict {
	leaf := e.state.PeerCertificates[0]
	day := leaf.NotAfter.Format(time.DateOnly)
	found := fmt.Sprintf("%s, for %s, until %s", reason, e.names(), day)
	switch now := time.Now(); {
	case now.After(leaf.NotAfter):
		return bad(CertExpired, found)
	case now.Before(leaf.NotBefore):
		return bad(CertEarly, found)
	case leaf.VerifyHostname(e.domain) != nil && leaf.VerifyHostname(e.host) != nil:
		return bad(CertHost, found)
	default:
		return fine(found + "; Sugar takes it")
	}
}

// names are those that the certificate is for.
func (e *exam) names() string {
	leaf := e.state.PeerCertificates[0]
	if len(leaf.DNSNames) == 0 {
		return leaf.Subject.CommonName
	}
	return some(leaf.DNSNames)
}
