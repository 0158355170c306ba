package xmpp

import (
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

func TestSession_logsInSendsAndReceives(t *testing.T) {
	c, p := loggedIn(t, nil)
	c.on(func() { c.Send(stanza.New(stanza.NSClient, "presence")) })
	p.read(stanza.NSClient, "presence")
	p.send("<message from='bob@school.test/x'><body>Hi</body></message>")
	if e := c.next(); e.stanza.Child(stanza.NSClient, "body").Text() != "Hi" {
		t.Errorf("got %+v", e)
	}
	c.on(func() {
		if c.Self().String() != "ana@school.test/sugar" || c.Features().Child(nsBind, "bind") == nil {
			t.Errorf("self %v, features %v", c.Self(), c.Features())
		}
	})
}
