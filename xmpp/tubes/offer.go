package tubes

import (
	"telepathy-olpc/xmpp/amp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// BuildOffer returns the message that offers a stream tube to a device of a
// contact. D-Bus tubes are offered as streams are, see [Payload].
func BuildOffer(to jid.JID, t Tube) *stanza.Element {
	return message(to, t.Element())
}

// ParseOffer reads the tube that a message offers. A D-Bus tube in a message is
// a mistake that is answered with [BuildClose].
func ParseOffer(message *stanza.Element) (Tube, bool) {
	if !isMessage(message) {
		return Tube{}, false
	}
	t, _, ok := parseTube(message.Child(NS, "tube"), olpc.MaxPropertiesBytes)
	return t, ok
}

// BuildClose returns the message that ends a stream tube with a contact, also
// before it was accepted. The number is said twice: telepathy-gabble reads it in
// id since 0.17, and in tube, where its writer puts it, before.
func BuildClose(to jid.JID, id uint32) *stanza.Element {
	return message(to, stanza.New(NS, "close", stanza.A("tube", formatID(id)), stanza.A("id", formatID(id))))
}

// ParseClose reads the number of the tube that a message ends.
func ParseClose(message *stanza.Element) (uint32, bool) {
	e := message.Child(NS, "close")
	if e == nil || !isMessage(message) {
		return 0, false
	}
	if id, ok := parseID(e.Attr("tube")); ok {
		return id, true
	}
	return parseID(e.Attr("id"))
}

func message(to jid.JID, e *stanza.Element) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()), e, amp.Immediate)
}

// isMessage leaves out messages that come back as an error, which carry our own
// words, and those to a room, in which nobody is offered anything.
func isMessage(e *stanza.Element) bool {
	return e.Is(stanza.NSClient, "message") && e.Attr("type") != "error" && e.Attr("type") != "groupchat"
}
