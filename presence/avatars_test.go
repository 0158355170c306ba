package presence

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

var (
	namesPNG   = vcard.Photo{Type: "image/png", Data: []byte("\x89PNG\r\n\x1a\nwhatever")}
	namesToken = namesPNG.Token()
)

func newAvatarsRig(t *testing.T) (*namesRig, *Avatars) {
	r := newNamesRig(t)
	return r, NewAvatars(r, r.people, r.presence, r.cards)
}

func namesPhoto(data []byte) string {
	return "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>" + base64.StdEncoding.EncodeToString(data) + "</BINVAL></PHOTO></vCard>"
}

func (r *namesRig) claim(from, photo string) {
	r.people.HandlePresence(namesParse(r.t, "<presence from='"+from+"'><x xmlns='vcard-temp:x:update'>"+photo+"</x></presence>"))
}

func namesClaim(token string) string { return "<photo>" + token + "</photo>" }

func TestAvatars_tokenInPresence(t *testing.T) {
	r, avatars := newAvatarsRig(t)
	bob := r.contact("bob@school.test")
	known := func(want any) {
		t.Helper()
		if got := avatars.Attributes(bob)[tp.ContactAttributeConnectionAvatarsToken]; got != want {
			t.Errorf("token %v, want %v", got, want)
		}
	}
	r.claim("bob@school.test/x", "") // not ready to tell
	r.claim("bob@school.test/x", namesClaim("rubbish"))
	r.appear("bob@school.test")
	known(nil)
	r.claim("bob@school.test/x", "<photo/>")
	known("")
	r.heard()
	r.claim("bob@school.test/x", namesClaim(strings.ToUpper(namesToken)))
	r.claim("bob@school.test/x", namesClaim(namesToken))
	known(namesToken)
	r.claim("bob@school.test/x", "<photo/>")
	known("")
	r.heard("AvatarUpdated 2 "+namesToken, "AvatarUpdated 2 ")
	r.unasked()
}

// The token that counts is that of the photo; who repeats a wrong one is not
// believed, who makes a new one is.
func TestAvatars_wrongClaim(t *testing.T) {
	r, avatars := newAvatarsRig(t)
	bob := r.contact("bob@school.test")
	lie := strings.Repeat("0", 40)
	r.claim("bob@school.test/x", namesClaim(lie))
	avatars.retrieve(bob)
	avatars.retrieve(bob)
	r.answer("vcard-temp", namesPhoto(namesPNG.Data))
	r.unasked()
	r.told[len(r.told)-1] = r.told[len(r.told)-1][:len("AvatarRetrieved 2 ")+len(namesToken)]
	r.heard("AvatarUpdated 2 "+lie, "AvatarUpdated 2 "+namesToken, "AvatarRetrieved 2 "+namesToken)
	r.claim("bob@school.test/x", namesClaim(lie))
	r.heard()
	r.claim("bob@school.test/x", namesClaim(namesToken))
	r.claim("bob@school.test/x", namesClaim(lie))
	r.heard("AvatarUpdated 2 " + lie)
}

// A new photo makes what is kept of the vCard old.
func TestAvatars_newTokenForgetsVCard(t *testing.T) {
	r, _ := newAvatarsRig(t)
	bob := namesJID("bob@school.test")
	r.contact("bob@school.test")
	r.cards.Request(bob, func(*stanza.Element, error) {})
	r.answer("vcard-temp", "<vCard xmlns='vcard-temp'><FN>Bob</FN></vCard>")
	r.claim("bob@school.test/x", "<photo/>")
	if _, cached := r.cards.Cached(bob); !cached {
		t.Error("forgotten though nothing has changed")
	}
	r.claim("bob@school.test/x", namesClaim(namesToken))
	if _, cached := r.cards.Cached(bob); cached {
		t.Error("kept though there is a new photo")
	}
}

func (r *namesRig) wantUpdate(want string) {
	r.t.Helper()
	if got := r.presence.Build().Child("vcard-temp:x:update", "x").String(); got != want {
		r.t.Errorf("presence says %s, want %s", got, want)
	}
}

// Presence tells the own avatar once it is known, and is sent again if there
// is one.
func TestAvatars_ownPresence(t *testing.T) {
	r, avatars := newAvatarsRig(t)
	r.wantUpdate("<x xmlns='vcard-temp:x:update'/>")
	avatars.Connected()
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.wantUpdate("<x xmlns='vcard-temp:x:update'><photo/></x>")
	if len(r.sent) > 0 {
		t.Error("presence was sent again for no avatar")
	}

	var results []string
	set := func(p vcard.Photo) {
		avatars.set(p, func(err error) {
			if err != nil {
				results = append(results, string(refusal(err).(*tp.Error).Name))
				return
			}
			results = append(results, avatars.tokens[1])
		})
	}
	set(namesPNG)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'><FN>Ada</FN></vCard>")
	r.next(namesSetCard, "<FN>Ada</FN>", "<TYPE>image/png</TYPE>").answer(nil, nil)
	r.wantUpdate("<x xmlns='vcard-temp:x:update'><photo>" + namesToken + "</photo></x>")
	if len(r.sent) != 1 || !strings.Contains(r.sent[0].String(), namesToken) {
		t.Errorf("sent %v", r.sent)
	}
	set(vcard.Photo{Type: "image/svg+xml", Data: []byte("<svg/>")})
	set(vcard.Photo{Type: "image/png"})
	set(vcard.Photo{Type: "image/png", Data: bytes.Repeat([]byte{1}, vcard.MaxAvatarBytes+1)})
	avatars.change(vcard.Photo{}, func(err error) { results = append(results, avatars.tokens[1]) })
	r.answer(namesGetCard, namesPhoto(namesPNG.Data))
	r.next(namesSetCard).answer(nil, nil)
	invalid := string(tp.ErrorInvalidArgument)
	if diff := cmp.Diff([]string{namesToken, invalid, invalid, invalid, ""}, results); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	r.heard("AliasesChanged [{1 Ada}]", "AvatarUpdated 1 "+namesToken, "AliasesChanged [{1 ada@school.test}]", "AvatarUpdated 1 ")
}

// Another client of the user's has changed the avatar, or is mistaken.
func TestAvatars_ownFromElsewhere(t *testing.T) {
	r, avatars := newAvatarsRig(t)
	avatars.Connected()
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.claim("ada@school.test/sugar", namesClaim(strings.Repeat("0", 40))) // our echo, old
	r.unasked()
	r.claim("ada@school.test/phone", namesClaim(strings.Repeat("0", 40)))
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.claim("ada@school.test/phone", namesClaim(strings.Repeat("0", 40)))
	r.unasked()
	r.heard()
	r.claim("ada@school.test/phone", namesClaim(namesToken))
	r.answer(namesGetCard, namesPhoto(namesPNG.Data))
	r.heard("AvatarUpdated 1 " + namesToken)
	if len(r.sent) != 1 {
		t.Errorf("sent %v", r.sent)
	}
}

func TestAvatars_known(t *testing.T) {
	r, avatars := newAvatarsRig(t)
	bob, eve := r.contact("bob@school.test"), r.contact("eve@school.test")
	r.claim("bob@school.test/x", namesClaim(namesToken))
	var got []map[uint32]string
	take := func(tokens map[uint32]string) { got = append(got, tokens) }
	avatars.known([]uint32{bob, eve}, take)
	avatars.known([]uint32{1, bob}, take)
	avatars.known([]uint32{1}, take)
	if len(got) != 1 {
		t.Fatalf("%d answers before the own vCard is read", len(got))
	}
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	avatars.known([]uint32{1}, take)
	r.unasked()
	want := []map[uint32]string{{bob: namesToken}, {1: "", bob: namesToken}, {1: ""}, {1: ""}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}

func TestAvatars_all(t *testing.T) {
	r, avatars := newAvatarsRig(t)
	bob, eve, mute := r.contact("bob@school.test"), r.contact("eve@school.test"), r.contact("mute@school.test")
	r.claim("bob@school.test/x", "<photo/>")
	var got [][]string
	avatars.all([]uint32{eve, bob, mute}, func(tokens []string) { got = append(got, tokens) })
	r.answer("eve@school.test", namesPhoto(namesPNG.Data))
	r.fire("avatar tokens requested")
	if diff := cmp.Diff([][]string{{namesToken, "", ""}}, got); diff != "" {
		t.Errorf("tokens (-want +got):\n%s", diff)
	}
}
