package presence

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// capsHost is a Connection with a loop of its own; questions wait until the
// test answers them.
type capsHost struct {
	t         testing.TB
	loop      *loop.Loop
	handles   handle.Set
	log       *logrus.Entry
	connected bool

	sent    []*stanza.Element
	asked   []capsQuestion
	signals []capsSignal
}

type capsQuestion struct {
	iq     *stanza.Element
	answer func(*stanza.Element, error)
}

type capsSignal struct {
	name string
	args []any
}

func (h *capsHost) Emit(s tp.Signal, args ...any) {
	if s != tp.SignalConnectionSimplePresencePresencesChanged {
		h.signals = append(h.signals, capsSignal{s.Name, args})
	}
}
func (h *capsHost) Send(e *stanza.Element) { h.sent = append(h.sent, e) }
func (h *capsHost) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	h.asked = append(h.asked, capsQuestion{iq, answer})
}
func (h *capsHost) After(d time.Duration, label string, f func()) *loop.Timer {
	if d == 0 { // so that do comes behind it
		h.loop.Post(label, f)
		return nil
	}
	return h.loop.After(d, label, f)
}
func (h *capsHost) FlushSoon(f func())   { h.loop.AfterBurst(f) }
func (h *capsHost) AfterOutput(f func()) { h.loop.Post("output", f) }
func (h *capsHost) Log() *logrus.Entry   { return h.log }
func (h *capsHost) IsConnected() bool    { return h.connected }
func (h *capsHost) HasPEP() bool         { return true }
func (h *capsHost) Handles() *handle.Set { return &h.handles }
func (h *capsHost) SelfHandle() uint32   { return 1 }
func (h *capsHost) Self() jid.JID        { return capsJID(h.t, "me@school.test/sugar") }
func (h *capsHost) Priority() int8       { return 0 }

// capsSetup is a hub that serves classes, connected, with what it stands on.
// Everything in a test runs on the loop by way of do.
type capsSetup struct {
	*capsHost
	people   *People
	presence *SimplePresence
	hub      *Capabilities
}

func newCaps(t testing.TB, classes ...ContactClass) *capsSetup {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	return newCapsHere(t, classes...)
}

// newCapsHere is newCaps with the cache where the environment says.
func newCapsHere(t testing.TB, classes ...ContactClass) *capsSetup {
	t.Helper()
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	h := &capsHost{t: t, loop: loop.New(loop.Config{}), log: logrus.NewEntry(silent)}
	h.handles.Contacts.Ensure(h.Self().Bare())
	s := &capsSetup{capsHost: h, people: NewPeople(h)}
	s.presence = NewSimplePresence(h, s.people)
	s.hub = NewCapabilities(h, s.people, s.presence)
	s.hub.Offer(classes...)
	go h.loop.Run()
	t.Cleanup(func() {
		s.do(s.hub.Close)
		s.hub.disk.Wait()
		h.loop.Close()
		<-h.loop.Done()
	})
	return s
}

// connect is what the Connection does when it is ready.
func (s *capsSetup) connect() *capsSetup {
	s.do(func() {
		s.hub.Connected()
		s.presence.Connected()
		s.connected = true
	})
	s.sent = nil
	return s
}

// do runs f on the loop, as one event, and what it leaves for afterwards.
func (s *capsSetup) do(f func()) {
	s.t.Helper()
	done := make(chan struct{})
	s.loop.Post("test", f)
	s.loop.Post("done", func() { close(done) })
	<-done
}

// online lets presences arrive in one burst.
func (s *capsSetup) online(c caps.Caps, from ...string) {
	s.do(func() {
		for _, f := range from {
			s.people.HandlePresence(capsPresence(f, c))
		}
	})
}

func (s *capsSetup) offline(from string) {
	s.do(func() {
		s.people.HandlePresence(stanza.New(stanza.NSClient, "presence", stanza.A("from", from), stanza.A("type", "unavailable")))
	})
}

// answer answers the only open question, which was for whom is named.
func (s *capsSetup) answer(to string, info *disco.Info) {
	s.t.Helper()
	if len(s.asked) != 1 || s.asked[0].iq.Attr("to") != to {
		s.t.Fatalf("questions %v, want one to %s", s.asked, to)
	}
	q := s.asked[0]
	s.asked = nil
	s.do(func() {
		q.answer(stanza.New(stanza.NSClient, "iq", stanza.A("type", "result"), info.Element()), nil)
	})
}

// want compares the signals since the last time.
func (s *capsSetup) want(signals ...capsSignal) {
	s.t.Helper()
	if diff := cmp.Diff(signals, s.signals, cmp.AllowUnexported(capsSignal{}), capsByVariant); diff != "" {
		s.t.Errorf("signals (-want +got):\n%s", diff)
	}
	s.signals = nil
}

var capsByVariant = cmp.Comparer(func(a, b dbus.Variant) bool { return a.String() == b.String() })

func capsChanged(contacts map[uint32][]channelClass) capsSignal {
	return capsSignal{"ContactCapabilitiesChanged", []any{contacts}}
}

func capsTypes(contact uint32, types ...string) capsSignal {
	if types == nil {
		types = []string{}
	}
	return capsSignal{"ClientTypesUpdated", []any{contact, types}}
}

func capsJID(t testing.TB, s string) jid.JID {
	t.Helper()
	j, err := jid.ParseLenient(s)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func capsPresence(from string, c caps.Caps) *stanza.Element {
	e := stanza.New(stanza.NSClient, "presence", stanza.A("from", from))
	if c.Ver != "" {
		e = e.With(c.Element())
	}
	return e
}

// capsOf is what a client with this info announces.
func capsOf(t testing.TB, info *disco.Info) caps.Caps {
	t.Helper()
	ver, err := caps.Hash("sha-1", info)
	if err != nil {
		t.Fatal(err)
	}
	return caps.Caps{Node: "urn:example:client", Hash: "sha-1", Ver: ver}
}

const (
	capsFeature = "urn:example:files"
	capsPrefix  = "urn:example:tubes#"
	capsService = tp.PropertyChannelStreamTubeService
)

// Three classes of channels as they come: for everybody, with a feature, and
// with one for each service.
var (
	capsText = ContactClass{Fixed: capsFixed(tp.InterfaceChannelText), Allowed: []string{tp.PropertyChannelTargetID}}
	capsFile = ContactClass{Feature: capsFeature, Fixed: capsFixed(tp.InterfaceChannelFileTransfer), Allowed: []string{tp.PropertyChannelFileTransferSize}}
	capsTube = ContactClass{Feature: capsPrefix, Suffix: capsService, Fixed: capsFixed(tp.InterfaceChannelStreamTube)}
)

func capsFixed(kind *tp.Interface) map[string]any {
	return map[string]any{tp.PropertyChannelChannelType: kind.Name, tp.PropertyChannelTargetHandleType: tp.HandleTypeContact}
}

func capsClass(c ContactClass, more ...string) channelClass {
	fixed := make(map[string]dbus.Variant)
	for name, value := range c.Fixed {
		fixed[name] = dbus.MakeVariant(value)
	}
	for _, service := range more {
		fixed[c.Suffix] = dbus.MakeVariant(service)
	}
	return channelClass{fixed, c.Allowed}
}

func capsInfo(typ string, features ...string) *disco.Info {
	return &disco.Info{Identities: []disco.Identity{{Category: "client", Type: typ}}, Features: features}
}

func TestCapabilities_own(t *testing.T) {
	s := newCaps(t).connect()
	s.do(func() { s.hub.Advertise("urn:example:more", disco.NSInfo) })
	if len(s.sent) != 1 {
		t.Fatalf("sent %v, want one presence", s.sent)
	}
	announced, is := caps.Parse(s.sent[0])
	if !is || announced.Hash != "sha-1" || announced.Node != caps.Node {
		t.Fatalf("presence announces %+v", announced)
	}
	query := disco.InfoQuery(s.Self(), announced.Node+"#"+announced.Ver).With(stanza.A("from", "bob@school.test/a"), stanza.A("id", "1"))
	s.do(func() { s.hub.HandleInfo(query) })
	info, err := disco.ParseInfo(s.sent[1].Child(disco.NSInfo, "query"))
	if err != nil {
		t.Fatal(err)
	}
	if err := caps.Verify(announced, info); err != nil {
		t.Errorf("the answer is not what was announced: %v", err)
	}
	for _, f := range append(olpc.NotifyFeatures(), disco.NSInfo, caps.NS, "urn:xmpp:ping", "http://jabber.org/protocol/nick+notify", "urn:example:more") {
		if !info.Has(f) {
			t.Errorf("%s is not announced", f)
		}
	}
	if !info.Is("client", "pc") || info.Identities[0].Name != "telepathy-olpc" {
		t.Errorf("identities %v", info.Identities)
	}
}

func TestCapabilities_questionsAboutUs(t *testing.T) {
	s := newCaps(t) // a server may ask before CONNECTED
	ask := func(e *stanza.Element) string {
		t.Helper()
		s.sent = nil
		s.do(func() {
			if e.Child(disco.NSItems, "query") != nil {
				s.hub.HandleItems(e)
				return
			}
			s.hub.HandleInfo(e)
		})
		if len(s.sent) != 1 {
			t.Fatalf("answers %v", s.sent)
		}
		if s.sent[0].Attr("type") == "error" {
			return string(stanza.ErrorOf(s.sent[0]).Condition)
		}
		return s.sent[0].Attr("type")
	}
	from := []stanza.Part{stanza.A("from", "school.test"), stanza.A("id", "1")}
	for _, row := range []struct {
		name string
		iq   *stanza.Element
		want string
	}{
		{"info", disco.InfoQuery(s.Self(), "").With(from...), "result"},
		{"info of a strange node", disco.InfoQuery(s.Self(), "urn:none").With(from...), "item-not-found"},
		{"info set", disco.InfoQuery(s.Self(), "").With(append(from, stanza.A("type", "set"))...), "bad-request"},
		{"items", disco.ItemsQuery(s.Self(), "").With(from...), "result"},
		{"items of a node", disco.ItemsQuery(s.Self(), "urn:none").With(from...), "item-not-found"},
	} {
		if got := ask(row.iq); got != row.want {
			t.Errorf("%s: %s, want %s", row.name, got, row.want)
		}
	}
}

func TestAdvertise_nothingNew(t *testing.T) {
	s := newCaps(t).connect()
	s.do(func() { s.hub.Advertise(disco.NSInfo) })
	if len(s.sent) != 0 {
		t.Errorf("sent %v for features that were there", s.sent)
	}
	s.want()
}

func TestCapabilities_burstOfOneHash(t *testing.T) {
	s := newCaps(t, capsText, capsFile, capsTube).connect()
	info := capsInfo("pc", capsFeature, capsPrefix+"_chess._tcp", capsPrefix+"_abacus._tcp")
	s.online(capsOf(t, info), "a@school.test/s", "b@school.test/s", "c@school.test/s")
	s.want()
	s.answer("a@school.test/s", info)
	classes := []channelClass{
		capsClass(capsText), capsClass(capsFile), capsClass(capsTube, "_abacus._tcp"), capsClass(capsTube, "_chess._tcp"),
	}
	s.want(
		capsChanged(map[uint32][]channelClass{2: classes, 3: classes, 4: classes}),
		capsTypes(2, "pc"), capsTypes(3, "pc"), capsTypes(4, "pc"),
	)
	if s.hub.known[2] != s.hub.known[4] {
		t.Error("contacts with one hash do not share what they can do")
	}
	// Who comes later is known at once.
	s.online(capsOf(t, info), "d@school.test/s")
	s.want(capsChanged(map[uint32][]channelClass{5: classes}), capsTypes(5, "pc"))
	if len(s.asked) != 0 {
		t.Errorf("asked again: %v", s.asked)
	}
}

func TestCapabilities_manyInPieces(t *testing.T) {
	s := newCaps(t, capsText).connect()
	info := capsInfo("pc")
	const most = 2*announcedAtOnce + 1
	var all []string
	for i := range most {
		all = append(all, fmt.Sprintf("c%d@school.test/s", i))
	}
	s.online(capsOf(t, info), all...)
	s.want()
	s.answer(all[0], info)
	can, types, wanted := map[uint32][]channelClass{}, []capsSignal(nil), []capsSignal(nil)
	for i := range most {
		contact := uint32(2 + i)
		can[contact] = []channelClass{capsClass(capsText)}
		types = append(types, capsTypes(contact, "pc"))
		if len(can) == announcedAtOnce || i == most-1 {
			wanted = append(append(wanted, capsChanged(can)), types...)
			can, types = map[uint32][]channelClass{}, nil
		}
	}
	s.do(func() {}) // behind the second piece
	s.do(func() {}) // behind the third
	s.want(wanted...)
}

func TestCapabilities_changesAndLeaves(t *testing.T) {
	s := newCaps(t, capsText, capsFile).connect()
	with, without := capsInfo("pc", capsFeature), capsInfo("pc", "urn:example:other")
	s.online(capsOf(t, with), "a@school.test/s")
	s.answer("a@school.test/s", with)
	s.signals = nil

	s.online(capsOf(t, without), "a@school.test/s")
	s.want() // what it could before holds until it is known better
	s.answer("a@school.test/s", without)
	s.want(capsChanged(map[uint32][]channelClass{2: {capsClass(capsText)}}))

	s.online(caps.Caps{}, "a@school.test/s") // a presence that does not tell
	s.offline("a@school.test/s")
	s.want(capsTypes(2)) // the text channel is left

	s.online(capsOf(t, with), "a@school.test/s")
	s.want(capsChanged(map[uint32][]channelClass{2: {capsClass(capsText), capsClass(capsFile)}}), capsTypes(2, "pc"))
}

func TestCapabilities_thereAndBackInOneBurst(t *testing.T) {
	s := newCaps(t, capsFile).connect()
	info := capsInfo("pc", capsFeature)
	s.online(capsOf(t, info), "a@school.test/s")
	s.answer("a@school.test/s", info)
	s.signals = nil
	s.do(func() {
		s.people.HandlePresence(stanza.New(stanza.NSClient, "presence", stanza.A("from", "a@school.test/s"), stanza.A("type", "unavailable")))
		s.people.HandlePresence(capsPresence("a@school.test/s", capsOf(t, info)))
	})
	s.want()
}

func TestCapabilities_twoDevices(t *testing.T) {
	s := newCaps(t, capsFile, capsTube).connect()
	pc, phone := capsInfo("pc", capsFeature), capsInfo("phone", capsPrefix+"x")
	s.online(capsOf(t, pc), "a@school.test/pc")
	s.answer("a@school.test/pc", pc)
	s.signals = nil
	s.online(capsOf(t, phone), "a@school.test/phone") // the better one, for it is the later
	s.want(capsTypes(2))
	s.answer("a@school.test/phone", phone)
	s.want(capsChanged(map[uint32][]channelClass{2: {capsClass(capsFile), capsClass(capsTube, "x")}}), capsTypes(2, "phone"))
	// "Away" makes the pc the better one again.
	s.do(func() {
		away := stanza.New(stanza.NSClient, "show", stanza.Text("away"))
		s.people.HandlePresence(capsPresence("a@school.test/phone", capsOf(t, phone)).With(away))
	})
	s.want(capsTypes(2, "pc"))
	s.offline("a@school.test/pc")
	s.want(capsChanged(map[uint32][]channelClass{2: {capsClass(capsTube, "x")}}), capsTypes(2, "phone"))
}

func TestCapabilities_notAsked(t *testing.T) {
	s := newCaps(t, capsFile).connect()
	other := capsOf(t, capsInfo("pc", "urn:example:none"))
	s.online(other, "me@school.test/elsewhere")
	s.do(func() {
		s.people.HandlePresence(capsPresence("room@rooms.school.test/nick", other).With(stanza.New(nsMUCUser, "x")))
	})
	s.online(s.hub.own.Caps(), "same@school.test/s") // the same software as ours
	if len(s.asked) != 0 {
		t.Errorf("asked %v", s.asked)
	}
}

func TestCapabilities_hostile(t *testing.T) {
	s := newCaps(t, capsTube).connect()
	t.Run("services without end", func(t *testing.T) {
		var features []string
		for i := range 1000 {
			features = append(features, fmt.Sprint(capsPrefix, i))
		}
		features = append(features, capsPrefix, capsPrefix+"a b", capsPrefix+strings.Repeat("x", maxSuffix+1))
		info := capsInfo("pc", features...)
		s.online(capsOf(t, info), "a@school.test/s")
		s.answer("a@school.test/s", info)
		if got := len(s.hub.known[2].classes); got != maxServices {
			t.Errorf("%d classes, want %d", got, maxServices)
		}
	})
	t.Run("devices without end", func(t *testing.T) {
		for i := range 1000 {
			s.online(caps.Caps{}, fmt.Sprint("b@school.test/", i))
		}
		if got := len(s.hub.mute); got != maxResources {
			t.Errorf("%d devices kept, want %d", got, maxResources)
		}
		s.offline("b@school.test")
		if got := len(s.hub.mute); got != 0 {
			t.Errorf("%d devices kept of who is gone", got)
		}
	})
	t.Run("kinds of clients without end", func(t *testing.T) {
		for i := range 3 * maxKinds {
			info := capsInfo("pc", fmt.Sprint(capsPrefix, i))
			s.online(capsOf(t, info), "c@school.test/s")
			s.answer("c@school.test/s", info)
		}
		if got := len(s.hub.kinds); got > maxKinds {
			t.Errorf("%d kinds kept, want at most %d", got, maxKinds)
		}
	})
}

func TestCapabilities_rememberedOnDisk(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	info := capsInfo("pc", capsFeature)
	s := newCapsHere(t, capsFile).connect()
	s.online(capsOf(t, info), "a@school.test/s")
	s.answer("a@school.test/s", info)
	s.do(s.hub.Close)
	s.hub.disk.Wait()

	s = newCapsHere(t, capsFile).connect()
	s.online(capsOf(t, info), "a@school.test/s") // before the file is read
	s.asked = nil
	s.do(s.hub.Load)
	s.hub.disk.Wait()
	s.do(func() {})
	s.do(func() {})
	s.want(capsChanged(map[uint32][]channelClass{2: {capsClass(capsFile)}}), capsTypes(2, "pc"))
}

func TestCapabilities_noPlaceForTheCache(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "")
	info := capsInfo("pc", capsFeature)
	s := newCapsHere(t, capsFile).connect()
	s.do(s.hub.Load)
	s.online(capsOf(t, info), "a@school.test/s")
	s.answer("a@school.test/s", info)
	s.do(s.hub.Close)
	s.hub.disk.Wait()
	s.want(capsChanged(map[uint32][]channelClass{2: {capsClass(capsFile)}}), capsTypes(2, "pc"))
}

func TestCapabilities_unwritableCache(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CACHE_HOME", file)
	info := capsInfo("pc")
	s := newCapsHere(t, capsFile).connect()
	s.do(s.hub.Load)
	s.online(capsOf(t, info), "a@school.test/s")
	s.answer("a@school.test/s", info)
	s.do(s.hub.Close)
	s.hub.disk.Wait()
}

// A school comes on-line: presences of 5,000 contacts with one hash, and the
// answer to the one question about it.
func BenchmarkCapabilities_5000contacts(b *testing.B) {
	const contacts = 5000
	info := capsInfo("pc", capsFeature, disco.NSInfo)
	announced := capsOf(b, info)
	var presences []*stanza.Element
	for i := range contacts {
		presences = append(presences, capsPresence(fmt.Sprintf("contact%05d@school.test/sugar", i), announced))
	}
	b.ReportAllocs()
	for b.Loop() {
		s := newCaps(b, capsText, capsFile, capsTube).connect()
		s.do(func() {
			for _, p := range presences {
				s.people.HandlePresence(p)
			}
		})
		s.answer("contact00000@school.test/sugar", info)
		if len(s.signals) != 1+contacts {
			b.Fatalf("%d signals", len(s.signals))
		}
		if len(s.asked) > 0 {
			b.Fatal("asked again")
		}
	}
}
