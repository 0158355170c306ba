package bus

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
)

// A call from reading its bytes to its reply in the queue, without a socket:
// our share of what a client waits for.
func BenchmarkCall(b *testing.B) {
	for _, bench := range []struct {
		name, iface, member string
		args                []any
	}{
		{"no arguments", bookName, "Close", nil},
		{"one number", bookName, "Note", []any{uint32(7)}},
		{"Get", "org.freedesktop.DBus.Properties", "Get", []any{bookName, "Title"}},
		{"GetAll", "org.freedesktop.DBus.Properties", "GetAll", []any{bookName}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := offline()
			c.Export(newBook("/t/book"))
			raw := rawCall(b, "/t/book", bench.iface, bench.member, bench.args...)
			var buf bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				m, body, err := readMessage(bytes.NewReader(raw), &buf)
				if err != nil {
					b.Fatal(err)
				}
				args, err := decodeBody(&m, body)
				if err != nil {
					b.Fatal(err)
				}
				newCall(c, &m, args).handle()
				c.out.buf = c.out.buf[:0]
			}
		})
	}
}

// A signal into the queue. PresencesChanged and GetContactAttributes of a
// whole roster are what keeps an XO busy at login.
func BenchmarkEmit(b *testing.B) {
	type presence struct {
		Type            uint32
		Status, Message string
	}
	presences := map[uint32]presence{}
	for h := range uint32(100) {
		presences[h] = presence{2, "available", ""}
	}
	properties := map[string]dbus.Variant{
		"color": dbus.MakeVariant("#FF2B34,#005FE4"),
		"key":   dbus.MakeVariant(make([]byte, 410)),
	}
	for _, bench := range []struct {
		name   string
		signal tp.Signal
		args   []any
	}{
		{"one number", signalNoted, []any{uint32(7)}},
		{"100 presences", tp.SignalConnectionSimplePresencePresencesChanged, []any{presences}},
		{"BuddyInfo", tp.SignalBuddyInfoPropertiesChanged, []any{uint32(7), properties}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			c := offline()
			b.ReportAllocs()
			for b.Loop() {
				c.Emit("/t/book", bench.signal, bench.args...)
				c.out.buf = c.out.buf[:0]
			}
		})
	}
}

// A call over a real bus and back, one at a time.
func BenchmarkRoundTrip(b *testing.B) {
	f := setUp(b)
	f.conn.Export(newBook("/t/book"))
	o := f.object("/t/book")
	b.ReportAllocs()
	for b.Loop() {
		if err := o.Call(bookName+".Note", 0, uint32(7)).Err; err != nil {
			b.Fatal(err)
		}
	}
}

// Signals over a real bus to the bus daemon, as fast as it takes them.
func BenchmarkSignals(b *testing.B) {
	f := setUp(b)
	b.ReportAllocs()
	n := uint32(0)
	for b.Loop() {
		f.conn.Emit("/t/book", signalNoted, n)
		n++
	}
	if _, err := f.conn.ask("GetId", ""); err != nil {
		b.Fatal(err)
	}
}

// offline is a connection without a bus, for what does not need one.
func offline() *Conn {
	c := &Conn{
		log:     quiet(),
		strict:  true,
		loops:   map[dbus.ObjectPath]*loop.Loop{},
		objects: map[dbus.ObjectPath]*Object{},
	}
	c.out.filled.L = &c.out.mu
	c.out.waiting = map[uint32]question{}
	return c
}

// rawCall encodes a call as a bus would deliver it.
func rawCall(t testing.TB, path dbus.ObjectPath, iface, member string, args ...any) []byte {
	t.Helper()
	m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(":1.1"),
		dbus.FieldSender:      dbus.MakeVariant(":1.2"),
		dbus.FieldPath:        dbus.MakeVariant(path),
		dbus.FieldMember:      dbus.MakeVariant(member),
	}, Body: args}
	if iface != "" {
		m.Headers[dbus.FieldInterface] = dbus.MakeVariant(iface)
	}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	var buf bytes.Buffer
	if err := m.EncodeTo(&buf, binary.LittleEndian); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
