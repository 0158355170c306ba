package olpc

import (
	"strings"
	"testing"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)

// checkXML compares what was built with what the protocol says.
func checkXML(t *testing.T, got *stanza.Element, want string) {
	t.Helper()
	if !got.Equal(parse(t, want)) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNotifyFeatures(t *testing.T) {
	for _, f := range NotifyFeatures() {
		if !strings.HasPrefix(f, "http://laptop.org/xmpp/") || !strings.HasSuffix(f, "+notify") {
			t.Errorf("feature %q", f)
		}
	}
	if n := len(NotifyFeatures()); n != 4 {
		t.Errorf("%d features", n)
	}
}

func TestParseRoom(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"as Sugar writes it", "46f0e2e659383f88@conference.schoolserver.test", "46f0e2e659383f88@conference.schoolserver.test"},
		{"letters are folded", "ABC@Conference.school.test", "abc@conference.school.test"},
		{"not ASCII", "straße@rooms.school.test", "straße@rooms.school.test"},
		{"none", "", ""},
		{"no local part", "conference.school.test", ""},
		{"empty local part", "@conference.school.test", ""},
		{"an occupant", "abc@conference.school.test/Ada", ""},
		{"empty resource", "abc@conference.school.test/", ""},
		{"not an address", "a b@c", ""},
		{"control character", "a\x01@c", ""},
		{"too long", strings.Repeat("a", 1024) + "@c", ""},
	} {
		if got := parseRoom(c.in).String(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

// Where the short way is taken it must give what the long one gives.
func FuzzParseRoom(f *testing.F) {
	for _, s := range []string{"a@b", "a..b@c", "a@b.", "-@-", "a@@b", "@", "xn--a@xn--b", "a@xn--80ak6aa92e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got := parseRoom(in)
		if !got.IsZero() && (got.Local() == "" || !got.IsBare()) {
			t.Fatalf("%q gave %q", in, got)
		}
		if strict, err := jid.Parse(in); isPrepared(in) && err == nil && strict.Local() != "" && strict != got {
			t.Fatalf("%q gave %q instead of %q", in, got, strict)
		}
		if again := parseRoom(got.String()); again != got {
			t.Fatalf("%q gave %q, which gives %q", in, got, again)
		}
	})
}
