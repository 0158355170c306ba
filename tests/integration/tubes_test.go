package integration

import (
	"crypto/rand"
	"encoding/hex"
	"os/exec"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

// Three children share a D-Bus tube: calls reach one, signals all, also those of
// 10 MB, and what is for one does not get to the third.
func testTubes(t *testing.T, s *school.Server) {
	cm := cmtest.Start(t, sugars(s, "Tara")...)
	var raw [20]byte
	rand.Read(raw[:])
	id := hex.EncodeToString(raw[:])
	tubes := tp.InterfaceChannelTubes
	var args []string
	var number uint32
	var paths []dbus.ObjectPath
	var connections []*cmtest.Connection
	for _, nick := range []string{"Tara", "Udo", "Vera"} {
		c := cm.Request(sugars(s, nick)...)
		c.Login()
		path := tubesOf(c, id)
		if len(paths) == 0 {
			number = cmtest.As[uint32](t, cm.Call(path, tubes, "OfferDBusTube", "org.laptop.Test", map[string]dbus.Variant{}).Arg(0))
		} else {
			cm.Call(path, tubes, "AcceptDBusTube", number)
		}
		var known []cmtest.Matcher // to those who were there before
		for _, other := range paths {
			known = append(known, cmtest.Signal(tp.SignalChannelTubesDBusNamesChanged).At(other))
		}
		cm.ExpectUnordered(known...)
		address := cmtest.As[string](t, cm.Call(path, tubes, "GetDBusTubeAddress", number).Arg(0))
		args = append(args, address, tubeName(c, path, number))
		paths, connections = append(paths, path), append(connections, c)
	}
	out, err := exec.Command("/usr/bin/python3", append([]string{"testdata/tube.py"}, args...)...).CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("%v: %s", err, out)
	}
	for _, c := range connections {
		c.Disconnect()
	}
}

// tubesOf joins a room as Sugar does and gives its Tubes channel.
func tubesOf(c *cmtest.Connection, id string) dbus.ObjectPath {
	c.T.Helper()
	room := c.Room(id)
	var path dbus.ObjectPath
	for _, kind := range []*tp.Interface{tp.InterfaceChannelText, tp.InterfaceChannelTubes} {
		path = cmtest.As[dbus.ObjectPath](c.T, c.Call(c.Path, tp.InterfaceConnection, "RequestChannel",
			kind.Name, uint32(tp.HandleTypeRoom), room, true).Arg(0))
	}
	return path
}

// tubeName is the own name in a D-Bus tube.
func tubeName(c *cmtest.Connection, path dbus.ObjectPath, number uint32) string {
	c.T.Helper()
	self := cmtest.As[uint32](c.T, c.Call(path, tp.InterfaceChannelGroup, "GetSelfHandle").Arg(0))
	for _, m := range cmtest.As[[]struct {
		Handle uint32
		Name   string
	}](c.T, c.Call(path, tp.InterfaceChannelTubes, "GetDBusNames", number).Arg(0)) {
		if m.Handle == self {
			return m.Name
		}
	}
	c.T.Fatal("no own name in the tube")
	return ""
}
