package presence

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// handlerCapabilities is Handler_Capabilities, (saa{sv}as).
type handlerCapabilities struct {
	Client  string
	Filters []map[string]dbus.Variant
	Tokens  []string // of media channels, which are not offered
}

// ContactCapabilities serves Connection.Interface.ContactCapabilities.
func (c *Capabilities) ContactCapabilities() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionContactCapabilities,
		Methods: map[string]func(*bus.Call){
			"UpdateCapabilities":     c.updateCapabilities,
			"GetContactCapabilities": whileConnected(c.host, c.getContactCapabilities),
		},
	}
}

// ContactCapabilitiesAttributes tells the Contacts interface what can be
// requested of a contact, if that is known.
func (c *Capabilities) ContactCapabilitiesAttributes(contact uint32) map[string]any {
	s := c.known[contact]
	if s == nil {
		return nil
	}
	return map[string]any{tp.ContactAttributeConnectionContactCapabilitiesCapabilities: s.classes}
}

func (c *Capabilities) updateCapabilities(call *bus.Call) {
	var list []handlerCapabilities
	if !call.Args(&list) {
		return
	}
	c.update(list)
	call.Return()
}

// update replaces what each of the clients handles, at any time also before
// connecting.
func (c *Capabilities) update(list []handlerCapabilities) {
	for _, client := range list {
		var features []string
		for _, filter := range client.Filters {
			features = append(features, c.classes.features(filter)...)
		}
		if len(features) == 0 {
			delete(c.clients, client.Client)
			continue
		}
		c.clients[client.Client] = features
	}
	c.change()
}

func (c *Capabilities) getContactCapabilities(call *bus.Call) {
	contacts, are := contactsOf(c.host, call)
	if !are {
		return
	}
	told := make(map[uint32][]channelClass, len(contacts))
	for _, contact := range contacts {
		if s := c.known[contact]; s != nil {
			told[contact] = s.classes
		}
	}
	call.Return(told)
}
