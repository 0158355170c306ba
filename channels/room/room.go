package room

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/text"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/muc"
	"telepathy-olpc/xmpp/stanza"
)

// Room is one room that the user is in, on the way into, or invited to.
type Room struct {
	rooms  *Rooms
	host   Host
	jid    jid.JID
	handle uint32

	requested  bool // by a client, not by an invitation
	waiting    []*channels.Request
	invitation *muc.Invitation // not answered yet
	hold       *loop.Timer     // until the invitation is shown

	muc        *muc.Room         // nil while only invited
	channel    *channels.Channel // nil until it is announced
	group      *channels.Group
	talk       *text.Conversation
	config     *config
	properties *properties
	password   *password
	conference *conference // nil if the room was not made for one
	visits     []visit
	again      []*channels.Request // for after the room is left
	revisits   []visit             // as well
	leaving    bool                // the channel is closed, the room not yet left
	owners     bool                // of somebody else it is known who that is
	subjects   []wish              // that are on their way
	canSet     bool                // clients know that the subject can be set
}

// request answers with the channel, or joins and lets the request wait.
func (r *Room) request(req *channels.Request) {
	switch {
	case r.leaving:
		r.again = append(r.again, req)
	case r.channel != nil:
		req.Existing(r.channel)
	case len(r.waiting) > 0 && !req.Ensure:
		req.Fail(tp.Errorf(tp.ErrorNotAvailable, "the room is being joined already"))
	default:
		r.waiting = append(r.waiting, req)
		if r.hold != nil {
			r.showInvitation()
			return
		}
		r.join()
	}
}

// join enters the room; joined or ended follows.
func (r *Room) join() {
	if r.muc != nil {
		return
	}
	r.muc = muc.New(muc.Config{
		Host:  r.host,
		After: func(d time.Duration, label string, f func()) func() { return r.host.After(d, label, f).Stop },
		Self:  r.host.Self(),
		Room:  r.jid,
		Events: muc.Events{
			Joined: r.joined, Rejoined: func() {}, Ended: r.ended,
			Entered: r.entered, Left: r.left, Renamed: r.renamed, Changed: r.changed, SelfChanged: r.selfChanged,
			Subject: r.subjectChanged, Message: r.received, Failed: r.failed,
			Declined: func(d muc.Decline) { r.rooms.activities.Declined(r.jid, d.From) }, Reconfigured: r.reconfigured,
		},
	})
	entry := muc.Entry{Nick: r.host.Nick(), Presence: r.presence, Settings: muc.ForActivity()}
	if r.invitation != nil {
		entry.Password = r.invitation.Password
	}
	if r.password != nil && r.password.call != nil {
		entry.Password = r.password.text
	}
	r.muc.Join(entry)
}

// make builds the channel, which is not announced yet.
func (r *Room) make(initiator uint32) {
	r.rooms.paths++
	r.channel = &channels.Channel{
		Path:      r.host.ChannelPath(fmt.Sprintf("MucChannel%d", r.rooms.paths)),
		Type:      tp.InterfaceChannelText,
		Target:    channels.Target{Type: tp.HandleTypeRoom, Handle: r.handle, ID: r.jid.String()},
		Initiator: initiator,
		Requested: r.requested,
		OnClose:   r.close,
	}
	r.group = &channels.Group{
		Channel: r.channel,
		Flags:   r.flags(),
		Add:     r.addMembers, Remove: r.removeMembers,
	}
	r.talk = r.newConversation()
	r.config = newConfig(r)
	r.canSet = r.canSetSubject()
	r.properties = newProperties(r)
	r.password = &password{room: r}
	room2 := r.serveRoom2()
	r.channel.Interfaces = slices.Concat(r.talk.Interfaces(), []bus.Interface{
		r.group.Interface(), room2, r.config.Interface(), r.serveSubject(), r.password.Interface(), r.properties.Interface(),
	}, r.conference.interfaces())
	r.channel.Immutable = r.talk.Immutable()
	for name, get := range room2.Properties {
		r.channel.Immutable[room2.Facts.Name+"."+name] = get()
	}
	maps.Copy(r.channel.Immutable, r.conference.immutable())
	r.channel.Export(r.host)
}

// flags say what the user can do with the members, and whether it is known of
// anybody else who that is.
func (r *Room) flags() tp.ChannelGroupFlags {
	f := tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsMessageAdd | tp.ChannelGroupFlagsMessageDepart |
		tp.ChannelGroupFlagsChannelSpecificHandles | tp.ChannelGroupFlagsProperties | tp.ChannelGroupFlagsMembersChangedDetailed
	if !r.owners {
		f |= tp.ChannelGroupFlagsHandleOwnersNotAvailable
	}
	if r.isModerator() {
		f |= tp.ChannelGroupFlagsCanRemove | tp.ChannelGroupFlagsMessageRemove
	}
	return f
}

func (r *Room) isModerator() bool {
	self, _ := r.Occupant(r.Nick())
	return self.Role == muc.Moderator
}

// joined announces the channel with all occupants, or fills it with them when it
// was there for an invitation.
func (r *Room) joined(a muc.Arrival) {
	if a.SettingsErr != nil {
		r.host.Log().WithError(a.SettingsErr).Debug("Room not set up for an activity")
	}
	r.rooms.activities.Joined(r.jid)
	a.Occupants = r.withoutServices(a.Occupants)
	members := make([]uint32, len(a.Occupants))
	owners := make(map[uint32]uint32, len(a.Occupants))
	for i, o := range a.Occupants {
		members[i] = r.occupant(o.Nick)
		owners[members[i]] = r.owner(o)
		r.arrived(o)
	}
	if r.channel != nil {
		r.fill(members, owners)
		r.rooms.companion.RoomJoined(r, a.Occupants)
		return
	}
	r.make(r.host.SelfHandle())
	r.group.Self = r.occupant(r.muc.Nick())
	r.group.FillOwners(owners)
	r.group.Fill(channels.Change{Added: members})
	r.open()
	r.config.retrieve(nil)
	r.rooms.companion.RoomJoined(r, a.Occupants)
}

// fill makes members of a room that has a channel what they are in it: who
// invited is there as an occupant now.
func (r *Room) fill(members []uint32, owners map[uint32]uint32) {
	r.own(owners)
	r.group.SetSelf(r.occupant(r.muc.Nick()))
	r.endInvitation()
	r.password.answer(true, nil)
	r.password.setWanted(false)
	r.tellCanSet()
	gone := slices.DeleteFunc(r.group.Everybody(), func(h uint32) bool { return slices.Contains(members, h) })
	r.group.Apply(channels.Change{Added: members, Removed: gone})
	r.config.retrieve(nil)
}

func (r *Room) endInvitation() {
	if r.invitation != nil {
		r.invitation = nil
		r.rooms.invited--
	}
}

func (r *Room) takeWaiting() []*channels.Request {
	waiting := r.waiting
	r.waiting = nil
	return waiting
}

// occupant is the handle of somebody in the room.
func (r *Room) occupant(nick string) uint32 {
	return r.host.Handles().Contacts.Ensure(r.jid.WithResource(nick))
}

// owner is the contact behind an occupant, 0 if the room hides it.
func (r *Room) owner(o muc.Occupant) uint32 {
	switch {
	case o.Nick == r.muc.Nick():
		return r.host.SelfHandle()
	case o.Real.IsZero():
		return 0
	}
	r.owners = true
	return r.host.Handles().Contacts.Ensure(o.Real.Bare())
}

// own tells who is behind occupants.
func (r *Room) own(owners map[uint32]uint32) {
	r.group.Own(owners)
	r.group.SetFlags(r.flags())
}

func (r *Room) arrived(o muc.Occupant) {
	if !o.Real.IsZero() {
		r.rooms.activities.Arrived(r.jid, o.Real)
	}
}

func (r *Room) entered(o muc.Occupant) {
	if r.isService(o) {
		return
	}
	h := r.occupant(o.Nick)
	r.arrived(o)
	r.own(map[uint32]uint32{h: r.owner(o)})
	r.group.Apply(channels.Change{Added: []uint32{h}, Actor: h})
	r.rooms.companion.RoomPresent(r, o)
}

// reason is why somebody is not in a room any more, in Telepathy's words.
type reason struct {
	reason tp.ChannelGroupChangeReason
	error  tp.ErrorName // says it more exactly, if at all
}

// reasons are for those who did not go of their own will.
var reasons = map[muc.Cause]reason{
	muc.Kicked:        {tp.ChannelGroupChangeReasonKicked, tp.ErrorChannelKicked},
	muc.Banned:        {tp.ChannelGroupChangeReasonBanned, tp.ErrorChannelBanned},
	muc.NotAffiliated: {tp.ChannelGroupChangeReasonPermissionDenied, tp.ErrorPermissionDenied},
	muc.MembersOnly:   {tp.ChannelGroupChangeReasonPermissionDenied, tp.ErrorChannelInviteOnly},
	muc.Disconnected:  {tp.ChannelGroupChangeReasonOffline, tp.ErrorOffline},
	muc.Shutdown:      {tp.ChannelGroupChangeReasonError, tp.ErrorNotAvailable},
	muc.Destroyed:     {tp.ChannelGroupChangeReasonNone, tp.ErrorTerminated},
}

// departure says why h has left, and by whose doing.
func (r *Room) departure(h uint32, d muc.Departure) channels.Change {
	why := reasons[d.Cause]
	c := channels.Change{Removed: []uint32{h}, Actor: h, Reason: why.reason, Error: why.error, Message: d.Message}
	if d.Cause == muc.Parted {
		return c
	}
	c.Actor, c.Message = 0, d.Reason
	switch {
	case d.Actor.Nick != "":
		c.Actor = r.occupant(d.Actor.Nick)
	case !d.Actor.JID.IsZero():
		c.Actor = r.host.Handles().Contacts.Ensure(d.Actor.JID.Bare())
	}
	return c
}

func (r *Room) left(o muc.Occupant, d muc.Departure) {
	if r.isService(o) {
		return
	}
	h := r.occupant(o.Nick)
	r.rooms.companion.RoomLeft(r, o.Nick)
	r.group.Apply(r.departure(h, d))
	r.talk.SetContactState(h, tp.ChannelChatStateInactive)
}

func (r *Room) renamed(old string, o muc.Occupant) {
	if r.isService(o) {
		return
	}
	was, is := r.occupant(old), r.occupant(o.Nick)
	r.own(map[uint32]uint32{is: r.owner(o)})
	if o.Nick == r.muc.Nick() {
		r.group.SetSelf(is)
	}
	r.group.Apply(channels.Change{
		Added: []uint32{is}, Removed: []uint32{was}, Actor: is, Reason: tp.ChannelGroupChangeReasonRenamed,
	})
	r.rooms.companion.RoomRenamed(r, old, o.Nick)
}

func (r *Room) changed(old, o muc.Occupant) {
	if r.isService(o) {
		r.left(old, muc.Departure{}) // if only now it is seen what it is
		return
	}
	if old.Real.IsZero() {
		r.arrived(o)
	}
	r.own(map[uint32]uint32{r.occupant(o.Nick): r.owner(o)})
	r.rooms.companion.RoomPresent(r, o)
}

func (r *Room) selfChanged(_, o muc.Occupant) {
	r.config.setRights(o)
	r.group.SetFlags(r.flags())
	r.tellCanSet()
	r.rooms.companion.RoomPresent(r, o)
}

// joinErrors gives the answer to a refused join, XEP-0045 §7.2; any other
// condition is NotAvailable. A room with a password is kept, see [Room.lock].
var joinErrors = map[stanza.Condition]tp.ErrorName{
	stanza.Forbidden:            tp.ErrorChannelBanned,
	stanza.RegistrationRequired: tp.ErrorChannelInviteOnly,
	stanza.ServiceUnavailable:   tp.ErrorChannelFull, // too many occupants
	stanza.NotAllowed:           tp.ErrorPermissionDenied,
	stanza.ItemNotFound:         tp.ErrorDoesNotExist,
}

func joinError(e muc.Ending) *tp.Error {
	var refused *stanza.Error
	switch {
	case e.Cause == muc.TimedOut:
		return tp.Errorf(tp.ErrorNetworkError, "the room did not answer")
	case e.Cause == muc.NicknamesTaken:
		return tp.Errorf(tp.ErrorNotAvailable, "the nick and what was made of it are taken")
	case errors.As(e.Err, &refused):
		name, known := joinErrors[refused.Condition]
		if !known {
			name = tp.ErrorNotAvailable
		}
		return tp.Errorf(name, "the room refused: %v", refused)
	}
	return tp.Errorf(tp.ErrorNotAvailable, "the room was not joined: %v", e.Err)
}

// ended runs when the stay in the room is over, or never began.
func (r *Room) ended(e muc.Ending) {
	if r.isLocked(e) {
		r.lock()
		return
	}
	delete(r.rooms.rooms, r.jid)
	r.endInvitation()
	for len(r.subjects) > 0 {
		r.answerSubject(0, tp.Errorf(tp.ErrorNotAvailable, "the room is over"))
	}
	switch {
	case r.leaving:
		r.password.answer(false, tp.Errorf(tp.ErrorCancelled, "the channel was closed"))
	case r.channel == nil:
		r.turnAway(joinError(e))
		return
	default:
		r.rooms.activities.Left(r.jid)
		r.rooms.companion.RoomEnded(r)
		gone := r.departure(r.group.Self, e.Departure)
		if !r.group.Has(r.group.Self) {
			gone.Error = joinError(e).Name
		}
		r.password.answer(false, joinError(e))
		r.group.Apply(gone)
		r.host.Closed(r.channel)
	}
	r.reopen()
}

// close serves Close: the channel goes at once, the room as soon as the server
// says so, and messages that nobody has read with it. A Destroy could do no
// more, so rooms do not have Channel.Interface.Destroyable, which the
// specification does not ask for where it equals Close. It is no way to end the
// room for everybody either: mission-control calls it on every channel that has
// it and that no program takes.
func (r *Room) close(call *bus.Call) {
	call.Return()
	r.leave("")
}

func (r *Room) leave(message string) {
	if r.leaving {
		return
	}
	r.leaving = true
	if r.muc == nil {
		r.decline(message)
		return
	}
	r.rooms.activities.Left(r.jid)
	r.rooms.companion.RoomEnded(r)
	r.group.Apply(channels.Change{Removed: []uint32{r.group.Self}, Actor: r.group.Self, Message: message})
	r.host.Closed(r.channel)
	r.muc.Leave(message)
}
