package tubes

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// accessControls are those of the socket of a D-Bus tube.
var accessControls = []tp.SocketAccessControl{tp.SocketAccessControlCredentials, tp.SocketAccessControlLocalhost}

// serveDBusTube serves Channel.Type.DBusTube.
func (f *tubeChannel) serveDBusTube() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelDBusTube,
		Methods: map[string]func(*bus.Call){
			"Offer":  f.offerDBus,
			"Accept": f.acceptDBus,
		},
		Properties: map[string]func() any{
			"ServiceName":             bus.Fixed(f.tube.Service),
			"SupportedAccessControls": bus.Fixed(accessControls),
			"DBusNames":               func() any { return participants(f.tube.members()) },
		},
	}
}

// participants is DBus_Tube_Participants, a{us}.
func participants(list []member) map[uint32]string {
	names := make(map[uint32]string, len(list))
	for _, m := range list {
		names[m.Handle] = m.Name
	}
	return names
}

func (f *tubeChannel) emitNames(added []member, removed []uint32) {
	f.channel.Emit(tp.SignalChannelDBusTubeDBusNamesChanged, participants(added), removed)
}

func (f *tubeChannel) offerDBus(call *bus.Call) {
	var parameters map[string]dbus.Variant
	var control tp.SocketAccessControl
	if !call.Args(&parameters, &control) {
		return
	}
	f.tube.offerDBus(parameters, control, func(err error) {
		if err != nil {
			call.Fail(err)
			return
		}
		call.Return(f.tube.server.Address())
	})
}

func (f *tubeChannel) acceptDBus(call *bus.Call) {
	var control tp.SocketAccessControl
	if call.Args(&control) {
		answer(call, func() (any, error) { return f.tube.acceptDBus(control) })
	}
}
