package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// simplePresence is Simple_Presence.
type simplePresence struct {
	Type            uint32
	Status, Message string
}

const nsClient = "jabber:client"

// mission-control sets the presence before it connects.
func TestSimplePresence_setBeforeConnect(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	cm.Call(c.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "away", "in the garden")
	c.Login()
	shown := cm.Expect(cmtest.Presence().Type(""))
	cmtest.Equal(t, shown.Element.Child(nsClient, "show").Text(), "away")
	cmtest.Equal(t, shown.Element.Child(nsClient, "status").Text(), "in the garden")
	presences := cm.Call(c.Path, tp.InterfaceConnectionSimplePresence, "GetPresences", []uint32{1})
	cmtest.Equal(t, presences.Arg(0), map[uint32]simplePresence{1: {uint32(tp.ConnectionPresenceTypeAway), "away", "in the garden"}})
}

func TestSimplePresence_setOnOneself(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	for _, row := range []struct {
		status, show string
		kind         tp.ConnectionPresenceType
	}{
		{"away", "away", tp.ConnectionPresenceTypeAway},
		{"dnd", "dnd", tp.ConnectionPresenceTypeBusy},
		{"xa", "xa", tp.ConnectionPresenceTypeExtendedAway},
		{"chat", "chat", tp.ConnectionPresenceTypeAvailable},
		{"available", "", tp.ConnectionPresenceTypeAvailable},
	} {
		call := cm.CallAsync(cm.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", row.status, "")
		shown := cm.Expect(cmtest.Presence().Type(""))
		cmtest.Equal(t, shown.Element.Child(nsClient, "show").Text(), row.show)
		cm.ExpectUnordered(cmtest.Reply(call), cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged).
			Args(map[uint32]simplePresence{1: {uint32(row.kind), row.status, ""}}))
	}
	cm.Sync()
	cm.Forbid(cmtest.Presence())
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "levitating", "")
	cm.Refused(tp.ErrorInvalidArgument, cm.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "unknown", "")
	cm.Sync()
}

// The server gives one's presence back (RFC 6121 §4.2.2): no news to anybody.
func TestSimplePresence_ownEchoIsNoNews(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Call(cm.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "away", "")
	cm.Expect(cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged))
	cm.Forbid(cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged))
	cm.Call(cm.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "away", "")
	cm.Sync()
}

func TestSimplePresence_priority(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Param("priority", int32(-5)))
	cm.Request().Login()
	shown := cm.Expect(cmtest.Presence().Type(""))
	cmtest.Equal(t, shown.Element.Child(nsClient, "priority").Text(), "-5")
}

// What mission-control asks about oneself right after CONNECTED.
func TestContacts_oneself(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	attributes := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{1}, []string{}, true)
	cmtest.Equal(t, attributes.Arg(0), map[uint32]map[string]any{1: {tp.ContactAttributeConnectionContactID: cmtest.Account}})
	simple := tp.InterfaceConnectionSimplePresence.Name
	attributes = cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{1, 99}, []string{simple, "org.example.Unknown"}, false)
	got := cmtest.As[map[uint32]map[string]any](t, attributes.Arg(0))
	if len(got) != 1 || got[1][simple+"/presence"] == nil {
		t.Errorf("invalid handles are left out, known attributes are not: %v", got)
	}
	byID := cm.Call(cm.Path, tp.InterfaceConnectionContacts, "GetContactByID", "Bob@School.test", []string{})
	cmtest.Equal(t, byID.Arg(0), uint32(2))
	cmtest.Equal(t, byID.Arg(1), map[string]any{tp.ContactAttributeConnectionContactID: "bob@school.test"})
	cm.Refused(tp.ErrorInvalidHandle, cm.Path, tp.InterfaceConnectionContacts, "GetContactByID", "@@", []string{})
}
