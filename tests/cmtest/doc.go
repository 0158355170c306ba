// Package cmtest runs the real connection manager as its users do and lets a
// test talk to both of its sides.
//
// What it is: every [CM] has a private dbus-daemon, which activates the real
// binary from a service file, and a scripted XMPP [Server] in the test process.
// Whatever the binary does ends up in one list of [Event]s: stanzas that the
// server received, and calls, replies and signals as a monitor of the bus sees
// them. [CM.Expect] waits for an event, [CM.Forbid] makes one fail the test,
// [CM.Sync] is a round trip on both sides after which a forbidden event would
// have shown. A failed test prints the whole conversation.
//
// Order: events of one source (the bus, or one XMPP stream) are in the order
// in which they happened. Between sources only cause and effect hold, so
// Expect, having found an event, leaves behind the earlier ones of that
// source and never those of another.
//
// Goroutines: one test goroutine uses a CM; servers and monitor run beside it.
//
// Limits: no test sleeps or polls; time-outs only end a hang.
//
// At the end of each test the process must be alive unless [CM.ExpectExit] saw it
// go, must go when the bus goes, and its log must hold no panic, no data race
// and none of the secrets used.
package cmtest
