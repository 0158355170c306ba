// Package watch shows what the running service does: its connections, the
// buddies and activities on them, rooms, tubes and transfers.
//
// It reads the same public interfaces as Sugar and changes nothing: it starts
// nobody, holds no handles and requests no channels. One thing it must not do
// early: a client's question about a buddy tells the service that the buddy is
// known to clients, and until then the buddy's activities are kept back for
// Sugar's sake. So what was true before we came is asked for only after
// [Options].Patience, and the rest comes from signals.
//
// Everything happens on a loop of its own, which may wait for answers.
package watch

import (
	"context"
	"io"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

const (
	// patience is longer than the service keeps activities back.
	patience = 6 * time.Second
	// askTime bounds one question.
	askTime = 5 * time.Second
	// maxContacts bounds what is kept of one connection.
	maxContacts = 10_000
)

// Options say what to watch and who looks.
type Options struct {
	Bus      string        // address; "" is the session bus
	Patience time.Duration // 0 is the default
	// Show gets a new picture whenever something has changed, on the loop.
	Show func(Picture)
}

// watcher is the state; it belongs to the loop.
type watcher struct {
	ctx  context.Context
	opts Options
	bus  *bus.Conn
	loop *loop.Loop
	all  map[string]*connection // by bus name
	due  bool                   // patience is over
}

// Run watches until ctx ends, or the bus.
func Run(ctx context.Context, opts Options) error {
	if opts.Patience == 0 {
		opts.Patience = patience
	}
	silent := logrus.New()
	silent.SetOutput(io.Discard)
	conn, err := bus.Dial(opts.Bus, logrus.NewEntry(silent))
	if err != nil {
		return err
	}
	w := &watcher{ctx: ctx, opts: opts, bus: conn, loop: loop.New(loop.Config{}), all: make(map[string]*connection)}
	w.loop.Post("begin", w.begin)
	stop := context.AfterFunc(ctx, w.loop.Close)
	defer stop()
	go func() {
		<-conn.Done()
		w.loop.Close()
	}()
	w.loop.Run()
	conn.Close()
	return nil
}

// connectionPrefix begins the bus names of connections.
const connectionPrefix = "org.freedesktop.Telepathy.Connection."

// rules select what is watched, D-Bus specification, "Match Rules".
var rules = []string{
	"type='signal',path_namespace='/org/freedesktop/Telepathy/Connection'",
	"type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0namespace='org.freedesktop.Telepathy.Connection'",
}

// begin hears of changes first and asks what there is then, so that nothing
// falls between.
func (w *watcher) begin() {
	for _, rule := range rules {
		if err := w.bus.Watch(w.ctx, rule, func(s bus.Signal) { w.loop.Post("signal", func() { w.handleSignal(s) }) }); err != nil {
			w.loop.Close()
			return
		}
	}
	var names []string
	if body, err := w.bus.AskBus(w.ctx, "ListNames", ""); err == nil && stored(body, &names) {
		for _, name := range names {
			w.appear(name)
		}
	}
	w.loop.After(w.opts.Patience, "complete", func() {
		w.due = true
		w.changed()
	})
	w.changed()
}

// isComplete tells whether what there was has been asked for.
func (w *watcher) isComplete() bool {
	for _, c := range w.all {
		if !c.asked {
			return false
		}
	}
	return w.due
}

// changed shows the picture, once for what happens at once.
func (w *watcher) changed() { w.loop.AfterBurst(func() { w.opts.Show(w.picture()) }) }

// appear takes a connection that is there.
func (w *watcher) appear(name string) {
	if !strings.HasPrefix(name, connectionPrefix) || w.all[name] != nil {
		return
	}
	c := newConnection(w, name)
	w.all[name] = c
	c.read()
	w.loop.After(w.opts.Patience, "ask", func() {
		if w.all[name] == c {
			c.readContacts()
			c.asked = true
			w.changed()
		}
	})
}

// handleSignal takes a signal of a connection or its channels, or the bus' word
// that a connection came or went.
func (w *watcher) handleSignal(s bus.Signal) {
	if s.Member == "NameOwnerChanged" {
		var name, before, after string
		if !stored(s.Body, &name, &before, &after) {
			return
		}
		if after == "" {
			delete(w.all, name)
		} else {
			w.appear(name)
		}
		w.changed()
		return
	}
	for _, c := range w.all {
		if s.Path == c.path || strings.HasPrefix(string(s.Path), string(c.path)+"/") {
			c.handleSignal(s)
			w.changed()
		}
	}
}

// ask calls a method that only reads.
func (w *watcher) ask(to string, path dbus.ObjectPath, iface *tp.Interface, member, signature string, args ...any) []any {
	ctx, cancel := context.WithTimeout(w.ctx, askTime)
	defer cancel()
	body, err := w.bus.Ask(ctx, to, path, iface.Name, member, signature, args...)
	if err != nil {
		return nil // it is gone, or has none of the kind
	}
	return body
}

// stored gives an answer its Go types, or is false. What is not there is nil,
// which godbus panics on.
func stored(body []any, destinations ...any) bool {
	return !slices.Contains(body, nil) && dbus.Store(body, destinations...) == nil
}

// properties reads all of an interface.
func (w *watcher) properties(to string, path dbus.ObjectPath, iface *tp.Interface) map[string]dbus.Variant {
	var all map[string]dbus.Variant
	if !stored(w.ask(to, path, tp.InterfaceDBusProperties, "GetAll", "s", iface.Name), &all) {
		return nil
	}
	return all
}

// sorted are the connections in the order of their names.
func (w *watcher) sorted() []*connection {
	var list []*connection
	for _, c := range w.all {
		list = append(list, c)
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	return list
}
