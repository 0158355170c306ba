package integration

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"io"
	"net"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

// Three children share a D-Bus tube: calls reach one, signals all, also those of
// 10 MB, and what is for one does not get to the third. A book
// is read over a stream tube.
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
	testStreamTube(t, cm, paths)
	for _, c := range connections {
		c.Disconnect()
	}
}

// ipv4 is Socket_Address_IPv4.
type ipv4 struct {
	Host string
	Port uint16
}

// testStreamTube has the second child read what the first offers, over several
// connections at a time; the third does not accept.
func testStreamTube(t *testing.T, cm *cmtest.CM, paths []dbus.ObjectPath) {
	tubes := tp.InterfaceChannelTubes
	book := make([]byte, 5<<20)
	rand.Read(book)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				c.Write(book)
			}()
		}
	}()
	number := cmtest.As[uint32](t, cm.Call(paths[0], tubes, "OfferStreamTube", "read-activity-http", map[string]dbus.Variant{},
		uint32(2), dbus.MakeVariant(ipv4{"127.0.0.1", uint16(l.Addr().(*net.TCPAddr).Port)}), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	id := cmtest.As[uint32](t, cm.ExpectWithin(patience, cmtest.Signal(tp.SignalChannelTubesNewTube).At(paths[1])).Arg(0))
	cmtest.Equal(t, id, number)
	address := cmtest.As[ipv4](t, cm.Call(paths[1], tubes, "AcceptStreamTube", id, uint32(2), uint32(0), dbus.MakeVariant(uint32(0))).Arg(0))
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			c, err := net.Dial("tcp", net.JoinHostPort(address.Host, strconv.Itoa(int(address.Port))))
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			if got, err := io.ReadAll(c); err != nil || !bytes.Equal(got, book) {
				t.Errorf("read %d bytes of %d, %v", len(got), len(book), err)
			}
		})
	}
	readers.Wait()
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
