package main

import (
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// announced is an entry of a list of activities.
type announced struct {
	ID   string
	Room uint32
}

// shared is an activity in the Neighborhood. It is shown when all is known that Sugar draws of it, and gone with its last child.
type shared struct {
	room   uint32
	name   string // "" until it is shown
	people map[uint32]bool
}

func (s *shell) handleActivities(signal *dbus.Signal) ([]news, error) {
	var contact uint32
	var list []announced
	if err := dbus.Store(signal.Body, &contact, &list); err != nil {
		return nil, err
	}
	return s.setActivities(contact, list)
}

// setActivities notes what a child is in. Of somebody whom the shell has not met yet it must not be told: Sugar trips there.
func (s *shell) setActivities(contact uint32, list []announced) ([]news, error) {
	if contact != s.self && s.buddies[contact] == nil && len(list) > 0 {
		return nil, fmt.Errorf("told too early of what %d is in", contact)
	}
	var all []news
	for _, entry := range list {
		a := s.activities[entry.ID]
		if a == nil {
			a = &shared{room: entry.Room, people: make(map[uint32]bool)}
			s.activities[entry.ID] = a
			seen, err := s.discover(entry, contact)
			all = append(all, seen...)
			if err != nil {
				return all, err
			}
		}
		a.people[contact] = true
	}
	for id, a := range s.activities {
		if a.people[contact] && !slices.ContainsFunc(list, func(entry announced) bool { return entry.ID == id }) {
			all = append(all, s.withdraw(contact, id, a)...)
		}
	}
	return all, nil
}

// focus says that the window of an activity is in front now. That comes before the activity is in its room.
func (s *shell) focus(id string) error {
	a := s.activities[id]
	if a == nil {
		return fmt.Errorf("no activity %s in the Neighborhood", id)
	}
	return s.ask(s.conn, tp.InterfaceBuddyInfo, "SetCurrentActivity", []any{id, a.room})
}

// discover makes the calls that follow for each new activity. One's own has its window in front.
func (s *shell) discover(entry announced, contact uint32) ([]news, error) {
	if contact == s.self {
		if err := s.focus(entry.ID); err != nil {
			return nil, err
		}
	}
	var properties map[string]dbus.Variant
	if err := s.ask(s.conn, tp.InterfaceActivityProperties, "GetProperties", []any{entry.Room}, &properties); err != nil {
		return nil, err
	}
	all := s.describe(entry.Room, properties)
	if contact == s.self {
		return all, nil
	}
	var current string
	var room uint32
	if err := s.ask(s.conn, tp.InterfaceBuddyInfo, "GetCurrentActivity", []any{contact}, &current, &room); err != nil {
		return all, err
	}
	return append(all, s.setCurrent(contact, current)...), nil
}

// withdraw takes a child out of an activity.
func (s *shell) withdraw(contact uint32, id string, a *shared) []news {
	delete(a.people, contact)
	if len(a.people) > 0 {
		return nil
	}
	delete(s.activities, id)
	if a.name == "" {
		return nil
	}
	return []news{{faded, "sees “" + a.name + "” vanish."}}
}

func (s *shell) handleActivityProperties(signal *dbus.Signal) ([]news, error) {
	var room uint32
	var properties map[string]dbus.Variant
	if err := dbus.Store(signal.Body, &room, &properties); err != nil {
		return nil, err
	}
	return s.describe(room, properties), nil
}

// describe shows an activity, and who is at it already.
func (s *shell) describe(room uint32, properties map[string]dbus.Variant) []news {
	for id, a := range s.activities {
		name, _ := properties["name"].Value().(string)
		color, _ := properties["color"].Value().(string)
		kind, _ := properties["type"].Value().(string)
		private, told := properties["private"].Value().(bool)
		if a.room != room || a.name != "" || name == "" || color == "" || kind == "" || !told || private {
			continue
		}
		a.name = name
		all := []news{{sharing, "sees the activity “" + name + "”, in " + color + "."}}
		for contact, b := range s.buddies {
			if b.current == id {
				all = append(all, s.drawAt(contact, a))
			}
		}
		return all
	}
	return nil
}

func (s *shell) handleCurrent(signal *dbus.Signal) ([]news, error) {
	var contact, room uint32
	var id string
	if err := dbus.Store(signal.Body, &contact, &id, &room); err != nil {
		return nil, err
	}
	return s.setCurrent(contact, id), nil
}

// setCurrent draws a buddy at what it is busy with.
func (s *shell) setCurrent(contact uint32, id string) []news {
	b := s.buddies[contact]
	if b == nil || b.current == id {
		return nil
	}
	b.current = id
	if a := s.activities[id]; a != nil && a.name != "" {
		return []news{s.drawAt(contact, a)}
	}
	return nil
}

func (s *shell) drawAt(contact uint32, a *shared) news {
	return news{gathered, "sees " + s.buddies[contact].nick + " at “" + a.name + "”."}
}
