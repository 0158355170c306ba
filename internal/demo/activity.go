package main

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// activity is Sugar's Chat on a child's laptop. It makes the calls that Sugar's toolkit makes for it, in its order: those of
// who shares, of who joins, and of what comes from the others in the activity's room.
//
// It belongs to the goroutine that reads the bus.
type activity struct {
	id, name string
	shell    *shell // whose connection it uses

	room    uint32
	channel dbus.ObjectPath // "" while the activity is not in a room
	tubes   dbus.ObjectPath // the channel with the room's tubes
	self    uint32          // a handle of channel
	flags   tp.ChannelGroupFlags
	others  map[string]string // nicks of those in the room by address

	tube *dbus.Conn // this end of the D-Bus tube, or nil
	peer string     // the other child's name in there
	file file
	tell func(news) // tells from any goroutine
}

// newActivity gives what children have opened from the same entry of the Journal, or by way of the Neighborhood: it has one id.
func newActivity(name string, s *shell) *activity {
	return &activity{id: fmt.Sprintf("%x", sha1.Sum([]byte(name))), name: name, shell: s}
}

// performance is what the activity does at a signal of an object.
type performance struct {
	of func(*activity) dbus.ObjectPath
	do func(*activity, *dbus.Signal) ([]news, error)
}

// performances are those at signals of the room, its tubes, the connection and a file.
var performances = map[string]performance{
	signalName(tp.SignalChannelGroupMembersChanged):                  {inRoom, (*activity).handleMembers},
	signalName(tp.SignalChannelTextSent):                             {inRoom, (*activity).handleSent},
	signalName(tp.SignalChannelTextReceived):                         {inRoom, (*activity).handleReceived},
	signalName(tp.SignalChannelClosed):                               {inRoom, (*activity).handleClosed},
	signalName(tp.SignalChannelTubesNewTube):                         {atTubes, (*activity).handleNewTube},
	signalName(tp.SignalChannelTubesDBusNamesChanged):                {atTubes, (*activity).handleTubeNames},
	signalName(tp.SignalConnectionRequestsNewChannels):               {atConnection, (*activity).handleChannels},
	signalName(tp.SignalChannelFileTransferFileTransferStateChanged): {atFile, (*activity).handleFileState},
}

func inRoom(a *activity) dbus.ObjectPath       { return a.channel }
func atTubes(a *activity) dbus.ObjectPath      { return a.tubes }
func atConnection(a *activity) dbus.ObjectPath { return a.shell.conn }
func atFile(a *activity) dbus.ObjectPath       { return a.file.path }

// ofConnection calls a method of the connection.
func (a *activity) ofConnection(on *tp.Interface, method string, args []any, results ...any) error {
	return a.shell.ask(a.shell.conn, on, method, args, results...)
}

// ofChannel calls a method of the room's channel.
func (a *activity) ofChannel(on *tp.Interface, method string, args []any, results ...any) error {
	return a.shell.ask(a.channel, on, method, args, results...)
}

// refused tells whether a call was answered with an error of this name.
func refused(err error, name tp.ErrorName) bool {
	var answer dbus.Error
	return errors.As(err, &answer) && answer.Name == string(name)
}

// share is what the toolkit does when a child shares an activity with the Neighborhood.
func (a *activity) share() ([]news, error) {
	if err := a.ofConnection(tp.InterfaceActivityProperties, "GetActivity", []any{a.id}, &a.room); !refused(err, tp.ErrorNotAvailable) {
		return nil, fmt.Errorf("an activity that nobody shares yet is known, or: %w", err)
	}
	var rooms []uint32
	if err := a.ofConnection(tp.InterfaceConnection, "RequestHandles", []any{uint32(tp.HandleTypeRoom), []string{a.id}}, &rooms); err != nil {
		return nil, err
	}
	a.room = rooms[0]
	seen, err := a.enter()
	if err != nil {
		return nil, err
	}
	if err := a.ofConnection(tp.InterfaceBuddyInfo, "AddActivity", []any{a.id, a.room}); err != nil {
		return nil, err
	}
	description := map[string]dbus.Variant{
		"color": dbus.MakeVariant(a.shell.child.Color), "name": dbus.MakeVariant(a.name),
		"type": dbus.MakeVariant("org.laptop.Chat"), "private": dbus.MakeVariant(false),
	}
	return seen, a.ofConnection(tp.InterfaceActivityProperties, "SetProperties", []any{a.room, description})
}

// join is what the shell and the toolkit do when a child enters an activity that the Neighborhood shows.
func (a *activity) join() ([]news, error) {
	if err := a.shell.focus(a.id); err != nil {
		return nil, err
	}
	if err := a.ofConnection(tp.InterfaceActivityProperties, "GetActivity", []any{a.id}, &a.room); err != nil {
		return nil, err
	}
	var description map[string]dbus.Variant
	if err := a.ofConnection(tp.InterfaceActivityProperties, "GetProperties", []any{a.room}, &description); err != nil {
		return nil, err
	}
	return a.enter()
}

// enter opens the room, which is there when all who are in it are known, and arranges it.
func (a *activity) enter() ([]news, error) {
	if err := a.requestChannel(tp.InterfaceChannelText, &a.channel); err != nil {
		return nil, err
	}
	if err := a.requestChannel(tp.InterfaceChannelTubes, &a.tubes); err != nil {
		return nil, err
	}
	var interfaces []string
	var current, local, remote []uint32
	if err := errors.Join(
		a.ofChannel(tp.InterfaceChannel, "GetInterfaces", nil, &interfaces),
		a.ofChannel(tp.InterfaceChannelGroup, "GetSelfHandle", nil, &a.self),
		a.ofChannel(tp.InterfaceChannelGroup, "GetGroupFlags", nil, &a.flags),
		a.ofChannel(tp.InterfaceChannelGroup, "GetAllMembers", nil, &current, &local, &remote),
	); err != nil {
		return nil, err
	}
	if !slices.Contains(current, a.self) {
		return nil, fmt.Errorf("the room has %v, but not us, %d", current, a.self)
	}
	if slices.Contains(interfaces, tp.InterfaceChannelRoomConfig1.Name) {
		open := map[string]dbus.Variant{
			"Anonymous": dbus.MakeVariant(false), "InviteOnly": dbus.MakeVariant(false),
			"Persistent": dbus.MakeVariant(false), "Private": dbus.MakeVariant(true),
		}
		err := a.ofChannel(tp.InterfaceChannelRoomConfig1, "UpdateConfiguration", []any{open})
		if err != nil && !refused(err, tp.ErrorPermissionDenied) { // which is what one who joins is told
			return nil, err
		}
	}
	a.others = make(map[string]string)
	return a.welcome(current)
}

func (a *activity) requestChannel(of *tp.Interface, channel *dbus.ObjectPath) error {
	return a.ofConnection(tp.InterfaceConnection, "RequestChannel", []any{of.Name, uint32(tp.HandleTypeRoom), a.room, true}, channel)
}

// say sends a line to all in the room.
func (a *activity) say(text string) error {
	return a.ofChannel(tp.InterfaceChannelText, "Send", []any{uint32(tp.ChannelTextMessageTypeNormal), text})
}

// leave closes the room's channel, which ends the activity for the child.
func (a *activity) leave() error { return a.ofChannel(tp.InterfaceChannel, "Close", nil) }

// addresses says who is behind handles of the channel, of those who have just left too.
func (a *activity) addresses(handles []uint32) ([]string, error) {
	handles = slices.DeleteFunc(slices.Clone(handles), func(h uint32) bool { return h == a.self })
	if len(handles) == 0 {
		return nil, nil
	}
	if a.flags&tp.ChannelGroupFlagsChannelSpecificHandles != 0 {
		if err := a.ofChannel(tp.InterfaceChannelGroup, "GetHandleOwners", []any{handles}, &handles); err != nil {
			return nil, err
		}
	}
	var ids []string
	err := a.ofConnection(tp.InterfaceConnection, "InspectHandles", []any{uint32(tp.HandleTypeContact), handles}, &ids)
	return ids, err
}

// welcome tells of those who are in the room and were not known to be.
func (a *activity) welcome(handles []uint32) ([]news, error) {
	ids, err := a.addresses(handles)
	if err != nil {
		return nil, err
	}
	var all []news
	for _, id := range ids {
		if _, known := a.others[id]; known {
			continue
		}
		nick, err := a.nick(id)
		if err != nil {
			return all, err
		}
		a.others[id] = nick
		all = append(all, news{together, "is in “" + a.name + "” with " + nick + "."})
	}
	return all, nil
}

// nick asks about a child in the room what the toolkit asks.
func (a *activity) nick(id string) (string, error) {
	var handles []uint32
	if err := a.ofConnection(tp.InterfaceConnection, "RequestHandles", []any{uint32(tp.HandleTypeContact), []string{id}}, &handles); err != nil {
		return "", err
	}
	var looks map[string]dbus.Variant
	if err := a.ofConnection(tp.InterfaceBuddyInfo, "GetProperties", []any{handles[0]}, &looks); err != nil {
		return "", err
	}
	var attributes map[uint32]map[string]dbus.Variant
	aliasing := []string{tp.InterfaceConnectionAliasing.Name}
	if err := a.ofConnection(tp.InterfaceConnectionContacts, "GetContactAttributes", []any{handles, aliasing, false}, &attributes); err != nil {
		return "", err
	}
	nick, ok := attributes[handles[0]][tp.ContactAttributeConnectionAliasingAlias].Value().(string)
	if !ok {
		return "", fmt.Errorf("no alias of %s", id)
	}
	return nick, nil
}

func (a *activity) handleMembers(signal *dbus.Signal) ([]news, error) {
	var message string
	var added, removed, local, remote []uint32
	var actor, reason uint32
	if err := dbus.Store(signal.Body, &message, &added, &removed, &local, &remote, &actor, &reason); err != nil {
		return nil, err
	}
	all, err := a.welcome(added)
	if err != nil {
		return all, err
	}
	gone, err := a.addresses(removed)
	for _, id := range gone {
		all = append(all, news{apart, "is told that " + a.others[id] + " has left “" + a.name + "”."})
		delete(a.others, id)
	}
	return all, err
}

func (a *activity) handleSent(signal *dbus.Signal) ([]news, error) {
	var when, kind uint32
	var text string
	if err := dbus.Store(signal.Body, &when, &kind, &text); err != nil {
		return nil, err
	}
	return []news{{said(text), "says “" + text + "”"}}, nil
}

// handleReceived acknowledges a line and finds out whose it is, as Chat does for each.
func (a *activity) handleReceived(signal *dbus.Signal) ([]news, error) {
	var id, when, sender, kind, flags uint32
	var text string
	if err := dbus.Store(signal.Body, &id, &when, &sender, &kind, &flags, &text); err != nil {
		return nil, err
	}
	var self, here uint32
	if err := errors.Join(
		a.ofChannel(tp.InterfaceChannelText, "AcknowledgePendingMessages", []any{[]uint32{id}}),
		a.ofChannel(tp.InterfaceChannelGroup, "GetSelfHandle", nil, &here),
		a.ofConnection(tp.InterfaceConnection, "GetSelfHandle", nil, &self),
		a.ofChannel(tp.InterfaceChannelGroup, "GetGroupFlags", nil, &a.flags),
	); err != nil {
		return nil, err
	}
	if sender == here || sender == self {
		return nil, errors.New("what we say comes back")
	}
	owners, err := a.addresses([]uint32{sender})
	if err != nil {
		return nil, err
	}
	return []news{{said(text), "reads “" + text + "” from " + a.others[owners[0]] + "."}}, nil
}

func (a *activity) handleClosed(*dbus.Signal) ([]news, error) {
	mark := apart
	if len(a.others) == 0 {
		mark = "" // reached when the last other one left
	}
	a.closeTube()
	a.channel, a.tubes, a.others = "", "", nil
	return []news{{mark, "has left “" + a.name + "”."}}, nil
}
