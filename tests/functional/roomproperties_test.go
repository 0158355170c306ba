package functional

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// oldSpec is Property_Spec, (ussu), and oldValue Property_Value, (uv).
type (
	oldSpec struct {
		ID              uint32
		Name, Signature string
		Flags           uint32
	}
	oldValue struct {
		ID    uint32
		Value dbus.Variant
	}
)

// listProperties gives the room's old properties by name.
func (h *hall) listProperties(t *testing.T) map[string]oldSpec {
	t.Helper()
	byName := make(map[string]oldSpec)
	for _, s := range cmtest.As[[]oldSpec](t, h.Call(h.path, tp.InterfaceProperties, "ListProperties").Arg(0)) {
		byName[s.Name] = s
	}
	return byName
}

// Clients from before RoomConfig1 know a room's settings by number.
func TestRoomProperties(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	old := tp.InterfaceProperties
	specs := h.listProperties(t)
	for name, want := range map[string]oldSpec{
		"anonymous": {Signature: "b", Flags: 1}, "invite-restricted": {Signature: "b", Flags: 1},
		"name": {Signature: "s", Flags: 1}, "limit": {Signature: "u", Flags: 1}, "subject": {Signature: "s", Flags: 3},
	} {
		want.ID, want.Name = specs[name].ID, name
		cmtest.Equal(t, specs[name], want)
	}
	value := func(name string) any {
		got := cmtest.As[[]struct {
			ID    uint32
			Value any
		}](t, h.Call(h.path, old, "GetProperties", []uint32{specs[name].ID}).Arg(0))
		return got[0].Value
	}
	cmtest.Equal(t, value("private"), any(true))
	cmtest.Equal(t, value("name"), any("A name"))

	set := func(name string, v any) *cmtest.Call {
		return h.CallAsync(h.path, old, "SetProperties", []oldValue{{specs[name].ID, dbus.MakeVariant(v)}})
	}
	h.Expect(cmtest.Refusal(set("persistent", false), tp.ErrorPermissionDenied))
	h.Refused(tp.ErrorInvalidArgument, h.path, old, "GetProperties", []uint32{99})
	h.admit("owner")
	h.Expect(cmtest.Signal(tp.SignalPropertiesPropertyFlagsChanged).At(h.path))
	h.Expect(cmtest.Refusal(set("persistent", "no"), tp.ErrorNotAvailable))

	call := set("invite-restricted", false)
	h.Server.Answer(h.Expect(getForm), ownerForm)
	submit := h.Expect(setForm)
	cmtest.Equal(t, field(submit, "muc#roomconfig_allowinvites"), []string{"1"})
	h.Server.Answer(submit, "")
	h.Expect(cmtest.Reply(call))

	call = set("subject", "Draughts")
	early := h.Forbid(cmtest.Reply(call))
	h.Expect(said)
	h.Sync()
	early.Lift()
	h.speaks(cmtest.User, "<subject>Draughts</subject>")
	h.Expect(cmtest.Reply(call))
	cmtest.Equal(t, value("subject"), any("Draughts"))

	h.speaks("bob", "<subject>Chess</subject>")
	h.Expect(cmtest.Signal(tp.SignalPropertiesPropertiesChanged).At(h.path))
	cmtest.Equal(t, value("subject"), any("Chess"))
	cmtest.Equal(t, value("subject-contact"), any(h.occupant("bob")))
}
