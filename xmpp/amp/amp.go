// Package amp is the one use that tubes make of Advanced Message Processing,
// XEP-0079: what is said to a tube is for now and for one device.
package amp

import "telepathy-olpc/xmpp/stanza"

// NS is the namespace of XEP-0079.
const NS = "http://jabber.org/protocol/amp"

// Immediate asks servers, in a message, not to keep it for later and not to
// hand it to another resource than the one it is for, but to answer with an
// error. Servers without the extension pass it over.
var Immediate = stanza.New(NS, "amp",
	rule("deliver-at", "stored"),
	rule("match-resource", "exact"))

func rule(condition, value string) *stanza.Element {
	return stanza.New(NS, "rule", stanza.A("condition", condition), stanza.A("value", value), stanza.A("action", "error"))
}
