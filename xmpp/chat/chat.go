// Package chat is the wire format of what people write to each other, alone or
// in a room: messages (RFC 6121 §5), when they were written (XEP-0203), what
// the other is doing (XEP-0085) and whether it arrived (XEP-0184). All
// functions are pure.
package chat

import (
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Type says what kind of conversation a message belongs to, RFC 6121 §5.2.2.
type Type string

// The types of messages.
const (
	Normal    Type = "normal"
	Chat      Type = "chat"
	Groupchat Type = "groupchat"
	Headline  Type = "headline"
	Failed    Type = "error" // a message of ours that comes back
)

// Message is what a message says to its reader. What else may be in the stanza
// is for those who know its namespace.
type Message struct {
	From    jid.JID // zero: our own account
	Type    Type
	ID      string
	Body    string
	HasBody bool // there is a body, which may be empty

	Delayed bool      // it was kept somewhere on the way
	Stamp   time.Time // of a delayed one; zero if that cannot be read

	State        State  // what the sender is doing now, "" if it does not say
	WantsReceipt bool   // see [Receipt]
	Received     string // id of the message of ours whose arrival this confirms, or ""

	Err *stanza.Error // why it comes back, if that is its type
}

// Parse reads a message. The time that by states counts before what others
// state; by is the room or, for messages between two, zero.
//
// It is none if it wraps the copy of another (XEP-0280): nobody has asked for
// copies, so it is a stranger's forgery.
func Parse(e *stanza.Element, by jid.JID) (Message, bool) {
	if !e.Is(stanza.NSClient, "message") || isCopy(e) {
		return Message{}, false
	}
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil && e.Attr("from") != "" {
		return Message{}, false
	}
	m := Message{From: from, Type: typeOf(e), ID: e.Attr("id"), State: parseState(e)}
	if body := body(e); body != nil {
		m.HasBody, m.Body = true, body.Text()
	}
	m.Stamp, m.Delayed = parseDelay(e, by)
	switch m.Type {
	case Failed:
		m.Err = stanza.ErrorOf(e)
	case Normal, Chat, Headline: // a room's occupants confirm nothing, XEP-0184 §5.3
		m.WantsReceipt = m.ID != "" && e.Child(NSReceipts, "request") != nil
		m.Received = e.Child(NSReceipts, "received").Attr("id")
	}
	return m, true
}

// Build builds a message with a body.
func Build(to jid.JID, typ Type, id, body string, parts ...stanza.Part) *stanza.Element {
	return BuildBare(to, typ, id, append([]stanza.Part{stanza.New(stanza.NSClient, "body", stanza.Text(body))}, parts...)...)
}

// BuildBare builds a message without a body.
func BuildBare(to jid.JID, typ Type, id string, parts ...stanza.Part) *stanza.Element {
	head := []stanza.Part{stanza.A("to", to.String()), stanza.A("type", string(typ)), stanza.A("id", id)}
	return stanza.New(stanza.NSClient, "message", append(head, parts...)...)
}

// typeOf reads the type; an unknown one is a normal message.
func typeOf(e *stanza.Element) Type {
	switch t := Type(e.Attr("type")); t {
	case Chat, Groupchat, Headline, Failed:
		return t
	}
	return Normal
}

// body finds the text, the one without language before others (RFC 6121
// §5.2.3).
func body(e *stanza.Element) *stanza.Element {
	var first *stanza.Element
	for b := range e.Each(stanza.NSClient, "body") {
		if b.Attr("xml:lang") == "" {
			return b
		}
		if first == nil {
			first = b
		}
	}
	return first
}

// nsCarbons is the namespace of copies, XEP-0280.
const nsCarbons = "urn:xmpp:carbons:2"

func isCopy(e *stanza.Element) bool {
	return e.Child(nsCarbons, "received") != nil || e.Child(nsCarbons, "sent") != nil
}
