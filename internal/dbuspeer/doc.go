// Package dbuspeer is the end of a D-Bus tube that a local program connects to:
// a D-Bus server for one client, without a bus behind it, as the D-Bus
// specification has it in "Message Protocol" and "Authentication Protocol".
//
// A [Server] lets programs in, of whom one at a time is its client, and passes
// their messages on as bytes. [ParseMessage] reads a message's header and proves
// the whole of it valid, body and all: libdbus ends the connection of a program
// that gets an invalid message, so nothing that a stranger sent goes to
// [Server.Send] without it. Bodies are never decoded and never written anew.
// [SetSender] says who sends a message, [Reader] finds where messages end in a
// stream of bytes.
//
// The server has goroutines of its own, in which it calls [Events]; its methods
// can be called from any, and none of them blocks. Whoever is slow to return
// from an event holds the client back.
//
// Left out are descriptors, which cannot travel: they are not negotiated, the
// kernel closes those that come all the same, and a message that refers to any
// is invalid. So are the methods of a bus: a call of org.freedesktop.DBus is
// answered with an error.
package dbuspeer
