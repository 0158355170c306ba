package blocking

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// commands is the blocking command, XEP-0191.
type commands struct{ asker Asker }

func (c *commands) fetch(done func([]jid.JID, error)) {
	get := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.New(NS, "blocklist"))
	c.asker.Ask(get, func(reply *stanza.Element, err error) {
		done(parseItems(reply.Child(NS, "blocklist")), err)
	})
}

func (c *commands) edit(who []jid.JID, block bool, done func([]jid.JID, error)) {
	command := "unblock"
	if block {
		command = "block"
	}
	items := make([]stanza.Part, len(who))
	for i, w := range who {
		items[i] = stanza.New(NS, "item", stanza.A("jid", w.String()))
	}
	set := stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.New(NS, command, items...))
	c.asker.Ask(set, func(_ *stanza.Element, err error) { done(nil, err) })
}

// parseItems reads the addresses of a list or a command. Those that are no
// addresses are passed over, and so is what is over the limit.
func parseItems(e *stanza.Element) []jid.JID {
	var list []jid.JID
	for item := range e.Each(NS, "item") {
		if len(list) == maxEntries {
			break
		}
		if who, err := jid.ParseLenient(item.Attr("jid")); err == nil {
			list = append(list, who)
		}
	}
	return list
}
