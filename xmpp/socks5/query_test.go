package socks5

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

var byValue = cmp.AllowUnexported(jid.JID{})

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)

func query(attrs, hosts string) string {
	return `<query xmlns='http://jabber.org/protocol/bytestreams' ` + attrs + `>` + hosts + `</query>`
}

func TestParseQuery(t *testing.T) {
	requester := addr(t, "requester@example.com/foo")
	for _, c := range []struct {
		name, in string
		want     Query
		err      error
	}{
		{"XEP-0065 example 2", query("sid='vxf9n471bn46'", `<streamhost host='192.168.4.1' jid='requester@example.com/foo' port='5086'/>`),
			Query{"vxf9n471bn46", []StreamHost{{requester, "192.168.4.1", 5086}}}, nil},
		{"with mode and a relay", query("sid='a' mode='tcp'", `<other xmlns='x'/><streamhost host='fd00::2' jid='requester@example.com/foo' port='1'/><streamhost host='streamer.example.com' jid='streamer.example.com' port='7625'/>`),
			Query{"a", []StreamHost{{requester, "fd00::2", 1}, {addr(t, "streamer.example.com"), "streamer.example.com", 7625}}}, nil},
		{"over datagrams", query("sid='a' mode='udp'", ""), Query{}, ErrMalformed},
		{"without id", query("", ""), Query{}, ErrMalformed},
		{"long id", query("sid='"+strings.Repeat("a", maxSID+1)+"'", ""), Query{}, ErrMalformed},
		{"nothing usable", query("sid='a'", `<streamhost/><streamhost host='a' jid='b' port='0'/><streamhost host='a' jid='b' port='65536'/><streamhost host='a' jid='b'/><streamhost host='' jid='b' port='1'/><streamhost host='a' jid='@' port='1'/><streamhost host='`+strings.Repeat("a", 256)+`' jid='b' port='1'/>`),
			Query{SID: "a"}, nil},
	} {
		got, err := ParseQuery(parse(t, c.in))
		if err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got, byValue); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	many := strings.Repeat(`<streamhost host='a' jid='b' port='1'/>`, 1000)
	if q, err := ParseQuery(parse(t, query("sid='a'", many))); err != nil || len(q.Hosts) != maxHosts {
		t.Errorf("%d of 1000, %v", len(q.Hosts), err)
	}
}

func TestBuild(t *testing.T) {
	host := StreamHost{addr(t, "requester@example.com/foo"), "192.168.4.1", 5086}
	for _, c := range []struct {
		name string
		got  *stanza.Element
		want string
	}{
		{"query", Query{"vxf9n471bn46", []StreamHost{host}}.Element(), query("sid='vxf9n471bn46' mode='tcp'", `<streamhost xmlns='http://jabber.org/protocol/bytestreams' host='192.168.4.1' jid='requester@example.com/foo' port='5086'/>`)},
		{"XEP-0065 example 6", Used("vxf9n471bn46", host.JID), query("sid='vxf9n471bn46'", `<streamhost-used jid='requester@example.com/foo'/>`)},
		{"XEP-0065 example 21", AskAddress(), query("", "")},
		{"XEP-0065 example 26", Activate("vxf9n471bn46", addr(t, "target@example.org/bar")), query("sid='vxf9n471bn46'", `<activate>target@example.org/bar</activate>`)},
	} {
		if !c.got.Equal(parse(t, c.want)) {
			t.Errorf("%s: built %s, want %s", c.name, c.got, c.want)
		}
	}
}

func TestParseUsed(t *testing.T) {
	for in, want := range map[string]string{
		query("", `<streamhost-used jid='streamer.example.com'/>`): "streamer.example.com",
		query("", `<streamhost-used jid=''/>`):                     "",
		query("", `<streamhost-used/>`):                            "",
		query("", ``):                                              "",
	} {
		got, err := ParseUsed(parse(t, in))
		if got.String() != want || (err == nil) != (want != "") {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestParseAddress(t *testing.T) {
	relay := addr(t, "streamer.example.com")
	got, err := ParseAddress(parse(t, query("", `<streamhost host='24.24.24.1' jid='other.example.com' port='7625'/>`)), relay)
	if want := (StreamHost{relay, "24.24.24.1", 7625}); err != nil || got != want {
		t.Errorf("XEP-0065 example 22: %v, %v", got, err)
	}
	if _, err := ParseAddress(parse(t, query("", `<streamhost host='24.24.24.1' jid='a' port='0'/>`)), relay); err != ErrNoHost {
		t.Error(err)
	}
}

// The two vectors were computed with sha1sum.
func TestHash(t *testing.T) {
	for _, c := range []struct{ sid, initiator, target, want string }{
		{"vxf9n471bn46", "requester@example.com/foo", "target@example.org/bar", "98b8d688d0f5d895fd41c5e7309a2e9e33ba32ff"},
		{"1700000001-7", "a1b2@conference.school.example/Ada", "a1b2@conference.school.example/Bob", "6d99ec9ec0d0e8890214611152f5bfba098cc05f"},
	} {
		if got := Hash(c.sid, addr(t, c.initiator), addr(t, c.target)); got != c.want {
			t.Errorf("%s: %s, want %s", c.sid, got, c.want)
		}
	}
}

func FuzzParseQuery(f *testing.F) {
	f.Add(query("sid='vxf9n471bn46'", `<streamhost host='192.168.4.1' jid='requester@example.com/foo' port='5086'/>`))
	f.Add(query("sid='a' mode='udp'", `<streamhost-used jid='a'/>`))
	f.Add(query("sid='a' mode='tcp'", `<streamhost host='fd00::1' jid='a' port='65535'/><activate>b</activate>`))
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		ParseUsed(e)
		q, err := ParseQuery(e)
		if err != nil {
			return
		}
		again, err := ParseQuery(parse(t, q.Element().String()))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(q) || len(q.Hosts) > maxHosts {
			t.Errorf("%v, then %v, %v", q, again, err)
		}
	})
}
