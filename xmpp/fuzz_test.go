package xmpp

import (
	"strings"
	"testing"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// FuzzReceived asserts that whatever a server sends to a session is handled,
// and that results and errors are never answered.
func FuzzReceived(f *testing.F) {
	for _, s := range []string{
		"<iq type='get' id='1' from='a@b/c'><ping xmlns='urn:xmpp:ping'/></iq>", "<iq type='set' id='1'><x xmlns='y'/></iq>",
		"<iq type='result' id='1'/>", "<iq type='error' from='a'/>", "<iq/>", "<message from='@'/>", "<presence/>",
		enabled + "<r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>", "<a xmlns='urn:xmpp:sm:3' h='99999999999'/>",
		"<failed xmlns='urn:xmpp:sm:3'/>", "<stream:error><conflict xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		s := NewSession(Config{}, loop.New(loop.Config{}), Events{})
		s.phase = online
		s.self, _ = jid.ParseLenient("ana@school.test/sugar")
		s.link = newLink(&wire{trace: tracer{s.cfg.Log}}, 0)
		s.enableManagement()
		r := stanza.NewReader(strings.NewReader(in), smallLimits)
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			before := len(s.link.out.buf)
			s.received(s.link, e)
			typ := e.Attr("type")
			if said := string(s.link.out.buf[before:]); e.Is(stanza.NSClient, "iq") && (typ == "result" || typ == "error") && strings.Contains(said, "<iq") {
				t.Errorf("%s was answered with %s", e, said)
			}
		}
	})
}
