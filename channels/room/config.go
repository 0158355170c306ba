package room

import (
	"errors"
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

// config serves Channel.Interface.RoomConfig1: how a room is set up, as the room
// says of itself, and changing that, which only its owners can.
type config struct {
	room      *Room
	known     muc.Settings
	retrieved bool
	owner     bool // the user is one
}

// settings are those that clients see, with their values before they are known.
var settings = muc.Settings{
	muc.Anonymous: false, muc.InviteOnly: false, muc.Limit: uint32(0), muc.Moderated: false, muc.Title: "",
	muc.Description: "", muc.Persistent: false, muc.Private: false, muc.PasswordProtected: false, muc.Password: "",
}

func newConfig(r *Room) *config { return &config{room: r, known: muc.Settings{}} }

// Interface is the D-Bus side.
func (c *config) Interface() bus.Interface {
	i := bus.Interface{
		Facts:   tp.InterfaceChannelRoomConfig1,
		Methods: map[string]func(*bus.Call){"UpdateConfiguration": c.update},
		Properties: map[string]func() any{
			"PasswordHint":           bus.Fixed(""),
			"CanUpdateConfiguration": func() any { return c.owner },
			"MutableProperties":      func() any { return c.mutable() },
			"ConfigurationRetrieved": func() any { return c.retrieved },
		},
	}
	for setting := range settings {
		i.Properties[string(setting)] = func() any { return c.value(setting) }
	}
	return i
}

// value is a setting as far as it is known. Without a lock there is no key.
func (c *config) value(s muc.Setting) any {
	if s == muc.Password && c.known[muc.PasswordProtected] != true {
		return ""
	}
	if v, known := c.known[s]; known {
		return v
	}
	return settings[s]
}

func (c *config) mutable() []string {
	names := []string{}
	if c.owner {
		for _, s := range slices.Sorted(maps.Keys(settings)) {
			names = append(names, string(s))
		}
	}
	return names
}

// setRights notes what the user may do now.
func (c *config) setRights(self muc.Occupant) {
	if owner := self.Affiliation == muc.Owner; owner != c.owner {
		c.owner = owner
		c.tell(map[string]dbus.Variant{
			"CanUpdateConfiguration": dbus.MakeVariant(owner),
			"MutableProperties":      dbus.MakeVariant(c.mutable()),
		})
	}
}

func (c *config) tell(changed map[string]dbus.Variant) {
	c.room.channel.Emit(tp.SignalDBusPropertiesChanged, tp.InterfaceChannelRoomConfig1.Name, changed, []string{})
	c.room.properties.tell()
}

// values are those that clients see.
func (c *config) values() map[muc.Setting]any {
	all := make(map[muc.Setting]any, len(settings))
	for s := range settings {
		all[s] = c.value(s)
	}
	return all
}

// retrieve asks the room how it is set up and tells what is new. Accepted are
// settings that it has just taken, of which it need not tell.
func (c *config) retrieve(accepted muc.Settings) {
	if self, in := c.room.muc.Occupant(c.room.muc.Nick()); in {
		c.setRights(self)
	}
	disco.AskInfo(c.room.host, c.room.jid, "", func(info *disco.Info, err error) {
		if err != nil || c.room.leaving {
			return
		}
		changed, before := map[string]dbus.Variant{}, c.values()
		maps.Copy(c.known, accepted)
		maps.Copy(c.known, muc.ParseInfo(info))
		for s, v := range c.values() {
			if before[s] != v {
				changed[string(s)] = dbus.MakeVariant(v)
			}
		}
		if !c.retrieved {
			c.retrieved = true
			changed["ConfigurationRetrieved"] = dbus.MakeVariant(true)
		}
		if len(changed) > 0 {
			c.tell(changed)
		}
		c.room.tellCanSet()
	})
}

func (c *config) update(call *bus.Call) {
	var wanted map[string]dbus.Variant
	if !call.Args(&wanted) {
		return
	}
	s := make(muc.Settings, len(wanted))
	for name, v := range wanted {
		if _, known := settings[muc.Setting(name)]; !known {
			kind := tp.ErrorInvalidArgument
			if slices.ContainsFunc(tp.InterfaceChannelRoomConfig1.Properties, func(p tp.Property) bool { return p.Name == name }) {
				kind = tp.ErrorNotImplemented
			}
			call.Fail(tp.Errorf(kind, "rooms have no setting %q", name))
			return
		}
		s[muc.Setting(name)] = v.Value()
		if n, is := bus.Uint(v.Value()); is {
			s[muc.Setting(name)] = uint32(n)
		}
	}
	c.configure(call, s, func() { call.Return() })
}

// configure changes settings and then has the call answered.
func (c *config) configure(call *bus.Call, s muc.Settings, answer func()) {
	if !c.room.isJoined() {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "the room is not joined"))
		return
	}
	c.room.muc.Configure(s, func(err error) {
		if err != nil {
			call.Fail(configError(err))
			return
		}
		answer()
		c.retrieve(s)
	})
}

// configError gives the answer to settings that were not taken. Sugar passes
// over PermissionDenied alone, which is what everybody but the first gets.
func configError(err error) error {
	var setting *muc.SettingError
	var refused *stanza.Error
	switch {
	case errors.As(err, &setting) && setting.Unknown:
		return tp.Errorf(tp.ErrorServiceConfused, "%v", err)
	case errors.As(err, &setting):
		return tp.Errorf(tp.ErrorInvalidArgument, "%v", err)
	case errors.As(err, &refused) && isForbidden(refused.Condition):
		return tp.Errorf(tp.ErrorPermissionDenied, "%v", err)
	}
	return tp.Errorf(tp.ErrorNotAvailable, "%v", err)
}

func isForbidden(c stanza.Condition) bool {
	return c == stanza.Forbidden || c == stanza.NotAllowed || c == stanza.NotAuthorized
}

// reconfigured runs when somebody has changed the room's settings.
func (r *Room) reconfigured() { r.config.retrieve(nil) }

// serveRoom2 serves Channel.Interface.Room2, all of which never changes. Who made
// a room, and when, XMPP does not tell. A name that was made up is none.
func (r *Room) serveRoom2() bus.Interface {
	name := r.jid.Local()
	if r.conference != nil && r.conference.Unnamed {
		name = ""
	}
	return bus.Interface{Facts: tp.InterfaceChannelRoom2, Properties: map[string]func() any{
		"RoomName":          bus.Fixed(name),
		"Server":            bus.Fixed(r.jid.Domain()),
		"Creator":           bus.Fixed(""),
		"CreatorHandle":     bus.Fixed(uint32(0)),
		"CreationTimestamp": bus.Fixed(unknownTime),
	}}
}
