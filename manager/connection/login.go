package connection

import (
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/handle"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/services"
	"telepathy-olpc/xmpp/stanza"
)

// discoTimeout bounds the wait for what the server says of itself. Without an
// answer the account can't publish, but all else works.
const discoTimeout = 10 * time.Second

// login begins the session. All handlers are in place before the first stanza.
func (c *Connection) login() {
	cfg := c.cfg.XMPP
	cfg.Log = c.log
	c.session = xmpp.NewSession(cfg, c.loop, xmpp.Events{
		Ready:   c.ready,
		Lost:    func(err error) { c.finish(endingOf(err, c.status)) },
		Resumed: func() { c.rooms.Check() },
	})
	c.listen(c.session)
	c.capabilities.Load()
	if !cfg.Register {
		c.contactList.Load() // one who registers is another than was known by this name before
	}
	c.session.Connect()
}

// ready runs once the server has bound our resource: it asks what the account
// can do, on the server's address and on the account's own, because servers
// differ in where they say that they keep personal events (XEP-0163 §6.1).
func (c *Connection) ready(full jid.JID) {
	c.self = c.handles.Contacts.Ensure(full.Bare())
	c.Emit(tp.SignalConnectionSelfHandleChanged, c.self)
	c.Emit(tp.SignalConnectionSelfContactChanged, c.self, c.selfID())
	waiting := 2
	proceed := func() {
		if waiting == 0 && c.status == tp.ConnectionStatusConnecting && !c.ended {
			c.connected()
		}
	}
	overdue := c.loop.After(discoTimeout, "discovery overdue", func() {
		waiting = 0
		proceed()
	})
	server, _ := jid.New("", full.Domain(), "")
	for _, entity := range []jid.JID{server, full.Bare()} {
		disco.AskInfo(c.session, entity, "", func(info *disco.Info, err error) {
			if err != nil {
				c.log.WithError(err).WithField("entity", entity).Debug("No answer to discovery")
			} else {
				c.hasPEP = c.hasPEP || pep.Supported(info)
				if entity == server {
					c.server = info
				}
			}
			if waiting--; waiting == 0 {
				overdue.Stop()
				proceed()
			}
		})
	}
}

// connected makes the Connection usable: the own presence first, then the
// status.
func (c *Connection) connected() {
	if !c.hasPEP {
		c.log.Warn("The server has no personal events (XEP-0163): nobody will see this child's colours and activities")
	}
	c.services = c.searchServices()
	c.appear(func() { c.setStatus(tp.ConnectionStatusConnected, tp.ConnectionStatusReasonRequested) })
	c.log.Info("Connected")
}

// searchServices begins to look for what the server has beside itself, so that it
// is known when an activity is shared.
func (c *Connection) searchServices() *services.Search {
	server, _ := jid.New("", c.Self().Domain(), "")
	s := services.New(services.Config{
		Asker:  c.session,
		After:  func(d time.Duration, label string, f func()) func() { return c.loop.After(d, label, f).Stop },
		Server: server,
	})
	s.Start()
	return s
}

// Emit sends a signal of the Connection object.
func (c *Connection) Emit(s tp.Signal, args ...any) { c.bus.Emit(c.path, s, args...) }

// Send sends a stanza; it is dropped when the session is over.
func (c *Connection) Send(e *stanza.Element) { c.session.Send(e) }

// Ask sends an IQ; answer is called once, on the loop.
func (c *Connection) Ask(iq *stanza.Element, answer func(*stanza.Element, error)) {
	c.session.Ask(iq, answer)
}

// After has f run on the loop when d has passed.
func (c *Connection) After(d time.Duration, label string, f func()) *loop.Timer {
	return c.loop.After(d, label, f)
}

// FlushSoon has f called when the burst of like events is over.
func (c *Connection) FlushSoon(f func()) { c.loop.AfterBurst(f) }

// AfterOutput has f called when the bus has taken what was sent, unless the
// connection has ended by then.
func (c *Connection) AfterOutput(f func()) {
	c.bus.AfterOutput(func() {
		c.loop.Post("output", func() {
			if !c.ended {
				f()
			}
		})
	})
}

// Log is the Connection's log.
func (c *Connection) Log() *logrus.Entry { return c.log }

// IsConnected tells whether the status is CONNECTED.
func (c *Connection) IsConnected() bool { return c.status == tp.ConnectionStatusConnected }

// HasPEP tells whether the account can publish; known at CONNECTED.
func (c *Connection) HasPEP() bool { return c.hasPEP }

// Handles are the Connection's handle spaces.
func (c *Connection) Handles() *handle.Set { return &c.handles }

// SelfHandle is the own contact handle, 0 before the session is ready.
func (c *Connection) SelfHandle() uint32 { return c.self }

// Self is the full address that the server bound; zero before that.
func (c *Connection) Self() jid.JID {
	if c.session == nil {
		return jid.JID{}
	}
	return c.session.Self()
}

// Nick is the user's name, as others are to see it; the account's without the
// server when there is no better one.
func (c *Connection) Nick() string {
	if alias := c.aliasing.Alias(c.self); alias != c.selfID() {
		return alias
	}
	return c.Self().Local()
}

// Presence is the user's presence as it is to be sent now.
func (c *Connection) Presence() *stanza.Element { return c.presence.Build() }

// Priority is that of the own presence.
func (c *Connection) Priority() int8 { return c.cfg.Priority }
