package gadgetd

import (
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// hint is half of an invitation: what the activity is comes from who invites,
// the invitation itself through the room, and either may be first.
type hint struct {
	by         jid.JID
	activity   *olpc.ActivityProperties
	invitation *muc.Invitation
	timer      *loop.Timer
}

// maxHints bounds the halves that wait for the other.
const maxHints = 10_000

// after is [muc.After] on the loop.
func (s *Server) after(d time.Duration, label string, f func()) (stop func()) {
	return s.loop.After(d, label, f).Stop
}

// handleProperties takes what somebody says an activity is that we are about
// to be invited to. It must be public; only who publishes has something to say.
func (s *Server) handleProperties(by jid.JID, a olpc.ActivityProperties) {
	p := s.publishers[by]
	if p == nil || !p.publishes || !a.Visible() || !s.isRoom(a.Room) {
		s.count.Refused++
		return
	}
	if h := s.hintOf(a.Room, by); h != nil {
		h.activity = &a
		s.meet(a.Room, h)
	}
}

// handleInvitation takes the other half. What a direct invitation says is not
// vouched for by any room.
func (s *Server) handleInvitation(i muc.Invitation) {
	by := i.From.Bare()
	p := s.publishers[by]
	if !i.Mediated || p == nil || !p.publishes || !s.isRoom(i.Room) {
		s.refuse(i)
		return
	}
	if h := s.hintOf(i.Room, by); h != nil {
		h.invitation = &i
		s.meet(i.Room, h)
	}
}

// refuse declines an invitation that we have no use for.
func (s *Server) refuse(i muc.Invitation) {
	s.count.Refused++
	if i.Mediated {
		s.link.Send(muc.BuildDecline(i, ""))
	}
}

// hintOf gives the half that somebody's invitation to a room has had so far.
func (s *Server) hintOf(room, by jid.JID) *hint {
	key := room.WithResource(by.String())
	h := s.hints[key]
	if h == nil {
		if len(s.hints) >= maxHints {
			s.count.Refused++
			return nil
		}
		h = &hint{by: by}
		h.timer = s.loop.After(meetWithin, "half an invitation", func() {
			delete(s.hints, key)
			if h.invitation != nil {
				s.refuse(*h.invitation)
			}
		})
		s.hints[key] = h
	}
	return h
}

// meet follows an invitation once it is whole.
func (s *Server) meet(room jid.JID, h *hint) {
	if h.activity == nil || h.invitation == nil {
		return
	}
	h.timer.Stop()
	delete(s.hints, room.WithResource(h.by.String()))
	a := s.sharing(room)
	if a.stay != nil {
		return // we are there, or on the way
	}
	if s.inRooms >= s.cfg.Limits.Rooms || s.perInviter[h.by] >= s.cfg.Limits.Activities {
		s.refuse(*h.invitation)
		s.update(a)
		return
	}
	s.count.Invitations++
	s.perInviter[h.by]++
	a.ID, a.props, a.inviter, a.invited, a.withdrawn = h.activity.ID, h.activity.Properties, h.by, true, false
	s.enter(a)
}

// handleMessage takes a message: of a room, an event of somebody who publishes,
// an invitation, or the end of a view.
func (s *Server) handleMessage(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil {
		return true
	}
	if a := s.activities[from.Bare()]; a != nil && a.stay != nil && a.stay.HandleMessage(e) {
		return true
	}
	if e.Attr("type") == "error" {
		s.gone(from)
		return true
	}
	if i, ok := muc.ParseInvitation(e); ok {
		s.handleInvitation(i)
		return true
	}
	if s.serves(from) {
		s.heardOf(from)
		s.handlePersonal(from, e)
	}
	return true
}
