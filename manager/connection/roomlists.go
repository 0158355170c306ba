package connection

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
)

// FindConference gives the server's own service for rooms, or else the one that
// the account names, as soon as it is known.
func (c *Connection) FindConference(done func(service jid.JID, found bool)) {
	c.services.First(services.Conference, func(s services.Service, found bool) {
		if found {
			done(s.JID, true)
			return
		}
		named, err := jid.Parse(c.cfg.FallbackConference)
		done(named, err == nil)
	})
}
