package connection

import (
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/presence"
	"telepathy-olpc/xmpp"
)

// Config is what a Connection is made of: the checked account parameters.
type Config struct {
	Manager  string // name of the connection manager, part of the bus name
	Protocol string // protocol name, likewise
	XMPP     xmpp.Config
	Priority int8 // of the presence, RFC 6121 §4.7.2.3
	// FallbackConference is the conference service when the server names
	// none; empty stands for "conference.<domain>".
	FallbackConference string
	// FallbackRelays are relays for streams besides the server's (XEP-0065).
	FallbackRelays []string
	// Gadget says what to have of a server component without being asked.
	Gadget presence.Sizes
	// Linger is how long a room is kept whose users have all left the bus; 0
	// is 60 s.
	Linger time.Duration
}

const pathPrefix = "/org/freedesktop/Telepathy/Connection/"

// Path is the Connection's object path. It tells accounts and resources
// apart, so two requests for the same login collide (Telepathy specification,
// Connection: object path and bus name).
func (c Config) Path() dbus.ObjectPath {
	id := c.XMPP.Account.String()
	if c.XMPP.Resource != "" {
		id += "/" + c.XMPP.Resource
	}
	return dbus.ObjectPath(pathPrefix + c.Manager + "/" +
		strings.ReplaceAll(c.Protocol, "-", "_") + "/" + escape(id))
}

// BusName is the Connection's well-known name: its path with dots.
func (c Config) BusName() string {
	return strings.ReplaceAll(string(c.Path()[1:]), "/", ".")
}

// escape makes a reversible identifier of s: ASCII letters and digits stay,
// every other byte and a leading digit become _xx in lower-case hex. This is
// the form telepathy-glib gave connection names, which clients cut at '_40'.
func escape(s string) string {
	var b strings.Builder
	for i := range len(s) {
		ch := s[i]
		switch {
		case ch >= 'a' && ch <= 'z', ch >= 'A' && ch <= 'Z', ch >= '0' && ch <= '9' && i > 0:
			b.WriteByte(ch)
		default:
			fmt.Fprintf(&b, "_%02x", ch)
		}
	}
	return b.String()
}

// conferenceService is where rooms named without a service live.
func (c Config) conferenceService() string {
	if c.FallbackConference != "" {
		return c.FallbackConference
	}
	return "conference." + c.XMPP.Account.Domain()
}

// requestable is Requestable_Channel_Class, (a{sv}as).
type requestable struct {
	Fixed   map[string]dbus.Variant
	Allowed []string
}

// RequestableChannelClasses gives classes their D-Bus form, a(a{sv}as).
func RequestableChannelClasses(classes []channels.Class) any {
	list := make([]requestable, len(classes))
	for i, class := range classes {
		fixed := make(map[string]dbus.Variant, len(class.Fixed))
		for name, value := range class.Fixed {
			fixed[name] = dbus.MakeVariant(value)
		}
		list[i] = requestable{fixed, class.Allowed}
	}
	return list
}
