package load

import (
	"context"
	"fmt"
	"strings"
	"time"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

// member is a child whose Neighborhood is looked at: of everybody where all see
// all, of those in two views where there is a component.
type member struct {
	*child
	school *scaling
	index  int

	// Of the pupil's loop.
	looks, acts         map[jid.JID]bool // of whom these are known
	viewed, shown       int              // wanted numbers of both
	isFull              bool
	awaited             map[jid.JID]string // colours that are to come
	settled             chan<- int
	heardLast           time.Time
	asking              int
	opened              bool
	room                *muc.Room
	neighbors, pictures string // names of the views
}

// patienceForEvents is how long a laptop waits without hearing anything before it
// asks for what is missing, and mostQuestions how much at the same time. A real
// one asks sooner, and for more.
const (
	patienceForEvents = 5 * time.Second
	mostQuestions     = 16
)

func newMember(index int, s *scaling) (*member, error) {
	c, err := newChild(index, s.server, s.relay.port, &s.heard)
	if err != nil {
		return nil, err
	}
	m := &member{child: c, school: s, index: index, looks: make(map[jid.JID]bool), acts: make(map[jid.JID]bool)}
	sharers := (s.Children + oneInFive - 1) / oneInFive
	if c.shares.ID != "" {
		sharers--
	}
	m.viewed, m.shown = s.Children-1, sharers
	if s.Component {
		m.viewed, m.shown = min(m.viewed, s.Buddies), min(m.shown, s.Activities-1) // one may be the own
	}
	c.prepare = m.prepareSession
	return m, nil
}

func (m *member) prepareSession(s *xmpp.Session) {
	s.HandlePresence(func(e *stanza.Element) bool { return m.handlePresence(s, e) })
	s.HandleMessage(m.handleMessage)
}

// come arrives, and does what a connection manager does then.
func (m *member) come(ctx context.Context) error {
	if err := m.arrive(ctx); err != nil {
		return err
	}
	if m.shares.ID != "" {
		if err := m.enter(ctx); err != nil {
			return err
		}
	}
	if !m.school.Component {
		return m.pupil.Do(func(s *xmpp.Session) { m.lookAfter(s) })
	}
	return m.pupil.Send(roster.Subscribe(m.school.gadget, ""))
}

// enter makes the room of the own activity.
func (m *member) enter(ctx context.Context) error {
	ended := make(chan error, 1)
	err := m.pupil.Do(func(s *xmpp.Session) {
		m.room = muc.New(muc.Config{Host: asker{s, m.heard}, After: m.pupil.After, Self: m.pupil.Self, Room: m.shares.Room, Events: muc.Events{
			Joined: func(muc.Arrival) { ended <- nil }, Rejoined: func() {}, Entered: func(muc.Occupant) {}, Left: func(muc.Occupant, muc.Departure) {},
			Renamed: func(string, muc.Occupant) {}, Changed: func(_, _ muc.Occupant) {}, SelfChanged: func(_, _ muc.Occupant) {}, Subject: func(muc.Subject) {},
			Message: func(muc.Message) {}, Failed: func(string, string, *stanza.Error) {}, Declined: func(muc.Decline) {}, Reconfigured: func() {},
			Ended: func(e muc.Ending) { ended <- fmt.Errorf("%s is not let into its room: %+v", m.nick, e) },
		}})
		m.room.Join(muc.Entry{Nick: m.user.Name(), Settings: muc.ForActivity(), Presence: func() *stanza.Element { return stanza.New(stanza.NSClient, "presence") }})
	})
	if err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%s enters its room: %w", m.nick, ctx.Err())
	}
}

// description is what the own activity is.
func (m *member) description() olpc.ActivityProperties {
	return olpc.ActivityProperties{Activity: m.shares, Properties: olpc.Properties{
		"type": "org.laptop.Chat", "name": m.nick + " Chat Activity", "color": m.color, "private": false,
	}}
}

func (m *member) handlePresence(s *xmpp.Session, e *stanza.Element) bool {
	m.heard.presences.Add(1)
	m.heardLast = time.Now()
	if m.room != nil && m.room.HandlePresence(e) || e.Attr("from") != m.school.gadget.String() {
		return true
	}
	switch e.Attr("type") {
	case "subscribe":
		s.Send(roster.Subscribed(m.school.gadget))
	case "":
		m.open(asker{s, m.heard})
	}
	return true
}

// open opens both views and lets the component into the own activity.
func (m *member) open(a asker) {
	if m.opened {
		return
	}
	m.opened, m.neighbors, m.pictures = true, "2", "1"
	for _, r := range []gadget.Request{
		{Kind: gadget.Activities, View: m.pictures, Size: m.school.Activities}, {Kind: gadget.Buddies, View: m.neighbors, Size: m.school.Buddies},
	} {
		a.Ask(r.IQ(m.school.gadget), func(reply *stanza.Element, err error) {
			if err != nil {
				m.school.fail(fmt.Errorf("%s opens a view: %w", m.nick, err))
				return
			}
			content, _ := gadget.ParseContent(reply)
			m.see(content.Buddies, content.Activities)
		})
	}
	if m.room != nil {
		a.Send(olpc.BuildInvitation(m.school.gadget, m.description()))
		a.Send(muc.BuildInvitation(m.shares.Room, m.school.gadget, gadget.InviteReason))
	}
}

func (m *member) handleMessage(e *stanza.Element) bool {
	m.heard.messages.Add(1)
	m.heardLast = time.Now()
	switch {
	case m.room != nil && m.room.HandleMessage(e):
	case m.school.Component:
		if e.Attr("from") == m.school.gadget.String() {
			for _, n := range gadget.ParseNotifications(e) {
				m.handleNews(n)
			}
		}
	default:
		if event, ok := pep.ParseEvent(e); ok && event.Item.Payload != nil {
			m.learn(event.Owner, event.Node, event.Item.Payload)
		}
	}
	return true
}

func (m *member) handleNews(n gadget.Notification) {
	switch n := n.(type) {
	case gadget.Added:
		m.see(n.Buddies, n.Activities)
	case gadget.Removed:
		for _, who := range n.Buddies {
			delete(m.looks, who)
			m.arrived(who, m.awaited[who])
		}
		for _, x := range n.Activities {
			delete(m.acts, x.Room)
		}
	case gadget.BuddyChange:
		m.see([]gadget.Buddy{n.Buddy}, nil)
	}
}

// see takes what views show.
func (m *member) see(buddies []gadget.Buddy, activities []gadget.Activity) {
	for _, b := range buddies {
		if b.Properties != nil {
			m.looksLike(b.JID, b.Properties)
		}
	}
	for _, x := range activities {
		if x.Room != m.shares.Room {
			m.acts[x.Room] = true
		}
	}
	m.check()
}

// learn takes what others publish.
func (m *member) learn(who jid.JID, node string, payload *stanza.Element) {
	switch {
	case who == m.account:
	case node == olpc.NodeBuddyProperties:
		if p, ok := olpc.ParseBuddyProperties(payload); ok {
			m.looksLike(who, p)
		}
	case node == olpc.NodeActivities && payload.First() != nil:
		m.acts[who] = true
	}
	m.check()
}

func (m *member) looksLike(who jid.JID, p olpc.Properties) {
	m.looks[who] = true
	color, _ := p["color"].(string)
	m.arrived(who, color)
}

// check notes when the Neighborhood is full.
func (m *member) check() {
	if !m.isFull && len(m.looks) >= m.viewed && len(m.acts) >= m.shown {
		m.isFull = true
		m.school.full <- m.index
	}
}

// expect has it told when those of the others whom it sees have these colours.
func (m *member) expect(colors map[jid.JID]string, settled chan<- int) error {
	return m.pupil.Do(func(*xmpp.Session) {
		m.awaited, m.settled = make(map[jid.JID]string), settled
		for who, color := range colors {
			if m.looks[who] && who != m.account {
				m.awaited[who] = color
			}
		}
		m.settle()
	})
}

func (m *member) arrived(who jid.JID, color string) {
	if want, awaited := m.awaited[who]; awaited && want == color {
		delete(m.awaited, who)
		m.settle()
	}
}

func (m *member) settle() {
	if len(m.awaited) == 0 && m.settled != nil {
		m.settled <- m.index
		m.settled = nil
	}
}

// lookAfter asks for what does not come: ejabberd loses some events when many
// subscribe at once.
func (m *member) lookAfter(s *xmpp.Session) {
	m.pupil.After(patienceForEvents, "events overdue", func() {
		if !m.isFull && time.Since(m.heardLast) >= patienceForEvents && m.asking == 0 {
			m.askForMissing(s)
		}
		if !m.isFull || m.settled != nil {
			m.lookAfter(s)
		}
	})
}

func (m *member) askForMissing(s *xmpp.Session) {
	for _, other := range m.school.members {
		for node, known := range map[string]bool{
			olpc.NodeBuddyProperties: m.looks[other.account],
			olpc.NodeActivities:      m.acts[other.account] || other.shares.ID == "",
		} {
			if known || other == m || m.asking == mostQuestions {
				continue
			}
			m.asking++
			m.school.fetched.Add(1)
			pep.Fetch(asker{s, m.heard}, other.account, node, func(item pep.Item, err error) {
				m.asking--
				if err == nil && item.Payload != nil {
					m.learn(other.account, node, item.Payload)
				}
				if m.asking == 0 && !m.isFull {
					m.askForMissing(s)
				}
			})
		}
	}
}

// turned is a colour after [child.change].
func turned(color string) string {
	stroke, fill, _ := strings.Cut(color, ",")
	return fill + "," + stroke
}
