package gadgetd

import (
	"telepathy-olpc/internal/gadgetd/store"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// publisher is somebody with whom we have a subscription, in the words of
// [store.Publisher].
type publisher struct {
	jid       jid.JID
	hears     bool
	publishes bool

	greeted bool            // our presence was sent since it came, or since we did
	devices map[string]bool // on-line, by resource
	stay    int             // counts how often it came, so that a late answer is known as such
	known   map[string]bool // nodes that were told since it came
	asked   map[string]bool // nodes that are asked for
	nick    string
	props   olpc.Properties
	current olpc.Activity
	listed  []olpc.Activity             // its activities
	details map[jid.JID]olpc.Properties // of those, by room
}

// maxDevices bounds the resources of one account.
const maxDevices = 16

// maxNick is what of a name is shown.
const maxNick = 255

// served gives the account that a stanza is from, if we serve it.
func (s *Server) served(e *stanza.Element) (jid.JID, bool) {
	from, err := jid.ParseLenient(e.Attr("from"))
	return from, err == nil && s.serves(from)
}

func (s *Server) serves(who jid.JID) bool {
	if who.Local() == "" {
		return false
	}
	for _, d := range s.cfg.Domains {
		if d == who.Domain() {
			return true
		}
	}
	return false
}

// handlePresence takes a presence: of a room that we are in, or of somebody.
func (s *Server) handlePresence(e *stanza.Element) bool {
	from, err := jid.ParseLenient(e.Attr("from"))
	if err != nil {
		return true
	}
	if a := s.activities[from.Bare()]; a != nil && a.stay != nil && a.stay.HandlePresence(e) {
		return true
	}
	if !s.serves(from) {
		if t := e.Attr("type"); t == "subscribe" || t == "probe" {
			s.sendPresence(from.Bare(), "unsubscribed")
		}
		return true
	}
	s.heardOf(from)
	if handle := presences[e.Attr("type")]; handle != nil {
		handle(s, from)
		return true
	}
	if e.Attr("type") == "error" {
		s.handlePresenceError(from, e)
	}
	return true
}

// presences says what to do with a presence of each type, RFC 6121 §3 and §4.
var presences = map[string]func(*Server, jid.JID){
	"":             (*Server).handleAvailable,
	"unavailable":  (*Server).handleUnavailable,
	"subscribe":    (*Server).handleSubscribe,
	"subscribed":   (*Server).handleSubscribed,
	"unsubscribe":  (*Server).handleUnsubscribe,
	"unsubscribed": (*Server).handleUnsubscribed,
	"probe":        (*Server).handleProbe,
}

// sendPresence sends a presence without content.
func (s *Server) sendPresence(to jid.JID, typ string) {
	s.link.Send(stanza.New(stanza.NSClient, "presence", stanza.A("to", to.String()), stanza.A("type", typ)))
}

// sendAvailable says that we are here, and which events we want: to those who
// publish their servers send them on account of it. To a client it says that we
// have just started, and that it has no views; so it has none.
func (s *Server) sendAvailable(to jid.JID) {
	s.gone(to)
	if p := s.publishers[to.Bare()]; p != nil {
		p.greeted = true
	}
	s.link.Send(stanza.New(stanza.NSClient, "presence", stanza.A("to", to.String()), s.caps))
}

// handleSubscribe takes the wish to publish. Clients repeat it in each session,
// and what they, or their server, has forgotten is so put right: our own wish is
// repeated as well, and answered by their server if it is granted.
func (s *Server) handleSubscribe(from jid.JID) {
	who := from.Bare()
	p := s.publishers[who]
	if !s.admit(who) {
		return // what was granted before stays so
	}
	if p == nil && len(s.publishers) >= s.cfg.Limits.Publishers {
		s.count.Refused++
		s.sendPresence(who, "unsubscribed")
		return
	}
	if p == nil {
		p = &publisher{jid: who}
		s.publishers[who] = p
	}
	p.hears = true
	s.keep(p)
	s.sendPresence(who, "subscribed")
	s.sendPresence(who, "subscribe")
}

// handleSubscribed takes the grant of our wish: from now on it publishes. What
// events we want is said only now: ejabberd 23.01 passes over what somebody
// wants who may not yet see.
func (s *Server) handleSubscribed(from jid.JID) {
	p := s.publishers[from.Bare()]
	if p == nil || !p.hears || p.publishes {
		return // nobody was asked
	}
	p.publishes = true
	s.keep(p)
	s.sendAvailable(p.jid)
	s.sendPresence(p.jid, "probe")
}

func (s *Server) handleUnsubscribe(from jid.JID) {
	p := s.publishers[from.Bare()]
	if p == nil || !p.hears {
		return
	}
	p.hears = false
	s.keep(p)
	s.sendPresence(p.jid, "unsubscribed")
	s.sendPresence(p.jid, "unavailable")
}

// handleUnsubscribed takes the end of publishing.
func (s *Server) handleUnsubscribed(from jid.JID) {
	p := s.publishers[from.Bare()]
	if p == nil || !p.publishes {
		return
	}
	s.offline(p)
	p.publishes = false
	s.keep(p)
}

// keep writes a record down, and forgets one that has no use any more.
func (s *Server) keep(p *publisher) {
	s.store.PutPublisher(store.Publisher{JID: p.jid, Hears: p.hears, Publishes: p.publishes})
	if !p.hears && !p.publishes {
		delete(s.publishers, p.jid)
	}
}

// drop ends a publication from our side.
func (s *Server) drop(who jid.JID) {
	p := s.publishers[who]
	s.offline(p)
	p.hears, p.publishes = false, false
	s.keep(p)
	if s.isUp {
		s.sendPresence(who, "unsubscribed")
		s.sendPresence(who, "unsubscribe")
	}
}

// handleProbe answers the server of somebody who comes on-line.
func (s *Server) handleProbe(from jid.JID) {
	p := s.publishers[from.Bare()]
	switch {
	case p == nil || !p.hears:
		s.sendPresence(from.Bare(), "unsubscribed")
	case from.IsBare() && (p.greeted || !p.publishes):
		// Prosody asks for the whole account while a subscription is made. To
		// answer would end the views that a client has opened meanwhile.
	default:
		s.sendAvailable(from)
	}
}

func (s *Server) handleAvailable(from jid.JID) {
	p := s.publishers[from.Bare()]
	if p == nil || !p.publishes || len(p.devices) >= maxDevices && !p.devices[from.Resource()] {
		return
	}
	if len(p.devices) == 0 {
		p.devices, p.known, p.asked = make(map[string]bool), make(map[string]bool), make(map[string]bool)
		p.stay++
		s.askLater(p)
	}
	p.devices[from.Resource()] = true
}

// handleUnavailable takes the end of a device, or, without one, of all.
func (s *Server) handleUnavailable(from jid.JID) {
	s.gone(from)
	p := s.publishers[from.Bare()]
	if p == nil {
		return
	}
	if delete(p.devices, from.Resource()); len(p.devices) == 0 || from.IsBare() {
		s.offline(p)
	}
}

// gone closes the views of a client, or of all clients of an account.
func (s *Server) gone(client jid.JID) {
	if client.IsBare() {
		s.dir.CloseAccount(client)
		return
	}
	s.dir.CloseAll(client)
	delete(s.heard, client)
}

// handlePresenceError takes what became of a presence of ours. Who does not
// exist any more has no publication.
func (s *Server) handlePresenceError(from jid.JID, e *stanza.Element) {
	s.handleUnavailable(from)
	if p := s.publishers[from.Bare()]; p != nil && stanza.ErrorOf(e).Condition == stanza.Gone {
		p.hears, p.publishes = false, false
		s.keep(p)
	}
}

// offline forgets what somebody has shown.
func (s *Server) offline(p *publisher) {
	s.dir.HideBuddy(p.jid)
	s.setList(p, nil, nil)
	*p = publisher{jid: p.jid, hears: p.hears, publishes: p.publishes, stay: p.stay + 1}
}

// greet is how somebody who was known before hears of a new stream.
func (s *Server) greet(who jid.JID) {
	p := s.publishers[who]
	if p == nil {
		return
	}
	if p.hears {
		s.sendAvailable(who)
	}
	if p.publishes {
		s.sendPresence(who, "probe")
	}
}

// show shows somebody as far as it is known.
func (s *Server) show(p *publisher) {
	if p.props == nil || len(p.devices) == 0 {
		return
	}
	alias := p.nick
	if nick, ok := p.props["nick"].(string); ok && alias == "" {
		alias = nick
	}
	if len(alias) > maxNick {
		alias = ""
	}
	s.dir.ShowBuddy(gadget.Buddy{JID: p.jid, Alias: alias, Properties: p.props})
	s.dir.SetCurrent(p.jid, p.current)
}

// handleEvent takes news from a node of somebody who publishes. Whose node it
// is says the sender, which its server vouches for.
func (s *Server) handleEvent(ev pep.Event) {
	p := s.publishers[ev.Owner]
	if p == nil || !p.publishes || len(p.devices) == 0 || nodes[ev.Node] == nil {
		return
	}
	switch {
	case ev.Kind == pep.Published && ev.Item.Payload != nil:
		s.learn(p, ev.Node, ev.Item.Payload)
	case ev.Kind == pep.Emptied:
		s.learn(p, ev.Node, nil)
	default: // retracted, or left out
		s.fetch(p, ev.Node)
	}
}

// nodes says what is read out of each node; a nil payload is an empty node.
var nodes = map[string]func(*Server, *publisher, *stanza.Element){
	pep.NodeNick:                (*Server).learnNick,
	olpc.NodeBuddyProperties:    (*Server).learnProperties,
	olpc.NodeCurrentActivity:    (*Server).learnCurrent,
	olpc.NodeActivities:         (*Server).learnActivities,
	olpc.NodeActivityProperties: (*Server).learnDetails,
}

func (s *Server) learn(p *publisher, node string, payload *stanza.Element) {
	p.known[node] = true
	nodes[node](s, p, payload)
}

func (s *Server) learnNick(p *publisher, payload *stanza.Element) {
	p.nick, _ = pep.ParseNick(payload)
	s.show(p)
}

func (s *Server) learnProperties(p *publisher, payload *stanza.Element) {
	props, ok := olpc.ParseBuddyProperties(payload)
	if !ok {
		props = olpc.Properties{}
	}
	p.props = props
	s.show(p)
}

func (s *Server) learnCurrent(p *publisher, payload *stanza.Element) {
	p.current, _ = olpc.ParseCurrentActivity(payload)
	s.show(p)
}

func (s *Server) learnActivities(p *publisher, payload *stanza.Element) {
	list, _ := olpc.ParseActivities(payload)
	s.setList(p, list, p.details)
}

func (s *Server) learnDetails(p *publisher, payload *stanza.Element) {
	list, _ := olpc.ParseActivityProperties(payload)
	details := make(map[jid.JID]olpc.Properties, len(list))
	for _, a := range list {
		details[a.Room] = a.Properties
	}
	s.setList(p, p.listed, details)
}
