package amp

import (
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

func TestImmediate(t *testing.T) {
	want, err := stanza.Parse(`<amp xmlns='http://jabber.org/protocol/amp'>` +
		`<rule condition='deliver-at' value='stored' action='error'/>` +
		`<rule condition='match-resource' value='exact' action='error'/></amp>`)
	if err != nil {
		t.Fatal(err)
	}
	if !Immediate.Equal(want) {
		t.Errorf("got  %s\nwant %s", Immediate, want)
	}
}
