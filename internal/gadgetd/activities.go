package gadgetd

import (
	"errors"
	"slices"
	"strings"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// sharing is an activity that somebody says to be public: who invited us, or
// who lists it.
type sharing struct {
	olpc.Activity
	invited bool    // we are in the room, or on the way; kept in the store
	inviter jid.JID // zero after a restart

	stay    *muc.Room
	inside  bool
	members map[string]jid.JID // who is in the room, by nick
	props   olpc.Properties    // as the room knows them; nil while that is not known
	confirm *loop.Timer

	listers   map[jid.JID]bool
	speaker   jid.JID          // the lister who is believed: who came first
	withdrawn bool             // made private: no list makes it public again
	told      map[jid.JID]bool // members in the directory
}

// isRoom tells whether a room can be one of activities that we serve.
func (s *Server) isRoom(room jid.JID) bool {
	if room.Local() == "" || !room.IsBare() {
		return false
	}
	if len(s.cfg.Rooms) > 0 {
		return slices.Contains(s.cfg.Rooms, room.Domain())
	}
	return slices.ContainsFunc(s.cfg.Domains, func(d string) bool { return strings.HasSuffix(room.Domain(), "."+d) })
}

// sharing gives the record of an activity, made if there is none.
func (s *Server) sharing(room jid.JID) *sharing {
	a := s.activities[room]
	if a == nil {
		a = &sharing{Activity: olpc.Activity{Room: room}, listers: make(map[jid.JID]bool)}
		s.activities[room] = a
	}
	if a.listers == nil {
		a.listers = make(map[jid.JID]bool)
	}
	return a
}

// setList takes what somebody lists, in the place of what was listed before.
func (s *Server) setList(p *publisher, list []olpc.Activity, details map[jid.JID]olpc.Properties) {
	list = slices.DeleteFunc(slices.Clone(list), func(a olpc.Activity) bool { return !s.isRoom(a.Room) })
	if len(list) > s.cfg.Limits.Activities {
		list = list[:s.cfg.Limits.Activities]
	}
	before := p.listed
	p.listed, p.details = list, details
	for _, a := range before {
		if !slices.ContainsFunc(list, func(b olpc.Activity) bool { return a.Room == b.Room }) {
			if sh := s.activities[a.Room]; sh != nil {
				delete(sh.listers, p.jid)
				s.update(sh)
			}
		}
	}
	for _, a := range list {
		sh := s.sharing(a.Room)
		sh.listers[p.jid] = true
		s.update(sh)
	}
}

// claim is what somebody lists of a room.
func (s *Server) claim(who, room jid.JID) (olpc.ActivityProperties, bool) {
	p := s.publishers[who]
	if p == nil {
		return olpc.ActivityProperties{}, false
	}
	i := slices.IndexFunc(p.listed, func(a olpc.Activity) bool { return a.Room == room })
	if i < 0 {
		return olpc.ActivityProperties{}, false
	}
	c := olpc.ActivityProperties{Activity: p.listed[i], Properties: p.details[room]}
	return c, c.Visible()
}

// judge decides whether an activity is public, and what it is.
func (s *Server) judge(a *sharing) (olpc.ActivityProperties, bool) {
	if a.withdrawn {
		return olpc.ActivityProperties{}, false
	}
	if a.inside {
		if a.props == nil {
			s.confirmBy(a)
		}
		known := olpc.ActivityProperties{Activity: a.Activity, Properties: a.props}
		return known, known.Visible()
	}
	if c, ok := s.claim(a.speaker, a.Room); ok {
		return c, true
	}
	for who := range a.listers {
		if c, ok := s.claim(who, a.Room); ok {
			a.speaker = who
			return c, true
		}
	}
	return olpc.ActivityProperties{}, false
}

// confirmBy looks for somebody in the room who lists the activity as public.
func (s *Server) confirmBy(a *sharing) {
	for _, who := range a.members {
		if c, ok := s.claim(who, a.Room); ok && c.ID == a.ID {
			a.props = c.Properties
			a.confirm.Stop()
			return
		}
	}
}

// update shows an activity as it is to be shown, or not at all.
func (s *Server) update(a *sharing) {
	is, public := s.judge(a)
	if !public {
		s.dir.HideActivity(a.Room)
		a.told = nil
		if len(a.listers) == 0 && !a.invited {
			delete(s.activities, a.Room)
		}
		return
	}
	s.dir.ShowActivity(is.Activity, is.Properties)
	members := a.listers
	if a.inside {
		members = make(map[jid.JID]bool, len(a.members))
		for _, who := range a.members {
			members[who] = true
		}
	}
	for who := range a.told {
		if !members[who] {
			s.dir.Leave(a.Room, who)
		}
	}
	a.told = make(map[jid.JID]bool, len(members))
	for who := range members {
		s.dir.Join(a.Room, who)
		a.told[who] = true
	}
}

// enter goes into the room of an activity.
func (s *Server) enter(a *sharing) {
	room := a.Room
	on := func(f func(*sharing)) {
		if a := s.activities[room]; a != nil && a.stay != nil {
			f(a)
		}
	}
	seen := func(o muc.Occupant) {
		on(func(a *sharing) {
			s.note(a, o)
			s.update(a)
		})
	}
	a.stay = muc.New(muc.Config{
		Host: s.link, After: s.after, Self: s.link.Self(), Room: room,
		Events: muc.Events{
			Joined:   func(arrival muc.Arrival) { on(func(a *sharing) { s.joined(a, arrival) }) },
			Rejoined: func() {},
			Entered:  seen,
			Changed:  func(_, o muc.Occupant) { seen(o) },
			Left:     func(o muc.Occupant, _ muc.Departure) { on(func(a *sharing) { s.occupantLeft(a, o.Nick) }) },
			Renamed: func(old string, o muc.Occupant) {
				on(func(a *sharing) { delete(a.members, old) })
				seen(o)
			},
			SelfChanged: func(_, _ muc.Occupant) {}, Subject: func(muc.Subject) {},
			Message:      func(m muc.Message) { on(func(a *sharing) { s.roomMessage(a, m) }) },
			Failed:       func(string, string, *stanza.Error) {},
			Declined:     func(muc.Decline) {},
			Reconfigured: func() {},
			Ended:        func(muc.Ending) { on(s.stayEnded) },
		},
	})
	s.inRooms++
	a.stay.Join(muc.Entry{Nick: gadget.Inspector, Presence: func() *stanza.Element { return stanza.New(stanza.NSClient, "presence", s.caps) }})
}

// note keeps who is behind a nick, as far as it is somebody of ours.
func (s *Server) note(a *sharing, o muc.Occupant) {
	if who := o.Real.Bare(); s.serves(who) {
		a.members[o.Nick] = who
	}
}

// joined looks at a room that we have come into. It is no activity's if nobody
// was there, if it hides who is there, or if the one who invited us, in whose
// name it would be shown, is not.
func (s *Server) joined(a *sharing, arrival muc.Arrival) {
	a.members = make(map[string]jid.JID)
	for _, o := range arrival.Occupants {
		s.note(a, o)
	}
	vouched := a.inviter.IsZero()
	for _, who := range a.members {
		vouched = vouched || who == a.inviter
	}
	if arrival.Created || len(a.members) == 0 || !vouched {
		s.count.Refused++
		s.quit(a)
		return
	}
	a.inside = true
	s.store.PutActivity(a.Activity)
	s.update(a)
}

func (s *Server) occupantLeft(a *sharing, nick string) {
	delete(a.members, nick)
	if len(a.members) == 0 {
		s.quit(a) // and the room ends, if it is one of activities
		return
	}
	s.update(a)
}

// roomMessage takes what somebody in the room says that the activity is. What
// was said at another time is not so now.
func (s *Server) roomMessage(a *sharing, m muc.Message) {
	said, ok := olpc.ParseProperties(m.Stanza)
	if !ok || m.Own || m.Nick == "" || !a.inside || said.ID != a.ID || m.Delayed {
		return
	}
	if !said.Visible() {
		a.withdrawn = true
		s.quit(a)
		return
	}
	a.props = said.Properties
	a.confirm.Stop()
	s.update(a)
}

// stayEnded takes the end of our stay that we have not wanted.
func (s *Server) stayEnded(a *sharing) {
	a.stay = nil
	s.inRooms--
	s.quit(a)
}

// quit leaves a room and forgets that we were invited.
func (s *Server) quit(a *sharing) {
	if stay := a.stay; stay != nil {
		a.stay = nil
		s.inRooms--
		s.link.Send(stanza.New(stanza.NSClient, "presence", stanza.A("to", a.Room.WithResource(stay.Nick()).String()), stanza.A("type", "unavailable")))
		stay.Close()
	}
	s.uninvite(a)
	s.store.DeleteActivity(a.Room)
	s.update(a)
}

// uninvite forgets who invited us.
func (s *Server) uninvite(a *sharing) {
	if a.invited && !a.inviter.IsZero() {
		if s.perInviter[a.inviter]--; s.perInviter[a.inviter] <= 0 {
			delete(s.perInviter, a.inviter)
		}
	}
	a.confirm.Stop()
	a.invited, a.inviter, a.inside, a.members, a.props = false, jid.JID{}, false, nil, nil
}

// left is what becomes of an activity when the stream ends: we may be invited
// still, but know nothing of it.
func (s *Server) left(a *sharing) {
	invited := a.invited
	if a.stay != nil {
		a.stay.Close()
		a.stay = nil
		s.inRooms--
	}
	s.uninvite(a)
	a.invited, a.withdrawn = invited, false
	s.update(a)
}

// comeBack goes into a room that we were in before, if it is still there: who
// enters one that is not makes it.
func (s *Server) comeBack(room jid.JID) {
	disco.AskInfo(s.link, room, "", func(_ *disco.Info, err error) {
		a := s.activities[room]
		if a == nil || a.stay != nil || !s.isUp {
			return
		}
		if err != nil {
			if errors.As(err, new(*stanza.Error)) {
				s.quit(a)
			}
			return
		}
		s.enter(a)
		a.confirm = s.loop.After(confirmWithin, "activity not confirmed", func() {
			if a := s.activities[room]; a != nil && a.stay != nil && a.props == nil {
				s.quit(a)
			}
		})
	})
}
