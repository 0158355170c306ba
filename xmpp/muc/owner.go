package muc

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"telepathy-olpc/xmpp/stanza"
)

// The ways in which a request to a room fails besides the room's refusal, which
// is a [*stanza.Error]: of who is no owner, [stanza.Forbidden].
var (
	ErrNoForm = errors.New("room gives no form to fill in")
	ErrNotIn  = errors.New("not in the room")
)

// nsData is the namespace of forms, XEP-0004.
const nsData = "jabber:x:data"

// request is a change of the room's form. There is one at a time: a form that is
// filled in has all settings, and of two at once the later would undo the
// earlier.
type request struct {
	run  func(done func(error))
	done func(error)
}

// Configure changes the room's settings, all or none. Beside what the room
// answers the error may be a [*SettingError] or [ErrNoForm].
func (r *Room) Configure(s Settings, done func(error)) {
	r.queue(request{func(done func(error)) { r.configure(s, true, done) }, done})
}

// Destroy ends the room for everybody, XEP-0045 §10.9. Ended comes as well,
// usually first.
func (r *Room) Destroy(reason string, done func(error)) {
	var why *stanza.Element
	if reason != "" {
		why = stanza.New(nsOwner, "reason", stanza.Text(reason))
	}
	destroy := stanza.New(nsOwner, "query", stanza.New(nsOwner, "destroy", why))
	r.ask("destroy", "set", destroy, ignoreReply(done))
}

// Kick throws an occupant out, XEP-0045 §8.2.
func (r *Room) Kick(nick, reason string, done func(error)) {
	var why *stanza.Element
	if reason != "" {
		why = stanza.New(nsAdmin, "reason", stanza.Text(reason))
	}
	kick := stanza.New(nsAdmin, "query", stanza.New(nsAdmin, "item", stanza.A("nick", nick), stanza.A("role", "none"), why))
	r.ask("kick", "set", kick, ignoreReply(done))
}

func ignoreReply(done func(error)) func(*stanza.Element, error) {
	return func(_ *stanza.Element, err error) { done(err) }
}

// setUp unlocks a room that we have created, XEP-0045 §10.1: with our settings
// as far as it knows them or, without any or if that fails, with its own.
func (r *Room) setUp(s Settings, done func(error)) {
	r.queue(request{func(done func(error)) {
		if len(s) == 0 {
			r.submit(nil, done)
			return
		}
		r.configure(s, false, func(failure error) {
			if failure == nil || r.phase == ended {
				done(failure)
				return
			}
			r.submit(nil, func(error) { done(failure) })
		})
	}, func(err error) {
		if r.phase == configuring {
			done(err)
		}
	}})
}

// queue runs a request after those before it.
func (r *Room) queue(q request) {
	if r.phase == idle || r.phase == ended {
		q.done(ErrNotIn)
		return
	}
	r.requests = append(r.requests, q)
	if len(r.requests) == 1 {
		r.next()
	}
}

// next runs the first request.
func (r *Room) next() {
	if len(r.requests) == 0 {
		return
	}
	q := r.requests[0]
	q.run(func(err error) {
		if len(r.requests) == 0 {
			return // it was answered when the stay ended
		}
		r.requests = slices.Delete(r.requests, 0, 1)
		more := len(r.requests) > 0
		q.done(err)
		if more {
			r.next()
		}
	})
}

// abandon answers the requests that are left.
func (r *Room) abandon() {
	requests := r.requests
	r.requests = nil
	for _, q := range requests {
		q.done(ErrNotIn)
	}
}

// ask sends a question to the room itself.
func (r *Room) ask(what, typ string, query *stanza.Element, done func(*stanza.Element, error)) {
	iq := stanza.New(stanza.NSClient, "iq", stanza.A("type", typ), stanza.A("to", r.cfg.Room.String()), query)
	r.cfg.Host.Ask(iq, func(reply *stanza.Element, err error) {
		if err != nil {
			err = fmt.Errorf("%s: %w", what, err)
		}
		done(reply, err)
	})
}

// configure fetches the room's form and sends it back filled in. If it is not
// strict, settings that the room does not know are left out.
func (r *Room) configure(s Settings, strict bool, done func(error)) {
	r.ask("get form", "get", stanza.New(nsOwner, "query"), func(reply *stanza.Element, err error) {
		if err != nil {
			done(err)
			return
		}
		form := reply.Child(nsOwner, "query").Child(nsData, "x")
		if form == nil || form.Attr("type") != "form" {
			done(ErrNoForm)
			return
		}
		filled, err := fillIn(form, s, strict)
		if err != nil {
			done(err)
			return
		}
		r.submit(filled, done)
	})
}

// submit sends a form, or none, which takes the service's own settings.
func (r *Room) submit(fields []*stanza.Element, done func(error)) {
	parts := []stanza.Part{stanza.A("type", "submit")}
	for _, f := range fields {
		parts = append(parts, f)
	}
	r.ask("submit form", "set", stanza.New(nsOwner, "query", stanza.New(nsData, "x", parts...)), ignoreReply(done))
}

// fillIn makes the fields to send back: every field of the form, since what is
// left out some services take for empty, with our value or the room's own.
func fillIn(form *stanza.Element, s Settings, strict bool) ([]*stanza.Element, error) {
	values := make(map[string]string, len(s))
	for _, setting := range slices.Sorted(maps.Keys(s)) {
		name, value, err := fieldFor(form, setting, s[setting])
		if err == nil {
			values[name] = value
			continue
		}
		if strict || !err.Unknown {
			return nil, err
		}
	}
	var filled []*stanza.Element
	for f := range form.Each(nsData, "field") {
		name := f.Attr("var")
		if name == "" {
			continue // text for people
		}
		parts := []stanza.Part{stanza.A("var", name), stanza.A("type", f.Attr("type"))}
		if value, ours := values[name]; ours {
			parts = append(parts, stanza.New(nsData, "value", stanza.Text(value)))
		} else {
			for v := range f.Each(nsData, "value") {
				parts = append(parts, v)
			}
		}
		filled = append(filled, stanza.New(nsData, "field", parts...))
	}
	return filled, nil
}

// fieldFor finds the field for a setting, and what to write into it.
func fieldFor(form *stanza.Element, setting Setting, v any) (name, value string, _ *SettingError) {
	for _, candidate := range fields[setting] {
		for f := range form.Each(nsData, "field") {
			if f.Attr("var") != candidate.name {
				continue
			}
			value, ok := candidate.encode(v)
			if !ok {
				return "", "", &SettingError{Setting: setting}
			}
			return candidate.name, value, nil
		}
	}
	return "", "", &SettingError{Setting: setting, Unknown: true}
}
