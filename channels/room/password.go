package room

import (
	"errors"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

// password serves Channel.Interface.Password: a room that lets nobody in without
// one, XEP-0045 §7.2.5, has a channel in which the user is remote pending, or
// still local pending, until a client knows the right one.
type password struct {
	room   *Room
	wanted bool
	text   string    // as given last
	call   *bus.Call // that gave it, until the room has answered
}

// Interface is the D-Bus side.
func (p *password) Interface() bus.Interface {
	return bus.Interface{Facts: tp.InterfaceChannelPassword, Methods: map[string]func(*bus.Call){
		"GetPasswordFlags": func(call *bus.Call) { call.Return(p.flags()) },
		"ProvidePassword":  p.provide,
	}}
}

func (p *password) flags() tp.ChannelPasswordFlags {
	if p.wanted {
		return tp.ChannelPasswordFlagsProvide
	}
	return 0
}

func (p *password) provide(call *bus.Call) {
	var text string
	switch {
	case !call.Args(&text):
	case !p.wanted || p.room.muc != nil:
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "no password is wanted now"))
	default:
		p.text, p.call = text, call
		p.room.join()
	}
}

// setWanted tells clients whether a password is needed.
func (p *password) setWanted(wanted bool) {
	if p.wanted == wanted {
		return
	}
	p.wanted = wanted
	const provide, none = tp.ChannelPasswordFlagsProvide, tp.ChannelPasswordFlags(0)
	if wanted {
		p.room.channel.Emit(tp.SignalChannelPasswordPasswordFlagsChanged, provide, none)
	} else {
		p.room.channel.Emit(tp.SignalChannelPasswordPasswordFlagsChanged, none, provide)
	}
}

// answer tells who gave a password whether it was right, or why that is not known.
func (p *password) answer(correct bool, err error) {
	call := p.call
	p.call, p.text = nil, ""
	switch {
	case call == nil:
	case err != nil:
		call.Fail(err)
	default:
		call.Return(correct)
	}
}

// isLocked tells whether the room asks for a password, or for another one.
func (r *Room) isLocked(e muc.Ending) bool {
	var refused *stanza.Error
	return !r.leaving && e.Cause == muc.Refused && errors.As(e.Err, &refused) && refused.Condition == stanza.NotAuthorized
}

// lock keeps the room for a client that knows the password.
func (r *Room) lock() {
	r.muc = nil
	if r.channel != nil {
		r.password.answer(false, nil)
		r.password.setWanted(true)
		return
	}
	r.make(r.host.SelfHandle())
	r.group.Self = r.occupant(r.host.Nick())
	r.group.FillOwners(map[uint32]uint32{r.group.Self: r.host.SelfHandle()})
	r.group.Fill(channels.Change{RemotePending: []uint32{r.group.Self}})
	r.password.wanted = true
	r.open()
}
