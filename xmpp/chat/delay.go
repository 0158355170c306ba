package chat

import (
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of XEP-0203 and of XEP-0091, which it replaced.
const (
	nsDelay       = "urn:xmpp:delay"
	nsLegacyDelay = "jabber:x:delay"
)

// parseDelay tells whether a message was kept on its way, and since when. A
// statement of by goes before others, a newer form before the old one. A stamp
// that cannot be read still tells that the message is not new.
func parseDelay(e *stanza.Element, by jid.JID) (stamp time.Time, delayed bool) {
	rank := -1
	for _, c := range e.Children() {
		if !c.Is(nsDelay, "delay") && !c.Is(nsLegacyDelay, "x") {
			continue
		}
		delayed = true
		t, err := parseStamp(c)
		if r := rankOf(c, by); err == nil && r > rank {
			stamp, rank = t, r
		}
	}
	return stamp, delayed
}

func rankOf(delay *stanza.Element, by jid.JID) (rank int) {
	if delay.Space() == nsDelay {
		rank++
	}
	if !by.IsZero() && delay.Attr("from") == by.String() {
		rank += 2
	}
	return rank
}

// parseStamp reads the time, as XEP-0082 §3.2 or XEP-0091 §2 write it.
func parseStamp(delay *stanza.Element) (time.Time, error) {
	layout := time.RFC3339
	if delay.Space() == nsLegacyDelay {
		layout = "20060102T15:04:05"
	}
	t, err := time.Parse(layout, delay.Attr("stamp"))
	return t.UTC(), err
}
