package gadgetd

import (
	"maps"
	"time"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// admit counts what an account asks for, and tells whether it may.
func (s *Server) admit(who jid.JID) bool {
	s.asked[who]++
	if s.asked[who] <= s.cfg.Limits.Requests {
		return true
	}
	s.count.Refused++
	return false
}

// handleRequest answers a question for a view or a search.
func (s *Server) handleRequest(iq *stanza.Element) {
	s.count.Requests++
	from, ok := s.served(iq)
	if !ok || from.IsBare() {
		s.count.Refused++
		s.link.Send(stanza.ReplyError(iq, stanza.NewError(stanza.Forbidden, "This component serves others")))
		return
	}
	if !s.admit(from.Bare()) {
		s.link.Send(stanza.ReplyError(iq, &stanza.Error{Type: stanza.TypeWait, Condition: stanza.ResourceConstraint, Text: "Too many requests"}))
		return
	}
	r, failure := gadget.ParseRequest(iq)
	var content gadget.Content
	switch {
	case failure != nil:
	case r.View == "":
		content = s.dir.Search(r)
	default:
		s.heardOf(from)
		if content, failure = s.dir.Open(from, r); failure == nil {
			s.heard[from] = time.Now()
		}
	}
	if failure != nil {
		s.count.Refused++
		s.link.Send(stanza.ReplyError(iq, failure))
		return
	}
	s.link.Send(stanza.Reply(iq, content.Element()))
}

// handlePersonal takes a message of somebody we serve.
func (s *Server) handlePersonal(from jid.JID, e *stanza.Element) {
	if ev, ok := pep.ParseEvent(e); ok {
		s.handleEvent(ev)
		return
	}
	for _, c := range gadget.ParseClose(e) {
		s.dir.Close(from, c)
	}
	if a, ok := olpc.ParseProperties(e); ok && s.admit(from.Bare()) {
		s.handleProperties(from.Bare(), a)
	}
}

// notify sends the news of a view.
func (s *Server) notify(owner jid.JID, n gadget.Notification) {
	s.count.Notifications++
	s.link.Send(gadget.Message(owner, n))
}

// heardOf notes a sign of life of a client with views.
func (s *Server) heardOf(client jid.JID) {
	if _, ok := s.heard[client]; ok {
		s.heard[client] = time.Now()
	}
}

// sweepViews asks clients for a sign of life who have views and may be gone:
// only of those who publish we are told.
func (s *Server) sweepViews() {
	s.sweep = s.loop.After(sweepEvery, "sweep", s.sweepViews)
	clear(s.asked)
	maps.DeleteFunc(s.heard, func(client jid.JID, _ time.Time) bool { return !s.dir.HasViews(client) })
	for client, last := range s.heard {
		if p := s.publishers[client.Bare()]; p != nil && p.devices[client.Resource()] || time.Since(last) < silentFor {
			continue
		}
		s.heard[client] = time.Now()
		s.jobs.add(func() { s.ping(client) })
	}
	s.work()
}

// dead holds the errors that say that a client is not there. Its server says
// service-unavailable for it, which a client that does not know pings may also
// say: then the views end as well, and can be opened again.
var dead = map[stanza.Condition]bool{
	stanza.ServiceUnavailable: true, stanza.RecipientUnavailable: true, stanza.ItemNotFound: true, stanza.Gone: true, stanza.RemoteServerNotFound: true,
}

func (s *Server) ping(client jid.JID) {
	iq := stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", client.String()), stanza.New(xmpp.NSPing, "ping"))
	s.link.Ask(iq, func(_ *stanza.Element, err error) {
		if e, ok := err.(*stanza.Error); ok && dead[e.Condition] {
			s.gone(client)
		}
	})
}
