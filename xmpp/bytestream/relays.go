package bytestream

import (
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/socks5"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxRelays bounds the relays that are asked for their address.
	maxRelays = 4
	// relaysWithin is how long a stream waits for what relays there are.
	relaysWithin = 2 * time.Second
)

// Relays finds relays: those of the server, and those that the account names
// (fallback-socks5-proxies). They are looked for once, when the first stream
// wants to know, and hold for the session. It is a [ProxySource].
type Relays struct {
	host     RelayHost
	search   *services.Search
	fallback []string

	begun   bool
	asked   map[jid.JID]bool
	open    int // questions without an answer, the search among them
	found   []socks5.StreamHost
	waiting []func([]socks5.StreamHost)
	timer   *loop.Timer
}

// RelayHost is what Relays work with, on the loop.
type RelayHost interface {
	Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error))
	After(d time.Duration, label string, f func()) *loop.Timer
}

// NewRelays returns the relays of a session; fallback has addresses as the
// account's parameter gives them.
func NewRelays(h RelayHost, search *services.Search, fallback []string) *Relays {
	return &Relays{host: h, search: search, fallback: fallback, asked: make(map[jid.JID]bool)}
}

// Relays calls done once with the relays whose address is known, at once if
// nobody is left to be asked, else in two seconds at most.
func (r *Relays) Relays(done func([]socks5.StreamHost)) {
	r.begin()
	if r.open == 0 {
		done(r.found)
		return
	}
	r.waiting = append(r.waiting, done)
	if len(r.waiting) == 1 {
		r.timer = r.host.After(relaysWithin, "relays overdue", r.release)
	}
}

// begin asks, the first time. The account's relays come after the server's only
// if those are quicker: whoever answers first is nearest.
func (r *Relays) begin() {
	if r.begun {
		return
	}
	r.begun = true
	r.open++
	for _, f := range r.fallback {
		if who, err := jid.ParseLenient(f); err == nil {
			r.ask(who)
		}
	}
	r.search.First(services.Relay, func(services.Service, bool) {
		for s := range r.search.All(services.Relay) {
			r.ask(s.JID)
		}
		r.answered()
	})
}

// ask asks a relay for its address.
func (r *Relays) ask(who jid.JID) {
	if r.asked[who] || len(r.asked) == maxRelays {
		return
	}
	r.asked[who] = true
	r.open++
	iq := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", who.String()), socks5.AskAddress())
	r.host.Ask(iq, func(reply *stanza.Element, err error) {
		if err == nil {
			if host, err := socks5.ParseAddress(reply.First(), who); err == nil {
				r.found = append(r.found, host)
			}
		}
		r.answered()
	})
}

func (r *Relays) answered() {
	if r.open--; r.open == 0 {
		r.release()
	}
}

// release tells those who wait what is known.
func (r *Relays) release() {
	r.timer.Stop()
	waiting := r.waiting
	r.waiting = nil
	for _, done := range waiting {
		done(r.found)
	}
}
