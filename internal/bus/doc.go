// Package bus puts objects on D-Bus: introspection, properties, and calls that
// are answered in order.
//
// Specification: D-Bus 0.43, https://dbus.freedesktop.org/doc/dbus-specification.html.
// The types of values are godbus'; connection and encoding are our own.
//
// Goroutines. A reader takes messages off the socket and makes an event of the
// loop that serves the path out of each call; a writer empties the queue of
// encoded messages. [Conn]'s methods may be called from any goroutine, the
// methods of [Call] only on the loop that got it.
//
// Order. A loop gets calls as the bus delivered them. Replies and signals
// leave in the order of Return, Fail and Emit.
//
// Limits. A call of more than 1 MiB is refused, and so is any while 16 MiB of
// calls wait for their loops. Sending never blocks.
//
// Descriptors are not negotiated: no Telepathy method of a connection manager
// takes one, and so the bus refuses calls that carry any, and none can leak.
package bus
