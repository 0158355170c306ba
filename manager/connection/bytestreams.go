package connection

import (
	"time"

	"telepathy-olpc/xmpp/bytestream"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxRelays bounds the relays that are named to a peer.
	maxRelays = 4
	// relaysWithin is how long a stream waits for the first answers of relays.
	relaysWithin = 3 * time.Second
)

// newStreams makes what opens the streams of files and tubes.
func newStreams(c *Connection) *bytestream.Manager {
	c.capabilities.Advertise(bytestream.Features...)
	return bytestream.New(c, &relays{conn: c})
}

// Post runs f on the loop; any goroutine may call it.
func (c *Connection) Post(label string, f func()) bool { return c.loop.Post(label, f) }

// relays are those that the server has, and then those that the account names.
// They are asked where they are when the first stream wants to know.
type relays struct {
	conn    *Connection
	known   []socks5.StreamHost // in the order of answers
	asked   bool
	settled bool // nobody waits any more
	open    int  // questions without answer
	waiting []func([]socks5.StreamHost)
}

// Relays gives those that have answered; the first who asks may have to wait.
func (r *relays) Relays(done func([]socks5.StreamHost)) {
	if r.settled {
		done(r.known)
		return
	}
	r.waiting = append(r.waiting, done)
	if r.asked {
		return
	}
	r.asked = true
	r.open = 1
	r.conn.After(relaysWithin, "relays overdue", r.release)
	r.conn.services.First(services.Relay, func(services.Service, bool) {
		for s := range r.conn.services.All(services.Relay) {
			r.ask(s.JID)
		}
		for _, name := range r.conn.cfg.FallbackRelays {
			if who, err := jid.Parse(name); err == nil {
				r.ask(who)
			}
		}
		r.answered()
	})
}

// ask asks a relay for its address, XEP-0065 §4.
func (r *relays) ask(who jid.JID) {
	if r.open > maxRelays {
		return
	}
	r.open++
	iq := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", who.String()), socks5.AskAddress())
	r.conn.Ask(iq, func(reply *stanza.Element, err error) {
		if err == nil {
			var host socks5.StreamHost
			if host, err = socks5.ParseAddress(reply.First(), who); err == nil {
				r.known = append(r.known, host)
			}
		}
		if err != nil {
			r.conn.log.WithError(err).Debug("Relay not usable")
		}
		r.answered()
	})
}

func (r *relays) answered() {
	if r.open--; r.open == 0 {
		r.release()
	}
}

// release gives what is known to those who wait.
func (r *relays) release() {
	r.settled = true
	waiting := r.waiting
	r.waiting = nil
	for _, done := range waiting {
		done(r.known)
	}
}
