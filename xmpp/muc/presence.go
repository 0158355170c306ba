package muc

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// HandlePresence takes a presence, if it is from this room.
func (r *Room) HandlePresence(e *stanza.Element) bool {
	nick, ok := r.sender(e)
	if !ok {
		return false
	}
	r.heard = true
	switch e.Attr("type") {
	case "":
		r.handleAvailable(nick, e)
	case "unavailable":
		r.handleUnavailable(nick, e)
	case "error":
		r.handlePresenceError(nick, e)
	}
	return true
}

// sender gives the nick that a stanza is from, "" for the room itself, if it
// is from this room and we have to do with it.
func (r *Room) sender(e *stanza.Element) (nick string, ok bool) {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil || from.Bare() != r.cfg.Room || r.phase == idle || r.phase == ended {
		return "", false
	}
	return from.Resource(), true
}

func (r *Room) handleAvailable(nick string, e *stanza.Element) {
	if nick == "" || r.phase == leaving {
		return // a room's own presence has its capabilities, on ejabberd
	}
	u := parseUser(e)
	if r.isSelf(nick, &u) {
		r.handleSelf(nick, e, &u)
	} else {
		r.handleOther(nick, e, &u)
	}
}

// isSelf tells whether a presence is ours. On the way in, 110 says so, also
// under a nick that the service has changed; our nick says so where the service
// does not know 110. One of the two is enough unless something speaks against
// it: occupants forge codes that old services let through.
func (r *Room) isSelf(nick string, u *user) bool {
	mine, said := nick == r.nick, u.has(statusSelf)
	if r.phase != joining || mine && said {
		return mine
	}
	_, known := r.occupants[nick]
	other := !u.real.IsZero() && u.real.Bare() != r.cfg.Self.Bare()
	return !other && (mine || said && (!known || r.unseen[nick]))
}

// handleSelf takes our own presence, which ends the list of occupants when we
// enter, XEP-0045 §7.2.2.
func (r *Room) handleSelf(nick string, e *stanza.Element, u *user) {
	if nick != r.nick {
		r.takeNick(nick)
	}
	if r.phase == leaving || r.phase == ended {
		return
	}
	old, known := r.occupants[nick]
	if !r.inside {
		old, known = member{}, false
	}
	r.inside = true
	o := old.described(nick, e, u)
	r.keep(o)
	if known && r.telling() {
		r.cfg.Events.SelfChanged(old.Occupant, o)
	}
	if r.phase == joining {
		r.entered(u)
	}
}

// handleOther takes the presence of somebody else. Who had the nick before, if
// that was another, has gone unseen.
func (r *Room) handleOther(nick string, e *stanza.Element, u *user) {
	if nick == r.nick && r.inside {
		return // it was ours; the service is about to give us another
	}
	old, known := r.occupants[nick]
	if known && !old.Real.IsZero() && !u.real.IsZero() && old.Real.Bare() != u.real.Bare() {
		r.remove(nick, Departure{Cause: Disconnected})
		old, known = member{}, false
	}
	o := old.described(nick, e, u)
	if r.phase == ended || !r.keep(o) {
		return
	}
	delete(r.unseen, nick)
	switch {
	case !r.telling():
	case known:
		r.cfg.Events.Changed(old.Occupant, o)
	default:
		r.cfg.Events.Entered(o)
	}
}

func (r *Room) handleUnavailable(nick string, e *stanza.Element) {
	u := parseUser(e)
	if nick == r.nick || r.phase == leaving && nick != "" && u.has(statusSelf) {
		r.handleOwnDeparture(e, &u)
		return
	}
	if _, known := r.occupants[nick]; !known || r.phase == leaving {
		return
	}
	if u.has(statusNewNick) && r.isNick(u.nick) && u.nick != r.nick {
		r.rename(nick, u.nick)
		return
	}
	r.remove(nick, parseDeparture(e, &u))
}

// handleOwnDeparture takes the end of our presence in the room, unless it is
// that of a stay before this: on the way in there is nothing that could end.
func (r *Room) handleOwnDeparture(e *stanza.Element, u *user) {
	switch {
	case r.phase == joining:
	case u.has(statusNewNick) && r.isNick(u.nick):
		r.takeNick(u.nick)
	default:
		r.end(parseEnding(e, u))
	}
}

func (r *Room) handlePresenceError(nick string, e *stanza.Element) {
	switch r.phase {
	case joining:
		r.handleRefusal(nick, e)
	case leaving:
		r.end(Ending{}) // we are not in it, so much is sure
	default:
		if nick == "" || nick == r.nick {
			r.Check()
		}
	}
}

// isNick tells whether a nick that the room names can be one.
func (r *Room) isNick(nick string) bool {
	j, err := jid.ParseLenient(r.cfg.Room.WithResource(nick).String())
	return err == nil && j.Resource() == nick && nick != ""
}

// takeNick makes another nick ours.
func (r *Room) takeNick(nick string) {
	if r.inside {
		r.rename(r.nick, nick)
		return
	}
	r.nick = nick
}

// rename gives an occupant, who may be ourselves, another nick. Whoever had it
// has gone unseen.
func (r *Room) rename(old, nick string) {
	if old == nick {
		return
	}
	if _, taken := r.occupants[nick]; taken {
		r.remove(nick, Departure{Cause: Disconnected})
	}
	if r.phase == ended {
		return
	}
	o := r.occupants[old].Occupant
	r.drop(old)
	if old == r.nick {
		r.nick = nick
	}
	o.Nick = nick
	r.keep(o)
	if r.telling() {
		r.cfg.Events.Renamed(old, o)
	}
}

// telling tells whether changes are announced.
func (r *Room) telling() bool { return r.announced && r.phase != leaving && r.phase != ended }

// remove takes somebody else off the books and tells so.
func (r *Room) remove(nick string, d Departure) {
	o := r.occupants[nick].Occupant
	r.drop(nick)
	if r.telling() {
		r.cfg.Events.Left(o, d)
	}
}
