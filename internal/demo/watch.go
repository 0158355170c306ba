package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/desktop"
)

// pupil is a child on the stage.
type pupil struct {
	desktop.Child
	voice   voice
	desktop *desktop.Desktop
	reached map[mark]bool // of the stage's goroutine

	linkLocal, account dbus.ObjectPath
}

// mark is something that a scene can wait for.
type mark string

const (
	managed      mark = "served by mission-control"
	activated    mark = "served by telepathy-olpc"
	connected    mark = "connected"
	available    mark = "available"
	disconnected mark = "disconnected"
)

// ends says which marks stop to hold when another is reached.
var ends = map[mark][]mark{
	connected:    {disconnected},
	disconnected: {connected, available},
}

// reach notes a mark and tells whether that is news.
func (p *pupil) reach(m mark) bool {
	if m == "" {
		return true
	}
	for _, old := range ends[m] {
		delete(p.reached, old)
	}
	news := !p.reached[m]
	p.reached[m] = true
	return news
}

// event is one thing that a bus told or a scene says.
type event struct {
	when  time.Time
	voice voice
	text  string
	pupil *pupil // nil when a scene says it
	mark  mark   // what pupil has reached, if any
}

// watch turns the signals of a child's bus into events until the bus connection ends.
func (p *pupil) watch(events chan<- event, stop <-chan struct{}) {
	for s := range p.desktop.Signals {
		read := readers[s.Name]
		if read == nil {
			continue
		}
		m, text := read(s)
		if text == "" {
			continue
		}
		select {
		case events <- event{time.Now(), p.voice, text, p, m}:
		case <-stop:
			return
		}
	}
}

// readers say what a signal means, "" when it is no part of the story.
var readers = map[string]func(*dbus.Signal) (mark, string){
	desktop.SignalNameOwnerChanged:                                readNameOwner,
	desktop.SignalAccountChanged:                                  readAccount,
	signalName(tp.SignalConnectionStatusChanged):                  readStatus,
	signalName(tp.SignalConnectionConnectionError):                readError,
	signalName(tp.SignalConnectionSimplePresencePresencesChanged): readPresence,
}

func signalName(s tp.Signal) string { return s.Interface + "." + s.Name }

func readNameOwner(s *dbus.Signal) (mark, string) {
	var name, before, after string
	if dbus.Store(s.Body, &name, &before, &after) != nil {
		return "", ""
	}
	switch gabble := manager.Gabble(); {
	case name == desktop.AccountManagerName && after != "":
		return managed, "D-Bus has started mission-control."
	case name == gabble.BusName() && after != "":
		return activated, "D-Bus has started telepathy-olpc."
	case name == gabble.BusName():
		return "", "telepathy-olpc has ended."
	}
	return "", ""
}

func readStatus(s *dbus.Signal) (mark, string) {
	var status tp.ConnectionStatus
	var reason tp.ConnectionStatusReason
	if dbus.Store(s.Body, &status, &reason) != nil {
		return "", ""
	}
	switch status {
	case tp.ConnectionStatusConnecting:
		return "", "is connecting."
	case tp.ConnectionStatusConnected:
		return connected, "is connected."
	}
	return disconnected, "is disconnected."
}

func readError(s *dbus.Signal) (mark, string) {
	var name string
	var details map[string]dbus.Variant
	if dbus.Store(s.Body, &name, &details) != nil {
		return "", ""
	}
	return "", fmt.Sprintf("has a connection error: %s %v", name[strings.LastIndexByte(name, '.')+1:], details)
}

func readPresence(s *dbus.Signal) (mark, string) {
	var presences map[uint32]struct {
		Type            uint32
		Status, Message string
	}
	if dbus.Store(s.Body, &presences) != nil {
		return "", ""
	}
	const self = 1 // handles count up from 1, and 1 is the own one
	own, ok := presences[self]
	if !ok || own.Type != uint32(tp.ConnectionPresenceTypeAvailable) {
		return "", ""
	}
	return available, "is available to others."
}

// readAccount tells what mission-control makes of it: an error of the link-local account, which is no harm, and that it stops
// to ask for registration once that has worked.
func readAccount(s *dbus.Signal) (mark, string) {
	var changed map[string]dbus.Variant
	if dbus.Store(s.Body, &changed) != nil {
		return "", ""
	}
	if details, ok := changed["ConnectionErrorDetails"].Value().(map[string]dbus.Variant); ok && strings.Contains(string(s.Path), "/salut/") {
		if message, ok := details["debug-message"].Value().(string); ok {
			return "", "is told about link-local: " + message + "."
		}
	}
	if parameters, ok := changed["Parameters"].Value().(map[string]dbus.Variant); ok {
		if _, registers := parameters["register"]; !registers && parameters["account"].Value() != nil {
			return "", "is registered: mission-control will not ask for that again."
		}
	}
	return "", ""
}

// short is the beginning of a 40-digit account name.
func short(name string) string { return name[:8] + "…" }
