package faults

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/laptop"
	"telepathy-olpc/tests/school"
)

const nobody = 65534

// asNobody runs f in a thread of another user, which ends with it.
func asNobody(t *testing.T, f func() error) error {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: so the thread ends
		for _, call := range []uintptr{unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			if _, _, errno := unix.RawSyscall(call, nobody, nobody, nobody); errno != 0 {
				done <- fmt.Errorf("become another user: %w", errno)
				return
			}
		}
		done <- f()
	}()
	return <-done
}

// reach connects to a socket and wants what it says repeated.
func reach(target unix.Sockaddr, family int) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, target); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 20}); err != nil {
		return err
	}
	if _, err := unix.Write(fd, []byte("x")); err != nil {
		return err
	}
	n, err := unix.Read(fd, make([]byte, 1))
	if err == nil && n == 0 {
		return io.EOF
	}
	return err
}

// door is a socket as D-Bus tells of it.
type door struct {
	name    string
	kind    tp.SocketAddressType
	address dbus.Variant
}

func (d door) sockaddr() (unix.Sockaddr, int) {
	switch d.kind {
	case tp.SocketAddressTypeIPv4:
		fields := d.address.Value().([]any)
		a := &unix.SockaddrInet4{Port: int(fields[1].(uint16))}
		copy(a.Addr[:], net.ParseIP(fields[0].(string)).To4())
		return a, unix.AF_INET
	case tp.SocketAddressTypeIPv6:
		fields := d.address.Value().([]any)
		a := &unix.SockaddrInet6{Port: int(fields[1].(uint16))}
		copy(a.Addr[:], net.ParseIP(fields[0].(string)).To16())
		return a, unix.AF_INET6
	}
	return &unix.SockaddrUnix{Name: strings.Replace(string(d.address.Value().([]byte)), "\x00", "@", 1)}, unix.AF_UNIX
}

// testOtherUser has another user of the laptop try every kind of socket that tubes and files have: nothing that is said comes
// back. To the user's own programs the same sockets are open.
func testOtherUser(t *testing.T, s *school.Server) {
	needRoot(t, "becoming another user")
	ana, ben := open(t, s, "Zoe"), open(t, s, "Abe")
	ana.Connect(nil)
	ben.Connect(nil)
	ana.AwaitBuddy(ben.Self)
	ben.AwaitBuddy(ana.Self)
	here, there := ana.Join("doors"), ben.Join("doors")
	for _, d := range doors(t, ana, ben, here, there) {
		t.Run(d.name, func(t *testing.T) {
			target, family := d.sockaddr()
			if err := asNobody(t, func() error { return reach(target, family) }); err == nil || err == unix.EAGAIN {
				t.Errorf("another user was let in: %v", err)
			} else {
				t.Logf("another user: %v", err)
			}
		})
	}
	talk(ana, ben, "doors-closed")
}

// doors opens all kinds of sockets.
func doors(t *testing.T, ana, ben *laptop.Laptop, here, there *laptop.Activity) []door {
	t.Helper()
	_, address := here.OfferDBusTube("org.laptop.Doors")
	path, _, _ := strings.Cut(strings.TrimPrefix(address, "unix:path="), ",")
	list := []door{{"D-Bus tube", tp.SocketAddressTypeUnix, dbus.MakeVariant([]byte(path))}}
	service := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", service)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go echo(l)
	kinds := map[string]tp.SocketAddressType{
		"Unix": tp.SocketAddressTypeUnix, "abstract": tp.SocketAddressTypeAbstractUnix, "IPv4": tp.SocketAddressTypeIPv4, "IPv6": tp.SocketAddressTypeIPv6,
	}
	for name, kind := range kinds {
		here.OfferStreamTube("doors-"+name, service)
		number := there.AwaitTube("doors-" + name)
		d := door{"stream tube, " + name, kind, there.AcceptStreamTube(number, kind, tp.SocketAccessControlLocalhost)}
		if err := reach(d.sockaddr()); err != nil {
			t.Errorf("%s: the user's own program was not let in: %v", d.name, err)
		}
		list = append(list, d)
	}
	file := laptop.SendFile(ana, ben, "doors", []byte(strconv.Itoa(1)))
	for i, path := range file.Sockets() {
		list = append(list, door{fmt.Sprintf("file, end %d", i), tp.SocketAddressTypeUnix, dbus.MakeVariant([]byte(path))})
	}
	return list
}

// echo repeats to everybody what is said.
func echo(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(c, c)
			c.Close()
		}()
	}
}
