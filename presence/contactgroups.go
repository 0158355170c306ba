package presence

import (
	"maps"
	"slices"
	"strings"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

// ContactGroups serves Connection.Interface.ContactGroups over the groups in
// roster items (RFC 6121 §2.1.2.2). A group is there as long as it has members.
type ContactGroups struct {
	list    *ContactList
	members map[string]int // number of contacts in each group
}

// NewContactGroups makes groups of the list's contacts.
func NewContactGroups(l *ContactList) *ContactGroups {
	g := &ContactGroups{list: l, members: make(map[string]int)}
	l.Watch(g.changed)
	return g
}

// Interface is the D-Bus side.
func (g *ContactGroups) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionContactGroups,
		Methods: map[string]func(*bus.Call){
			"SetContactGroups": g.setContactGroups,
			"SetGroupMembers":  g.onGroup(g.setGroupMembers),
			"AddToGroup":       g.onGroup(g.addToGroup),
			"RemoveFromGroup":  g.onGroup(g.removeFromGroup),
			"RemoveGroup":      g.removeGroup,
			"RenameGroup":      g.renameGroup,
		},
		Properties: map[string]func() any{
			"DisjointGroups": bus.Fixed(false),
			"GroupStorage":   bus.Fixed(tp.ContactMetadataStorageTypeAnyone),
			"Groups":         func() any { return slices.Sorted(maps.Keys(g.members)) },
		},
	}
}

// Attributes tells the groups of a contact to the Contacts interface.
func (g *ContactGroups) Attributes(contact uint32) map[string]any {
	who, _ := g.list.host.Handles().Contacts.ID(contact)
	groups := []string{}
	if item := g.list.item(who); item != nil {
		groups = append(groups, item.Groups...)
	}
	return map[string]any{tp.InterfaceConnectionContactGroups.Name + "/groups": groups}
}

// changed announces new groups, who has moved, and groups that are empty now,
// in this order. Contacts that moved alike share a signal.
func (g *ContactGroups) changed(list []ListChange) {
	type move struct{ added, removed []string }
	moves := make(map[string]*move)
	contacts := make(map[string][]uint32)
	before := maps.Clone(g.members)
	for _, c := range list {
		added, removed := difference(groupsOf(c.New), groupsOf(c.Old)), difference(groupsOf(c.Old), groupsOf(c.New))
		if len(added)+len(removed) == 0 {
			continue
		}
		g.count(added, 1)
		g.count(removed, -1)
		key := strings.Join(added, "\x00") + "\x01" + strings.Join(removed, "\x00")
		moves[key] = &move{added, removed}
		contacts[key] = append(contacts[key], c.Contact)
	}
	g.emitNames(tp.SignalConnectionContactGroupsGroupsCreated, difference(keys(g.members), keys(before)))
	for _, key := range keys(moves) {
		g.list.host.Emit(tp.SignalConnectionContactGroupsGroupsChanged, contacts[key], moves[key].added, moves[key].removed)
	}
	g.emitNames(tp.SignalConnectionContactGroupsGroupsRemoved, difference(keys(before), keys(g.members)))
}

func (g *ContactGroups) emitNames(s tp.Signal, names []string) {
	if len(names) > 0 {
		g.list.host.Emit(s, names)
	}
}

func (g *ContactGroups) count(groups []string, by int) {
	for _, name := range groups {
		if g.members[name] += by; g.members[name] == 0 {
			delete(g.members, name)
		}
	}
}

func groupsOf(item *roster.Item) []string {
	if item == nil {
		return nil
	}
	return item.Groups
}

// difference lists what is in a but not in b.
func difference(a, b []string) []string {
	only := []string{}
	for _, name := range a {
		if !slices.Contains(b, name) {
			only = append(only, name)
		}
	}
	return only
}

func keys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (g *ContactGroups) setContactGroups(call *bus.Call) {
	var contact uint32
	var groups []string
	if !call.Args(&contact, &groups) || !g.list.ready(call) {
		return
	}
	g.list.forEach(call, []uint32{contact}, func(who jid.JID, done func(error)) { g.write(who, groups, done) })
}

// onGroup wraps a method that takes a group and contacts.
func (g *ContactGroups) onGroup(do func(call *bus.Call, group string, contacts []uint32)) func(*bus.Call) {
	return func(call *bus.Call) {
		var group string
		var contacts []uint32
		if call.Args(&group, &contacts) && g.list.ready(call) {
			do(call, group, contacts)
		}
	}
}

func (g *ContactGroups) addToGroup(call *bus.Call, group string, contacts []uint32) {
	g.list.forEach(call, contacts, func(who jid.JID, done func(error)) {
		g.write(who, with(groupsOf(g.list.item(who)), group), done)
	})
}

func (g *ContactGroups) removeFromGroup(call *bus.Call, group string, contacts []uint32) {
	g.list.forEach(call, contacts, func(who jid.JID, done func(error)) {
		g.write(who, difference(groupsOf(g.list.item(who)), []string{group}), done)
	})
}

// setGroupMembers puts the contacts in and all others out.
func (g *ContactGroups) setGroupMembers(call *bus.Call, group string, contacts []uint32) {
	wanted, ok := g.list.resolve(call, contacts)
	if !ok {
		return
	}
	all := gather(call)
	for _, who := range wanted {
		g.write(who, with(groupsOf(g.list.item(who)), group), all.one())
	}
	for _, item := range g.in(group) {
		if !slices.Contains(wanted, item.JID) {
			g.write(item.JID, difference(item.Groups, []string{group}), all.one())
		}
	}
	all.wait()
}

func (g *ContactGroups) removeGroup(call *bus.Call) {
	var group string
	if !call.Args(&group) || !g.list.ready(call) {
		return
	}
	all := gather(call)
	for _, item := range g.in(group) {
		g.write(item.JID, difference(item.Groups, []string{group}), all.one())
	}
	all.wait()
}

// renameGroup moves the members one by one. Groups are but tags of contacts, so
// it is announced as that, and not as GroupRenamed, which could not be taken
// back if the server refused a part.
func (g *ContactGroups) renameGroup(call *bus.Call) {
	var from, to string
	if !call.Args(&from, &to) || !g.list.ready(call) {
		return
	}
	switch {
	case g.members[from] == 0:
		call.Fail(tp.Errorf(tp.ErrorDoesNotExist, "there is no group %q", from))
		return
	case g.members[to] != 0:
		call.Fail(tp.Errorf(tp.ErrorNotAvailable, "there is a group %q already", to))
		return
	}
	all := gather(call)
	for _, item := range g.in(from) {
		g.write(item.JID, with(difference(item.Groups, []string{from}), to), all.one())
	}
	all.wait()
}

// in lists the items of a group before any of them is changed.
func (g *ContactGroups) in(group string) []*roster.Item {
	var items []*roster.Item
	if g.list.roster == nil {
		return nil
	}
	for item := range g.list.roster.All() {
		if slices.Contains(item.Groups, group) {
			items = append(items, item)
		}
	}
	return items
}

// write stores a contact's groups, unless nothing would change or the item is
// one of a shared group, which only the server's administrator can move.
func (g *ContactGroups) write(who jid.JID, groups []string, done func(error)) {
	item := g.list.item(who)
	if len(difference(groups, groupsOf(item))) == 0 && len(difference(groupsOf(item), groups)) == 0 {
		done(nil)
		return
	}
	g.list.writeItem(who, nameOf(item), groups, done)
}

func nameOf(item *roster.Item) string {
	if item == nil {
		return ""
	}
	return item.Name
}

func with(groups []string, name string) []string {
	if slices.Contains(groups, name) {
		return groups
	}
	return append(slices.Clone(groups), name)
}

// SetName stores the user's name for a contact.
func (l *ContactList) SetName(who jid.JID, name string, done func(error)) {
	l.writeItem(who, name, groupsOf(l.item(who)), done)
}

// writeItem writes a roster item that is not of a shared group.
func (l *ContactList) writeItem(who jid.JID, name string, groups []string, done func(error)) {
	if l.isShared(l.item(who)) {
		done(tp.Errorf(tp.ErrorPermissionDenied, "%s is in a group that the server keeps", who))
		return
	}
	l.own[who] = true
	l.host.Ask(roster.SetQuery(who, name, groups), func(_ *stanza.Element, err error) { done(err) })
}
