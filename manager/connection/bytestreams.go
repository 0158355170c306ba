package connection

import (
	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/socks5"
)

// newStreams makes what opens the streams of files and tubes.
func newStreams(c *Connection) *bytestream.Manager {
	c.capabilities.Advertise(bytestream.Features...)
	return bytestream.New(c, &relays{conn: c})
}

// Post runs f on the loop; any goroutine may call it.
func (c *Connection) Post(label string, f func()) bool { return c.loop.Post(label, f) }

// relays are those of the session, which is not there yet when streams are made.
type relays struct {
	conn  *Connection
	known *bytestream.Relays
}

// Relays gives those that have answered in a short time.
func (r *relays) Relays(done func([]socks5.StreamHost)) {
	if r.known == nil {
		r.known = bytestream.NewRelays(r.conn, r.conn.services, r.conn.cfg.FallbackRelays)
	}
	r.known.Relays(done)
}
