package functional

import (
	"encoding/base64"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

var (
	picture  = vcard.Photo{Type: "image/png", Data: []byte("\x89PNG\r\n\x1a\nnot much of a picture")}
	portrait = "<vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>" +
		base64.StdEncoding.EncodeToString(picture.Data) + "</BINVAL></PHOTO></vCard>"
	avatarUpdated = cmtest.Signal(tp.SignalConnectionAvatarsAvatarUpdated)
)

func photoIn(presence *stanza.Element) (token string, told bool) { return vcard.ParseUpdate(presence) }

func avatarPresence(from, token string) string {
	return "<presence from='" + from + "'><x xmlns='" + vcard.NSUpdate + "'><photo>" + token + "</photo></x></presence>"
}

// The own avatar is stored in the vCard and told in presence.
func TestSetAvatar(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	c.Login()
	first := cm.Expect(cmtest.Presence().Type(""))
	if _, told := photoIn(first.Element); told || first.Element.Child(vcard.NSUpdate, "x") == nil {
		t.Errorf("presence tells of a photo before the vCard is read: %v", first)
	}
	call := cm.CallAsync(c.Path, tp.InterfaceConnectionAvatars, "SetAvatar", picture.Data, picture.Type)
	cm.Expect(writtenCard("with the picture", func(card *stanza.Element) bool {
		photo, ok := vcard.ParsePhoto(card)
		return ok && photo.Token() == picture.Token() && photo.Type == picture.Type
	}))
	cm.Expect(avatarUpdated.Args(uint32(1), picture.Token()))
	cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), picture.Token())
	if token, _ := photoIn(cm.Expect(cmtest.Presence().Type("")).Element); token != picture.Token() {
		t.Errorf("presence tells of %q", token)
	}
	cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnectionAvatars, "GetKnownAvatarTokens", []uint32{1}).Arg(0), map[uint32]string{1: picture.Token()})

	cm.Server.Script(cmtest.Answers(cmtest.IQ("get", vcard.NS).To(""), portrait))
	for _, bad := range []vcard.Photo{{Type: "image/svg+xml", Data: []byte("<svg/>")}, {Type: "image/png"}, {Type: "image/png", Data: make([]byte, 8193)}} {
		cm.Refused(tp.ErrorInvalidArgument, c.Path, tp.InterfaceConnectionAvatars, "SetAvatar", bad.Data, bad.Type)
	}
}

func TestClearAvatar(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Answers(cmtest.IQ("get", vcard.NS).To(""), portrait))
	c := cm.Request()
	c.Login()
	cm.Expect(avatarUpdated.Args(uint32(1), picture.Token()))
	call := cm.CallAsync(c.Path, tp.InterfaceConnectionAvatars, "ClearAvatar")
	cm.Expect(writtenCard("without a picture", func(card *stanza.Element) bool { return card.Child(vcard.NS, "PHOTO") == nil }))
	cm.Expect(avatarUpdated.Args(uint32(1), ""))
	cm.Expect(cmtest.Reply(call))
	cm.Expect(cmtest.Presence().Where("telling of no photo", func(e *cmtest.Event) bool {
		token, told := photoIn(e.Element)
		return told && token == ""
	}))
}

func TestRequestAvatars(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob, eve := cm.Handle("bob@school.test"), cm.Handle("eve@school.test")
	cm.Server.Send(avatarPresence("bob@school.test/sugar", picture.Token()))
	cm.Expect(avatarUpdated.Args(bob, picture.Token()))
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnectionAvatars, "GetKnownAvatarTokens", []uint32{bob, eve}).Arg(0),
		map[uint32]string{bob: picture.Token()})
	attributes := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes",
		[]uint32{bob, eve}, []string{tp.InterfaceConnectionAvatars.Name}, false)
	told := cmtest.As[map[uint32]map[string]any](t, attributes.Arg(0))
	cmtest.Equal(t, told[bob][tp.ContactAttributeConnectionAvatarsToken], picture.Token())
	if _, known := told[eve][tp.ContactAttributeConnectionAvatarsToken]; known {
		t.Error("the token of somebody unknown is known")
	}

	retrieved := cmtest.Signal(tp.SignalConnectionAvatarsAvatarRetrieved)
	cm.Call(cm.Path, tp.InterfaceConnectionAvatars, "RequestAvatars", []uint32{bob, eve})
	card := cmtest.IQ("get", vcard.NS)
	asked := cm.ExpectUnordered(card.To("bob@school.test"), card.To("eve@school.test"))
	cm.Forbid(retrieved.Args(eve))
	cm.Server.AnswerError(asked[1], "cancel", "service-unavailable")
	cm.Server.Answer(asked[0], portrait)
	cm.Expect(retrieved.Args(bob, picture.Token(), picture.Data, picture.Type))

	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionAvatars, "RequestAvatar", bob)
	cm.Server.Answer(cm.Expect(card.To("bob@school.test")), portrait)
	reply := cm.Expect(cmtest.Reply(call))
	cmtest.Equal(t, reply.Arg(0), picture.Data)
	cmtest.Equal(t, reply.Arg(1), picture.Type)
	call = cm.CallAsync(cm.Path, tp.InterfaceConnectionAvatars, "RequestAvatar", eve)
	cm.Server.Answer(cm.Expect(card.To("eve@school.test")), "")
	cm.Expect(cmtest.Refusal(call, tp.ErrorNotAvailable))
	cm.Sync()
}

// The token that counts is the SHA-1 of the picture, not what presence claims.
func TestAvatarRetrieved_wrongHash(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob := cm.Handle("bob@school.test")
	const lie = "0123456789012345678901234567890123456789"
	cm.Server.Send(avatarPresence("bob@school.test/sugar", lie))
	cm.Expect(avatarUpdated.Args(bob, lie))
	cm.Call(cm.Path, tp.InterfaceConnectionAvatars, "RequestAvatars", []uint32{bob})
	cm.Server.Answer(cm.Expect(cmtest.IQ("get", vcard.NS).To("bob@school.test")), portrait)
	cm.Expect(avatarUpdated.Args(bob, picture.Token()))
	cm.Expect(cmtest.Signal(tp.SignalConnectionAvatarsAvatarRetrieved).Args(bob, picture.Token(), picture.Data, picture.Type))
	cm.Forbid(avatarUpdated)
	cm.Server.Send(avatarPresence("bob@school.test/sugar", lie))
	cm.Sync()
}

// The own token is always told: mission-control would set the avatar again.
func TestGetKnownAvatarTokens_waitsForOwn(t *testing.T) {
	t.Parallel()
	get := cmtest.IQ("get", vcard.NS).To("")
	cm := cmtest.Start(t, cmtest.Unanswered(get)).Request()
	cm.Login()
	asked := cm.Expect(get)
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionAvatars, "GetKnownAvatarTokens", []uint32{1})
	early := cm.Forbid(cmtest.Reply(call))
	cm.Sync()
	early.Lift()
	cm.Server.Answer(asked, "<vCard xmlns='vcard-temp'/>")
	cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), map[uint32]string{1: ""})
}

func TestAvatars_errorsAndRequirements(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	one := []any{[]uint32{1}}
	for member, args := range map[string][]any{
		"GetAvatarRequirements": {}, "GetAvatarTokens": one, "GetKnownAvatarTokens": one, "RequestAvatars": one,
		"RequestAvatar": {uint32(1)}, "SetAvatar": {picture.Data, picture.Type}, "ClearAvatar": {},
	} {
		cm.Refused(tp.ErrorDisconnected, c.Path, tp.InterfaceConnectionAvatars, member, args...)
	}
	c.Login()
	for _, member := range []string{"GetAvatarTokens", "GetKnownAvatarTokens", "RequestAvatars"} {
		cm.Refused(tp.ErrorInvalidHandle, c.Path, tp.InterfaceConnectionAvatars, member, []uint32{1, 99})
	}
	cm.Refused(tp.ErrorInvalidHandle, c.Path, tp.InterfaceConnectionAvatars, "RequestAvatar", uint32(99))
	cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnectionAvatars, "GetAvatarTokens", []uint32{1}).Arg(0), []string{""})
	limits := cm.Call(c.Path, tp.InterfaceConnectionAvatars, "GetAvatarRequirements")
	all := cm.GetAll(c.Path, tp.InterfaceConnectionAvatars)
	types := []string{"image/png", "image/jpeg", "image/gif"}
	cmtest.Equal(t, limits.Arg(0), types)
	cmtest.Equal(t, all["SupportedAvatarMIMETypes"], types)
	cmtest.Equal(t, limits.Arg(5), uint32(8192))
	cmtest.Equal(t, all["MaximumAvatarBytes"], uint32(8192))
	for i, want := range []uint16{32, 32, 96, 96} {
		cmtest.Equal(t, limits.Arg(1+i), want)
	}
	for property, want := range map[string]uint32{
		"MinimumAvatarWidth": 32, "MinimumAvatarHeight": 32, "MaximumAvatarWidth": 96, "MaximumAvatarHeight": 96,
		"RecommendedAvatarWidth": 64, "RecommendedAvatarHeight": 64,
	} {
		cmtest.Equal(t, all[property], want)
	}
}
