package doctor

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strconv"
	"strings"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
)

// exam is an examination under way: what steps have learned for later ones.
type exam struct {
	opts   Options
	domain string // of the school; "" as long as it is not known
	host   string // to connect to

	bus     *bus.Conn // nil without a session bus
	manages bool      // mission-control is there

	addresses []string             // of the host
	direct    bool                 // somebody listens on the port for TLS
	starttls  bool                 // the other port offers encryption
	state     *tls.ConnectionState // of the connection that was tried
	route     *route               // a way to log in; nil if there is none

	children [2]*child // the laptops that we play; nil where there is none
	rooms    jid.JID   // the conference service; zero if there is none
}

// route is a way to log in.
type route struct {
	port   uint16
	direct bool
}

func newExam(opts Options) *exam {
	opts.Patience = cmp.Or(opts.Patience, defaultPatience)
	opts.Port = cmp.Or(opts.Port, directPort)
	opts.Port2 = cmp.Or(opts.Port2, plainPort)
	e := &exam{opts: opts, domain: cmp.Or(opts.Server, opts.Account.Domain())}
	e.host = cmp.Or(opts.Host, e.domain)
	return e
}

// close ends what is still open, when cleaning up is over.
func (e *exam) close() {
	if e.bus != nil {
		e.bus.Close()
	}
	for _, c := range e.children {
		if c != nil {
			c.close()
		}
	}
}

// patient bounds one question.
func (e *exam) patient(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, e.opts.Patience)
}

func (e *exam) address(port uint16) string {
	return net.JoinHostPort(strings.Trim(e.host, "[]"), strconv.Itoa(int(port)))
}

// domainJID is the server's own address.
func (e *exam) domainJID() jid.JID {
	j, err := jid.New("", e.domain, "")
	if err != nil {
		return jid.JID{}
	}
	return j
}

// config is for a session on the way that was found.
func (e *exam) config(account jid.JID, password xmpp.Secret) xmpp.Config {
	return xmpp.Config{
		Account: account, Password: password, Resource: "doctor",
		Server: e.host, Port: e.route.port, DirectTLS: e.route.direct,
		RequireEncryption: true, IgnoreTLSErrors: true, // as Sugar's accounts have it
		LoginTimeout: e.opts.Patience, Resolver: e.opts.Resolver,
	}
}

// main is the laptop that most questions are asked from; nil if nobody could
// log in.
func (e *exam) main() *child {
	if c := e.children[0]; c != nil && c.isOnline() {
		return c
	}
	return nil
}

var errNotLoggedIn = errors.New("nobody could log in")
