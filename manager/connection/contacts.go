package connection

import (
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// attributeContactID is on every contact, asked for or not.
var attributeContactID = tp.InterfaceConnection.Name + "/contact-id"

func (c *Connection) serveContacts() serving {
	return serving{Interface: bus.Interface{
		Facts: tp.InterfaceConnectionContacts,
		Methods: map[string]func(*bus.Call){
			"GetContactAttributes": c.whileConnected(c.getContactAttributes),
			"GetContactByID":       c.whileConnected(c.getContactByID),
		},
		Properties: map[string]func() any{
			"ContactAttributeInterfaces": func() any { return c.attributeInterfaces() },
		},
	}}
}

func (c *Connection) attributeInterfaces() []string {
	names := []string{tp.InterfaceConnection.Name}
	for _, s := range c.served {
		if s.attributes != nil {
			names = append(names, s.Facts.Name)
		}
	}
	return names
}

// getContactAttributes leaves out handles that are none and interfaces that
// have nothing to tell (Contacts.GetContactAttributes).
func (c *Connection) getContactAttributes(call *bus.Call) {
	var handles []uint32
	var interfaces []string
	var hold bool
	if !call.Args(&handles, &interfaces, &hold) {
		return
	}
	c.whenNamed(handles, interfaces, func() {
		all := make(map[uint32]map[string]dbus.Variant, len(handles))
		for _, h := range handles {
			if a := c.attributes(h, interfaces); a != nil {
				all[h] = a
			}
		}
		call.Return(all)
		for _, h := range handles { // in the order asked for
			c.activities.Introduced(h)
		}
	})
}

// whenNamed waits until the contacts have aliases, if aliases are wanted: to
// Sugar's Chat the first one told is the name of who has joined.
func (c *Connection) whenNamed(contacts []uint32, interfaces []string, then func()) {
	if !slices.Contains(interfaces, tp.InterfaceConnectionAliasing.Name) {
		then()
		return
	}
	c.aliasing.Prepare(contacts, then)
}

func (c *Connection) getContactByID(call *bus.Call) {
	var id string
	var interfaces []string
	if !call.Args(&id, &interfaces) {
		return
	}
	h, err := c.ensureHandle(tp.HandleTypeContact, id)
	if err != nil {
		call.Fail(err)
		return
	}
	c.whenNamed([]uint32{h}, interfaces, func() {
		call.Return(h, c.attributes(h, interfaces))
		c.activities.Introduced(h)
	})
}

// attributes collects what the named interfaces tell of a contact; nil when
// the handle is none.
func (c *Connection) attributes(contact uint32, interfaces []string) map[string]dbus.Variant {
	id, known := c.handles.Contacts.ID(contact)
	if !known {
		return nil
	}
	told := map[string]any{attributeContactID: id.String()}
	for _, s := range c.served {
		if s.attributes != nil && slices.Contains(interfaces, s.Facts.Name) {
			maps.Copy(told, s.attributes(contact))
		}
	}
	variants := make(map[string]dbus.Variant, len(told))
	for name, value := range told {
		variants[name] = dbus.MakeVariant(value)
	}
	return variants
}
