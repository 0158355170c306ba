package functional

import (
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/manager/connection"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/olpc"
)

// impatient is connected to the service in this process, which gives rooms no
// time when all who used them are gone.
func impatient(t *testing.T) *hall {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	gabble := manager.Gabble()
	configure := gabble.Protocols[0].Configure
	gabble.Protocols[0].Configure = func(v manager.Values) (connection.Config, error) {
		cfg, err := configure(v)
		cfg.Linger = time.Nanosecond
		return cfg, err
	}
	cm := cmtest.Prepare(t, cmtest.Contact(bobID), cmtest.Answers(aboutRoom, roomInfo))
	serve(t, cm, gabble)
	c := cm.Request()
	c.Login()
	return &hall{Connection: c, handle: c.Room(chatID)}
}

// program is one beside the test's own on the bus: an activity, mission-control.
type program struct {
	*dbus.Conn
	h *hall
}

func (h *hall) program() *program {
	h.T.Helper()
	conn, err := dbus.Connect(h.BusAddress())
	if err != nil {
		h.T.Fatal(err)
	}
	h.T.Cleanup(func() { conn.Close() })
	return &program{conn, h}
}

func (p *program) send(path dbus.ObjectPath, iface *tp.Interface, member string, args ...any) *dbus.Call {
	return p.Object(p.h.Name, path).Go(iface.Name+"."+member, 0, make(chan *dbus.Call, 1), args...)
}

func (p *program) call(path dbus.ObjectPath, iface *tp.Interface, member string, args ...any) {
	p.h.T.Helper()
	if c := <-p.send(path, iface, member, args...).Done; c.Err != nil {
		p.h.T.Fatalf("%s: %v", member, c.Err)
	}
}

// die is what the bus sees of a kill -9: the link ends without a word. When it is
// over the service has heard of it.
func (p *program) die() {
	p.h.T.Helper()
	name := p.Names()[0]
	p.Close()
	p.h.Expect(cmtest.NameGone(name))
	p.h.Sync()
}

// requests has the program come into the room by a channel of that type.
func (p *program) requests(kind *tp.Interface) {
	p.h.T.Helper()
	call := p.send(p.h.Path, tp.InterfaceConnection, "RequestChannel", kind.Name, uint32(tp.HandleTypeRoom), p.h.handle, true)
	p.h.Expect(entering)
	p.h.comes("bob")
	p.h.admit("none", 100)
	if <-call.Done; call.Err != nil {
		p.h.T.Fatal(call.Err)
	}
	for _, ch := range cmtest.As[[]struct {
		Path             dbus.ObjectPath
		Type             string
		HandleType, Room uint32
	}](p.h.T, p.h.Call(p.h.Path, tp.InterfaceConnection, "ListChannels").Arg(0)) {
		if ch.Type == text.Name {
			p.h.path = ch.Path
		}
	}
	p.h.self = p.h.occupant(cmtest.User)
	p.h.Sync()
}

// Nobody closes the channels of an activity that was killed, as they did not go
// through mission-control. The room is left for it, and others see the child go.
func TestDeserted_activityKilled(t *testing.T) {
	for _, kind := range []*tp.Interface{text, tubesType} {
		t.Run(kind.Name, func(t *testing.T) {
			h := impatient(t)
			activity := h.program()
			activity.requests(kind)
			h.share(chatIs)
			reader := h.program() // as telepathy-logger
			reader.call(h.path, group, "GetAllMembers")
			reader.call(h.path, text, "ListPendingMessages", false)
			reader.call(h.path, tp.InterfaceDBusProperties, "GetAll", group.Name)
			reader.call(h.path, tp.InterfaceDBusIntrospectable, "Introspect")

			self := cmtest.As[uint32](t, h.Call(h.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
			h.Sync()
			activity.Close()
			h.Expect(activitiesChanged.Args(self, []activityAt{}))
			h.Expect(membersChanged.At(h.path).Args("", []uint32{}, []uint32{h.self}))
			h.Expect(channelClosed.At(h.path))
			h.wantPublished(olpc.BuildActivities(nil))
			h.wantPublished(olpc.BuildActivityProperties(nil))
			h.Expect(leaving)
		})
	}
}

// As long as one program is there that uses the room, it is not left: another
// that has asked for it, one that says something in it, or mission-control, which
// closes itself what it has asked for.
func TestDeserted_notTheLast(t *testing.T) {
	ensure := textRequest(tp.HandleTypeRoom, map[string]any{tp.PropertyChannelTargetID: chatID})
	for name, use := range map[string]func(*program){
		"asks too": func(p *program) { p.call(p.h.Path, tp.InterfaceConnectionRequests, "EnsureChannel", ensure) },
		"asks for tubes": func(p *program) {
			p.call(p.h.Path, tp.InterfaceConnection, "RequestChannel", tubesType.Name, uint32(tp.HandleTypeRoom), p.h.handle, true)
		},
		"speaks":  func(p *program) { p.call(p.h.path, text, "Send", uint32(0), "hello") },
		"invites": func(p *program) { p.call(p.h.path, group, "AddMembers", []uint32{p.h.contact("dan")}, "") },
	} {
		t.Run(name, func(t *testing.T) {
			h := impatient(t)
			first, second := h.program(), h.program()
			first.requests(text)
			use(second)
			early := h.Forbid(leaving)
			closed := h.Forbid(channelClosed)
			first.die()
			h.Sync()
			early.Lift()
			closed.Lift()
			second.Close()
			h.Expect(leaving)
		})
	}
}

// An activity that is killed while it comes in is missed once it is in.
func TestDeserted_whileEntering(t *testing.T) {
	h := impatient(t)
	activity := h.program()
	activity.send(h.Path, tp.InterfaceConnection, "RequestChannel", text.Name, uint32(tp.HandleTypeRoom), h.handle, true)
	h.Expect(entering)
	activity.die()
	h.admit("none", 100)
	h.Expect(newChannels)
	h.Expect(leaving)
}

// An invitation waits for the user, whoever looks at it. Who accepts it uses the
// room, and so does mission-control that closes it for somebody.
func TestDeserted_invitation(t *testing.T) {
	h := impatient(t)
	h.invite(bobID, "")
	h.wantInvited(bobID, "")
	shell, activity := h.program(), h.program()
	shell.call(h.path, group, "GetLocalPendingMembersWithInfo")
	early := h.Forbid(channelClosed)
	shell.die()
	h.Sync()
	early.Lift()
	activity.call(h.path, group, "AddMembers", []uint32{h.self}, "")
	h.Expect(entering)
	h.comes("bob")
	h.admit("none")
	h.Expect(membersChanged.At(h.path))
	activity.Close()
	h.Expect(channelClosed.At(h.path))
	h.Expect(leaving)
}
