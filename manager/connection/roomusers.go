package connection

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

// defaultLinger gives an activity that was killed the time to be started again
// and to find its room as it was.
const defaultLinger = 60 * time.Second

// idle begins the names of methods with which a program does not use a channel:
// it looks, as telepathy-logger does everywhere, or wants no part in it, as
// mission-control when no program takes the channel.
var idle = [...]string{"Get", "List", "Introspect", "Ping", "Close"}

// roomUsers knows the programs that use rooms: they have asked for one of its
// channels, or called a method of one that does something. A room whose users
// have all left the bus, killed say, is left after a while. Of channels that
// activities ask for themselves nobody else takes care; those that go through
// mission-control have it as a user, which closes them. A room that nobody has
// used, an invitation that waits, is let be.
type roomUsers struct {
	whenGone func(program string, gone func()) (stop func())
	after    func(d time.Duration, label string, f func()) *loop.Timer
	leave    func(room uint32)
	linger   time.Duration
	rooms    map[uint32]*roomUse // by handle
}

// roomUse is one room in use.
type roomUse struct {
	programs map[string]func() // what stops the wait for their end, by unique name
	deserted *loop.Timer       // runs while there is none
}

func newRoomUsers(c *Connection) *roomUsers {
	return &roomUsers{
		whenGone: func(program string, gone func()) func() { return c.bus.WhenGone(program, c.loop, gone).Stop },
		after:    c.After,
		leave:    func(room uint32) { c.rooms.Leave(room) },
		linger:   cmp.Or(c.cfg.Linger, defaultLinger),
		rooms:    make(map[uint32]*roomUse),
	}
}

// use notes that a program, a unique name, uses a channel with that target.
func (u *roomUsers) use(t channels.Target, program string) {
	if t.Type != tp.HandleTypeRoom {
		return
	}
	r := u.rooms[t.Handle]
	if r == nil {
		r = &roomUse{programs: make(map[string]func())}
		u.rooms[t.Handle] = r
	}
	if _, known := r.programs[program]; known {
		return
	}
	r.deserted.Stop()
	r.programs[program] = u.whenGone(program, func() {
		delete(r.programs, program)
		if len(r.programs) == 0 {
			r.deserted = u.after(u.linger, "room deserted", func() { u.leave(t.Handle) })
		}
	})
}

// closed forgets a room with its Text channel, which is there as long as any.
func (u *roomUsers) closed(ch *channels.Channel) {
	r := u.rooms[ch.Target.Handle]
	if r == nil || ch.Type != tp.InterfaceChannelText || ch.Target.Type != tp.HandleTypeRoom {
		return
	}
	delete(u.rooms, ch.Target.Handle)
	r.deserted.Stop()
	for _, stop := range r.programs {
		stop()
	}
}

// channelCalled sees every call of a channel.
func (c *Connection) channelCalled(call *bus.Call) {
	if slices.ContainsFunc(idle[:], func(begin string) bool { return strings.HasPrefix(call.Member(), begin) }) {
		return
	}
	open := c.requests.open
	if i := slices.IndexFunc(open, func(ch *channels.Channel) bool { return ch.Path == call.Path() }); i >= 0 {
		c.users.use(open[i].Target, call.Sender())
	}
}
