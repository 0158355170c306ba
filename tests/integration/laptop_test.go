package integration

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// laptop is a session bus with the connection manager and a client in our place.
type laptop struct {
	*desktop.Desktop

	b       *testing.B
	ctx     context.Context
	server  *school.Server
	nick    string
	name    string          // of the connection
	path    dbus.ObjectPath // likewise
	room    uint32          // of the activity
	channel dbus.ObjectPath // to the room
}

func openLaptop(b *testing.B, s *school.Server, binary, nick string) *laptop {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*patience)
	b.Cleanup(cancel)
	d, err := desktop.Start(ctx, desktop.Options{Binary: binary})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if b.Failed() {
			b.Logf("log of %s's session:\n%s", nick, d.Log())
		}
		if err := d.Stop(); err != nil {
			b.Error(err)
		}
	})
	return &laptop{Desktop: d, b: b, ctx: ctx, server: s, nick: nick}
}

// request requests a connection as Sugar does it.
func (l *laptop) request(nick string, register bool) {
	l.b.Helper()
	gabble := manager.Gabble()
	child := desktop.Child{Nick: nick}
	parameters := map[string]any{
		"account": address(l.server, nick), "password": child.Password(), "server": l.server.Host, "port": uint32(l.server.DirectPort),
		"resource": "sugar", "require-encryption": true, "ignore-ssl-errors": true, "register": register, "old-ssl": true,
	}
	err := l.Bus.Object(gabble.BusName(), gabble.Path()).
		CallWithContext(l.ctx, tp.InterfaceConnectionManager.Name+".RequestConnection", 0, "jabber", variants(parameters)).Store(&l.name, &l.path)
	if err != nil {
		l.b.Fatalf("request a connection: %v", err)
	}
	l.call(l.path, tp.InterfaceBuddyInfo, "SetProperties", map[string]any{"key": child.Key(), "color": "#FF2B34,#005FE4"})
}

func (l *laptop) connect() {
	l.b.Helper()
	l.start(l.path, tp.InterfaceConnection, "Connect")
	l.untilConnected()
}

func (l *laptop) untilConnected() {
	l.b.Helper()
	l.hasStatus(tp.ConnectionStatusConnected)
}

func (l *laptop) disconnect() {
	l.b.Helper()
	l.start(l.path, tp.InterfaceConnection, "Disconnect")
	l.hasStatus(tp.ConnectionStatusDisconnected)
}

func (l *laptop) hasStatus(want tp.ConnectionStatus) {
	l.b.Helper()
	l.sees(fmt.Sprint("status ", want), tp.SignalConnectionStatusChanged, func(s *dbus.Signal) bool {
		return s.Path == l.path && s.Body[0] == uint32(want)
	})
}

// join comes into the room of an activity.
func (l *laptop) join(activity string) {
	l.b.Helper()
	var rooms []uint32
	l.call(l.path, tp.InterfaceConnection, "RequestHandles", uint32(tp.HandleTypeRoom), []string{activity}).Store(&rooms)
	l.room = rooms[0]
	l.call(l.path, tp.InterfaceConnection, "RequestChannel", tp.InterfaceChannelText.Name, uint32(tp.HandleTypeRoom), l.room, true).Store(&l.channel)
}

// share announces an activity whose room has been joined.
func (l *laptop) share(activity string) {
	l.b.Helper()
	l.call(l.path, tp.InterfaceBuddyInfo, "AddActivity", activity, l.room)
	l.call(l.path, tp.InterfaceActivityProperties, "SetProperties", l.room, map[string]any{
		"type": "org.laptop.Chat", "name": l.nick + " Chat Activity", "color": "#FF2B34,#005FE4", "private": false,
	})
}

func (l *laptop) seesActivity(activity string) {
	l.b.Helper()
	l.sees("the activity", tp.SignalBuddyInfoActivitiesChanged, func(s *dbus.Signal) bool {
		return slices.ContainsFunc(s.Body[1].([][]any), func(a []any) bool { return a[0] == activity })
	})
}

func (l *laptop) says(words string) {
	l.start(l.channel, tp.InterfaceChannelText, "Send", uint32(tp.ChannelTextMessageTypeNormal), words)
}

// reads waits for a message and acknowledges it.
func (l *laptop) reads(words string) {
	l.b.Helper()
	got := l.sees(words, tp.SignalChannelTextReceived, func(s *dbus.Signal) bool { return s.Body[5] == words })
	l.start(l.channel, tp.InterfaceChannelText, "AcknowledgePendingMessages", []uint32{got.Body[0].(uint32)})
}

// call makes a call that must succeed, and start one whose effect tells.
func (l *laptop) call(object dbus.ObjectPath, on *tp.Interface, method string, args ...any) *dbus.Call {
	l.b.Helper()
	call := l.Bus.Object(l.name, object).CallWithContext(l.ctx, on.Name+"."+method, 0, dictionaries(args)...)
	if call.Err != nil {
		l.b.Fatalf("%s, %s: %v", l.nick, method, call.Err)
	}
	return call
}

func (l *laptop) start(object dbus.ObjectPath, on *tp.Interface, method string, args ...any) {
	l.Bus.Object(l.name, object).Go(on.Name+"."+method, 0, nil, dictionaries(args)...)
}

func dictionaries(args []any) []any {
	args = slices.Clone(args)
	for i, arg := range args {
		if d, is := arg.(map[string]any); is {
			args[i] = variants(d)
		}
	}
	return args
}

func variants(d map[string]any) map[string]dbus.Variant {
	v := make(map[string]dbus.Variant, len(d))
	for name, value := range d {
		v[name] = dbus.MakeVariant(value)
	}
	return v
}

// sees reads signals until it is the one, and asks who they are that come, as
// Sugar does: before that nobody needs to tell what they do.
func (l *laptop) sees(what string, want tp.Signal, is func(*dbus.Signal) bool) *dbus.Signal {
	l.b.Helper()
	for {
		select {
		case s := <-l.Signals:
			l.meet(s)
			if isSignal(s, want) && is(s) {
				return s
			}
		case <-l.ctx.Done():
			l.b.Fatalf("%s waited in vain for %s", l.nick, what)
		}
	}
}

func isSignal(s *dbus.Signal, want tp.Signal) bool { return s.Name == want.Interface+"."+want.Name }

func (l *laptop) meet(s *dbus.Signal) {
	if !isSignal(s, tp.SignalConnectionSimplePresencePresencesChanged) {
		return
	}
	for contact := range s.Body[0].(map[uint32][]any) {
		l.start(l.path, tp.InterfaceConnectionContacts, "GetContactAttributes",
			[]uint32{contact}, []string{tp.InterfaceConnection.Name, tp.InterfaceConnectionAliasing.Name}, false)
		l.start(l.path, tp.InterfaceBuddyInfo, "GetProperties", contact)
	}
}

// resident is the memory of the connection manager in megabytes.
func (l *laptop) resident() float64 {
	l.b.Helper()
	var size, pages int
	if _, err := fmt.Sscan(l.process("statm"), &size, &pages); err != nil {
		l.b.Fatal(err)
	}
	return float64(pages*os.Getpagesize()) / 1e6
}

// busy is for how long the connection manager has had a processor.
func (l *laptop) busy() time.Duration {
	l.b.Helper()
	stat := l.process("stat")
	after := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
	const ticks = 100 // in a second, on Linux always
	var busy int
	for _, field := range after[11:13] { // utime and stime
		n, err := strconv.Atoi(field)
		if err != nil {
			l.b.Fatal(err)
		}
		busy += n
	}
	return time.Duration(busy) * time.Second / ticks
}

// process gives a file about the connection manager out of /proc.
func (l *laptop) process(file string) string {
	l.b.Helper()
	var pid uint32
	gabble := manager.Gabble().BusName()
	if err := l.Bus.BusObject().CallWithContext(l.ctx, "org.freedesktop.DBus.GetConnectionUnixProcessID", 0, gabble).Store(&pid); err != nil {
		l.b.Fatal(err)
	}
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		l.b.Fatal(err)
	}
	return string(text)
}
