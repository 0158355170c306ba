package integration

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/pupil"
	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/wire"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// testResumption breaks and silences the wire (XEP-0198): neither the clients
// on D-Bus nor another device of the same child notice, and nothing is lost
// either way.
func testResumption(t *testing.T, s *school.Server) {
	proxy := wire.Start(t, net.JoinHostPort(s.Host, strconv.Itoa(int(s.DirectPort))))
	quick := cmtest.Param("keepalive-interval", uint32(2))
	cm := cmtest.Start(t, sugars(s, "Flora", cmtest.Param("port", uint32(proxy.Port)), quick)...)
	c := cm.Request()
	c.Login()
	w := watch(t, s, "Flora")
	c.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	for i, disturb := range []func(){
		proxy.Break,
		proxy.Drop,
		func() { proxy.Cut(); proxy.Break(); proxy.Heal() },
	} {
		disturb()
		w.answered()
		says := fmt.Sprintf("disturbance %d", i)
		c.Call(c.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "away", says)
		w.sees(says)
	}
	c.Sync()
}

// watcher is another device of a child, which the server tells of the first one.
type watcher struct {
	*pupil.Pupil
	t     *testing.T
	ctx   context.Context
	first jid.JID // the device that is watched
	shown chan *stanza.Element
}

// patience ends a hang; a link is replaced within 30 seconds or not at all.
const patience = time.Minute

func watch(t *testing.T, s *school.Server, nick string) *watcher {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	cfg := pupilOf(t, s, nick)
	w := &watcher{t: t, ctx: ctx, first: cfg.Account.WithResource("sugar"), shown: make(chan *stanza.Element, 100)}
	cfg.Resource, cfg.Register = "watcher", false
	var err error
	w.Pupil, err = pupil.Login(ctx, cfg, func(session *xmpp.Session) {
		session.HandlePresence(func(e *stanza.Element) bool {
			if e.Attr("from") == w.first.String() {
				w.shown <- e
			}
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Logout)
	if err := w.Send(stanza.New(stanza.NSClient, "presence")); err != nil {
		t.Fatal(err)
	}
	w.sees("")
	return w
}

// sees waits for the next presence of the first device.
func (w *watcher) sees(says string) {
	w.t.Helper()
	select {
	case e := <-w.shown:
		if got := e.Child(stanza.NSClient, "status").Text(); e.Attr("type") != "" || got != says {
			w.t.Errorf("the server shows %s, want an available presence that says %q", e, says)
		}
	case <-w.ctx.Done():
		w.t.Fatalf("no presence that says %q", says)
	}
}

// answered wants an answer of the first device.
func (w *watcher) answered() {
	w.t.Helper()
	if err := w.Ping(w.ctx, w.first); err != nil {
		w.t.Error(err)
	}
}
