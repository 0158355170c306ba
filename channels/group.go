package channels

import (
	"maps"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// Group serves Channel.Interface.Group: who is in a channel, who is invited
// and who waits to be let in.
//
// [Group.Apply] changes the sets first and then emits MembersChanged and
// MembersChangedDetailed, in this order and only if something really changed.
type Group struct {
	Channel *Channel
	Flags   tp.ChannelGroupFlags
	Self    uint32 // own handle in this group, 0 if there is none
	// Add and Remove serve AddMembers and RemoveMembers and answer the call.
	Add    func(call *bus.Call, contacts []uint32, message string)
	Remove func(call *bus.Call, contacts []uint32, message string, reason tp.ChannelGroupChangeReason)

	shared []*Channel
	order  []uint32 // handles in the order of their coming
	places map[uint32]place
	owners map[uint32]uint32 // of channel-specific handles; outlives membership
}

// place is where in a group a handle is.
type place struct {
	set  set
	info Change // why a local pending member waits: actor, reason, message
}

type set uint8

const (
	members set = iota
	localPending
	remotePending
)

// localPendingInfo is Local_Pending_Info, (uuus).
type localPendingInfo struct {
	Member, Actor uint32
	Reason        tp.ChannelGroupChangeReason
	Message       string
}

// Change is one step in the life of a group. A handle that comes into one set
// leaves the other ones.
type Change struct {
	Added, Removed, LocalPending, RemotePending []uint32
	Actor                                       uint32
	Reason                                      tp.ChannelGroupChangeReason
	Message                                     string
	Error                                       tp.ErrorName // more exact than Reason, if any
}

// Has tells whether h is a full member.
func (g *Group) Has(h uint32) bool {
	p, in := g.places[h]
	return in && p.set == members
}

// Members lists the full members in the order of their coming.
func (g *Group) Members() []uint32 { return g.list(members) }

// Everybody lists members and those who wait, in the order of their coming.
func (g *Group) Everybody() []uint32 { return slices.Clone(g.order) }

func (g *Group) list(s set) []uint32 {
	list := []uint32{}
	for _, h := range g.order {
		if g.places[h].set == s {
			list = append(list, h)
		}
	}
	return list
}

// Fill sets the first members before the channel is announced, in silence.
func (g *Group) Fill(c Change) { g.change(c) }

// Apply makes a change and announces what of it was one.
func (g *Group) Apply(c Change) {
	done := g.change(c)
	if len(done.Added)+len(done.Removed)+len(done.LocalPending)+len(done.RemotePending) == 0 {
		return
	}
	g.emit(tp.SignalChannelGroupMembersChanged, c.Message, done.Added, done.Removed,
		done.LocalPending, done.RemotePending, c.Actor, c.Reason)
	g.emit(tp.SignalChannelGroupMembersChangedDetailed, done.Added, done.Removed,
		done.LocalPending, done.RemotePending, g.details(done))
}

// Share makes this the group of one more channel, which has the Interface as
// well, until Unshare.
func (g *Group) Share(c *Channel) { g.shared = append(g.shared, c) }

// Unshare takes back a Share.
func (g *Group) Unshare(c *Channel) {
	g.shared = slices.DeleteFunc(g.shared, func(other *Channel) bool { return other == c })
}

// emit sends a signal of every channel that has the group.
func (g *Group) emit(s tp.Signal, args ...any) {
	g.Channel.Emit(s, args...)
	for _, c := range g.shared {
		c.Emit(s, args...)
	}
}

// Own sets who is behind channel-specific handles, 0 for unknown, and announces
// it; FillOwners does so before the channel is announced, in silence. An owner
// stays known when the member leaves.
func (g *Group) Own(owners map[uint32]uint32) {
	changed := make(map[uint32]uint32, len(owners))
	ids := make(map[uint32]string, len(owners))
	for h, owner := range owners {
		if was, known := g.owners[h]; known && was == owner {
			continue
		}
		changed[h] = owner
		maps.Copy(ids, g.identifiers([]uint32{h, owner}))
	}
	if len(changed) == 0 {
		return
	}
	g.FillOwners(changed)
	g.emit(tp.SignalChannelGroupHandleOwnersChanged, changed, []uint32{})
	g.emit(tp.SignalChannelGroupHandleOwnersChangedDetailed, changed, []uint32{}, ids)
}

// FillOwners is described with [Group.Own].
func (g *Group) FillOwners(owners map[uint32]uint32) {
	if g.owners == nil {
		g.owners = make(map[uint32]uint32)
	}
	maps.Copy(g.owners, owners)
}

// SetSelf changes the user's handle in the group and announces it.
func (g *Group) SetSelf(h uint32) {
	if g.Self == h {
		return
	}
	g.Self = h
	g.emit(tp.SignalChannelGroupSelfHandleChanged, h)
	g.emit(tp.SignalChannelGroupSelfContactChanged, h, g.identifiers([]uint32{h})[h])
}

// SetFlags changes what the group can do and announces it.
func (g *Group) SetFlags(f tp.ChannelGroupFlags) {
	if was := g.Flags; f != was {
		g.Flags = f
		g.emit(tp.SignalChannelGroupGroupFlagsChanged, f&^was, was&^f)
	}
}

// IsLocalPending tells whether h waits to come in.
func (g *Group) IsLocalPending(h uint32) bool {
	p, in := g.places[h]
	return in && p.set == localPending
}

// change alters the sets and returns the part of c that made a difference.
func (g *Group) change(c Change) Change {
	done := c
	done.Added = g.put(c.Added, place{set: members})
	done.LocalPending = g.put(c.LocalPending, place{set: localPending, info: c})
	done.RemotePending = g.put(c.RemotePending, place{set: remotePending})
	done.Removed = g.drop(c.Removed)
	return done
}

func (g *Group) put(handles []uint32, p place) []uint32 {
	moved := []uint32{}
	for _, h := range handles {
		was, in := g.places[h]
		if in && was.set == p.set {
			continue
		}
		if !in {
			g.order = append(g.order, h)
		}
		if g.places == nil {
			g.places = make(map[uint32]place)
		}
		g.places[h] = p
		moved = append(moved, h)
	}
	return moved
}

func (g *Group) drop(handles []uint32) []uint32 {
	gone := []uint32{}
	for _, h := range handles {
		if _, in := g.places[h]; in {
			delete(g.places, h)
			gone = append(gone, h)
		}
	}
	if len(gone) > 0 {
		g.order = slices.DeleteFunc(g.order, func(h uint32) bool {
			_, in := g.places[h]
			return !in
		})
	}
	return gone
}

// details are those of MembersChangedDetailed.
func (g *Group) details(c Change) map[string]dbus.Variant {
	named := slices.Concat(c.Added, c.Removed, c.LocalPending, c.RemotePending)
	d := map[string]dbus.Variant{"contact-ids": dbus.MakeVariant(g.identifiers(named))}
	if c.Actor != 0 {
		d["actor"] = dbus.MakeVariant(c.Actor)
	}
	if c.Reason != tp.ChannelGroupChangeReasonNone {
		d["change-reason"] = dbus.MakeVariant(c.Reason)
	}
	if c.Message != "" {
		d["message"] = dbus.MakeVariant(c.Message)
	}
	if c.Error != "" {
		d["error"] = dbus.MakeVariant(c.Error)
	}
	return d
}

func (g *Group) identifiers(handles []uint32) map[uint32]string {
	ids := make(map[uint32]string, len(handles))
	for _, h := range handles {
		if id, known := g.Channel.host.Handles().Contacts.ID(h); known {
			ids[h] = id.String()
		}
	}
	return ids
}

// Interface is the D-Bus side, to be put into the channel's Interfaces.
func (g *Group) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelGroup,
		Methods: map[string]func(*bus.Call){
			"AddMembers":                     g.addMembers,
			"RemoveMembers":                  g.removeMembers,
			"RemoveMembersWithReason":        g.removeMembersWithReason,
			"GetAllMembers":                  g.getAllMembers,
			"GetGroupFlags":                  func(c *bus.Call) { c.Return(g.Flags) },
			"GetHandleOwners":                g.getHandleOwners,
			"GetLocalPendingMembers":         func(c *bus.Call) { c.Return(g.list(localPending)) },
			"GetLocalPendingMembersWithInfo": func(c *bus.Call) { c.Return(g.localPendingInfo()) },
			"GetMembers":                     func(c *bus.Call) { c.Return(g.Members()) },
			"GetRemotePendingMembers":        func(c *bus.Call) { c.Return(g.list(remotePending)) },
			"GetSelfHandle":                  func(c *bus.Call) { c.Return(g.Self) },
		},
		Properties: map[string]func() any{
			"GroupFlags":           func() any { return g.Flags },
			"HandleOwners":         func() any { return g.presentOwners() },
			"LocalPendingMembers":  func() any { return g.localPendingInfo() },
			"Members":              func() any { return g.Members() },
			"RemotePendingMembers": func() any { return g.list(remotePending) },
			"SelfHandle":           func() any { return g.Self },
			"MemberIdentifiers":    func() any { return g.memberIdentifiers() },
		},
	}
}

func (g *Group) getAllMembers(call *bus.Call) {
	call.Return(g.Members(), g.list(localPending), g.list(remotePending))
}

func (g *Group) localPendingInfo() []localPendingInfo {
	list := []localPendingInfo{}
	for _, h := range g.list(localPending) {
		why := g.places[h].info
		list = append(list, localPendingInfo{h, why.Actor, why.Reason, why.Message})
	}
	return list
}

// memberIdentifiers names everybody in the group, the user, and the owners.
func (g *Group) memberIdentifiers() map[uint32]string {
	named := append(slices.Clone(g.order), g.Self)
	for h, owner := range g.presentOwners() {
		named = append(named, h, owner)
	}
	for _, p := range g.places {
		named = append(named, p.info.Actor)
	}
	return g.identifiers(named)
}

// presentOwners are the owners of those who are in the group now.
func (g *Group) presentOwners() map[uint32]uint32 {
	present := maps.Clone(g.owners)
	maps.DeleteFunc(present, func(h, _ uint32) bool {
		_, in := g.places[h]
		return !in && h != g.Self
	})
	if present == nil {
		present = map[uint32]uint32{}
	}
	return present
}

// getHandleOwners also answers for members who have left: Sugar asks for the
// owner of a member only when it hears that the member is gone.
func (g *Group) getHandleOwners(call *bus.Call) {
	var handles []uint32
	if !call.Args(&handles) {
		return
	}
	if g.Flags&tp.ChannelGroupFlagsChannelSpecificHandles == 0 {
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "handles of this channel are contacts"))
		return
	}
	owners := make([]uint32, len(handles))
	for i, h := range handles {
		owner, known := g.owners[h]
		if _, in := g.places[h]; !in && !known {
			call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "%d is not a member", h))
			return
		}
		owners[i] = owner
	}
	call.Return(owners)
}

func (g *Group) addMembers(call *bus.Call) {
	var contacts []uint32
	var message string
	if !call.Args(&contacts, &message) || !g.checkContacts(call, contacts) {
		return
	}
	g.Add(call, contacts, message)
}

func (g *Group) removeMembers(call *bus.Call) {
	var contacts []uint32
	var message string
	if !call.Args(&contacts, &message) || !g.checkContacts(call, contacts) {
		return
	}
	g.Remove(call, contacts, message, tp.ChannelGroupChangeReasonNone)
}

func (g *Group) removeMembersWithReason(call *bus.Call) {
	var contacts []uint32
	var message string
	var reason tp.ChannelGroupChangeReason
	if !call.Args(&contacts, &message, &reason) || !g.checkContacts(call, contacts) {
		return
	}
	if reason > tp.ChannelGroupChangeReasonSeparated {
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "%d is not a reason", reason))
		return
	}
	g.Remove(call, contacts, message, reason)
}

// checkContacts answers InvalidHandle when one of the handles is none.
func (g *Group) checkContacts(call *bus.Call, contacts []uint32) bool {
	for _, h := range contacts {
		if _, known := g.Channel.host.Handles().Contacts.ID(h); !known {
			call.Fail(tp.Errorf(tp.ErrorInvalidHandle, "%d is not a contact", h))
			return false
		}
	}
	return true
}
