package tubes

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// supported is Supported_Socket_Map, a{uau}.
func supported() map[tp.SocketAddressType][]tp.SocketAccessControl { return socket.Supported() }

// serveStreamTube serves Channel.Type.StreamTube.
func (f *tubeChannel) serveStreamTube() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelStreamTube,
		Methods: map[string]func(*bus.Call){
			"Offer":  f.offerStream,
			"Accept": f.acceptStream,
		},
		Properties: map[string]func() any{
			"Service":              bus.Fixed(f.tube.Service),
			"SupportedSocketTypes": func() any { return supported() },
		},
	}
}

func (f *tubeChannel) offerStream(call *bus.Call) {
	var o offeredSocket
	var parameters map[string]dbus.Variant
	if !call.Args(&o.kind, &o.address, &o.control, &parameters) {
		return
	}
	f.tube.offerStream(o, parameters, func(err error) {
		if err != nil {
			call.Fail(err)
			return
		}
		call.Return()
	})
}

func (f *tubeChannel) acceptStream(call *bus.Call) {
	var kind tp.SocketAddressType
	var control tp.SocketAccessControl
	var param dbus.Variant
	if call.Args(&kind, &control, &param) {
		answer(call, func() (any, error) { return f.tube.acceptStream(kind, control, param) })
	}
}

func (f *tubeChannel) emitRemoteConnection(who uint32, param dbus.Variant, id uint32) {
	f.channel.Emit(tp.SignalChannelStreamTubeNewRemoteConnection, who, param, id)
}

func (f *tubeChannel) emitLocalConnection(id uint32) {
	f.channel.Emit(tp.SignalChannelStreamTubeNewLocalConnection, id)
}

func (f *tubeChannel) emitConnectionClosed(id uint32, why *tp.Error) {
	f.channel.Emit(tp.SignalChannelStreamTubeConnectionClosed, id, why.Name, why.Message)
}
