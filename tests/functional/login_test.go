package functional

import (
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

func TestLogin_paths(t *testing.T) {
	modes := []cmtest.Mode{cmtest.DirectTLS, cmtest.StartTLS, cmtest.Plain}
	mechanisms := []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512"}
	for _, mode := range modes {
		for _, mechanism := range mechanisms {
			t.Run(string(mode)+" with "+mechanism, func(t *testing.T) {
				t.Parallel()
				cm := cmtest.Start(t, cmtest.Encryption(mode), cmtest.Mechanisms(mechanism),
					cmtest.Param("require-encryption", mode != cmtest.Plain))
				cm.Request().Login()
				auth := cm.Expect(cmtest.Element(nsSASL, "auth"))
				cmtest.Equal(t, auth.Element.Attr("mechanism"), mechanism)
			})
		}
	}
}

func TestLogin_takesTheStrongestMechanism(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Mechanisms("PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-512", "SCRAM-SHA-256", "X-UNKNOWN"))
	cm.Request().Login()
	cm.Expect(cmtest.Element(nsSASL, "auth").Attr("mechanism", "SCRAM-SHA-512"))
}

// A mechanism with -PLUS proves that nobody sits in the middle, if done right: and
// is not for ejabberd 23.01, which offers it without saying what to bind to.
func TestLogin_channelBinding(t *testing.T) {
	offer := cmtest.Mechanisms("SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "SCRAM-SHA-1", "SCRAM-SHA-1-PLUS", "PLAIN")
	for name, row := range map[string]struct {
		bindings []string
		want     string
	}{
		"listed":             {[]string{"tls-exporter", "tls-unique"}, "SCRAM-SHA-256-PLUS"},
		"not listed":         {nil, "SCRAM-SHA-256"},
		"none that we speak": {[]string{"tls-server-end-point-2"}, "SCRAM-SHA-256"},
	} {
		for _, mode := range []cmtest.Mode{cmtest.DirectTLS, cmtest.StartTLS} {
			t.Run(name+" over "+string(mode), func(t *testing.T) {
				t.Parallel()
				cm := cmtest.Start(t, offer, cmtest.ChannelBindings(row.bindings...), cmtest.Encryption(mode))
				cm.Request().Login()
				cm.Expect(cmtest.Element(nsSASL, "auth").Attr("mechanism", row.want))
			})
		}
	}
}

func TestLogin_noPasswordInTheClear(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Encryption(cmtest.Plain), cmtest.Mechanisms("PLAIN"))
	cm.Forbid(cmtest.Element(nsSASL, "auth"))
	cm.Request().Fails(tp.ErrorEncryptionNotAvailable, tp.ConnectionStatusReasonEncryptionError)
}

func TestLogin_strippedStartTLS(t *testing.T) {
	t.Parallel()
	// A man in the middle has taken <starttls/> out of the features.
	cm := cmtest.Start(t, cmtest.Encryption(cmtest.Plain))
	cm.Forbid(cmtest.Element(nsSASL, "auth"))
	cm.Request().Fails(tp.ErrorEncryptionNotAvailable, tp.ConnectionStatusReasonEncryptionError)
}

func TestLogin_usesStartTLSEvenIfNotRequired(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Encryption(cmtest.StartTLS), cmtest.Param("require-encryption", false))
	cm.Request().Login()
	cm.Expect(cmtest.Element(nsTLS, "starttls"))
	cm.Expect(cmtest.Element(nsSASL, "auth"))
}

// RFC 6120 §7.7: the resource is a wish.
func TestLogin_resource(t *testing.T) {
	t.Parallel()
	for name, row := range map[string]struct{ wanted any }{
		"as Sugar wants it": {"sugar"},
		"none":              {nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Start(t, cmtest.Param("resource", row.wanted))
			cm.Request().Login()
			bind := cm.Expect(cmtest.IQ("set", nsBind))
			wanted, _ := row.wanted.(string)
			cmtest.Equal(t, bind.Element.First().Child(nsBind, "resource").Text(), wanted)
		})
	}
}

func TestLogin_serverGivesAnotherResource(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.GivenResource("another"))
	c := cm.Request()
	c.Login()
	cmtest.Equal(t, cm.Get(c.Path, tp.InterfaceConnection, "SelfID"), cmtest.Account)
	cm.Sync() // pings another, and gets an answer
}

// Rules of order 4 and 5: the status CONNECTING stands before the reply to
// Connect; the own handle is known and announced before CONNECTED.
func TestLogin_orderOfSignals(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	connect := cm.CallAsync(c.Path, tp.InterfaceConnection, "Connect")
	cm.Expect(c.Status(tp.ConnectionStatusConnecting, tp.ConnectionStatusReasonRequested))
	cm.Expect(cmtest.Reply(connect))
	cm.ExpectUnordered(
		cmtest.Signal(tp.SignalConnectionSelfHandleChanged).At(c.Path).Args(uint32(1)),
		cmtest.Signal(tp.SignalConnectionSelfContactChanged).At(c.Path).Args(uint32(1), cmtest.Account),
		cmtest.Signal(tp.SignalConnectionSimplePresencePresencesChanged).At(c.Path),
	)
	cm.Expect(c.Status(tp.ConnectionStatusConnected, tp.ConnectionStatusReasonRequested))
	cm.Expect(cmtest.Presence().Type(""))
}

func TestLogin_connectTwice(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	cm.Forbid(cmtest.StreamOpened())
	cm.Call(cm.Path, tp.InterfaceConnection, "Connect")
	cm.Sync()
}

func TestLogin_onlyOnce(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t)
	c := cm.Request()
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged).Args(uint32(tp.ConnectionStatusConnecting)).
		Where("a second time", func() func(*cmtest.Event) bool {
			seen := 0
			return func(*cmtest.Event) bool { seen++; return seen > 1 }
		}()))
	cm.CallAsync(c.Path, tp.InterfaceConnection, "Connect")
	cm.CallAsync(c.Path, tp.InterfaceConnection, "Connect")
	cm.Expect(c.Status(tp.ConnectionStatusConnected, tp.ConnectionStatusReasonRequested))
}
