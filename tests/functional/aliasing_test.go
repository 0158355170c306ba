package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

// aliasPair is Alias_Pair.
type aliasPair struct {
	Contact uint32
	Alias   string
}

var aliasesChanged = cmtest.Signal(tp.SignalConnectionAliasingAliasesChanged)

func aliasIs(contact uint32, alias string) cmtest.Match {
	return aliasesChanged.Args([]aliasPair{{contact, alias}})
}

// publishNick matches a publish of the own nick.
func publishNick(nick string) cmtest.Match {
	return cmtest.IQ("set", pep.NS).Node(pep.NodeNick).Where("nick "+nick, func(e *cmtest.Event) bool {
		item := e.Element.First().Child(pep.NS, "publish").Child(pep.NS, "item")
		return item.Child(pep.NodeNick, "nick").Text() == nick
	})
}

// writtenCard matches a write of the own vCard.
func writtenCard(words string, is func(card *stanza.Element) bool) cmtest.Match {
	return cmtest.IQ("set", vcard.NS).Where(words, func(e *cmtest.Event) bool { return is(e.Element.First()) })
}

func cardText(card *stanza.Element, local string) string { return card.Child(vcard.NS, local).Text() }

func nickPayload(nick string) string {
	return "<pubsub xmlns='" + pep.NS + "'><items node='" + pep.NodeNick + "'><item>" + pep.BuildNick(nick).String() + "</item></items></pubsub>"
}

func nickEvent(from, nick string) string {
	return "<message from='" + from + "'><event xmlns='" + pep.NSEvent + "'><items node='" + pep.NodeNick + "'><item>" +
		pep.BuildNick(nick).String() + "</item></items></event></message>"
}

// aliasOf asks for a contact's alias as Sugar does.
func aliasOf(cm *cmtest.Connection, contact uint32) string {
	cm.T.Helper()
	reply := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes",
		[]uint32{contact}, []string{tp.InterfaceConnection.Name, tp.InterfaceConnectionAliasing.Name}, false)
	all := cmtest.As[map[uint32]map[string]any](cm.T, reply.Arg(0))
	return cmtest.As[string](cm.T, all[contact][tp.ContactAttributeConnectionAliasingAlias])
}

// mission-control sets the nick at CONNECTED: it is published, and patched into
// the vCard, whatever else that holds.
func TestSetAliases_oneself(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Answers(cmtest.IQ("get", vcard.NS).To(""),
		"<vCard xmlns='vcard-temp'><FN>Ada L.</FN><NICKNAME>Old</NICKNAME><NOTE>2b</NOTE><X xmlns='urn:example'>kept</X></vCard>"))
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{1: "Ada"})
	cm.ExpectUnordered(publishNick("Ada"), writtenCard("with all that was in it", func(card *stanza.Element) bool {
		return cardText(card, "NICKNAME") == "Ada" && cardText(card, "FN") == "Ada L." && cardText(card, "NOTE") == "2b" &&
			card.Child("urn:example", "X").Text() == "kept"
	}))
	cm.Expect(aliasIs(1, "Ada"))
	cm.Forbid(aliasesChanged)
	cm.Expect(cmtest.Reply(call))
	cmtest.Equal(t, aliasOf(cm, 1), "Ada")
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnectionAliasing, "GetAliases", []uint32{1}).Arg(0), map[uint32]string{1: "Ada"})
	cm.Server.Send(nickEvent(cmtest.Account, "Ada"))
	cm.Sync()
}

func TestSetAliases_vCardMissing(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.AnswersError(cmtest.IQ("get", vcard.NS).To(""), "cancel", "item-not-found"))
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{1: "Ada"})
	cm.ExpectUnordered(publishNick("Ada"), writtenCard("nickname alone", func(card *stanza.Element) bool {
		return cardText(card, "NICKNAME") == "Ada" && len(card.Children()) == 1
	}))
	cm.Expect(aliasIs(1, "Ada"))
	cm.Expect(cmtest.Reply(call))
}

// A slow server delays the answer, and two quick changes end with the last.
func TestSetAliases_slowServer(t *testing.T) {
	t.Parallel()
	get, publish := cmtest.IQ("get", vcard.NS).To(""), cmtest.IQ("set", pep.NS).Node(pep.NodeNick)
	cm := cmtest.Start(t, cmtest.Unanswered(get), cmtest.Unanswered(publish)).Request()
	cm.Login()
	read := cm.Expect(get) // the avatar's
	set := func(nick string) *cmtest.Call {
		return cm.CallAsync(cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{1: nick})
	}
	first := set("Ada")
	asked := cm.ExpectUnordered(publishNick("Ada"), get)
	publishing, reading := asked[0], asked[1]
	second := set("Grace")
	cm.Sync()
	cm.Forbid(aliasIs(1, "Ada"))
	cm.Server.Answer(read, "<vCard xmlns='vcard-temp'><NOTE>2b</NOTE></vCard>")
	cm.Server.Answer(publishing, "")
	cm.Server.Answer(cm.Expect(publishNick("Grace")), "")
	cm.Expect(aliasIs(1, "Grace"))
	early := cm.Forbid(cmtest.Reply(second))
	cm.Sync()
	early.Lift()
	cm.Server.Answer(reading, "<vCard xmlns='vcard-temp'><NOTE>2b</NOTE></vCard>")
	cm.Expect(writtenCard("last nickname", func(card *stanza.Element) bool {
		return cardText(card, "NICKNAME") == "Grace" && cardText(card, "NOTE") == "2b"
	}))
	cm.ExpectUnordered(cmtest.Reply(first), cmtest.Reply(second))
	cm.Sync()
}

// Without personal events the vCard is enough; without both it is refused.
func TestSetAliases_withoutPEP(t *testing.T) {
	t.Parallel()
	mute := cmtest.Answers(cmtest.IQ("get", disco.NSInfo), "<query xmlns='"+disco.NSInfo+"'/>")
	cm := cmtest.Connect(t, mute)
	cm.Forbid(cmtest.IQ("set", pep.NS))
	cm.Call(cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{1: "Ada"})
	cm.Expect(aliasIs(1, "Ada"))

	cm = cmtest.Connect(t, mute, cmtest.AnswersError(cmtest.IQ("set", vcard.NS), "cancel", "not-allowed"))
	cm.Forbid(aliasesChanged)
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{1: "Ada"})
	cm.Sync()
}

func TestAliasing_errors(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	contacts := []uint32{1}
	for member, arg := range map[string]any{"RequestAliases": contacts, "GetAliases": contacts, "SetAliases": map[uint32]string{1: "Ada"}} {
		cm.Refused(tp.ErrorDisconnected, c.Path, tp.InterfaceConnectionAliasing, member, arg)
	}
	cm.Refused(tp.ErrorDisconnected, c.Path, tp.InterfaceConnectionAliasing, "GetAliasFlags")
	c.Login()
	cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnectionAliasing, "GetAliasFlags").Arg(0), uint32(tp.ConnectionAliasFlagsUserSet))
	cm.Refused(tp.ErrorInvalidHandle, c.Path, tp.InterfaceConnectionAliasing, "RequestAliases", []uint32{1, 99})
	cm.Refused(tp.ErrorInvalidHandle, c.Path, tp.InterfaceConnectionAliasing, "GetAliases", []uint32{0})
	cm.Refused(tp.ErrorInvalidArgument, c.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{99: "x"})
	cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnectionAliasing, "GetAliases", []uint32{}).Arg(0), map[uint32]string{})
	cm.Call(c.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{})
}

// A name in ejabberd's shared roster hides neither a nick nor its change.
func TestAliasesChanged_nickOverRosterName(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.RosterItem("<item jid='bob@school.test' name='Old Bob' subscription='both'><group>Online</group></item>"))
	cm.Sync()
	bob := cm.Handle("bob@school.test")
	cmtest.Equal(t, aliasOf(cm, bob), "Old Bob")
	cm.Server.Send(nickEvent("bob@school.test", "Bob"))
	cm.Expect(aliasIs(bob, "Bob"))
	cm.Server.Send(nickEvent("bob@school.test", "Robert\n\u202eeve"))
	cm.Expect(aliasIs(bob, "Robert eve"))
	cm.Forbid(aliasesChanged)
	cm.Server.Send("<iq type='set' id='push'><query xmlns='" + roster.NS + "'><item jid='bob@school.test' name='Older Bob' subscription='both'><group>Online</group></item></query></iq>")
	cm.Sync()
	cmtest.Equal(t, aliasOf(cm, bob), "Robert eve")
}

// The call waits when nothing but the address is known: Sugar asks when a
// member of a room is first announced.
func TestGetContactAttributes_waitsForAlias(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob, eve := cm.Handle("bob@school.test"), cm.Handle("eve@school.test")
	attributes := func(contact uint32) *cmtest.Call {
		return cm.CallAsync(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes",
			[]uint32{contact}, []string{tp.InterfaceConnectionAliasing.Name}, false)
	}
	alias := func(call *cmtest.Call, contact uint32) string {
		t.Helper()
		all := cmtest.As[map[uint32]map[string]any](t, cm.Expect(cmtest.Reply(call)).Arg(0))
		return cmtest.As[string](t, all[contact][tp.ContactAttributeConnectionAliasingAlias])
	}
	call := attributes(bob)
	asked := cm.Expect(cmtest.IQ("get", pep.NS).To("bob@school.test").Node(pep.NodeNick))
	early := cm.Forbid(cmtest.Reply(call))
	cm.Sync()
	early.Lift()
	cm.Server.Answer(asked, nickPayload("Bob"))
	cmtest.Equal(t, alias(call, bob), "Bob")

	call = attributes(eve)
	cm.Server.AnswerError(cm.Expect(cmtest.IQ("get", pep.NS).To("eve@school.test")), "cancel", "item-not-found")
	cm.Server.Answer(cm.Expect(cmtest.IQ("get", vcard.NS).To("eve@school.test")), "<vCard xmlns='vcard-temp'><NICKNAME>Eve</NICKNAME></vCard>")
	cmtest.Equal(t, alias(call, eve), "Eve")

	cm.Forbid(cmtest.IQ("get", pep.NS))
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnectionAliasing, "RequestAliases", []uint32{eve, bob}).Arg(0), []string{"Eve", "Bob"})
	cm.Sync()
}

// Who does not answer is waited for five seconds.
func TestRequestAliases_silentServer(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob := cm.Handle("bob@silent.test")
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionAliasing, "RequestAliases", []uint32{bob})
	asked := cm.Expect(cmtest.IQ("get", pep.NS).To("bob@silent.test"))
	cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), []string{"bob@silent.test"})
	cm.Server.Answer(asked, nickPayload("Bob"))
	cm.Expect(aliasIs(bob, "Bob"))
}

// GetAliases answers at once and signals what is found.
func TestGetAliases_seeks(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	bob := cm.Handle("bob@school.test")
	cmtest.Equal(t, cm.Call(cm.Path, tp.InterfaceConnectionAliasing, "GetAliases", []uint32{bob}).Arg(0), map[uint32]string{bob: "bob@school.test"})
	cm.Server.Answer(cm.Expect(cmtest.IQ("get", pep.NS).To("bob@school.test")), nickPayload("Bob"))
	cm.Expect(aliasIs(bob, "Bob"))
}

// The user's name for a contact is kept in the roster, but never in an item of
// a shared group.
func TestSetAliases_contact(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.RosterItem("<item jid='bob@home.test' subscription='both'/>"),
		cmtest.RosterItem("<item jid='eve@school.test' name='Eve' subscription='both'><group>Online</group></item>"))
	cm.Sync()
	bob, eve := cm.Handle("bob@home.test"), cm.Handle("eve@school.test")
	call := cm.CallAsync(cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{bob: "Dad"})
	set := cm.Expect(cmtest.IQ("set", roster.NS))
	cmtest.Equal(t, set.Element.First().First().Attr("name"), "Dad")
	cm.Expect(aliasIs(bob, "Dad"))
	cm.Expect(cmtest.Reply(call))
	cm.Forbid(cmtest.IQ("set", roster.NS))
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, tp.InterfaceConnectionAliasing, "SetAliases", map[uint32]string{eve: "Mallory"})
	cm.Sync()
}
