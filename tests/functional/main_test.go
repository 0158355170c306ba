// Package functional has the scenarios that the real binary must pass between a
// private bus and a scripted server; see package cmtest for how they read.
package functional

import (
	"testing"

	"telepathy-olpc/tests/cmtest"
)

func TestMain(m *testing.M) { cmtest.Main(m) }

// Namespaces of the login.
const (
	nsSASL     = "urn:ietf:params:xml:ns:xmpp-sasl"
	nsTLS      = "urn:ietf:params:xml:ns:xmpp-tls"
	nsBind     = "urn:ietf:params:xml:ns:xmpp-bind"
	nsRegister = "jabber:iq:register"
	nsSM       = "urn:xmpp:sm:3"
	nsPing     = "urn:xmpp:ping"
	nsStreams  = "http://etherx.jabber.org/streams"

	nsStreamErrors = "urn:ietf:params:xml:ns:xmpp-streams"
)
