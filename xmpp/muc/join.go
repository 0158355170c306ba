package muc

import (
	"maps"
	"slices"
	"strconv"

	"telepathy-olpc/xmpp/stanza"
)

// enter asks to be let in, XEP-0045 §7.2.2, for the first time or again.
func (r *Room) enter() {
	r.joins++
	r.heard = false
	r.knock()
	r.setTimer(joining, joinRepeat, "join unheard", func() {
		if !r.heard {
			r.knock()
		}
		r.setTimer(joining, joinTimeout-joinRepeat, "join timeout", r.giveUp)
	})
}

// knock sends the presence that asks to be let in. A room that gets it twice
// tells twice who is in it.
func (r *Room) knock() {
	var password, history *stanza.Element
	if r.entry.Password != "" {
		password = stanza.New(NS, "password", stanza.Text(r.entry.Password))
	}
	if !r.entry.History || r.announced { // what was said up to now is known, or shown twice
		history = stanza.New(NS, "history", stanza.A("maxchars", "0")) // XEP-0045 §7.2.14
	}
	r.cfg.Host.Send(r.entry.Presence().With(stanza.A("to", r.self()), stanza.A("id", r.joinID()), stanza.New(NS, "x", password, history)))
}

// giveUp ends the wish to enter. The room may still let us in, so it is told.
func (r *Room) giveUp() {
	r.cfg.Host.Send(stanza.New(stanza.NSClient, "presence", stanza.A("type", "unavailable"), stanza.A("to", r.self())))
	r.end(Ending{Departure: Departure{Cause: TimedOut}})
}

// joinID is the id of the presence that asks to be let in.
func (r *Room) joinID() string { return "join-" + strconv.Itoa(r.joins) }

// rejoin enters a room that has forgotten us.
func (r *Room) rejoin() {
	r.unseen = make(map[string]bool, len(r.occupants))
	for nick := range r.occupants {
		r.unseen[nick] = true
	}
	r.conflicts = 0
	r.enter()
}

// handleRefusal takes an error in answer to the wish to enter, XEP-0045 §7.2.
// The error comes from the room or from the nick that was tried, which the
// server may have prepared differently from us.
func (r *Room) handleRefusal(nick string, e *stanza.Element) {
	if id := e.Attr("id"); id != "" && id != r.joinID() || id == "" && nick != "" && nick != r.nick {
		return // to an earlier try
	}
	err := stanza.ErrorOf(e)
	switch {
	case err.Condition != stanza.Conflict:
		r.end(Ending{Departure: Departure{Cause: Refused}, Err: err})
	case r.conflicts == maxNickTries:
		r.end(Ending{Departure: Departure{Cause: NicknamesTaken}, Err: err})
	default:
		r.conflicts++
		r.takeNick(r.nick + "_")
		r.enter()
	}
}

// entered runs when we are in: the room has told who else is.
func (r *Room) entered(u *user) {
	r.stopTimer()
	if !u.has(statusCreated) {
		r.arrive()
		return
	}
	r.phase = configuring
	r.arrival.Created = true
	r.setUp(r.entry.Settings, func(err error) {
		r.arrival.SettingsErr = err
		r.arrive()
	})
}

// arrive tells that we are in, or in again.
func (r *Room) arrive() {
	r.phase = joined
	r.listen()
	if r.announced {
		r.settleRejoin()
		return
	}
	r.announced = true
	r.arrival.Occupants = r.Occupants()
	arrival := r.arrival
	r.arrival = Arrival{}
	r.cfg.Events.Joined(arrival)
	for len(r.held) > 0 && r.phase == joined {
		next := r.held[0]
		r.held = r.held[1:]
		next()
	}
	r.held = nil
}

// settleRejoin tells who has gone since the room forgot us.
func (r *Room) settleRejoin() {
	gone := slices.Sorted(maps.Keys(r.unseen))
	r.unseen = nil
	for _, nick := range gone {
		if r.phase != joined {
			return
		}
		if nick != r.nick {
			r.remove(nick, Departure{Cause: Disconnected})
		}
	}
	if r.phase == joined {
		r.cfg.Events.Rejoined()
	}
}

// afterJoined runs f now, or after Joined.
func (r *Room) afterJoined(f func()) {
	switch {
	case r.announced:
		f()
	case len(r.held) < maxHeld:
		r.held = append(r.held, f)
	}
}
