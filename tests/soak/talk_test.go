package soak

import (
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/xmpp/stanza"
)

// nsMUC is XEP-0045.
const nsMUC = "http://jabber.org/protocol/muc"

func (s *soak) join(n int, room string) {
	s.t.Helper()
	s.send(n, stanza.New(stanza.NSClient, "presence", stanza.A("to", fmt.Sprintf("%s/child-%d", room, n)),
		stanza.New(nsMUC, "x", stanza.New(nsMUC, "history", stanza.A("maxchars", "0")))))
}

func (s *soak) part(n int, room string) {
	s.t.Helper()
	s.send(n, stanza.New(stanza.NSClient, "presence", stanza.A("to", fmt.Sprintf("%s/child-%d", room, n)), stanza.A("type", "unavailable")))
}

func (s *soak) send(n int, e *stanza.Element) {
	s.t.Helper()
	if err := s.crowd.Pupil(n).Send(e); err != nil {
		s.t.Fatal(err)
	}
}

// talk has everybody in a room speak, and the laptops hear all of it.
func (s *soak) talk(a *shared, what string) {
	s.t.Helper()
	for n := range sentences {
		for i, on := range a.of {
			s.ledger.say(on, s.laptops[1-i], fmt.Sprintf("%s, %d of laptop %d", what, n, i))
		}
		for _, who := range a.crowd {
			text := fmt.Sprintf("%s, %d of child %d", what, n, who)
			s.send(who, stanza.New(stanza.NSClient, "message", stanza.A("to", a.room), stanza.A("type", "groupchat"), stanza.New(stanza.NSClient, "body", stanza.Text(text))))
			s.ledger.expect(nil, s.laptops[0], text)
			s.ledger.expect(nil, s.laptops[1], text)
		}
	}
	s.ledger.await()
}

// talkThroughCuts cuts links while a file and many words are on their way. Links come back, so nothing may be lost.
func (s *soak) talkThroughCuts(a *shared, round int) {
	s.t.Helper()
	file := laptop.SendFile(s.laptops[0], s.laptops[1], fmt.Sprintf("cut-%d", round), s.data(1<<20))
	for time, cut := range []func(){s.wires[0].Break, s.wires[1].Drop, func() { s.wires[0].Break(); s.wires[1].Break() }} {
		for n := range sentences {
			for i, on := range a.of {
				s.ledger.say(on, s.laptops[1-i], fmt.Sprintf("%d through cut %d, %d of laptop %d", round, time, n, i))
			}
			if n == sentences/2 {
				cut()
			}
		}
		s.ledger.await()
		s.done.cuts++
	}
	file.Carry()
	s.done.files++
	s.done.bytes += 1 << 20
}

// note is a message to one laptop.
type note struct {
	from     *laptop.Laptop // nil for a simulated child
	to       *laptop.Laptop
	text     string
	lostFrom int // connections that each had lost by then
	lostTo   int
}

// ledger holds every message until it is accounted for: received once, or refused, or gone with a connection whose end was told
// to sender or receiver.
type ledger struct {
	t     *testing.T
	notes []note
	lost  map[*laptop.Laptop]int // connections whose end was told

	received, refused, goneWith int
}

// say has a laptop say something that another one hears.
func (g *ledger) say(on *laptop.Activity, to *laptop.Laptop, text string) {
	if err := on.Say(text); err != nil {
		g.refused++ // the sender knows
		return
	}
	g.expect(on.Laptop, to, text)
}

func (g *ledger) expect(from, to *laptop.Laptop, text string) {
	if g.lost == nil {
		g.lost = make(map[*laptop.Laptop]int)
	}
	g.notes = append(g.notes, note{from, to, text, g.lost[from], g.lost[to]})
}

// await waits for all that is outstanding.
func (g *ledger) await() {
	g.t.Helper()
	for _, n := range g.notes {
		n.to.Await(n.text, tp.SignalChannelTextReceived, func(s *dbus.Signal) bool { return s.Body[5] == n.text })
	}
}

// settle accounts for everything up to now, by what the laptops have heard since they last forgot.
func (g *ledger) settle(laptops []*laptop.Laptop) {
	g.t.Helper()
	heard, failed := map[*laptop.Laptop]map[string]int{}, map[string]bool{}
	for _, l := range laptops {
		heard[l] = make(map[string]int)
		for _, s := range l.Heard() {
			switch s.Name {
			case tp.SignalChannelTextReceived.Interface + "." + tp.SignalChannelTextReceived.Name:
				heard[l][s.Body[5].(string)]++
			case tp.SignalChannelTextSendError.Interface + "." + tp.SignalChannelTextSendError.Name:
				failed[s.Body[3].(string)] = true
			}
		}
	}
	for _, n := range g.notes {
		switch times := heard[n.to][n.text]; {
		case times == 1:
			g.received++
		case times > 1:
			g.t.Errorf("%q was received %d times", n.text, times)
		case failed[n.text]:
			g.refused++
		case g.lost[n.from] > n.lostFrom || g.lost[n.to] > n.lostTo:
			g.goneWith++
		default:
			g.t.Errorf("%q was lost, and nobody was told", n.text)
		}
	}
	g.notes = nil
}
