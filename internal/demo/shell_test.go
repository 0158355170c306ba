package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/desktop"
)

const (
	testConn = dbus.ObjectPath("/org/freedesktop/Telepathy/Connection/gabble/jabber/a")
	testList = testConn + "/ContactList/subscribe"
)

// testShell is a shell whose calls are answered from a table, by interface and method; what is not in it fails.
func testShell(answers map[string][]any) (s *shell, calls *[]string) {
	calls = new([]string)
	return newShell(desktop.Child{Nick: "Alice", Color: "#000000,#FFFFFF"}, func(conn, object dbus.ObjectPath, method string, args ...any) *dbus.Call {
		if name, ok := strings.CutSuffix(method, "Properties.Get"); ok {
			method = name + args[1].(string)
		}
		method = method[strings.LastIndexByte(method, '.')+1:]
		*calls = append(*calls, method)
		body, known := answers[method]
		if !known || conn != testConn {
			return &dbus.Call{Err: errors.New("no such method")}
		}
		return &dbus.Call{Body: body}
	}), calls
}

func testSignal(s tp.Signal, path dbus.ObjectPath, body ...any) *dbus.Signal {
	return &dbus.Signal{Name: signalName(s), Path: path, Body: body}
}

func testAttributes(id, nick string) map[string]dbus.Variant {
	return map[string]dbus.Variant{tp.ContactAttributeConnectionContactID: dbus.MakeVariant(id), tp.ContactAttributeConnectionAliasingAlias: dbus.MakeVariant(nick)}
}

func TestShell(t *testing.T) {
	looks := map[string]dbus.Variant{"key": dbus.MakeVariant([]byte("k")), "color": dbus.MakeVariant("#111111,#222222")}
	answers := map[string][]any{
		"GetInterfaces":        {[]string{tp.InterfaceBuddyInfo.Name}},
		"SetProperties":        {},
		"SelfHandle":           {dbus.MakeVariant(uint32(1))},
		"EnsureChannel":        {true, testList, map[string]dbus.Variant{}},
		"Members":              {dbus.MakeVariant([]uint32{2})},
		"GetContactAttributes": {map[uint32]map[string]dbus.Variant{2: testAttributes("b@s", "Bob"), 3: testAttributes("c@s", "c@s")}},
		"GetProperties":        {map[string]dbus.Variant{}},
		"GetActivities":        {[][]any{}},
		"GetCurrentActivity":   {"", uint32(0)},
	}
	s, calls := testShell(answers)
	p := &pupil{shell: s, activity: newActivity("Trees", s)}
	connected, lost := testSignal(tp.SignalConnectionStatusChanged, testConn, uint32(0), uint32(1)), testSignal(tp.SignalConnectionStatusChanged, testConn, uint32(2), uint32(1))
	presences := func(contact, typ uint32) *dbus.Signal {
		return testSignal(tp.SignalConnectionSimplePresencePresencesChanged, testConn, map[uint32][]any{contact: {typ, "", ""}})
	}
	members := func(list dbus.ObjectPath, added ...uint32) *dbus.Signal {
		return testSignal(tp.SignalChannelGroupMembersChanged, list, "", added, []uint32{}, []uint32{}, []uint32{}, uint32(0), uint32(0))
	}
	alias := func(contact uint32, alias string) *dbus.Signal {
		return testSignal(tp.SignalConnectionAliasingAliasesChanged, testConn, [][]any{{contact, alias}})
	}
	properties := func(contact uint32) *dbus.Signal {
		return testSignal(tp.SignalBuddyInfoPropertiesChanged, testConn, contact, looks)
	}
	for _, step := range []struct {
		name   string
		signal *dbus.Signal
		calls  string
		news   []news
	}{
		{"name of a connection", &dbus.Signal{Name: desktop.SignalNameOwnerChanged, Body: []any{busNameOf(testConn), "", ":1.5"}}, "GetInterfaces SetProperties",
			[]news{{"", "will be seen in #000000,#FFFFFF."}}},
		{"other name", &dbus.Signal{Name: desktop.SignalNameOwnerChanged, Body: []any{"org.freedesktop.Telepathy.Client.X", "", ":1.5"}}, "", nil},
		{"connected", connected, "SelfHandle EnsureChannel Members GetContactAttributes GetProperties GetActivities GetCurrentActivity",
			[]news{{"connected", "is connected."}}},
		{"own nick", alias(1, "Alice"), "", []news{{aware("Alice"), "is called Alice."}}},
		{"key comes", properties(2), "", []news{{met, "sees Bob, in #111111,#222222."}}},
		{"key once more", properties(2), "", nil},
		{"other nick", alias(2, "Bert"), "", []news{{aware("Bert"), "sees that Bob is called Bert now."}}},
		{"newcomer by address", members(testList, 2, 3), "GetContactAttributes GetProperties GetActivities GetCurrentActivity", nil},
		{"key without a name", properties(3), "", nil},
		{"its name", alias(3, "Cleo"), "", []news{{met, "sees Cleo, in #111111,#222222."}}},
		{"somebody goes", members(testList), "", nil},
		{"another list", members(testConn+"/ContactList/stored", 4), "", nil},
		{"nobody's key", properties(4), "", nil},
		{"away is there", presences(2, 3), "", nil},
		{"goes", presences(2, 1), "", []news{{alone, "sees Bert go."}}},
		{"goes again", presences(2, 1), "", nil},
		{"lost", lost, "", []news{{"disconnected", "is disconnected."}, {alone, "sees nobody any more."}}},
	} {
		*calls = nil
		got := p.hear(step.signal)
		if !slices.Equal(got, step.news) || strings.Join(*calls, " ") != step.calls {
			t.Errorf("%s: tells %q and calls %q; want %q and %q", step.name, got, *calls, step.news, step.calls)
		}
	}
}

func TestShell_failures(t *testing.T) {
	for _, step := range []struct {
		name    string
		answers map[string][]any
		signal  *dbus.Signal
		news    string
	}{
		{"no answer", nil, testSignal(tp.SignalConnectionStatusChanged, testConn, uint32(0), uint32(1)), "asks in vain: SelfHandle: Get: no such method"},
		{"BuddyInfo too late", map[string][]any{"GetInterfaces": {[]string{}}},
			&dbus.Signal{Name: desktop.SignalNameOwnerChanged, Body: []any{busNameOf(testConn), "", ":1.5"}}, "asks in vain: no " + tp.InterfaceBuddyInfo.Name},
		{"malformed", nil, testSignal(tp.SignalBuddyInfoPropertiesChanged, testConn, uint32(2)), "asks in vain: dbus.Store: length mismatch"},
	} {
		s, _ := testShell(step.answers)
		if got := (&pupil{shell: s, activity: newActivity("Trees", s)}).hear(step.signal); len(got) == 0 || got[len(got)-1].text != step.news {
			t.Errorf("%s: tells %q", step.name, got)
		}
	}
}
