package main

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

const (
	testTubes = testConn + "/TubesChannel1"
	testFile  = testConn + "/FileTransferChannel1"
)

// TestActivity_exchanges hears signals of tubes and files that are not those of the story.
func TestActivity_exchanges(t *testing.T) {
	newTube := func(state tp.TubeState, service string) *dbus.Signal {
		return testSignal(tp.SignalChannelTubesNewTube, testTubes, uint32(3), uint32(6), uint32(0), service, map[string]dbus.Variant{}, uint32(state))
	}
	channels := func(kind string, requested bool) *dbus.Signal {
		properties := map[string]dbus.Variant{tp.PropertyChannelChannelType: dbus.MakeVariant(kind), tp.PropertyChannelRequested: dbus.MakeVariant(requested)}
		return testSignal(tp.SignalConnectionRequestsNewChannels, testConn, [][]any{{testFile, properties}})
	}
	for _, tt := range []struct {
		name    string
		signal  *dbus.Signal
		answers map[string][]any
		calls   string
		told    string
	}{
		{"own tube", newTube(tp.TubeStateOpen, tubeService), nil, "", ""},
		{"a tube for something else", newTube(tp.TubeStateLocalPending, "org.laptop.Other"), nil, "", ""},
		{"a tube that cannot be had", newTube(tp.TubeStateLocalPending, tubeService), nil, "AcceptDBusTube", "asks in vain: AcceptDBusTube: no such method"},
		{"a tube without who offers it", newTube(tp.TubeStateLocalPending, tubeService),
			map[string][]any{"AcceptDBusTube": {"unix:path=/nowhere"}, "GetDBusNames": {[][]any{{uint32(5), ":2.Qm9i"}}}},
			"AcceptDBusTube GetDBusNames", "asks in vain: who offers the tube is not in it"},
		{"own file", channels(tp.InterfaceChannelFileTransfer.Name, true), nil, "", ""},
		{"a chat", channels(tp.InterfaceChannelText.Name, false), nil, "", ""},
		{"a file that cannot be had", channels(tp.InterfaceChannelFileTransfer.Name, false), nil, "AcceptFile", "asks in vain: AcceptFile: no such method"},
		{"a file stopped", testSignal(tp.SignalChannelFileTransferFileTransferStateChanged, testFile, uint32(tp.FileTransferStateCancelled), uint32(3)),
			nil, "", "asks in vain: the file is stopped for reason 3"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, calls := testShell(tt.answers)
			s.conn = testConn
			a := newActivity("Trees", s)
			a.tubes, a.self, a.file = testTubes, 5, file{path: testFile}
			told := ""
			if all := (&pupil{shell: s, activity: a}).hear(tt.signal); len(all) > 0 {
				told = all[len(all)-1].text
			}
			if told != tt.told || strings.Join(*calls, " ") != tt.calls {
				t.Errorf("tells %q and calls %q; want %q and %q", told, *calls, tt.told, tt.calls)
			}
		})
	}
}

// TestReadPhoto_broken gets less than the file.
func TestReadPhoto_broken(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if c, err := l.Accept(); err == nil {
			_, _ = c.Write(photo()[:100])
			c.Close()
		}
	}()
	var told []news
	tell := func(n news) { told = append(told, n) }
	readPhoto(socket, tell)
	l.Close()
	readPhoto(socket, tell)
	writePhoto(socket, tell)
	for i, want := range []string{"has got 100 bytes that are not the file", "cannot read the file: ", "cannot send the file: "} {
		if i >= len(told) || told[i].mark != "" || !strings.HasPrefix(told[i].text, want) {
			t.Errorf("%d: %q instead of %q", i, told, want)
		}
	}
}

func TestClient(t *testing.T) {
	all, _ := client{}.GetAll(approverFace)
	filters := all["ApproverChannelFilter"].Value().([]map[string]dbus.Variant)
	if len(filters) != 1 || filters[0][tp.PropertyChannelChannelType].Value() != tp.InterfaceChannelFileTransfer.Name {
		t.Errorf("asked about %v", filters)
	}
	if _, err := (client{}).Get(clientFace, "Interfaces"); err != nil {
		t.Error(err)
	}
	if _, err := (client{}).Get(clientFace, "Nothing"); err == nil {
		t.Error("has a property that there is not")
	}
}
