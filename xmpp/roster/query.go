package roster

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// getQuery builds the request for the roster.
func getQuery(cached *Cached) *stanza.Element {
	query := stanza.New(NS, "query")
	if cached != nil {
		query = stanza.New(NS, "query", stanza.A("ver", cached.Version))
		if cached.Version == "" {
			query = firstTime
		}
	}
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), query)
}

// firstTime asks for a roster with versions while there is none yet: the
// version is there and empty, RFC 6121 §2.6.2.
var firstTime, _ = stanza.Parse("<query xmlns='" + NS + "' ver=''/>")

// SetQuery builds the request to add a contact or to change its name and
// groups, the only parts that a client decides (RFC 6121 §2.3, §2.4).
func SetQuery(who jid.JID, name string, groups []string) *stanza.Element {
	parts := []stanza.Part{stanza.A("jid", who.Bare().String()), stanza.A("name", name)}
	for _, g := range groups {
		parts = append(parts, stanza.New(NS, "group", stanza.Text(g)))
	}
	return set(parts...)
}

// RemoveQuery builds the request to remove a contact, which ends both
// subscriptions (RFC 6121 §2.5).
func RemoveQuery(who jid.JID) *stanza.Element {
	return set(stanza.A("jid", who.Bare().String()), stanza.A("subscription", "remove"))
}

func set(item ...stanza.Part) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.New(NS, "query", stanza.New(NS, "item", item...)))
}

// Subscribe asks a contact to let us see its presence, with words for the
// person there, which may be none (RFC 6121 §3.1.1).
func Subscribe(to jid.JID, message string) *stanza.Element {
	if message == "" {
		return subscription("subscribe", to)
	}
	return subscription("subscribe", to).With(stanza.New(stanza.NSClient, "status", stanza.Text(message)))
}

// Subscribed lets a contact see our presence, also before it asks, if the
// server knows how (RFC 6121 §3.1.4, §3.4).
func Subscribed(to jid.JID) *stanza.Element { return subscription("subscribed", to) }

// Unsubscribe ends our seeing a contact's presence (RFC 6121 §3.3.1).
func Unsubscribe(to jid.JID) *stanza.Element { return subscription("unsubscribe", to) }

// Unsubscribed refuses, or ends, a contact's seeing ours (RFC 6121 §3.2.1).
func Unsubscribed(to jid.JID) *stanza.Element { return subscription("unsubscribed", to) }

func subscription(typ string, to jid.JID) *stanza.Element {
	return stanza.New(stanza.NSClient, "presence", stanza.A("type", typ), stanza.A("to", to.Bare().String()))
}
