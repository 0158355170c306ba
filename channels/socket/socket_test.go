package socket

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
)

const (
	unixType = tp.SocketAddressTypeUnix
	abstract = tp.SocketAddressTypeAbstractUnix
	ipv4     = tp.SocketAddressTypeIPv4
	ipv6     = tp.SocketAddressTypeIPv6
)

var nothing = dbus.MakeVariant("")

func errorName(err error) tp.ErrorName {
	var e *tp.Error
	if errors.As(err, &e) {
		return e.Name
	}
	return ""
}

func TestParseAddress(t *testing.T) {
	ip := func(s string) Address { return Address{ip: netip.MustParseAddrPort(s)} }
	pair := func(host string, port any) dbus.Variant {
		return dbus.MakeVariantWithSignature([]any{host, port}, dbus.ParseSignatureMust("(sq)"))
	}
	tests := []struct {
		name string
		kind tp.SocketAddressType
		in   dbus.Variant
		want Address // zero for none
	}{
		{"path", unixType, dbus.MakeVariant([]byte("/tmp/s")), Address{path: "/tmp/s"}},
		{"path that C ended", unixType, dbus.MakeVariant([]byte("/tmp/s\x00")), Address{path: "/tmp/s"}},
		{"path as text", unixType, dbus.MakeVariant("/tmp/s"), Address{path: "/tmp/s"}},
		{"no path", unixType, dbus.MakeVariant([]byte{}), Address{}},
		{"zero byte alone", unixType, dbus.MakeVariant([]byte{0}), Address{}},
		{"zero byte within", unixType, dbus.MakeVariant([]byte("/tmp\x00/s")), Address{}},
		{"abstract one as path", unixType, dbus.MakeVariant([]byte("\x00s")), Address{}},
		{"abstract one as package net writes it", unixType, dbus.MakeVariant([]byte("@s")), Address{}},
		{"path too long", unixType, dbus.MakeVariant(make([]byte, maxPath+1)), Address{}},
		{"abstract", abstract, dbus.MakeVariant([]byte("\x00s")), Address{path: "@s"}},
		{"abstract without name", abstract, dbus.MakeVariant([]byte{0}), Address{}},
		{"path as abstract one", abstract, dbus.MakeVariant([]byte("/tmp/s")), Address{}},
		{"IPv4", ipv4, pair("127.0.0.1", uint16(80)), ip("127.0.0.1:80")},
		{"IPv4 with another integer", ipv4, pair("127.0.0.1", int32(80)), ip("127.0.0.1:80")},
		{"IPv4 without port", ipv4, pair("127.0.0.1", uint16(0)), Address{}},
		{"IPv4 with too high a port", ipv4, pair("127.0.0.1", uint32(1<<16)), Address{}},
		{"IPv4 by name", ipv4, pair("localhost", uint16(80)), Address{}},
		{"IPv6 as IPv4", ipv4, pair("::1", uint16(80)), Address{}},
		{"IPv6", ipv6, pair("::1", uint16(80)), ip("[::1]:80")},
		{"text for IPv4", ipv4, dbus.MakeVariant("127.0.0.1:80"), Address{}},
		{"unknown type", 9, dbus.MakeVariant([]byte("/tmp/s")), Address{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAddress(tt.kind, tt.in)
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			if refused := tt.want == (Address{}); refused != (errorName(err) == tp.ErrorInvalidArgument) {
				t.Errorf("error is %v", err)
			}
		})
	}
}

func TestAddress_Variant(t *testing.T) {
	tests := []struct {
		in   Address
		want dbus.Variant
	}{
		{Address{path: "/tmp/s"}, dbus.MakeVariant([]byte("/tmp/s"))},
		{Address{path: "@s"}, dbus.MakeVariant([]byte("\x00s"))},
		{Address{ip: netip.MustParseAddrPort("127.0.0.1:80")}, dbus.MakeVariant(inet{"127.0.0.1", 80})},
	}
	for _, tt := range tests {
		got := tt.in.Variant()
		if diff := cmp.Diff(tt.want.Value(), got.Value()); diff != "" || got.Signature() != tt.want.Signature() {
			t.Errorf("%v: %s %s", tt.in, got.Signature(), diff)
		}
	}
}

func TestParseAccess(t *testing.T) {
	here := dbus.MakeVariantWithSignature([]any{"127.0.0.1", uint16(80)}, dbus.ParseSignatureMust("(sq)"))
	tests := []struct {
		name    string
		kind    tp.SocketAddressType
		control tp.SocketAccessControl
		param   dbus.Variant
		want    Access
		err     tp.ErrorName
	}{
		{"Sugar's", unixType, tp.SocketAccessControlLocalhost, nothing, Access{}, ""},
		{"credentials", abstract, tp.SocketAccessControlCredentials, dbus.MakeVariant(byte(7)),
			Access{Control: tp.SocketAccessControlCredentials, Byte: 7, HasByte: true}, ""},
		{"credentials with any byte", unixType, tp.SocketAccessControlCredentials, nothing,
			Access{Control: tp.SocketAccessControlCredentials}, ""},
		{"port", ipv4, tp.SocketAccessControlPort, here,
			Access{Control: tp.SocketAccessControlPort, From: Address{ip: netip.MustParseAddrPort("127.0.0.1:80")}}, ""},
		{"port, not said which", ipv4, tp.SocketAccessControlPort, nothing, Access{Control: tp.SocketAccessControlPort}, tp.ErrorInvalidArgument},
		{"port of a path", unixType, tp.SocketAccessControlPort, here, Access{Control: tp.SocketAccessControlPort}, tp.ErrorNotImplemented},
		{"netmask", ipv4, tp.SocketAccessControlNetmask, nothing, Access{Control: tp.SocketAccessControlNetmask}, tp.ErrorNotImplemented},
		{"credentials over IPv4", ipv4, tp.SocketAccessControlCredentials, nothing,
			Access{Control: tp.SocketAccessControlCredentials}, tp.ErrorNotImplemented},
		{"unknown type", 9, tp.SocketAccessControlLocalhost, nothing, Access{}, tp.ErrorNotImplemented},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseAccess(tt.kind, tt.control, tt.param)
			if got != tt.want || errorName(err) != tt.err {
				t.Errorf("got %v, %v; want %v, %q", got, err, tt.want, tt.err)
			}
		})
	}
}

// serve listens and hands out who is let in.
func serve(t *testing.T, kind tp.SocketAddressType, a Access) (*Listener, <-chan Client) {
	t.Helper()
	l, err := Listen(kind, a)
	if err != nil {
		t.Fatal(err)
	}
	clients := make(chan Client, 4)
	l.Serve(func(c Client) { clients <- c })
	t.Cleanup(l.Close)
	return l, clients
}

func ended(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("connection has not been closed: %v", err)
	}
}

func TestListen_lettingIn(t *testing.T) {
	for kind, list := range Supported() {
		for _, control := range list {
			if control == tp.SocketAccessControlPort {
				continue // the next test
			}
			a := Access{Control: control}
			l, clients := serve(t, kind, a)
			again, err := ParseAddress(kind, onWire(l.Address().Variant()))
			if err != nil || again != l.Address() {
				t.Fatalf("type %d: address %v reads as %v, %v", kind, l.Address(), again, err)
			}
			c, param, err := Dial(context.Background(), again, a)
			if err != nil {
				t.Fatal(err)
			}
			got := <-clients
			if b, is := param.Value().(byte); is != (control == tp.SocketAccessControlCredentials) || b != got.Byte {
				t.Errorf("type %d, control %d: %v sent, %d received", kind, control, param, got.Byte)
			}
			_, _ = c.Write([]byte("x"))
			var b [2]byte
			if n, err := got.Read(b[:]); n != 1 || b[0] != 'x' {
				t.Errorf("type %d, control %d: %q received, %v", kind, control, b[:n], err)
			}
			_, _ = c.Close(), got.Close()
		}
	}
}

// onWire makes of an address what arrives over D-Bus.
func onWire(v dbus.Variant) dbus.Variant {
	if ip, is := v.Value().(inet); is {
		return dbus.MakeVariantWithSignature([]any{ip.Host, ip.Port}, v.Signature())
	}
	return v
}

func TestListen_port(t *testing.T) {
	elsewhere, err := net.Listen("tcp4", "127.0.0.1:0") // takes a port for us
	if err != nil {
		t.Fatal(err)
	}
	from := addressOf(elsewhere.Addr())
	_ = elsewhere.Close()
	l, clients := serve(t, ipv4, Access{Control: tp.SocketAccessControlPort, From: from})
	stranger, _, err := Dial(context.Background(), l.Address(), Access{})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	ended(t, stranger)
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(from.ip)}
	c, err := d.Dial("tcp", l.Address().ip.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := <-clients
	defer got.Close()
	if got.From() != from {
		t.Errorf("let in from %v, want %v", got.From(), from)
	}
}

func TestListen_wrongByte(t *testing.T) {
	l, _ := serve(t, unixType, Access{Control: tp.SocketAccessControlCredentials, Byte: 1, HasByte: true})
	c, err := net.Dial("unix", l.Address().path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := writeCredentials(c.(*net.UnixConn), 2); err != nil {
		t.Fatal(err)
	}
	ended(t, c)
}

// TestListen_uncheckedBound opens more connections that say nothing than may
// wait; all are closed with the listener.
func TestListen_uncheckedBound(t *testing.T) {
	l, _ := serve(t, abstract, Access{Control: tp.SocketAccessControlCredentials})
	var all []net.Conn
	for range maxUnchecked + 1 {
		c, err := net.Dial("unix", l.Address().path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		all = append(all, c)
	}
	ended(t, all[maxUnchecked])
	l.Close()
	for _, c := range all {
		ended(t, c)
	}
}

func TestListener_Close_leavesNothing(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
	l, _ := serve(t, unixType, Access{})
	info, err := os.Stat(filepath.Dir(l.Address().path))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory of the socket: %v, %v", info.Mode(), err)
	}
	l.Close()
	l.Close()
	left, err := os.ReadDir(os.Getenv("XDG_RUNTIME_DIR"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestDial_nobodyThere(t *testing.T) {
	a := Address{path: filepath.Join(t.TempDir(), "none")}
	if _, _, err := Dial(context.Background(), a, Access{}); err == nil {
		t.Error("no error")
	}
}
