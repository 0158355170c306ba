package socket

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// dialTimeout bounds the connection to a local program.
const dialTimeout = 10 * time.Second

// Dial connects to the socket of a local program. The variant is what tells
// the program which connection it is, Connection_Param of NewRemoteConnection:
// the address from which we connect, the byte that we sent, or nothing. It
// blocks, and is called from a goroutine; ctx ends it early.
func Dial(ctx context.Context, a Address, access Access) (net.Conn, dbus.Variant, error) {
	nothing := dbus.MakeVariant(uint32(0))
	dialer := net.Dialer{Timeout: dialTimeout}
	network, address := a.network()
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, nothing, fmt.Errorf("connect to a local socket: %w", err)
	}
	switch access.Control {
	case tp.SocketAccessControlPort:
		return c, addressOf(c.LocalAddr()).Variant(), nil
	case tp.SocketAccessControlCredentials:
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails
		if err := writeCredentials(c.(*net.UnixConn), b[0]); err != nil {
			_ = c.Close()
			return nil, nothing, fmt.Errorf("send credentials to a local socket: %w", err)
		}
		return c, dbus.MakeVariant(b[0]), nil
	}
	return c, nothing, nil
}
