package integration

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

var update = flag.Bool("update", false, "write the golden files again, but for their heads")

// sharedID is the activity that the golden files tell of.
const sharedID = "4b7f0c2d1e3a5968778695a4b3c2d1e0f0e1d2c3"

// testGolden has one child share an activity and another join it, with the calls of Sugar's toolkit, and compares what a monitor
// of the bus has recorded for each of them with a golden file. Heads of the files say what may vary.
func testGolden(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Rosa")...)
	rosa, sven := newSharer(cm, "Rosa", s), newSharer(cm, "Sven", s)
	cm.ExpectUnordered(rosa.comes(sven), sven.comes(rosa))
	rosa.asksAbout(sven)
	sven.asksAbout(rosa)
	properties := map[string]dbus.Variant{
		"color": dbus.MakeVariant("#FF2B34,#005FE4"), "name": dbus.MakeVariant("Our trees"),
		"type": dbus.MakeVariant("org.laptop.Chat"), "private": dbus.MakeVariant(false),
	}

	rosa.Refused(tp.ErrorNotAvailable, rosa.Path, tp.InterfaceActivityProperties, "GetActivity", sharedID)
	rosa.enter(rosa.Room(sharedID))
	rosa.Call(rosa.channel, tp.InterfaceChannelRoomConfig1, "UpdateConfiguration", map[string]dbus.Variant{
		"Anonymous": dbus.MakeVariant(false), "InviteOnly": dbus.MakeVariant(false),
		"Persistent": dbus.MakeVariant(false), "Private": dbus.MakeVariant(true),
	})
	rosa.Call(rosa.Path, tp.InterfaceBuddyInfo, "AddActivity", sharedID, rosa.room)
	rosa.Call(rosa.Path, tp.InterfaceActivityProperties, "SetProperties", rosa.room, properties)
	rosa.Call(rosa.Path, tp.InterfaceActivityProperties, "GetProperties", rosa.room)
	rosa.Call(rosa.Path, tp.InterfaceBuddyInfo, "SetCurrentActivity", sharedID, rosa.room)
	cm.ExpectUnordered(sven.sees(rosa, sharedID)...)

	room := cmtest.As[uint32](t, sven.Call(sven.Path, tp.InterfaceActivityProperties, "GetActivity", sharedID).Arg(0))
	sven.Call(sven.Path, tp.InterfaceActivityProperties, "GetProperties", room)
	sven.enter(room)
	sven.meets(rosa, cmtest.As[[]uint32](t, sven.Call(sven.channel, tp.InterfaceChannelGroup, "GetAllMembers").Arg(0)))
	sven.Call(sven.Path, tp.InterfaceBuddyInfo, "SetCurrentActivity", sharedID, room)
	changed := cm.ExpectUnordered(append(rosa.sees(sven, sharedID), rosa.membersChange())...)
	rosa.meets(sven, cmtest.As[[]uint32](t, changed[2].Arg(1)))

	rosa.says("Which tree is in front of your house?", sven)
	sven.says("An old lime", rosa)

	sven.Call(sven.channel, tp.InterfaceChannel, "Close")
	changed = cm.ExpectUnordered(slices.Concat(rosa.sees(sven, ""), []cmtest.Matcher{rosa.membersChange()}, sven.closes())...)
	rosa.Call(rosa.channel, tp.InterfaceChannelGroup, "GetHandleOwners", cmtest.As[[]uint32](t, changed[2].Arg(2)))
	rosa.Call(rosa.channel, tp.InterfaceChannel, "Close")
	cm.ExpectUnordered(append(sven.sees(rosa, ""), rosa.closes()...)...)

	for _, side := range []*sharer{rosa, sven} {
		side.Disconnect()
		compareGolden(t, filepath.Join("testdata", "sharing-"+strings.ToLower(side.nick)+".golden"), record(side).lines())
	}
}

// sharer is one side of the sharing: a connection, its room, and names for the numbers that it uses.
type sharer struct {
	*cmtest.Connection
	nick    string
	self    uint32
	room    uint32
	channel dbus.ObjectPath   // the room's text
	tubes   dbus.ObjectPath   // and its tubes, as the old interface has them
	names   map[uint32]string // contacts
	texts   *strings.Replacer // for what has the server's name in it
}

func newSharer(cm *cmtest.CM, nick string, s *school.Server, more ...cmtest.Option) *sharer {
	c := cm.Request(sugars(s, nick, more...)...)
	c.Login()
	p := &sharer{Connection: c, nick: nick, names: map[uint32]string{0: "nobody"}}
	p.texts = strings.NewReplacer(address(s, "Rosa"), "Rosa's address", address(s, "Sven"), "Sven's address", sharedID, "activity")
	p.self = cmtest.As[uint32](cm.T, cm.Call(c.Path, tp.InterfaceConnection, "GetSelfHandle").Arg(0))
	p.names[p.self] = nick
	return p
}

// comes matches that the other is seen.
func (p *sharer) comes(other *sharer) cmtest.Matcher {
	p.T.Helper()
	contact := p.contact(other)
	p.names[contact] = other.nick
	return seen(p.Connection, contact, available)
}

// asksAbout asks about a buddy as Sugar's shell does, which is when it is told of the buddy's activities.
func (p *sharer) asksAbout(other *sharer) {
	p.T.Helper()
	contact := p.contact(other)
	p.Call(p.Path, tp.InterfaceConnectionContacts, "GetContactAttributes", []uint32{contact}, []string{tp.InterfaceConnectionAliasing.Name}, false)
	p.Call(p.Path, tp.InterfaceBuddyInfo, "GetActivities", contact)
}

// contact is the handle of the other.
func (p *sharer) contact(other *sharer) uint32 {
	p.T.Helper()
	return p.Handle(cmtest.As[[]string](p.T, other.Call(other.Path, tp.InterfaceConnection, "InspectHandles",
		uint32(tp.HandleTypeContact), []uint32{other.self}).Arg(0))[0])
}

// enter asks for the channels of a room and about them, as Sugar's toolkit does.
func (p *sharer) enter(room uint32) {
	p.T.Helper()
	p.room = room
	p.channel = cmtest.As[dbus.ObjectPath](p.T, p.Call(p.Path, tp.InterfaceConnection, "RequestChannel",
		tp.InterfaceChannelText.Name, uint32(tp.HandleTypeRoom), room, true).Arg(0))
	p.tubes = cmtest.As[dbus.ObjectPath](p.T, p.Call(p.Path, tp.InterfaceConnection, "RequestChannel",
		tp.InterfaceChannelTubes.Name, uint32(tp.HandleTypeRoom), room, true).Arg(0))
	p.Call(p.tubes, tp.InterfaceChannel, "GetInterfaces")
	p.Call(p.tubes, tp.InterfaceChannelTubes, "ListTubes")
	inside := cmtest.As[uint32](p.T, p.Call(p.channel, tp.InterfaceChannelGroup, "GetSelfHandle").Arg(0))
	p.names[inside] = p.nick + " in the room"
	p.Call(p.channel, tp.InterfaceChannelGroup, "GetGroupFlags")
	p.Call(p.channel, tp.InterfaceChannelGroup, "GetAllMembers")
}

// meets resolves the other member as Sugar's toolkit does.
func (p *sharer) meets(other *sharer, members []uint32) {
	p.T.Helper()
	members = slices.DeleteFunc(members, func(h uint32) bool { return p.names[h] != "" })
	if len(members) != 1 {
		p.T.Fatalf("%s meets %v in the room", p.nick, members)
	}
	p.names[members[0]] = other.nick + " in the room"
	owners := cmtest.As[[]uint32](p.T, p.Call(p.channel, tp.InterfaceChannelGroup, "GetHandleOwners", members).Arg(0))
	p.Call(p.Path, tp.InterfaceConnection, "InspectHandles", uint32(tp.HandleTypeContact), owners)
}

// sees matches that the other looks at this activity and is in it, or, for "", in none.
func (p *sharer) sees(other *sharer, activity string) []cmtest.Matcher {
	p.T.Helper()
	contact := p.contact(other)
	in := cmtest.Signal(tp.SignalBuddyInfoActivitiesChanged).At(p.Path).Args(contact)
	return []cmtest.Matcher{
		cmtest.Signal(tp.SignalBuddyInfoCurrentActivityChanged).At(p.Path).Args(contact, activity),
		in.Where("as it should be", func(e *cmtest.Event) bool { return len(activities(p, e.Arg(1))) > 0 == (activity != "") }),
	}
}

func (p *sharer) membersChange() cmtest.Matcher {
	return cmtest.Signal(tp.SignalChannelGroupMembersChanged).At(p.channel)
}

// closes matches that both channels of the room close.
func (p *sharer) closes() []cmtest.Matcher {
	return []cmtest.Matcher{cmtest.Signal(tp.SignalChannelClosed).At(p.channel), cmtest.Signal(tp.SignalChannelClosed).At(p.tubes)}
}

// says sends a line, which the other reads and acknowledges.
func (p *sharer) says(line string, to *sharer) {
	p.T.Helper()
	p.Call(p.channel, tp.InterfaceChannelText, "Send", uint32(tp.ChannelTextMessageTypeNormal), line)
	heard := p.ExpectUnordered(
		cmtest.Signal(tp.SignalChannelTextReceived).At(to.channel),
		cmtest.Signal(tp.SignalChannelTextSent).At(p.channel))
	id := cmtest.As[uint32](p.T, heard[0].Arg(0))
	to.Call(to.channel, tp.InterfaceChannelText, "AcknowledgePendingMessages", []uint32{id})
}

// compareGolden compares lines with a golden file; lines of the file that begin with # are its head.
func compareGolden(t *testing.T, file, got string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !*update {
		t.Fatal(err)
	}
	var head, want strings.Builder
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "#") {
			head.WriteString(line)
		} else {
			want.WriteString(line)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(head.String()+got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(strings.Split(want.String(), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the bus told something else than %s; -want +got:\n%s", file, diff)
	}
}
