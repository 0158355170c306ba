package muc

import (
	"errors"

	"telepathy-olpc/xmpp/stanza"
)

// nsPing is the namespace of XEP-0199.
const nsPing = "urn:xmpp:ping"

// stillIn holds the errors to a self-ping that do not mean that the room has
// forgotten us, XEP-0410 §3: those of our own client, if the room passes
// the question on to it, and of rooms that let nobody ask occupants anything.
// An item-not-found is none of them although it should be: ejabberd 23.01 and
// Prosody 0.12 say so of a room that is not there any more.
var stillIn = map[stanza.Condition]bool{
	stanza.FeatureNotImplemented: true,
	stanza.ServiceUnavailable:    true,
	stanza.NotAllowed:            true,
}

// unreachable holds the errors that leave it open.
var unreachable = map[stanza.Condition]bool{
	stanza.RemoteServerNotFound: true,
	stanza.RemoteServerTimeout:  true,
	stanza.InternalServerError:  true,
}

// listen waits for the room to be silent for long.
func (r *Room) listen() {
	r.heard = false
	r.setTimer(joined, silence, "room silent", func() {
		if !r.heard {
			r.Check()
		}
		if r.phase == joined {
			r.listen()
		}
	})
}

// Check asks the room whether we are in it, XEP-0410, and enters it again if
// not. It is for when something may have been lost on the way, as after a
// stream was resumed.
func (r *Room) Check() {
	if r.phase != joined || r.checking {
		return
	}
	r.checking = true
	nick, joins := r.nick, r.joins
	ping := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", r.self()), stanza.New(nsPing, "ping"))
	r.cfg.Host.Ask(ping, func(_ *stanza.Element, err error) {
		r.checking = false
		if r.phase == joined && r.nick == nick && r.joins == joins && isForgotten(err) {
			r.rejoin()
		}
	})
}

// isForgotten tells whether the answer to a self-ping means that we are not in
// the room.
func isForgotten(err error) bool {
	var e *stanza.Error
	return errors.As(err, &e) && e.Type != stanza.TypeWait && !stillIn[e.Condition] && !unreachable[e.Condition]
}
