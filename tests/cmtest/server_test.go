package cmtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"testing"

	"mellium.im/sasl"
	"mellium.im/xmpp"
	"mellium.im/xmpp/jid"
)

// dialServer logs in with mellium's client: the scripted server must be one that
// somebody else's code understands.
func dialServer(t *testing.T, srv *Server, mode Mode, mechanism sasl.Mechanism) error {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", srv.Port))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	pool := x509.NewCertPool()
	pool.AddCert(srv.authority.issuer.Leaf)
	trust := &tls.Config{ServerName: Domain, RootCAs: pool}
	state := xmpp.SessionState(0)
	if mode == DirectTLS {
		conn = tls.Client(conn, trust)
		state = xmpp.Secure
	}
	login := xmpp.SASL("", UserPassword, mechanism)
	if mode == Plain {
		login.Necessary = 0
	}
	features := []xmpp.StreamFeature{login, xmpp.BindResource()}
	if mode == StartTLS {
		features = append(features, xmpp.StartTLS(trust))
	}
	session, err := xmpp.NewSession(context.Background(), jid.MustParse(Domain), jid.MustParse(Account), conn, state,
		xmpp.NewNegotiator(func(*xmpp.Session, *xmpp.StreamConfig) xmpp.StreamConfig {
			return xmpp.StreamConfig{Features: features}
		}))
	if err == nil {
		session.Close()
	}
	return err
}

// serve runs a server without bus and process.
func serve(t *testing.T, opts ...Option) *Server {
	o := defaults()
	for _, option := range opts {
		option(&o)
	}
	srv := newServer(t, newQueue(), newAuthority(t), o.script)
	t.Cleanup(srv.close)
	return srv
}

func TestServer_login(t *testing.T) {
	mechanisms := []sasl.Mechanism{sasl.Plain, sasl.ScramSha1, sasl.ScramSha256}
	for _, mode := range []Mode{Plain, StartTLS, DirectTLS} {
		for _, mechanism := range mechanisms {
			t.Run(string(mode)+" with "+mechanism.Name, func(t *testing.T) {
				t.Parallel()
				srv := serve(t, Encryption(mode))
				if err := dialServer(t, srv, mode, mechanism); err != nil {
					t.Errorf("%v\n%s", err, srv.queue.transcript())
				}
				srv.Script(Encryption(mode), Users(User, "another password"))
				if err := dialServer(t, srv, mode, mechanism); err == nil {
					t.Errorf("wrong password taken\n%s", srv.queue.transcript())
				}
			})
		}
	}
}
