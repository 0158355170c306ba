package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

var contactInfoChanged = cmtest.Signal(tp.SignalConnectionContactInfoContactInfoChanged)

const bobsCard = "<vCard xmlns='vcard-temp'><FN>Bob</FN><N><FAMILY>Builder</FAMILY><GIVEN>Bob</GIVEN></N>" +
	"<TEL><CELL/><NUMBER>123</NUMBER></TEL><X-UNKNOWN>?</X-UNKNOWN></vCard>"

var bobsInfo = []vcard.Field{
	{Name: "fn", Parameters: []string{}, Values: []string{"Bob"}},
	{Name: "n", Parameters: []string{}, Values: []string{"Builder", "Bob", "", "", ""}},
	{Name: "tel", Parameters: []string{"type=cell"}, Values: []string{"123"}},
}

func TestContactInfo_requested(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob := cm.Handle("bob@school.test")
	get := func(member string, arg any) any {
		t.Helper()
		return cm.Call(cm.Path, tp.InterfaceConnectionContactInfo, member, arg).Arg(0)
	}
	cmtest.Equal(t, get("GetContactInfo", []uint32{bob}), map[uint32][]vcard.Field{})
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionContactInfo, "RequestContactInfo", bob)
	cm.Server.Answer(cm.Expect(cmtest.IQ("get", vcard.NS).To("bob@school.test")), bobsCard)
	cm.Expect(contactInfoChanged.Args(bob, bobsInfo))
	cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), bobsInfo)

	asked := cm.Forbid(cmtest.IQ("get", vcard.NS))
	cmtest.Equal(t, get("GetContactInfo", []uint32{bob}), map[uint32][]vcard.Field{bob: bobsInfo})
	cmtest.Equal(t, get("RequestContactInfo", bob), bobsInfo)
	attributes := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes",
		[]uint32{bob}, []string{tp.InterfaceConnectionContactInfo.Name}, false)
	told := cmtest.As[map[uint32]map[string]any](t, attributes.Arg(0))
	cmtest.Equal(t, told[bob][tp.ContactAttributeConnectionContactInfoInfo], bobsInfo)
	cm.Sync()
	asked.Lift()

	cm.Call(cm.Path, tp.InterfaceConnectionContactInfo, "RefreshContactInfo", []uint32{bob})
	cm.Server.Answer(cm.Expect(cmtest.IQ("get", vcard.NS).To("bob@school.test")), bobsCard)
	cm.Expect(contactInfoChanged.Args(bob, bobsInfo))
}

func TestContactInfo_set(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Answers(cmtest.IQ("get", vcard.NS).To(""),
		"<vCard xmlns='vcard-temp'><NICKNAME>Ada</NICKNAME><FN>A.</FN><PHOTO><EXTVAL>http://x.test/</EXTVAL></PHOTO></vCard>")).Request()
	cm.Login()
	cm.Expect(contactInfoChanged) // the own vCard is read
	info := []vcard.Field{{Name: "fn", Parameters: []string{}, Values: []string{"Ada L."}}}
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionContactInfo, "SetContactInfo", info)
	cm.Expect(writtenCard("with nickname and photo left", func(card *stanza.Element) bool {
		return cardText(card, "FN") == "Ada L." && cardText(card, "NICKNAME") == "Ada" && card.Child(vcard.NS, "PHOTO") != nil
	}))
	cm.Expect(contactInfoChanged.Args(uint32(1)))
	cm.Expect(cmtest.Reply(call))
	cm.Forbid(cmtest.IQ("set", vcard.NS))
	for _, bad := range []vcard.Field{{Name: "shoe-size", Values: []string{"44"}}, {Name: "fn"}, {Name: "fn", Parameters: []string{"type=home"}, Values: []string{"x"}}} {
		cm.Refused(tp.ErrorInvalidArgument, cm.Path, tp.InterfaceConnectionContactInfo, "SetContactInfo", []vcard.Field{bad})
	}
	cm.Sync()
}

func TestContactInfo_errors(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.AnswersError(cmtest.IQ("set", vcard.NS), "cancel", "not-allowed"),
		cmtest.AnswersError(cmtest.IQ("get", vcard.NS).To("bob@far.test"), "wait", "remote-server-timeout"),
		cmtest.AnswersError(cmtest.IQ("get", vcard.NS).To("eve@far.test"), "cancel", "not-acceptable"))
	c := cm.Request()
	fn := []vcard.Field{{Name: "fn", Values: []string{"Ada"}}}
	for member, arg := range map[string]any{
		"GetContactInfo": []uint32{1}, "RefreshContactInfo": []uint32{1}, "RequestContactInfo": uint32(1), "SetContactInfo": fn,
	} {
		cm.Refused(tp.ErrorDisconnected, c.Path, tp.InterfaceConnectionContactInfo, member, arg)
	}
	c.Login()
	for member, arg := range map[string]any{
		"GetContactInfo": []uint32{99}, "RefreshContactInfo": []uint32{99}, "RequestContactInfo": uint32(99),
	} {
		cm.Refused(tp.ErrorInvalidHandle, c.Path, tp.InterfaceConnectionContactInfo, member, arg)
	}
	cm.Refused(tp.ErrorNetworkError, c.Path, tp.InterfaceConnectionContactInfo, "RequestContactInfo", c.Handle("bob@far.test"))
	cm.Refused(tp.ErrorNotAvailable, c.Path, tp.InterfaceConnectionContactInfo, "RequestContactInfo", c.Handle("eve@far.test"))
	cm.Refused(tp.ErrorPermissionDenied, c.Path, tp.InterfaceConnectionContactInfo, "SetContactInfo", fn)
	cmtest.Equal(t, cm.Get(c.Path, tp.InterfaceConnectionContactInfo, "ContactInfoFlags"), uint32(tp.ContactInfoFlagsCanSet))
	fields := cmtest.As[[]struct {
		Name       string
		Parameters []string
		Flags, Max uint32
	}](t, cm.Get(c.Path, tp.InterfaceConnectionContactInfo, "SupportedFields"))
	if len(fields) < 10 {
		t.Errorf("few fields can be set: %v", fields)
	}
}
