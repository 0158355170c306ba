package presence

import (
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// Addresses of the story; all people are at one school.
var (
	ada     = sugarJID("ada@school.test") // the user
	bob     = sugarJID("bob@school.test")
	eve     = sugarJID("eve@school.test")
	chess   = sugarJID("chess@rooms.school.test")
	drawing = sugarJID("drawing@rooms.school.test")
)

func sugarJID(s string) jid.JID {
	j, err := jid.Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// sugarRig is the Connection of ada, connected, on a clock of its own. Its log
// has all that leaves it, in order: signals, stanzas, and answers to calls.
type sugarRig struct {
	t         *testing.T
	loop      *loop.Loop
	handles   handle.Set
	connected bool
	noPEP     bool
	joined    map[jid.JID]bool
	rostered  map[jid.JID]bool
	inside    map[jid.JID]jid.JID // room in which somebody is
	log       []string
	asked     []sugarQuestion

	people *People
	events *PersonalEvents
	*Activities
	info  *BuddyInfo
	props *ActivityProperties
}

type sugarQuestion struct {
	what   string // "publish activities", "fetch activities of bob"
	answer func(*stanza.Element, error)
}

var (
	_ Host  = (*sugarRig)(nil)
	_ Rooms = (*sugarRig)(nil)
)

// sugarTest runs a test on a connected rig whose first publications are done,
// unless prepare changes that.
func sugarTest(t *testing.T, test func(r *sugarRig)) {
	t.Helper()
	sugarTestFrom(t, func(r *sugarRig) {
		r.connect()
		r.publishAll()
		r.log = nil
		test(r)
	})
}

// sugarTestFrom runs a test on a rig that is not connected yet.
func sugarTestFrom(t *testing.T, test func(r *sugarRig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := &sugarRig{t: t, loop: loop.New(loop.Config{}), joined: map[jid.JID]bool{}, rostered: map[jid.JID]bool{}, inside: map[jid.JID]jid.JID{}}
		r.handles.Contacts.Ensure(ada)
		r.people = NewPeople(r)
		r.people.rostered = func(who jid.JID) bool { return r.rostered[who] }
		r.events = NewPersonalEvents(r)
		r.Activities = NewActivities(r, r.people, r.events)
		r.Activities.Use(r)
		r.info = NewBuddyInfo(r, r.Activities)
		r.props = NewActivityProperties(r, r.Activities)
		go r.loop.Run()
		t.Cleanup(func() {
			r.do(r.Disconnecting)
			r.loop.Close()
			<-r.loop.Done()
		})
		test(r)
		if len(r.log) > 0 {
			t.Errorf("left in the log:\n%s", strings.Join(r.log, "\n"))
		}
	})
}

// do runs f on the loop and waits until all that follows at once is done.
func (r *sugarRig) do(f func()) {
	r.loop.Post("test", f)
	synctest.Wait()
}

// pass lets time go by. What the test did before happens before what follows.
func (r *sugarRig) pass(d time.Duration) {
	r.do(func() {})
	time.Sleep(d)
	synctest.Wait()
}

func (r *sugarRig) note(format string, a ...any) { r.log = append(r.log, fmt.Sprintf(format, a...)) }

// expect compares the log since the last call.
func (r *sugarRig) expect(want ...string) {
	r.t.Helper()
	if diff := cmp.Diff(want, r.log); diff != "" && len(want)+len(r.log) > 0 {
		r.t.Errorf("log (-want +got):\n%s", diff)
	}
	r.log = nil
}

func (r *sugarRig) connect() {
	r.do(func() {
		r.connected = true
		r.Connected()
	})
}

func (r *sugarRig) Emit(s tp.Signal, args ...any) {
	told := s.Name
	for i, arg := range args {
		told += " " + r.show(s, i, arg)
	}
	r.note("%s", told)
}

// show writes handles as names.
func (r *sugarRig) show(s tp.Signal, i int, arg any) string {
	switch arg := arg.(type) {
	case uint32:
		if i == 0 && s.Interface == tp.InterfaceBuddyInfo.Name {
			return r.nameOf(r.handles.Contacts.ID(arg))
		}
		return r.nameOf(r.handles.Rooms.ID(arg))
	case map[string]dbus.Variant:
		return showProperties(arg)
	case []reference:
		return r.showActivities(arg)
	case map[uint32]simple:
		var all []string
		for h, p := range arg {
			all = append(all, r.nameOf(r.handles.Contacts.ID(h))+"="+p.Status)
		}
		slices.Sort(all)
		return strings.Join(all, " ")
	}
	return fmt.Sprintf("%q", arg)
}

func (r *sugarRig) nameOf(j jid.JID, known bool) string {
	if !known {
		return "nothing"
	}
	return j.Local()
}

func showProperties(p map[string]dbus.Variant) string {
	all := []string{}
	for _, name := range slices.Sorted(maps.Keys(p)) {
		all = append(all, fmt.Sprintf("%s=%v", name, p[name].Value()))
	}
	return "{" + strings.Join(all, " ") + "}"
}

func (r *sugarRig) showActivities(list []reference) string {
	all := []string{}
	for _, x := range list {
		all = append(all, x.ID+"@"+r.nameOf(r.handles.Rooms.ID(x.Room)))
	}
	return "[" + strings.Join(all, " ") + "]"
}

func (r *sugarRig) Send(e *stanza.Element) {
	r.note("send %s %s", e.Attr("to"), showXML(e.First()))
}

func (r *sugarRig) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	pubsub := iq.Child(pep.NS, "pubsub")
	q := sugarQuestion{answer: answer}
	if publish := pubsub.Child(pep.NS, "publish"); publish != nil {
		q.what = "publish " + shortNode(publish.Attr("node"))
		r.note("%s %s", q.what, showXML(publish.First().First()))
	} else if pubsub == nil {
		q.what = "ask " + showXML(iq.First())
		r.note("%s", q.what)
	} else {
		owner, _, _ := strings.Cut(iq.Attr("to"), "@")
		q.what = "fetch " + shortNode(pubsub.Child(pep.NS, "items").Attr("node")) + " of " + owner
		r.note("%s", q.what)
	}
	r.asked = append(r.asked, q)
}

// showXML writes a payload without its namespace and without quotes.
func showXML(e *stanza.Element) string {
	var b strings.Builder
	b.WriteString("<" + e.Local())
	for _, a := range e.Attrs() {
		value := a.Value
		if a.Name == "room" {
			value, _, _ = strings.Cut(value, "@")
		}
		fmt.Fprintf(&b, " %s=%s", a.Name, value)
	}
	b.WriteString(">" + e.Text())
	for _, c := range e.Children() {
		b.WriteString(showXML(c))
	}
	return b.String()
}

func shortNode(node string) string { return strings.TrimPrefix(node, "http://laptop.org/xmpp/") }

func (r *sugarRig) After(d time.Duration, label string, f func()) *loop.Timer {
	return r.loop.After(d, label, f)
}
func (r *sugarRig) FlushSoon(f func()) { r.loop.AfterBurst(f) }

func (r *sugarRig) AfterOutput(f func()) { r.loop.Post("output", f) }
func (r *sugarRig) Log() *logrus.Entry {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return logrus.NewEntry(log)
}
func (r *sugarRig) IsConnected() bool          { return r.connected }
func (r *sugarRig) HasPEP() bool               { return !r.noPEP }
func (r *sugarRig) Handles() *handle.Set       { return &r.handles }
func (r *sugarRig) SelfHandle() uint32         { return 1 }
func (r *sugarRig) Self() jid.JID              { return ada.WithResource("sugar") }
func (r *sugarRig) Priority() int8             { return 0 }
func (r *sugarRig) IsJoined(room jid.JID) bool { return r.joined[room] }
func (r *sugarRig) IsOwn(who jid.JID) bool     { return who.Resource() == "Ada" }

// next takes the oldest question of that kind.
func (r *sugarRig) next(what string) sugarQuestion {
	r.t.Helper()
	i := slices.IndexFunc(r.asked, func(q sugarQuestion) bool { return q.what == what })
	if i < 0 {
		r.t.Fatalf("nobody asks to %s; log:\n%s", what, strings.Join(r.log, "\n"))
	}
	q := r.asked[i]
	r.asked = slices.Delete(r.asked, i, i+1)
	return q
}

func (r *sugarRig) Known(jid.JID) {}

func (r *sugarRig) IsInside(room, who jid.JID) bool { return r.inside[who] == room }

func (r *sugarRig) Withdrawn(jid.JID, jid.JID) {}

// answer gives a question its result; payload is what a fetch finds.
func (r *sugarRig) answer(what, payload string) {
	r.t.Helper()
	q := r.next(what)
	node := strings.Fields(what)[1]
	reply := sugarXML(r.t, "<iq type='result'><pubsub xmlns='"+pep.NS+"'><items node='http://laptop.org/xmpp/"+node+"'>"+
		"<item id='fetched'>"+payload+"</item></items></pubsub></iq>")
	r.do(func() { q.answer(reply, nil) })
}

func (r *sugarRig) refuse(what string, c stanza.Condition) {
	r.t.Helper()
	q := r.next(what)
	r.do(func() { q.answer(nil, stanza.NewError(c, "")) })
}

// publishAll answers publications until there are none.
func (r *sugarRig) publishAll() {
	for {
		i := slices.IndexFunc(r.asked, func(q sugarQuestion) bool { return strings.HasPrefix(q.what, "publish") })
		if i < 0 {
			return
		}
		r.answer(r.asked[i].what, "")
	}
}

func sugarXML(t testing.TB, s string) *stanza.Element {
	t.Helper()
	e, err := stanza.Parse(s)
	if err != nil {
		t.Fatalf("%s: %v", s, err)
	}
	return e
}

// appear has a contact come on-line, in one event with others.
func (r *sugarRig) appear(who ...jid.JID) {
	r.t.Helper()
	r.do(func() {
		for _, w := range who {
			r.people.HandlePresence(sugarXML(r.t, "<presence from='"+w.String()+"/sugar'/>"))
		}
	})
}

func (r *sugarRig) leave(who jid.JID) {
	r.do(func() {
		r.people.HandlePresence(sugarXML(r.t, "<presence type='unavailable' from='"+who.String()+"/sugar'/>"))
	})
}

// meet has contacts come on-line and be introduced, long ago.
func (r *sugarRig) meet(who ...jid.JID) {
	r.appear(who...)
	for _, w := range who {
		r.do(func() { r.Introduced(r.contact(w)) })
	}
	r.pass(time.Minute)
	r.log = nil
}

func (r *sugarRig) contact(who jid.JID) uint32 { return r.handles.Contacts.Ensure(who) }
func (r *sugarRig) room(room jid.JID) uint32   { return r.handles.Rooms.Ensure(room) }

// event hands in what the owner of a node has published.
func (r *sugarRig) event(from jid.JID, payload string) { r.eventID(from, "published", payload) }

func (r *sugarRig) eventID(from jid.JID, id, payload string) {
	node := sugarXML(r.t, payload).Space()
	r.message("<message type='headline' from='" + from.String() + "'><event xmlns='" + pep.NSEvent + "'><items node='" + node + "'>" +
		"<item id='" + id + "'>" + payload + "</item></items></event></message>")
}

// message hands in a message; it must be taken.
func (r *sugarRig) message(s string) {
	r.t.Helper()
	e := sugarXML(r.t, s)
	r.do(func() {
		if !r.events.HandleMessage(e) && !r.HandleMessage(e) {
			r.t.Errorf("not taken: %s", s)
		}
	})
}

// Payloads. Properties are given as name and value; the bool is private.

func propertiesXML(pairs ...any) string {
	return "<properties xmlns='" + olpc.NodeBuddyProperties + "'>" + pairsXML(pairs) + "</properties>"
}

func pairsXML(pairs []any) string {
	var b strings.Builder
	for i := 0; i < len(pairs); i += 2 {
		switch v := pairs[i+1].(type) {
		case bool:
			fmt.Fprintf(&b, "<property name='%s' type='bool'>%d</property>", pairs[i], map[bool]int{true: 1}[v])
		case []byte:
			p := olpc.BuildBuddyProperties(olpc.Properties{pairs[i].(string): v}).First()
			fmt.Fprintf(&b, "<property name='%s' type='bytes'>%s</property>", pairs[i], p.Text())
		default:
			fmt.Fprintf(&b, "<property name='%s' type='str'>", pairs[i])
			xml.EscapeText(&b, []byte(v.(string)))
			b.WriteString("</property>")
		}
	}
	return b.String()
}

func activitiesXML(rooms ...jid.JID) string {
	s := "<activities xmlns='" + olpc.NodeActivities + "'>"
	for _, room := range rooms {
		s += "<activity type='" + idOf(room) + "' room='" + room.String() + "'/>"
	}
	return s + "</activities>"
}

// idOf is the id of the activity in a room.
func idOf(room jid.JID) string { return "id-" + room.Local() }

func descriptionXML(room jid.JID, pairs ...any) string {
	return "<properties xmlns='" + olpc.NodeActivityProperties + "' activity='" + idOf(room) + "' room='" + room.String() + "'>" +
		pairsXML(pairs) + "</properties>"
}

func descriptionsXML(all ...string) string {
	return "<activities xmlns='" + olpc.NodeActivityProperties + "'>" + strings.Join(all, "") + "</activities>"
}

func currentXML(room jid.JID) string {
	if room.IsZero() {
		return "<activity xmlns='" + olpc.NodeCurrentActivity + "' type='' room=''/>"
	}
	return "<activity xmlns='" + olpc.NodeCurrentActivity + "' type='" + idOf(room) + "' room='" + room.String() + "'/>"
}

// Calls. Their answers go into the log.

func (r *sugarRig) getProperties(who jid.JID) {
	r.do(func() {
		r.info.propertiesOf(r.contact(who), func(p olpc.Properties, err error) {
			r.answered("GetProperties "+who.Local(), err, showProperties(variants(p)))
		})
	})
}

func (r *sugarRig) getActivities(who jid.JID) {
	r.do(func() {
		r.info.activitiesOf(r.contact(who), func(list []reference, err error) {
			r.answered("GetActivities "+who.Local(), err, r.showActivities(list))
		})
	})
}

func (r *sugarRig) getCurrentActivity(who jid.JID) {
	r.do(func() {
		r.info.currentOf(r.contact(who), func(id string, room uint32, err error) {
			r.answered("GetCurrentActivity "+who.Local(), err, fmt.Sprintf("%q %s", id, r.nameOf(r.handles.Rooms.ID(room))))
		})
	})
}

func (r *sugarRig) describeRoom(room uint32) string {
	var told string
	r.do(func() {
		p, err := r.props.of(room)
		if told = showProperties(variants(p)); err != nil {
			told = r.errorName(err)
		}
	})
	return told
}

func (r *sugarRig) findRoom(id string) string {
	var told string
	r.do(func() {
		room, err := r.props.find(id)
		if told = r.nameOf(r.handles.Rooms.ID(room)); err != nil {
			told = r.errorName(err)
		}
	})
	return told
}

// done gives the callback that logs the answer to a call without results.
func (r *sugarRig) done(call string) func(error) {
	return func(err error) { r.answered(call, err, "done") }
}

func (r *sugarRig) answered(call string, err error, result string) {
	if err != nil {
		result = r.errorName(err)
	}
	r.note("%s -> %s", call, result)
}

func (r *sugarRig) errorName(err error) string {
	name := string(refusal(err).(*tp.Error).Name)
	return name[strings.LastIndexByte(name, '.')+1:]
}
