package functional

import (
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const (
	listUnknown = uint32(tp.SubscriptionStateUnknown)
	listNo      = uint32(tp.SubscriptionStateNo)
	listRefused = uint32(tp.SubscriptionStateRemovedRemotely)
	listAsk     = uint32(tp.SubscriptionStateAsk)
	listYes     = uint32(tp.SubscriptionStateYes)
)

// subscription is Contact_Subscriptions.
type subscription struct {
	Subscribe, Publish uint32
	Request            string
}

var (
	contactsChanged = cmtest.Signal(tp.SignalConnectionContactListContactsChangedWithID)
	rosterGet       = cmtest.IQ("get", roster.NS)
	rosterSet       = cmtest.IQ("set", roster.NS)
)

// schoolmate is a contact on the own server.
func schoolmate(name string) string { return name + "@" + cmtest.Domain }

// person is a connection's handle with its identifier.
type person struct {
	handle uint32
	id     string
}

func personOf(cm *cmtest.Connection, id string) person {
	cm.T.Helper()
	return person{cm.Handle(id), id}
}

// changes are the arguments of ContactsChangedWithID for one contact.
func (p person) changes(s subscription) []any {
	return []any{map[uint32]subscription{p.handle: s}, map[uint32]string{p.handle: p.id}, map[uint32]string{}}
}

// removal are those of a contact's removal.
func (p person) removal() []any {
	return []any{map[uint32]subscription{}, map[uint32]string{}, map[uint32]string{p.handle: p.id}}
}

// expectChange waits for both signals about one contact.
func (p person) expectChange(cm *cmtest.Connection, s subscription) {
	cm.T.Helper()
	cm.Expect(contactsChanged.Args(p.changes(s)...))
	cm.Expect(cmtest.Signal(tp.SignalConnectionContactListContactsChanged).Args(map[uint32]subscription{p.handle: s}, []uint32{}))
}

func (p person) expectRemoval(cm *cmtest.Connection) {
	cm.T.Helper()
	cm.Expect(contactsChanged.Args(p.removal()...))
	cm.Expect(cmtest.Signal(tp.SignalConnectionContactListContactsChanged).Args(map[uint32]subscription{}, []uint32{p.handle}))
}

func rosterItem(id, attributes string, groups ...string) string {
	item := "<item jid='" + id + "' " + attributes
	if len(groups) == 0 {
		return item + "/>"
	}
	return item + "><group>" + strings.Join(groups, "</group><group>") + "</group></item>"
}

// push sends a roster push and waits for its answer.
func push(cm *cmtest.Connection, item string) {
	cm.T.Helper()
	cm.Server.Send("<iq type='set' id='push' from='" + cmtest.Account + "'><query xmlns='" + roster.NS + "'>" + item + "</query></iq>")
	cm.Expect(cmtest.IQAnswer("result", "push"))
}

// rosterChange is an item that the client must write, and the one that the
// server pushes then.
type rosterChange struct{ written, pushed string }

// takeSets takes roster sets as a server does: it pushes what comes of them,
// and then answers.
func takeSets(cm *cmtest.Connection, changes ...rosterChange) {
	cm.T.Helper()
	sets := make([]*cmtest.Event, len(changes))
	for i, c := range changes {
		sets[i] = cm.Expect(rosterSet)
		got := sets[i].Element.First().First()
		if want := parseElement(cm.T, "<x xmlns='"+roster.NS+"'>"+c.written+"</x>").First(); !got.Equal(want) {
			cm.T.Errorf("roster set of %s, want %s", got, want)
		}
	}
	for i, c := range changes {
		push(cm, c.pushed)
		cm.Server.Answer(sets[i], "")
	}
}

var parseElement = xmpptest.Element

// onList calls a method of ContactList.
func onList(cm *cmtest.Connection, method string, args ...any) *cmtest.Call {
	cm.T.Helper()
	return cm.CallAsync(cm.Path, tp.InterfaceConnectionContactList, method, args...)
}

func TestContactList_download(t *testing.T) {
	t.Parallel()
	list := tp.InterfaceConnectionContactList
	cm := cmtest.Start(t, cmtest.Unanswered(rosterGet))
	c := cm.Request()
	cmtest.Equal(t, cm.GetAll(c.Path, list), map[string]any{
		"ContactListState": uint32(tp.ContactListStateNone), "ContactListPersists": true, "CanChangeContactList": true,
		"RequestUsesMessage": true, "DownloadAtConnection": true,
	})
	cm.Refused(tp.ErrorNotYet, c.Path, list, "GetContactListAttributes", []string{}, false)
	cm.Refused(tp.ErrorNotYet, c.Path, list, "RequestSubscription", []uint32{}, "")
	cm.Refused(tp.ErrorDisconnected, c.Path, list, "Download")
	c.Login()
	state := cmtest.Signal(tp.SignalConnectionContactListContactListStateChanged)
	cm.Expect(state.Args(uint32(tp.ContactListStateWaiting)))
	question := cm.Expect(rosterGet)
	cm.Refused(tp.ErrorNotYet, c.Path, list, "GetContactListAttributes", []string{}, false)
	cm.Refused(tp.ErrorNotYet, c.Path, list, "Unsubscribe", []uint32{})
	ann, bob, cat, dan := personOf(c, schoolmate("ann")), personOf(c, schoolmate("bob")), personOf(c, "cat@away.test"), personOf(c, "dan@away.test")
	attributes := cm.Call(c.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{ann.handle}, []string{list.Name}, false)
	cmtest.Equal(t, attributes.Arg(0), map[uint32]map[string]any{ann.handle: {tp.ContactAttributeConnectionContactID: ann.id}})

	cm.Server.Answer(question, "<query xmlns='"+roster.NS+"'>"+rosterItem(ann.id, "subscription='both'", "Online")+
		rosterItem(bob.id, "subscription='from' ask='subscribe'")+rosterItem(cat.id, "subscription='to'")+rosterItem(dan.id, "")+"</query>")
	told := map[uint32]subscription{
		ann.handle: {listYes, listYes, ""}, bob.handle: {listAsk, listYes, ""}, cat.handle: {listYes, listNo, ""}, dan.handle: {listNo, listNo, ""},
	}
	cm.Expect(contactsChanged.Args(told, map[uint32]string{
		ann.handle: ann.id, bob.handle: bob.id, cat.handle: cat.id, dan.handle: dan.id}, map[uint32]string{}))
	cm.Expect(cmtest.Signal(tp.SignalConnectionContactListContactsChanged).Args(told, []uint32{}))
	cm.Expect(state.Args(uint32(tp.ContactListStateSuccess)))
	cmtest.Equal(t, cm.Get(c.Path, list, "ContactListState"), tp.ContactListStateSuccess)
	cm.Call(c.Path, list, "Download")
	groups := tp.InterfaceConnectionContactGroups
	all := cmtest.As[map[uint32]map[string]any](t, cm.Call(c.Path, list, "GetContactListAttributes", []string{groups.Name}, false).Arg(0))
	if len(all) != 4 {
		t.Errorf("%d contacts on the list", len(all))
	}
	cmtest.Equal(t, all[bob.handle], map[string]any{
		tp.ContactAttributeConnectionContactID: bob.id, list.Name + "/subscribe": listAsk, list.Name + "/publish": listYes,
		groups.Name + "/groups": []string{},
	})
}

func TestContactList_refusedByServer(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.AnswersError(rosterGet, "cancel", "service-unavailable"))
	list := tp.InterfaceConnectionContactList
	cmtest.Equal(t, cm.Get(cm.Path, list, "ContactListState"), tp.ContactListStateFailure)
	cm.Refused(tp.ErrorNetworkError, cm.Path, list, "GetContactListAttributes", []string{}, false)
	cm.Refused(tp.ErrorNetworkError, cm.Path, list, "RequestSubscription", []uint32{1}, "")
}

func TestContactList_pushes(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	ann := personOf(cm, schoolmate("ann"))
	push(cm, rosterItem(ann.id, "ask='subscribe'"))
	ann.expectChange(cm, subscription{listAsk, listNo, ""})
	push(cm, rosterItem(ann.id, "subscription='to'"))
	ann.expectChange(cm, subscription{listYes, listNo, ""})
	push(cm, rosterItem(ann.id, "subscription='both'"))
	ann.expectChange(cm, subscription{listYes, listYes, ""})

	ban := cm.Forbid(contactsChanged)
	push(cm, rosterItem(ann.id, "name='Annie' subscription='both'")) // nothing that this interface tells
	for _, from := range []string{"mallory@" + cmtest.Domain + "/x", "mallory@away.test", cmtest.Domain, ann.id, cmtest.Account + "/other"} {
		cm.Server.Send("<iq type='set' id='forged' from='" + from + "'><query xmlns='" + roster.NS + "'>" +
			rosterItem(ann.id, "subscription='remove'") + rosterItem("mallory@away.test", "subscription='both'") + "</query></iq>")
		refused := cm.Expect(cmtest.IQAnswer("error", "forged").To(from))
		cmtest.Equal(t, string(stanza.ErrorOf(refused.Element).Condition), "service-unavailable")
	}
	cm.Sync()
	ban.Lift()
	push(cm, rosterItem(ann.id, "subscription='remove'"))
	ann.expectRemoval(cm)
}

func TestContactList_requestSubscription(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Unanswered(rosterSet), cmtest.RosterItem(rosterItem("bob@away.test", "subscription='to'")))
	ann, bob := personOf(cm, "ann@away.test"), personOf(cm, "bob@away.test")
	call := onList(cm, "RequestSubscription", []uint32{ann.handle, bob.handle}, "It is me & you")
	takeSets(cm, rosterChange{rosterItem(ann.id, ""), rosterItem(ann.id, "subscription='none'")})
	ann.expectChange(cm, subscription{listNo, listNo, ""})
	asked := cm.Expect(cmtest.Presence().Type("subscribe"))
	cmtest.Equal(t, asked.Element.Attr("to"), ann.id)
	cmtest.Equal(t, asked.Element.Child(nsClient, "status").Text(), "It is me & you")
	cm.Expect(cmtest.Reply(call))
	push(cm, rosterItem(ann.id, "subscription='none' ask='subscribe'"))
	ann.expectChange(cm, subscription{listAsk, listNo, ""})

	// Asked again, it asks again; whom we see already is left alone.
	call = onList(cm, "RequestSubscription", []uint32{ann.handle, bob.handle}, "")
	cmtest.Equal(t, cm.Expect(cmtest.Presence().Type("subscribe")).Element.String(), "<presence type='subscribe' to='"+ann.id+"'/>")
	cm.Expect(cmtest.Reply(call))

	cm.Server.Send("<presence type='unsubscribed' from='" + ann.id + "'/>")
	push(cm, rosterItem(ann.id, "subscription='none'"))
	ann.expectChange(cm, subscription{listRefused, listNo, ""})
	cm.Forbid(cmtest.Presence())
	call = onList(cm, "Unsubscribe", []uint32{ann.handle})
	ann.expectChange(cm, subscription{listNo, listNo, ""})
	cm.Expect(cmtest.Reply(call))
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnectionContactList, "RequestSubscription", []uint32{ann.handle, 999}, "")
	cm.Sync()
}

func TestContactList_requestRefusedByServer(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.AnswersError(rosterSet, "modify", "not-acceptable"))
	cm.Forbid(cmtest.Presence())
	cm.Refused(tp.ErrorNetworkError, cm.Path, tp.InterfaceConnectionContactList, "RequestSubscription", []uint32{cm.Handle("ann@away.test")}, "")
	cm.Sync()
}

// Who is on the same server is let in, and asked back if need be, as Sugar's
// presence service did it.
func TestContactList_schoolmateAsks(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.RosterItem(rosterItem(schoolmate("bob"), "subscription='to'")),
		cmtest.RosterItem(rosterItem(schoolmate("cat"), "ask='subscribe'")))
	cm.Forbid(rosterSet)
	cm.Forbid(contactsChanged)
	cm.Server.Send("<presence type='subscribe' from='" + schoolmate("ann") + "'/>")
	cm.Expect(cmtest.Presence().Type("subscribed").To(schoolmate("ann")))
	cm.Expect(cmtest.Presence().Type("subscribe").To(schoolmate("ann")))
	cm.Forbid(cmtest.Presence().Type("subscribe"))
	for _, name := range []string{"bob", "cat"} {
		cm.Server.Send("<presence type='subscribe' from='" + schoolmate(name) + "/sugar'/>")
		cm.Expect(cmtest.Presence().Type("subscribed").To(schoolmate(name)))
	}
	cm.Forbid(cmtest.Presence().Type("subscribed"))
	for _, nobody := range []string{cmtest.Domain, cmtest.Account, "@@", "conference." + cmtest.Domain} {
		cm.Note("from %s", nobody)
		cm.Server.Send("<presence type='subscribed' from='" + nobody + "'/>")
	}
	cm.Sync()
}

// Who is elsewhere waits for the user.
func TestContactList_strangerAsks(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	ann, bob, cat := personOf(cm, "ann@away.test"), personOf(cm, "bob@away.test"), personOf(cm, "cat@away.test")
	silence := cm.Forbid(cmtest.Presence())
	for _, p := range []person{ann, bob, cat} {
		cm.Server.Send("<presence type='subscribe' from='" + p.id + "'><status>May I?</status></presence>")
		p.expectChange(cm, subscription{listNo, listAsk, "May I?"})
	}
	list := tp.InterfaceConnectionContactList
	attributes := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{ann.handle}, []string{list.Name}, false)
	cmtest.Equal(t, attributes.Arg(0), map[uint32]map[string]any{ann.handle: {
		tp.ContactAttributeConnectionContactID: ann.id, list.Name + "/subscribe": listNo, list.Name + "/publish": listAsk,
		list.Name + "/publish-request": "May I?",
	}})
	cm.Server.Send("<presence type='unsubscribe' from='" + cat.id + "'/>")
	cat.expectRemoval(cm)
	cm.Sync()
	silence.Lift()

	call := onList(cm, "AuthorizePublication", []uint32{ann.handle})
	cm.ExpectUnordered(cmtest.Reply(call), cmtest.Presence().Type("subscribed").To(ann.id))
	push(cm, rosterItem(ann.id, "subscription='from'"))
	ann.expectChange(cm, subscription{listNo, listYes, ""})
	call = onList(cm, "RemoveContacts", []uint32{bob.handle})
	bob.expectRemoval(cm)
	cm.Expect(cmtest.Reply(call))
	cm.Expect(cmtest.Presence().Type("unsubscribed").To(bob.id))

	cm.Forbid(cmtest.Presence())
	call = onList(cm, "AuthorizePublication", []uint32{ann.handle})
	cm.Expect(cmtest.Reply(call))
	cm.Sync()
}

// The user's consent may come before the request.
func TestContactList_authorizeBefore(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	ann := personOf(cm, "ann@away.test")
	cm.Forbid(contactsChanged)
	authorize := func() {
		call := onList(cm, "AuthorizePublication", []uint32{ann.handle})
		cm.ExpectUnordered(cmtest.Reply(call), cmtest.Presence().Type("subscribed").To(ann.id))
	}
	authorize()
	cm.Server.Send("<presence type='subscribe' from='" + ann.id + "'/>")
	cm.Expect(cmtest.Presence().Type("subscribed").To(ann.id))
	cm.Forbid(cmtest.Presence().Type("subscribe"))
	cm.Sync()
}

func TestContactList_endSubscriptions(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Unanswered(rosterSet), cmtest.RosterItem(rosterItem("ann@away.test", "subscription='both'")),
		cmtest.RosterItem(rosterItem("bob@away.test", "")))
	ann, bob := personOf(cm, "ann@away.test"), personOf(cm, "bob@away.test")
	for method, kind := range map[string]string{"Unsubscribe": "unsubscribe", "Unpublish": "unsubscribed"} {
		call := onList(cm, method, []uint32{ann.handle, bob.handle})
		cm.ExpectUnordered(cmtest.Reply(call), cmtest.Presence().Type(kind).To(ann.id))
	}
	push(cm, rosterItem(ann.id, "subscription='none'"))
	ann.expectChange(cm, subscription{listNo, listNo, ""})
	cm.Forbid(cmtest.Presence())
	for _, method := range []string{"Unsubscribe", "Unpublish"} {
		cm.Expect(cmtest.Reply(onList(cm, method, []uint32{ann.handle, bob.handle})))
	}
	call := onList(cm, "RemoveContacts", []uint32{ann.handle, cm.Handle("nobody@away.test")})
	takeSets(cm, rosterChange{rosterItem(ann.id, "subscription='remove'"), rosterItem(ann.id, "subscription='remove'")})
	ann.expectRemoval(cm)
	cm.Expect(cmtest.Reply(call))

	// What can't be done is no error.
	call = onList(cm, "RemoveContacts", []uint32{bob.handle})
	cm.Server.AnswerError(cm.Expect(rosterSet), "cancel", "item-not-found")
	cm.Expect(cmtest.Reply(call))
	cm.Sync()
}

// An item of a shared group that its member writes becomes a one-way
// subscription on ejabberd, and the child vanishes from the others' screens.
func TestContactList_sharedGroupIsNeverWritten(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.RosterItem(rosterItem(schoolmate("ann"), "name='Ann' subscription='both'", "Online")))
	ann := []uint32{cm.Handle(schoolmate("ann"))}
	cm.Forbid(rosterSet)
	groups, list := tp.InterfaceConnectionContactGroups, tp.InterfaceConnectionContactList
	cm.Call(cm.Path, list, "RemoveContacts", ann)
	cm.Call(cm.Path, list, "RequestSubscription", ann, "")
	cm.Call(cm.Path, list, "AuthorizePublication", ann)
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, groups, "SetContactGroups", ann[0], []string{})
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, groups, "SetGroupMembers", "Friends", ann)
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, groups, "AddToGroup", "Friends", ann)
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, groups, "RemoveFromGroup", "Online", ann)
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, groups, "RemoveGroup", "Online")
	cm.Refused(tp.ErrorPermissionDenied, cm.Path, groups, "RenameGroup", "Online", "Offline")
	stored := openList(cm, "stored")
	cm.Call(stored, tp.InterfaceChannelGroup, "AddMembers", ann, "")
	cm.Call(stored, tp.InterfaceChannelGroup, "RemoveMembers", ann, "")
	cm.Sync()
}

// openList gets one of the older list channels.
func openList(cm *cmtest.Connection, name string) dbus.ObjectPath {
	cm.T.Helper()
	reply := cm.Call(cm.Path, tp.InterfaceConnectionRequests, "EnsureChannel", map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelContactList.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(int32(tp.HandleTypeList)), // as dbus-python writes it
		tp.PropertyChannelTargetID:         dbus.MakeVariant(name),
	})
	return cmtest.As[dbus.ObjectPath](cm.T, reply.Arg(1))
}

// membersOf reads who is on a list.
func membersOf(cm *cmtest.Connection, list dbus.ObjectPath) []uint32 {
	cm.T.Helper()
	members := cmtest.As[[]uint32](cm.T, cm.Get(list, tp.InterfaceChannelGroup, "Members"))
	slices.Sort(members)
	return members
}
