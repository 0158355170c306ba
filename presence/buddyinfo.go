package presence

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// BuddyInfo serves org.laptop.Telepathy.BuddyInfo: what Sugar's users look like
// and do.
//
// Sugar asks for it long before CONNECTED, and sets the user's properties then;
// they are published when the time comes. Where the server has no personal
// events all calls fail.
type BuddyInfo struct {
	host       Host
	activities *Activities
}

// NewBuddyInfo serves what a knows.
func NewBuddyInfo(h Host, a *Activities) *BuddyInfo { return &BuddyInfo{h, a} }

// Interface is the D-Bus side.
func (i *BuddyInfo) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceBuddyInfo,
		Methods: map[string]func(*bus.Call){
			"SetProperties":      i.setProperties,
			"GetProperties":      i.getProperties,
			"SetActivities":      i.withPEP(i.setActivities),
			"AddActivity":        i.withPEP(i.addActivity),
			"GetActivities":      i.getActivities,
			"SetCurrentActivity": i.withPEP(i.setCurrentActivity),
			"GetCurrentActivity": i.getCurrentActivity,
		},
	}
}

func errNoPEP() error {
	return tp.Errorf(tp.ErrorNetworkError, "Server does not support PEP")
}

// checkPEP tells why personal events can't be had, if so.
func checkPEP(h Host) error {
	switch {
	case !h.IsConnected():
		return errDisconnected()
	case !h.HasPEP():
		return errNoPEP()
	}
	return nil
}

func (i *BuddyInfo) withPEP(serve func(*bus.Call)) func(*bus.Call) {
	return func(call *bus.Call) {
		if err := checkPEP(i.host); err != nil {
			call.Fail(err)
			return
		}
		serve(call)
	}
}

func (i *BuddyInfo) setProperties(call *bus.Call) {
	var given map[string]dbus.Variant
	if call.Args(&given) {
		i.activities.setProperties(properties(given), finish(call))
	}
}

func (i *BuddyInfo) getProperties(call *bus.Call) {
	var contact uint32
	if call.Args(&contact) {
		i.propertiesOf(contact, func(p olpc.Properties, err error) { answer(call, err, variants(p)) })
	}
}

// propertiesOf gives what a contact looks like; without an answer from its
// server, what it looked like.
func (i *BuddyInfo) propertiesOf(contact uint32, done func(olpc.Properties, error)) {
	b, err := i.buddy(contact)
	switch {
	case err != nil:
		done(nil, err)
	case contact == i.host.SelfHandle():
		done(i.activities.own.properties, nil)
	case b == nil:
		done(nil, nil)
	default:
		i.activities.want(b, nodeProperties, func(err error) {
			look := b.look()
			if look != nil {
				err = nil
			}
			done(look, err)
		})
	}
}

func (i *BuddyInfo) addActivity(call *bus.Call) {
	var id string
	var handle uint32
	if !call.Args(&id, &handle) {
		return
	}
	room, err := roomOf(i.host, handle)
	if err != nil {
		call.Fail(err)
		return
	}
	i.activities.announce(olpc.Activity{ID: id, Room: room}, finish(call))
}

func (i *BuddyInfo) setActivities(call *bus.Call) {
	var given []reference
	if !call.Args(&given) {
		return
	}
	list := make([]olpc.Activity, len(given))
	for k, x := range given {
		room, err := roomOf(i.host, x.Room)
		if err != nil {
			call.Fail(err)
			return
		}
		list[k] = olpc.Activity{ID: x.ID, Room: room}
	}
	i.activities.setAnnounced(list, list, finish(call))
}

func (i *BuddyInfo) getActivities(call *bus.Call) {
	var contact uint32
	if call.Args(&contact) {
		i.activitiesOf(contact, func(list []reference, err error) { answer(call, err, list) })
	}
}

// activitiesOf gives what a contact takes part in, after having learned what
// that is. Who asks for that knows the contact.
func (i *BuddyInfo) activitiesOf(contact uint32, done func([]reference, error)) {
	a := i.activities
	b, err := i.buddy(contact)
	switch {
	case err != nil:
		done(nil, err)
		return
	case contact == i.host.SelfHandle():
		done(a.references(a.own.activities()), nil)
		return
	case b == nil:
		done([]reference{}, nil)
		return
	}
	a.want(b, nodeActivities, func(err error) {
		list := a.references(b.activities())
		if len(list) > 0 {
			err = nil
		}
		if err != nil || !b.online || !a.lacksDescription(b) {
			done(list, err)
			return
		}
		a.want(b, nodeDescriptions, func(error) { done(list, nil) })
	})
	a.Introduced(contact)
}

func (i *BuddyInfo) setCurrentActivity(call *bus.Call) {
	var id string
	var handle uint32
	if !call.Args(&id, &handle) {
		return
	}
	var current olpc.Activity
	if handle != 0 {
		room, err := roomOf(i.host, handle)
		if err != nil {
			call.Fail(err)
			return
		}
		current = olpc.Activity{ID: id, Room: room}
	}
	i.activities.setCurrent(current, finish(call))
}

func (i *BuddyInfo) getCurrentActivity(call *bus.Call) {
	var contact uint32
	if call.Args(&contact) {
		i.currentOf(contact, func(id string, room uint32, err error) { answer(call, err, id, room) })
	}
}

// currentOf gives what a contact looks at; without an answer from its server
// that is nothing.
func (i *BuddyInfo) currentOf(contact uint32, done func(id string, room uint32, err error)) {
	a := i.activities
	b, err := i.buddy(contact)
	switch {
	case err != nil:
		done("", 0, err)
	case contact == i.host.SelfHandle():
		id, room := a.currentReference(a.own.current, a.own.activities())
		done(id, room, nil)
	case b == nil:
		done("", 0, nil)
	default:
		a.want(b, nodeCurrent, func(error) {
			id, room := a.currentReference(b.watched(), b.activities())
			done(id, room, nil)
		})
	}
}

// buddy finds the contact; nil stands for somebody in a room, who has nothing
// of the kind, and for the user.
func (i *BuddyInfo) buddy(contact uint32) (*buddy, error) {
	if err := checkPEP(i.host); err != nil {
		return nil, err
	}
	who, known := i.host.Handles().Contacts.ID(contact)
	if !known {
		return nil, errNoContact(contact)
	}
	if !who.IsBare() || contact == i.host.SelfHandle() {
		return nil, nil
	}
	return i.activities.buddy(who), nil
}

func roomOf(h Host, handle uint32) (jid.JID, error) {
	room, known := h.Handles().Rooms.ID(handle)
	if !known {
		return jid.JID{}, tp.Errorf(tp.ErrorInvalidHandle, "%d is not a room", handle)
	}
	return room, nil
}

// finish answers a call that has no results.
func finish(call *bus.Call) func(error) {
	return func(err error) { answer(call, err) }
}

func answer(call *bus.Call, err error, results ...any) {
	if err != nil {
		call.Fail(refusal(err))
		return
	}
	call.Return(results...)
}

// properties takes what a client sets. What has no form on the wire is passed
// over, as always.
func properties(given map[string]dbus.Variant) olpc.Properties {
	p := make(olpc.Properties, len(given))
	for name, value := range given {
		p.Set(name, value.Value())
	}
	return p
}

// variants gives properties as D-Bus has them; the map is new.
func variants(p olpc.Properties) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant, len(p))
	for name, value := range p {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}
