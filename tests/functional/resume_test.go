package functional

import (
	"fmt"
	"testing"
	"time"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/wire"
)

// throughWire logs in with a proxy between that can cut the wire.
func throughWire(t *testing.T, opts ...cmtest.Option) (*cmtest.Connection, *wire.Proxy) {
	t.Helper()
	cm := cmtest.Start(t, opts...)
	p := cm.Wire()
	c := cm.Request(cmtest.Param("port", uint32(p.Port)))
	c.Login()
	cm.Sync()
	return c, p
}

// quick is a connection that notices within two seconds that a link is dead.
var quick = cmtest.Param("keepalive-interval", uint32(2))

func TestResume_brokenLink(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, cmtest.StreamManagement)
	cm.Expect(cmtest.Element(nsSM, "enable"))
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	cm.Forbid(cmtest.Signal(tp.SignalConnectionConnectionError))
	p.Break()
	cm.Expect(cmtest.Element(nsSM, "resume"))
	cm.Sync()
}

// Nothing that either side said into the dark is lost, and nothing comes twice.
func TestResume_withoutLoss(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, cmtest.StreamManagement, quick)
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	p.Cut()
	for i := range 20 {
		cm.Call(cm.Path, tp.InterfaceConnectionSimplePresence, "SetPresence", "away", fmt.Sprintf("%d", i))
		cm.Server.Send(fmt.Sprintf("<iq type='get' id='asked-%d' from='bob@school.test/x'><query xmlns='urn:nobody:knows'/></iq>", i))
	}
	p.Break()
	p.Heal()
	cm.Expect(cmtest.Element(nsSM, "resume"))
	for i := range 20 {
		shown := cm.Expect(cmtest.Presence().Having("jabber:client", "status"))
		cmtest.Equal(t, shown.Element.Child("jabber:client", "status").Text(), fmt.Sprintf("%d", i))
	}
	cm.Forbid(cmtest.Presence())
	cm.Sync()
}

func TestResume_answersAreNotLost(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, cmtest.StreamManagement, quick)
	p.Cut()
	for i := range 20 {
		cm.Server.Send(fmt.Sprintf("<iq type='get' id='asked-%d' from='bob@school.test/x'><query xmlns='urn:nobody:knows'/></iq>", i))
	}
	p.Break()
	p.Heal()
	for i := range 20 {
		cm.Expect(cmtest.IQAnswer("error", fmt.Sprintf("asked-%d", i)))
	}
	cm.Forbid(cmtest.IQAnswer("error", "asked-0"))
	cm.Sync()
}

// The server has forgotten us: that is the end of the connection, and the
// account manager makes a new one.
func TestResume_refused(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, cmtest.StreamManagement)
	cm.Server.Forget()
	p.Break()
	cm.Ends(tp.ErrorConnectionLost, network)
}

// A session that cannot be resumed in the time a silent link is trusted is lost.
func TestResume_serverGone(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, cmtest.StreamManagement, quick)
	cm.Server.Down()
	p.Break()
	cm.Ends(tp.ErrorConnectionLost, network)
}

// A stream that the server ended on purpose is not resumed.
func TestResume_notAfterAStreamError(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t, cmtest.StreamManagement)
	cm.Forbid(cmtest.StreamOpened())
	cm.Server.Send(cmtest.StreamErrorXML("conflict", ""))
	cm.Ends(tp.ErrorConnectionReplaced, nameInUse)
}

func TestResume_disconnectWhileTheLinkIsDown(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, cmtest.StreamManagement)
	cm.Forbid(cmtest.Signal(tp.SignalConnectionConnectionError))
	p.Cut()
	p.Break()
	cm.Disconnect()
}

// TCP says nothing when a laptop is carried out of the school.
func TestLink_deadLinkIsNoticed(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t, quick)
	p.Cut()
	began := time.Now()
	cm.Ends(tp.ErrorConnectionLost, network)
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

// The promise without any parameter is 30 seconds.
func TestLink_deadLinkIsNoticedByDefault(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	cm, p := throughWire(t)
	p.Cut()
	began := time.Now()
	cm.ExpectWithin(time.Minute, cmtest.Signal(tp.SignalConnectionConnectionError).Args(string(tp.ErrorConnectionLost)))
	if took := time.Since(began); took > 31*time.Second {
		t.Errorf("noticed after %v", took)
	}
}

// A link that is only silent stays: the server is asked, and answers.
func TestLink_keepalive(t *testing.T) {
	for name, row := range map[string]struct {
		server   []cmtest.Option
		question cmtest.Match
	}{
		"with pings":            {nil, cmtest.IQ("get", nsPing)},
		"with acknowledgements": {[]cmtest.Option{cmtest.StreamManagement}, cmtest.Element(nsSM, "r")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Connect(t, append(row.server, quick)...)
			cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
			for range 3 {
				cm.Expect(row.question)
			}
			cm.Sync()
		})
	}
}

// Who cannot take stanzas as fast as they come slows the server down, and
// loses nothing.
func TestLink_stalledAndHealed(t *testing.T) {
	t.Parallel()
	cm, p := throughWire(t)
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	p.Cut()
	cm.Server.Send("<iq type='get' id='late' from='bob@school.test/x'><query xmlns='urn:nobody:knows'/></iq>")
	p.Heal()
	cm.Expect(cmtest.IQAnswer("error", "late"))
	cm.Sync()
}
