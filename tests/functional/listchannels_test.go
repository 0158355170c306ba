package functional

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// moved matches MembersChanged of a list, by who was added, removed, and waits
// for the user or for others.
func moved(list dbus.ObjectPath, added, removed, local, remote []uint32) cmtest.Match {
	for _, handles := range []*[]uint32{&added, &removed, &local, &remote} {
		if *handles == nil {
			*handles = []uint32{}
		}
	}
	return cmtest.Signal(tp.SignalChannelGroupMembersChanged).At(list).Args("", added, removed, local, remote)
}

func available(from string) string { return "<presence from='" + from + "'/>" }

func gone(from string) string { return "<presence from='" + from + "' type='unavailable'/>" }

// Sugar knows no other way to its buddies: who is on-line is on "subscribe",
// whatever the roster says, and comes back to it (the roster does not change
// when somebody does).
func TestSubscribeList_onlineMembers(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact(schoolmate("ann")), cmtest.Contact(schoolmate("bob")))
	ann, bob := cm.Handle(schoolmate("ann")), cm.Handle(schoolmate("bob"))
	cm.Server.Send(available(schoolmate("ann") + "/sugar"))
	presences := cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged)
	online := func(h uint32) map[uint32]simplePresence {
		return map[uint32]simplePresence{h: {uint32(tp.ConnectionPresenceTypeAvailable), "available", ""}}
	}
	offline := func(h uint32) map[uint32]simplePresence {
		return map[uint32]simplePresence{h: {uint32(tp.ConnectionPresenceTypeOffline), "offline", ""}}
	}
	cm.Expect(presences.Args(online(ann)))
	list := openList(cm, "subscribe")
	cmtest.Equal(t, membersOf(cm, list), []uint32{ann})

	for range 2 {
		cm.Server.Send(available(schoolmate("bob") + "/sugar"))
		cm.Expect(presences.Args(online(bob)))
		cm.Expect(moved(list, []uint32{bob}, nil, nil, nil))
		cmtest.Equal(t, membersOf(cm, list), []uint32{ann, bob})
		cm.Server.Send(gone(schoolmate("bob") + "/sugar"))
		cm.Expect(presences.Args(offline(bob)))
		cm.Expect(moved(list, nil, []uint32{bob}, nil, nil))
	}
	cmtest.Equal(t, membersOf(cm, list), []uint32{ann})

	// A second device makes no difference, nor does the roster.
	ban := cm.Forbid(cmtest.Signal(tp.SignalChannelGroupMembersChanged).At(list))
	cm.Server.Send(available(schoolmate("ann")+"/phone") + gone(schoolmate("ann")+"/sugar"))
	push(cm, rosterItem(schoolmate("ann"), "subscription='remove'"))
	push(cm, rosterItem(schoolmate("bob"), "subscription='from'"))
	cm.Server.Send("<presence from='" + cmtest.Account + "/other'/>") // oneself is no buddy
	cm.Sync()
	ban.Lift()
	cmtest.Equal(t, membersOf(cm, list), []uint32{ann})

	// Who is in no roster at all, as on a server with a partial shared roster.
	stranger := schoolmate("cat")
	cm.Server.Send(available(stranger + "/sugar"))
	cat := cm.Handle(stranger)
	cm.Expect(moved(list, []uint32{cat}, nil, nil, nil))
	cm.Server.Send(gone(stranger))
	cm.Expect(moved(list, nil, []uint32{cat}, nil, nil))
	cm.Server.Send("<presence type='error' from='" + schoolmate("ann") + "'><error type='wait'><remote-server-timeout xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>")
	cm.Expect(moved(list, nil, []uint32{ann}, nil, nil))
}

// Who comes while a burst of presences is handled comes together.
func TestSubscribeList_burst(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	list := openList(cm, "subscribe")
	names := []string{"a", "b", "c", "d"}
	var burst string
	for _, name := range names {
		burst += available(schoolmate(name) + "/sugar")
	}
	cm.Server.Send(burst)
	cm.Sync()
	var all []uint32
	for _, name := range names {
		all = append(all, cm.Handle(schoolmate(name)))
	}
	cmtest.Equal(t, membersOf(cm, list), all)
}

func TestSubscribeList_pending(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.RosterItem(rosterItem(schoolmate("ann"), "ask='subscribe'")))
	ann, bob := cm.Handle(schoolmate("ann")), cm.Handle("bob@away.test")
	list := openList(cm, "subscribe")
	cmtest.Equal(t, cm.Get(list, tp.InterfaceChannelGroup, "RemotePendingMembers"), []uint32{ann})
	call := cm.CallAsync(list, tp.InterfaceChannelGroup, "AddMembers", []uint32{bob}, "Please")
	asked := cm.Expect(cmtest.Presence().Type("subscribe").To("bob@away.test"))
	cmtest.Equal(t, asked.Element.Child(nsClient, "status").Text(), "Please")
	cm.Expect(cmtest.Reply(call))
	push(cm, rosterItem("bob@away.test", "ask='subscribe'"))
	cm.Expect(moved(list, nil, nil, nil, []uint32{bob}))
	push(cm, rosterItem("bob@away.test", "subscription='to'"))
	cm.Expect(moved(list, nil, []uint32{bob}, nil, nil)) // we may see bob, who is not there
	cm.Server.Send(available(schoolmate("ann") + "/sugar"))
	cm.Expect(moved(list, []uint32{ann}, nil, nil, nil))
	call = cm.CallAsync(list, tp.InterfaceChannelGroup, "RemoveMembers", []uint32{bob, ann}, "")
	cm.Expect(cmtest.Presence().Type("unsubscribe").To("bob@away.test"))
	cm.Expect(cmtest.Presence().Type("unsubscribe").To(schoolmate("ann")))
	cm.Expect(cmtest.Reply(call))
	cm.Refused(tp.ErrorInvalidHandle, list, tp.InterfaceChannelGroup, "AddMembers", []uint32{999}, "")
}

func TestPublishList(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Contact(schoolmate("ann")), cmtest.RosterItem(rosterItem("bob@away.test", "subscription='to'")))
	ann, bob, cat := cm.Handle(schoolmate("ann")), cm.Handle("bob@away.test"), cm.Handle("cat@away.test")
	list := openList(cm, "publish")
	cmtest.Equal(t, membersOf(cm, list), []uint32{ann})
	cm.Server.Send("<presence type='subscribe' from='cat@away.test'/>")
	cm.Expect(moved(list, nil, nil, []uint32{cat}, nil))
	call := cm.CallAsync(list, tp.InterfaceChannelGroup, "AddMembers", []uint32{cat}, "")
	cm.Expect(cmtest.Presence().Type("subscribed").To("cat@away.test"))
	cm.Expect(cmtest.Reply(call))
	push(cm, rosterItem("cat@away.test", "subscription='from'"))
	cm.Expect(moved(list, []uint32{cat}, nil, nil, nil))
	push(cm, rosterItem("bob@away.test", "subscription='both'"))
	cm.Expect(moved(list, []uint32{bob}, nil, nil, nil))
	call = cm.CallAsync(list, tp.InterfaceChannelGroup, "RemoveMembers", []uint32{cat}, "")
	cm.Expect(cmtest.Presence().Type("unsubscribed").To("cat@away.test"))
	cm.Expect(cmtest.Reply(call))
	push(cm, rosterItem("cat@away.test", "subscription='none'"))
	cm.Expect(moved(list, nil, []uint32{cat}, nil, nil))
}

func TestStoredList(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.Unanswered(rosterSet), cmtest.Contact("ann@away.test"), cmtest.RosterItem(rosterItem("bob@away.test", "")))
	ann, bob, cat := cm.Handle("ann@away.test"), cm.Handle("bob@away.test"), cm.Handle("cat@away.test")
	list := openList(cm, "stored")
	cmtest.Equal(t, membersOf(cm, list), []uint32{ann, bob})
	cm.Server.Send("<presence type='subscribe' from='dan@away.test'/>") // is not in the roster by that
	call := cm.CallAsync(list, tp.InterfaceChannelGroup, "AddMembers", []uint32{cat, ann}, "")
	takeSets(cm, rosterChange{rosterItem("cat@away.test", ""), rosterItem("cat@away.test", "")})
	cm.Expect(moved(list, []uint32{cat}, nil, nil, nil))
	cm.Expect(cmtest.Reply(call))
	call = cm.CallAsync(list, tp.InterfaceChannelGroup, "RemoveMembers", []uint32{ann}, "")
	takeSets(cm, rosterChange{rosterItem("ann@away.test", "subscription='remove'"), rosterItem("ann@away.test", "subscription='remove'")})
	cm.Expect(moved(list, nil, []uint32{ann}, nil, nil))
	cm.Expect(cmtest.Reply(call))
	cmtest.Equal(t, membersOf(cm, list), []uint32{bob, cat})
}

// Lists are there at once, once each, and for as long as the Connection.
func TestListChannels(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Unanswered(rosterGet))
	c := cm.Request()
	c.Login()
	class := func(name string) map[string]dbus.Variant {
		return map[string]dbus.Variant{
			tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelContactList.Name),
			tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeList)),
			tp.PropertyChannelTargetID:         dbus.MakeVariant(name),
		}
	}
	for _, name := range []string{"subscribe", "publish", "stored", "deny"} {
		call := cm.CallAsync(c.Path, tp.InterfaceConnectionRequests, "EnsureChannel", class(name))
		reply := cm.Expect(cmtest.Reply(call))
		cm.Expect(cmtest.Signal(tp.SignalConnectionRequestsNewChannels))
		cm.Expect(cmtest.Signal(tp.SignalConnectionNewChannel))
		cmtest.Equal(t, reply.Arg(0), true)
		path := cmtest.As[dbus.ObjectPath](t, reply.Arg(1))
		cmtest.Equal(t, openList(c, name), path)
		cmtest.Equal(t, membersOf(c, path), []uint32{})
		flags := cmtest.As[uint32](t, cm.Get(path, tp.InterfaceChannelGroup, "GroupFlags"))
		if both := uint32(tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsCanRemove); flags&both != both {
			t.Errorf("%s has the flags %#x", name, flags)
		}
		cm.Refused(tp.ErrorNotImplemented, path, tp.InterfaceChannel, "Close")
		cm.Refused(tp.ErrorNotAvailable, c.Path, tp.InterfaceConnectionRequests, "CreateChannel", class(name))
	}
	cm.Refused(tp.ErrorInvalidHandle, c.Path, tp.InterfaceConnectionRequests, "EnsureChannel", class("allow"))
}
