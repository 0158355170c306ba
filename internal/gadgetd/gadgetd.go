// Package gadgetd is the OLPC server component: what telepathy-gabble's authors
// called Gadget. It hears from the children of a school what they look like, do
// and share, and shows it to those who ask, in views of bounded size.
//
// A [Server] does what follows from stanzas; what it knows to be public is in a
// directory, which keeps the views. Everything belongs to one loop.
//
// # Who is shown, and to whom
//
// Only accounts of the domains served can publish, ask or be shown. A buddy is
// shown while it publishes (the component has a subscription to its presence,
// which the account can end at any time), is on-line and has told its
// properties. An activity is shown while it is public: while the component is
// in its room, after a publisher who is in that room invited it there and said
// so, until anybody in the room says that it is private; or while one who
// publishes lists it as public among its own activities. Who takes part in a
// public activity is shown with it, as to everybody who could join it: without
// properties if it does not publish. What somebody is doing is shown only as
// far as it is a public activity. So who neither publishes nor takes part in
// something public is shown to nobody, and nobody can publish another.
//
// # After a restart
//
// Of the time before, only who publishes and which rooms the component was in
// is known. What was public is not taken to be so still: an activity is shown
// again when one who is in its room lists it as public.
package gadgetd

import (
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/gadgetd/directory"
	"telepathy-olpc/internal/gadgetd/store"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// Config says whom to serve and how much.
type Config struct {
	Domains []string // whose accounts are served
	Rooms   []string // services whose rooms can be activities; none for all that are below the domains
	Limits  Limits
}

// Limits on what clients can make the component keep and do.
type Limits struct {
	Publishers int // accounts
	Views      int // of one account
	Size       int // entries in one view or answer
	Requests   int // of one account within a minute
	Activities int // that one account invites to or lists first
	Rooms      int // in which the component is
}

// DefaultLimits are for a school of 50,000.
var DefaultLimits = Limits{Publishers: 100_000, Views: 8, Size: 200, Requests: 120, Activities: 32, Rooms: 20_000}

// Link is the component's stream.
type Link interface {
	Self() jid.JID
	Send(*stanza.Element)
	Ask(iq *stanza.Element, answer func(reply *stanza.Element, err error))
	Waiting() int // bytes that are not yet taken
	HandleIQ(space string, handle func(iq *stanza.Element))
	HandleMessage(handle func(*stanza.Element) bool)
	HandlePresence(handle func(*stanza.Element) bool)
}

// Server is the component. All methods are for the loop.
type Server struct {
	cfg   Config
	link  Link
	loop  *loop.Loop
	store store.Store
	log   *logrus.Entry
	dir   *directory.Directory

	caps       *stanza.Element // in our presence
	info       *disco.Info
	isUp       bool
	publishers map[jid.JID]*publisher
	activities map[jid.JID]*sharing // by room
	inRooms    int
	perInviter map[jid.JID]int
	hints      map[jid.JID]*hint // by room: half an invitation
	asked      map[jid.JID]int   // requests of accounts since the last sweep
	heard      map[jid.JID]time.Time
	jobs       queue
	fetches    queue
	flush      *loop.Timer
	sweep      *loop.Timer
	jobTimer   *loop.Timer
	count      Counters
}

// Counters count what has happened since the start.
type Counters struct{ Requests, Refused, Notifications, Fetches, Restarts, Invitations uint64 }

// Times.
const (
	// flushAfter is how long changes are collected: a viewer is told at most
	// five times in a second, however much happens.
	flushAfter = 200 * time.Millisecond
	// fetchAfter is how long a buddy who has come has for its events, before
	// what has not come is asked for.
	fetchAfter = time.Second
	// sweepEvery is how often views are looked at whose client may be gone
	// without a word.
	sweepEvery = time.Minute
	silentFor  = 5 * time.Minute
	// meetWithin is how long the two halves of an invitation, which travel
	// different ways, may be apart.
	meetWithin = 5 * time.Second
	// confirmWithin is how long after a restart an activity may take to be
	// found public still.
	confirmWithin = time.Minute
)

// New returns a Server on a link that is not yet connected, with what the store
// has kept.
func New(cfg Config, link Link, l *loop.Loop, st store.Store, kept store.State, log *logrus.Entry) (*Server, error) {
	s := &Server{
		cfg: cfg, link: link, loop: l, store: st, log: log,
		publishers: make(map[jid.JID]*publisher), activities: make(map[jid.JID]*sharing), perInviter: make(map[jid.JID]int),
		hints: make(map[jid.JID]*hint), asked: make(map[jid.JID]int), heard: make(map[jid.JID]time.Time),
	}
	s.dir = directory.New(directory.Config{
		Notify: s.notify,
		Dirty:  func() { s.flush = l.After(flushAfter, "flush", s.dir.Flush) },
		Limits: directory.Limits{Views: cfg.Limits.Views, Size: cfg.Limits.Size},
	})
	s.info = &disco.Info{
		Identities: []disco.Identity{{Category: gadget.Category, Type: gadget.Type, Name: "OLPC Gadget"}},
		Features: append([]string{gadget.NSBuddy, gadget.NSActivity, disco.NSInfo, disco.NSItems, caps.NS, xmpp.NSPing, pep.NodeNick + "+notify"},
			olpc.NotifyFeatures()...),
	}
	hash, err := caps.Hash("sha-1", s.info)
	if err != nil {
		return nil, err
	}
	s.caps = stanza.New(caps.NS, "c", stanza.A("hash", "sha-1"), stanza.A("node", caps.Node), stanza.A("ver", hash))
	for _, p := range kept.Publishers {
		s.publishers[p.JID] = &publisher{jid: p.JID, hears: p.Hears, publishes: p.Publishes}
	}
	for _, a := range kept.Activities {
		s.activities[a.Room] = &sharing{Activity: a, invited: true}
	}
	s.listen()
	return s, nil
}

// listen registers the handlers.
func (s *Server) listen() {
	s.link.HandleIQ(disco.NSInfo, func(iq *stanza.Element) { s.link.Send(disco.Answer(iq, s.describe)) })
	s.link.HandleIQ(disco.NSItems, func(iq *stanza.Element) { s.link.Send(disco.AnswerItems(iq)) })
	s.link.HandleIQ(gadget.NSBuddy, s.handleRequest)
	s.link.HandleIQ(gadget.NSActivity, s.handleRequest)
	s.link.HandlePresence(s.handlePresence)
	s.link.HandleMessage(s.handleMessage)
}

func (s *Server) describe(node string) *disco.Info {
	if node == "" || node == caps.Node+"#"+s.caps.Attr("ver") {
		info := *s.info
		info.Node = node
		return &info
	}
	return nil
}

// SetConfig changes whom to serve and how much, from now on. Who is not served
// any more is shown no more.
func (s *Server) SetConfig(cfg Config) {
	s.cfg = cfg
	s.dir.SetLimits(directory.Limits{Views: cfg.Limits.Views, Size: cfg.Limits.Size})
	for who := range s.publishers {
		if !s.serves(who) {
			s.drop(who)
		}
	}
	for _, owner := range s.dir.Viewers() {
		if !s.serves(owner) {
			s.dir.CloseAll(owner)
		}
	}
}

// Up begins on a new stream: all who hear us are told that we are here, which
// also tells them that the views of before are gone, and those who publish are
// asked whether they are on-line.
func (s *Server) Up() {
	s.isUp = true
	s.count.Restarts++
	for who := range s.publishers {
		s.jobs.add(func() { s.greet(who) })
	}
	for room, a := range s.activities {
		if a.invited {
			s.jobs.add(func() { s.comeBack(room) })
		}
	}
	s.work()
	s.sweep = s.loop.After(sweepEvery, "sweep", s.sweepViews)
}

// Down forgets what depends on the stream that has ended.
func (s *Server) Down() {
	if !s.isUp {
		return
	}
	s.isUp = false
	for _, t := range []*loop.Timer{s.flush, s.sweep, s.jobTimer} {
		t.Stop()
	}
	s.jobs, s.fetches = queue{}, queue{}
	for _, owner := range s.dir.Viewers() {
		s.dir.CloseAll(owner)
	}
	s.dir.Flush()
	for _, h := range s.hints {
		h.timer.Stop()
	}
	clear(s.hints)
	clear(s.heard)
	for _, p := range s.publishers {
		s.offline(p)
	}
	for _, a := range s.activities {
		s.left(a)
	}
}

// Goodbye tells all who hear us, and the rooms, that we go. What is said goes
// out before the stream is closed.
func (s *Server) Goodbye() {
	if !s.isUp {
		return
	}
	for _, a := range s.activities {
		if a.stay != nil {
			a.stay.Leave("")
		}
	}
	for who, p := range s.publishers {
		// Each has time for a goodbye only if not all are there to hear it.
		if p.hears && len(p.devices) > 0 && s.link.Waiting() < maxGoodbye {
			s.sendPresence(who, "unavailable")
		}
	}
	s.Down()
}

// maxGoodbye bounds what a goodbye may take to get out.
const maxGoodbye = 4 << 20

// Stats is what there is now, and has been done.
type Stats struct {
	directory.Stats
	Counters
	Up                                      bool
	Publishers, Online, Rooms, Waiting, Due int
}

// Stats counts.
func (s *Server) Stats() Stats {
	st := Stats{Stats: s.dir.Stats(), Counters: s.count, Up: s.isUp, Rooms: s.inRooms, Waiting: s.link.Waiting(), Due: s.jobs.len() + s.fetches.len()}
	for _, p := range s.publishers {
		if p.publishes {
			st.Publishers++
		}
		if len(p.devices) > 0 {
			st.Online++
		}
	}
	return st
}
