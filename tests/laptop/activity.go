package laptop

import (
	"fmt"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// Activity is a shared activity as one laptop has it: a room with a channel for text and one for tubes.
type Activity struct {
	Laptop      *Laptop
	ID          string
	Room        uint32
	Text, Tubes dbus.ObjectPath
}

// Join comes into the room of an activity.
func (l *Laptop) Join(id string) *Activity {
	l.T.Helper()
	a := &Activity{Laptop: l, ID: id, Room: l.Handle(tp.HandleTypeRoom, id)}
	for channel, kind := range map[*dbus.ObjectPath]*tp.Interface{&a.Text: tp.InterfaceChannelText, &a.Tubes: tp.InterfaceChannelTubes} {
		l.Store(l.Call(l.Path, tp.InterfaceConnection, "RequestChannel", kind.Name, uint32(tp.HandleTypeRoom), a.Room, true), channel)
	}
	return a
}

// Share announces the activity.
func (a *Activity) Share() {
	a.Laptop.T.Helper()
	a.Laptop.Call(a.Laptop.Path, tp.InterfaceBuddyInfo, "AddActivity", a.ID, a.Room)
	a.Laptop.Call(a.Laptop.Path, tp.InterfaceActivityProperties, "SetProperties", a.Room, map[string]any{
		"type": "org.laptop.Chat", "name": a.Laptop.Child.Nick + " Chat Activity", "color": a.Laptop.Child.Color, "private": false,
	})
}

// Say says something to all in the room.
func (a *Activity) Say(text string) error {
	return a.Laptop.Try(a.Text, tp.InterfaceChannelText, "Send", uint32(tp.ChannelTextMessageTypeNormal), text).Err
}

// Read waits for a text.
func (a *Activity) Read(text string) {
	a.Laptop.T.Helper()
	a.Laptop.Await(text, tp.SignalChannelTextReceived, func(s *dbus.Signal) bool { return s.Path == a.Text && s.Body[5] == text })
}

// Acknowledge has everything count as read.
func (a *Activity) Acknowledge() {
	a.Laptop.T.Helper()
	var pending []struct {
		ID, At, From, Kind, Flags uint32
		Text                      string
	}
	a.Laptop.Store(a.Laptop.Call(a.Text, tp.InterfaceChannelText, "ListPendingMessages", true), &pending)
}

// Leave closes both channels; with the last one the room is left.
func (a *Activity) Leave() {
	a.Laptop.T.Helper()
	for _, channel := range []dbus.ObjectPath{a.Tubes, a.Text} {
		a.Laptop.Call(channel, tp.InterfaceChannel, "Close")
		a.Laptop.Await("channel closed", tp.SignalChannelClosed, func(s *dbus.Signal) bool { return s.Path == channel })
	}
}

// OfferDBusTube gives number and address of a new D-Bus tube.
func (a *Activity) OfferDBusTube(service string) (number uint32, address string) {
	a.Laptop.T.Helper()
	a.Laptop.Store(a.Laptop.Call(a.Tubes, tp.InterfaceChannelTubes, "OfferDBusTube", service, map[string]any{}), &number)
	a.Laptop.Store(a.Laptop.Call(a.Tubes, tp.InterfaceChannelTubes, "GetDBusTubeAddress", number), &address)
	return number, address
}

// OfferStreamTube gives the number of a new stream tube whose service listens on a Unix socket.
func (a *Activity) OfferStreamTube(service, path string) (number uint32) {
	a.Laptop.T.Helper()
	a.Laptop.Store(a.Laptop.Call(a.Tubes, tp.InterfaceChannelTubes, "OfferStreamTube", service, map[string]any{},
		uint32(tp.SocketAddressTypeUnix), dbus.MakeVariant([]byte(path)), uint32(tp.SocketAccessControlLocalhost), dbus.MakeVariant("")), &number)
	return number
}

// AwaitTube waits for a tube of others.
func (a *Activity) AwaitTube(service string) (number uint32) {
	a.Laptop.T.Helper()
	var tubes []struct {
		ID, Initiator, Type uint32
		Service             string
		Parameters          map[string]dbus.Variant
		State               uint32
	}
	a.Laptop.Store(a.Laptop.Call(a.Tubes, tp.InterfaceChannelTubes, "ListTubes"), &tubes)
	for _, t := range tubes {
		if t.Service == service {
			return t.ID
		}
	}
	s := a.Laptop.Await("tube "+service, tp.SignalChannelTubesNewTube, func(s *dbus.Signal) bool {
		return s.Path == a.Tubes && s.Body[3] == service
	})
	return s.Body[0].(uint32)
}

// AcceptDBusTube gives the address of somebody's D-Bus tube.
func (a *Activity) AcceptDBusTube(number uint32) (address string) {
	a.Laptop.T.Helper()
	a.Laptop.Store(a.Laptop.Call(a.Tubes, tp.InterfaceChannelTubes, "AcceptDBusTube", number), &address)
	return address
}

// AcceptStreamTube gives the address of a socket of somebody's stream tube.
func (a *Activity) AcceptStreamTube(number uint32, kind tp.SocketAddressType, control tp.SocketAccessControl) (address dbus.Variant) {
	a.Laptop.T.Helper()
	a.Laptop.Store(a.Laptop.Call(a.Tubes, tp.InterfaceChannelTubes, "AcceptStreamTube", number, uint32(kind), uint32(control), dbus.MakeVariant("")), &address)
	return address
}

// AwaitNames waits until, since the last Forget, so many participants have come into a D-Bus tube and so many have gone.
func (a *Activity) AwaitNames(number uint32, came, gone int) {
	a.Laptop.T.Helper()
	a.Laptop.Await(fmt.Sprintf("%d to come into tube %d and %d to go", came, number, gone), tp.SignalChannelTubesDBusNamesChanged, func(s *dbus.Signal) bool {
		if s.Path == a.Tubes && s.Body[0] == number {
			came -= len(s.Body[1].([][]any))
			gone -= len(s.Body[2].([]uint32))
		}
		return came <= 0 && gone <= 0
	})
}

// Peer is a program's end of a D-Bus tube.
type Peer struct {
	*dbus.Conn
	Signals chan *dbus.Signal
}

// OpenPeer connects to the socket of a D-Bus tube.
func (l *Laptop) OpenPeer(address string) *Peer {
	l.T.Helper()
	conn, err := dbus.Dial(address)
	if err == nil {
		err = conn.Auth(nil)
	}
	if err != nil {
		l.T.Fatalf("%s, D-Bus tube %s: %v", l.Child.Nick, address, err)
	}
	p := &Peer{conn, make(chan *dbus.Signal, 100)}
	conn.Signal(p.Signals)
	return p
}
