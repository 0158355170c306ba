package functional

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// idle is how long the process outlives its last connection.
const idle = 5 * time.Second

func TestLife_endsWithoutConnections(t *testing.T) {
	t.Parallel()
	began := time.Now()
	cm := cmtest.Start(t)
	persistent := cmtest.Start(t, cmtest.Args("--persist"))
	cm.ExpectExit(2 * idle)
	if took := time.Since(began); took < idle {
		t.Errorf("ended after %v", took)
	}
	persistent.Sync() // it has had nothing to do for as long
}

func TestLife_endsAfterTheLastConnection(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	other := cm.Request(cmtest.Param("resource", "other"))
	other.Login()
	cm.Disconnect()
	other.Disconnect()
	began := time.Now()
	cm.ExpectExit(2 * idle)
	if took := time.Since(began); took < idle-time.Second {
		t.Errorf("ended after %v", took)
	}
}

// A connection requested keeps the process, though nobody connects it.
func TestLife_staysForAConnection(t *testing.T) {
	t.Parallel()
	other := cmtest.Start(t)
	cm := cmtest.Start(t)
	c := cm.Request()
	other.ExpectExit(2 * idle)
	cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnection, "GetStatus").Arg(0), tp.ConnectionStatusDisconnected)
	c.Login()
}

// The end of the desktop session: everybody hears goodbye, at once.
func TestLife_busGoes(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.ExpectExitOn(cm.StopBus, idle-time.Second)
	cm.Expect(cmtest.Presence().Type("unavailable"))
	cm.Expect(cmtest.StreamClosed())
}

func TestLife_askedToEnd(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Connect(t)
			cm.ExpectExitOn(func() { cm.Signal(signal) }, idle-time.Second)
			cm.Expect(cmtest.Presence().Type("unavailable"))
			cm.Expect(cmtest.StreamClosed())
		})
	}
}

// The kernel says goodbye for a process that is killed; what it leaves behind
// does not hinder the next one.
func TestLife_killed(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.ExpectExitOn(func() { cm.Signal(syscall.SIGKILL) }, idle)
	cm.Expect(cmtest.NameGone(cmtest.GabbleName))
	cm.Activate(cmtest.GabbleName)
	cm.Request().Login()
}

func TestLife_disconnect(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Forbid(cmtest.Signal(tp.SignalConnectionConnectionError))
	cm.Disconnect()
	cm.Expect(cmtest.Presence().Type("unavailable"))
	cm.Expect(cmtest.StreamClosed())
	cm.Expect(cmtest.LinkGone())
}

func TestLife_disconnectBeforeConnect(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	cm.Forbid(cmtest.StreamOpened())
	c := cm.Request()
	cm.Call(c.Path, tp.InterfaceConnection, "Disconnect")
	cm.Expect(cmtest.NameGone(c.Name))
	cm.Request()
}

// The server that never answers </stream:stream> is waited for 2 s.
func TestLife_disconnectFromASilentServer(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.DeafToClose)
	began := time.Now()
	cm.Disconnect()
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	cm.Expect(cmtest.StreamClosed())
}

// Calls after the end say that it is over, not that nothing is there.
func TestLife_callsWhileDisconnecting(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.DeafToClose)
	cm.Call(cm.Path, tp.InterfaceConnection, "Disconnect")
	cm.Refused(tp.ErrorDisconnected, cm.Path, tp.InterfaceConnection, "RequestHandles", uint32(1), []string{"bob@school.test"})
	cmtest.Equal(t, cm.Get(cm.Path, tp.InterfaceConnection, "Status"), tp.ConnectionStatusDisconnected)
	cm.Expect(cmtest.NameGone(cm.Name))
}

// One connection's end is no other's business.
func TestLife_severalConnections(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	second := cm.NewServer(cmtest.Encryption(cmtest.StartTLS))
	other := cm.Request(cmtest.To(second), cmtest.Param("old-ssl", false), cmtest.Param("resource", "second"))
	other.Login()
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged).At(cm.Path))
	second.Stream().Cut()
	other.Ends(tp.ErrorConnectionLost, network)
	cmtest.Equal(t, cm.Handle("bob@school.test"), uint32(2))
	cm.Sync()
}

// Rounds without end, as on a bad network: nothing stays behind.
func TestLife_twoHundredRounds(t *testing.T) {
	t.Parallel()
	fresh := cmtest.Connect(t)
	cm := cmtest.Connect(t)
	descriptors, names := cm.Descriptors(), len(cm.BusNames())
	for range 200 {
		c := cm.Request(cmtest.Param("resource", "round"))
		c.Login()
		c.Disconnect()
	}
	cm.Sync()
	if now := cm.Descriptors(); now > descriptors {
		t.Errorf("%d descriptors, then %d", descriptors, now)
	}
	if now := len(cm.BusNames()); now > names {
		t.Errorf("%d bus names, then %d: %s", names, now, strings.Join(cm.BusNames(), " "))
	}
	if n := introspect(t, cm.CM, "/org/freedesktop/Telepathy/Connection/gabble/jabber"); len(n.Nodes) != 1 {
		t.Errorf("objects left: %v", n.Nodes)
	}
	if now, before := cm.Goroutines(), fresh.Goroutines(); now > before {
		t.Errorf("%d goroutines, %d without the rounds", now, before)
	}
}

// Whoever hears that a connection has ended may request it again at once.
func TestLife_requestedAgainAtOnce(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Strict, cmtest.Certificate(cmtest.SelfSigned))
	for range 50 {
		cm.Request().Fails(tp.ErrorCertSelfSigned, tp.ConnectionStatusReasonCertSelfSigned)
	}
}
