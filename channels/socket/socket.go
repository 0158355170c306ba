// Package socket has the local sockets over which a channel and the programs of
// the user exchange bytes: those of files and of stream tubes (Telepathy
// specification, Socket_Address_Type and Socket_Access_Control).
//
// A [Listener] waits for local programs, [Dial] connects to one that waits, and
// [Join] carries the bytes between such a connection and a stream from afar.
// All of it works in goroutines of its own, which call back from there: who
// owns the channel posts to its loop. Parsing and the tables may be used
// anywhere.
//
// Other users of the computer get in nowhere but over IPv4 and IPv6 with
// Localhost, where the specification wants every local program admitted: a Unix
// socket is in a directory that only its owner may enter, and who connects to
// it is asked for the user it runs as.
package socket

import (
	"net"
	"slices"
	"sync"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// controls is what kinds of sockets can be had, with which access control. A
// netmask is for programs on other computers, which there are none of here.
var controls = map[tp.SocketAddressType][]tp.SocketAccessControl{
	tp.SocketAddressTypeUnix:         {tp.SocketAccessControlLocalhost, tp.SocketAccessControlCredentials},
	tp.SocketAddressTypeAbstractUnix: {tp.SocketAccessControlLocalhost, tp.SocketAccessControlCredentials},
	tp.SocketAddressTypeIPv4:         {tp.SocketAccessControlLocalhost, tp.SocketAccessControlPort},
	tp.SocketAddressTypeIPv6:         {tp.SocketAccessControlLocalhost, tp.SocketAccessControlPort},
}

// Supported is Supported_Socket_Map, a{uau}, as AvailableSocketTypes and
// SupportedSocketTypes tell it. It is not to be changed.
var Supported = sync.OnceValue(func() map[tp.SocketAddressType][]tp.SocketAccessControl {
	all := make(map[tp.SocketAddressType][]tp.SocketAccessControl, len(controls))
	for kind, list := range controls {
		if kind != tp.SocketAddressTypeIPv6 || hasIPv6() {
			all[kind] = list
		}
	}
	return all
})

func hasIPv6() bool {
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}

// Access says who may connect to a socket.
type Access struct {
	Control tp.SocketAccessControl
	// From is where the connection must come from, with Port. It is zero
	// where we connect ourselves.
	From Address
	// Byte is what must come with the credentials, if HasByte.
	Byte    byte
	HasByte bool
}

// ParseAccess reads the access control for a socket that we listen on, as a
// client gives it to AcceptFile, ProvideFile, Accept and AcceptStreamTube.
func ParseAccess(kind tp.SocketAddressType, control tp.SocketAccessControl, param dbus.Variant) (Access, error) {
	a := Access{Control: control}
	if err := check(kind, control); err != nil {
		return a, err
	}
	switch control {
	case tp.SocketAccessControlPort:
		from, err := ParseAddress(kind, param)
		if err != nil {
			return a, err
		}
		a.From = from
	case tp.SocketAccessControlCredentials:
		n, is := bus.Uint(param.Value())
		a.Byte, a.HasByte = byte(n), is && n <= 0xff
	}
	return a, nil
}

// ParseOfferedAccess reads the access control for a socket on which a client
// listens, as it gives it to Offer and OfferStreamTube. Its parameter says
// nothing there: who connects tells it afterwards.
func ParseOfferedAccess(kind tp.SocketAddressType, control tp.SocketAccessControl) (Access, error) {
	return Access{Control: control}, check(kind, control)
}

// check finds combinations that there are not.
func check(kind tp.SocketAddressType, control tp.SocketAccessControl) error {
	list, is := Supported()[kind]
	if !is {
		return tp.Errorf(tp.ErrorNotImplemented, "there are no sockets of type %d", kind)
	}
	if !slices.Contains(list, control) {
		return tp.Errorf(tp.ErrorNotImplemented, "sockets of type %d have no access control %d", kind, control)
	}
	return nil
}
