package gadgetd

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/gadgetd/store"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)

// memory is a store that forgets with the test.
type memory struct {
	publishers map[jid.JID]store.Publisher
	activities map[jid.JID]olpc.Activity
}

func (m *memory) Load() (store.State, error)  { return m.state(), nil }
func (m *memory) PutActivity(a olpc.Activity) { m.activities[a.Room] = a }
func (m *memory) DeleteActivity(room jid.JID) { delete(m.activities, room) }
func (m *memory) Close() error                { return nil }
func (m *memory) PutPublisher(p store.Publisher) {
	if m.publishers[p.JID] = p; !p.Hears && !p.Publishes {
		delete(m.publishers, p.JID)
	}
}

func (m *memory) state() store.State {
	var s store.State
	for _, p := range m.publishers {
		s.Publishers = append(s.Publishers, p)
	}
	for _, a := range m.activities {
		s.Activities = append(s.Activities, a)
	}
	return s
}

// world is a Server whose link is the test.
type world struct {
	t testing.TB
	*Server
	memory   *memory
	out      []string
	asked    []func(*stanza.Element, error)
	iq       map[string]func(*stanza.Element)
	message  func(*stanza.Element) bool
	presence func(*stanza.Element) bool
	waiting  int
}

func (w *world) Self() jid.JID                                  { return addr(w.t, "gadget.school.test") }
func (w *world) Waiting() int                                   { return w.waiting }
func (w *world) HandleIQ(space string, f func(*stanza.Element)) { w.iq[space] = f }
func (w *world) HandleMessage(f func(*stanza.Element) bool)     { w.message = f }
func (w *world) HandlePresence(f func(*stanza.Element) bool)    { w.presence = f }
func (w *world) Send(e *stanza.Element)                         { w.out = append(w.out, e.String()) }
func (w *world) Ask(iq *stanza.Element, f func(*stanza.Element, error)) {
	w.Send(iq)
	w.asked = append(w.asked, f)
}

func newWorld(t testing.TB, change func(*Config)) *world {
	t.Helper()
	w := &world{t: t, memory: &memory{make(map[jid.JID]store.Publisher), make(map[jid.JID]olpc.Activity)}}
	w.restart(change)
	return w
}

// restart is another life on the same store.
func (w *world) restart(change func(*Config)) {
	w.t.Helper()
	cfg := Config{Domains: []string{"school.test"}, Limits: DefaultLimits}
	if change != nil {
		change(&cfg)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	w.iq, w.out, w.asked = make(map[string]func(*stanza.Element)), nil, nil
	var err error
	// The loop does not run: what is due later is called by the tests.
	if w.Server, err = New(cfg, w, loop.New(loop.Config{}), w.memory, w.memory.state(), logrus.NewEntry(log)); err != nil {
		w.t.Fatal(err)
	}
	w.Up()
	w.t.Cleanup(w.Down)
}

// gets hands stanzas to the server.
func (w *world) gets(stanzas ...string) {
	w.t.Helper()
	for _, s := range stanzas {
		e := parse(w.t, s)
		switch e.Local() {
		case "iq":
			handle := w.iq[e.First().Space()]
			if handle == nil {
				w.t.Fatalf("nobody handles %s", s)
			}
			handle(e)
		case "message":
			w.message(e)
		default:
			w.presence(e)
		}
	}
	w.dir.Flush()
}

// sent takes what was sent, and checks that each text is in one of the stanzas.
func (w *world) sent(wants ...string) []string {
	w.t.Helper()
	w.dir.Flush()
	out := w.out
	w.out = nil
	for _, want := range wants {
		if want != "" && !slices.ContainsFunc(out, func(s string) bool { return strings.Contains(s, want) }) {
			w.t.Errorf("%q is not in\n%s", want, strings.Join(out, "\n"))
		}
	}
	return out
}

// silent checks that nothing was sent.
func (w *world) silent(what string) {
	w.t.Helper()
	if out := w.sent(); len(out) > 0 {
		w.t.Errorf("%s: sent\n%s", what, strings.Join(out, "\n"))
	}
}

func event(from, node, payload string) string {
	return fmt.Sprintf(`<message from='%s@school.test' to='gadget.school.test' type='headline'><event xmlns='http://jabber.org/protocol/pubsub#event'>`+
		`<items node='%s'><item id='1'>%s</item></items></event></message>`, from, node, payload)
}

func colorEvent(from, color string) string {
	return event(from, olpc.NodeBuddyProperties, olpc.BuildBuddyProperties(olpc.Properties{"color": color}).String())
}

// publisher brings somebody on-line who publishes.
func (w *world) publisher(name string) {
	w.t.Helper()
	w.gets("<presence from='"+name+"@school.test' type='subscribe'/>", "<presence from='"+name+"@school.test' type='subscribed'/>",
		"<presence from='"+name+"@school.test/xo'/>", colorEvent(name, name))
	w.sent()
}

func view(who, kind, id string) string {
	return fmt.Sprintf(`<iq from='%s' type='get' id='q'><view xmlns='http://laptop.org/xmpp/%s' id='%s' size='10'/></iq>`, who, kind, id)
}
