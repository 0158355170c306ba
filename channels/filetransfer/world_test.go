package filetransfer

import (
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// side is the Connection of one of two children whose stanzas go straight to
// the other. Signals and channels can be waited for.
type side struct {
	t       testing.TB
	loop    *loop.Loop
	log     *logrus.Entry
	self    jid.JID
	other   *side
	handles handle.Set
	streams *bytestream.Manager
	files   *Transfers

	lastID    int
	questions map[string]func(*stanza.Element, error)
	iqs       map[string]func(*stanza.Element)

	opened  chan *transfer
	signals chan string
}

// children makes both. They can pass bytes by these methods, all if there are
// none.
func children(t testing.TB, methods ...string) (a, b *side) {
	a, b = newSide(t, "ana@school.test/sugar"), newSide(t, "bob@school.test/sugar")
	a.other, b.other = b, a
	for _, s := range []*side{a, b} {
		s.do(func() {
			if len(methods) > 0 {
				s.streams.SetMethods(methods...)
			}
			s.streams.Listen(s)
		})
	}
	t.Cleanup(func() { // as Connections end, but both before either loop
		a.do(func() { a.files.Close(); a.streams.Close() })
		b.do(func() { b.files.Close(); b.streams.Close() })
		for _, s := range []*side{a, b} {
			s.loop.Close()
			<-s.loop.Done()
		}
	})
	return a, b
}

func newSide(t testing.TB, address string) *side {
	t.Helper()
	self, err := jid.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := &side{
		t: t, loop: loop.New(loop.Config{}), log: logrus.NewEntry(log), self: self,
		questions: make(map[string]func(*stanza.Element, error)), iqs: make(map[string]func(*stanza.Element)),
		opened: make(chan *transfer, 100), signals: make(chan string, 1000),
	}
	s.handles.Contacts.Ensure(self.Bare())
	s.streams = bytestream.New(s, nil)
	s.files = New(s, s.streams)
	go s.loop.Run()
	return s
}

// do runs f on the loop and waits for it.
func (s *side) do(f func()) {
	done := make(chan struct{})
	s.loop.Post("test", func() { f(); close(done) })
	<-done
}

func (s *side) Send(e *stanza.Element) {
	e = e.With(stanza.A("from", s.self.String()))
	s.other.loop.Post("stanza", func() { s.other.handle(e) })
}

func (s *side) handle(e *stanza.Element) {
	switch e.Attr("type") {
	case "get", "set":
		if handle := s.iqs[e.First().Space()]; handle != nil {
			handle(e)
		}
	case "result", "error":
		answer := s.questions[e.Attr("id")]
		delete(s.questions, e.Attr("id"))
		switch {
		case answer == nil:
		case e.Attr("type") == "error":
			answer(nil, stanza.ErrorOf(e))
		default:
			answer(e, nil)
		}
	}
}

func (s *side) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	s.lastID++
	id := fmt.Sprint(s.lastID)
	s.questions[id] = answer
	s.Send(iq.With(stanza.A("id", id)))
}

func (s *side) AskWithin(_ time.Duration, iq *stanza.Element, answer func(*stanza.Element, error)) {
	s.Ask(iq, answer)
}
func (s *side) HandleIQ(space string, handle func(*stanza.Element)) { s.iqs[space] = handle }
func (s *side) HandleMessage(func(*stanza.Element) bool)            {}
func (s *side) Post(label string, f func()) bool                    { return s.loop.Post(label, f) }
func (s *side) After(d time.Duration, label string, f func()) *loop.Timer {
	return s.loop.After(d, label, f)
}
func (s *side) Self() jid.JID                           { return s.self }
func (s *side) Log() *logrus.Entry                      { return s.log }
func (s *side) ChannelPath(name string) dbus.ObjectPath { return dbus.ObjectPath("/" + name) }
func (s *side) Export(bus.Object)                       {}
func (s *side) Handles() *handle.Set                    { return &s.handles }
func (s *side) SelfHandle() uint32                      { return 1 }
func (s *side) Closed(*channels.Channel)                {}
func (s *side) IsRoom(jid.JID) bool                     { return false }
func (s *side) RoomSelf(jid.JID) jid.JID                { return jid.JID{} }

func (s *side) FindDevice(_ jid.JID, _ string, done func(jid.JID, error)) { done(s.other.self, nil) }

func (s *side) EmitFrom(_ dbus.ObjectPath, signal tp.Signal, args ...any) {
	s.signals <- fmt.Sprint(append([]any{signal.Name}, args...)...)
}

func (s *side) Opened(ch *channels.Channel, _ ...*channels.Request) {
	for x := range s.files.open {
		if x.Channel == ch {
			s.opened <- x
		}
	}
}

// expect waits for signals, in this order and with none between them.
func (s *side) expect(want ...string) {
	s.t.Helper()
	for _, w := range want {
		select {
		case got := <-s.signals:
			if got != w {
				s.t.Fatalf("%s was told %q, want %q", s.self, got, w)
			}
		case <-time.After(20 * time.Second):
			s.t.Fatalf("%s waited in vain for %q", s.self, w)
		}
	}
}
