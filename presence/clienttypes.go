package presence

import (
	"errors"
	"slices"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/caps"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// clientTypes are the types that Telepathy shares with the registry of
// XEP-0030's identities.
var clientTypes = []string{"bot", "console", "game", "handheld", "pc", "phone", "sms", "web"}

// typesOf lists the types of a client, in the table's order.
func typesOf(info *disco.Info) []string {
	types := []string{}
	for _, t := range clientTypes {
		if info.Is("client", t) {
			types = append(types, t)
		}
	}
	return types
}

// ClientTypes serves Connection.Interface.ClientTypes.
func (c *Capabilities) ClientTypes() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionClientTypes,
		Methods: map[string]func(*bus.Call){
			"GetClientTypes":     whileConnected(c.host, c.getClientTypes),
			"RequestClientTypes": whileConnected(c.host, c.requestClientTypes),
		},
	}
}

// ClientTypesAttributes tells the Contacts interface of what type a contact's
// best device is, if that is known.
func (c *Capabilities) ClientTypesAttributes(contact uint32) map[string]any {
	s := c.known[contact]
	if s == nil {
		return nil
	}
	return map[string]any{tp.ContactAttributeConnectionClientTypesClientTypes: s.types}
}

// getClientTypes answers with what is known, and has those asked who announce
// nothing of themselves. Those who do are asked already.
func (c *Capabilities) getClientTypes(call *bus.Call) {
	contacts, are := contactsOf(c.host, call)
	if !are {
		return
	}
	told := make(map[uint32][]string, len(contacts))
	for _, contact := range contacts {
		if s := c.known[contact]; s != nil {
			told[contact] = s.types
			continue
		}
		if best, online := c.best(contact); online && c.mute[best] {
			c.resolver.Seen(best, caps.Caps{}) // asked when its turn comes
		}
	}
	call.Return(told)
}

// best gives the contact's device that its presence is shown of, unless it is
// off-line.
func (c *Capabilities) best(contact uint32) (full jid.JID, online bool) {
	bare, _ := c.host.Handles().Contacts.ID(contact)
	person := c.people.Find(bare)
	if person == nil || !person.Online() {
		return jid.JID{}, false
	}
	return bare.WithResource(person.resources[0].name), true
}

// requestClientTypes asks the contact's best device itself when its type is
// not known, and waits for the answer.
func (c *Capabilities) requestClientTypes(call *bus.Call) {
	contact, is := contactOf(c.host, call)
	if !is {
		return
	}
	if s := c.known[contact]; s != nil {
		call.Return(s.types)
		return
	}
	best, online := c.best(contact)
	if !online {
		call.Return([]string{})
		return
	}
	disco.AskInfo(c.host, best, "", func(info *disco.Info, err error) {
		switch {
		case err == nil:
			c.tell(contact, info)
			call.Return(typesOf(info))
		case isUntold(err):
			call.Return([]string{})
		default:
			call.Fail(refusal(err))
		}
	})
}

// tell announces what a contact answered when it was asked by itself, unless
// more was learned, or it left, meanwhile.
func (c *Capabilities) tell(contact uint32, info *disco.Info) {
	if _, online := c.best(contact); online && c.known[contact] == nil {
		var n news
		c.learn(contact, c.newSkills(info), &n)
		c.announce(n)
	}
}

// untold are the refusals that say that there is no information to be found.
var untold = []stanza.Condition{
	stanza.BadRequest,
	stanza.FeatureNotImplemented,
	stanza.ItemNotFound,
	stanza.ServiceUnavailable, // also a server's for a device that is gone, RFC 6121 §8.5.3.2.3
}

func isUntold(err error) bool {
	var refused *stanza.Error
	return errors.As(err, &refused) && slices.Contains(untold, refused.Condition)
}
