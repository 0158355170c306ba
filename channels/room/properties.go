package room

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/muc"
)

// properties serves the older org.freedesktop.Telepathy.Properties of a room:
// the settings of RoomConfig1 under the names and numbers that clients from
// before it know, and the subject. It keeps nothing of its own.
type properties struct {
	room *Room
	told []dbus.Variant     // values as last told
	open []tp.PropertyFlags // what could be done with them then
}

// oldProperty is one row of the table; its number is its place, from 1.
type oldProperty struct {
	name      string
	signature string
	setting   muc.Setting // empty: subject, by field of Subject2
	field     string
}

var oldProperties = []oldProperty{
	{"anonymous", "b", muc.Anonymous, ""},
	{"invite-only", "b", muc.InviteOnly, ""},
	{"invite-restricted", "b", muc.AllowInvites, ""},
	{"limit", "u", muc.Limit, ""},
	{"moderated", "b", muc.Moderated, ""},
	{"name", "s", muc.Title, ""},
	{"description", "s", muc.Description, ""},
	{"password", "s", muc.Password, ""},
	{"password-required", "b", muc.PasswordProtected, ""},
	{"persistent", "b", muc.Persistent, ""},
	{"private", "b", muc.Private, ""},
	{"subject", "s", "", "Subject"},
	{"subject-contact", "u", "", "ActorHandle"},
}

// propertySpec is Property_Spec, (ussu); propertyValue is Property_Value, (uv);
// propertyFlags is Property_Flags_Change, (uu).
type (
	propertySpec struct {
		ID              uint32
		Name, Signature string
		Flags           tp.PropertyFlags
	}
	propertyValue struct {
		ID    uint32
		Value dbus.Variant
	}
	propertyFlags struct {
		ID    uint32
		Flags tp.PropertyFlags
	}
)

func newProperties(r *Room) *properties {
	p := &properties{room: r}
	for _, o := range oldProperties {
		p.told, p.open = append(p.told, p.value(o)), append(p.open, p.flags(o))
	}
	return p
}

// Interface is the D-Bus side.
func (p *properties) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceProperties,
		Methods: map[string]func(*bus.Call){
			"ListProperties": p.list,
			"GetProperties":  p.get,
			"SetProperties":  p.set,
		},
	}
}

// value is what a property is now.
func (p *properties) value(o oldProperty) dbus.Variant {
	if o.setting == "" {
		return p.room.subject()[o.field]
	}
	v, known := p.room.config.known[o.setting]
	switch {
	case o.setting == muc.AllowInvites:
		allowed, _ := v.(bool)
		return dbus.MakeVariant(known && !allowed)
	case !known:
		v = settings[o.setting]
	}
	return dbus.MakeVariant(v)
}

func (p *properties) flags(o oldProperty) tp.PropertyFlags {
	switch {
	case o.setting != "" && p.room.config.owner, o.field == "Subject" && p.room.canSetSubject():
		return tp.PropertyFlagsRead | tp.PropertyFlagsWrite
	}
	return tp.PropertyFlagsRead
}

func (p *properties) list(call *bus.Call) {
	specs := make([]propertySpec, len(oldProperties))
	for i, o := range oldProperties {
		specs[i] = propertySpec{uint32(i + 1), o.name, o.signature, p.flags(o)}
	}
	call.Return(specs)
}

// find gives the property with that number.
func find(id uint32) (oldProperty, error) {
	if id == 0 || int64(id) > int64(len(oldProperties)) {
		return oldProperty{}, tp.Errorf(tp.ErrorInvalidArgument, "there is no property %d", id)
	}
	return oldProperties[id-1], nil
}

func (p *properties) get(call *bus.Call) {
	var ids []uint32
	if !call.Args(&ids) {
		return
	}
	values := make([]propertyValue, len(ids))
	for i, id := range ids {
		o, err := find(id)
		if err != nil {
			call.Fail(err)
			return
		}
		values[i] = propertyValue{id, p.value(o)}
	}
	call.Return(values)
}

// set changes all that is asked for or nothing.
func (p *properties) set(call *bus.Call) {
	var values []propertyValue
	if !call.Args(&values) {
		return
	}
	wanted, subject := muc.Settings{}, ""
	changesSubject := false
	for _, v := range values {
		o, err := find(v.ID)
		switch {
		case err != nil:
		case p.flags(o)&tp.PropertyFlagsWrite == 0:
			err = tp.Errorf(tp.ErrorPermissionDenied, "%s can't be changed", o.name)
		default:
			var value any
			if value, err = o.read(v.Value.Value()); err == nil && o.setting != "" {
				wanted[o.setting] = value
			} else if err == nil {
				subject, changesSubject = value.(string), true
			}
		}
		if err != nil {
			call.Fail(err)
			return
		}
	}
	finish := func() {
		if changesSubject {
			p.room.changeSubject(call, subject)
			return
		}
		call.Return()
	}
	if len(wanted) == 0 {
		finish()
		return
	}
	p.room.config.configure(call, wanted, finish)
}

// read takes a value as a client sends it.
func (o oldProperty) read(v any) (any, error) {
	var fits bool
	switch o.signature {
	case "b":
		_, fits = v.(bool)
	case "s":
		_, fits = v.(string)
	case "u":
		var n uint64
		n, fits = bus.Uint(v)
		v = uint32(n)
	}
	if !fits {
		return nil, tp.Errorf(tp.ErrorNotAvailable, "%s has another type", o.name)
	}
	if allowed, is := v.(bool); is && o.setting == muc.AllowInvites {
		v = !allowed
	}
	return v, nil
}

// tell announces what is different from the last time.
func (p *properties) tell() {
	changed, flags := []propertyValue{}, []propertyFlags{}
	for i, o := range oldProperties {
		id := uint32(i + 1)
		if v := p.value(o); v.Value() != p.told[i].Value() {
			p.told[i] = v
			changed = append(changed, propertyValue{id, v})
		}
		if f := p.flags(o); f != p.open[i] {
			p.open[i] = f
			flags = append(flags, propertyFlags{id, f})
		}
	}
	if len(changed) > 0 {
		p.room.channel.Emit(tp.SignalPropertiesPropertiesChanged, changed)
	}
	if len(flags) > 0 {
		p.room.channel.Emit(tp.SignalPropertiesPropertyFlagsChanged, flags)
	}
}
