// Package contactlist serves Channel.Type.ContactList, the lists of contacts
// of older Telepathy clients: "subscribe", "publish", "stored" and "deny".
//
// Sugar knows no other way to its buddies, and it needs one departure from the
// specification: it learns that somebody has come back from MembersChanged
// alone. So "subscribe" holds the contacts who are on-line, whatever the
// roster says. The true subscription states are told by
// Connection.Interface.ContactList.
//
// A list comes into being when it is asked for, which takes no round trip, and
// lasts as long as the Connection: it can't be closed.
package contactlist

import (
	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// Names of the lists (specification, Channel.Type.ContactList).
const (
	Subscribe = "subscribe"
	Publish   = "publish"
	Stored    = "stored"
	Deny      = "deny"
)

// Names lists all of them.
var Names = []string{Subscribe, Publish, Stored, Deny}

// Source is what the lists are filled from and changed with.
type Source interface {
	// ListMembers are the contacts now on a list, and those who wait:
	// local ones for the user's consent, remote ones for theirs.
	ListMembers(list string) channels.Change
	// AddToList and RemoveFromList do what that means to the roster, or to
	// the block list, and answer the call.
	AddToList(call *bus.Call, list string, contacts []uint32, message string)
	RemoveFromList(call *bus.Call, list string, contacts []uint32, message string)
}

// Classes are the channel classes of the lists.
var Classes = []channels.Class{{
	Fixed: map[string]any{
		tp.PropertyChannelChannelType:      tp.InterfaceChannelContactList.Name,
		tp.PropertyChannelTargetHandleType: tp.HandleTypeList,
	},
	Allowed: []string{tp.PropertyChannelTargetHandle, tp.PropertyChannelTargetID},
}}

// Lists are the contact lists of one Connection.
type Lists struct {
	host   channels.Host
	source Source
	open   map[string]*channels.Group
}

var _ channels.Server = (*Lists)(nil)

// New opens no list yet.
func New(h channels.Host, s Source) *Lists {
	return &Lists{host: h, source: s, open: make(map[string]*channels.Group)}
}

// Request gives the list with the target's name.
func (l *Lists) Request(r *channels.Request) {
	if g, exists := l.open[r.Target.ID]; exists {
		r.Existing(g.Channel)
		return
	}
	l.host.Opened(l.make(r.Target).Channel, r)
}

// Changed tells a list of a change; a list nobody has asked for needs none.
func (l *Lists) Changed(list string, c channels.Change) {
	if g, exists := l.open[list]; exists {
		g.Apply(c)
	}
}

func (l *Lists) make(target channels.Target) *channels.Group {
	name := target.ID
	g := &channels.Group{
		Flags: flags[name] | tp.ChannelGroupFlagsProperties | tp.ChannelGroupFlagsMembersChangedDetailed,
		Self:  l.host.SelfHandle(),
		Add: func(call *bus.Call, contacts []uint32, message string) {
			l.source.AddToList(call, name, contacts, message)
		},
		Remove: func(call *bus.Call, contacts []uint32, message string, _ tp.ChannelGroupChangeReason) {
			l.source.RemoveFromList(call, name, contacts, message)
		},
	}
	g.Channel = &channels.Channel{
		Path:       l.host.ChannelPath("ContactList/" + name),
		Type:       tp.InterfaceChannelContactList,
		Target:     target,
		Interfaces: []bus.Interface{{Facts: tp.InterfaceChannelContactList}, g.Interface()},
		OnClose: func(call *bus.Call) {
			call.Fail(tp.Errorf(tp.ErrorNotImplemented, "contact lists can't be closed"))
		},
	}
	g.Channel.Export(l.host)
	g.Fill(l.source.ListMembers(name))
	l.open[name] = g
	return g
}

// flags say what may be done with each list.
var flags = map[string]tp.ChannelGroupFlags{
	Subscribe: tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsCanRemove | tp.ChannelGroupFlagsCanRescind | tp.ChannelGroupFlagsMessageAdd,
	Publish:   tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsCanRemove,
	Stored:    tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsCanRemove,
	Deny:      tp.ChannelGroupFlagsCanAdd | tp.ChannelGroupFlagsCanRemove,
}
