package room

import (
	"fmt"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// BenchmarkReceive is a message of somebody in the room, from the stanza to the
// signals' arguments, where as many wait for acknowledgement as may.
func BenchmarkReceive(b *testing.B) {
	h := openRoom(b, occupants(b, 2))
	e := parse(b, "<message from='"+lobby+"/child1' type='groupchat' id='m1'>"+
		"<active xmlns='http://jabber.org/protocol/chatstates'/><body>hello from child 1</body></message>")
	h.signals = 0
	b.ReportAllocs()
	for b.Loop() {
		h.rooms.HandleMessage(e)
	}
	if h.signals < b.N {
		b.Errorf("%d messages made %d signals", b.N, h.signals)
	}
}

// BenchmarkJoin is the arrival in a room with a class in it: what is between the
// request and its answer but the server's time.
func BenchmarkJoin(b *testing.B) {
	list := occupants(b, 50)
	b.ReportAllocs()
	for b.Loop() {
		openRoom(b, list)
	}
}

const lobby = "lobby@conference.school.test"

// benchHost is a Connection to which nothing matters but that there are signals.
type benchHost struct {
	Host
	rooms   *Rooms
	handles handle.Set
	opened  *channels.Channel
	signals int
}

// openRoom is in a room when these presences have come.
func openRoom(b *testing.B, list []*stanza.Element) *benchHost {
	h := new(benchHost)
	h.handles.Contacts.Ensure(h.Self().Bare())
	h.rooms = New(h, nobodyCares{})

	where, err := jid.Parse(lobby)
	if err != nil {
		b.Fatal(err)
	}
	target := channels.Target{Type: tp.HandleTypeRoom, Handle: h.handles.Rooms.Ensure(where), ID: lobby}
	h.rooms.Request(&channels.Request{Target: target, Answer: func(*channels.Channel, bool) {}})
	for _, e := range list {
		h.rooms.HandlePresence(e)
	}
	if h.opened == nil {
		b.Fatal("the room is not joined")
	}
	return h
}

// occupants are the presences of others in the room, and then the own one.
func occupants(b *testing.B, others int) []*stanza.Element {
	list := make([]*stanza.Element, 0, others+1)
	for i := range others {
		list = append(list, occupant(b, fmt.Sprint("child", i), ""))
	}
	return append(list, occupant(b, (*benchHost)(nil).Nick(), "<status code='110'/>"))
}

func occupant(b *testing.B, nick, status string) *stanza.Element {
	return parse(b, "<presence from='"+lobby+"/"+nick+"'><x xmlns='http://jabber.org/protocol/muc#user'>"+
		"<item jid='"+nick+"@school.test/sugar' role='participant' affiliation='none'/>"+status+"</x></presence>")
}

func parse(b *testing.B, xml string) *stanza.Element {
	b.Helper()
	e, err := stanza.Parse(xml)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

func (h *benchHost) ChannelPath(name string) dbus.ObjectPath             { return dbus.ObjectPath("/" + name) }
func (h *benchHost) Export(bus.Object)                                   {}
func (h *benchHost) EmitFrom(dbus.ObjectPath, tp.Signal, ...any)         { h.signals++ }
func (h *benchHost) Handles() *handle.Set                                { return &h.handles }
func (h *benchHost) SelfHandle() uint32                                  { return 1 }
func (h *benchHost) Opened(ch *channels.Channel, _ ...*channels.Request) { h.opened = ch }
func (h *benchHost) Send(*stanza.Element)                                {}
func (h *benchHost) Ask(*stanza.Element, func(*stanza.Element, error))   {}
func (h *benchHost) After(time.Duration, string, func()) *loop.Timer     { return nil }
func (h *benchHost) Nick() string                                        { return "me" }
func (h *benchHost) Presence() *stanza.Element                           { return stanza.New(stanza.NSClient, "presence") }
func (h *benchHost) Self() jid.JID {
	self, _ := jid.New("me", "school.test", "sugar")
	return self
}

// nobodyCares is rooms that are no activities.
type nobodyCares struct{ Activities }

func (nobodyCares) Joined(jid.JID)       {}
func (nobodyCares) Arrived(_, _ jid.JID) {}
