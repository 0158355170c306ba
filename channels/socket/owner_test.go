package socket

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
)

// kernelTable is from an amd64; the fourth socket has lost its program.
const kernelTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 11 1 0 100 0 0 10 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1001        0 12 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 13 1 0 20 4 30 10 -1
   3: 0100007F:C351 0100007F:1F90 05 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1
   4: 00000000000000000000000001000000:C352 00000000000000000000000001000000:1F90 01 00000000:00000000 00:00000000 00000000  1002        0 14 1 0
   5: 0000000000000000FFFF00000100007F:C353 0000000000000000FFFF00000100007F:1F90 01 00000000:00000000 00:00000000 00000000  1003        0 15 1 0
   6: nonsense
   7: 0100007F:C354 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  x        0 16 1 0
`

func TestOwnerIn(t *testing.T) {
	for _, c := range []struct {
		from, to string
		uid      int
		found    bool
	}{
		{"127.0.0.1:50000", "127.0.0.1:8080", 1001, true},
		{"127.0.0.1:8080", "127.0.0.1:50000", 1000, true},
		{"127.0.0.1:50001", "127.0.0.1:8080", 0, false},
		{"[::1]:50002", "[::1]:8080", 1002, true},
		{"127.0.0.1:50003", "127.0.0.1:8080", 1003, true},
		{"127.0.0.1:50004", "127.0.0.1:8080", 0, false},
		{"127.0.0.1:50000", "127.0.0.1:8081", 0, false},
	} {
		uid, found := ownerIn(strings.NewReader(kernelTable), netip.MustParseAddrPort(c.from), netip.MustParseAddrPort(c.to))
		if found != c.found || found && uid != c.uid {
			t.Errorf("%s to %s: %d, %v, want %d, %v", c.from, c.to, uid, found, c.uid, c.found)
		}
	}
}

// Both ways to ask give the owner of a connection that is there, over either
// family, and none for one that is not.
func TestOwner(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		from, to := c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
		if uid, found, err := askOwner(from, to); uid != os.Geteuid() || !found || err != nil {
			t.Errorf("%s: asked: %d, %v, %v", host, uid, found, err)
		}
		if uid, found := lookUpOwner(from, to); uid != os.Geteuid() || !found {
			t.Errorf("%s: looked up: %d, %v", host, uid, found)
		}
		nobody := netip.AddrPortFrom(from.Addr(), 1)
		if _, found, err := askOwner(nobody, to); found || err != nil {
			t.Errorf("%s: nobody's: %v, %v", host, found, err)
		}
	}
}

func TestParseOwner_nonsense(t *testing.T) {
	for _, b := range [][]byte{nil, make([]byte, 19), make([]byte, 88), ownerQuestion(netip.AddrPort{}, netip.AddrPort{})[:40]} {
		if _, found, err := parseOwner(b); found || err == nil {
			t.Errorf("%d bytes: found %v, %v", len(b), found, err)
		}
	}
}
