package bus

import (
	"testing"

	"github.com/godbus/dbus/v5"
)

// waiting waits for clients to go, and says who has.
type waiting struct {
	*fixture
	gone chan string
}

func (w *waiting) wait(c *dbus.Conn, as string) *Leaving {
	return w.conn.WhenGone(c.Names()[0], w.loop, func() { w.gone <- as })
}

func (w *waiting) expect(t *testing.T, want string) {
	t.Helper()
	if got := <-w.gone; got != want {
		t.Errorf("%s has gone, want %s", got, want)
	}
}

// wantRules wants the bus to be asked about clients who leave so many times.
func (w *waiting) wantRules(t *testing.T, want int) {
	t.Helper()
	if _, err := w.conn.ask("GetId", ""); err != nil { // what was sent before is done
		t.Fatal(err)
	}
	var rules map[string][]string
	stats := w.client.BusObject().Call("org.freedesktop.DBus.Debug.Stats.GetAllMatchRules", 0)
	if err := stats.Store(&rules); err != nil {
		t.Fatal(err)
	}
	if got := len(rules[w.conn.UniqueName()]); got != want {
		t.Errorf("%d rules, want %d: %q", got, want, rules[w.conn.UniqueName()])
	}
}

// Whoever leaves is told of to all who wait for it, once, and the bus is asked
// only as long as somebody waits.
func TestWhenGone(t *testing.T) {
	w := &waiting{setUp(t), make(chan string, 10)}
	one, two, early := connect(t, w.address), connect(t, w.address), connect(t, w.address)
	w.wantRules(t, 0)
	w.wait(one, "one")
	w.wait(one, "one again")
	w.wait(two, "two")
	w.wantRules(t, 1)
	if err := early.Close(); err != nil {
		t.Fatal(err)
	}
	w.wait(early, "who was gone before")
	w.expect(t, "who was gone before")
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "one")
	w.expect(t, "one again")
	w.wantRules(t, 1)
	if err := two.Close(); err != nil {
		t.Fatal(err)
	}
	w.expect(t, "two")
	w.wantRules(t, 0)
}

// Who has stopped to wait hears nothing, not even what is on its way.
func TestWhenGone_stopped(t *testing.T) {
	w := &waiting{setUp(t), make(chan string, 10)}
	one, two := connect(t, w.address), connect(t, w.address)
	var stopped, late *Leaving
	w.onLoop(func() {
		stopped = w.wait(one, "stopped")
		late = w.wait(one, "stopped late")
		stopped.Stop()
	})
	w.onLoop(func() {
		w.conn.left(late.name) // it is on its way
		late.Stop()
	})
	w.onLoop(func() {})
	w.wantRules(t, 0)
	w.wait(two, "two")
	for _, c := range []*dbus.Conn{one, two} {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w.expect(t, "two")
	if len(w.gone) > 0 {
		w.expect(t, "nobody")
	}
}

// Only the bus is believed.
func TestWhenGone_forged(t *testing.T) {
	w := &waiting{setUp(t), make(chan string, 10)}
	one := connect(t, w.address)
	name := one.Names()[0]
	w.wait(one, "one")
	for _, s := range []Signal{
		{Sender: name, Member: "NameOwnerChanged", Body: []any{name, name, ""}},
		{Sender: driverName, Member: "NameOwnerChanged", Body: []any{name, "", name}},
		{Sender: driverName, Member: "NameOwnerChanged", Body: []any{name}},
		{Sender: driverName, Member: "NameOwnerChanged", Body: []any{uint32(1), name, ""}},
		{Sender: driverName, Member: "NameLost", Body: []any{name, name, ""}},
	} {
		w.conn.handleLeaver(s)
	}
	w.onLoop(func() {})
	if len(w.gone) > 0 {
		w.expect(t, "nobody")
	}
}
