package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/pupil"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// BenchmarkSchool is what two children wait for whose laptops have the binary
// as it is released and whose school has a real ejabberd, as clients on D-Bus
// see it. The times are medians: now and then the machine has other things to
// do. CM_BINARY names another connection manager to measure.
func BenchmarkSchool(b *testing.B) {
	stayAwake(b)
	binary := releaseBinary(b)
	server := school.StartTest(b, school.Options{Kind: school.Ejabberd})
	for _, benchmark := range []struct {
		name string
		run  func(*testing.B, *pair)
	}{
		{"register", benchmarkRegister},
		{"login", benchmarkLogin},
		{"buddy properties", benchmarkBuddyProperties},
		{"activity", benchmarkActivity},
		{"connect, share, first message", benchmarkFirstMessage},
		{"room message and answer", benchmarkRoundTrip},
		{"room messages", benchmarkMessages},
		{"files", benchmarkFiles},
		{"tube call", benchmarkTubeCalls},
		{"tube call of 1 MB", benchmarkTubeLargeCalls},
		{"tube signals", benchmarkTubeSignals},
		{"stream tube", benchmarkStreamTube},
		{"stream tube opened", benchmarkStreamTubeOpening},
	} {
		b.Run(benchmark.name, func(b *testing.B) { benchmark.run(b, openPair(b, server, binary)) })
	}
	b.Run("room message and answer without D-Bus", func(b *testing.B) { benchmarkServer(b, server) })
}

// stayAwake keeps idle cores from sleeping until the benchmark ends, as cyclictest
// does it (PM Quality of Service): to wake a core, a virtual machine may take as
// long as a message takes for its whole way. Only root can do that; for others the
// times have the sleep of the cores in them.
func stayAwake(b *testing.B) {
	latency, err := os.OpenFile("/dev/cpu_dma_latency", os.O_WRONLY, 0)
	if err == nil {
		b.Cleanup(func() { latency.Close() })   // which lets them sleep again
		_, err = latency.Write(make([]byte, 4)) // microseconds
	}
	if err != nil {
		b.Log("idle cores sleep: ", err)
	}
}

// benchmarkRegister is from Connect to CONNECTED for a child without account.
func benchmarkRegister(b *testing.B, p *pair) {
	p.measure(b, func() time.Duration {
		p.ana.request("Newcomer "+newID(), true)
		took := stopwatch(p.ana.connect)
		p.ana.disconnect()
		return took
	})
}

// benchmarkLogin is the same for a child who has one.
func benchmarkLogin(b *testing.B, p *pair) {
	p.register()
	p.measure(b, func() time.Duration {
		p.ana.request(p.ana.nick, false)
		took := stopwatch(p.ana.connect)
		p.ana.disconnect()
		return took
	})
}

// benchmarkBuddyProperties is from one child's call to the other's signal.
func benchmarkBuddyProperties(b *testing.B, p *pair) {
	p.online()
	changes := 0
	p.measure(b, func() time.Duration {
		changes++
		color := fmt.Sprintf("#%06X,#005FE4", changes)
		return stopwatch(func() {
			p.ana.start(p.ana.path, tp.InterfaceBuddyInfo, "SetProperties", map[string]any{"color": color})
			p.ben.sees("a buddy's new colour", tp.SignalBuddyInfoPropertiesChanged, func(s *dbus.Signal) bool {
				return s.Body[1].(map[string]dbus.Variant)["color"].Value() == color
			})
		})
	})
}

// benchmarkActivity is from the calls with which Sugar shares what it has a room
// for to the other child's signal.
func benchmarkActivity(b *testing.B, p *pair) {
	p.online()
	p.measure(b, func() time.Duration {
		activity := newID()
		p.ana.join(activity)
		took := stopwatch(func() {
			p.ana.share(activity)
			p.ben.seesActivity(activity)
		})
		p.ana.call(p.ana.channel, tp.InterfaceChannel, "Close")
		p.ana.sees("the room closed", tp.SignalChannelClosed, func(s *dbus.Signal) bool { return s.Path == p.ana.channel })
		return took
	})
}

// benchmarkFirstMessage is all of the story: both children come, one shares, the
// other sees it and joins, and reads what the first one says then.
func benchmarkFirstMessage(b *testing.B, p *pair) {
	p.register()
	p.measure(b, func() time.Duration {
		activity := newID()
		p.ana.request(p.ana.nick, false)
		p.ben.request(p.ben.nick, false)
		took := stopwatch(func() {
			p.ben.start(p.ben.path, tp.InterfaceConnection, "Connect")
			p.ana.connect()
			p.ben.untilConnected()
			p.meet(activity)
			p.ana.says("hello")
			p.ben.reads("hello")
		})
		p.ana.disconnect()
		p.ben.disconnect()
		return took
	})
}

// benchmarkRoundTrip is a message in a room and the other child's answer.
func benchmarkRoundTrip(b *testing.B, p *pair) {
	p.online()
	p.meet(newID())
	n := 0
	p.measure(b, func() time.Duration {
		n++
		question, answer := fmt.Sprint("question ", n), fmt.Sprint("answer ", n)
		return stopwatch(func() {
			p.ana.says(question)
			p.ben.reads(question)
			p.ben.says(answer)
			p.ana.reads(answer)
		})
	})
}

// benchmarkServer is what of benchmarkRoundTrip is the server's: two children who
// have sessions and nothing else.
func benchmarkServer(b *testing.B, s *school.Server) {
	room := mustJID(newID() + "@conference." + s.Domain)
	said := make(chan string, 1)
	enter := func(nick string) *pupil.Pupil {
		entered := make(chan struct{}, 1)
		p, err := pupil.Login(b.Context(), pupilOf(b, s, nick+" "+newID()), func(session *xmpp.Session) {
			session.HandleMessage(func(e *stanza.Element) bool {
				if e.Child(stanza.NSClient, "subject") != nil {
					entered <- struct{}{}
				} else if from := mustJID(e.Attr("from")); from.Resource() != nick {
					said <- e.Child(stanza.NSClient, "body").Text()
				}
				return true
			})
		})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(p.Logout)
		send(b, p, stanza.New(stanza.NSClient, "presence", stanza.A("to", room.WithResource(nick).String()),
			stanza.New("http://jabber.org/protocol/muc", "x")))
		<-entered
		send(b, p, stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("to", room.String()), stanza.A("id", "unlock"),
			stanza.New("http://jabber.org/protocol/muc#owner", "query", stanza.New("jabber:x:data", "x", stanza.A("type", "submit")))))
		return p
	}
	ana, ben := enter("ana"), enter("ben")
	say := func(p *pupil.Pupil, words string) {
		send(b, p, chat.Build(room, chat.Groupchat, "", words))
		if got := <-said; got != words {
			b.Fatalf("heard %q instead of %q", got, words)
		}
	}
	var took []time.Duration
	for b.Loop() {
		took = append(took, stopwatch(func() {
			say(ana, fmt.Sprint("question ", len(took)))
			say(ben, fmt.Sprint("answer ", len(took)))
		}))
	}
	report(b, took)
}

func send(b *testing.B, p *pupil.Pupil, e *stanza.Element) {
	b.Helper()
	if err := p.Send(e); err != nil {
		b.Fatal(err)
	}
}

func mustJID(s string) jid.JID {
	j, err := jid.Parse(s)
	if err != nil {
		panic(err)
	}
	return j
}

// benchmarkMessages is how fast messages get through a room, each acknowledged
// as Sugar does it. It tells as well what the processes have grown to.
func benchmarkMessages(b *testing.B, p *pair) {
	p.online()
	p.meet(newID())
	const underway = 100
	sent, read := 0, 0
	readOne := func() {
		read++
		p.ben.reads(fmt.Sprint("message ", read))
	}
	began, busy := time.Now(), p.busy()
	for b.Loop() {
		if sent-read == underway {
			readOne()
		}
		sent++
		p.ana.says(fmt.Sprint("message ", sent))
	}
	for read < sent {
		readOne()
	}
	b.ReportMetric(float64(sent)/time.Since(began).Seconds(), "messages/s")
	p.reportBusy(b, busy)
	b.ReportMetric(max(p.ana.resident(), p.ben.resident()), "RSS-MB")
}

// releaseBinary builds the connection manager as make build does.
func releaseBinary(b *testing.B) string {
	b.Helper()
	if path := os.Getenv("CM_BINARY"); path != "" {
		return path
	}
	path := filepath.Join(b.TempDir(), "telepathy-olpc")
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "telepathy-olpc/cmd/telepathy-olpc")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("build the connection manager: %v\n%s", err, out)
	}
	return path
}

func stopwatch(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

// pair is two children with a laptop each.
type pair struct{ ana, ben *laptop }

func openPair(b *testing.B, s *school.Server, binary string) *pair {
	b.Helper()
	return &pair{ana: openLaptop(b, s, binary, "Ana "+newID()), ben: openLaptop(b, s, binary, "Ben "+newID())}
}

// measure reports the median of what once gives, after a first time, for which
// the server makes the children's nodes.
func (p *pair) measure(b *testing.B, once func() time.Duration) {
	b.Helper()
	once()
	var took []time.Duration
	busy := p.busy()
	for b.Loop() {
		took = append(took, once())
	}
	p.reportBusy(b, busy)
	report(b, took)
}

// report reports the median and, with nothing else going on, the fastest tenth.
func report(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	b.ReportMetric(milliseconds(took[len(took)/2]), "median-ms")
	b.ReportMetric(milliseconds(took[len(took)/10]), "fastest-tenth-ms")
	b.ReportMetric(0, "ns/op") // has what is done between the measurements
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// busy is for how long both connection managers have had a processor.
func (p *pair) busy() time.Duration { return p.ana.busy() + p.ben.busy() }

// reportBusy reports how long they have had one for each time since then,
// which tells more than time where others use the machine as well.
func (p *pair) reportBusy(b *testing.B, since time.Duration) {
	b.ReportMetric(milliseconds(p.busy()-since)/float64(b.N), "cpu-ms/op")
}

// register gives both an account.
func (p *pair) register() {
	for _, l := range []*laptop{p.ana, p.ben} {
		l.request(l.nick, true)
		l.connect()
		l.disconnect()
	}
}

// online has both come for the first time.
func (p *pair) online() {
	for _, l := range []*laptop{p.ana, p.ben} {
		l.request(l.nick, true)
		l.connect()
	}
}

// meet has ana share an activity and ben join it; each sees the other in there.
func (p *pair) meet(activity string) {
	p.ana.join(activity)
	p.ana.share(activity)
	p.ben.seesActivity(activity)
	p.ben.join(activity)
	p.ana.sees("somebody else in the room", tp.SignalChannelGroupMembersChanged, func(s *dbus.Signal) bool {
		return s.Path == p.ana.channel && len(s.Body[1].([]uint32)) > 0
	})
}

// newID is an identifier that nothing had before.
func newID() string { return fmt.Sprintf("%040x", time.Now().UnixNano()) }
