package presence

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/olpc"
)

// ActivityProperties serves org.laptop.Telepathy.ActivityProperties: what
// shared activities are. Reading needs no personal events: what is asked for is
// known or is not, and Sugar starts no activity when GetActivity fails in any
// other way.
type ActivityProperties struct {
	host       Host
	activities *Activities
}

// NewActivityProperties serves what a knows.
func NewActivityProperties(h Host, a *Activities) *ActivityProperties {
	return &ActivityProperties{h, a}
}

// Interface is the D-Bus side.
func (p *ActivityProperties) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceActivityProperties,
		Methods: map[string]func(*bus.Call){
			"SetProperties": p.setProperties,
			"GetProperties": p.getProperties,
			"GetActivity":   p.getActivity,
		},
	}
}

func (p *ActivityProperties) setProperties(call *bus.Call) {
	var handle uint32
	var given map[string]dbus.Variant
	if !call.Args(&handle, &given) {
		return
	}
	if err := checkPEP(p.host); err != nil {
		call.Fail(err)
		return
	}
	room, err := roomOf(p.host, handle)
	if err != nil {
		call.Fail(err)
		return
	}
	p.activities.setDescription(room, properties(given), finish(call))
}

func (p *ActivityProperties) getProperties(call *bus.Call) {
	var handle uint32
	if call.Args(&handle) {
		known, err := p.of(handle)
		answer(call, err, variants(known))
	}
}

// of gives the properties of the activity in a room. A room nobody has named as
// that of an activity is a chat room: to Sugar an invitation there is one to
// chat when the error is NotAvailable, and a defect when it is another.
func (p *ActivityProperties) of(handle uint32) (olpc.Properties, error) {
	if !p.host.IsConnected() {
		return nil, errDisconnected()
	}
	room, err := roomOf(p.host, handle)
	if err != nil {
		return nil, err
	}
	x := p.activities.book[room]
	if x == nil {
		return nil, tp.Errorf(tp.ErrorNotAvailable, "there is no known activity in that room")
	}
	return x.properties, nil
}

func (p *ActivityProperties) getActivity(call *bus.Call) {
	var id string
	if call.Args(&id) {
		room, err := p.find(id)
		answer(call, err, room)
	}
}

// find gives the room of an activity.
func (p *ActivityProperties) find(id string) (uint32, error) {
	if !p.host.IsConnected() {
		return 0, errDisconnected()
	}
	room, known := p.activities.findActivity(id)
	if !known {
		return 0, tp.Errorf(tp.ErrorNotAvailable, "no activity with that id is known")
	}
	return room, nil
}
