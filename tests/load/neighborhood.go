package load

import (
	"fmt"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// handlers say what Sugar's shell does at a signal (jarabe/model/neighborhood.py).
var handlers = map[string]func(*laptop, *dbus.Signal) error{
	signalName(tp.SignalConnectionStatusChanged):                  (*laptop).handleStatus,
	signalName(tp.SignalConnectionConnectionError):                (*laptop).handleError,
	signalName(tp.SignalChannelGroupMembersChanged):               (*laptop).handleMembers,
	signalName(tp.SignalConnectionAliasingAliasesChanged):         (*laptop).handleAliases,
	signalName(tp.SignalConnectionSimplePresencePresencesChanged): (*laptop).handlePresences,
	signalName(tp.SignalBuddyInfoPropertiesChanged):               (*laptop).handleProperties,
	signalName(tp.SignalBuddyInfoActivitiesChanged):               (*laptop).handleActivities,
}

func signalName(s tp.Signal) string { return s.Interface + "." + s.Name }

func (l *laptop) handle(s *dbus.Signal) error {
	l.signals++
	if handler := handlers[s.Name]; handler != nil {
		return handler(l, s)
	}
	return nil
}

func (l *laptop) handleError(s *dbus.Signal) error {
	return fmt.Errorf("connection error %v", s.Body)
}

// handleStatus looks around once the connection is there. Handle types are signed
// in Sugar's requests.
func (l *laptop) handleStatus(s *dbus.Signal) error {
	var reason tp.ConnectionStatusReason
	if err := dbus.Store(s.Body, &l.status, &reason); err != nil || l.status != tp.ConnectionStatusConnected {
		return err
	}
	request := map[string]dbus.Variant{
		tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelContactList.Name),
		tp.PropertyChannelTargetHandleType: dbus.MakeVariant(int32(tp.HandleTypeList)),
		tp.PropertyChannelTargetID:         dbus.MakeVariant("subscribe"),
	}
	l.call(l.path, tp.InterfaceConnectionRequests, "EnsureChannel", []any{request}, func(answer *dbus.Call) error {
		l.list = answer.Body[1].(dbus.ObjectPath)
		l.call(l.list, tp.InterfaceDBusProperties, "Get", []any{tp.InterfaceChannelGroup.Name, "Members"}, func(answer *dbus.Call) error {
			var members []uint32
			if err := answer.Store(&members); err != nil {
				return err
			}
			l.meet(members)
			return nil
		})
		return nil
	})
	return nil
}

// handleMembers meets those who have come; that somebody goes says the presence.
func (l *laptop) handleMembers(s *dbus.Signal) error {
	var message string
	var added []uint32
	if s.Path != l.list {
		return nil
	}
	if err := dbus.Store(s.Body[:2], &message, &added); err != nil {
		return err
	}
	if len(added) > 0 {
		l.meet(added)
	}
	return nil
}

// meet asks who contacts are, and then each what it looks like and does.
func (l *laptop) meet(contacts []uint32) {
	wanted := []string{tp.InterfaceConnection.Name, tp.InterfaceConnectionAliasing.Name}
	l.call(l.path, tp.InterfaceConnectionContacts, "GetContactAttributes", []any{contacts, wanted, false}, func(answer *dbus.Call) error {
		var attributes map[uint32]map[string]dbus.Variant
		if err := answer.Store(&attributes); err != nil {
			return err
		}
		for contact, known := range attributes {
			if l.buddies[contact] != nil {
				continue
			}
			b := new(buddy)
			b.id, _ = known[tp.ContactAttributeConnectionContactID].Value().(string)
			b.nick, _ = known[tp.ContactAttributeConnectionAliasingAlias].Value().(string)
			l.buddies[contact] = b
			l.study(contact)
		}
		return nil
	})
}

func (l *laptop) study(contact uint32) {
	who := []any{contact}
	l.call(l.path, tp.InterfaceBuddyInfo, "GetProperties", who, func(answer *dbus.Call) error {
		var properties map[string]dbus.Variant
		err := answer.Store(&properties)
		l.setProperties(contact, properties)
		return err
	})
	l.call(l.path, tp.InterfaceBuddyInfo, "GetActivities", who, func(answer *dbus.Call) error {
		var activities []activity
		err := answer.Store(&activities)
		l.setActivities(contact, activities)
		return err
	})
	l.call(l.path, tp.InterfaceBuddyInfo, "GetCurrentActivity", who, func(*dbus.Call) error { return nil })
}

// activity is an activity and its room.
type activity struct {
	ID   string
	Room uint32
}

func (l *laptop) setProperties(contact uint32, properties map[string]dbus.Variant) {
	b := l.buddies[contact]
	if b == nil {
		return
	}
	if key, is := properties["key"].Value().([]byte); is {
		b.key = key
	}
	if color, is := properties["color"].Value().(string); is {
		b.color = color
	}
}

func (l *laptop) setActivities(contact uint32, activities []activity) {
	b := l.buddies[contact]
	if b == nil {
		return
	}
	b.activities = nil
	for _, a := range activities {
		b.activities = append(b.activities, a.ID)
	}
}

func (l *laptop) handleProperties(s *dbus.Signal) error {
	var contact uint32
	var properties map[string]dbus.Variant
	err := dbus.Store(s.Body, &contact, &properties)
	l.setProperties(contact, properties)
	return err
}

func (l *laptop) handleActivities(s *dbus.Signal) error {
	var contact uint32
	var activities []activity
	err := dbus.Store(s.Body, &contact, &activities)
	l.setActivities(contact, activities)
	return err
}

func (l *laptop) handleAliases(s *dbus.Signal) error {
	var aliases []struct {
		Contact uint32
		Alias   string
	}
	err := dbus.Store(s.Body, &aliases)
	for _, a := range aliases {
		if b := l.buddies[a.Contact]; b != nil {
			b.nick = a.Alias
		}
	}
	return err
}

// handlePresences forgets who goes; only the list brings them back.
func (l *laptop) handlePresences(s *dbus.Signal) error {
	var presences map[uint32]struct {
		Type            tp.ConnectionPresenceType
		Status, Message string
	}
	err := dbus.Store(s.Body, &presences)
	for contact, p := range presences {
		if p.Type == tp.ConnectionPresenceTypeOffline {
			delete(l.buddies, contact)
		}
	}
	return err
}
