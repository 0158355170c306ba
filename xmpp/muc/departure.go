package muc

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Cause says why somebody, or we, are not in the room any more.
type Cause uint8

// The causes. Of others than ourselves only those up to Destroyed are told.
const (
	Parted         Cause = iota // of the own will
	Kicked                      // thrown out, may come again
	Banned                      // and may not
	NotAffiliated               // lost the affiliation that the room asks for
	MembersOnly                 // the room became one for members
	Disconnected                // by a failure, of the network say
	Shutdown                    // of the service
	Destroyed                   // the room itself
	Refused                     // not let in, see Ending.Err
	TimedOut                    // no answer to the wish to enter
	NicknamesTaken              // of all that were tried, see Ending.Err
)

// causes are the codes of departures, the telling ones first: some come
// together, as 307 and 333 for who answered with an error.
var causes = []struct {
	status int
	cause  Cause
}{
	{statusBanned, Banned},
	{statusShutdown, Shutdown},
	{statusTechnicalCause, Disconnected},
	{statusKicked, Kicked},
	{statusNotAffiliated, NotAffiliated},
	{statusMembersOnly, MembersOnly},
}

// Departure is how somebody left.
type Departure struct {
	Cause   Cause
	Actor   Actor  // zero if nobody, or unknown
	Reason  string // the actor's words
	Message string // the own words of who left
}

func parseDeparture(e *stanza.Element, u *user) Departure {
	d := Departure{Actor: u.actor, Reason: u.reason, Message: e.Child(stanza.NSClient, "status").Text()}
	for _, c := range causes {
		if u.has(c.status) {
			d.Cause = c.cause
			break
		}
	}
	if u.destroy != nil {
		d.Cause = Destroyed
		d.Reason = u.destroy.Child(nsUser, "reason").Text()
	}
	return d
}

// Ending is how our stay in a room ended, or why there was none.
type Ending struct {
	Departure
	Err      error   // of Refused and NicknamesTaken: a *stanza.Error, or the error of a nick that cannot be one
	Venue    jid.JID // the room to go to instead of one destroyed; zero if none
	Password string  // of the venue
}

func parseEnding(e *stanza.Element, u *user) Ending {
	end := Ending{Departure: parseDeparture(e, u)}
	if end.Cause == Destroyed {
		end.Venue, _ = jid.ParseLenient(u.destroy.Attr("jid"))
		end.Venue = end.Venue.Bare()
		end.Password = u.destroy.Child(nsUser, "password").Text()
	}
	return end
}
