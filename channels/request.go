package channels

import (
	"cmp"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// Request is a client's wish for a channel, by CreateChannel, EnsureChannel or
// the older RequestChannel. It is answered exactly once.
type Request struct {
	Kind   string // channel type
	Target Target // resolved: handle and identifier agree
	// Properties are all that the client wrote, by full name.
	Properties map[string]dbus.Variant
	// Ensure says that an existing channel will do.
	Ensure bool
	// Answer is set by who took the request from the bus. yours is false
	// when somebody else already looks after the channel.
	Answer func(ch *Channel, yours bool)
	Fail   func(error)
}

// Text reads a string property; absent or of another type is "".
func (r *Request) Text(name string) string {
	s, _ := r.Properties[name].Value().(string)
	return s
}

// Uint reads an integer property of any width, because clients are free with
// integers inside a{sv}.
func (r *Request) Uint(name string) (uint64, bool) {
	return bus.Uint(r.Properties[name].Value())
}

// Existing answers with a channel that is already announced. Only an Ensure
// may be answered so.
func (r *Request) Existing(ch *Channel) {
	if !r.Ensure {
		r.Fail(tp.Errorf(tp.ErrorNotAvailable, "the channel exists already"))
		return
	}
	r.Answer(ch, false)
}

// Match tells whether the request fits one of the classes. An error says that
// it fits but for a property the class does not allow, which is
// NotImplemented by the specification unless the class says otherwise.
func (r *Request) Match(classes []Class) (bool, error) {
	var unknown string
	name := tp.ErrorNotImplemented
	for _, class := range classes {
		if !r.hasFixed(class) {
			continue
		}
		if unknown = r.firstUnknown(class); unknown == "" {
			return true, nil
		}
		name = cmp.Or(class.Unknown, tp.ErrorNotImplemented)
		if r.Target.Type != tp.HandleTypeNone {
			name = tp.ErrorNotImplemented // that it has a target is what is wrong first
		}
	}
	if unknown != "" {
		return false, tp.Errorf(name, "a request can't say %s", unknown)
	}
	return false, nil
}

func (r *Request) hasFixed(class Class) bool {
	for name, want := range class.Fixed {
		switch name {
		case tp.PropertyChannelChannelType:
			if r.Kind != want {
				return false
			}
		case tp.PropertyChannelTargetHandleType:
			if r.Target.Type != want {
				return false
			}
		default:
			if r.Properties[name].Value() != want {
				return false
			}
		}
	}
	return true
}

// firstUnknown names a property that class neither fixes nor allows.
func (r *Request) firstUnknown(class Class) string {
	for name := range r.Properties {
		if _, fixed := class.Fixed[name]; fixed || slices.Contains(class.Allowed, name) {
			continue
		}
		if name == tp.PropertyChannelTargetHandleType || name == tp.PropertyChannelRequested {
			continue
		}
		return name
	}
	return ""
}
