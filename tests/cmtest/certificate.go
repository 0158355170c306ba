package cmtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// CertificateKind is a certificate with one property.
type CertificateKind string

// What can be right or wrong with a certificate.
const (
	Valid       CertificateKind = "valid"
	Expired     CertificateKind = "expired"
	NotYetValid CertificateKind = "not yet valid"
	SelfSigned  CertificateKind = "self-signed"
	Untrusted   CertificateKind = "signed by a stranger"
	WrongHost   CertificateKind = "for another host"
	ServerHost  CertificateKind = "for the server's address, not the domain"
	RSA         CertificateKind = "with an RSA key"
	WeakKey     CertificateKind = "with a 1024 bit key"
	ClientOnly  CertificateKind = "for clients only"
	OtherDomain                 = "other.test" // whom WrongHost is for
)

// authority is the one that the connection manager trusts.
type authority struct {
	file   string
	issuer tls.Certificate

	mu   sync.Mutex
	made map[CertificateKind]*tls.Certificate
}

// keys are made once for all tests.
var keys = sync.OnceValue(func() (k struct {
	own, ca, stranger *ecdsa.PrivateKey
	rsa, weak         *rsa.PrivateKey
}) {
	k.own, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ca, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.stranger, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.weak, _ = rsa.GenerateKey(rand.Reader, 1024)
	return k
})

func newAuthority(t testing.TB) *authority {
	t.Helper()
	a := &authority{made: make(map[CertificateKind]*tls.Certificate), file: filepath.Join(t.TempDir(), "ca.pem")}
	a.issuer = issue(t, caTemplate("Test Authority"), nil, keys().ca)
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.issuer.Certificate[0]})
	must(t, os.WriteFile(a.file, block, 0o600))
	return a
}

// Authority is the one that signs the certificates of the servers.
func (cm *CM) Authority() *x509.CertPool {
	cm.T.Helper()
	root, err := x509.ParseCertificate(cm.authority.issuer.Certificate[0])
	must(cm.T, err)
	pool := x509.NewCertPool()
	pool.AddCert(root)
	return pool
}

func caTemplate(name string) *x509.Certificate {
	c := template(name)
	c.IsCA, c.BasicConstraintsValid, c.KeyUsage = true, true, x509.KeyUsageCertSign
	c.ExtKeyUsage, c.DNSNames = nil, nil
	return c
}

func template(names ...string) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: names[0]},
		DNSNames:     names,
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(48 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// issue signs a certificate; without an issuer it signs itself.
func issue(t testing.TB, c *x509.Certificate, issuer *tls.Certificate, key crypto.Signer) tls.Certificate {
	t.Helper()
	parent, signer := c, key
	if issuer != nil {
		parent, signer = issuer.Leaf, issuer.PrivateKey.(crypto.Signer)
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	must(t, err)
	leaf, err := x509.ParseCertificate(der)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// certificate makes one of a kind.
func (a *authority) certificate(t testing.TB, kind CertificateKind) *tls.Certificate {
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.made[kind]; c != nil {
		return c
	}
	c, issuer, key := template(Domain), &a.issuer, crypto.Signer(keys().own)
	switch kind {
	case Expired:
		c.NotAfter = time.Now().Add(-24 * time.Hour)
	case NotYetValid:
		c.NotBefore = time.Now().Add(24 * time.Hour)
	case SelfSigned:
		issuer = nil
	case Untrusted:
		stranger := issue(t, caTemplate("Strange Authority"), nil, keys().stranger)
		issuer = &stranger
	case WrongHost:
		c = template(OtherDomain)
	case ServerHost:
		c = template("xs")
		c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv4(127, 0, 0, 1)}
	case RSA:
		key = keys().rsa
	case WeakKey:
		key = keys().weak
	case ClientOnly:
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	made := issue(t, c, issuer, key)
	a.made[kind] = &made
	return &made
}

// tlsConfig is what the server speaks.
func (a *authority) tlsConfig(t testing.TB, s *script) *tls.Config {
	kind := s.certificate
	cfg := &tls.Config{}
	if s.legacy {
		kind = RSA
		cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS10, tls.VersionTLS10
		cfg.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}
	}
	cfg.Certificates = []tls.Certificate{*a.certificate(t, kind)}
	return cfg
}
