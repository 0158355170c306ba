package pep

import (
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// NodeNick is the node, and the namespace, of a person's name, XEP-0172.
const NodeNick = "http://jabber.org/protocol/nick"

// maxNick is the longest name that is taken for one, as long as the longest
// that can be had in a room (RFC 7622 §3.4).
const maxNick = 1023

// BuildNick returns the payload of [NodeNick]; the empty name takes the last
// one back.
func BuildNick(name string) *stanza.Element {
	return stanza.New(NodeNick, "nick", stanza.Text(name))
}

// ParseNick reads the payload of [NodeNick], which is also a child of presence
// and messages. It tells whether there is one, which may be empty.
func ParseNick(nick *stanza.Element) (string, bool) {
	name := strings.TrimSpace(nick.Text())
	if !nick.Is(NodeNick, "nick") || len(name) > maxNick {
		return "", false
	}
	return name, true
}
