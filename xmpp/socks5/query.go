package socks5

import (
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"strconv"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of the stanzas, XEP-0065.
const NS = "http://jabber.org/protocol/bytestreams"

const (
	maxSID   = 256 // bytes of a stream's id, as of its offer
	maxHosts = 24  // of one query; gabble names all its addresses and four relays
	maxHost  = 255 // bytes of a host's name
)

// What is wrong with a stanza.
var (
	ErrMalformed = errors.New("bytestreams query is malformed")
	ErrNoHost    = errors.New("no usable streamhost")
)

// StreamHost is somewhere to connect to.
type StreamHost struct {
	JID  jid.JID
	Host string // name or address
	Port uint16
}

// element builds what [parseHost] reads.
func (h StreamHost) element() *stanza.Element {
	return stanza.New(NS, "streamhost", stanza.A("jid", h.JID.String()), stanza.A("host", h.Host),
		stanza.A("port", strconv.Itoa(int(h.Port))))
}

// parseHost reads <streamhost/>.
func parseHost(e *stanza.Element) (StreamHost, bool) {
	who, err := jid.ParseLenient(e.Attr("jid"))
	port, portErr := strconv.ParseUint(e.Attr("port"), 10, 16)
	host := e.Attr("host")
	ok := err == nil && portErr == nil && port != 0 && host != "" && len(host) <= maxHost
	return StreamHost{who, host, uint16(port)}, ok
}

// Query tells the target where the initiator, and relays, can be reached.
type Query struct {
	SID   string
	Hosts []StreamHost
}

// ParseQuery reads the initiator's query, XEP-0065 §5.3.1. Streamhosts that
// cannot be used are left out.
func ParseQuery(e *stanza.Element) (Query, error) {
	q := Query{SID: e.Attr("sid")}
	if mode := e.Attr("mode"); q.SID == "" || len(q.SID) > maxSID || mode != "" && mode != "tcp" {
		return Query{}, ErrMalformed
	}
	for h := range e.Each(NS, "streamhost") {
		if host, ok := parseHost(h); ok && len(q.Hosts) < maxHosts {
			q.Hosts = append(q.Hosts, host)
		}
	}
	return q, nil
}

// Element builds what [ParseQuery] reads.
func (q Query) Element() *stanza.Element {
	parts := []stanza.Part{stanza.A("sid", q.SID), stanza.A("mode", "tcp")}
	for _, h := range q.Hosts {
		parts = append(parts, h.element())
	}
	return stanza.New(NS, "query", parts...)
}

// Used builds the target's answer: whom it is connected with.
func Used(sid string, host jid.JID) *stanza.Element {
	return stanza.New(NS, "query", stanza.A("sid", sid), stanza.New(NS, "streamhost-used", stanza.A("jid", host.String())))
}

// ParseUsed reads the target's answer.
func ParseUsed(e *stanza.Element) (jid.JID, error) {
	who, err := jid.ParseLenient(e.Child(NS, "streamhost-used").Attr("jid"))
	if err != nil {
		return jid.JID{}, ErrMalformed
	}
	return who, nil
}

// AskAddress builds the question to a relay for its streamhost, XEP-0065 §4.
func AskAddress() *stanza.Element { return stanza.New(NS, "query") }

// ParseAddress reads the relay's answer; whatever address it names, the relay
// speaks for itself alone.
func ParseAddress(e *stanza.Element, relay jid.JID) (StreamHost, error) {
	for h := range e.Each(NS, "streamhost") {
		if host, ok := parseHost(h); ok {
			host.JID = relay
			return host, nil
		}
	}
	return StreamHost{}, ErrNoHost
}

// Activate builds the request to a relay to pass on bytes, XEP-0065 §6.3.5.
func Activate(sid string, target jid.JID) *stanza.Element {
	return stanza.New(NS, "query", stanza.A("sid", sid), stanza.New(NS, "activate", stanza.Text(target.String())))
}

// Hash is what stands for the stream where SOCKS5 wants a host, XEP-0065
// §5.3.2. In rooms both are occupants' addresses.
func Hash(sid string, initiator, target jid.JID) string {
	sum := sha1.Sum([]byte(sid + initiator.String() + target.String()))
	return hex.EncodeToString(sum[:])
}
