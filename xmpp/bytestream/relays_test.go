package bytestream

import (
	"fmt"
	"testing"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

// desk answers what Relays ask, when the test wants it.
type desk struct {
	t     *testing.T
	open  map[string]func(*stanza.Element, error) // by whom was asked
	asked int
	due   map[string]func()
	loop  *loop.Loop // whose timers nobody runs
	told  []string
}

func newDesk(t *testing.T, fallback ...string) (*desk, *Relays) {
	d := &desk{t: t, open: make(map[string]func(*stanza.Element, error)), due: make(map[string]func()), loop: loop.New(loop.Config{})}
	s := services.New(services.Config{
		Asker: d, Server: addr(t, "school.test"),
		After: func(_ time.Duration, label string, f func()) func() { return d.After(0, label, f).Stop },
	})
	return d, NewRelays(d, s, fallback)
}

func (d *desk) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	d.asked++
	d.open[iq.Attr("to")+" "+iq.First().Space()] = answer
}

func (d *desk) After(_ time.Duration, label string, f func()) *loop.Timer {
	d.due[label] = f
	timer := d.loop.After(time.Hour, label, f)
	d.t.Cleanup(timer.Stop)
	return timer
}

// answer answers a question; without a payload it is refused.
func (d *desk) answer(who, space, payload string) {
	d.t.Helper()
	answer := d.open[who+" "+space]
	if answer == nil {
		d.t.Fatalf("%s was not asked for %s", who, space)
	}
	if payload == "" {
		answer(nil, stanza.NewError(stanza.ItemNotFound, ""))
		return
	}
	e, err := stanza.Parse(`<iq type='result'><query xmlns='` + space + `'>` + payload + `</query></iq>`)
	if err != nil {
		d.t.Fatal(err)
	}
	answer(e, nil)
}

func (d *desk) tell(relays []socks5.StreamHost) { d.told = append(d.told, fmt.Sprint(relays)) }

func (d *desk) want(want ...string) {
	d.t.Helper()
	if fmt.Sprint(d.told) != fmt.Sprint(want) {
		d.t.Errorf("told %v, want %v", d.told, want)
	}
	d.told = nil
}

const (
	items = "http://jabber.org/protocol/disco#items"
	info  = "http://jabber.org/protocol/disco#info"
)

func TestRelays_foundOnce(t *testing.T) {
	d, r := newDesk(t, "far.test", "far.test", "not an address@", "mute.test")
	r.Relays(d.tell)
	r.Relays(d.tell)
	d.answer("school.test", items, `<item jid='proxy.school.test'/>`)
	d.answer("proxy.school.test", info, `<identity category='proxy' type='bytestreams'/>`)
	d.answer("far.test", socks5.NS, `<streamhost jid='other.test' host='10.0.0.9' port='1080'/>`)
	d.answer("mute.test", socks5.NS, "")
	d.want()
	d.answer("proxy.school.test", socks5.NS, `<streamhost jid='proxy.school.test' host='10.0.0.1' port='7777'/>`)
	both := "[{far.test 10.0.0.9 1080} {proxy.school.test 10.0.0.1 7777}]"
	d.want(both, both)
	asked := d.asked
	r.Relays(d.tell)
	d.want(both)
	if d.asked != asked {
		t.Error("asked again")
	}
}

func TestRelays_silence(t *testing.T) {
	d, r := newDesk(t, "far.test", "mute.test")
	r.Relays(d.tell)
	d.answer("far.test", socks5.NS, `<streamhost jid='far.test' host='10.0.0.9' port='1080'/>`)
	d.due["relays overdue"]()
	d.want("[{far.test 10.0.0.9 1080}]")
	d.due["services overdue"]()
	d.answer("mute.test", socks5.NS, "")
	r.Relays(d.tell)
	d.want("[{far.test 10.0.0.9 1080}]")
}

func TestRelays_limit(t *testing.T) {
	var many []string
	for i := range 50 {
		many = append(many, fmt.Sprintf("relay%d.test", i))
	}
	d, r := newDesk(t, many...)
	r.Relays(d.tell)
	if d.asked != maxRelays+1 {
		t.Errorf("asked %d questions", d.asked)
	}
}
