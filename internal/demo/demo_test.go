package main

import (
	"bytes"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"go.uber.org/goleak"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// storyLines are how often the story tells what it is about.
var storyLines = map[string]int{
	"Alice   will be seen in #FF2B34,#005FE4.":           2, // she comes back
	"Alice   is connected.":                              2,
	"Bob     is connected.":                              1,
	"Alice   sees Bob, in #00EA11,#F8E800.":              2,
	"Bob     sees Alice, in #FF2B34,#005FE4.":            1,
	"Accounts registered in-band: 2.":                    1,
	"Alice   is called Ada.":                             1,
	"Bob     sees that Alice is called Ada now.":         1,
	"Bob     sees Ada, in #FF2B34,#005FE4.":              1,
	"Alice   is disconnected.":                           2,
	"Bob     is disconnected.":                           1,
	"in vain":                                            0,
	"sees the activity “Our trees”, in #FF2B34,#005FE4.": 2,
	"Alice   is in “Our trees” with Bob.":                1,
	"Bob     is in “Our trees” with Ada.":                1,
	"Alice   sees Bob at “Our trees”.":                   1,
	"Bob     sees Ada at “Our trees”.":                   1,
	"Alice   says “" + greeting + "”":                    1,
	"Bob     reads “" + greeting + "” from Ada.":         1,
	"Bob     says “" + answer + "”":                      1,
	"Alice   reads “" + answer + "” from Bob.":           1,
	"reads “": 2, // nobody's own words come back
	"Alice   sees :2.Qm9i come into the D-Bus tube.":                                 1,
	"Bob     accepts the D-Bus tube and meets :2.QWRh there.":                        1,
	"Alice   is asked about “" + tree + "” through the tube, and answers 3.":         1,
	"Bob     is answered 3 after ":                                                   1,
	"Bob     is offered the file “" + photoName + "” of 5000000 bytes, and accepts.": 1,
	"Bob     has “" + photoName + "”, every byte as it was: 5000000 bytes in ":       1,
	"Alice   is told that “" + photoName + "” has arrived.":                          1,
	"Alice   is told that Bob has left “Our trees”.":                                 1,
	"Alice   has left “Our trees”.":                                                  1,
	"Bob     has left “Our trees”.":                                                  1,
	"sees “Our trees” vanish.":                                                       2,
}

// TestStory plays the whole story: unmodified mission-control, both real servers, the real binary.
func TestStory(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "telepathy-olpc")
	if out, err := exec.Command("go", "build", "-o", binary, "telepathy-olpc/cmd/telepathy-olpc").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			var out bytes.Buffer
			if status := run(t.Context(), newDemo(kind, binary, &out)); status != 0 {
				t.Fatalf("exit status %d\n%s", status, out.String())
			}
			for line, want := range storyLines {
				if n := strings.Count(out.String(), line); n != want {
					t.Errorf("%q is told %d times, want %d", line, n, want)
				}
			}
			if t.Failed() {
				t.Log(out.String())
			}
		})
	}
}

func TestRun_stoppedByUser(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if status := run(ctx, newDemo(school.Prosody, "/bin/false", &out)); status != 130 {
		t.Errorf("exit status %d\n%s", status, out.String())
	}
}

func TestPlayScene_lateStep(t *testing.T) {
	var out bytes.Buffer
	d := newDemo(school.Prosody, "/bin/false", &out)
	d.cast = []*pupil{{Child: desktop.Child{Nick: "Alice"}, reached: map[mark]bool{}}}
	err := d.playScene(t.Context(), scene{"Nothing comes", time.Millisecond, (*demo).nothing, connected})
	if err == nil || !strings.Contains(err.Error(), "Alice: not connected after 1ms") {
		t.Errorf("got %v", err)
	}
}

func TestReach_toldOnceUntilItEnds(t *testing.T) {
	p := &pupil{reached: map[mark]bool{}}
	for i, step := range []struct {
		mark mark
		news bool
	}{{connected, true}, {connected, false}, {"", true}, {"", true}, {disconnected, true}, {connected, true}} {
		if got := p.reach(step.mark); got != step.news {
			t.Errorf("step %d, %q: news is %v", i, step.mark, got)
		}
	}
}

func TestReaders(t *testing.T) {
	const gabble, salut = "/org/freedesktop/Telepathy/Account/gabble/jabber/a", "/org/freedesktop/Telepathy/Account/salut/local_xmpp/a"
	type presence struct {
		Type            uint32
		Status, Message string
	}
	registered := map[string]dbus.Variant{"account": dbus.MakeVariant("a@school.test")}
	refused := map[string]dbus.Variant{"debug-message": dbus.MakeVariant("no link")}
	tests := []struct {
		name   string
		signal string
		path   dbus.ObjectPath
		body   []any
		mark   mark
		text   string
	}{
		{"manager started", desktop.SignalNameOwnerChanged, "", []any{"org.freedesktop.Telepathy.ConnectionManager.gabble", "", ":1.5"}, activated, "D-Bus has started telepathy-olpc."},
		{"manager ended", desktop.SignalNameOwnerChanged, "", []any{"org.freedesktop.Telepathy.ConnectionManager.gabble", ":1.5", ""}, "", "telepathy-olpc has ended."},
		{"some other name", desktop.SignalNameOwnerChanged, "", []any{"org.freedesktop.Telepathy.Client.X", "", ":1.5"}, "", ""},
		{"connected", signalName(tp.SignalConnectionStatusChanged), "", []any{uint32(0), uint32(1)}, connected, "is connected."},
		{"malformed", signalName(tp.SignalConnectionStatusChanged), "", []any{"0"}, "", ""},
		{"own presence", signalName(tp.SignalConnectionSimplePresencePresencesChanged), "", []any{map[uint32]presence{1: {2, "available", ""}}}, available, "is available to others."},
		{"another's presence", signalName(tp.SignalConnectionSimplePresencePresencesChanged), "", []any{map[uint32]presence{2: {2, "available", ""}}}, "", ""},
		{"registered", desktop.SignalAccountChanged, gabble, []any{map[string]dbus.Variant{"Parameters": dbus.MakeVariant(registered)}}, "", "is registered: mission-control will not ask for that again."},
		{"link-local refused", desktop.SignalAccountChanged, salut, []any{map[string]dbus.Variant{"ConnectionErrorDetails": dbus.MakeVariant(refused)}}, "", "is told about link-local: no link."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, text := readers[tt.signal](&dbus.Signal{Name: tt.signal, Path: tt.path, Body: tt.body})
			if m != tt.mark || text != tt.text {
				t.Errorf("got %q, %q; want %q, %q", m, text, tt.mark, tt.text)
			}
		})
	}
}

func TestPaint(t *testing.T) {
	var out bytes.Buffer
	s := &story{out: &out, colour: true}
	if got := s.paint("1", "x"); got != "\x1b[1mx\x1b[0m" {
		t.Errorf("got %q", got)
	}
	if got := s.paint("", "x"); got != "x" {
		t.Errorf("got %q", got)
	}
}
