package socket

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Sizes of the kernel's structures in a question about one socket, sock_diag(7),
// in bytes.
const (
	netlinkHeader = 16
	diagRequest   = 56 // inet_diag_req_v2
	diagAnswer    = 72 // inet_diag_msg
	diagPatience  = 100 * time.Millisecond
)

var errDiag = errors.New("the kernel's answer makes no sense")

// askOwner asks the kernel to whom the TCP socket from one address to another
// belongs. Reading the table of all sockets takes milliseconds, this a tenth of
// one. An error says that the kernel does not answer such questions.
func askOwner(from, to netip.AddrPort) (uid int, found bool, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return 0, false, err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(diagPatience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return 0, false, err
	}
	if err := unix.Sendto(fd, ownerQuestion(from, to), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false, err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil {
		return 0, false, err
	}
	return parseOwner(answer[:n])
}

// ownerQuestion builds a netlink message with an inet_diag_req_v2.
func ownerQuestion(from, to netip.AddrPort) []byte {
	family := byte(unix.AF_INET)
	if from.Addr().Is6() {
		family = unix.AF_INET6
	}
	b := make([]byte, 0, netlinkHeader+diagRequest)
	b = binary.NativeEndian.AppendUint32(b, netlinkHeader+diagRequest)
	b = binary.NativeEndian.AppendUint16(b, unix.SOCK_DIAG_BY_FAMILY)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST)
	b = append(b, make([]byte, 8)...) // sequence and port: there is one question
	b = append(b, family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // in any state
	b = binary.BigEndian.AppendUint16(b, from.Port())
	b = binary.BigEndian.AppendUint16(b, to.Port())
	for _, a := range []netip.Addr{from.Addr(), to.Addr()} {
		padded := [16]byte{}
		copy(padded[:], a.AsSlice())
		b = append(b, padded[:]...)
	}
	b = append(b, 0, 0, 0, 0)                                        // on any interface
	return append(b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff) // INET_DIAG_NOCOOKIE
}

// parseOwner reads the inet_diag_msg. A socket without inode has no program any
// more.
func parseOwner(b []byte) (uid int, found bool, err error) {
	if len(b) < netlinkHeader+4 {
		return 0, false, errDiag
	}
	switch binary.NativeEndian.Uint16(b[4:]) {
	case unix.NLMSG_ERROR:
		if errno := unix.Errno(-int32(binary.NativeEndian.Uint32(b[netlinkHeader:]))); errno != unix.ENOENT {
			return 0, false, errno
		}
		return 0, false, nil
	case unix.SOCK_DIAG_BY_FAMILY:
		if len(b) < netlinkHeader+diagAnswer {
			return 0, false, errDiag
		}
		owner := b[netlinkHeader+diagAnswer-8:]
		return int(binary.NativeEndian.Uint32(owner)), binary.NativeEndian.Uint32(owner[4:]) != 0, nil
	}
	return 0, false, errDiag
}
