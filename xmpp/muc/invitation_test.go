package muc

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
)

func TestParseInvitation(t *testing.T) {
	room, crone := addr(t, "darkcave@macbeth.shakespeare.lit"), addr(t, "crone1@shakespeare.lit/desktop")
	const mediated = `<message from='darkcave@macbeth.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'>`
	for _, c := range []struct {
		name, in string
		want     *Invitation
	}{
		{"XEP-0045 example 57", mediated + `<invite from='crone1@shakespeare.lit/desktop'><reason>Hey Hecate</reason></invite><password>cauldronburn</password></x></message>`,
			&Invitation{Room: room, From: crone, Reason: "Hey Hecate", Password: "cauldronburn", Mediated: true}},
		{"seen on ejabberd", mediated + `<invite from='crone1@shakespeare.lit/desktop'/></x><x jid='other@b.c' xmlns='jabber:x:conference'/><body xml:lang='en'>crone1 invites you</body></message>`,
			&Invitation{Room: room, From: crone, Mediated: true}},
		{"by an occupant's address", mediated + `<invite from='darkcave@macbeth.shakespeare.lit/firstwitch'/></x></message>`,
			&Invitation{Room: room, From: addr(t, "darkcave@macbeth.shakespeare.lit/firstwitch"), Mediated: true}},
		{"XEP-0045 §7.6", mediated + `<invite from='crone1@shakespeare.lit/desktop'><reason>Join us</reason><continue thread='e0ffe42b'/></invite></x></message>`,
			&Invitation{Room: room, From: crone, Reason: "Join us", Mediated: true, Continues: true}},
		{"direct, out of a chat", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference' jid='darkcave@macbeth.shakespeare.lit' continue='true' thread='e0ffe42b'/></message>`,
			&Invitation{Room: room, From: crone, Continues: true}},
		{"direct, not out of a chat", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference' jid='darkcave@macbeth.shakespeare.lit' continue='false'/></message>`,
			&Invitation{Room: room, From: crone}},
		{"XEP-0249 example 1", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference' jid='darkcave@macbeth.shakespeare.lit' password='cauldronburn' reason='Hey Hecate'/></message>`,
			&Invitation{Room: room, From: crone, Reason: "Hey Hecate", Password: "cauldronburn"}},
		{"legacy", `<message from='crone1@shakespeare.lit/desktop' type='normal'><body>You have been invited</body><x xmlns='jabber:x:conference' jid='darkcave@macbeth.shakespeare.lit'>Hey Hecate</x></message>`,
			&Invitation{Room: room, From: crone, Reason: "Hey Hecate"}},
		{"direct that speaks for another", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='teacher@b.c'/></x><x xmlns='jabber:x:conference' jid='darkcave@macbeth.shakespeare.lit'/></message>`,
			&Invitation{Room: room, From: crone}},
		{"forged by a person", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='http://jabber.org/protocol/muc#user'><invite from='teacher@b.c'/></x></message>`, nil},
		{"from nobody", mediated + `<invite/></x></message>`, nil},
		{"our own that comes back", `<message type='error' from='darkcave@macbeth.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='a@b' from='a@b'/></x></message>`, nil},
		{"in a room", `<message type='groupchat' from='darkcave@macbeth.shakespeare.lit/a'><x xmlns='jabber:x:conference' jid='a@b.c'/></message>`, nil},
		{"to no room", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference' jid='macbeth.shakespeare.lit'/></message>`, nil},
		{"to an occupant", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference' jid='a@b.c/d'/></message>`, nil},
		{"without room", `<message from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference'/></message>`, nil},
		{"no sender", `<message><x xmlns='jabber:x:conference' jid='a@b.c'/></message>`, nil},
		{"not a message", `<presence from='crone1@shakespeare.lit/desktop'><x xmlns='jabber:x:conference' jid='a@b.c'/></presence>`, nil},
		{"none", `<message from='crone1@shakespeare.lit/desktop'><body>a</body></message>`, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, ok := ParseInvitation(parse(t, c.in))
			if ok != (c.want != nil) {
				t.Fatalf("read %v: %+v", ok, got)
			}
			if c.want == nil {
				return
			}
			if diff := cmp.Diff(*c.want, got, byValue); diff != "" {
				t.Errorf("invitation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseDecline(t *testing.T) {
	const in = ` from='darkcave@macbeth.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'><decline from='hecate@shakespeare.lit'><reason>Sorry</reason></decline></x></message>`
	got, ok := ParseDecline(parse(t, `<message`+in))
	want := Decline{addr(t, "darkcave@macbeth.shakespeare.lit"), addr(t, "hecate@shakespeare.lit"), "Sorry"}
	if !ok || got != want {
		t.Errorf("decline %+v, %v", got, ok)
	}
	for _, bad := range []string{`<message type='error'` + in, `<message from='a@b'/>`, `<message/>`, `<message from='a@b'><x xmlns='http://jabber.org/protocol/muc#user'><decline/></x></message>`} {
		if d, ok := ParseDecline(parse(t, bad)); ok {
			t.Errorf("%s: %+v", bad, d)
		}
	}
}

func TestBuild(t *testing.T) {
	room, hecate := addr(t, coven), addr(t, "hecate@shakespeare.lit")
	i := Invitation{Room: room, From: hecate, Reason: "Hey", Password: "x"}
	for _, c := range []struct {
		name string
		got  *stanza.Element
		want string
	}{
		{"invitation", BuildInvitation(room, hecate, "Hey"), `<message to='coven@chat.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@shakespeare.lit'><reason>Hey</reason></invite></x></message>`},
		{"invitation from a chat", BuildContinuation(room, hecate, "Hey"), `<message to='coven@chat.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@shakespeare.lit'><reason>Hey</reason><continue/></invite></x></message>`},
		{"invitation as gabble has it", BuildInvitation(room, hecate, ""), `<message to='coven@chat.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='hecate@shakespeare.lit'/></x></message>`},
		{"direct invitation", BuildDirectInvitation(hecate, i), `<message to='hecate@shakespeare.lit'><x xmlns='jabber:x:conference' jid='coven@chat.shakespeare.lit' reason='Hey' password='x'/></message>`},
		{"decline", BuildDecline(i, "Sorry"), `<message to='coven@chat.shakespeare.lit'><x xmlns='http://jabber.org/protocol/muc#user'><decline to='hecate@shakespeare.lit'><reason>Sorry</reason></decline></x></message>`},
		{"subject", BuildSubject(room, "Fire Burn!"), `<message to='coven@chat.shakespeare.lit' type='groupchat'><subject>Fire Burn!</subject></message>`},
		{"no subject", BuildSubject(room, ""), `<message to='coven@chat.shakespeare.lit' type='groupchat'><subject/></message>`},
		{"private message", BuildPrivate(room, "firstwitch", "1", "a"), `<message to='coven@chat.shakespeare.lit/firstwitch' type='chat' id='1'><body>a</body><x xmlns='http://jabber.org/protocol/muc#user'/></message>`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.got.String(); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}
