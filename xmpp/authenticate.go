package xmpp

import (
	"crypto/tls"
	"encoding/base64"
	"fmt"

	"telepathy-olpc/xmpp/stanza"
)

// registerAndAuthenticate makes the account if that is wanted, and logs in to
// it on the same stream, with the features that were offered before.
func (l *login) registerAndAuthenticate() error {
	if l.cfg.Register && l.old == nil {
		if err := l.register(); err != nil {
			return err
		}
	}
	if err := l.authenticate(); err != nil {
		return err
	}
	l.authenticated = true
	return nil
}

// authenticate is RFC 6120 §6.4.
func (l *login) authenticate() error {
	var offered []string
	for m := range l.wire.features.Child(nsSASL, "mechanisms").Each(nsSASL, "mechanism") {
		offered = append(offered, m.Text())
	}
	state, bindings := l.channelBinding()
	mechanism, err := chooseMechanism(offered, l.wire.secure, l.cfg, state, bindings...)
	if err != nil {
		return err
	}
	l.cfg.Log.WithField("mechanism", mechanism.Name).Debug("Logging in")
	exchange, initial, err := l.cfg.startSASL(mechanism)
	if err != nil {
		return err
	}
	auth := stanza.New(nsSASL, "auth", stanza.A("mechanism", mechanism.Name), stanza.Text(encodeSASL(initial)))
	for {
		answer, err := l.wire.exchange(auth)
		if err != nil {
			return err
		}
		switch {
		case answer.Is(nsSASL, "challenge"):
			response, err := l.respond(exchange, answer)
			if err != nil {
				return err
			}
			auth = stanza.New(nsSASL, "response", stanza.Text(base64.StdEncoding.EncodeToString(response)))
		case answer.Is(nsSASL, "success"):
			data, err := decodeSASL(answer)
			if err != nil {
				return err
			}
			return exchange.success(data)
		case answer.Is(nsSASL, "failure"):
			return parseSASLFailure(answer)
		default:
			return unexpected(answer)
		}
	}
}

// respond answers a challenge, or takes back the login, RFC 6120 §6.4.4.
func (l *login) respond(exchange *saslExchange, challenge *stanza.Element) ([]byte, error) {
	data, err := decodeSASL(challenge)
	if err == nil {
		data, err = exchange.challenge(data)
	}
	if err != nil {
		l.wire.Conn.Write(stanza.New(nsSASL, "abort").AppendXML(nil, stanza.NSClient))
	}
	return data, err
}

// channelBinding returns the TLS connection that SASL may be bound to, if
// there is one, and the types of binding that the server lists, XEP-0440 §3.
func (l *login) channelBinding() (state *tls.ConnectionState, listed []string) {
	if secure, ok := l.wire.Conn.(*tls.Conn); ok {
		cs := secure.ConnectionState()
		state = &cs
	}
	for b := range l.wire.features.Child(nsBinding, "sasl-channel-binding").Each(nsBinding, "channel-binding") {
		listed = append(listed, b.Attr("type"))
	}
	return state, listed
}

// encodeSASL encodes an initial response, of which an empty one is "=", RFC
// 6120 §6.4.2.
func encodeSASL(data []byte) string {
	if len(data) == 0 {
		return "="
	}
	return base64.StdEncoding.EncodeToString(data)
}

// decodeSASL reads the content of a challenge or success.
func decodeSASL(e *stanza.Element) ([]byte, error) {
	text := e.Text()
	if text == "=" {
		return nil, nil
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: SASL data is not base64", ErrNotXMPP)
	}
	return data, nil
}

// parseSASLFailure reads <failure/>, RFC 6120 §6.5.
func parseSASLFailure(e *stanza.Element) *SASLError {
	failure := &SASLError{Condition: conditionNotAuthorized}
	for _, c := range e.Children() {
		if c.Is(nsSASL, "text") {
			failure.Text = c.Text()
		} else {
			failure.Condition = c.Local()
		}
	}
	return failure
}
