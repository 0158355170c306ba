package school

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Files in the server's folder that the configurations name.
const (
	certFile = "cert.pem" // the server's chain
	keyFile  = "key.pem"
	bothFile = "both.pem" // ejabberd wants key and chain in one file
	caFile   = "ca.pem"   // what clients must trust
)

// makeCertificates gives the server its certificate, self-signed or from an authority of its own, valid for a day.
func (s *Server) makeCertificates() error {
	leaf := certificate(s.Domain)
	leaf.DNSNames = []string{s.Domain, "conference." + s.Domain, "proxy." + s.Domain}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	root, rootKey := leaf, key
	if s.opts.CA {
		root = certificate("Throwaway school authority")
		root.IsCA, root.BasicConstraintsValid, root.KeyUsage = true, true, x509.KeyUsageCertSign
		if rootKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return err
		}
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	if err != nil {
		return err
	}
	rootDER := leafDER
	if s.opts.CA {
		if rootDER, err = x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey); err != nil {
			return err
		}
	}
	return s.writeCertificates(leafDER, rootDER, key)
}

func (s *Server) writeCertificates(leafDER, rootDER []byte, key *ecdsa.PrivateKey) error {
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
	leafPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leafDER})
	rootPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})
	for name, data := range map[string][]byte{certFile: leafPEM, keyFile: keyPEM, bothFile: append(keyPEM, leafPEM...), caFile: rootPEM} {
		if err := os.WriteFile(filepath.Join(s.dir, name), data, 0o600); err != nil {
			return err
		}
	}
	s.CAFile = filepath.Join(s.dir, caFile)
	s.CertPool = x509.NewCertPool()
	s.CertPool.AppendCertsFromPEM(rootPEM)
	return nil
}

func certificate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}
