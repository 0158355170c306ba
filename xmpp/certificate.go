package xmpp

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// CertificateReason says which check a server's certificate failed, in the
// terms of Telepathy's Cert.* errors.
type CertificateReason uint8

// The reasons. They are Telepathy's whole list; a wrong fingerprint and a
// revocation are on it but not among our checks.
const (
	CertificateInvalid             CertificateReason = iota // broken, or not made for this use
	CertificateNotProvided                                  // the server has none
	CertificateUntrusted                                    // no authority that we know signed it
	CertificateExpired                                      // it or one above it
	CertificateNotActivated                                 // not valid yet, or our clock is behind
	CertificateFingerprintMismatch                          // not the one that was expected
	CertificateHostnameMismatch                             // it is somebody else's
	CertificateSelfSigned                                   // signed by nobody but itself
	CertificateRevoked                                      // taken back by its authority
	CertificateInsecure                                     // key or signature too weak
	CertificateLimitExceeded                                // chain too long
)

var certificateReasons = [...]string{
	CertificateInvalid:             "invalid",
	CertificateNotProvided:         "not provided",
	CertificateUntrusted:           "signed by an unknown authority",
	CertificateExpired:             "expired",
	CertificateNotActivated:        "not valid yet",
	CertificateFingerprintMismatch: "not the expected one",
	CertificateHostnameMismatch:    "made for another name",
	CertificateSelfSigned:          "self-signed",
	CertificateRevoked:             "revoked",
	CertificateInsecure:            "insecure",
	CertificateLimitExceeded:       "beyond limits",
}

func (r CertificateReason) String() string {
	if int(r) < len(certificateReasons) {
		return certificateReasons[r]
	}
	return fmt.Sprintf("CertificateReason(%d)", uint8(r))
}

// CertificateError says that the server's certificate does not prove that it
// is the server wanted. It ends the login: the next server in line is not tried.
type CertificateError struct {
	Reason CertificateReason
	Err    error // of the check; may be nil
}

func (e *CertificateError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("server certificate is %s", e.Reason)
	}
	return fmt.Sprintf("server certificate is %s: %v", e.Reason, e.Err)
}

// Unwrap returns the error of the check.
func (e *CertificateError) Unwrap() error { return e.Err }

// Limits on what a certificate may be.
const (
	// maxCertificates in what the server sends: a leaf and two to four above it
	// are usual, and every one costs a signature check.
	maxCertificates = 10
	// minRSABits and minCurveBits are the least that public authorities have
	// signed since 2014, CA/Browser Forum Baseline Requirements §6.1.5.
	minRSABits   = 2048
	minCurveBits = 256
)

// verifier checks the certificates of one server.
type verifier struct {
	roots      *x509.CertPool // nil is the system's
	references []string       // names of which the certificate must have one, as [asciiHost] gives them
}

// VerifyCertificate checks what a server has shown in a handshake as a session
// would that does not ignore it: trusted, of this time, and for one of the
// names. Roots are the system's if nil. The error is a [*CertificateError].
func VerifyCertificate(state tls.ConnectionState, roots *x509.CertPool, names ...string) error {
	references := make([]string, len(names))
	for i, name := range names {
		references[i] = asciiHost(name)
	}
	return verifier{roots: roots, references: references}.verify(state)
}

// verify is for [tls.Config].VerifyConnection. The first check that fails
// gives the reason; in this order, so that a name is looked at only in a
// certificate that is believed otherwise.
func (v verifier) verify(state tls.ConnectionState) error {
	certificates := state.PeerCertificates
	if len(certificates) == 0 {
		return &CertificateError{Reason: CertificateNotProvided}
	}
	if len(certificates) > maxCertificates {
		return &CertificateError{CertificateLimitExceeded, fmt.Errorf("%d certificates sent, at most %d allowed", len(certificates), maxCertificates)}
	}
	leaf := certificates[0]
	options := x509.VerifyOptions{Roots: v.roots, Intermediates: x509.NewCertPool()}
	for _, c := range certificates[1:] {
		options.Intermediates.AddCert(c)
	}
	chains, err := leaf.Verify(options)
	if err != nil {
		return &CertificateError{certificateReason(certificates, err), err}
	}
	chain := strongChain(chains)
	if chain == nil {
		return &CertificateError{CertificateInsecure, errWeakKey}
	}
	return v.verifyName(leaf, chain)
}

var errWeakKey = errors.New("key too short")

// certificateReason tells what an error of [x509.Certificate.Verify] is about.
func certificateReason(sent []*x509.Certificate, err error) CertificateReason {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return unknownReason(sent)
	case errors.As(err, new(x509.SystemRootsError)):
		return CertificateUntrusted
	case !errors.As(err, &invalid):
		return CertificateInvalid
	}
	switch invalid.Reason {
	case x509.Expired:
		return dateReason(invalid.Cert)
	case x509.TooManyIntermediates, x509.TooManyConstraints:
		return CertificateLimitExceeded
	default:
		return CertificateInvalid
	}
}

// unknownReason finds out why no chain was found. crypto/x509 has one error for
// all: nobody signed it, the signature is of a kind no longer believed, the
// authority between it and the root has expired.
func unknownReason(sent []*x509.Certificate) CertificateReason {
	if isSelfSigned(sent[0]) {
		return CertificateSelfSigned
	}
	for _, c := range sent {
		if !isSelfSigned(c) && slices.Contains(weakSignatures, c.SignatureAlgorithm) {
			return CertificateInsecure
		}
	}
	for _, c := range sent {
		if reason := dateReason(c); reason != CertificateUntrusted {
			return reason
		}
	}
	return CertificateUntrusted
}

// dateReason tells too early from too late, which [x509.Expired] does not, and
// is CertificateUntrusted for a certificate whose time is now.
func dateReason(c *x509.Certificate) CertificateReason {
	switch now := time.Now(); {
	case now.Before(c.NotBefore):
		return CertificateNotActivated
	case now.After(c.NotAfter):
		return CertificateExpired
	default:
		return CertificateUntrusted
	}
}

// weakSignatures can be forged; crypto/x509 does not follow them.
var weakSignatures = []x509.SignatureAlgorithm{
	x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.DSAWithSHA1, x509.ECDSAWithSHA1,
}

// isSelfSigned tells whether a certificate names itself as its issuer. Whether
// its signature fits makes no difference to one that nobody trusts.
func isSelfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawIssuer, c.RawSubject) }

// strongChain is the first chain without a weak key, nil if there is none. The
// last of a chain is trusted as it is, because somebody put it among the roots.
func strongChain(chains [][]*x509.Certificate) []*x509.Certificate {
	for _, chain := range chains {
		if !slices.ContainsFunc(chain[:len(chain)-1], hasWeakKey) {
			return chain
		}
	}
	return nil
}

func hasWeakKey(c *x509.Certificate) bool {
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		return key.N.BitLen() < minRSABits
	case *ecdsa.PublicKey:
		return key.Curve.Params().BitSize < minCurveBits
	default:
		return false
	}
}

// verifyName looks for one of the references in a certificate, RFC 6120
// §13.7.1.2: as a DNS name (wildcards included) or IP address, or as one of
// XMPP's own kinds of name.
func (v verifier) verifyName(leaf *x509.Certificate, chain []*x509.Certificate) error {
	var mismatch error
	for _, reference := range v.references {
		err := leaf.VerifyHostname(reference)
		if err == nil {
			return nil
		}
		if mismatch == nil {
			mismatch = err
		}
	}
	if !slices.ContainsFunc(chain, constrainsNames) && v.matchesXMPP(leaf) {
		return nil
	}
	return &CertificateError{CertificateHostnameMismatch, mismatch}
}

// constrainsNames tells whether an authority may sign some names only.
// crypto/x509 cannot hold the XMPP names to that, so they do not count then.
func constrainsNames(c *x509.Certificate) bool {
	return len(c.PermittedDNSDomains) > 0 || len(c.ExcludedDNSDomains) > 0
}

func (v verifier) matchesXMPP(leaf *x509.Certificate) bool {
	for _, name := range xmppNames(leaf) {
		if slices.Contains(v.references, asciiHost(name)) {
			return true
		}
	}
	return false
}

// The kinds of name that only XMPP certificates have.
var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidXMPPAddr       = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 5} // RFC 6120 §13.7.1.4
	oidSRVName        = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 8, 7} // RFC 4985 §2
)

// srvNamePrefixes are the services of which we are a client.
var srvNamePrefixes = []string{"_xmpp-client.", "_xmpps-client."}

// xmppNames lists the domains in a certificate's names of XMPP's own kinds.
func xmppNames(c *x509.Certificate) []string {
	for _, extension := range c.Extensions {
		if extension.Id.Equal(oidSubjectAltName) {
			return parseXMPPNames(extension.Value)
		}
	}
	return nil
}

// otherName is RFC 5280 §4.2.1.6. Within the explicit tag is the value itself,
// which encoding/asn1 does not unwrap for a raw one.
type otherName struct {
	Type    asn1.ObjectIdentifier
	Wrapped asn1.RawValue `asn1:"tag:0,explicit"`
}

// parseXMPPNames reads the GeneralNames of RFC 5280 §4.2.1.6. What it does not
// understand it passes over: other software has names for other uses.
func parseXMPPNames(der []byte) []string {
	var list []asn1.RawValue
	if _, err := asn1.Unmarshal(der, &list); err != nil {
		return nil
	}
	var names []string
	for _, raw := range list {
		var (
			other otherName
			inner asn1.RawValue
		)
		if raw.Class != asn1.ClassContextSpecific || raw.Tag != 0 {
			continue
		}
		if _, err := asn1.UnmarshalWithParams(raw.FullBytes, &other, "tag:0"); err != nil {
			continue
		}
		if _, err := asn1.Unmarshal(other.Wrapped.Bytes, &inner); err != nil {
			continue
		}
		switch value := string(inner.Bytes); {
		case other.Type.Equal(oidXMPPAddr) && inner.Tag == asn1.TagUTF8String:
			names = append(names, value)
		case other.Type.Equal(oidSRVName) && inner.Tag == asn1.TagIA5String:
			for _, prefix := range srvNamePrefixes {
				if domain, ok := strings.CutPrefix(value, prefix); ok {
					names = append(names, domain)
				}
			}
		}
	}
	return names
}
