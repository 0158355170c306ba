package roomlist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a Connection with lists of rooms.
type rig struct {
	t       testing.TB
	loop    *loop.Loop
	handles handle.Set
	lists   *Lists
	log     []string
	asked   []question // not answered
	find    []func(jid.JID, bool)
}

type question struct {
	what string // "info maths@rooms.test"
	done func(*stanza.Element, error)
}

var _ Host = (*rig)(nil)

// run runs a test on the loop of a rig and a clock of its own.
func run(t *testing.T, test func(r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, loop: loop.New(loop.Config{})}
		r.lists = New(r)
		go r.loop.Run()
		test(r)
		r.loop.Close()
		<-r.loop.Done()
	})
}

// on runs f on the loop, and all that follows at once.
func (r *rig) on(f func()) {
	r.loop.Post("test", f)
	synctest.Wait()
}

// pass lets time pass; what the test did before counts as before that.
func (r *rig) pass(d time.Duration) {
	r.on(func() {})
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) ChannelPath(name string) dbus.ObjectPath { return dbus.ObjectPath("/" + name) }
func (r *rig) Export(bus.Object)                       {}
func (r *rig) Handles() *handle.Set                    { return &r.handles }
func (r *rig) SelfHandle() uint32                      { return 1 }

func (r *rig) EmitFrom(_ dbus.ObjectPath, s tp.Signal, args ...any) {
	if rooms, is := args[0].([]roomInfo); is {
		r.note("%s of %d", s.Name, len(rooms))
		return
	}
	r.note("%s %v", s.Name, args[0])
}

func (r *rig) Opened(ch *channels.Channel, requests ...*channels.Request) {
	r.note("opened %s", ch.Path)
	for _, q := range requests {
		q.Answer(ch, true)
	}
}

func (r *rig) Closed(ch *channels.Channel) { r.note("closed %s", ch.Path) }

func (r *rig) After(d time.Duration, label string, f func()) *loop.Timer {
	return r.loop.After(d, label, f)
}

func (r *rig) FindConference(done func(jid.JID, bool)) { r.find = append(r.find, done) }

func (r *rig) Ask(iq *stanza.Element, done func(*stanza.Element, error)) {
	_, what, _ := strings.Cut(iq.First().Space(), "#")
	r.asked = append(r.asked, question{what + " " + iq.Attr("to"), done})
}

func (r *rig) note(format string, a ...any) { r.log = append(r.log, fmt.Sprintf(format, a...)) }

func (r *rig) want(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.log); diff != "" && len(want)+len(r.log) > 0 {
		r.t.Errorf("log (-want +got):\n%s", diff)
	}
	r.log = nil
}

// request asks for a list; "" is the own service.
func (r *rig) request(server string, ensure bool) {
	req := &channels.Request{
		Kind: tp.InterfaceChannelRoomList.Name, Ensure: ensure, Properties: map[string]dbus.Variant{},
		Answer: func(ch *channels.Channel, _ bool) { r.note("answer %s", ch.Path) },
		Fail:   func(err error) { r.note("fail %s", nameOf(err)) },
	}
	if server != "" {
		req.Properties[tp.PropertyChannelRoomListServer] = dbus.MakeVariant(server)
	}
	r.on(func() { r.lists.Request(req) })
}

// start begins to list the rooms of rooms.test.
func (r *rig) start() *list {
	r.request("rooms.test", true)
	l := r.lists.open[0]
	r.on(func() { l.start(func(err error) { r.note("listed %s", nameOf(err)) }) })
	r.want("opened /RoomListChannel1", "answer /RoomListChannel1", "ListingRooms true")
	return l
}

func nameOf(err error) tp.ErrorName {
	var e *tp.Error
	if errors.As(err, &e) {
		return e.Name[strings.LastIndex(string(e.Name), ".")+1:]
	}
	return ""
}

// answer answers the oldest question of that kind.
func (r *rig) answer(what, payload string, err error) {
	r.t.Helper()
	i := slices.IndexFunc(r.asked, func(q question) bool { return strings.HasPrefix(q.what, what) })
	if i < 0 {
		r.t.Fatalf("not asked: %s; but %v", what, r.asked)
	}
	q := r.asked[i]
	r.asked = slices.Delete(r.asked, i, i+1)
	var reply *stanza.Element
	if err == nil {
		if reply, err = stanza.Parse("<iq type='result'>" + payload + "</iq>"); err != nil {
			r.t.Fatal(err)
		}
	}
	r.on(func() { q.done(reply, err) })
}

// rooms answers that there are n rooms.
func (r *rig) rooms(n int) {
	r.t.Helper()
	items := ""
	for i := range n {
		items += fmt.Sprintf("<item jid='r%d@rooms.test'/>", i)
	}
	r.answer("items", "<query xmlns='"+disco.NSItems+"'>"+items+"</query>", nil)
}

const aRoom = "<query xmlns='" + disco.NSInfo + "'><identity category='conference' type='text'/><feature var='http://jabber.org/protocol/muc'/></query>"

func TestListRooms_inBatches(t *testing.T) {
	run(t, func(r *rig) {
		r.start()
		r.rooms(batchSize + 5)
		r.want("listed ")
		for range batchSize + 2 {
			if len(r.asked) > maxUnderWay {
				t.Fatalf("%d questions under way", len(r.asked))
			}
			r.answer("info", aRoom, nil)
		}
		r.want(fmt.Sprintf("GotRooms of %d", batchSize))
		r.pass(batchTime)
		r.want("GotRooms of 2")
		for range 3 {
			r.answer("info", aRoom, nil)
		}
		r.want("GotRooms of 3", "ListingRooms false")
	})
}

// One bad answer costs only its room, except that a service that does not
// answer is not asked thousands of times.
func TestListRooms_badAnswers(t *testing.T) {
	run(t, func(r *rig) {
		r.start()
		r.rooms(7)
		r.log = nil
		r.answer("info", "", stanza.NewError(stanza.ItemNotFound, "")) // gone
		r.answer("info", "", stanza.NewError(stanza.Forbidden, ""))    // tells nothing
		r.answer("info", "<query xmlns='urn:other'/>", nil)            // says nothing
		r.answer("info", "<query xmlns='"+disco.NSInfo+"'/>", nil)     // is no room
		r.answer("info", aRoom, nil)                                   // is one
		r.want()
		r.answer("info", "", fmt.Errorf("too late: %w", xmpp.ErrTimeout))
		r.want("GotRooms of 3", "ListingRooms false")
		r.answer("info", aRoom, nil) // later than that
		r.want()
	})
}

func TestListRooms_noRooms(t *testing.T) {
	run(t, func(r *rig) {
		r.start()
		r.rooms(0)
		r.want("listed ", "ListingRooms false")
	})
}

// What is answered after a stop belongs to no listing, not to the next either.
func TestStopListing_andAgain(t *testing.T) {
	run(t, func(r *rig) {
		l := r.start()
		r.on(l.stop)
		r.want("ListingRooms false", "listed Cancelled")
		r.on(func() { l.start(func(err error) { r.note("listed again %s", nameOf(err)) }) })
		r.rooms(3) // of the first
		r.want("ListingRooms true")
		r.rooms(1)
		r.on(func() { l.start(func(err error) { r.note("going on %s", nameOf(err)) }) })
		r.answer("info", aRoom, nil)
		r.want("listed again ", "going on ", "GotRooms of 1", "ListingRooms false")
		r.on(l.stop)
		r.want()
	})
}

func TestRequest_waitsForTheService(t *testing.T) {
	run(t, func(r *rig) {
		r.request("", true)
		r.request("", true)
		r.request("", false)
		r.want()
		for _, found := range r.find {
			r.on(func() { found(jidOf(t, "rooms.test"), true) })
		}
		r.want("opened /RoomListChannel1", "answer /RoomListChannel1", "answer /RoomListChannel1", "opened /RoomListChannel2", "answer /RoomListChannel2")
	})
}

func TestClose_answersWhoWaits(t *testing.T) {
	run(t, func(r *rig) {
		r.start()
		r.request("", true)
		r.on(r.lists.Close)
		r.want("fail Disconnected", "listed Disconnected")
		r.rooms(1)
		r.on(func() { r.find[0](jidOf(t, "rooms.test"), true) })
		r.want()
	})
}

func TestListError(t *testing.T) {
	for _, c := range stanza.Conditions() {
		want := tp.ErrorNotAvailable
		switch c {
		case stanza.Forbidden, stanza.NotAllowed, stanza.NotAuthorized, stanza.RegistrationRequired, stanza.SubscriptionRequired:
			want = tp.ErrorPermissionDenied
		case stanza.RemoteServerTimeout:
			want = tp.ErrorNetworkError
		}
		wantError(t, listError(fmt.Errorf("items: %w", stanza.NewError(c, ""))), want)
	}
	wantError(t, listError(xmpp.ErrTimeout), tp.ErrorNetworkError)
	wantError(t, listError(xmpp.ErrLost), tp.ErrorDisconnected)
	wantError(t, listError(disco.ErrNoQuery), tp.ErrorNotAvailable)
}

func wantError(t *testing.T, err error, want tp.ErrorName) {
	t.Helper()
	if e, is := err.(*tp.Error); !is || e.Name != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestDescribe(t *testing.T) {
	room := disco.Item{JID: jidOf(t, "maths@rooms.test"), Name: "maths (3)"}
	named := func(name string, features ...string) *disco.Info {
		return &disco.Info{Identities: []disco.Identity{{Category: "conference", Type: "text", Name: name}}, Features: features}
	}
	for _, c := range []struct {
		name string
		info *disco.Info
		want map[string]any
	}{
		{"nothing known", nil, map[string]any{"name": "maths (3)"}},
		{"no name of its own", named(""), map[string]any{"name": "maths (3)"}},
		{"open", named("Maths", "muc_open", "muc_unsecured"), map[string]any{"name": "Maths", "invite-only": false, "password": false}},
		{"closed", named("Maths", "muc_membersonly", "muc_passwordprotected"), map[string]any{"name": "Maths", "invite-only": true, "password": true}},
	} {
		c.want["handle-name"], c.want["room-id"], c.want["server"] = "maths@rooms.test", "maths", "rooms.test"
		got := make(map[string]any)
		for key, value := range describe(room, c.info) {
			got[key] = value.Value()
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func jidOf(t testing.TB, s string) jid.JID {
	t.Helper()
	j, err := jid.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}
