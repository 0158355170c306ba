package socket

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// ofOurUser tells whether the other end of a TCP connection on this machine is a
// program of our user, or of root. The socket has no credentials to ask for, but
// the kernel knows to whom each end belongs. An end that has no
// owner any more, because its program has gone at once, is nobody's.
func ofOurUser(c net.Conn) bool {
	peer, own := addressOf(c.RemoteAddr()).ip, addressOf(c.LocalAddr()).ip
	uid, found, err := askOwner(peer, own)
	if err != nil {
		uid, found = lookUpOwner(peer, own)
	}
	return found && (uid == os.Geteuid() || uid == 0)
}

// lookUpOwner is for kernels that answer no questions about sockets.
func lookUpOwner(from, to netip.AddrPort) (uid int, found bool) {
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} { // either kind of socket reaches 127.0.0.1
		f, err := os.Open(table)
		if err != nil {
			continue
		}
		uid, found = ownerIn(f, from, to)
		_ = f.Close()
		if found {
			break
		}
	}
	return uid, found
}

// Columns of the kernel's table.
const (
	columnLocal  = 1
	columnRemote = 2
	columnUID    = 7
	columnInode  = 9 // 0 once no program has the socket
)

// ownerIn looks in a table, proc_pid_net(5), for a socket from one address to another, and gives whose it is.
func ownerIn(table io.Reader, from, to netip.AddrPort) (uid int, found bool) {
	lines := bufio.NewScanner(table)
	port := fmt.Appendf(nil, ":%04X ", from.Port())
	for lines.Scan() {
		if !bytes.Contains(lines.Bytes(), port) {
			continue // nearly all are passed over so, and there may be thousands
		}
		fields := strings.Fields(lines.Text())
		if len(fields) <= columnInode || parseKernel(fields[columnLocal]) != from || parseKernel(fields[columnRemote]) != to {
			continue
		}
		uid, err := strconv.Atoi(fields[columnUID])
		return uid, err == nil && fields[columnInode] != "0"
	}
	return 0, false
}

// parseKernel reads an address as the kernel prints it: words of four bytes as
// numbers of this machine, and the port as a number.
func parseKernel(text string) netip.AddrPort {
	host, port, _ := strings.Cut(text, ":")
	b, err := hex.DecodeString(host)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b)%4 != 0 {
		return netip.AddrPort{}
	}
	for word := b; len(word) > 0; word = word[4:] {
		binary.NativeEndian.PutUint32(word, binary.BigEndian.Uint32(word))
	}
	ip, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(ip.Unmap(), uint16(n))
}
