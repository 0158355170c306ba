package muc

import (
	"slices"

	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Message is a message to all in the room, of [chat.Groupchat], or to us alone.
type Message struct {
	chat.Message
	Nick   string          // of who sent it; "" for the room itself
	Own    bool            // it is ours, which the room sends back to us
	Stanza *stanza.Element // for those who look for more in it
}

// Subject is what a room is about.
type Subject struct {
	Text    string
	Nick    string // of who said so; "" if the room does not tell
	Message chat.Message
}

// HandleMessage takes a message, if it is from this room. Invitations, which
// also come from rooms that we are in, are left to others.
func (r *Room) HandleMessage(e *stanza.Element) bool {
	nick, ok := r.sender(e)
	if !ok {
		return false
	}
	if _, invited := ParseInvitation(e); invited {
		return false
	}
	r.heard = true
	m, ok := chat.Parse(e, r.cfg.Room)
	switch {
	case !ok || r.phase == leaving:
	case m.Type == chat.Failed:
		r.handleMessageError(nick, &m)
	case m.Type == chat.Groupchat && isSubject(e, &m):
		r.handleSubject(nick, e, m)
	default:
		r.handleMessage(nick, e, m)
	}
	return true
}

func (r *Room) handleMessage(nick string, e *stanza.Element, m chat.Message) {
	if nick == "" && r.handleNotice(e) {
		return
	}
	own := nick != "" && nick == r.nick && m.Type == chat.Groupchat
	r.afterJoined(func() { r.cfg.Events.Message(Message{Message: m, Nick: nick, Own: own, Stanza: e}) })
}

// handleNotice takes what the room itself has to say that is not for people.
func (r *Room) handleNotice(e *stanza.Element) bool {
	if d, ok := ParseDecline(e); ok {
		r.afterJoined(func() { r.cfg.Events.Declined(d) })
		return true
	}
	u := parseUser(e)
	changed := slices.ContainsFunc(configurationChanged, u.has)
	if changed && r.announced {
		r.cfg.Events.Reconfigured()
	}
	return changed
}

// isSubject tells whether a message changes the subject: it has one and no
// body, XEP-0045 §8.1.
func isSubject(e *stanza.Element, m *chat.Message) bool {
	return !m.HasBody && e.Child(stanza.NSClient, "subject") != nil
}

func (r *Room) handleSubject(nick string, e *stanza.Element, m chat.Message) {
	s := Subject{Text: e.Child(stanza.NSClient, "subject").Text(), Nick: nick, Message: m}
	r.afterJoined(func() {
		r.subject = s
		r.cfg.Events.Subject(s)
	})
}

// notOccupant holds the errors by which a room refuses a message because we
// are not in it; ejabberd gives the second if there is no such room.
var notOccupant = map[stanza.Condition]bool{stanza.NotAcceptable: true, stanza.ItemNotFound: true}

// handleMessageError takes a message of ours that came back. If we are not in
// the room, the room's answer is looked into: there are other reasons.
func (r *Room) handleMessageError(nick string, m *chat.Message) {
	if !r.announced {
		return // we said nothing
	}
	r.cfg.Events.Failed(m.ID, nick, m.Err)
	if nick == "" && notOccupant[m.Err.Condition] {
		r.Check()
	}
}

// BuildSubject builds the message that changes what a room is about.
func BuildSubject(room jid.JID, text string) *stanza.Element {
	return chat.BuildBare(room, chat.Groupchat, "", stanza.New(stanza.NSClient, "subject", stanza.Text(text)))
}

// BuildPrivate builds a message to one occupant, XEP-0045 §7.5.
func BuildPrivate(room jid.JID, nick, id, body string, parts ...stanza.Part) *stanza.Element {
	return chat.Build(room.WithResource(nick), chat.Chat, id, body, append(parts, stanza.New(nsUser, "x"))...)
}
