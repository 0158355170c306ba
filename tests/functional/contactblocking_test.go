package functional

import (
	"strings"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/blocking"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
)

var (
	blockedChanged = cmtest.Signal(tp.SignalConnectionContactBlockingBlockedContactsChanged)
	listGet        = cmtest.IQ("get", blocking.NS)
	listSet        = cmtest.IQ("set", blocking.NS)
	privacyGet     = cmtest.IQ("get", blocking.NSPrivacy)
	privacySet     = cmtest.IQ("set", blocking.NSPrivacy)
)

// has makes the server announce the features, with PEP beside them.
func has(features ...string) cmtest.Option {
	info := &disco.Info{Identities: []disco.Identity{{Category: "server", Type: "im"}, {Category: "pubsub", Type: "pep"}}, Features: features}
	return cmtest.Answers(cmtest.IQ("get", disco.NSInfo).To(cmtest.Domain), info.Element().String())
}

func blocklist(who ...string) string {
	var items strings.Builder
	for _, w := range who {
		items.WriteString("<item jid='" + w + "'/>")
	}
	return "<blocklist xmlns='" + blocking.NS + "'>" + items.String() + "</blocklist>"
}

// ids is Handle_Identifier_Map.
func ids(people ...person) map[uint32]string {
	m := map[uint32]string{}
	for _, p := range people {
		m[p.handle] = p.id
	}
	return m
}

// onBlocking calls a method of ContactBlocking.
func onBlocking(cm *cmtest.Connection, method string, args ...any) *cmtest.Call {
	cm.T.Helper()
	return cm.CallAsync(cm.Path, tp.InterfaceConnectionContactBlocking, method, args...)
}

// wantBlocked checks the contact attribute; nil when it is to be left out.
func wantBlocked(cm *cmtest.Connection, p person, want any) {
	cm.T.Helper()
	all := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{p.handle},
		[]string{tp.InterfaceConnectionContactBlocking.Name}, false)
	attributes := cmtest.As[map[uint32]map[string]any](cm.T, all.Arg(0))
	if got := attributes[p.handle][tp.ContactAttributeConnectionContactBlockingBlocked]; got != want {
		cm.T.Errorf("%s blocked: %v, want %v", p.id, got, want)
	}
}

func TestContactBlocking_list(t *testing.T) {
	t.Parallel()
	iface := tp.InterfaceConnectionContactBlocking
	cm := cmtest.Start(t, has(blocking.NS, blocking.NSPrivacy), cmtest.Unanswered(listGet))
	c := cm.Request()
	cmtest.Equal(t, cm.GetAll(c.Path, iface), map[string]any{"ContactBlockingCapabilities": uint32(0)})
	cm.Refused(tp.ErrorDisconnected, c.Path, iface, "RequestBlockedContacts")
	cm.Refused(tp.ErrorDisconnected, c.Path, iface, "BlockContacts", []uint32{}, false)
	cm.Refused(tp.ErrorDisconnected, c.Path, iface, "UnblockContacts", []uint32{})
	cm.Forbid(privacyGet)
	c.Login()
	ann, bob := personOf(c, schoolmate("ann")), personOf(c, schoolmate("bob"))
	question := cm.Expect(listGet)
	wantBlocked(c, ann, nil)
	calls := []*cmtest.Call{onBlocking(c, "RequestBlockedContacts"), onBlocking(c, "RequestBlockedContacts")}
	cm.Forbid(listSet)
	again := onBlocking(c, "BlockContacts", []uint32{ann.handle}, false) // is blocked already, as will be seen
	cm.Sync()
	cm.Server.Answer(question, blocklist(ann.id, "@", "spam.test"))
	cm.Sync()
	spam := person{bob.handle + 1, "spam.test"}
	cm.Expect(blockedChanged.Args(ids(ann, spam), ids()))
	for _, call := range calls {
		cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), ids(ann, spam))
	}
	cm.Expect(cmtest.Reply(again))
	wantBlocked(c, ann, true)
	wantBlocked(c, bob, false)
	cmtest.Equal(t, membersOf(c, openList(c, "deny")), []uint32{ann.handle, spam.handle})
}

func TestContactBlocking_change(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, has(blocking.NS), cmtest.Answers(listGet, blocklist()), cmtest.Unanswered(listSet),
		cmtest.Contact(schoolmate("ann")), cmtest.Contact(schoolmate("bob")))
	ann, bob := personOf(cm, schoolmate("ann")), personOf(cm, schoolmate("bob"))
	cm.Server.Send(available(ann.id + "/sugar"))
	cm.Expect(cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged))
	deny, publish := openList(cm, "deny"), openList(cm, "publish")
	cm.Forbid(cmtest.Presence()) // the server tells contacts, and us
	cm.Forbid(cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged))

	both := []uint32{ann.handle, bob.handle}
	call := onBlocking(cm, "BlockContacts", both, true) // reports can't be made, which is no error
	set := cm.Expect(listSet)
	cmtest.Equal(t, set.Element.First().String(), "<block xmlns='"+blocking.NS+"'><item jid='"+ann.id+"'/><item jid='"+bob.id+"'/></block>")
	cm.Server.Answer(set, "")
	cm.Server.Send("<iq type='set' id='push'>" + set.Element.First().String() + "</iq>") // Prosody's order
	cm.Expect(blockedChanged.Args(ids(ann, bob), ids()))
	cm.Expect(moved(deny, both, nil, nil, nil))
	cm.Expect(contactsChanged.Args(map[uint32]subscription{ann.handle: {listYes, listNo, ""}, bob.handle: {listYes, listNo, ""}}, ids(ann, bob), ids()))
	cm.Expect(moved(publish, nil, both, nil, nil))
	cm.Expect(cmtest.Reply(call))
	cm.Expect(cmtest.IQAnswer("result", "push"))

	call = onBlocking(cm, "UnblockContacts", []uint32{bob.handle, ann.handle, bob.handle})
	set = cm.Expect(listSet)
	cmtest.Equal(t, set.Element.First().String(), "<unblock xmlns='"+blocking.NS+"'><item jid='"+bob.id+"'/><item jid='"+ann.id+"'/></unblock>")
	cm.Server.Send("<iq type='set' id='push' from='" + cmtest.Account + "'>" + set.Element.First().String() + "</iq>")
	cm.Expect(blockedChanged.Args(ids(), ids(ann, bob)))
	cm.Expect(contactsChanged)
	cm.Server.Answer(set, "")
	cm.Expect(cmtest.Reply(call))

	cm.Forbid(listSet)
	for method, args := range map[string][]any{"BlockContacts": {[]uint32{}, false}, "UnblockContacts": {both}} {
		cm.Expect(cmtest.Reply(onBlocking(cm, method, args...)))
	}
	iface := tp.InterfaceConnectionContactBlocking
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, iface, "BlockContacts", []uint32{ann.handle, 999}, false)
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, iface, "BlockContacts", []uint32{ann.handle, 1}, false)
	cm.Sync()
}

func TestContactBlocking_denyList(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, has(blocking.NS), cmtest.Answers(listGet, blocklist()))
	ann := personOf(cm, schoolmate("ann"))
	deny := openList(cm, "deny")
	call := cm.CallAsync(deny, tp.InterfaceChannelGroup, "AddMembers", []uint32{ann.handle}, "")
	cm.Expect(cmtest.Refusal(call, tp.ErrorNotAvailable))
	cm.Server.Send("<iq type='set' id='push'><block xmlns='" + blocking.NS + "'><item jid='" + ann.id + "'/></block></iq>")
	cm.Expect(blockedChanged.Args(ids(ann), ids()))
	cm.Expect(moved(deny, []uint32{ann.handle}, nil, nil, nil))
	cm.Expect(cmtest.Refusal(cm.CallAsync(deny, tp.InterfaceChannelGroup, "RemoveMembers", []uint32{ann.handle}, ""), tp.ErrorNotAvailable))
	cm.Server.Send("<iq type='set' id='push'><unblock xmlns='" + blocking.NS + "'/></iq>")
	cm.Expect(moved(deny, nil, []uint32{ann.handle}, nil, nil))
}

func TestContactBlocking_forgedPushes(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, has(blocking.NS), cmtest.Answers(listGet, blocklist(schoolmate("ann"))))
	cm.Forbid(blockedChanged)
	for _, from := range []string{schoolmate("ann"), "mallory@away.test/x", cmtest.Domain, cmtest.Account + "/other"} {
		for _, payload := range []string{"<unblock xmlns='" + blocking.NS + "'/>", "<query xmlns='" + blocking.NSPrivacy + "'><list name='x'/></query>"} {
			cm.Server.Send("<iq type='set' id='forged' from='" + from + "'>" + payload + "</iq>")
			refused := cm.Expect(cmtest.IQAnswer("error", "forged").To(from))
			cmtest.Equal(t, string(stanza.ErrorOf(refused.Element).Condition), "service-unavailable")
		}
	}
	cm.Sync()
}

func TestContactBlocking_unsupported(t *testing.T) {
	t.Parallel()
	iface := tp.InterfaceConnectionContactBlocking
	cm := cmtest.Connect(t)
	ann := personOf(cm, schoolmate("ann"))
	cm.Refused(tp.ErrorNotAvailable, cm.Path, iface, "RequestBlockedContacts")
	cm.Refused(tp.ErrorNotAvailable, cm.Path, iface, "BlockContacts", []uint32{ann.handle}, false)
	cm.Refused(tp.ErrorNotAvailable, cm.Path, iface, "UnblockContacts", []uint32{ann.handle})
	deny := openList(cm, "deny")
	cm.Refused(tp.ErrorNotAvailable, deny, tp.InterfaceChannelGroup, "AddMembers", []uint32{ann.handle}, "")
	wantBlocked(cm, ann, nil)
}

// A server in trouble is asked again when somebody wants to know.
func TestContactBlocking_secondTry(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, has(blocking.NS), cmtest.Unanswered(listGet))
	c := cm.Request()
	c.Login()
	call := onBlocking(c, "RequestBlockedContacts")
	get := cm.Expect(listGet)
	cm.Sync() // the call waits by now
	cm.Server.AnswerError(get, "wait", "internal-server-error")
	cm.Expect(cmtest.Refusal(call, tp.ErrorNotAvailable))
	call = onBlocking(c, "RequestBlockedContacts")
	cm.Server.Answer(cm.Expect(listGet), blocklist())
	cmtest.Equal(t, cm.Expect(cmtest.Reply(call)).Arg(0), ids())
}

// privacyServer answers for a server with privacy lists, of which the first is
// the default.
type privacyServer struct {
	cm    *cmtest.Connection
	lists [][2]string // name and items
}

func (s *privacyServer) names() {
	s.cm.T.Helper()
	var names string
	if len(s.lists) > 0 {
		names = "<default name='" + s.lists[0][0] + "'/>"
	}
	for _, list := range s.lists {
		names += "<list name='" + list[0] + "'/>"
	}
	question := s.cm.Expect(privacyGet)
	cmtest.Equal(s.cm.T, question.Element.First().String(), "<query xmlns='"+blocking.NSPrivacy+"'/>")
	s.cm.Server.Answer(question, "<query xmlns='"+blocking.NSPrivacy+"'>"+names+"</query>")
}

func (s *privacyServer) list() {
	s.cm.T.Helper()
	question := s.cm.Expect(privacyGet)
	name := question.Element.First().First().Attr("name")
	for _, list := range s.lists {
		if list[0] == name {
			s.cm.Server.Answer(question, "<query xmlns='"+blocking.NSPrivacy+"'><list name='"+name+"'>"+list[1]+"</list></query>")
			return
		}
	}
	s.cm.Server.AnswerError(question, "cancel", "item-not-found")
}

// wantSet answers the change that the client must make.
func (s *privacyServer) wantSet(payload string) {
	s.cm.T.Helper()
	set := s.cm.Expect(privacySet)
	if want := parseElement(s.cm.T, "<query xmlns='"+blocking.NSPrivacy+"'>"+payload+"</query>"); !set.Element.First().Equal(want) {
		s.cm.T.Errorf("set of\n%s, want\n%s", set.Element.First(), want)
	}
	s.cm.Server.Answer(set, "")
}

// denial is an item that denies everything to one address.
func denial(who, order string) string {
	return "<item type='jid' value='" + who + "' action='deny' order='" + order + "'/>"
}

// The ejabberd of old school servers: privacy lists, not announced. Another
// client's list is extended and keeps its rules.
func TestContactBlocking_privacyList(t *testing.T) {
	t.Parallel()
	rules := "<item type='group' value='Class' action='allow' order='1'><presence-out/></item><item action='allow' order='9'/>"
	cm := cmtest.Start(t, has(), cmtest.Unanswered(privacyGet), cmtest.Unanswered(privacySet), cmtest.Contact(schoolmate("ann")))
	c := cm.Request()
	cm.Forbid(listGet)
	c.Login()
	ann, bob, eve := personOf(c, schoolmate("ann")), personOf(c, schoolmate("bob")), personOf(c, "eve@away.test")
	s := &privacyServer{c, [][2]string{{"home", denial(eve.id, "0") + rules}, {"party", ""}}}
	s.names()
	s.list()
	cm.Expect(blockedChanged.Args(ids(eve), ids()))
	cm.Sync()

	call := onBlocking(c, "BlockContacts", []uint32{ann.handle, bob.handle}, false)
	cm.Expect(cmtest.Presence().Type("unavailable").To(ann.id)) // who sees us, and would go on doing so
	cm.Forbid(cmtest.Presence().To(bob.id))
	s.names()
	s.list()
	s.wantSet("<list name='home'>" + denial(ann.id, "1") + denial(bob.id, "2") + denial(eve.id, "3") +
		strings.NewReplacer("'1'", "'4'", "'9'", "'5'").Replace(rules) + "</list>")
	cm.Expect(blockedChanged.Args(ids(ann, bob), ids()))
	cm.Expect(cmtest.Reply(call))

	// Another session changes the list, which is pushed by name alone.
	s.lists[0][1] = denial(ann.id, "5") + rules
	c.Server.Send("<iq type='set' id='push' from='" + cmtest.Self + "'><query xmlns='" + blocking.NSPrivacy + "'><list name='home'/></query></iq>")
	s.names()
	cm.Expect(cmtest.IQAnswer("result", "push"))
	s.list()
	cm.Sync()
	cm.Expect(blockedChanged.Args(ids(), ids(bob, eve)))
}

func TestContactBlocking_privacyListOfOurOwn(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, has(blocking.NSPrivacy), cmtest.Unanswered(privacyGet), cmtest.Unanswered(privacySet), cmtest.Contact(schoolmate("ann")))
	c := cm.Request()
	c.Login()
	ann := personOf(c, schoolmate("ann"))
	s := &privacyServer{cm: c}
	s.names()
	cm.Sync()
	deny := openList(c, "deny")
	call := cm.CallAsync(deny, tp.InterfaceChannelGroup, "AddMembers", []uint32{ann.handle}, "")
	s.names()
	s.wantSet("<list name='telepathy-olpc'>" + denial(ann.id, "1") + "</list>")
	s.wantSet("<default name='telepathy-olpc'/>")
	cm.Expect(moved(deny, []uint32{ann.handle}, nil, nil, nil))
	cm.Expect(cmtest.Reply(call))

	s.lists = [][2]string{{"telepathy-olpc", denial(ann.id, "1")}}
	call = cm.CallAsync(deny, tp.InterfaceChannelGroup, "RemoveMembers", []uint32{ann.handle}, "")
	s.names()
	s.list()
	s.wantSet("<list name='telepathy-olpc'><item action='allow' order='1'/></list>")
	cm.Expect(moved(deny, nil, []uint32{ann.handle}, nil, nil))
	cm.Expect(cmtest.Reply(call))
	cm.Expect(cmtest.Presence().Type("").To(ann.id)) // back again
	cmtest.Equal(t, membersOf(c, deny), []uint32{})
}
