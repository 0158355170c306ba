package tubes

import (
	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/tubes"
)

// tubeChannel is the channel of one tube, with Channel.Interface.Tube and one of
// Channel.Type.DBusTube and Channel.Type.StreamTube.
type tubeChannel struct {
	tube    *tube
	channel *channels.Channel
}

func newTubeChannel(t *tube, requested bool) *tubeChannel {
	c := t.circle
	f := &tubeChannel{tube: t}
	f.channel = &channels.Channel{
		Target:    c.target,
		Initiator: t.initiator,
		Requested: requested,
		Immutable: map[string]any{},
		OnClose:   f.close,
	}
	if t.Type == tubes.DBus {
		f.channel.Path = c.host.ChannelPath(c.tubes.path("DBusTubeChannel"))
		f.channel.Type = tp.InterfaceChannelDBusTube
		f.channel.Interfaces = []bus.Interface{f.serveDBusTube()}
		f.channel.Immutable[tp.PropertyChannelDBusTubeServiceName] = t.Service
		f.channel.Immutable[tp.PropertyChannelDBusTubeSupportedAccessControls] = accessControls
	} else {
		f.channel.Path = c.host.ChannelPath(c.tubes.path("StreamTubeChannel"))
		f.channel.Type = tp.InterfaceChannelStreamTube
		f.channel.Interfaces = []bus.Interface{f.serveStreamTube()}
		f.channel.Immutable[tp.PropertyChannelStreamTubeService] = t.Service
		f.channel.Immutable[tp.PropertyChannelStreamTubeSupportedSocketTypes] = supported()
	}
	if !t.own {
		f.channel.Immutable[tp.PropertyChannelTubeParameters] = parametersOf(t)
	}
	c.share(f.channel)
	f.channel.Interfaces = append(f.channel.Interfaces, f.serveTube())
	f.channel.Export(c.host)
	return f
}

// serveTube serves Channel.Interface.Tube.
func (f *tubeChannel) serveTube() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelTube,
		Properties: map[string]func() any{
			"Parameters": func() any { return parametersOf(f.tube) },
			"State":      func() any { return f.tube.state },
		},
	}
}

func (f *tubeChannel) emitState() {
	f.channel.Emit(tp.SignalChannelTubeTubeChannelStateChanged, f.tube.state)
}

// close serves Close. A tube that waits for the user and is not only here stays;
// everything else ends with its channel.
func (f *tubeChannel) close(call *bus.Call) {
	call.Return()
	t := f.tube
	switch {
	case t.state == tp.TubeChannelStateNotOffered:
		t.end()
	case t.state == tp.TubeChannelStateLocalPending && (t.circle.room != nil || t.circle.face != nil):
		f.vanish()
	default:
		t.close()
	}
}

// vanish takes the channel off the bus.
func (f *tubeChannel) vanish() {
	f.tube.face = nil
	f.tube.circle.closed(f.channel)
}
