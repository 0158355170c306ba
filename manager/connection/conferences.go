package connection

import (
	"crypto/rand"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/room"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
)

// conferences takes requests for rooms: it reads what they say of
// Channel.Interface.Conference, which speaks of other channels, and finds a
// place for a room that has no name.
type conferences struct{ conn *Connection }

var _ channels.Server = conferences{}

// Request gives the request to the rooms.
func (s conferences) Request(r *channels.Request) {
	c, isConference, err := s.read(r)
	switch {
	case err != nil:
		r.Fail(err)
	case r.Target.Type == tp.HandleTypeNone:
		s.place(r, c)
	case isConference:
		s.conn.rooms.Confer(r, c)
	default:
		s.conn.rooms.Request(r)
	}
}

// place makes a name that nobody can guess: whoever knows it can come in.
func (s conferences) place(r *channels.Request, c room.Conference) {
	s.conn.FindConference(func(service jid.JID, found bool) {
		switch {
		case s.conn.ended:
			r.Fail(tp.Errorf(tp.ErrorDisconnected, "%v", errOver))
			return
		case !found:
			r.Fail(tp.Errorf(tp.ErrorNotAvailable, "the server has no service for rooms"))
			return
		}
		id := "chat-" + strings.ToLower(rand.Text()) + "@" + service.Domain()
		handle, err := s.conn.ensureHandle(tp.HandleTypeRoom, id)
		if err != nil {
			r.Fail(err)
			return
		}
		r.Target = channels.Target{Type: tp.HandleTypeRoom, Handle: handle, ID: id}
		c.Unnamed = true
		s.conn.rooms.Confer(r, c)
	})
}

// read reads the properties of the interface; false means that there are none.
func (s conferences) read(r *channels.Request) (c room.Conference, given bool, err error) {
	var handles []uint32
	var ids []string
	for _, p := range []struct {
		name string
		to   any
	}{
		{tp.PropertyChannelConferenceInitialChannels, &c.Channels},
		{tp.PropertyChannelConferenceInitialInviteeHandles, &handles},
		{tp.PropertyChannelConferenceInitialInviteeIDs, &ids},
		{tp.PropertyChannelConferenceInvitationMessage, &c.Message},
	} {
		value, is := r.Properties[p.name]
		if !is {
			continue
		}
		given = true
		if err := dbus.Store([]any{value.Value()}, p.to); err != nil {
			return c, true, tp.Errorf(tp.ErrorInvalidArgument, "%s is of another type", p.name)
		}
	}
	if c.Partners, err = s.partners(c.Channels); err != nil {
		return c, given, err
	}
	c.Invitees, err = s.invitees(c.Partners, handles, ids)
	return c, given, err
}

// partners are those with whom the chats are.
func (s conferences) partners(paths []dbus.ObjectPath) ([]uint32, error) {
	partners := make([]uint32, len(paths))
	for i, path := range paths {
		n := slices.IndexFunc(s.conn.requests.open, func(ch *channels.Channel) bool {
			return ch.Path == path && ch.Type == tp.InterfaceChannelText && ch.Target.Type == tp.HandleTypeContact
		})
		if n < 0 {
			return nil, tp.Errorf(tp.ErrorInvalidArgument, "%s is not a chat with one person", path)
		}
		partners[i] = s.conn.requests.open[n].Target.Handle
	}
	return partners, nil
}

// invitees joins all who are to come, without the user.
func (s conferences) invitees(partners, handles []uint32, ids []string) ([]uint32, error) {
	for _, h := range handles {
		if _, err := s.conn.inspect(tp.HandleTypeContact, h); err != nil {
			return nil, err
		}
	}
	all := slices.Concat(partners, handles)
	for _, id := range ids {
		h, err := s.conn.ensureHandle(tp.HandleTypeContact, id)
		if err != nil {
			return nil, err
		}
		all = append(all, h)
	}
	each := []uint32{}
	for _, h := range all {
		if h != s.conn.self && !slices.Contains(each, h) {
			each = append(each, h)
		}
	}
	return each, nil
}

// ChatWith gives the chat that is open with a contact, if there is one.
func (c *Connection) ChatWith(contact uint32) (dbus.ObjectPath, bool) {
	n := slices.IndexFunc(c.requests.open, func(ch *channels.Channel) bool {
		return ch.Type == tp.InterfaceChannelText && ch.Target.Type == tp.HandleTypeContact && ch.Target.Handle == contact
	})
	if n < 0 {
		return "", false
	}
	return c.requests.open[n].Path, true
}
