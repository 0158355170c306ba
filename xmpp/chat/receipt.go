package chat

import "telepathy-olpc/xmpp/stanza"

// NSReceipts is the namespace, and the feature, of receipts, XEP-0184.
const NSReceipts = "urn:xmpp:receipts"

// ReceiptRequest returns the child that asks for a receipt. The message needs
// an id, and must not go to a room (XEP-0184 §5.3).
func ReceiptRequest() *stanza.Element { return stanza.New(NSReceipts, "request") }

// Receipt builds the confirmation that a message arrived, for a message that
// wants one. Whom we tell that we are on-line is the caller's concern
// (XEP-0184 §9).
func Receipt(m Message) *stanza.Element {
	return BuildBare(m.From, m.Type, "", stanza.New(NSReceipts, "received", stanza.A("id", m.ID)))
}
