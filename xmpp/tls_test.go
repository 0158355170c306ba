package xmpp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"telepathy-olpc/xmpp/jid"
)

// tcpPair is both ends of a connection. A pipe will not do: nothing waits in it,
// so an alert and the rest of the other side's messages block each other.
func tcpPair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return client, server
}

// handshake runs one between our side and a server's.
func handshake(t *testing.T, config *tls.Config, server *tls.Config) (client, peer *tls.Conn, err error) {
	t.Helper()
	ours, theirs := tcpPair(t)
	peer = tls.Server(theirs, server)
	done := make(chan error, 1)
	go func() { done <- peer.Handshake() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	client, err = startTLS(ctx, ours, config)
	if err != nil {
		theirs.Close()
	}
	<-done
	return client, peer, err
}

// tlsStates are both ends of a connection of one version.
func tlsStates(t *testing.T, version uint16) (client, server *tls.ConnectionState) {
	t.Helper()
	config := Config{Account: schoolAccount(t), IgnoreTLSErrors: true}.tlsConfig("school.test")
	ours, theirs, err := handshake(t, config, &tls.Config{MaxVersion: version, Certificates: []tls.Certificate{newLeaf(t, nil).chain()}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := ours.ConnectionState(), theirs.ConnectionState()
	return &a, &b
}

func tlsState(t *testing.T, version uint16) *tls.ConnectionState {
	t.Helper()
	client, _ := tlsStates(t, version)
	return client
}

func schoolAccount(t *testing.T) jid.JID {
	t.Helper()
	account, err := jid.Parse("user@school.test")
	if err != nil {
		t.Fatal(err)
	}
	return account
}

func TestTLSConfig_certificates(t *testing.T) {
	root := newAuthority(t, "root", nil)
	stranger := newAuthority(t, "stranger", nil)
	rows := []struct {
		name   string
		server tls.Certificate
		want   CertificateReason
	}{
		{"expired", newLeaf(t, root, validBetween(-2*time.Hour, -time.Hour)).chain(), CertificateExpired},
		{"not yet valid", newLeaf(t, root, validBetween(time.Hour, 2*time.Hour)).chain(), CertificateNotActivated},
		{"another name", newLeaf(t, root, named("mallory.test")).chain(), CertificateHostnameMismatch},
		{"self-signed", newLeaf(t, nil).chain(), CertificateSelfSigned},
		{"unknown authority", newLeaf(t, stranger).chain(stranger), CertificateUntrusted},
		{"weak", issue(t, rsaKeys[0](), root, named("school.test")).chain(), CertificateInsecure},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, row := range rows {
			t.Run(tls.VersionName(version)+", "+row.name, func(t *testing.T) {
				server := &tls.Config{MaxVersion: version, Certificates: []tls.Certificate{row.server}}
				strict := Config{Account: schoolAccount(t), RootCAs: poolOf(root)}
				_, _, err := handshake(t, strict.tlsConfig("school.test"), server)
				wantReason(t, err, row.want)

				strict.IgnoreTLSErrors = true
				if _, _, err := handshake(t, strict.tlsConfig("school.test"), server); err != nil {
					t.Errorf("with errors ignored: %v", err)
				}
			})
		}
	}
}

// Which names a certificate may have: the account's domain always, even if
// Server differs, and what the user wrote; never a name that only DNS gave.
func TestTLSConfig_references(t *testing.T) {
	root := newAuthority(t, "root", nil)
	rows := []struct {
		name        string
		config      Config
		host        string
		certificate string
		good        bool
	}{
		{"domain", Config{}, "school.test", "school.test", true},
		{"domain, server configured", Config{Server: "xs.test"}, "xs.test", "school.test", true},
		{"domain, direct TLS, server configured", Config{Server: "xs.test", DirectTLS: true, Port: 5223}, "xs.test", "school.test", true},
		{"configured server", Config{Server: "XS.test."}, "xs.test", "xs.test", true},
		{"server out of DNS", Config{}, "xs.test", "xs.test", false},
		{"extra identity", Config{ExtraIdentities: []string{"a.test", "xs.test"}}, "school.test", "xs.test", true},
		{"fallback connected to", Config{FallbackServers: []string{"xs.test:5224"}}, "xs.test", "xs.test", true},
		{"fallback not connected to", Config{FallbackServers: []string{"xs.test"}}, "school.test", "xs.test", false},
		{"empty extra identity", Config{ExtraIdentities: []string{""}}, "school.test", "xs.test", false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			row.config.Account, row.config.RootCAs = schoolAccount(t), poolOf(root)
			server := &tls.Config{Certificates: []tls.Certificate{newLeaf(t, root, named(row.certificate)).chain()}}
			_, peer, err := handshake(t, row.config.tlsConfig(row.host), server)
			if !row.good {
				wantReason(t, err, CertificateHostnameMismatch)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if sni := peer.ConnectionState().ServerName; sni != "school.test" {
				t.Errorf("server was asked for %q", sni)
			}
		})
	}
}

func TestTLSConfig_serverAddress(t *testing.T) {
	root := newAuthority(t, "root", nil)
	certificate := newLeaf(t, root, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, []net.IP{net.IPv6loopback} })
	c := Config{Account: schoolAccount(t), Server: "[::1]", RootCAs: poolOf(root)}
	if _, _, err := handshake(t, c.tlsConfig("::1"), &tls.Config{Certificates: []tls.Certificate{certificate.chain()}}); err != nil {
		t.Error(err)
	}
}

// School servers of 2008 are let in only where the account ignores errors.
func TestTLSConfig_oldServers(t *testing.T) {
	root := newAuthority(t, "root", nil)
	certificate := issue(t, rsaKeys[1](), root, named("school.test")).chain()
	rows := []struct {
		name   string
		server *tls.Config
	}{
		{"TLS 1.0", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10}},
		{"TLS 1.1", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}},
		{"TLS 1.0, RSA key exchange, AES-CBC", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}},
		{"TLS 1.0, RSA key exchange, 3DES", &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10, CipherSuites: []uint16{tls.TLS_RSA_WITH_3DES_EDE_CBC_SHA}}},
		{"TLS 1.2, RSA key exchange", &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_256_GCM_SHA384}}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			row.server.Certificates = []tls.Certificate{certificate}
			c := Config{Account: schoolAccount(t), RootCAs: poolOf(root)}
			if _, _, err := handshake(t, c.tlsConfig("school.test"), row.server); !errors.Is(err, ErrTLSFailed) {
				t.Errorf("strict: got %v, want %v", err, ErrTLSFailed)
			}
			c.IgnoreTLSErrors = true
			if _, _, err := handshake(t, c.tlsConfig("school.test"), row.server); err != nil {
				t.Errorf("with errors ignored: %v", err)
			}
		})
	}
}

func TestTLSConfig_neverRC4(t *testing.T) {
	server := &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_RC4_128_SHA},
		Certificates: []tls.Certificate{issue(t, rsaKeys[1](), nil, named("school.test")).chain()}}
	c := Config{Account: schoolAccount(t), IgnoreTLSErrors: true}
	if _, _, err := handshake(t, c.tlsConfig("school.test"), server); !errors.Is(err, ErrTLSFailed) {
		t.Errorf("got %v, want %v", err, ErrTLSFailed)
	}
}

// What is no TLS at all is no certificate's fault.
func TestStartTLS_noTLS(t *testing.T) {
	for name, answer := range map[string]string{"XML": "<stream:stream>\n", "nothing": ""} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			done := make(chan struct{})
			go func() {
				defer close(done)
				theirs.Read(make([]byte, 4096))
				theirs.Write([]byte(answer))
				theirs.Close()
			}()
			_, err := startTLS(t.Context(), ours, Config{Account: schoolAccount(t)}.tlsConfig("school.test"))
			if !errors.Is(err, ErrTLSFailed) || errors.As(err, new(*CertificateError)) {
				t.Errorf("got %v, want %v", err, ErrTLSFailed)
			}
			<-done
		})
	}
}

// A server that reads and says nothing does not use up the whole login's time.
func TestStartTLS_silence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		go io.Copy(io.Discard, theirs)
		began := time.Now()
		_, err := startTLS(t.Context(), ours, Config{Account: schoolAccount(t)}.tlsConfig("school.test"))
		if took := time.Since(began); !errors.Is(err, ErrTLSFailed) || took != handshakeTimeout {
			t.Errorf("got %v after %v, want %v after %v", err, took, ErrTLSFailed, handshakeTimeout)
		}
	})
}

func TestStartTLS_context(t *testing.T) {
	stop := errors.New("stopped by the user")
	late, cancelLate := context.WithTimeout(t.Context(), 0)
	defer cancelLate()
	cancelled, cancel := context.WithCancelCause(t.Context())
	cancel(stop)
	for _, row := range []struct {
		name string
		ctx  context.Context
		want error
	}{{"deadline", late, ErrTimeout}, {"cancelled", cancelled, stop}} {
		t.Run(row.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			_, err := startTLS(row.ctx, ours, Config{Account: schoolAccount(t)}.tlsConfig("school.test"))
			if !errors.Is(err, row.want) {
				t.Errorf("got %v, want %v", err, row.want)
			}
			if _, err := theirs.Read(make([]byte, 1)); err == nil {
				t.Error("connection is still open")
			}
		})
	}
}
