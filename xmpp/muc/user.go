package muc

import (
	"slices"
	"strconv"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of XEP-0045.
const (
	NS      = "http://jabber.org/protocol/muc"
	nsUser  = NS + "#user"
	nsAdmin = NS + "#admin"
	nsOwner = NS + "#owner"
)

// Affiliation is what somebody is to a room also when not in it, XEP-0045 §5.2.
type Affiliation uint8

// The affiliations.
const (
	AffiliationNone Affiliation = iota
	Outcast
	Member
	Admin
	Owner
)

// Role is what somebody may do while in a room, XEP-0045 §5.1.
type Role uint8

// The roles.
const (
	RoleNone Role = iota
	Visitor
	Participant
	Moderator
)

var (
	affiliations = map[string]Affiliation{"outcast": Outcast, "member": Member, "admin": Admin, "owner": Owner}
	roles        = map[string]Role{"visitor": Visitor, "participant": Participant, "moderator": Moderator}
)

// Status codes, XEP-0045 §15.6.
const (
	statusSelf           = 110
	statusCreated        = 201
	statusBanned         = 301
	statusNewNick        = 303
	statusKicked         = 307
	statusNotAffiliated  = 321
	statusMembersOnly    = 322
	statusShutdown       = 332
	statusTechnicalCause = 333
)

// configurationChanged holds the codes by which a room tells that it is not
// what it was, XEP-0045 §10.2.1.
var configurationChanged = []int{104, 170, 171, 172, 173, 174}

// maxStatuses is how many codes of one stanza are looked at; a room sends four.
const maxStatuses = 32

// user is what a room adds to the stanzas of its occupants.
type user struct {
	statuses    []int
	hasItem     bool
	affiliation Affiliation
	role        Role
	real        jid.JID // zero if hidden
	nick        string  // the new one, of who is renamed
	actor       Actor
	reason      string
	destroy     *stanza.Element
}

// parseUser reads what the room says in a stanza. Servers add it behind what
// the occupant itself sent, and old ones do not take out what that forges: the
// last one counts.
func parseUser(e *stanza.Element) (u user) {
	var x *stanza.Element
	for c := range e.Each(nsUser, "x") {
		x = c
	}
	item := x.Child(nsUser, "item")
	u.hasItem = item != nil
	u.affiliation, u.role = affiliations[item.Attr("affiliation")], roles[item.Attr("role")]
	u.real, _ = jid.ParseLenient(item.Attr("jid"))
	u.nick = item.Attr("nick")
	u.actor = parseActor(item.Child(nsUser, "actor"))
	u.reason = item.Child(nsUser, "reason").Text()
	u.destroy = x.Child(nsUser, "destroy")
	u.statuses = parseStatuses(x)
	return u
}

func parseStatuses(x *stanza.Element) (codes []int) {
	for s := range x.Each(nsUser, "status") {
		if len(codes) == maxStatuses {
			break
		}
		if code, err := strconv.Atoi(s.Attr("code")); err == nil {
			codes = append(codes, code)
		}
	}
	return codes
}

func (u *user) has(status int) bool { return slices.Contains(u.statuses, status) }

// Actor is who did something to an occupant, as far as the room tells.
type Actor struct {
	Nick string
	JID  jid.JID
}

func parseActor(actor *stanza.Element) Actor {
	who, _ := jid.ParseLenient(actor.Attr("jid"))
	return Actor{actor.Attr("nick"), who}
}
