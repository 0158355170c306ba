package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

const testRoom = testConn + "/MucChannel/7"

// roomAnswers is what a connection says about a room with us, handle 5, and Bob, handle 6; his own handle is 2.
func roomAnswers() map[string][]any {
	return map[string][]any{
		"GetActivity":                {uint32(7)},
		"GetProperties":              {map[string]dbus.Variant{}},
		"SetCurrentActivity":         {},
		"RequestChannel":             {testRoom},
		"GetInterfaces":              {[]string{tp.InterfaceChannelGroup.Name}},
		"GetSelfHandle":              {uint32(5)},
		"GetGroupFlags":              {uint32(tp.ChannelGroupFlagsChannelSpecificHandles)},
		"GetAllMembers":              {[]uint32{5, 6}, []uint32{}, []uint32{}},
		"GetHandleOwners":            {[]uint32{2}},
		"InspectHandles":             {[]string{"b@s"}},
		"RequestHandles":             {[]uint32{2}},
		"GetContactAttributes":       {map[uint32]map[string]dbus.Variant{2: testAttributes("b@s", "Bob")}},
		"AcknowledgePendingMessages": {},
	}
}

// testJoin has an activity that the Neighborhood shows joined.
func testJoin(answers map[string][]any) (a *activity, calls *[]string, seen []news, err error) {
	s, calls := testShell(answers)
	s.conn = testConn
	a = newActivity("Trees", s)
	s.activities[a.id] = &shared{room: 7, name: a.name, people: map[uint32]bool{2: true}}
	seen, err = a.join()
	return a, calls, seen, err
}

func TestActivity_joined(t *testing.T) {
	a, calls, seen, err := testJoin(roomAnswers())
	if want := []news{{together, "is in “Trees” with Bob."}}; err != nil || !slices.Equal(seen, want) {
		t.Fatalf("joining tells %q, %v; want %q", seen, err, want)
	}
	const resolved = "GetHandleOwners InspectHandles"
	want := "SetCurrentActivity GetActivity GetProperties RequestChannel RequestChannel GetInterfaces GetSelfHandle GetGroupFlags GetAllMembers " +
		resolved + " RequestHandles GetProperties GetContactAttributes"
	if got := strings.Join(*calls, " "); got != want {
		t.Errorf("joining calls\n%s; want\n%s", got, want)
	}
	p := &pupil{shell: a.shell, activity: a}
	members := func(added, removed []uint32) *dbus.Signal {
		return testSignal(tp.SignalChannelGroupMembersChanged, testRoom, "", added, removed, []uint32{}, []uint32{}, uint32(0), uint32(0))
	}
	received := func(room dbus.ObjectPath, sender uint32) *dbus.Signal {
		return testSignal(tp.SignalChannelTextReceived, room, uint32(1), uint32(0), sender, uint32(0), uint32(0), "Hello")
	}
	const read = "AcknowledgePendingMessages GetSelfHandle GetSelfHandle GetGroupFlags"
	for _, step := range []struct {
		name   string
		signal *dbus.Signal
		calls  string
		news   []news
	}{
		{"our own coming", members([]uint32{5}, nil), "", nil},
		{"one who is there already", members([]uint32{6}, nil), resolved, nil},
		{"a line", received(testRoom, 6), read + " " + resolved, []news{{said("Hello"), "reads “Hello” from Bob."}}},
		{"our own line", received(testRoom, 5), read, []news{{"", "asks in vain: what we say comes back"}}},
		{"a line of another room", received(testConn+"/MucChannel/8", 6), "", nil},
		{"sent", testSignal(tp.SignalChannelTextSent, testRoom, uint32(0), uint32(0), "Hi"), "", []news{{said("Hi"), "says “Hi”"}}},
		{"one leaves", members(nil, []uint32{6}), resolved, []news{{apart, "is told that Bob has left “Trees”."}}},
		{"closed", testSignal(tp.SignalChannelClosed, testRoom), "", []news{{"", "has left “Trees”."}}},
		{"nothing after that", received(testRoom, 6), "", nil},
	} {
		*calls = nil
		got := p.hear(step.signal)
		if !slices.Equal(got, step.news) || strings.Join(*calls, " ") != step.calls {
			t.Errorf("%s: tells %q and calls %q; want %q and %q", step.name, got, *calls, step.news, step.calls)
		}
	}
}

func TestActivity_failures(t *testing.T) {
	for _, tt := range []struct {
		name    string
		answers map[string][]any
		err     string
	}{
		{"unknown activity", map[string][]any{"GetActivity": nil}, "GetActivity: "},
		{"no room", map[string][]any{"RequestChannel": nil}, "RequestChannel: "},
		{"not in it when it is there", map[string][]any{"GetAllMembers": {[]uint32{6}, []uint32{}, []uint32{}}}, "the room has [6], but not us, 5"},
		{"no owners", map[string][]any{"GetHandleOwners": nil}, "GetHandleOwners: "},
		{"no alias", map[string][]any{"GetContactAttributes": {map[uint32]map[string]dbus.Variant{}}}, "no alias of b@s"},
	} {
		answers := roomAnswers()
		maps.Copy(answers, tt.answers)
		if _, _, _, err := testJoin(answers); err == nil || !strings.HasPrefix(err.Error(), tt.err) {
			t.Errorf("%s: %v; want %s…", tt.name, err, tt.err)
		}
	}
}

func TestActivity_sharedTwice(t *testing.T) {
	s, _ := testShell(roomAnswers())
	s.conn = testConn
	if _, err := newActivity("Trees", s).share(); err == nil {
		t.Error("an activity that is known already is shared")
	}
}

func TestNeighborhood(t *testing.T) {
	answers := roomAnswers()
	answers["GetCurrentActivity"] = []any{"t", uint32(7)}
	s, calls := testShell(answers)
	s.conn, s.self = testConn, 1
	s.buddies[2] = &buddy{id: "b@s", nick: "Bob", shown: true}
	p := &pupil{shell: s, activity: newActivity("Trees", s)}
	activities := func(contact uint32, list ...announced) *dbus.Signal {
		body := make([][]any, 0, len(list))
		for _, entry := range list {
			body = append(body, []any{entry.ID, entry.Room})
		}
		return testSignal(tp.SignalBuddyInfoActivitiesChanged, testConn, contact, body)
	}
	describe := func(private bool) *dbus.Signal {
		return testSignal(tp.SignalActivityPropertiesActivityPropertiesChanged, testConn, uint32(7), map[string]dbus.Variant{
			"name": dbus.MakeVariant("Trees"), "color": dbus.MakeVariant("#1,#2"), "type": dbus.MakeVariant("chat"), "private": dbus.MakeVariant(private)})
	}
	current := func(id string) *dbus.Signal {
		return testSignal(tp.SignalBuddyInfoCurrentActivityChanged, testConn, uint32(2), id, uint32(7))
	}
	trees := announced{"t", 7}
	for _, step := range []struct {
		name   string
		signal *dbus.Signal
		calls  string
		news   []news
	}{
		{"of a stranger", activities(9, trees), "", []news{{"", "asks in vain: told too early of what 9 is in"}}},
		{"new, not described", activities(2, trees), "GetProperties GetCurrentActivity", nil},
		{"private", describe(true), "", nil},
		{"described", describe(false), "", []news{{sharing, "sees the activity “Trees”, in #1,#2."}, {gathered, "sees Bob at “Trees”."}}},
		{"again", describe(false), "", nil},
		{"looks away", current(""), "", nil},
		{"looks again", current("t"), "", []news{{gathered, "sees Bob at “Trees”."}}},
		{"we are in it", activities(1, trees), "", nil},
		{"he is out", activities(2), "", nil},
		{"we are out", activities(1), "", []news{{faded, "sees “Trees” vanish."}}},
		{"our own", activities(1, trees), "SetCurrentActivity GetProperties", nil},
	} {
		*calls = nil
		got := p.hear(step.signal)
		if !slices.Equal(got, step.news) || strings.Join(*calls, " ") != step.calls {
			t.Errorf("%s: tells %q and calls %q; want %q and %q", step.name, got, *calls, step.news, step.calls)
		}
	}
}
