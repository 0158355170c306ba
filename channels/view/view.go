// Package view serves the channel types org.laptop.Telepathy.Channel.Type.BuddyView
// and ActivityView: what a server component shows of who is there and what they
// do, as org.laptop.Telepathy.Channel.Interface.View has it.
//
// Each request makes a channel of its own, EnsureChannel's too. It is empty until
// the component answers, and stays so if it does not.
package view

import (
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/presence"
	"telepathy-olpc/xmpp/gadget"
	"telepathy-olpc/xmpp/olpc"
)

// maxSize is the greatest size that can be asked for.
const maxSize = gadget.MaxEntries

// Classes are the channel classes of views.
var Classes = []channels.Class{
	class(tp.InterfaceChannelBuddyView, tp.PropertyChannelBuddyViewProperties, tp.PropertyChannelBuddyViewAlias),
	class(tp.InterfaceChannelActivityView, tp.PropertyChannelActivityViewProperties, tp.PropertyChannelActivityViewParticipants),
}

func class(kind *tp.Interface, allowed ...string) channels.Class {
	return channels.Class{
		Fixed:   map[string]any{tp.PropertyChannelChannelType: kind.Name},
		Allowed: append([]string{tp.PropertyChannelViewMaxSize}, allowed...),
		Unknown: tp.ErrorInvalidArgument,
	}
}

// Component opens views.
type Component interface {
	// Open calls done once.
	Open(r gadget.Request, done func(*presence.View, error))
}

// Views are the view channels of one Connection.
type Views struct {
	host      channels.Host
	component Component
	paths     [2]int // numbers of the next channels, by kind
}

var _ channels.Server = (*Views)(nil)

// New has no views yet.
func New(h channels.Host, c Component) *Views { return &Views{host: h, component: c} }

// Request opens a view.
func (s *Views) Request(r *channels.Request) {
	wanted, shown, err := s.read(r)
	if err != nil {
		r.Fail(err)
		return
	}
	s.component.Open(wanted, func(v *presence.View, err error) {
		if err != nil {
			r.Fail(err)
			return
		}
		s.host.Opened(s.make(v, wanted, shown), r)
	})
}

// read reads what is wanted, and the properties that tell of it.
func (s *Views) read(r *channels.Request) (gadget.Request, map[string]any, error) {
	wanted := gadget.Request{Kind: gadget.Buddies}
	if r.Kind == tp.InterfaceChannelActivityView.Name {
		wanted.Kind = gadget.Activities
	}
	if r.Target.Type != tp.HandleTypeNone {
		return wanted, nil, tp.Errorf(tp.ErrorNotImplemented, "a view has no target")
	}
	size, is := r.Uint(tp.PropertyChannelViewMaxSize)
	if !is || size == 0 || size > maxSize {
		return wanted, nil, tp.Errorf(tp.ErrorInvalidArgument, "%s must be from 1 to %d", tp.PropertyChannelViewMaxSize, maxSize)
	}
	wanted.Size = int(size)
	if wanted.Kind == gadget.Buddies {
		return s.readBuddies(r, wanted)
	}
	return s.readActivities(r, wanted)
}

func (s *Views) readBuddies(r *channels.Request, wanted gadget.Request) (gadget.Request, map[string]any, error) {
	var given map[string]dbus.Variant
	for _, err := range []error{
		store(r, tp.PropertyChannelBuddyViewProperties, &given),
		store(r, tp.PropertyChannelBuddyViewAlias, &wanted.Criteria.Alias),
	} {
		if err != nil {
			return wanted, nil, err
		}
	}
	var err error
	wanted.Criteria.Properties, err = properties(given)
	return wanted, map[string]any{
		tp.PropertyChannelBuddyViewProperties: variants(wanted.Criteria.Properties),
		tp.PropertyChannelBuddyViewAlias:      wanted.Criteria.Alias,
	}, err
}

func (s *Views) readActivities(r *channels.Request, wanted gadget.Request) (gadget.Request, map[string]any, error) {
	var given map[string]dbus.Variant
	participants := []uint32{}
	for _, err := range []error{
		store(r, tp.PropertyChannelActivityViewProperties, &given),
		store(r, tp.PropertyChannelActivityViewParticipants, &participants),
	} {
		if err != nil {
			return wanted, nil, err
		}
	}
	var err error
	if wanted.Criteria.Properties, err = properties(given); err != nil {
		return wanted, nil, err
	}
	for _, h := range participants {
		who, known := s.host.Handles().Contacts.ID(h)
		if !known {
			return wanted, nil, tp.Errorf(tp.ErrorInvalidHandle, "%d is not a contact", h)
		}
		wanted.Criteria.Participants = append(wanted.Criteria.Participants, who.Bare())
	}
	return wanted, map[string]any{
		tp.PropertyChannelActivityViewProperties:   variants(wanted.Criteria.Properties),
		tp.PropertyChannelActivityViewParticipants: slices.Clone(participants),
	}, nil
}

// store reads a property of a request if it is there.
func store[T any](r *channels.Request, name string, to *T) error {
	given, is := r.Properties[name]
	if !is {
		return nil
	}
	value, is := given.Value().(T)
	if !is {
		return tp.Errorf(tp.ErrorInvalidArgument, "%s is of another type", name)
	}
	*to = value
	return nil
}

// properties reads what is sought. One that cannot be written would have others
// found than were sought.
func properties(given map[string]dbus.Variant) (olpc.Properties, error) {
	if len(given) == 0 {
		return nil, nil
	}
	p := make(olpc.Properties, len(given))
	for name, value := range given {
		if !p.Set(name, value.Value()) {
			return nil, tp.Errorf(tp.ErrorInvalidArgument, "property %q is of a type that can't be sought", name)
		}
	}
	return p, nil
}

func variants(p olpc.Properties) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant, len(p))
	for name, value := range p {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

var kinds = [...]struct {
	facts *tp.Interface
	path  string
}{
	gadget.Buddies:    {tp.InterfaceChannelBuddyView, "OlpcBuddyViewChannel%d"},
	gadget.Activities: {tp.InterfaceChannelActivityView, "OlpcActivityViewChannel%d"},
}

// make builds the channel of a view.
func (s *Views) make(v *presence.View, wanted gadget.Request, shown map[string]any) *channels.Channel {
	kind := kinds[wanted.Kind]
	ch := &channels.Channel{
		Path:      s.host.ChannelPath(fmt.Sprintf(kind.path, s.paths[wanted.Kind])),
		Type:      kind.facts,
		Initiator: s.host.SelfHandle(),
		Requested: true,
		Immutable: map[string]any{tp.PropertyChannelViewMaxSize: uint32(wanted.Size)},
	}
	s.paths[wanted.Kind]++
	own := bus.Interface{Facts: kind.facts, Properties: make(map[string]func() any)}
	for _, p := range kind.facts.Properties {
		value := shown[kind.facts.Name+"."+p.Name]
		own.Properties[p.Name] = bus.Fixed(value)
		ch.Immutable[kind.facts.Name+"."+p.Name] = value
	}
	ch.Interfaces = []bus.Interface{own, {
		Facts: tp.InterfaceChannelView,
		Properties: map[string]func() any{
			"MaxSize":    bus.Fixed(uint32(wanted.Size)),
			"Buddies":    func() any { return v.Buddies() },
			"Activities": func() any { return v.Activities() },
		},
	}}
	ch.OnClose = func(call *bus.Call) {
		call.Return()
		v.Close()
		s.host.Closed(ch)
	}
	v.Watch(presence.ViewEvents{
		BuddiesChanged: func(added, removed []uint32) {
			ch.Emit(tp.SignalChannelViewBuddiesChanged, added, removed)
		},
		ActivitiesChanged: func(added, removed []presence.ActivityReference) {
			ch.Emit(tp.SignalChannelViewActivitiesChanged, added, removed)
		},
		Closed: func() { s.host.Closed(ch) },
	})
	ch.Export(s.host)
	return ch
}
