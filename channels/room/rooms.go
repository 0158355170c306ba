// Package room serves Text channels to rooms (XEP-0045), one for each shared
// activity: who is in them, what is said in them, and how they are set up.
//
// A channel of a room that is to be joined appears only when the whole list of
// occupants is known, because Sugar takes the members it is told first for all
// there are. One that the user is invited to appears with the user as local
// pending member.
package room

import (
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/sirupsen/logrus"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/chat"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// holdInvitation is how long an invitation waits for the message that says
	// what the activity is: the two come by different ways, and Sugar asks
	// as soon as it hears of the channel.
	holdInvitation = 2 * time.Second
	// maxInvitations bounds the rooms that strangers can make us show.
	maxInvitations = 100
)

// Host is what rooms need of their Connection.
type Host interface {
	channels.Host
	muc.Host
	After(d time.Duration, label string, f func()) *loop.Timer
	Log() *logrus.Entry
	Self() jid.JID
	// Nick is the user's name, as others are to see it.
	Nick() string
	// Presence is the user's presence as it is to be sent now.
	Presence() *stanza.Element
	// ChatWith gives the chat that is open with a contact, if there is one.
	ChatWith(contact uint32) (dbus.ObjectPath, bool)
}

// Activities is told what happens in the rooms, and knows what they are for.
type Activities interface {
	Joined(room jid.JID)
	Left(room jid.JID)
	Arrived(room, who jid.JID)
	Declined(room, who jid.JID)
	Invite(room, to jid.JID)
	IsKnown(room jid.JID) bool
}

// Classes are the channel classes of rooms.
var Classes = []channels.Class{{
	Fixed: map[string]any{
		tp.PropertyChannelChannelType:      tp.InterfaceChannelText.Name,
		tp.PropertyChannelTargetHandleType: tp.HandleTypeRoom,
	},
	Allowed: append([]string{tp.PropertyChannelTargetHandle, tp.PropertyChannelTargetID}, conferenceProperties...),
}, {
	Fixed: map[string]any{
		tp.PropertyChannelChannelType:      tp.InterfaceChannelText.Name,
		tp.PropertyChannelTargetHandleType: tp.HandleTypeNone, // a name is made
	},
	Allowed: conferenceProperties,
}}

// Rooms are the rooms of one Connection.
type Rooms struct {
	host       Host
	activities Activities
	companion  Companion
	rooms      map[jid.JID]*Room
	paths      int // number of the last channel
	invited    int // rooms that wait for the user's answer
}

var _ channels.Server = (*Rooms)(nil)

// New is in no room yet.
func New(h Host, a Activities) *Rooms {
	return &Rooms{host: h, activities: a, companion: alone{}, rooms: make(map[jid.JID]*Room)}
}

// IsJoined tells whether the user is in a room.
func (s *Rooms) IsJoined(room jid.JID) bool {
	r := s.rooms[room]
	return r != nil && r.muc != nil && r.muc.IsJoined() && !r.leaving
}

// IsOwn tells whether an occupant, a full JID, is the user.
func (s *Rooms) IsOwn(occupant jid.JID) bool {
	r := s.rooms[occupant.Bare()]
	return r != nil && r.muc != nil && r.muc.Nick() == occupant.Resource()
}

// Request gives the channel to a room, which is joined first if need be.
func (s *Rooms) Request(req *channels.Request) {
	where, _ := s.host.Handles().Rooms.ID(req.Target.Handle)
	r := s.rooms[where]
	if r == nil {
		r = s.add(where)
		r.requested = true
	}
	r.request(req)
}

func (s *Rooms) add(where jid.JID) *Room {
	r := &Room{rooms: s, host: s.host, jid: where, handle: s.host.Handles().Rooms.Ensure(where)}
	s.rooms[where] = r
	return r
}

// HandlePresence takes the presence of an occupant.
func (s *Rooms) HandlePresence(e *stanza.Element) bool {
	r := s.sender(e)
	return r != nil && r.muc != nil && r.muc.HandlePresence(e)
}

// HandleMessage takes a message from a room, or an invitation to one. What an
// occupant says to us alone belongs to the chat with the occupant.
func (s *Rooms) HandleMessage(e *stanza.Element) bool {
	if i, is := muc.ParseInvitation(e); is {
		s.handleInvitation(i)
		return true
	}
	r := s.sender(e)
	return r != nil && r.muc != nil && !isPrivate(e) && r.muc.HandleMessage(e)
}

func isPrivate(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	kind := chat.Type(e.Attr("type"))
	return err == nil && !from.IsBare() && kind != chat.Groupchat && kind != chat.Failed
}

// IsRoom tells whether a bare address is that of a room that we have to do with.
func (s *Rooms) IsRoom(bare jid.JID) bool { return s.rooms[bare] != nil }

func (s *Rooms) sender(e *stanza.Element) *Room {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil {
		return nil
	}
	return s.rooms[from.Bare()]
}

// UpdatePresence tells all rooms that the user's presence has changed.
func (s *Rooms) UpdatePresence() {
	for _, r := range s.rooms {
		r.UpdatePresence()
	}
}

// Check has all rooms asked whether the user is still in them: one of another
// server may have forgotten it while the link was lost (XEP-0410 §1).
func (s *Rooms) Check() {
	for _, r := range s.rooms {
		if r.muc != nil {
			r.muc.Check()
		}
	}
}

// handleInvitation shows an invitation as a channel, at once if it is known what
// the room is for, else when that has been waited for.
func (s *Rooms) handleInvitation(i muc.Invitation) {
	if s.rooms[i.Room] != nil || s.invited == maxInvitations {
		return
	}
	r := s.add(i.Room)
	r.invitation = &i
	s.invited++
	if s.activities.IsKnown(i.Room) {
		r.showInvitation()
		return
	}
	r.hold = s.host.After(holdInvitation, "invitation held", r.showInvitation)
}

// Known tells that the purpose of a room is known now.
func (s *Rooms) Known(room jid.JID) {
	if r := s.rooms[room]; r != nil && r.hold != nil {
		r.showInvitation()
	}
}

// Leave leaves a room as Close of its channel does.
func (s *Rooms) Leave(room uint32) {
	where, _ := s.host.Handles().Rooms.ID(room)
	if r := s.rooms[where]; r != nil && r.channel != nil {
		r.leave("")
	}
}

// Withdrawn tells that somebody, a bare address, has taken an invitation back.
func (s *Rooms) Withdrawn(room, by jid.JID) {
	if r := s.rooms[room]; r != nil {
		r.withdraw(by)
	}
}

// Close gives all rooms up because the session is over: those who wait for one
// are answered.
func (s *Rooms) Close() {
	for where, r := range s.rooms {
		delete(s.rooms, where)
		r.hold.Stop()
		for len(r.subjects) > 0 {
			r.answerSubject(0, tp.Errorf(tp.ErrorDisconnected, "the connection has ended"))
		}
		if r.muc != nil {
			r.muc.Close()
		}
		if r.password != nil {
			r.password.answer(false, tp.Errorf(tp.ErrorDisconnected, "the connection has ended"))
		}
		r.turnAway(tp.Errorf(tp.ErrorDisconnected, "the connection has ended"))
	}
}
