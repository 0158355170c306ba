package connection

import (
	"slices"
	"strings"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/services"
)

func (c *Connection) requestHandles(call *bus.Call) {
	var kind tp.HandleType
	var ids []string
	if !call.Args(&kind, &ids) {
		return
	}
	c.whenResolvable(kind, ids, func() {
		handles := make([]uint32, len(ids))
		for i, id := range ids {
			h, err := c.ensureHandle(kind, id)
			if err != nil {
				call.Fail(err)
				return
			}
			handles[i] = h
		}
		call.Return(handles)
	})
}

// whenResolvable waits until it is known where rooms are, if one is named
// without its service: Sugar's activity identifiers are. Guessing would put the
// activity where nobody finds it.
func (c *Connection) whenResolvable(kind tp.HandleType, ids []string, then func()) {
	named := func(id string) bool { return strings.Contains(id, "@") }
	if kind != tp.HandleTypeRoom || c.conference != "" || !slices.ContainsFunc(ids, func(id string) bool { return !named(id) }) {
		then()
		return
	}
	c.services.First(services.Conference, func(s services.Service, found bool) {
		c.conference = c.cfg.conferenceService()
		if found {
			c.conference = s.JID.Domain()
		}
		then()
	})
}

// ensureHandle gives the identifier a user or client wrote its handle.
func (c *Connection) ensureHandle(kind tp.HandleType, id string) (uint32, error) {
	switch kind {
	case tp.HandleTypeContact:
		j, err := parseContact(id)
		if err != nil {
			return 0, err
		}
		return c.handles.Contacts.Ensure(j), nil
	case tp.HandleTypeRoom:
		j, err := c.parseRoom(id)
		if err != nil {
			return 0, err
		}
		return c.handles.Rooms.Ensure(j), nil
	case tp.HandleTypeList:
		name, err := parseList(id)
		if err != nil {
			return 0, err
		}
		return c.handles.Lists.Ensure(name), nil
	}
	return 0, tp.Errorf(tp.ErrorNotImplemented, "handles of type %d are not offered", kind)
}

// parseContact accepts any JID with a local part and drops the resource.
func parseContact(id string) (jid.JID, error) {
	j, err := jid.Parse(id)
	if err != nil || j.Local() == "" {
		return jid.JID{}, tp.Errorf(tp.ErrorInvalidHandle, "%q is not a contact's JID", id)
	}
	return j.Bare(), nil
}

// parseRoom puts a bare name, as Sugar's activity identifiers are, on the
// conference service.
func (c *Connection) parseRoom(id string) (jid.JID, error) {
	full := id
	if !strings.Contains(id, "@") {
		full = id + "@" + c.conference
	}
	j, err := jid.Parse(full)
	if err != nil || j.Local() == "" || !j.IsBare() {
		return jid.JID{}, tp.Errorf(tp.ErrorInvalidHandle, "%q is not a room", id)
	}
	return j, nil
}

func (c *Connection) inspectHandles(call *bus.Call) {
	var kind tp.HandleType
	var handles []uint32
	if !call.Args(&kind, &handles) {
		return
	}
	ids := make([]string, len(handles))
	for i, h := range handles {
		id, err := c.inspect(kind, h)
		if err != nil {
			call.Fail(err)
			return
		}
		ids[i] = id
	}
	call.Return(ids)
}

func (c *Connection) inspect(kind tp.HandleType, h uint32) (string, error) {
	var known bool
	var id jid.JID
	switch kind {
	case tp.HandleTypeContact:
		id, known = c.handles.Contacts.ID(h)
	case tp.HandleTypeRoom:
		id, known = c.handles.Rooms.ID(h)
	case tp.HandleTypeList:
		if name, isList := c.handles.Lists.ID(h); isList {
			return name, nil
		}
	default:
		return "", tp.Errorf(tp.ErrorInvalidArgument, "there are no handles of type %d", kind)
	}
	if !known {
		return "", tp.Errorf(tp.ErrorInvalidHandle, "%d is not a handle of type %d", h, kind)
	}
	return id.String(), nil
}

// holdHandles serves HoldHandles and ReleaseHandles: with immortal handles
// both only check their arguments.
func (c *Connection) holdHandles(call *bus.Call) {
	var kind tp.HandleType
	var handles []uint32
	if !call.Args(&kind, &handles) {
		return
	}
	for _, h := range handles {
		if _, err := c.inspect(kind, h); err != nil {
			call.Fail(err)
			return
		}
	}
	call.Return()
}
