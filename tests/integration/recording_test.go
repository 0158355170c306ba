package integration

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/tests/cmtest"
)

// activityIn is an activity and its room.
type activityIn struct {
	ID   string
	Room uint32
}

func activities(p *sharer, v any) []activityIn {
	p.T.Helper()
	return cmtest.As[[]activityIn](p.T, v)
}

// recording is what was recorded of one side, reduced: what clients do not rely on is left out, and numbers have names.
type recording struct {
	*sharer
	own, others []string

	pending map[callKey]pendingCall // calls without an answer yet
	setting bool                    // one of them is SetProperties
}

// callKey is what an answer names of its call.
type callKey struct {
	caller string
	serial uint32
}

type pendingCall struct{ name, text string }

// Kinds of arguments, one for each in the order of the signature.
const (
	argAnything   = "-" // may differ from run to run
	argPlain      = "="
	argContact    = "contact"
	argContacts   = "contacts"
	argOwners     = "owners"
	argRoom       = "room"
	argActivities = "activities"
	argDictionary = "dictionary"
	argChannel    = "channel"
)

const setProperties = "ActivityProperties.SetProperties"

// goldenCalls are those that are recorded, with the kinds of their arguments and results.
var goldenCalls = map[string][2][]string{
	"ActivityProperties.GetActivity":   {{argPlain}, {argRoom}},
	"ActivityProperties.GetProperties": {{argRoom}, {argDictionary}},
	setProperties:                      {{argRoom, argDictionary}, nil},
	"BuddyInfo.AddActivity":            {{argPlain, argRoom}, nil},
	"BuddyInfo.SetCurrentActivity":     {{argPlain, argRoom}, nil},
	"Connection.RequestChannel":        {{argPlain, argPlain, argRoom, argPlain}, {argChannel}},
	"RoomConfig1.UpdateConfiguration":  {{argDictionary}, nil},
	"Group.GetSelfHandle":              {nil, {argContact}},
	"Group.GetGroupFlags":              {nil, {argPlain}},
	"Group.GetAllMembers":              {nil, {argContacts, argContacts, argContacts}},
	"Group.GetHandleOwners":            {{argContacts}, {argContacts}},
	"Text.Send":                        {{argPlain, argPlain}, nil},
	"Text.AcknowledgePendingMessages":  {{argAnything}, nil},
	"Channel.Close":                    {nil, nil},
	"Channel.GetInterfaces":            {nil, {argPlain}},
	"Tubes.ListTubes":                  {nil, {argPlain}},
}

// goldenSignals are those of the connection and of the room's channels that are recorded.
var goldenSignals = map[string][]string{
	"ActivityProperties.ActivityPropertiesChanged": {argRoom, argDictionary},
	"BuddyInfo.ActivitiesChanged":                  {argContact, argActivities},
	"BuddyInfo.CurrentActivityChanged":             {argContact, argPlain, argRoom},
	"Connection.NewChannel":                        {argChannel, argPlain, argPlain, argRoom, argPlain},
	"Group.MembersChanged":                         {argPlain, argContacts, argContacts, argContacts, argContacts, argContact, argPlain},
	"Group.HandleOwnersChanged":                    {argOwners, argContacts},
	"Text.Received":                                {argAnything, argAnything, argContact, argPlain, argPlain, argPlain},
	"Text.Sent":                                    {argAnything, argPlain, argPlain},
	"Channel.Closed":                               {},
}

// record reduces all that has happened to what one side has seen of it.
func record(p *sharer) *recording {
	r := &recording{sharer: p, pending: make(map[callKey]pendingCall)}
	for _, e := range p.Events() {
		switch e.Kind {
		case cmtest.KindCall:
			r.called(e)
		case cmtest.KindReply, cmtest.KindError:
			r.answered(e)
		case cmtest.KindSignal:
			r.signalled(e)
		}
	}
	return r
}

// called keeps a call until its answer comes.
func (r *recording) called(e *cmtest.Event) {
	name := shortMember(e)
	kinds, known := goldenCalls[name]
	if !known || !r.ours(e) {
		return
	}
	caller, _ := e.Message.Headers[dbus.FieldSender].Value().(string)
	r.pending[callKey{caller, e.Message.Serial()}] = pendingCall{name, r.render(name, e, kinds[0])}
	r.setting = r.setting || name == setProperties
}

func (r *recording) answered(e *cmtest.Event) {
	caller, _ := e.Message.Headers[dbus.FieldDestination].Value().(string)
	serial, _ := e.Message.Headers[dbus.FieldReplySerial].Value().(uint32)
	call, known := r.pending[callKey{caller, serial}]
	if !known {
		return
	}
	delete(r.pending, callKey{caller, serial})
	r.setting = r.setting && call.name != setProperties
	if e.Kind == cmtest.KindError {
		r.own = append(r.own, "error  "+call.text+" → "+e.ErrorName())
		return
	}
	r.own = append(r.own, "reply  "+call.text+" → "+r.render("", e, goldenCalls[call.name][1]))
}

func (r *recording) signalled(e *cmtest.Event) {
	name := shortMember(e)
	kinds, known := goldenSignals[name]
	if !known || !r.ours(e) {
		return
	}
	line := "signal " + r.render(name, e, kinds)
	if e.Path() == r.tubes {
		line += " of tubes"
	}
	if r.ofOthers(e, kinds) {
		r.others = append(r.others, line)
	} else {
		r.own = append(r.own, line)
	}
}

// shortMember is the last part of the interface's name and the member.
func shortMember(e *cmtest.Event) string {
	if e.Message == nil {
		return ""
	}
	iface, _ := e.Message.Headers[dbus.FieldInterface].Value().(string)
	member, _ := e.Message.Headers[dbus.FieldMember].Value().(string)
	return iface[strings.LastIndex(iface, ".")+1:] + "." + member
}

// ours tells whether an event is about this side's connection or its room.
func (r *recording) ours(e *cmtest.Event) bool {
	if e.Path() == r.Path {
		return shortMember(e) != "Connection.NewChannel" || e.Arg(0) == r.channel || e.Arg(0) == r.tubes
	}
	return e.Path() == r.channel || e.Path() == r.tubes
}

// ofOthers tells whether a signal of the connection is about what others do, which comes to us when the server wills.
func (r *recording) ofOthers(e *cmtest.Event, kinds []string) bool {
	if e.Path() != r.Path {
		return false
	}
	switch kinds[0] {
	case argContact:
		return e.Arg(0) != r.self
	case argRoom:
		return !r.setting
	}
	return false
}

// render writes a message as a line.
func (r *recording) render(name string, e *cmtest.Event, kinds []string) string {
	var args []string
	for i, kind := range kinds {
		args = append(args, r.value(kind, e.Arg(i)))
	}
	return name + "(" + strings.Join(args, ", ") + ")"
}

func (r *recording) value(kind string, v any) string {
	switch kind {
	case argAnything:
		return "…"
	case argContact:
		return r.name(cmtest.As[uint32](r.T, v))
	case argContacts:
		return r.list(cmtest.As[[]uint32](r.T, v))
	case argOwners:
		var pairs []string
		for member, owner := range cmtest.As[map[uint32]uint32](r.T, v) {
			pairs = append(pairs, r.name(member)+" is "+r.name(owner))
		}
		slices.Sort(pairs)
		return "{" + strings.Join(pairs, ", ") + "}"
	case argRoom:
		return r.roomName(cmtest.As[uint32](r.T, v))
	case argActivities:
		var list []string
		for _, a := range activities(r.sharer, v) {
			list = append(list, r.texts.Replace(a.ID)+" in "+r.roomName(a.Room))
		}
		return "[" + strings.Join(list, ", ") + "]"
	case argChannel:
		switch v {
		case r.channel:
			return "channel"
		case r.tubes:
			return "tubes"
		}
		return fmt.Sprint(v)
	}
	if kind == argDictionary {
		v = cmtest.As[map[string]any](r.T, v)
	}
	text, err := json.Marshal(v)
	if err != nil {
		r.T.Fatal(err)
	}
	return r.texts.Replace(string(text))
}

// list names contacts in an order that does not hang on their numbers.
func (r *recording) list(handles []uint32) string {
	var names []string
	for _, h := range handles {
		names = append(names, r.name(h))
	}
	slices.Sort(names)
	return "[" + strings.Join(names, ", ") + "]"
}

func (r *recording) name(handle uint32) string {
	if name := r.names[handle]; name != "" {
		return name
	}
	return fmt.Sprintf("unknown contact %d", handle)
}

func (r *recording) roomName(handle uint32) string {
	switch handle {
	case 0:
		return "no room"
	case r.room:
		return "room"
	}
	return fmt.Sprintf("unknown room %d", handle)
}

func (r *recording) lines() string {
	return strings.Join(r.own, "\n") + "\n\n" + strings.Join(r.others, "\n") + "\n"
}
