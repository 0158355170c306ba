// Package roomlist serves Channel.Type.RoomList: the public rooms of a
// conference service (XEP-0045 §6.3, §6.4), with what each tells about itself.
//
// A channel is for one service, the server's own if the client names none. It
// lists nothing before it is told to; it may list again, and there may be
// several channels. Everything runs on the loop of the Connection.
package roomlist

import (
	"fmt"
	"time"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
)

// Host is what lists of rooms need of their Connection.
type Host interface {
	channels.Host
	disco.Asker
	After(d time.Duration, label string, f func()) *loop.Timer
	// FindConference gives the server's own service for rooms as soon as it is
	// known; false means that there is none.
	FindConference(done func(service jid.JID, found bool))
}

// Classes are the channel classes of lists of rooms.
var Classes = []channels.Class{{
	Fixed: map[string]any{
		tp.PropertyChannelChannelType:      tp.InterfaceChannelRoomList.Name,
		tp.PropertyChannelTargetHandleType: tp.HandleTypeNone,
	},
	Allowed: []string{tp.PropertyChannelRoomListServer},
}}

// Lists are the lists of rooms of one Connection.
type Lists struct {
	host    Host
	open    []*list
	waiting []*channels.Request // for the server's own service
	paths   int                 // number of the last channel
}

var _ channels.Server = (*Lists)(nil)

// New has no channel yet.
func New(h Host) *Lists { return &Lists{host: h} }

// Request gives a channel for the service that the request names; an Ensure
// takes one that is there already.
func (s *Lists) Request(r *channels.Request) {
	service, err := server(r)
	switch {
	case err != nil:
		r.Fail(err)
	case !service.IsZero():
		s.give(service, r)
	default:
		s.waiting = append(s.waiting, r)
		s.host.FindConference(s.found)
	}
}

// server reads the property Server; absent or empty is the zero JID.
func server(r *channels.Request) (jid.JID, error) {
	value, given := r.Properties[tp.PropertyChannelRoomListServer]
	text, isText := value.Value().(string)
	if !given || isText && text == "" {
		return jid.JID{}, nil
	}
	service, err := jid.Parse(text)
	if err != nil || service.Local() != "" || !service.IsBare() {
		return jid.JID{}, tp.Errorf(tp.ErrorInvalidArgument, "%v is not the name of a server", value)
	}
	return service, nil
}

// found answers all who wait for the server's own service.
func (s *Lists) found(service jid.JID, found bool) {
	waiting := s.waiting
	s.waiting = nil
	for _, r := range waiting {
		if found {
			s.give(service, r)
		} else {
			r.Fail(tp.Errorf(tp.ErrorNotAvailable, "the server has no service for rooms"))
		}
	}
}

func (s *Lists) give(service jid.JID, r *channels.Request) {
	if r.Ensure {
		for _, l := range s.open {
			if l.service == service {
				r.Existing(l.channel)
				return
			}
		}
	}
	l := s.make(service)
	s.open = append(s.open, l)
	s.host.Opened(l.channel, r)
}

func (s *Lists) make(service jid.JID) *list {
	s.paths++
	l := &list{lists: s, host: s.host, service: service}
	l.channel = &channels.Channel{
		Path:       s.host.ChannelPath(fmt.Sprintf("RoomListChannel%d", s.paths)),
		Type:       tp.InterfaceChannelRoomList,
		Target:     channels.Target{Type: tp.HandleTypeNone},
		Initiator:  s.host.SelfHandle(),
		Requested:  true,
		Interfaces: []bus.Interface{l.serve()},
		Immutable:  map[string]any{tp.PropertyChannelRoomListServer: service.String()},
		OnClose:    l.close,
	}
	l.channel.Export(s.host)
	return l
}

// Close answers those who still wait, because the session is over. The channels
// are gone by then.
func (s *Lists) Close() {
	over := tp.Errorf(tp.ErrorDisconnected, "the connection has ended")
	for _, r := range s.waiting {
		r.Fail(over)
	}
	for _, l := range s.open {
		l.abandon(over)
	}
	s.waiting, s.open = nil, nil
}
