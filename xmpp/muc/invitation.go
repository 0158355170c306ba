package muc

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// nsConference is the namespace of direct invitations, XEP-0249, which have it
// from the older protocol that they can be read as.
const nsConference = "jabber:x:conference"

// Invitation asks somebody to come into a room.
type Invitation struct {
	Room     jid.JID
	From     jid.JID // who invites; an occupant's address if the room hides the real one
	Reason   string
	Password string
	// Continues: the room is to go on with a chat between the two, XEP-0045
	// §7.6, XEP-0249 §2.
	Continues bool
	// Mediated: the room passed it on, and so it is one. What a direct
	// invitation calls a room may be anything.
	Mediated bool
}

// ParseInvitation reads an invitation, by the room, XEP-0045 §7.8.2, or
// directly, XEP-0249. One by the room that does not say from whom is none.
func ParseInvitation(message *stanza.Element) (Invitation, bool) {
	switch message.Attr("type") {
	case "", "normal", "chat", "headline":
	default: // one of our own that comes back, or a trick in a room
		return Invitation{}, false
	}
	from, err := jid.ParseLenient(message.Attr("from"))
	if err != nil || !message.Is(stanza.NSClient, "message") {
		return Invitation{}, false
	}
	x := message.Child(nsUser, "x")
	if invite := x.Child(nsUser, "invite"); invite != nil && isRoom(from) {
		by, err := jid.ParseLenient(invite.Attr("from"))
		return Invitation{
			Room: from, From: by, Mediated: true, Continues: invite.Child(nsUser, "continue") != nil,
			Reason: invite.Child(nsUser, "reason").Text(), Password: x.Child(nsUser, "password").Text(),
		}, err == nil
	}
	return parseDirect(from, message.Child(nsConference, "x"))
}

func parseDirect(from jid.JID, x *stanza.Element) (Invitation, bool) {
	room, err := jid.ParseLenient(x.Attr("jid"))
	if err != nil || !isRoom(room) {
		return Invitation{}, false
	}
	reason := x.Attr("reason")
	if reason == "" {
		reason = x.Text() // before XEP-0249
	}
	continues := x.Attr("continue") == "true" || x.Attr("continue") == "1"
	return Invitation{Room: room, From: from, Reason: reason, Password: x.Attr("password"), Continues: continues}, true
}

// isRoom tells whether an address can be that of a room.
func isRoom(who jid.JID) bool { return who.Local() != "" && who.IsBare() }

// BuildInvitation builds an invitation that the room passes on. A password is
// added there.
func BuildInvitation(room, to jid.JID, reason string) *stanza.Element {
	return buildMediated(room, "invite", to, reason)
}

// BuildContinuation builds an invitation that says that the room continues a
// chat with one person, XEP-0045 §7.6.
func BuildContinuation(room, to jid.JID, reason string) *stanza.Element {
	return buildMediated(room, "invite", to, reason, stanza.New(nsUser, "continue"))
}

// BuildDirectInvitation builds an invitation that goes past the room.
func BuildDirectInvitation(to jid.JID, i Invitation) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()),
		stanza.New(nsConference, "x", stanza.A("jid", i.Room.String()), stanza.A("reason", i.Reason), stanza.A("password", i.Password)))
}

// BuildDecline builds the answer to a mediated invitation that is not accepted,
// XEP-0045 §7.8.2; there is none to a direct one.
func BuildDecline(i Invitation, reason string) *stanza.Element {
	return buildMediated(i.Room, "decline", i.From, reason)
}

func buildMediated(room jid.JID, what string, to jid.JID, reason string, more ...stanza.Part) *stanza.Element {
	var why *stanza.Element
	if reason != "" {
		why = stanza.New(nsUser, "reason", stanza.Text(reason))
	}
	return stanza.New(stanza.NSClient, "message", stanza.A("to", room.String()),
		stanza.New(nsUser, "x", stanza.New(nsUser, what, append([]stanza.Part{stanza.A("to", to.String()), why}, more...)...)))
}

// Decline tells that somebody does not accept our invitation.
type Decline struct {
	Room   jid.JID
	From   jid.JID
	Reason string
}

// ParseDecline reads what became of an invitation of ours.
func ParseDecline(message *stanza.Element) (Decline, bool) {
	room, err := jid.ParseLenient(message.Attr("from"))
	if err != nil || !isRoom(room) || message.Attr("type") == "error" {
		return Decline{}, false
	}
	decline := message.Child(nsUser, "x").Child(nsUser, "decline")
	from, err := jid.ParseLenient(decline.Attr("from"))
	return Decline{room, from, decline.Child(nsUser, "reason").Text()}, err == nil
}
