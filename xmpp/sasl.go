package xmpp

import (
	"crypto/tls"
	"slices"
	"strings"

	"mellium.im/sasl"
)

// SASLError is a login that failed: the server's refusal, RFC 6120 §6.5, or,
// with [conditionAborted], ours of what the server sent.
type SASLError struct {
	Condition string // "not-authorized", "account-disabled", …
	Text      string
}

func (e *SASLError) Error() string { return describe("authenticate", e.Condition, e.Text) }

// The conditions of RFC 6120 §6.5 that we raise ourselves. All say that trying
// again would not help.
const (
	conditionNotAuthorized    = "not-authorized"    // the server's refusal in SCRAM's own words
	conditionAborted          = "aborted"           // the server's part of the exchange is wrong
	conditionInvalidMechanism = "invalid-mechanism" // nothing offered that we do
)

// aborted is our own end to an exchange.
func aborted(why string) error { return &SASLError{Condition: conditionAborted, Text: why} }

// plusSuffix ends the names of the mechanisms with channel binding, RFC 5802 §4.
const plusSuffix = "-PLUS"

// exporterType is the channel binding that we know, RFC 9266 §2.
const exporterType = "tls-exporter"

// chooseMechanism takes the best of the offered mechanisms: channel binding
// before none, then the stronger hash, PLAIN last. On a link without TLS it
// takes anything only if the account does not require encryption.
//
// cb is the TLS connection to bind to, nil without TLS. bindings are the types
// that the server lists (XEP-0440 §3); only with "tls-exporter" among them is a
// -PLUS mechanism chosen. ejabberd before 23.10 lists none, offers -PLUS over
// TLS 1.3 and then knows nothing but tls-unique, which TLS 1.3 does not have.
// The result may be used for one exchange on that connection.
func chooseMechanism(offered []string, encrypted bool, c Config, cb *tls.ConnectionState, bindings ...string) (sasl.Mechanism, error) {
	if !encrypted && c.RequireEncryption {
		return sasl.Mechanism{}, ErrEncryptionRequired
	}
	exporter := exporterBinding(cb)
	if exporter != nil && slices.Contains(bindings, exporterType) {
		bind := gs2{flag: "p=" + exporterType, binding: exporter}
		for _, h := range scramHashes {
			if name := h.name + plusSuffix; slices.Contains(offered, name) {
				return scram(name, h.new, bind), nil
			}
		}
	}
	for _, h := range scramHashes {
		if slices.Contains(offered, h.name) {
			return scram(h.name, h.new, gs2{flag: unboundFlag(offered, exporter != nil)}), nil
		}
	}
	if slices.Contains(offered, sasl.Plain.Name) {
		return sasl.Plain, nil
	}
	return sasl.Mechanism{}, &SASLError{Condition: conditionInvalidMechanism, Text: "server offers no mechanism that we know"}
}

// unboundFlag says to the server why there is no channel binding, RFC 5802 §6:
// "y" if we could have and were not offered any, which lets a server that did
// offer it notice that somebody took the offer away; "n" if we could not do
// what it offers.
func unboundFlag(offered []string, able bool) string {
	isPlus := func(name string) bool { return strings.HasSuffix(name, plusSuffix) }
	if able && !slices.ContainsFunc(offered, isPlus) {
		return "y"
	}
	return "n"
}

// exporterBinding is the data of [exporterType], nil if the connection has none. Before TLS 1.3 it would be safe only with the
// extended master secret, and tls-unique is broken without it (RFC 9266 §1), so
// there we bind nothing.
func exporterBinding(cb *tls.ConnectionState) []byte {
	const label, size = "EXPORTER-Channel-Binding", 32
	if cb == nil || cb.Version < tls.VersionTLS13 {
		return nil
	}
	data, err := cb.ExportKeyingMaterial(label, nil, size)
	if err != nil {
		return nil // no binding is a lesser login, not a failed one
	}
	return data
}

// saslExchange is the client's side of one login, RFC 6120 §6.4, without its
// XML and base64. After an error it must not be used again.
type saslExchange struct {
	negotiator *sasl.Negotiator
	more       bool // the mechanism waits for something from the server
}

// startSASL begins an exchange and gives the initial response for <auth/>.
func (c Config) startSASL(m sasl.Mechanism) (*saslExchange, []byte, error) {
	credentials := func() (username, password, identity []byte) {
		return []byte(c.Account.Local()), []byte(c.Password.Reveal()), nil
	}
	e := &saslExchange{negotiator: sasl.NewClient(m, sasl.Credentials(credentials)), more: true}
	initial, err := e.step(nil)
	return e, initial, err
}

// challenge answers a <challenge/>.
func (e *saslExchange) challenge(data []byte) (response []byte, err error) {
	if !e.more {
		return nil, aborted("challenge after the end of the exchange")
	}
	return e.step(data)
}

// success takes the content of <success/>. An error means that the server did
// not prove who it is and that the login must not be believed.
func (e *saslExchange) success(data []byte) error {
	if !e.more {
		return nil
	}
	if _, err := e.step(data); err != nil {
		return err
	}
	if e.more {
		return aborted("success in the middle of the exchange")
	}
	return nil
}

func (e *saslExchange) step(data []byte) (response []byte, err error) {
	e.more, response, err = e.negotiator.Step(data)
	return response, err
}
