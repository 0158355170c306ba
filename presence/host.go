// Package presence knows what is known of people: the user and the contacts.
//
// Each interface of the Telepathy specification that tells of people has a
// file of its name here, and a type that serves it: made with the Host and
// what else it needs, it gives its D-Bus side with Interface and what the
// Contacts interface tells of a contact with Attributes. Everything runs on
// the loop of the Connection that owns it.
package presence

import (
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Host is what this package needs of its Connection.
type Host interface {
	// Emit sends a signal of the Connection object.
	Emit(s tp.Signal, args ...any)
	Send(*stanza.Element)
	// Ask sends an IQ; answer is called once, on the loop.
	Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error))
	After(d time.Duration, label string, f func()) *loop.Timer
	// FlushSoon has f called once, before anything else than a presence is
	// handled and at the latest when the burst is over.
	FlushSoon(f func())
	// AfterOutput has f called as an event of its own, once the bus has taken
	// nearly all that was emitted.
	AfterOutput(f func())
	Log() *logrus.Entry

	// IsConnected tells whether the status is CONNECTED.
	IsConnected() bool
	// HasPEP tells whether the account can publish; known at CONNECTED.
	HasPEP() bool
	Handles() *handle.Set
	SelfHandle() uint32 // 0 before CONNECTED
	Self() jid.JID      // full address; zero before CONNECTED
	Priority() int8
}

// errDisconnected answers what needs the server while there is none.
func errDisconnected() error {
	return tp.Errorf(tp.ErrorDisconnected, "the connection is not connected")
}
