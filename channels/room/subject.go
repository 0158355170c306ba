package room

import (
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/muc"
)

// unknownTime stands for a time that is not known, Channel.Interface.Subject2.
const unknownTime = int64(1<<63 - 1)

// serveSubject serves Channel.Interface.Subject2.
func (r *Room) serveSubject() bus.Interface {
	property := func(name string) func() any { return func() any { return r.subject()[name].Value() } }
	i := bus.Interface{
		Facts:      tp.InterfaceChannelSubject2,
		Methods:    map[string]func(*bus.Call){"SetSubject": r.setSubject},
		Properties: map[string]func() any{"CanSet": func() any { return r.muc != nil && r.muc.IsJoined() }},
	}
	for _, name := range []string{"Subject", "Actor", "ActorHandle", "Timestamp"} {
		i.Properties[name] = property(name)
	}
	return i
}

// subject is what the room is about, by property.
func (r *Room) subject() map[string]dbus.Variant {
	var s muc.Subject
	if r.muc != nil {
		s = r.muc.Subject()
	}
	actor, handle, at := "", uint32(0), unknownTime
	if s.Nick != "" {
		actor, handle = r.jid.WithResource(s.Nick).String(), r.occupant(s.Nick)
	}
	if !s.Message.Stamp.IsZero() {
		at = s.Message.Stamp.Unix()
	}
	return map[string]dbus.Variant{
		"Subject": dbus.MakeVariant(s.Text), "Actor": dbus.MakeVariant(actor),
		"ActorHandle": dbus.MakeVariant(handle), "Timestamp": dbus.MakeVariant(at),
	}
}

func (r *Room) subjectChanged(s muc.Subject) {
	changed := r.subject()
	if s.Nick != "" && s.Message.Stamp.IsZero() {
		changed["Timestamp"] = dbus.MakeVariant(time.Now().Unix())
	}
	r.channel.Emit(tp.SignalDBusPropertiesChanged, tp.InterfaceChannelSubject2.Name, changed, []string{})
	r.properties.tell()
}

// setSubject is answered when the message is on its way: a room that refuses
// says so by a message of its own, and one that takes it tells everybody.
func (r *Room) setSubject(call *bus.Call) {
	var text string
	if !call.Args(&text) {
		return
	}
	if r.muc == nil || !r.muc.IsJoined() {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "the room is not joined"))
		return
	}
	r.host.Send(muc.BuildSubject(r.jid, text))
	call.Return()
}
