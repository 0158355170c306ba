// Package xmpptest makes values of text for tests.
package xmpptest

import (
	"testing"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// JID reads an address as one that a server has sent.
func JID(t testing.TB, s string) jid.JID {
	t.Helper()
	j, err := jid.ParseLenient(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// Element reads an element with all that is in it.
func Element(t testing.TB, xml string) *stanza.Element {
	t.Helper()
	e, err := stanza.Parse(xml)
	if err != nil {
		t.Fatalf("parse %.200s: %v", xml, err)
	}
	return e
}
