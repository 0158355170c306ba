package room

import (
	"crypto/rand"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

// unknownTime stands for a time that is not known, Channel.Interface.Subject2.
const unknownTime = int64(1<<63 - 1)

// serveSubject serves Channel.Interface.Subject2.
func (r *Room) serveSubject() bus.Interface {
	property := func(name string) func() any { return func() any { return r.subject()[name].Value() } }
	i := bus.Interface{
		Facts:      tp.InterfaceChannelSubject2,
		Methods:    map[string]func(*bus.Call){"SetSubject": r.setSubject},
		Properties: map[string]func() any{"CanSet": func() any { return r.canSetSubject() }},
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
	r.tellSubject(changed)
	if s.Nick == r.muc.Nick() && len(r.subjects) > 0 {
		r.answerSubject(max(0, slices.IndexFunc(r.subjects, func(w wish) bool { return w.id == s.Message.ID })), nil)
	}
}

func (r *Room) tellSubject(changed map[string]dbus.Variant) {
	r.channel.Emit(tp.SignalDBusPropertiesChanged, tp.InterfaceChannelSubject2.Name, changed, []string{})
	r.properties.tell()
}

// canSetSubject is a guess: rooms do not have to say who may, XEP-0045 §8.1.
func (r *Room) canSetSubject() bool {
	open, told := r.config.known[muc.OpenSubject].(bool)
	return r.isJoined() && (open || !told || r.isModerator())
}

// tellCanSet tells clients if canSetSubject is not what they know.
func (r *Room) tellCanSet() {
	if can := r.canSetSubject(); can != r.canSet {
		r.canSet = can
		r.tellSubject(map[string]dbus.Variant{"CanSet": dbus.MakeVariant(can)})
	}
}

func (r *Room) setSubject(call *bus.Call) {
	var text string
	if call.Args(&text) {
		r.changeSubject(call, text)
	}
}

// wish is a change of the subject of which the room has not said anything yet.
type wish struct {
	id   string // of the message
	call *bus.Call
	late *loop.Timer
}

// subjectTimeout ends the wait for a room that says nothing.
const subjectTimeout = time.Minute

// changeSubject answers the call when the room has told everybody, or refuses.
func (r *Room) changeSubject(call *bus.Call, text string) {
	if !r.isJoined() {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "the room is not joined"))
		return
	}
	w := wish{id: rand.Text(), call: call}
	w.late = r.host.After(subjectTimeout, "subject timeout", func() {
		r.answerSubject(slices.IndexFunc(r.subjects, func(o wish) bool { return o.id == w.id }), tp.Errorf(tp.ErrorNetworkError, "the room did not answer"))
	})
	r.subjects = append(r.subjects, w)
	r.host.Send(muc.BuildSubject(r.jid, text).With(stanza.A("id", w.id)))
}

func (r *Room) answerSubject(i int, err error) {
	w := r.subjects[i]
	r.subjects = slices.Delete(r.subjects, i, i+1)
	w.late.Stop()
	if err != nil {
		w.call.Fail(err)
		return
	}
	w.call.Return()
}
