package olpc

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// BuildRoomMessage returns the message that tells everybody in the activity's
// room its properties. It goes out before they are published.
func BuildRoomMessage(a ActivityProperties) *stanza.Element {
	return stanza.New(stanza.NSClient, "message",
		stanza.A("to", a.Room.String()), stanza.A("type", "groupchat"), a.build())
}

// BuildInvitation returns the pseudo-invitation: the message without type that
// tells a contact the properties of an activity before, or after, it is invited
// to the room. It goes to the bare address.
func BuildInvitation(to jid.JID, a ActivityProperties) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.Bare().String()), a.build())
}

// BuildUninvite returns the message that takes an invitation back.
func BuildUninvite(to jid.JID, a Activity) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.Bare().String()),
		stanza.New(NodeActivityProperties, "uninvite", stanza.A("id", a.ID), stanza.A("room", a.Room.String())))
}

// ParseProperties reads the properties of an activity out of a message from a
// room or from an inviter, told apart by the sender. There must be an id. The
// room may be zero: in a message from the room it is the sender that counts,
// whatever is written; a pseudo-invitation without it is none.
func ParseProperties(message *stanza.Element) (ActivityProperties, bool) {
	e := child(message, "properties")
	a := ActivityProperties{Activity: parseActivity(e, "activity", "id")}
	if a.ID == "" {
		return ActivityProperties{}, false
	}
	a.Properties, _ = ParseChildren(e, property, MaxPropertiesBytes)
	return a, true
}

// ParseUninvite reads which invitation is taken back; both names must be there.
func ParseUninvite(message *stanza.Element) (Activity, bool) {
	a := parseActivity(child(message, "uninvite"), "id", "activity")
	if a.ID == "" || a.Room.IsZero() {
		return Activity{}, false
	}
	return a, true
}

// child returns the part of a message that is ours. One that comes back as an
// error carries our own words, not the sender's.
func child(message *stanza.Element, local string) *stanza.Element {
	if !message.Is(stanza.NSClient, "message") || message.Attr("type") == "error" {
		return nil
	}
	return message.Child(NodeActivityProperties, local)
}
