package presence

import "telepathy-olpc/xmpp/jid"

// HasFeature tells whether somebody's client is known to have a feature: the
// device with this full address or, given a bare one, any of the contact's.
// A client that is not known yet has none.
func (c *Capabilities) HasFeature(who jid.JID, feature string) bool {
	if !who.IsBare() {
		return c.resolver.Info(who).Has(feature)
	}
	person := c.people.Find(who)
	if person == nil {
		return false
	}
	for _, full := range person.Resources() {
		if c.resolver.Info(full).Has(feature) {
			return true
		}
	}
	return false
}
