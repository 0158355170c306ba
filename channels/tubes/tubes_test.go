package tubes

import (
	"errors"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/room"
	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/tubes"
)

// world is a Connection with one room, in which the test plays the server. What
// goroutines post waits for [world.run].
type world struct {
	t       *testing.T
	handles handle.Set
	posted  chan func()
	sent    []*stanza.Element
	open    []*channels.Channel
	signals []string
	rooms   *room.Rooms
	tubes   *Tubes
}

func address(t testing.TB, s string) jid.JID {
	t.Helper()
	j, err := jid.ParseLenient(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

const hall = "hall@rooms.school.test"

func newWorld(t *testing.T) *world {
	w := &world{t: t, posted: make(chan func(), 100)}
	w.handles.Contacts.Ensure(w.Self().Bare())
	w.rooms = room.New(w, activities{})
	w.tubes = New(w, w.rooms, noStreams{})
	w.rooms.Accompany(w.tubes)
	t.Cleanup(func() { w.tubes.Close(errTooMany); w.rooms.Close() })
	return w
}

func (w *world) Send(e *stanza.Element)                            { w.sent = append(w.sent, e) }
func (w *world) Ask(*stanza.Element, func(*stanza.Element, error)) {}
func (w *world) Post(_ string, f func()) bool                      { w.posted <- f; return true }
func (w *world) Log() *logrus.Entry {
	l := logrus.New()
	l.SetOutput(io.Discard)
	return logrus.NewEntry(l)
}
func (w *world) Self() jid.JID { return address(w.t, "own@school.test/sugar") }
func (w *world) FindTubeDevice(contact jid.JID, done func(jid.JID, error)) {
	done(contact.WithResource("sugar"), nil)
}
func (w *world) After(time.Duration, string, func()) *loop.Timer { return nil }
func (w *world) Nick() string                                    { return "own" }
func (w *world) Presence() *stanza.Element                       { return stanza.New(stanza.NSClient, "presence") }
func (w *world) ChannelPath(name string) dbus.ObjectPath         { return dbus.ObjectPath("/" + name) }
func (w *world) Export(bus.Object)                               {}
func (w *world) EmitFrom(_ dbus.ObjectPath, s tp.Signal, args ...any) {
	w.signals = append(w.signals, s.Name)
}
func (w *world) Handles() *handle.Set                    { return &w.handles }
func (w *world) SelfHandle() uint32                      { return 1 }
func (w *world) ChatWith(uint32) (dbus.ObjectPath, bool) { return "", false }
func (w *world) Opened(c *channels.Channel, _ ...*channels.Request) {
	w.open = append(w.open, c)
}
func (w *world) Closed(*channels.Channel) {}

// activities takes no interest in rooms.
type activities struct{}

func (activities) Joined(jid.JID)        {}
func (activities) Left(jid.JID)          {}
func (activities) Arrived(_, _ jid.JID)  {}
func (activities) Declined(_, _ jid.JID) {}
func (activities) Invite(_, _ jid.JID)   {}
func (activities) IsKnown(jid.JID) bool  { return true }

// noStreams opens no streams.
type noStreams struct{}

func (noStreams) Open(bytestream.Proposal, func(bytestream.Conn, *stanza.Element, error)) func() {
	return func() {}
}

// hears has a stanza arrive.
func (w *world) hears(format string, a ...any) {
	w.t.Helper()
	e, err := stanza.Parse(fmt.Sprintf(format, a...))
	if err != nil {
		w.t.Fatal(err)
	}
	if e.Local() == "presence" {
		w.rooms.HandlePresence(e)
	} else {
		w.tubes.HandleMessage(e)
	}
}

// join is in the room.
func (w *world) join() *circle {
	w.t.Helper()
	var c *circle
	w.rooms.Visit(address(w.t, hall), func(r *room.Room) { c = w.tubes.inRoom(r) }, func(err error) { w.t.Fatal(err) })
	w.present("own", "", "<status code='110'/>")
	if c == nil {
		w.t.Fatal("not joined")
	}
	return c
}

func (w *world) present(nick, inner, user string) {
	w.t.Helper()
	w.hears("<presence xmlns='jabber:client' from='%s/%s'>%s<x xmlns='http://jabber.org/protocol/muc#user'><item role='participant'/>%s</x></presence>",
		hall, nick, inner, user)
}

func (w *world) shares(nick string, list ...tubes.Tube) {
	w.t.Helper()
	w.present(nick, tubes.BuildAnnouncement(list).String(), "")
}

func (w *world) dbusTube(nick string, id uint32) tubes.Tube {
	return tubes.Tube{Type: tubes.DBus, Service: "a.b", ID: id, StreamID: fmt.Sprint("s", nick, id),
		Initiator: address(w.t, hall+"/"+nick), DBusName: tubes.UniqueName(nick)}
}

// Everybody in a big class can offer tubes; who offers without end does not fill
// the memory, and takes them along.
func TestCircle_tooManyTubes(t *testing.T) {
	w := newWorld(t)
	c := w.join()
	for eve := range 20 {
		var list []tubes.Tube
		for id := range uint32(40) {
			list = append(list, w.dbusTube(fmt.Sprint("eve", eve), id+1))
		}
		w.shares(fmt.Sprint("eve", eve), list...)
	}
	if len(c.list) != maxTubes {
		t.Errorf("%d tubes", len(c.list))
	}
	numbers := make(map[uint32]bool)
	for _, tube := range c.list {
		numbers[tube.number] = true
	}
	if len(numbers) != maxTubes {
		t.Errorf("%d numbers for %d tubes", len(numbers), maxTubes)
	}
	for eve := range 20 {
		w.present(fmt.Sprint("eve", eve), "<tubes xmlns='"+tubes.NS+"'/>", "")
	}
	if len(c.list) != 0 {
		t.Errorf("%d tubes are left", len(c.list))
	}
}

// Others read no more of ours than that.
func TestCircle_tooManyOwnTubes(t *testing.T) {
	w := newWorld(t)
	c := w.join()
	for range tubes.MaxTubes {
		if c.start(tubes.Stream, "http") == nil {
			t.Fatal("too few are allowed")
		}
	}
	if c.start(tubes.Stream, "http") != nil {
		t.Error("there is no limit")
	}
}

func TestHandleMessage_tooManyOffers(t *testing.T) {
	w := newWorld(t)
	for i := range 3 * maxOffers {
		w.hears("<message xmlns='jabber:client' from='eve%d@school.test/x'><tube xmlns='%s' type='stream' service='s' id='7'/></message>", i, tubes.NS)
	}
	if w.tubes.offers != maxOffers || len(w.tubes.circles) != maxOffers || len(w.sent) != 2*maxOffers {
		t.Errorf("%d offers in %d circles, %d refused", w.tubes.offers, len(w.tubes.circles), len(w.sent))
	}
	for i := range 3 * maxOffers {
		w.hears("<message xmlns='jabber:client' from='eve%d@school.test/x'><close xmlns='%s' id='7'/></message>", i, tubes.NS)
	}
	if w.tubes.offers != 0 || len(w.tubes.circles) != 0 {
		t.Errorf("%d offers in %d circles are left", w.tubes.offers, len(w.tubes.circles))
	}
}

func TestHandleMessage_offersOfNobody(t *testing.T) {
	w := newWorld(t)
	w.join()
	for _, from := range []string{"eve@school.test", hall + "/eve", "own@school.test/other", ""} {
		w.hears("<message xmlns='jabber:client' from='%s'><tube xmlns='%s' type='stream' service='s' id='7'/></message>", from, tubes.NS)
	}
	w.hears("<message xmlns='jabber:client' type='error' from='a@school.test/x'><tube xmlns='%s' type='stream' service='s' id='7'/></message>", tubes.NS)
	if w.tubes.offers != 0 {
		t.Errorf("%d offers", w.tubes.offers)
	}
}

// A D-Bus tube that a client has closed does not come back while others go on
// with it, and is forgotten when they have left.
func TestTube_closedWhileOthersHaveIt(t *testing.T) {
	w := newWorld(t)
	c := w.join()
	w.shares("ada", w.dbusTube("ada", 7))
	tube := c.list[0]
	if _, err := tube.acceptDBus(tp.SocketAccessControlCredentials); err != nil {
		t.Fatal(err)
	}
	tube.close()
	w.shares("ada", w.dbusTube("ada", 7))
	if !tube.hidden || len(c.list) != 1 || tube.server != nil {
		t.Errorf("%d tubes, hidden: %v", len(c.list), tube.hidden)
	}
	w.shares("ada")
	if len(c.list) != 0 {
		t.Errorf("%d tubes are left", len(c.list))
	}
}

// Who has another nick has another name in D-Bus tubes.
func TestRoomRenamed(t *testing.T) {
	w := newWorld(t)
	c := w.join()
	w.shares("ada", w.dbusTube("ada", 7), tubes.Tube{Type: tubes.Stream, Service: "http", ID: 8})
	if _, err := c.list[0].acceptDBus(tp.SocketAccessControlLocalhost); err != nil {
		t.Fatal(err)
	}
	rename := func(old, nick string) {
		w.hears("<presence xmlns='jabber:client' type='unavailable' from='%s/%s'><x xmlns='http://jabber.org/protocol/muc#user'>"+
			"<item nick='%s'/><status code='303'/></x></presence>", hall, old, nick)
	}
	rename("own", "me")
	if c.list[0].names["me"] != tubes.UniqueName("me") || c.list[0].names["own"] != "" || c.list[0].DBusName != tubes.UniqueName("me") {
		t.Errorf("names %v", c.list[0].names)
	}
	rename("ada", "eve")
	if len(c.list) != 2 || c.list[1].owner != "eve" || c.list[0].names["ada"] != "" {
		t.Errorf("%d tubes, names %v", len(c.list), c.list[0].names)
	}
}

func TestSetParameters(t *testing.T) {
	given := map[string]any{
		"s": "text", "ay": []byte{1}, "i": int32(-1), "u": uint32(math.MaxUint32), "b": true,
		"y": byte(3), "n": int16(-3), "q": uint16(3), "x": int64(-3), "t": uint64(math.MaxUint32),
		"too large": int64(math.MaxInt64), "d": 1.5, "as": []string{"a"},
	}
	variants := make(map[string]dbus.Variant)
	for name, v := range given {
		variants[name] = dbus.MakeVariant(v)
	}
	var tube tube
	if err := tube.setParameters(variants); err != nil {
		t.Fatal(err)
	}
	want := olpc.Properties{
		"s": "text", "ay": []byte{1}, "i": int32(-1), "u": uint32(math.MaxUint32), "b": true,
		"y": int32(3), "n": int32(-3), "q": int32(3), "x": int32(-3), "t": uint32(math.MaxUint32),
	}
	if diff := cmp.Diff(want, tube.Parameters); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	variants["huge"] = dbus.MakeVariant(string(make([]byte, 1<<20)))
	var refused *tp.Error
	if err := tube.setParameters(variants); !errors.As(err, &refused) || refused.Name != tp.ErrorInvalidArgument {
		t.Errorf("huge parameters: %v", err)
	}
}

func TestReason(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		end  socket.End
		want tp.ErrorName
	}{
		{"both ways closed", socket.End{Side: socket.Remote}, tp.ErrorCancelled},
		{"program failed", socket.End{Side: socket.Local, Err: broken}, tp.ErrorCancelled},
		{"stream broken", socket.End{Side: socket.Remote, Err: broken}, tp.ErrorConnectionLost},
		{"by us", socket.End{Err: socket.ErrClosed}, tp.ErrorCancelled},
	} {
		if got := reason(c.end); got.Name != c.want {
			t.Errorf("%s: %s, want %s", c.name, got.Name, c.want)
		}
	}
}

func TestFlow(t *testing.T) {
	f := newFlow()
	if !f.take(2 * maxAhead) {
		t.Error("a large message does not go through")
	}
	taken := make(chan bool)
	go func() { taken <- f.take(1) }()
	f.give(2 * maxAhead)
	if !<-taken {
		t.Error("nothing goes through after room was made")
	}
	go func() { taken <- f.take(maxAhead) }()
	f.close()
	if <-taken {
		t.Error("taken after the end")
	}
}

var _ muc.Host = (*world)(nil)
