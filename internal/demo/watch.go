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
	voice    voice
	desktop  *desktop.Desktop
	shell    *shell        // of the goroutine that watches the desktop
	activity *activity     // of the same goroutine
	turns    chan turn     // what that goroutine is to do between signals
	reached  map[mark]bool // of the stage's goroutine

	linkLocal, account dbus.ObjectPath
}

// mark is something that a scene can wait for.
type mark string

const (
	managed      mark = "served by mission-control"
	activated    mark = "served by telepathy-olpc"
	connected    mark = "connected"
	available    mark = "available"
	met          mark = "in sight of the other"
	alone        mark = "alone"
	disconnected mark = "disconnected"
	sharing      mark = "in sight of the activity"
	together     mark = "in the activity with the other"
	gathered     mark = "in sight of the other at the activity"
	apart        mark = "out of the activity that both were in"
	faded        mark = "rid of the activity"
	tubed        mark = "in the tube with the other"
	counted      mark = "done with the call"
	delivered    mark = "done with the file"
)

// aware is reached when it is known that a child has this nick.
func aware(nick string) mark { return mark("aware of " + nick + "'s nick") }

// said is reached when a child has said this, or read it.
func said(text string) mark { return mark("aware of the words “" + text + "”") }

// ends says which marks stop to hold when another is reached.
var ends = map[mark][]mark{
	connected:    {disconnected},
	disconnected: {connected, available},
	met:          {alone},
	alone:        {met},
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

// turn is something that a scene wants a child to do, and where to say how it went.
type turn struct {
	do   func() ([]news, error)
	done chan<- error
}

// watch turns the signals of a child's bus, what its shell and its activity make of them, and what a scene has them do, into
// events until the bus connection ends.
func (p *pupil) watch(events chan<- event, stop <-chan struct{}) {
	for {
		var all []news
		answer := func() {}
		select {
		case s, open := <-p.desktop.Signals:
			if !open {
				return
			}
			all = p.hear(s)
		case t := <-p.turns:
			var err error
			all, err = t.do()
			answer = func() { t.done <- err }
		}
		for _, n := range all {
			select {
			case events <- event{time.Now(), p.voice, n.text, p, n.mark}:
			case <-stop:
				return
			}
		}
		answer()
	}
}

// hear gives what there is to tell of a signal: first what it says, then what the shell does, then the activity.
func (p *pupil) hear(s *dbus.Signal) []news {
	var all []news
	if read := readers[s.Name]; read != nil {
		if m, text := read(s); text != "" {
			all = append(all, news{m, text})
		}
	}
	if react := reactions[s.Name]; react != nil {
		all = append(all, told(react(p.shell, s))...)
	}
	if perform := performances[s.Name]; perform.do != nil && s.Path == perform.of(p.activity) {
		all = append(all, told(perform.do(p.activity, s))...)
	}
	return all
}

// told adds to what there is to tell that something went wrong.
func told(seen []news, err error) []news {
	if err != nil {
		return append(seen, news{"", "asks in vain: " + err.Error()})
	}
	return seen
}

// call calls a method of an object of a connection.
func (p *pupil) call(conn, object dbus.ObjectPath, method string, args ...any) *dbus.Call {
	return p.desktop.Bus.Object(busNameOf(conn), object).Call(method, 0, args...)
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
