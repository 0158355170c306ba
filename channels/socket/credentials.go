package socket

import (
	"errors"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// credentialsTimeout bounds how long a client may take to say who it is.
const credentialsTimeout = 10 * time.Second

var errCredentials = errors.New("no credentials of this user")

// sameUser tells whether the other end belongs to our user.
func sameUser(c *net.UnixConn) bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	var peer *unix.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) { peer, failed = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED) })
	return err == nil && failed == nil && int(peer.Uid) == os.Geteuid()
}

// readCredentials takes the byte that comes with credentials, and whether they
// are our user's (specification, Socket_Access_Control_Credentials).
func readCredentials(c *net.UnixConn) (byte, error) {
	if err := c.SetReadDeadline(time.Now().Add(credentialsTimeout)); err != nil {
		return 0, err
	}
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(unix.SizeofUcred))
	n, oobn, _, _, err := c.ReadMsgUnix(b[:], oob)
	if err != nil {
		return 0, err
	}
	if n != 1 || !areOurs(oob[:oobn]) {
		return 0, errCredentials
	}
	return b[0], errors.Join(passCredentials(c, 0), c.SetReadDeadline(time.Time{}))
}

// areOurs tells whether control messages hold credentials of our user.
func areOurs(oob []byte) bool {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for i := range messages {
		if cred, err := unix.ParseUnixCredentials(&messages[i]); err == nil {
			return int(cred.Uid) == os.Geteuid()
		}
	}
	return false
}

func passCredentials(c *net.UnixConn, on int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, on) })
	return errors.Join(err, failed)
}

// writeCredentials says who we are, with a byte by which a client can tell our
// connections apart.
func writeCredentials(c *net.UnixConn, b byte) error {
	ours := unix.UnixCredentials(&unix.Ucred{
		Pid: int32(os.Getpid()), Uid: uint32(os.Geteuid()), Gid: uint32(os.Getegid()),
	})
	_, _, err := c.WriteMsgUnix([]byte{b}, ours, nil)
	return err
}
