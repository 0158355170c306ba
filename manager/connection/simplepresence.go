package connection

import "telepathy-olpc/presence"

// StatusSpec is Simple_Status_Spec, (ubb).
type StatusSpec = presence.StatusSpec

// Statuses are the presence statuses of every Connection.
func Statuses() map[string]StatusSpec { return presence.Statuses() }

func (c *Connection) serveSimplePresence() serving {
	return serving{Interface: c.presence.Interface(), attributes: c.presence.Attributes}
}
