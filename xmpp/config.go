package xmpp

import (
	"cmp"
	"crypto/x509"
	"io"
	"net"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Config says whom to log in as, where, and how careful to be. It is not
// changed by anybody after [NewSession] has it.
type Config struct {
	Account  jid.JID // bare address
	Resource string  // wish for the bind; the server may give another
	Password Secret

	Server          string   // host to connect to instead of what DNS says for the domain
	Port            uint16   // with Server; 0 is the usual port
	DirectTLS       bool     // TLS from the first byte ("old-ssl"), no STARTTLS
	ExtraIdentities []string // names a certificate may also have
	FallbackServers []string // host or host:port, tried when DNS gives nothing that answers

	Register          bool // make the account first (XEP-0077)
	RequireEncryption bool
	IgnoreTLSErrors   bool // any certificate, and old protocol versions

	Keepalive    time.Duration // silence after which the server is asked for a sign of life; 0 is the default, below 0 never
	DeadAfter    time.Duration // silence after that question, or output not taken, until the link counts as lost; 0 and less is the default
	LoginTimeout time.Duration // whole way from Connect to Ready; 0 is the default

	Limits stanza.Limits // of one stanza received; zero fields have defaults

	Resolver *net.Resolver  // nil is the system's
	RootCAs  *x509.CertPool // nil is the system's
	Log      *logrus.Entry  // nil logs nothing
}

// withDefaults fills in what was left open.
func (c Config) withDefaults() Config {
	c.Keepalive = cmp.Or(c.Keepalive, defaultKeepalive)
	c.DeadAfter = cmp.Or(max(c.DeadAfter, 0), defaultDeadAfter)
	c.LoginTimeout = cmp.Or(c.LoginTimeout, defaultLoginTimeout)
	if c.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		c.Log = logrus.NewEntry(silent)
	}
	return c
}

// Defaults of [Config]: a dead link is noticed within 30 seconds altogether.
const (
	defaultKeepalive    = 20 * time.Second
	defaultDeadAfter    = 10 * time.Second
	defaultLoginTimeout = time.Minute
)
