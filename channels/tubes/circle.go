package tubes

import (
	"math/rand/v2"
	"slices"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/room"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/tubes"
)

// circle is those who share tubes: a room, or the user and a contact.
type circle struct {
	tubes  *Tubes
	host   Host
	jid    jid.JID
	target channels.Target
	room   *room.Room // nil with a contact
	list   []*tube    // in the order of their coming
	face   *tubesChannel
}

// request answers with a channel.
func (c *circle) request(r *channels.Request) {
	switch r.Kind {
	case tp.InterfaceChannelDBusTube.Name:
		c.requestTube(r, tubes.DBus, r.Text(tp.PropertyChannelDBusTubeServiceName))
	case tp.InterfaceChannelStreamTube.Name:
		c.requestTube(r, tubes.Stream, r.Text(tp.PropertyChannelStreamTubeService))
	default:
		if c.face != nil {
			r.Existing(c.face.channel)
			return
		}
		c.face = newTubesChannel(c)
		c.host.Opened(c.face.channel, r)
	}
}

// requestTube answers with a channel for a new tube or, if that will do, for one
// that there is.
func (c *circle) requestTube(r *channels.Request, kind tubes.Type, service string) {
	if service == "" || len(service) > tubes.MaxText {
		r.Fail(tp.Errorf(tp.ErrorInvalidArgument, "a tube needs the name of a service"))
		return
	}
	i := slices.IndexFunc(c.list, func(t *tube) bool {
		return r.Ensure && t.Type == kind && t.Service == service && !t.hidden
	})
	if i >= 0 && c.list[i].face != nil {
		r.Existing(c.list[i].face.channel)
		return
	}
	var t *tube
	if i >= 0 {
		t = c.list[i]
	} else if t = c.start(kind, service); t == nil {
		r.Fail(errTooMany)
		return
	}
	t.show(true, r)
}

var errTooMany = tp.Errorf(tp.ErrorNotAvailable, "there are too many tubes")

// start makes a tube of ours, which is not offered yet; nil when there are too
// many, also for others to take notice of all.
func (c *circle) start(kind tubes.Type, service string) *tube {
	ours := 0
	for _, t := range c.list {
		if t.own || t.state == tp.TubeChannelStateOpen {
			ours++
		}
	}
	if ours >= tubes.MaxTubes {
		return nil
	}
	t := &tube{
		circle: c, Tube: tubes.Tube{Type: kind, Service: service, ID: c.freeID()},
		own: true, initiator: c.self(), state: tp.TubeChannelStateNotOffered,
	}
	if !c.add(t) {
		return nil
	}
	return t
}

// add takes a tube in and gives it the number by which clients know it: its
// own, unless that is taken.
func (c *circle) add(t *tube) bool {
	if len(c.list) == maxTubes {
		return false
	}
	t.number = t.ID
	if c.numbered(t.number) != nil {
		t.number = c.freeID()
	}
	c.list = append(c.list, t)
	return true
}

// freeID draws the number of a tube from those that telepathy-gabble uses too.
func (c *circle) freeID() uint32 {
	for {
		id := 1 + rand.Uint32N(1<<31-2)
		taken := slices.ContainsFunc(c.list, func(t *tube) bool { return t.ID == id || t.number == id })
		if !taken {
			return id
		}
	}
}

// numbered finds a tube by its number on D-Bus.
func (c *circle) numbered(number uint32) *tube {
	return c.find(func(t *tube) bool { return t.number == number })
}

func (c *circle) find(is func(*tube) bool) *tube {
	if i := slices.IndexFunc(c.list, is); i >= 0 {
		return c.list[i]
	}
	return nil
}

// self is the user's handle among those who share the tubes.
func (c *circle) self() uint32 {
	if c.room != nil {
		return c.room.Group().Self
	}
	return c.host.SelfHandle()
}

// checkReady gives an error while nothing can be offered.
func (c *circle) checkReady() error {
	if c.room != nil && !c.room.IsJoined() {
		return tp.Errorf(tp.ErrorNotAvailable, "the room is not joined")
	}
	return nil
}

// share gives a channel the group of the room.
func (c *circle) share(ch *channels.Channel) {
	if c.room != nil {
		ch.Interfaces = append(ch.Interfaces, c.room.Group().Interface())
		c.room.Group().Share(ch)
	}
}

// closed takes a channel away.
func (c *circle) closed(ch *channels.Channel) {
	c.host.Closed(ch)
	if c.room != nil {
		c.room.Group().Unshare(ch)
	}
	c.prune()
}

// prune forgets a contact with whom nothing is shared any more.
func (c *circle) prune() {
	if c.room == nil && c.face == nil && len(c.list) == 0 {
		delete(c.tubes.circles, c.jid)
	}
}

// end closes all tubes and channels, because the room is left.
func (c *circle) end() {
	for len(c.list) > 0 {
		c.list[len(c.list)-1].end()
	}
	if c.face != nil {
		c.face.vanish()
	}
	delete(c.tubes.circles, c.jid)
}
