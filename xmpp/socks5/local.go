package socks5

import (
	"net"
	"slices"
)

// maxLocal bounds the addresses of this machine that are named.
const maxLocal = 12

// LocalAddresses returns the addresses at which others can reach this machine,
// those of IPv4 first. One that has none but its loopback, as in a namespace of
// its own, returns that, since nobody can be anywhere else.
func LocalAddresses() []string {
	hosts, _ := localAddresses()
	return hosts
}

// Alone tells whether this machine has no address but its loopback.
func Alone() bool {
	_, alone := localAddresses()
	return alone
}

func localAddresses() (hosts []string, alone bool) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil, false
	}
	return pickAddresses(addresses)
}

// pickAddresses leaves out what nobody else can use; addresses of a link in
// IPv6 need the name of an interface, which means nothing elsewhere.
func pickAddresses(addresses []net.Addr) (hosts []string, alone bool) {
	var v4, v6, own []string
	for _, a := range addresses {
		n, ok := a.(*net.IPNet)
		switch {
		case !ok:
		case n.IP.IsLoopback():
			own = append(own, n.IP.String())
		case n.IP.IsUnspecified() || n.IP.IsMulticast():
		case n.IP.To4() != nil:
			v4 = append(v4, n.IP.String())
		case !n.IP.IsLinkLocalUnicast():
			v6 = append(v6, n.IP.String())
		}
	}
	hosts = slices.Concat(v4, v6)
	if len(hosts) == 0 {
		hosts, alone = own, true
	}
	return hosts[:min(len(hosts), maxLocal)], alone
}
