package xmpp

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	mellium "mellium.im/xmpp"
	melliumjid "mellium.im/xmpp/jid"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of what is negotiated, RFC 6120 and RFC 3921.
const (
	nsTLS     = "urn:ietf:params:xml:ns:xmpp-tls"
	nsSASL    = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsBinding = "urn:xmpp:sasl-cb:0" // XEP-0440
	nsBind    = "urn:ietf:params:xml:ns:xmpp-bind"
	nsSession = "urn:ietf:params:xml:ns:xmpp-session"
	nsStreams = "urn:ietf:params:xml:ns:xmpp-streams" // stream error conditions
)

// login is one way from nothing to a bound or resumed session. It belongs to
// the goroutine that runs it.
//
// mellium opens the streams and goes from feature to feature. It sees nothing
// that our own reader has not admitted, since it bounds neither the size of
// what it reads nor its time, and of each feature list only the one feature
// that is next, since it would choose among several at random.
type login struct {
	cfg    Config
	ctx    context.Context
	target target
	wire   *wire
	old    *resumption // of a session to go on with; nil makes a new one

	authenticated bool
	result        *outcome
}

// outcome is what a login came to.
type outcome struct {
	wire     *wire
	self     jid.JID
	features *stanza.Element
	managed  bool   // the server offers stream management
	resumed  bool   // the old session goes on
	handled  uint32 // with resumed: how many stanzas of ours the server has
}

// login connects and logs in; ctx bounds it all. Its errors are typed as those
// of [Events.Lost].
func (c Config) login(ctx context.Context, old *resumption) (*outcome, error) {
	conn, at, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	l := &login{cfg: c, ctx: ctx, target: at, wire: newWire(conn, c), old: old}
	// A context does not end what mellium waits for, a closed socket does.
	stop := context.AfterFunc(ctx, l.wire.cut)
	err = l.negotiate()
	if !stop() {
		l.wire.cut()
		return nil, contextError(ctx, "log in")
	}
	if err != nil {
		l.wire.sayWhy(err)
		l.wire.cut()
		return nil, err
	}
	return l.result, nil
}

// negotiate lets mellium do the talking about streams.
func (l *login) negotiate() error {
	domain, err := melliumjid.New("", l.cfg.Account.Domain(), "")
	if err != nil {
		return fmt.Errorf("domain of the account: %w", err)
	}
	var state mellium.SessionState
	if l.wire.secure {
		state = mellium.Secure
	}
	// No address of ours in the header: the first one may go out unencrypted
	// (RFC 6120 §4.7.1).
	_, err = mellium.NewSession(context.Background(), domain, melliumjid.JID{}, l.wire, state,
		mellium.NewNegotiator(func(s *mellium.Session, _ *mellium.StreamConfig) mellium.StreamConfig {
			if s == nil {
				return mellium.StreamConfig{} // asked before there is a stream
			}
			return mellium.StreamConfig{Features: l.next()}
		}))
	switch {
	case l.wire.err != nil:
		return l.wire.err
	case err != nil:
		return fmt.Errorf("%w: %w", ErrNotXMPP, err)
	case l.result == nil:
		return fmt.Errorf("%w: login led nowhere", ErrNotXMPP)
	}
	return nil
}

// next gives the feature to negotiate on the stream that was just opened, in
// the order of RFC 6120 §13.8.
func (l *login) next() []mellium.StreamFeature {
	offered := l.wire.features
	switch {
	case !l.wire.secure && offered.Child(nsTLS, "starttls") != nil:
		return l.feature(nsTLS, "starttls", mellium.Secure, l.startTLS)
	case !l.wire.secure && l.cfg.RequireEncryption:
		l.wire.fail(ErrEncryptionRequired)
	case !l.authenticated && offered.Child(nsSASL, "mechanisms") != nil:
		return l.feature(nsSASL, "mechanisms", mellium.Authn, l.registerAndAuthenticate)
	case l.authenticated && offered.Child(nsBind, "bind") != nil:
		return l.feature(nsBind, "bind", mellium.Ready, l.begin)
	default:
		l.wire.fail(fmt.Errorf("%w: no feature offered to go on with", ErrNotXMPP))
	}
	return nil
}

// feature makes mellium call do for the feature with this name. Before the
// session is ready, each is followed by a new stream.
func (l *login) feature(space, local string, mask mellium.SessionState, do func() error) []mellium.StreamFeature {
	return []mellium.StreamFeature{{
		Name: xml.Name{Space: space, Local: local},
		Parse: func(_ context.Context, d *xml.Decoder, _ *xml.StartElement) (required bool, data any, err error) {
			return true, nil, d.Skip() // the tree has it already
		},
		Negotiate: func(context.Context, *mellium.Session, any) (mellium.SessionState, io.ReadWriter, error) {
			if err := do(); err != nil {
				l.wire.fail(err)
				return 0, nil, err
			}
			if mask == mellium.Ready {
				return mask, nil, nil
			}
			l.wire.opened = false
			return mask, l.wire, nil
		},
	}}
}

// startTLS encrypts the connection, RFC 6120 §5.4.
func (l *login) startTLS() error {
	answer, err := l.wire.exchange(stanza.New(nsTLS, "starttls"))
	switch {
	case err != nil:
		return err
	case answer.Is(nsTLS, "failure"):
		return fmt.Errorf("%w: refused by the server", ErrTLSFailed)
	case !answer.Is(nsTLS, "proceed"):
		return unexpected(answer)
	case l.wire.in.Buffered() > 0:
		// Anybody on the way could have put it there, and it would be
		// believed to have come encrypted.
		return fmt.Errorf("%w: data between the answer to STARTTLS and the handshake", ErrNotXMPP)
	}
	secure, err := startTLS(l.ctx, l.wire.Conn, l.cfg.tlsConfig(l.target.host))
	if err != nil {
		return err
	}
	l.wire.use(secure)
	return nil
}

// unexpected is the error for an element that does not belong where it came.
func unexpected(e *stanza.Element) error {
	return fmt.Errorf("%w: <%.40s xmlns='%.40s'/> while logging in", ErrNotXMPP, e.Local(), e.Space())
}

// wire is a connection to a server with our reader on it. For mellium it is a
// [net.Conn] from which comes what that reader has admitted: a header and the
// features, for each stream. The reading methods are for one goroutine.
type wire struct {
	net.Conn          // TCP, or TLS on it
	base     net.Conn // TCP
	in       *stanza.Reader
	lastRead atomic.Int64 // [sinceEpoch]
	secure   bool
	trace    tracer
	limits   stanza.Limits
	peer     string // domain that mellium expects in the header

	opened   bool            // header and features of the stream were read
	features *stanza.Element // of the stream
	fed      []byte          // what mellium has yet to read
	err      error           // first failure of a login; final
}

func newWire(conn net.Conn, c Config) *wire {
	w := &wire{base: conn, trace: tracer{c.Log}, limits: c.Limits, peer: c.Account.Domain()}
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		w.base, w.secure = secure.NetConn(), true
	}
	w.Conn = conn
	w.in = stanza.NewReader(source{w}, w.limits)
	return w
}

// use goes on with the TLS connection that now is on the wire.
func (w *wire) use(secure net.Conn) {
	w.Conn, w.secure = secure, true
	w.in = stanza.NewReader(source{w}, w.limits)
}

// source is what the reader reads from; it keeps account of signs of life.
type source struct{ w *wire }

func (s source) Read(p []byte) (int, error) {
	n, err := s.w.Conn.Read(p)
	if n > 0 {
		s.w.lastRead.Store(int64(sinceEpoch()))
	}
	return n, err
}

// cut ends the connection at once. It goes past TLS, whose goodbye could block.
// Any goroutine may call it.
func (w *wire) cut() { w.base.Close() }

// fail notes the first failure of a login and lets mellium read nothing more.
func (w *wire) fail(err error) {
	w.fed = nil
	if w.err == nil {
		w.err = err
	}
}

// Read gives mellium what was admitted.
func (w *wire) Read(p []byte) (int, error) {
	if err := w.admit(); err != nil {
		return 0, err
	}
	n := copy(p, w.fed)
	w.fed = w.fed[n:]
	return n, nil
}

// ReadByte keeps mellium's decoder from reading ahead.
func (w *wire) ReadByte() (byte, error) {
	if err := w.admit(); err != nil {
		return 0, err
	}
	c := w.fed[0]
	w.fed = w.fed[1:]
	return c, nil
}

// Write sends what mellium or one of us has to say before the session is ready.
func (w *wire) Write(p []byte) (int, error) {
	n, err := w.Conn.Write(p)
	if err != nil {
		w.fail(readError(err))
	}
	return n, err
}

// admit sees to it that there is something to read: the beginning of a stream.
func (w *wire) admit() error {
	if w.err == nil && len(w.fed) == 0 && w.opened {
		w.fail(fmt.Errorf("%w: nothing more to negotiate", ErrNotXMPP))
	}
	if w.err != nil || len(w.fed) > 0 {
		return w.err
	}
	if err := w.open(); err != nil {
		w.fail(err)
	}
	return w.err
}

// open reads the server's header and features, RFC 6120 §4.2 and §4.3.2.
func (w *wire) open() error {
	header, err := w.in.Open()
	if err != nil {
		return readError(err)
	}
	w.trace.received(header)
	if !header.Is(stanza.NSStream, "stream") {
		return fmt.Errorf("%w: %w", ErrNotXMPP, &stanza.SyntaxError{Condition: "invalid-namespace", What: "stream header"})
	}
	features, err := w.next()
	if err != nil {
		return err
	}
	if major, _, _ := strings.Cut(header.Attr("version"), "."); !atLeastOne(major) {
		return fmt.Errorf("%w: %w", ErrNotXMPP, &stanza.SyntaxError{Condition: "unsupported-version", What: header.Attr("version")})
	}
	if !features.Is(stanza.NSStream, "features") {
		return unexpected(features)
	}
	w.features, w.opened = features, true
	// mellium wants the header to have an id and no other sender than whom
	// it named; neither matters to us, and old servers differ.
	w.fed = stanza.New("", "stream:stream", stanza.A("xmlns", stanza.NSClient), stanza.A("xmlns:stream", stanza.NSStream),
		stanza.A("from", w.peer), stanza.A("id", "-"), stanza.A("version", "1.0")).AppendOpen(w.fed[:0], "")
	w.fed = features.AppendXML(w.fed, stanza.NSClient)
	return nil
}

func atLeastOne(version string) bool {
	n, err := strconv.Atoi(version)
	return err == nil && n >= 1
}

// next reads the next element of the stream.
func (w *wire) next() (*stanza.Element, error) {
	e, err := w.in.Next()
	if err != nil {
		return nil, readError(err)
	}
	w.trace.received(e)
	if e.Is(stanza.NSStream, "error") {
		return nil, parseStreamError(e)
	}
	return e, nil
}

// exchange writes one element and reads the next; only before the session is
// ready.
func (w *wire) exchange(e *stanza.Element) (*stanza.Element, error) {
	w.trace.sent(e)
	if _, err := w.Write(e.AppendXML(nil, stanza.NSClient)); err != nil {
		return nil, w.err
	}
	return w.next()
}

// maxStray bounds what a server may send before it answers an IQ while
// logging in.
const maxStray = 32

// ask sends an IQ and reads up to its answer, before the session is ready. An
// answer of type "error" is a [*stanza.Error].
func (w *wire) ask(iq *stanza.Element) (*stanza.Element, error) {
	e, err := w.exchange(iq)
	for range maxStray {
		if err != nil {
			return nil, err
		}
		if e.Is(stanza.NSClient, "iq") && e.Attr("id") == iq.Attr("id") {
			switch e.Attr("type") {
			case "result":
				return e, nil
			case "error":
				return nil, stanza.ErrorOf(e)
			}
		}
		e, err = w.next()
	}
	return nil, unexpected(e)
}

// goodbyeTimeout bounds how long a last word may take to get out.
const goodbyeTimeout = 2 * time.Second

// sayWhy tells the server what was wrong with what it sent, if that was it.
func (w *wire) sayWhy(err error) {
	if last := lastWords(err); last != nil {
		w.base.SetWriteDeadline(time.Now().Add(goodbyeTimeout))
		w.Conn.Write(last)
	}
}

// closeTag ends our side of the stream.
const closeTag = "</stream:stream>"

// lastWords is the stream error that an error in the server's stream has to be
// answered with, RFC 6120 §4.9; nil if the error is of another kind.
func lastWords(err error) []byte {
	var fault interface{ StreamCondition() string }
	if !errors.As(err, &fault) {
		return nil
	}
	return fmt.Appendf(nil, "<stream:error><%s xmlns='%s'/></stream:error>%s", fault.StreamCondition(), nsStreams, closeTag)
}
