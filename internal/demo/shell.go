package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/desktop"
)

// shell makes the calls that Sugar's shell makes on a child's bus, in its order and at the same signals: it says who the child
// is when a connection appears, and shows whom it meets once that is connected. A buddy is shown when there is a key.
//
// It belongs to the goroutine that reads the bus.
type shell struct {
	child desktop.Child
	// call calls a method of an object of a connection and waits for the answer.
	call func(conn, object dbus.ObjectPath, method string, args ...any) *dbus.Call

	conn    dbus.ObjectPath // "" while not connected
	self    uint32
	list    dbus.ObjectPath // conn's list "subscribe", which has those who are on-line
	buddies map[uint32]*buddy
	// activities are those of the buddies and one's own, by id.
	activities map[string]*shared
}

// buddy is another child.
type buddy struct {
	id, nick, color string
	current         string // id of the activity it is busy with, or ""
	hasKey, shown   bool
}

// news is something to tell, and what has been reached by it, if anything.
type news struct {
	mark mark
	text string
}

func newShell(c desktop.Child, call func(conn, object dbus.ObjectPath, method string, args ...any) *dbus.Call) *shell {
	return &shell{child: c, call: call, buddies: make(map[uint32]*buddy), activities: make(map[string]*shared)}
}

// reactions say what the shell does at a signal.
var reactions = map[string]func(*shell, *dbus.Signal) ([]news, error){
	desktop.SignalNameOwnerChanged:                                   (*shell).handleNameOwner,
	signalName(tp.SignalConnectionStatusChanged):                     (*shell).handleStatus,
	signalName(tp.SignalChannelGroupMembersChanged):                  (*shell).handleMembers,
	signalName(tp.SignalConnectionAliasingAliasesChanged):            (*shell).handleAliases,
	signalName(tp.SignalBuddyInfoPropertiesChanged):                  (*shell).handleProperties,
	signalName(tp.SignalConnectionSimplePresencePresencesChanged):    (*shell).handlePresences,
	signalName(tp.SignalBuddyInfoActivitiesChanged):                  (*shell).handleActivities,
	signalName(tp.SignalBuddyInfoCurrentActivityChanged):             (*shell).handleCurrent,
	signalName(tp.SignalActivityPropertiesActivityPropertiesChanged): (*shell).handleActivityProperties,
}

// busNameOf gives the bus name of a connection.
func busNameOf(conn dbus.ObjectPath) string {
	return strings.ReplaceAll(strings.TrimPrefix(string(conn), "/"), "/", ".")
}

// ask calls a method of an interface and stores its results.
func (s *shell) ask(object dbus.ObjectPath, on *tp.Interface, method string, args []any, results ...any) error {
	if err := s.call(s.conn, object, on.Name+"."+method, args...).Store(results...); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// get reads a property.
func (s *shell) get(object dbus.ObjectPath, of *tp.Interface, property string, value any) error {
	if err := s.ask(object, tp.InterfaceDBusProperties, "Get", []any{of.Name, property}, value); err != nil {
		return fmt.Errorf("%s: %w", property, err)
	}
	return nil
}

// handleNameOwner says who the child is as soon as a connection appears, which is before it is connected.
func (s *shell) handleNameOwner(signal *dbus.Signal) ([]news, error) {
	var name, before, after string
	if dbus.Store(signal.Body, &name, &before, &after) != nil || after == "" || !strings.HasPrefix(name, tp.InterfaceConnection.Name+".") {
		return nil, nil
	}
	s.conn = dbus.ObjectPath("/" + strings.ReplaceAll(name, ".", "/"))
	var interfaces []string
	if err := s.ask(s.conn, tp.InterfaceConnection, "GetInterfaces", nil, &interfaces); err != nil {
		return nil, err
	}
	if !slices.Contains(interfaces, tp.InterfaceBuddyInfo.Name) {
		return nil, fmt.Errorf("no %s", tp.InterfaceBuddyInfo.Name)
	}
	properties := map[string]dbus.Variant{"key": dbus.MakeVariant(s.child.Key()), "color": dbus.MakeVariant(s.child.Color)}
	if err := s.ask(s.conn, tp.InterfaceBuddyInfo, "SetProperties", []any{properties}); err != nil {
		return nil, err
	}
	return []news{{"", "will be seen in " + s.child.Color + "."}}, nil
}

// handleStatus looks who is there, or forgets everybody.
func (s *shell) handleStatus(signal *dbus.Signal) ([]news, error) {
	var status tp.ConnectionStatus
	var reason tp.ConnectionStatusReason
	if err := dbus.Store(signal.Body, &status, &reason); err != nil {
		return nil, err
	}
	if status == tp.ConnectionStatusConnected {
		s.conn = signal.Path
		return s.lookAround()
	}
	had := len(s.buddies)
	clear(s.buddies)
	clear(s.activities)
	s.self, s.list = 0, ""
	if had == 0 {
		return nil, nil
	}
	return []news{{alone, "sees nobody any more."}}, nil
}

// lookAround opens the list of those who are on-line. Handle types are signed in Sugar's requests.
func (s *shell) lookAround() ([]news, error) {
	if err := s.get(s.conn, tp.InterfaceConnection, "SelfHandle", &s.self); err != nil {
		return nil, err
	}
	request := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelContactList.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(int32(tp.HandleTypeList)),
		tp.PropertyChannelTargetID:         dbus.MakeVariant("subscribe"),
	}
	var yours bool
	var channel map[string]dbus.Variant
	if err := s.ask(s.conn, tp.InterfaceConnectionRequests, "EnsureChannel", []any{request}, &yours, &s.list, &channel); err != nil {
		return nil, err
	}
	var members []uint32
	if err := s.get(s.list, tp.InterfaceChannelGroup, "Members", &members); err != nil {
		return nil, err
	}
	return s.meet(members)
}

// handleMembers meets those who have come. That somebody goes is told by the presence.
func (s *shell) handleMembers(signal *dbus.Signal) ([]news, error) {
	if signal.Path != s.list || len(signal.Body) < 2 {
		return nil, nil
	}
	var message string
	var added []uint32
	if err := dbus.Store(signal.Body[:2], &message, &added); err != nil || len(added) == 0 {
		return nil, err
	}
	return s.meet(added)
}

// meet asks who contacts are, what they look like and what they do.
func (s *shell) meet(contacts []uint32) ([]news, error) {
	var attributes map[uint32]map[string]dbus.Variant
	wanted := []string{tp.InterfaceConnection.Name, tp.InterfaceConnectionAliasing.Name}
	if err := s.ask(s.conn, tp.InterfaceConnectionContacts, "GetContactAttributes", []any{contacts, wanted, false}, &attributes); err != nil {
		return nil, err
	}
	var all []news
	for _, contact := range contacts {
		if s.buddies[contact] != nil {
			continue
		}
		b := &buddy{}
		b.id, _ = attributes[contact][tp.ContactAttributeConnectionContactID].Value().(string)
		b.nick, _ = attributes[contact][tp.ContactAttributeConnectionAliasingAlias].Value().(string)
		s.buddies[contact] = b
		seen, err := s.study(contact, b)
		all = append(append(all, b.show()...), seen...)
		if err != nil {
			return all, err
		}
	}
	return all, nil
}

// study makes the three calls that follow for each newcomer.
func (s *shell) study(contact uint32, b *buddy) ([]news, error) {
	var properties map[string]dbus.Variant
	var activities []announced
	var current string
	var room uint32
	who := []any{contact}
	if err := s.ask(s.conn, tp.InterfaceBuddyInfo, "GetProperties", who, &properties); err != nil {
		return nil, err
	}
	b.take(properties)
	if err := s.ask(s.conn, tp.InterfaceBuddyInfo, "GetActivities", who, &activities); err != nil {
		return nil, err
	}
	all, err := s.setActivities(contact, activities)
	if err != nil {
		return all, err
	}
	if err := s.ask(s.conn, tp.InterfaceBuddyInfo, "GetCurrentActivity", who, &current, &room); err != nil {
		return all, err
	}
	return append(all, s.setCurrent(contact, current)...), nil
}

func (s *shell) handleAliases(signal *dbus.Signal) ([]news, error) {
	var aliases []struct {
		Contact uint32
		Alias   string
	}
	if err := dbus.Store(signal.Body, &aliases); err != nil {
		return nil, err
	}
	var all []news
	for _, a := range aliases {
		b := s.buddies[a.Contact]
		switch {
		case a.Contact == s.self:
			all = append(all, news{aware(a.Alias), "is called " + a.Alias + "."})
		case b == nil || b.nick == a.Alias:
		case b.shown:
			all = append(all, news{aware(a.Alias), fmt.Sprintf("sees that %s is called %s now.", b.nick, a.Alias)})
			b.nick = a.Alias
		default:
			b.nick = a.Alias
			all = append(all, b.show()...)
		}
	}
	return all, nil
}

func (s *shell) handleProperties(signal *dbus.Signal) ([]news, error) {
	var contact uint32
	var properties map[string]dbus.Variant
	if err := dbus.Store(signal.Body, &contact, &properties); err != nil {
		return nil, err
	}
	b := s.buddies[contact]
	if b == nil {
		return nil, nil
	}
	b.take(properties)
	return b.show(), nil
}

// handlePresences forgets those who are off-line; only being added to the list brings them back.
func (s *shell) handlePresences(signal *dbus.Signal) ([]news, error) {
	var presences map[uint32]struct {
		Type            tp.ConnectionPresenceType
		Status, Message string
	}
	if err := dbus.Store(signal.Body, &presences); err != nil {
		return nil, err
	}
	var all []news
	for contact, presence := range presences {
		b := s.buddies[contact]
		if b == nil || presence.Type != tp.ConnectionPresenceTypeOffline {
			continue
		}
		left, err := s.setActivities(contact, nil)
		if err != nil {
			return all, err
		}
		all = append(all, left...)
		delete(s.buddies, contact)
		if b.shown {
			all = append(all, news{alone, "sees " + b.nick + " go."})
		}
	}
	return all, nil
}

// take notes what a buddy looks like.
func (b *buddy) take(properties map[string]dbus.Variant) {
	key, _ := properties["key"].Value().([]byte)
	b.hasKey = len(key) > 0
	b.color, _ = properties["color"].Value().(string)
}

// show tells of a buddy that has just become visible: with a key, and with a name that is no address.
func (b *buddy) show() []news {
	if b.shown || !b.hasKey || b.nick == b.id {
		return nil
	}
	b.shown = true
	return []news{{met, "sees " + b.nick + ", in " + b.color + "."}}
}
