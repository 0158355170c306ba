package connection

import (
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/presence"
)

// serving is one optional interface of a Connection.
type serving struct {
	bus.Interface
	// attributes gives what Contacts tells of a contact under this
	// interface, by full attribute name; nil where it tells nothing.
	attributes func(contact uint32) map[string]any
}

// optional is the table behind Connection.Interfaces: what is not in it is
// neither exported nor announced. All are there from the first moment, because
// Sugar asks for the list once, before it is connected.
var optional = []struct {
	facts *tp.Interface
	serve func(*Connection) serving
}{
	{tp.InterfaceConnectionRequests, (*Connection).serveRequests},
	{tp.InterfaceConnectionContacts, (*Connection).serveContacts},
	{tp.InterfaceConnectionSimplePresence, func(c *Connection) serving {
		return serving{c.presence.Interface(), c.presence.Attributes}
	}},
	{tp.InterfaceConnectionAliasing, func(c *Connection) serving {
		return serving{c.aliasing.Interface(), c.aliasing.Attributes}
	}},
	{tp.InterfaceConnectionContactCapabilities, func(c *Connection) serving {
		return serving{c.capabilities.ContactCapabilities(), c.capabilities.ContactCapabilitiesAttributes}
	}},
	{tp.InterfaceConnectionClientTypes, func(c *Connection) serving {
		return serving{c.capabilities.ClientTypes(), c.capabilities.ClientTypesAttributes}
	}},
	{tp.InterfaceConnectionContactList, func(c *Connection) serving {
		return serving{c.contactList.Interface(), c.contactList.Attributes}
	}},
	{tp.InterfaceConnectionContactGroups, func(c *Connection) serving {
		return serving{c.groups.Interface(), c.groups.Attributes}
	}},
	{tp.InterfaceConnectionContactBlocking, func(c *Connection) serving {
		return serving{c.blocking.Interface(), c.blocking.Attributes}
	}},
	{tp.InterfaceConnectionContactInfo, func(c *Connection) serving {
		return serving{c.contactInfo.Interface(), c.contactInfo.Attributes}
	}},
	{tp.InterfaceConnectionAvatars, func(c *Connection) serving {
		return serving{c.avatars.Interface(), c.avatars.Attributes}
	}},
	{tp.InterfaceBuddyInfo, func(c *Connection) serving {
		return serving{Interface: presence.NewBuddyInfo(c, c.activities).Interface()}
	}},
	{tp.InterfaceActivityProperties, func(c *Connection) serving {
		return serving{Interface: presence.NewActivityProperties(c, c.activities).Interface()}
	}},
	{tp.InterfaceGadget, func(c *Connection) serving { return serving{Interface: c.gadget.Interface()} }},
}

// Interfaces lists the optional interfaces of every Connection.
func Interfaces() []string {
	names := make([]string, len(optional))
	for i, o := range optional {
		names[i] = o.facts.Name
	}
	return names
}

// StatusSpec is Simple_Status_Spec, (ubb).
type StatusSpec = presence.StatusSpec

// Statuses are the presence statuses of every Connection.
func Statuses() map[string]StatusSpec { return presence.Statuses() }
