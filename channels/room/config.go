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

func (c *config) value(s muc.Setting) any {
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

// retrieve asks the room how it is set up and tells what is new.
func (c *config) retrieve() {
	if self, in := c.room.muc.Occupant(c.room.muc.Nick()); in {
		c.setRights(self)
	}
	disco.AskInfo(c.room.host, c.room.jid, "", func(info *disco.Info, err error) {
		if err != nil || c.room.leaving {
			return
		}
		changed := map[string]dbus.Variant{}
		for s, v := range muc.ParseInfo(info) {
			if _, shown := settings[s]; shown && c.value(s) != v {
				changed[string(s)] = dbus.MakeVariant(v)
			}
			c.known[s] = v
		}
		if !c.retrieved {
			c.retrieved = true
			changed["ConfigurationRetrieved"] = dbus.MakeVariant(true)
		}
		if len(changed) > 0 {
			c.tell(changed)
		}
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
			call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "rooms have no setting %q", name))
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
		c.retrieve()
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
func (r *Room) reconfigured() { r.config.retrieve() }

// serveRoom2 serves Channel.Interface.Room2. Who made a room, and when, XMPP
// does not tell.
func (r *Room) serveRoom2() bus.Interface {
	return bus.Interface{Facts: tp.InterfaceChannelRoom2, Properties: map[string]func() any{
		"RoomName":          bus.Fixed(r.jid.Local()),
		"Server":            bus.Fixed(r.jid.Domain()),
		"Creator":           bus.Fixed(""),
		"CreatorHandle":     bus.Fixed(uint32(0)),
		"CreationTimestamp": bus.Fixed(int64(1<<63 - 1)),
	}}
}

func (r *Room) room2Immutable() map[string]any {
	return map[string]any{
		tp.PropertyChannelRoom2RoomName: r.jid.Local(),
		tp.PropertyChannelRoom2Server:   r.jid.Domain(),
	}
}
