package roomlist

import (
	"errors"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

const (
	// maxUnderWay is how many rooms are asked about themselves at a time, so
	// that a service with thousands does not hold up everything else.
	maxUnderWay = 8
	// batchTime and batchSize bound how long a room waits to be told, and how
	// many are told at once: a list on the screen grows a few times a second.
	batchTime = 300 * time.Millisecond
	batchSize = 100
)

// list is one channel.
type list struct {
	lists   *Lists
	host    Host
	service jid.JID
	channel *channels.Channel
	run     *listing // nil while nothing is listed
}

// listing is one way through the rooms of a service.
type listing struct {
	answer func(error)  // of ListRooms; nil once called
	left   []disco.Item // not asked yet
	open   int          // questions without answer
	batch  []roomInfo   // not told yet
	timer  *loop.Timer  // when the batch is told
}

// roomInfo is Room_Info, (usa{sv}).
type roomInfo struct {
	Handle uint32
	Type   string
	Info   map[string]dbus.Variant
}

func (l *list) serve() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelRoomList,
		Methods: map[string]func(*bus.Call){
			"GetListingRooms": func(call *bus.Call) { call.Return(l.run != nil) },
			"ListRooms":       l.listRooms,
			"StopListing": func(call *bus.Call) {
				l.stop()
				call.Return()
			},
		},
		Properties: map[string]func() any{"Server": bus.Fixed(l.service.String())},
	}
}

// listRooms answers when the service has, because only then it is known
// whether there is a list.
func (l *list) listRooms(call *bus.Call) {
	l.start(func(err error) {
		if err != nil {
			call.Fail(err)
			return
		}
		call.Return()
	})
}

// start begins to list. Who comes while that goes on gets the rest: there is
// one sequence of signals for all.
func (l *list) start(answer func(error)) {
	if l.run != nil {
		answer(nil)
		return
	}
	run := &listing{answer: answer}
	l.run = run
	l.channel.Emit(tp.SignalChannelRoomListListingRooms, true)
	disco.AskItems(l.host, l.service, "", func(items []disco.Item, err error) {
		if l.run != run {
			return // stopped meanwhile
		}
		if err != nil {
			l.end(listError(err))
			return
		}
		run.reply(nil)
		run.left = l.rooms(items)
		l.next()
	})
}

// reply answers ListRooms, if that is not done yet.
func (r *listing) reply(err error) {
	if r.answer != nil {
		r.answer(err)
		r.answer = nil
	}
}

// rooms picks the rooms of the service, each once: nobody else is asked
// because a service says so. Package disco bounds how many there are.
func (l *list) rooms(items []disco.Item) []disco.Item {
	seen := make(map[jid.JID]bool, len(items))
	return slices.DeleteFunc(items, func(i disco.Item) bool {
		isRoom := i.Node == "" && i.JID.Local() != "" && i.JID.IsBare() && i.JID.Domain() == l.service.Domain()
		if !isRoom || seen[i.JID] {
			return true
		}
		seen[i.JID] = true
		return false
	})
}

// next asks about as many rooms as may be under way.
func (l *list) next() {
	run := l.run
	for run.open < maxUnderWay && len(run.left) > 0 {
		room := run.left[0]
		run.left = run.left[1:]
		run.open++
		disco.AskInfo(l.host, room.JID, "", func(info *disco.Info, err error) {
			if l.run == run {
				l.answered(room, info, err)
			}
		})
	}
	if run.open == 0 {
		l.end(nil)
	}
}

// answered takes what a room says about itself. A service that answers late
// for one room is asked no more: thousands might be left.
func (l *list) answered(room disco.Item, info *disco.Info, err error) {
	l.run.open--
	if errors.Is(err, xmpp.ErrTimeout) || errors.Is(err, xmpp.ErrLost) {
		l.end(nil)
		return
	}
	if isThere(info, err) {
		l.tell(roomInfo{
			Handle: l.host.Handles().Rooms.Ensure(room.JID),
			Type:   tp.InterfaceChannelText.Name,
			Info:   describe(room, info),
		})
	}
	l.next()
}

// isThere tells whether there is a room. One that tells nothing to those
// outside may be joined all the same; one that has gone since it was listed may
// not.
func isThere(info *disco.Info, err error) bool {
	if err == nil {
		return muc.IsRoom(info)
	}
	var refused *stanza.Error
	return !errors.As(err, &refused) || refused.Condition != stanza.ItemNotFound
}

// tell puts a room into the batch.
func (l *list) tell(room roomInfo) {
	run := l.run
	run.batch = append(run.batch, room)
	switch len(run.batch) {
	case batchSize:
		l.flush()
	case 1:
		run.timer = l.host.After(batchTime, "rooms listed", l.flush)
	}
}

// flush tells the batch.
func (l *list) flush() {
	run := l.run
	run.timer.Stop()
	if len(run.batch) > 0 {
		l.channel.Emit(tp.SignalChannelRoomListGotRooms, run.batch)
		run.batch = nil
	}
}

// end is where every listing ends: with all that is known told.
func (l *list) end(err error) {
	l.flush()
	run := l.run
	l.run = nil
	l.channel.Emit(tp.SignalChannelRoomListListingRooms, false)
	run.reply(err)
}

// stop ends a listing because a client wants so.
func (l *list) stop() {
	if l.run != nil {
		l.end(tp.Errorf(tp.ErrorCancelled, "the listing was stopped"))
	}
}

// abandon ends a listing of which nobody can be told any more.
func (l *list) abandon(err error) {
	if run := l.run; run != nil {
		l.run = nil
		run.timer.Stop()
		run.reply(err)
	}
}

// close serves Close.
func (l *list) close(call *bus.Call) {
	l.stop()
	call.Return()
	l.lists.open = slices.DeleteFunc(l.lists.open, func(o *list) bool { return o == l })
	l.host.Closed(l.channel)
}

// describe gives the well-known keys of GotRooms, as far as the room tells.
func describe(room disco.Item, info *disco.Info) map[string]dbus.Variant {
	settings, state := muc.ParseInfo(info), muc.ParseState(info)
	all := map[string]dbus.Variant{
		"handle-name": dbus.MakeVariant(room.JID.String()),
		"room-id":     dbus.MakeVariant(room.JID.Local()),
		"server":      dbus.MakeVariant(room.JID.Domain()),
	}
	for key, setting := range map[string]muc.Setting{
		"name": muc.Title, "description": muc.Description, "password": muc.PasswordProtected, "invite-only": muc.InviteOnly,
	} {
		if value, told := settings[setting]; told && value != "" {
			all[key] = dbus.MakeVariant(value)
		}
	}
	// ejabberd writes the number of occupants into the item's name.
	if _, named := all["name"]; !named && room.Name != "" {
		all["name"] = dbus.MakeVariant(room.Name)
	}
	if state.Subject != "" {
		all["subject"] = dbus.MakeVariant(state.Subject)
	}
	if state.Counted {
		all["members"] = dbus.MakeVariant(state.Occupants)
	}
	return all
}

// listErrors gives the answer when a service does not list its rooms; any other
// condition is NotAvailable.
var listErrors = map[stanza.Condition]tp.ErrorName{
	stanza.Forbidden:            tp.ErrorPermissionDenied,
	stanza.NotAllowed:           tp.ErrorPermissionDenied,
	stanza.NotAuthorized:        tp.ErrorPermissionDenied,
	stanza.RegistrationRequired: tp.ErrorPermissionDenied,
	stanza.SubscriptionRequired: tp.ErrorPermissionDenied,
	stanza.RemoteServerTimeout:  tp.ErrorNetworkError,
}

func listError(err error) error {
	var refused *stanza.Error
	name := tp.ErrorNotAvailable
	switch {
	case errors.Is(err, xmpp.ErrLost):
		name = tp.ErrorDisconnected
	case errors.Is(err, xmpp.ErrTimeout):
		name = tp.ErrorNetworkError
	case errors.As(err, &refused):
		if known := listErrors[refused.Condition]; known != "" {
			name = known
		}
	}
	return tp.Errorf(name, "%v", err)
}
