package tubes

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/socket"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/tubes"
)

// tubesChannel serves Channel.Type.Tubes: all tubes of a room or contact. It is
// deprecated, and what Sugar's activities use.
type tubesChannel struct {
	circle  *circle
	channel *channels.Channel
}

// tubeInfo is Tube_Info, (uuusa{sv}u).
type tubeInfo struct {
	ID, Initiator uint32
	Type          tp.TubeType
	Service       string
	Parameters    map[string]dbus.Variant
	State         tp.TubeState
}

// member is DBus_Tube_Member, (us).
type member struct {
	Handle uint32
	Name   string
}

func newTubesChannel(c *circle) *tubesChannel {
	f := &tubesChannel{circle: c}
	f.channel = &channels.Channel{
		Path:       c.host.ChannelPath(c.tubes.path("TubesChannel")),
		Type:       tp.InterfaceChannelTubes,
		Target:     c.target,
		Initiator:  c.host.SelfHandle(),
		Requested:  true,
		Interfaces: []bus.Interface{f.serve()},
		OnClose:    f.close,
	}
	c.share(f.channel)
	f.channel.Export(c.host)
	return f
}

func (f *tubesChannel) serve() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelTubes,
		Methods: map[string]func(*bus.Call){
			"GetAvailableStreamTubeTypes": func(call *bus.Call) { call.Return(socket.Supported()) },
			"GetAvailableTubeTypes":       func(call *bus.Call) { call.Return([]tp.TubeType{tp.TubeTypeDBus, tp.TubeTypeStream}) },
			"ListTubes":                   func(call *bus.Call) { call.Return(f.infos()) },
			"OfferDBusTube":               f.offerDBusTube,
			"OfferStreamTube":             f.offerStreamTube,
			"AcceptDBusTube":              f.acceptDBusTube,
			"AcceptStreamTube":            f.acceptStreamTube,
			"CloseTube":                   f.closeTube,
			"GetDBusTubeAddress":          f.getDBusTubeAddress,
			"GetDBusNames":                f.getDBusNames,
			"GetStreamTubeSocketAddress":  f.getStreamTubeSocketAddress,
		},
	}
}

func (f *tubesChannel) emitNew(t *tube) {
	i := info(t)
	f.channel.Emit(tp.SignalChannelTubesNewTube, i.ID, i.Initiator, i.Type, i.Service, i.Parameters, i.State)
}

func (f *tubesChannel) emitState(t *tube) {
	f.channel.Emit(tp.SignalChannelTubesTubeStateChanged, t.number, tp.TubeState(t.state))
}

func (f *tubesChannel) emitClosed(t *tube) {
	f.channel.Emit(tp.SignalChannelTubesTubeClosed, t.number)
}

func (f *tubesChannel) emitNames(t *tube, added []member, removed []uint32) {
	f.channel.Emit(tp.SignalChannelTubesDBusNamesChanged, t.number, added, removed)
}

func (f *tubesChannel) emitConnection(t *tube, who uint32) {
	f.channel.Emit(tp.SignalChannelTubesStreamTubeNewConnection, t.number, who)
}

func (f *tubesChannel) infos() []tubeInfo {
	list := []tubeInfo{}
	for _, t := range f.circle.list {
		if t.isTube() {
			list = append(list, info(t))
		}
	}
	return list
}

func info(t *tube) tubeInfo {
	kind := tp.TubeTypeDBus
	if t.Type == tubes.Stream {
		kind = tp.TubeTypeStream
	}
	return tubeInfo{t.number, t.initiator, kind, t.Service, parametersOf(t), tp.TubeState(t.state)}
}

func (f *tubesChannel) offerDBusTube(call *bus.Call) {
	var service string
	var parameters map[string]dbus.Variant
	if !call.Args(&service, &parameters) {
		return
	}
	f.offer(call, tubes.DBus, service, func(t *tube, done func(error)) {
		t.offerDBus(parameters, tp.SocketAccessControlCredentials, done)
	})
}

func (f *tubesChannel) offerStreamTube(call *bus.Call) {
	var service string
	var parameters map[string]dbus.Variant
	var o offeredSocket
	var param dbus.Variant // says nothing for a socket of somebody else
	if !call.Args(&service, &parameters, &o.kind, &o.address, &o.control, &param) {
		return
	}
	f.offer(call, tubes.Stream, service, func(t *tube, done func(error)) {
		t.offerStream(o, parameters, done)
	})
}

// offer answers with the number of a new tube.
func (f *tubesChannel) offer(call *bus.Call, kind tubes.Type, service string, offer func(*tube, func(error))) {
	if service == "" || len(service) > tubes.MaxText {
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "a tube needs the name of a service"))
		return
	}
	t := f.circle.start(kind, service)
	if t == nil {
		call.Fail(errTooMany)
		return
	}
	offer(t, func(err error) {
		if err != nil {
			t.end()
			call.Fail(err)
			return
		}
		call.Return(t.number)
	})
}

// tube finds the one that a call means, or answers InvalidArgument.
func (f *tubesChannel) tube(call *bus.Call, number uint32, kind tubes.Type) *tube {
	t := f.circle.numbered(number)
	switch {
	case t == nil || !t.isTube():
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "there is no tube %d", number))
	case kind != "" && t.Type != kind:
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "tube %d is of another type", number))
	default:
		return t
	}
	return nil
}

// openTube is tube for those that have to be open.
func (f *tubesChannel) openTube(call *bus.Call, kind tubes.Type) *tube {
	var number uint32
	if !call.Args(&number) {
		return nil
	}
	t := f.tube(call, number, kind)
	if t != nil && t.state != tp.TubeChannelStateOpen {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "tube %d is not open", number))
		return nil
	}
	return t
}

func (f *tubesChannel) acceptDBusTube(call *bus.Call) {
	var number uint32
	if !call.Args(&number) {
		return
	}
	if t := f.tube(call, number, tubes.DBus); t != nil {
		answer(call, func() (any, error) { return t.acceptDBus(tp.SocketAccessControlCredentials) })
	}
}

func (f *tubesChannel) acceptStreamTube(call *bus.Call) {
	var number uint32
	var kind tp.SocketAddressType
	var control tp.SocketAccessControl
	var param dbus.Variant
	if !call.Args(&number, &kind, &control, &param) {
		return
	}
	if t := f.tube(call, number, tubes.Stream); t != nil {
		answer(call, func() (any, error) { return t.acceptStream(kind, control, param) })
	}
}

// answer answers a call with what f gives.
func answer(call *bus.Call, f func() (any, error)) {
	value, err := f()
	if err != nil {
		call.Fail(err)
		return
	}
	call.Return(value)
}

func (f *tubesChannel) closeTube(call *bus.Call) {
	var number uint32
	if !call.Args(&number) {
		return
	}
	if t := f.tube(call, number, ""); t != nil {
		t.close()
		call.Return()
	}
}

func (f *tubesChannel) getDBusTubeAddress(call *bus.Call) {
	if t := f.openTube(call, tubes.DBus); t != nil {
		call.Return(t.server.Address())
	}
}

func (f *tubesChannel) getDBusNames(call *bus.Call) {
	t := f.openTube(call, tubes.DBus)
	switch {
	case t == nil:
	case f.circle.room == nil:
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "there are no names in a tube with one contact"))
	default:
		call.Return(t.members())
	}
}

func (f *tubesChannel) getStreamTubeSocketAddress(call *bus.Call) {
	if t := f.openTube(call, tubes.Stream); t != nil {
		call.Return(t.kind, t.address)
	}
}

// close serves Close: it ends the tubes that have no channel of their own.
func (f *tubesChannel) close(call *bus.Call) {
	call.Return()
	for i := len(f.circle.list) - 1; i >= 0; i-- {
		if t := f.circle.list[i]; t.face == nil && t.isTube() && (t.own || t.state == tp.TubeChannelStateOpen || f.circle.room == nil) {
			t.close()
		}
	}
	f.vanish()
}

// vanish takes the channel off the bus.
func (f *tubesChannel) vanish() {
	f.circle.face = nil
	f.circle.closed(f.channel)
}
