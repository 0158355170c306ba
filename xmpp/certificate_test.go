package xmpp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"math/big"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// issued is a certificate and its key; one that can sign others if it is an
// authority.
type issued struct {
	*x509.Certificate
	key crypto.Signer
}

// certificateKey is one key for all certificates in tests: the names tell them apart.
var certificateKey = sync.OnceValue(func() crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

// rsaKeys makes RSA keys once, since that is slow.
var rsaKeys = [2]func() crypto.Signer{
	sync.OnceValue(func() crypto.Signer { return newRSAKey(1024) }),
	sync.OnceValue(func() crypto.Signer { return newRSAKey(2048) }),
}

func newRSAKey(bits int) crypto.Signer {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

// certificateChange is what one test wants different.
type certificateChange func(*x509.Certificate)

func named(names ...string) certificateChange {
	return func(c *x509.Certificate) { c.DNSNames = names }
}

func validBetween(from, to time.Duration) certificateChange {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now().Add(from), time.Now().Add(to) }
}

// newAuthority makes a root, or an authority below parent.
func newAuthority(t *testing.T, name string, parent *issued, changes ...certificateChange) *issued {
	t.Helper()
	authority := func(c *x509.Certificate) {
		c.Subject.CommonName = name
		c.IsCA, c.BasicConstraintsValid = true, true
		c.KeyUsage = x509.KeyUsageCertSign
	}
	return issue(t, certificateKey(), parent, append([]certificateChange{authority}, changes...)...)
}

// newLeaf makes a server's certificate for school.test; parent nil signs itself.
func newLeaf(t *testing.T, parent *issued, changes ...certificateChange) *issued {
	t.Helper()
	return issue(t, certificateKey(), parent, append([]certificateChange{named("school.test")}, changes...)...)
}

func issue(t *testing.T, key crypto.Signer, parent *issued, changes ...certificateChange) *issued {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: "server"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, change := range changes {
		change(template)
	}
	signer := issued{template, key}
	if parent != nil {
		signer = *parent
	}
	der, err := x509.CreateCertificate(rand.Reader, template, signer.Certificate, key.Public(), signer.key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &issued{certificate, key}
}

// chain is what a server with this certificate sends.
func (c *issued) chain(above ...*issued) tls.Certificate {
	chain := tls.Certificate{PrivateKey: c.key, Certificate: [][]byte{c.Raw}}
	for _, a := range above {
		chain.Certificate = append(chain.Certificate, a.Raw)
	}
	return chain
}

func poolOf(roots ...*issued) *x509.CertPool {
	pool := x509.NewCertPool()
	for _, r := range roots {
		pool.AddCert(r.Certificate)
	}
	return pool
}

// xmppNameExtension is a subjectAltName with one name of XMPP's own kinds.
func xmppNameExtension(kind asn1.ObjectIdentifier, tag int, name string) certificateChange {
	value := marshal(asn1.RawValue{Tag: tag, Bytes: []byte(name)})
	wrapped := marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: value})
	other := asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: append(marshal(kind), wrapped...)}
	extension := pkix.Extension{Id: oidSubjectAltName, Value: marshal([]asn1.RawValue{other})}
	return func(c *x509.Certificate) { c.DNSNames, c.ExtraExtensions = nil, []pkix.Extension{extension} }
}

func marshal(value any) []byte {
	der, err := asn1.Marshal(value)
	if err != nil {
		panic(err)
	}
	return der
}

func TestVerify_reasons(t *testing.T) {
	root := newAuthority(t, "root", nil)
	stranger := newAuthority(t, "stranger", nil)
	expired := newAuthority(t, "expired", root, validBetween(-2*time.Hour, -time.Hour))
	future := newAuthority(t, "future", root, validBetween(time.Hour, 2*time.Hour))
	low := newAuthority(t, "low", root)
	flat := newAuthority(t, "flat", root, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	belowFlat := newAuthority(t, "below flat", flat)
	weakAbove := issue(t, rsaKeys[0](), root, func(c *x509.Certificate) {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid = "weak", true, true
	})
	noAuthority := newLeaf(t, root, func(c *x509.Certificate) { c.Subject.CommonName = "no authority" })
	weakLeaf := issue(t, rsaKeys[0](), root, named("school.test"))
	const good = -1
	rows := []struct {
		name string
		sent []*issued
		want int // a CertificateReason
	}{
		{"good", []*issued{newLeaf(t, root)}, good},
		{"good, below another", []*issued{newLeaf(t, low), low}, good},
		{"good, sent in disorder with the root", []*issued{newLeaf(t, low), root, low}, good},
		{"good RSA", []*issued{issue(t, rsaKeys[1](), root, named("school.test"))}, good},
		{"none", nil, int(CertificateNotProvided)},
		{"expired", []*issued{newLeaf(t, root, validBetween(-2*time.Hour, -time.Hour))}, int(CertificateExpired)},
		{"expired authority", []*issued{newLeaf(t, expired), expired}, int(CertificateExpired)},
		{"not yet valid", []*issued{newLeaf(t, root, validBetween(time.Hour, 2*time.Hour))}, int(CertificateNotActivated)},
		{"authority not yet valid", []*issued{newLeaf(t, future), future}, int(CertificateNotActivated)},
		{"self-signed", []*issued{newLeaf(t, nil)}, int(CertificateSelfSigned)},
		{"unknown authority", []*issued{newLeaf(t, stranger)}, int(CertificateUntrusted)},
		{"unknown authority, sent along", []*issued{newLeaf(t, stranger), stranger}, int(CertificateUntrusted)},
		{"authority between is missing", []*issued{newLeaf(t, low)}, int(CertificateUntrusted)},
		{"signed by no authority", []*issued{newLeaf(t, noAuthority), noAuthority}, int(CertificateUntrusted)},
		{"another name", []*issued{newLeaf(t, root, named("mallory.test"))}, int(CertificateHostnameMismatch)},
		{"no name", []*issued{newLeaf(t, root, named())}, int(CertificateHostnameMismatch)},
		{"common name only", []*issued{newLeaf(t, root, named(), func(c *x509.Certificate) { c.Subject.CommonName = "school.test" })}, int(CertificateHostnameMismatch)},
		{"weak key", []*issued{weakLeaf}, int(CertificateInsecure)},
		{"weak key above", []*issued{newLeaf(t, weakAbove), weakAbove}, int(CertificateInsecure)},
		{"short curve", []*issued{issue(t, curveKey(t, elliptic.P224()), root, named("school.test"))}, int(CertificateInsecure)},
		{"too many", slices.Repeat([]*issued{newLeaf(t, root)}, maxCertificates+1), int(CertificateLimitExceeded)},
		{"path too long", []*issued{newLeaf(t, belowFlat), belowFlat, flat}, int(CertificateLimitExceeded)},
		{"for clients only", []*issued{newLeaf(t, root, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })}, int(CertificateInvalid)},
		{"unknown critical extension", []*issued{newLeaf(t, root, func(c *x509.Certificate) {
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}}}
		})}, int(CertificateInvalid)},
	}
	v := verifier{roots: poolOf(root), references: []string{"school.test"}}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			var state tls.ConnectionState
			for _, c := range row.sent {
				state.PeerCertificates = append(state.PeerCertificates, c.Certificate)
			}
			err := v.verify(state)
			if row.want == good {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantReason(t, err, CertificateReason(row.want))
		})
	}
}

func curveKey(t *testing.T, curve elliptic.Curve) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func wantReason(t *testing.T, err error, want CertificateReason) {
	t.Helper()
	var certificate *CertificateError
	if !errors.As(err, &certificate) || certificate.Reason != want {
		t.Errorf("got %v, want a certificate error %q", err, want)
	}
}

// A certificate that the user put among the roots is good as it is.
func TestVerify_trustedItself(t *testing.T) {
	weak := issue(t, rsaKeys[0](), nil, named("school.test"))
	v := verifier{roots: poolOf(weak), references: []string{"school.test"}}
	if err := v.verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{weak.Certificate}}); err != nil {
		t.Error(err)
	}
}

func TestVerify_weakSignature(t *testing.T) {
	// Nothing makes SHA-1 signatures any more, so the name of the algorithm is put in afterwards.
	leaf := newLeaf(t, newAuthority(t, "stranger", nil))
	for _, algorithm := range weakSignatures {
		c := *leaf.Certificate
		c.SignatureAlgorithm = algorithm
		v := verifier{roots: x509.NewCertPool(), references: []string{"school.test"}}
		wantReason(t, v.verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{&c}}), CertificateInsecure)
	}
}

func TestVerify_names(t *testing.T) {
	root := newAuthority(t, "root", nil)
	constrained := newAuthority(t, "constrained", root, func(c *x509.Certificate) {
		c.PermittedDNSDomains, c.PermittedDNSDomainsCritical = []string{"other.test"}, true
	})
	address := func(c *x509.Certificate) {
		c.DNSNames, c.IPAddresses = nil, []net.IP{net.ParseIP("192.0.2.1"), net.ParseIP("2001:db8::1")}
	}
	xmppAddr := func(name string) certificateChange { return xmppNameExtension(oidXMPPAddr, asn1.TagUTF8String, name) }
	srvName := func(name string) certificateChange { return xmppNameExtension(oidSRVName, asn1.TagIA5String, name) }
	rows := []struct {
		name        string
		certificate *issued
		reference   string
		good        bool
	}{
		{"DNS name", newLeaf(t, root), "school.test", true},
		{"DNS name in capitals", newLeaf(t, root, named("SCHOOL.test")), "school.test", true},
		{"name above", newLeaf(t, root, named("test")), "school.test", false},
		{"name below", newLeaf(t, root, named("chat.school.test")), "school.test", false},
		{"wildcard", newLeaf(t, root, named("*.school.test")), "chat.school.test", true},
		{"wildcard for the name itself", newLeaf(t, root, named("*.school.test")), "school.test", false},
		{"wildcard two levels up", newLeaf(t, root, named("*.school.test")), "a.chat.school.test", false},
		{"internationalised", newLeaf(t, root, named("xn--escuela-nwa.test")), asciiHost("escuelaá.test"), true},
		{"IPv4 address", newLeaf(t, root, address), "192.0.2.1", true},
		{"IPv6 address", newLeaf(t, root, address), "2001:db8::1", true},
		{"another address", newLeaf(t, root, address), "192.0.2.2", false},
		{"address as a DNS name", newLeaf(t, root, named("192.0.2.1")), "192.0.2.1", false},
		{"XMPP address", newLeaf(t, root, xmppAddr("school.test")), "school.test", true},
		{"XMPP address, internationalised", newLeaf(t, root, xmppAddr("escuelaá.test")), asciiHost("escuelaá.test"), true},
		{"another XMPP address", newLeaf(t, root, xmppAddr("mallory.test")), "school.test", false},
		{"XMPP address has no wildcards", newLeaf(t, root, xmppAddr("*.test")), "school.test", false},
		{"XMPP address of a user", newLeaf(t, root, xmppAddr("user@school.test")), "school.test", false},
		{"service", newLeaf(t, root, srvName("_xmpp-client.school.test")), "school.test", true},
		{"service with direct TLS", newLeaf(t, root, srvName("_xmpps-client.school.test")), "school.test", true},
		{"service for servers", newLeaf(t, root, srvName("_xmpp-server.school.test")), "school.test", false},
		{"XMPP address beyond the authority's domain", newLeaf(t, constrained, xmppAddr("school.test")), "school.test", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			v := verifier{roots: poolOf(root), references: []string{row.reference}}
			err := v.verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{row.certificate.Certificate, constrained.Certificate}})
			if row.good && err != nil {
				t.Error(err)
			}
			if !row.good {
				wantReason(t, err, CertificateHostnameMismatch)
			}
		})
	}
}

func TestCertificateReason_text(t *testing.T) {
	seen := map[string]bool{}
	for r := CertificateInvalid; r <= CertificateLimitExceeded; r++ {
		if s := r.String(); s == "" || seen[s] {
			t.Errorf("reason %d is %q", r, s)
		}
		seen[r.String()] = true
	}
	if got := (CertificateLimitExceeded + 1).String(); got != "CertificateReason(11)" {
		t.Errorf("got %q", got)
	}
}

func TestCertificateError_text(t *testing.T) {
	bare := &CertificateError{Reason: CertificateNotProvided}
	if got, want := bare.Error(), "server certificate is not provided"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	weak := &CertificateError{CertificateInsecure, errWeakKey}
	if got, want := weak.Error(), "server certificate is insecure: key too short"; got != want || !errors.Is(weak, errWeakKey) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzParseXMPPNames(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x30, 0x00})
	name := &x509.Certificate{}
	xmppNameExtension(oidXMPPAddr, asn1.TagUTF8String, "school.test")(name)
	f.Add(name.ExtraExtensions[0].Value)
	f.Fuzz(func(t *testing.T, der []byte) {
		for _, name := range parseXMPPNames(der) {
			if len(name) > len(der) {
				t.Errorf("%q out of %d bytes", name, len(der))
			}
		}
	})
}
