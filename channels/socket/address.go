package socket

import (
	"net"
	"net/netip"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// maxPath bounds the path of a Unix socket: what sockaddr_un has room for.
const maxPath = 107

// Address is where a local socket is. It is comparable; the zero value is
// nowhere.
type Address struct {
	path string         // Unix, or "@name" in the abstract space, as package net writes it
	ip   netip.AddrPort // IPv4 or IPv6
}

// inet is Socket_Address_IPv4 and Socket_Address_IPv6, (sq).
type inet struct {
	Host string
	Port uint16
}

// ParseAddress reads an address of a socket as a client writes it: ay for Unix
// sockets, beginning with a zero byte in the abstract space, and (sq) for
// others.
func ParseAddress(kind tp.SocketAddressType, v dbus.Variant) (Address, error) {
	a, is := Address{}, false
	switch kind {
	case tp.SocketAddressTypeUnix:
		a.path, is = parsePath(v)
		is = is && a.path[0] != 0 && a.path[0] != '@' && !strings.ContainsRune(a.path, 0)
	case tp.SocketAddressTypeAbstractUnix:
		a.path, is = parsePath(v)
		if is = is && a.path[0] == 0 && len(a.path) > 1; is {
			a.path = "@" + a.path[1:]
		}
	case tp.SocketAddressTypeIPv4, tp.SocketAddressTypeIPv6:
		a.ip, is = parseIP(v)
		is = is && a.ip.Addr().Is4() == (kind == tp.SocketAddressTypeIPv4)
	}
	if !is {
		return Address{}, tp.Errorf(tp.ErrorInvalidArgument, "not the address of a socket of type %d", kind)
	}
	return a, nil
}

// parsePath takes bytes, or the string that some bindings make of them. C
// programs may add the zero byte that ends their strings.
func parsePath(v dbus.Variant) (string, bool) {
	var path string
	switch value := v.Value().(type) {
	case []byte:
		path = string(value)
	case string:
		path = value
	}
	if len(path) > 1 && path[0] != 0 {
		path = strings.TrimSuffix(path, "\x00")
	}
	return path, path != "" && len(path) <= maxPath
}

func parseIP(v dbus.Variant) (netip.AddrPort, bool) {
	fields, is := v.Value().([]any)
	if !is || len(fields) != 2 {
		return netip.AddrPort{}, false
	}
	host, _ := fields[0].(string)
	port, are := bus.Uint(fields[1])
	ip, err := netip.ParseAddr(host)
	if err != nil || !are || port == 0 || port > 0xffff {
		return netip.AddrPort{}, false
	}
	return netip.AddrPortFrom(ip, uint16(port)), true
}

// addressOf gives the address of one end of a connection.
func addressOf(a net.Addr) Address {
	switch a := a.(type) {
	case *net.UnixAddr:
		return Address{path: a.Name}
	case *net.TCPAddr:
		p := a.AddrPort()
		return Address{ip: netip.AddrPortFrom(p.Addr().Unmap(), p.Port())}
	}
	return Address{}
}

// Variant is the address as clients read it.
func (a Address) Variant() dbus.Variant {
	switch {
	case a.ip.IsValid():
		return dbus.MakeVariant(inet{a.ip.Addr().String(), a.ip.Port()})
	case strings.HasPrefix(a.path, "@"):
		return dbus.MakeVariant([]byte("\x00" + a.path[1:]))
	}
	return dbus.MakeVariant([]byte(a.path))
}

// network is what package net calls the address.
func (a Address) network() (network, address string) {
	if a.ip.IsValid() {
		return "tcp", a.ip.String()
	}
	return "unix", a.path
}
