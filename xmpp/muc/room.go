package muc

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// How long is waited. The first two are telepathy-gabble's: a school's server
// takes its time when a class joins.
const (
	joinTimeout  = 180 * time.Second
	leaveTimeout = 180 * time.Second
	// joinRepeat is how long a room may say nothing at all until it is asked
	// to let us in once more: ejabberd 23.01 loses what reaches a room while
	// it ends because its last occupant has left.
	joinRepeat = 10 * time.Second
	// silence is how long a room may say nothing until it is asked whether we
	// are in it, at least; twice that at most.
	silence = 5 * time.Minute
)

// maxNickTries is how often a nick that is taken gets another "_".
const maxNickTries = 3

// Host is the session that a room is reached by.
type Host interface {
	Send(*stanza.Element)
	// Ask sends a question and calls done once, on the loop, with the result
	// or an error, which is a *stanza.Error if it is the answer.
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// After calls f on the loop when d is over, unless stop is called before.
type After func(d time.Duration, label string, f func()) (stop func())

// Config says what a Room works with.
type Config struct {
	Host   Host
	After  After
	Self   jid.JID // full address of the session
	Room   jid.JID // bare
	Events Events  // all are to be there
}

// Entry says how to enter.
type Entry struct {
	Nick     string
	Password string
	// History asks for what was said before, as much as the room likes to tell.
	History bool
	// Presence gives our presence at the time, without an addressee: the room
	// may have to be told several times, also long after.
	Presence func() *stanza.Element
	// Settings are for a room that did not exist. As far as it knows them they
	// hold before Joined; nil leaves the service's own.
	Settings Settings
}

// Events tells what happens in a room.
type Events struct {
	// Joined runs once, when all occupants are known.
	Joined func(Arrival)
	// Rejoined runs when the room, which had forgotten us, has us again, after
	// all that has changed was told; it knows nothing but our presence.
	Rejoined func()
	// Entered, Left, Renamed and Changed tell of others; Changed comes with
	// each presence, whatever is different.
	Entered func(Occupant)
	Left    func(Occupant, Departure)
	Renamed func(old string, o Occupant) // also of ourselves
	Changed func(old, new Occupant)
	// SelfChanged is Changed for ourselves.
	SelfChanged func(old, new Occupant)
	Subject     func(Subject)
	Message     func(Message)
	// Failed tells that a message of ours came back, by its id: from the room,
	// or from an occupant if there is a nick.
	Failed func(id, nick string, err *stanza.Error)
	// Declined tells that an invitation was not accepted.
	Declined func(Decline)
	// Reconfigured tells that the room's settings are not what they were.
	Reconfigured func()
	// Ended runs once and is the last.
	Ended func(Ending)
}

// Arrival is how we came to be in a room.
type Arrival struct {
	Occupants []Occupant // with ourselves, ordered by nick
	Created   bool       // the room did not exist
	// SettingsErr says why the settings wanted for a new room do not hold.
	SettingsErr error
}

// phase is where a Room stands.
type phase uint8

const (
	idle phase = iota
	joining
	configuring // in, and the room is new
	joined
	leaving
	ended
)

// Room is one stay in a room; it does not begin again after its end.
type Room struct {
	cfg   Config
	entry Entry
	phase phase

	nick      string // ours, or the one that is tried
	joins     int    // tries, which makes the answers to earlier ones known as such
	conflicts int    // of this entry
	inside    bool   // we are among the occupants
	announced bool   // Joined has run
	arrival   Arrival

	occupants map[string]member
	weight    int             // of their presences
	unseen    map[string]bool // occupants who were there before we entered again; nil at the first time
	held      []func()        // what came before Joined
	subject   Subject

	stop     func() // the timer of the phase
	heard    bool   // of the room since the timer was set
	checking bool   // a self-ping is under way
	requests []request
}

// New returns a Room that is not yet entered.
func New(cfg Config) *Room { return &Room{cfg: cfg, occupants: make(map[string]member)} }

// Join enters the room, which comes to Joined or Ended. It may be called once.
func (r *Room) Join(e Entry) {
	if r.phase != idle {
		return
	}
	r.entry, r.nick = e, e.Nick
	prepared, err := jid.New(r.cfg.Room.Local(), r.cfg.Room.Domain(), e.Nick)
	if err == nil && prepared.IsBare() {
		err = fmt.Errorf("nick is empty")
	}
	if err != nil {
		r.end(Ending{Departure: Departure{Cause: Refused}, Err: fmt.Errorf("nick: %w", err)})
		return
	}
	r.nick = prepared.Resource()
	r.enter()
}

// Nick is ours in the room, or the one that is tried.
func (r *Room) Nick() string { return r.nick }

// Subject is what the room is about at present; it may be empty.
func (r *Room) Subject() Subject { return r.subject }

// IsJoined tells whether we are in the room and all of it is known.
func (r *Room) IsJoined() bool { return r.phase == joined }

// Occupant looks somebody up by nick.
func (r *Room) Occupant(nick string) (Occupant, bool) {
	m, ok := r.occupants[nick]
	return m.Occupant, ok
}

// Occupants lists who is there, ordered by nick.
func (r *Room) Occupants() []Occupant {
	all := make([]Occupant, 0, len(r.occupants))
	for _, nick := range slices.Sorted(maps.Keys(r.occupants)) {
		all = append(all, r.occupants[nick].Occupant)
	}
	return all
}

// UpdatePresence tells the room what Entry.Presence gives now.
func (r *Room) UpdatePresence() {
	switch r.phase {
	case configuring, joined:
		// The id keeps an answer from being taken for that to a wish to enter.
		r.cfg.Host.Send(r.entry.Presence().With(stanza.A("to", r.self()), stanza.A("id", "update")))
	}
}

// Leave leaves the room, with words for the others, which may be none. Ended
// follows when the room confirms it, or has had its time.
func (r *Room) Leave(message string, parts ...stanza.Part) {
	switch r.phase {
	case idle:
		r.end(Ending{})
		return
	case leaving, ended:
		return
	}
	r.setTimer(leaving, leaveTimeout, "leave timeout", func() { r.end(Ending{}) })
	var status *stanza.Element
	if message != "" {
		status = stanza.New(stanza.NSClient, "status", stanza.Text(message))
	}
	head := []stanza.Part{stanza.A("type", "unavailable"), stanza.A("to", r.self()), status}
	r.cfg.Host.Send(stanza.New(stanza.NSClient, "presence", append(head, parts...)...))
}

// Close gives the room up without a word and without an event, as when the
// session is lost. Requests that still wait are answered.
func (r *Room) Close() {
	r.stopTimer()
	r.phase = ended
	r.held = nil
	r.abandon()
}

// self is our address in the room.
func (r *Room) self() string { return r.cfg.Room.WithResource(r.nick).String() }

// setTimer begins a phase that takes at most so long.
func (r *Room) setTimer(p phase, d time.Duration, label string, f func()) {
	r.stopTimer()
	r.phase = p
	r.stop = r.cfg.After(d, label, func() {
		r.stop = nil
		f()
	})
}

func (r *Room) stopTimer() {
	if r.stop != nil {
		r.stop()
		r.stop = nil
	}
}

// end ends the stay.
func (r *Room) end(e Ending) {
	r.Close()
	r.cfg.Events.Ended(e)
}
