package doctor

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"telepathy-olpc/xmpp/stanza"
)

// resolver is that of the options, or the system's.
func (e *exam) resolver() *net.Resolver {
	if e.opts.Resolver != nil {
		return e.opts.Resolver
	}
	return net.DefaultResolver
}

// dns looks the host up as Sugar's account does, which names its server and so
// asks for addresses alone.
func (e *exam) dns(ctx context.Context) verdict {
	if e.domain == "" {
		return bad(NoServer, "no server is set")
	}
	if _, err := netip.ParseAddr(strings.Trim(e.host, "[]")); err == nil {
		e.addresses = []string{e.host}
		return fine(e.host + ", given as an address")
	}
	ctx, cancel := e.patient(ctx)
	defer cancel()
	addresses, err := e.resolver().LookupHost(ctx, e.host)
	if err != nil {
		return bad(NoName, fmt.Sprintf("%s: %s", e.host, dnsText(err)))
	}
	e.addresses = addresses
	return fine(e.host + " is " + some(addresses))
}

func dnsText(err error) string {
	var dns *net.DNSError
	if !errors.As(err, &dns) {
		return err.Error()
	}
	switch {
	case dns.IsNotFound:
		return "no such name"
	case dns.IsTimeout:
		return "the name server does not answer"
	default:
		return dns.Err
	}
}

// some shows the first of a list.
func some(list []string) string {
	const shown = 2
	if len(list) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:shown], ", "), len(list)-shown)
	}
	return strings.Join(list, ", ")
}

// srv looks for service records, RFC 6120 §3.2.1 and XEP-0368 §2. Sugar needs
// none.
func (e *exam) srv(ctx context.Context) verdict {
	if e.domain == "" {
		return skip("no server is set")
	}
	if _, err := netip.ParseAddr(e.domain); err == nil {
		return skip("addresses have none")
	}
	ctx, cancel := e.patient(ctx)
	defer cancel()
	var all []string
	denied := 0
	for _, service := range []string{"xmpps-client", "xmpp-client"} {
		_, records, _ := e.resolver().LookupSRV(ctx, service, "tcp", e.domain+".") // an error is the same as none
		for _, r := range records {
			if r.Target == "." {
				denied++
			} else {
				all = append(all, fmt.Sprintf("%s:%d", strings.TrimSuffix(r.Target, "."), r.Port))
			}
		}
	}
	switch {
	case len(all) > 0:
		return fine(some(all))
	case denied > 0:
		return bad(NoService, "DNS denies the service")
	default:
		return fine("none, and Sugar needs none")
	}
}

// directPort tries the port that Sugar connects to.
func (e *exam) directPort(ctx context.Context) verdict {
	if e.addresses == nil {
		return skip("the server has no address")
	}
	took, err := e.tryPort(ctx, e.opts.Port)
	if err != nil {
		if _, err := e.tryPort(ctx, e.opts.Port2); err != nil {
			return bad(NoDirect, fmt.Sprintf("%s, and so on port %d", e.dialText(e.opts.Port, err), e.opts.Port2))
		}
		return bad(NoDirectPort, e.dialText(e.opts.Port, err))
	}
	e.direct = true
	return fine(fmt.Sprintf("port %d answers in %s", e.opts.Port, short(took)))
}

func (e *exam) tryPort(ctx context.Context, port uint16) (time.Duration, error) {
	began := time.Now()
	conn, err := e.dial(ctx, port)
	if err != nil {
		return 0, err
	}
	return time.Since(began), conn.Close()
}

// dial connects within the time for one question.
func (e *exam) dial(ctx context.Context, port uint16) (net.Conn, error) {
	dialer := net.Dialer{Timeout: e.opts.Patience, Resolver: e.opts.Resolver}
	return dialer.DialContext(ctx, "tcp", e.address(port))
}

// dialText says in a few words why a port does not answer.
func (e *exam) dialText(port uint16, err error) string {
	var op *net.OpError
	reason := err.Error()
	switch {
	case errors.As(err, &op) && op.Timeout():
		reason = "no answer (a firewall?)"
	case errors.As(err, &op):
		reason = op.Err.Error()
		if i := strings.LastIndex(reason, ": "); i >= 0 {
			reason = reason[i+2:]
		}
	}
	return fmt.Sprintf("port %d: %s", port, reason)
}

// plainPort looks at the port with STARTTLS, which is also the way on when
// Sugar's own port is closed: the rest is worth knowing then.
func (e *exam) plainPort(ctx context.Context) verdict {
	if e.addresses == nil {
		return skip("the server has no address")
	}
	conn, err := e.dial(ctx, e.opts.Port2)
	if err != nil {
		return bad(NoPlainPort, e.dialText(e.opts.Port2, err))
	}
	defer conn.Close()
	features, err := e.features(conn)
	if errors.Is(err, errWrongHost) {
		return bad(WrongHost, fmt.Sprintf("port %d: %v: %s", e.opts.Port2, err, e.domain))
	}
	if err != nil {
		return bad(NotXMPP, fmt.Sprintf("port %d: %v", e.opts.Port2, err))
	}
	starttls := features.Child(nsTLS, "starttls")
	switch {
	case starttls == nil:
		return bad(NoStartTLS, fmt.Sprintf("port %d offers no encryption", e.opts.Port2))
	case starttls.Child(nsTLS, "required") == nil:
		e.starttls = true
		return fine(fmt.Sprintf("port %d offers encryption, and does not insist", e.opts.Port2))
	default:
		e.starttls = true
		return fine(fmt.Sprintf("port %d insists on encryption", e.opts.Port2))
	}
}

const (
	nsTLS          = "urn:ietf:params:xml:ns:xmpp-tls"
	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
)

// streamHeader is written as every client writes it: ejabberd 23.01 knows the
// element by its prefix.
const streamHeader = "<?xml version='1.0'?><stream:stream xmlns='" + stanza.NSClient + "' xmlns:stream='" + stanza.NSStream + "' to='%s' version='1.0'>"

// errWrongHost says that the server is not for this domain.
var errWrongHost = errors.New("the server does not serve this name")

// features opens a stream, RFC 6120 §4.7, and gives what the server offers.
func (e *exam) features(conn net.Conn) (*stanza.Element, error) {
	if err := conn.SetDeadline(time.Now().Add(e.opts.Patience)); err != nil {
		return nil, err
	}
	var to strings.Builder
	if err := xml.EscapeText(&to, []byte(e.domain)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(conn, streamHeader, &to); err != nil {
		return nil, err
	}
	reader := stanza.NewReader(conn, stanza.Limits{})
	if _, err := reader.Open(); err != nil {
		return nil, fmt.Errorf("no stream: %w", err)
	}
	first, err := reader.Next()
	switch {
	case err != nil:
		return nil, err
	case first.Is(stanza.NSStream, "error"):
		return nil, streamError(first)
	default:
		return first, nil
	}
}

// streamError is what a stream error is about.
func streamError(e *stanza.Element) error {
	for _, c := range e.Children() {
		switch {
		case c.Space() != nsStreamErrors || c.Local() == "text":
		case c.Local() == "host-unknown", c.Local() == "host-gone":
			return errWrongHost
		default:
			return fmt.Errorf("stream error: %s", c.Local())
		}
	}
	return errors.New("stream error")
}
