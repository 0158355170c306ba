package functional

import (
	"math"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

var (
	subject        = tp.InterfaceChannelSubject2
	subjectChanged = cmtest.Signal(tp.SignalDBusPropertiesChanged).Args(subject.Name)
)

// wantSubject waits to be told of the subject, and gives what is told.
func (h *hall) wantSubject(key string, want any) map[string]any {
	h.T.Helper()
	told := cmtest.As[map[string]any](h.T, h.Expect(subjectChanged.At(h.path)).Arg(1))
	cmtest.Equal(h.T, told[key], want)
	return told
}

func TestRoomSubject(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	h.Forbid(textReceived)
	cmtest.Equal(t, h.GetAll(h.path, subject), map[string]any{
		"Subject": "", "Actor": "", "ActorHandle": uint32(0), "Timestamp": int64(math.MaxInt64), "CanSet": true,
	})
	h.speaks("bob", "<subject>Chess</subject><delay xmlns='urn:xmpp:delay' stamp='2026-01-01T00:00:00Z'/>")
	told := h.wantSubject("Subject", "Chess")
	cmtest.Equal(t, told, map[string]any{
		"Subject": "Chess", "Actor": chatRoom + "/bob", "ActorHandle": h.occupant("bob"), "Timestamp": int64(1767225600),
	})
	told["CanSet"] = true
	cmtest.Equal(t, h.GetAll(h.path, subject), told)

	// It is set when the room has told everybody.
	early := h.Forbid(cmtest.Signal(tp.SignalDBusPropertiesChanged))
	call := h.CallAsync(h.path, subject, "SetSubject", "Draughts")
	second := h.CallAsync(h.path, subject, "SetSubject", "Go")
	answered := []*cmtest.Ban{h.Forbid(cmtest.Reply(call)), h.Forbid(cmtest.Reply(second)), early}
	first, other := h.Expect(said), h.Expect(said)
	cmtest.Equal(t, first.Element.Child("jabber:client", "subject").Text(), "Draughts")
	h.Sync()
	for _, ban := range answered {
		ban.Lift()
	}
	h.refuseSubject(other, "forbidden")
	h.Expect(cmtest.Refusal(second, tp.ErrorPermissionDenied))
	h.Server.Send("<message type='groupchat' id='" + first.Element.Attr("id") + "' from='" + chatSelf + "'><subject>Draughts</subject></message>")
	h.wantSubject("Actor", chatSelf)
	h.Expect(cmtest.Reply(call))
	h.Sync()
}

// refuseSubject has the room send a message back that was to change the subject.
func (h *hall) refuseSubject(e *cmtest.Event, condition string) {
	h.Server.Send("<message type='error' id='" + e.Element.Attr("id") + "' from='" + chatRoom + "'><error type='auth'><" + condition +
		" xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
}

// Who waits for a subject to be set is answered, whatever becomes of the room.
func TestRoomSubject_refused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		do   func(*hall, *cmtest.Event)
		want tp.ErrorName
	}{
		"not let":     {func(h *hall, e *cmtest.Event) { h.refuseSubject(e, "not-allowed") }, tp.ErrorPermissionDenied},
		"other error": {func(h *hall, e *cmtest.Event) { h.refuseSubject(e, "internal-server-error") }, tp.ErrorNotAvailable},
		"thrown out": {func(h *hall, _ *cmtest.Event) {
			h.goes(cmtest.User, "<item affiliation='none' role='none'/>", 307, 110)
		}, tp.ErrorNotAvailable},
		"connection ends": {func(h *hall, _ *cmtest.Event) { h.CallAsync(h.Path, tp.InterfaceConnection, "Disconnect") }, tp.ErrorDisconnected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := joinHall(t)
			h.Forbid(textFailed)
			call := h.CallAsync(h.path, subject, "SetSubject", "Draughts")
			c.do(h, h.Expect(said))
			h.Expect(cmtest.Refusal(call, c.want))
		})
	}
}

// Where not everybody may set the subject, moderators may; clients of either
// interface hear of it.
func TestRoomSubject_whoMaySet(t *testing.T) {
	t.Parallel()
	closed := strings.Replace(roomInfo, "</query>", "<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>"+nsMUC+
		"#roominfo</value></field><field var='muc#roominfo_subjectmod'><value>0</value></field></x></query>", 1)
	h, call := enterHall(t, cmtest.Answers(aboutRoom, closed))
	h.admit("none")
	h.path = cmtest.As[dbus.ObjectPath](t, h.Expect(cmtest.Reply(call)).Arg(0))
	id := h.listProperties(t)["subject"].ID
	flags := cmtest.Signal(tp.SignalPropertiesPropertyFlagsChanged).At(h.path)
	type flagsChange struct {
		ID    uint32
		Flags tp.PropertyFlags
	}
	wantCanSet := func(can bool, f tp.PropertyFlags) {
		t.Helper()
		told := h.ExpectUnordered(subjectChanged.At(h.path), flags.Args([]flagsChange{{id, f}}))
		cmtest.Equal(t, told[0].Arg(1), map[string]any{"CanSet": can})
	}
	wantCanSet(false, tp.PropertyFlagsRead)
	cmtest.Equal(t, h.Get(h.path, subject, "CanSet"), false)
	h.presence(cmtest.User, "", "<item affiliation='none' role='moderator' jid='"+cmtest.Self+"'/>", 110)
	wantCanSet(true, tp.PropertyFlagsRead|tp.PropertyFlagsWrite)
}

// Who is only invited cannot set the subject.
func TestRoomSubject_invited(t *testing.T) {
	t.Parallel()
	h := invitee(t)
	h.invite(bobID, "")
	h.wantInvited(bobID, "")
	cmtest.Equal(t, h.Get(h.path, subject, "CanSet"), false)
	h.Refused(tp.ErrorNotAvailable, h.path, subject, "SetSubject", "Chess")
	h.Call(h.path, group, "AddMembers", []uint32{h.self}, "")
	h.Expect(entering)
	h.admit("none")
	h.wantSubject("CanSet", true)
}

// Nobody outside the room says what it is about, and nobody in it says so alone.
func TestRoomSubject_forged(t *testing.T) {
	t.Parallel()
	h := joinHall(t, "bob")
	quiet := h.Forbid(subjectChanged)
	call := h.CallAsync(h.path, subject, "SetSubject", "Draughts")
	wish := h.Expect(said).Element.Attr("id")
	early := h.Forbid(cmtest.Reply(call))
	for _, forged := range []string{
		"<message type='groupchat' from='" + eveID + "'><subject>Evil</subject></message>",
		"<message type='chat' from='" + chatRoom + "/bob'><subject>Evil</subject></message>",
		"<message type='normal' from='" + chatRoom + "/bob'><subject>Evil</subject></message>",
		"<message type='groupchat' from='other@" + cmtest.Conference + "/bob'><subject>Evil</subject></message>",
		"<message type='error' id='" + wish + "' from='" + eveID + "'><error type='auth'/></message>",
	} {
		h.Server.Send(forged)
	}
	h.Sync()
	quiet.Lift()
	h.Server.Send("<message type='groupchat' id='" + wish + "' from='" + chatRoom + "/bob'><subject>" + strings.Repeat("x", 300<<10) + "</subject></message>")
	h.wantSubject("Actor", chatRoom+"/bob")
	h.Sync()
	early.Lift()
	h.speaks(cmtest.User, "<subject>Draughts</subject>") // without the id that we gave
	h.Expect(cmtest.Reply(call))
	h.Sync()
}
