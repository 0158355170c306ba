package bus

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/godbus/dbus/v5"
)

// sessionAddress is where the session bus is, D-Bus specification, "Well-known
// Message Bus Instances"; without a variable it is systemd's place for it.
func sessionAddress() (string, error) {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address, nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return "unix:path=" + dbus.EscapeBusAddressValue(dir+"/bus"), nil
	}
	return "", errors.New("neither DBUS_SESSION_BUS_ADDRESS nor XDG_RUNTIME_DIR is set")
}

// dialAddress connects to the first address of a list that answers.
func dialAddress(list string) (*net.UnixConn, error) {
	var errs []error
	for address := range strings.SplitSeq(list, ";") {
		if address == "" {
			continue
		}
		socket, err := socketName(address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: socket})
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		return nil, errors.New("empty bus address")
	}
	return nil, errors.Join(errs...)
}

// socketName gives the socket of an address in Go's notation: D-Bus
// specification, "Unix Domain Sockets". Session buses have no other transport.
func socketName(address string) (string, error) {
	keys, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", fmt.Errorf("bus address %q is not a Unix socket", address)
	}
	for pair := range strings.SplitSeq(keys, ",") {
		key, value, _ := strings.Cut(pair, "=")
		if key != "path" && key != "abstract" {
			continue
		}
		value, err := dbus.UnescapeBusAddressValue(value)
		if err != nil {
			return "", fmt.Errorf("bus address %q: %w", address, err)
		}
		if key == "abstract" {
			value = "@" + value
		}
		return value, nil
	}
	return "", fmt.Errorf("bus address %q has no path", address)
}

// authenticate says who we are, D-Bus specification, "Authentication
// Protocol". File descriptors are left out on purpose, see the package comment.
func authenticate(conn net.Conn, r *bufio.Reader) error {
	uid := hex.EncodeToString([]byte(strconv.Itoa(os.Getuid())))
	if _, err := conn.Write([]byte("\x00AUTH EXTERNAL " + uid + "\r\n")); err != nil {
		return err
	}
	line, err := r.ReadSlice('\n')
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if !strings.HasPrefix(string(line), "OK ") {
		return fmt.Errorf("bus answered %q", line)
	}
	_, err = conn.Write([]byte("BEGIN\r\n"))
	return err
}
