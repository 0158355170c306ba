package bus

import (
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

func TestCall_argumentsAndResults(t *testing.T) {
	f := setUp(t)
	o := newBook("/t/book")
	var word string
	var options map[string]dbus.Variant
	o.Interfaces[0].Methods["Lookup"] = func(c *Call) {
		if !c.Args(&word, &options) {
			return
		}
		if c.Sender() != f.client.Names()[0] || c.Path() != "/t/book" || c.Member() != "Lookup" || c.Answered() {
			t.Errorf("call is from %s to %s.%s, answered %v", c.Sender(), c.Path(), c.Member(), c.Answered())
		}
		c.Return([]entryOf{{7, "seven"}}, true)
		if !c.Answered() {
			t.Error("not answered")
		}
	}
	f.conn.Export(o)
	sent := map[string]dbus.Variant{"n": dbus.MakeVariant(int64(1)), "s": dbus.MakeVariant(entryOf{1, "x"})}
	var found []entryOf
	var more bool
	if err := f.object("/t/book").Call(bookName+".Lookup", 0, "emil", sent).Store(&found, &more); err != nil {
		t.Fatal(err)
	}
	f.onLoop(func() {}) // the handler has returned
	equal(t, found, []entryOf{{7, "seven"}})
	equal(t, more, true)
	equal(t, word, "emil")
	if n, ok := Uint(options["n"]); n != 1 || !ok {
		t.Errorf("n is %d, %v", n, ok)
	}
	equal(t, options["s"].Signature().String(), "(us)") // the struct is still one
}

func TestCall_standardErrors(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	book := f.object("/t/book")
	for _, test := range []struct {
		name   string
		object dbus.BusObject
		method string
		args   []any
		want   tp.ErrorName
	}{
		{"unknown object", f.object("/t/none"), bookName + ".Close", nil, tp.ErrorDBusUnknownObject},
		{"object that no loop serves", f.object("/else"), bookName + ".Close", nil, tp.ErrorDBusUnknownObject},
		{"introspect no object", f.object("/else"), "org.freedesktop.DBus.Introspectable.Introspect", nil, tp.ErrorDBusUnknownObject},
		{"property of a node", f.object("/t"), "org.freedesktop.DBus.Properties.GetAll", []any{""}, tp.ErrorDBusUnknownObject},
		{"unknown interface", book, "test.Nothing.Close", nil, tp.ErrorDBusUnknownInterface},
		{"unknown method", book, bookName + ".Burn", nil, tp.ErrorDBusUnknownMethod},
		{"unknown standard method", book, "org.freedesktop.DBus.Peer.Burn", nil, tp.ErrorDBusUnknownMethod},
		{"too few arguments", book, bookName + ".Note", nil, tp.ErrorDBusInvalidArgs},
		{"too many arguments", book, bookName + ".Note", []any{uint32(1), uint32(2)}, tp.ErrorDBusInvalidArgs},
		{"wrong type", book, bookName + ".Note", []any{"one"}, tp.ErrorDBusInvalidArgs},
		{"one type's beginning", book, bookName + ".Lookup", []any{"a", map[string]string{}}, tp.ErrorDBusInvalidArgs},
		{"Get with wrong type", book, "org.freedesktop.DBus.Properties.Get", []any{"a"}, tp.ErrorDBusInvalidArgs},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, test.object.Call(test.method, 0, test.args...).Err, test.want)
		})
	}
}

// callBare calls without an interface, as CollabWrapper does.
func callBare(c *dbus.Conn, dest string, path dbus.ObjectPath, member string, args ...any) *dbus.Call {
	m := &dbus.Message{Type: dbus.TypeMethodCall, Headers: map[dbus.HeaderField]dbus.Variant{
		dbus.FieldDestination: dbus.MakeVariant(dest),
		dbus.FieldPath:        dbus.MakeVariant(path),
		dbus.FieldMember:      dbus.MakeVariant(member),
	}, Body: args}
	if len(args) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(args...))
	}
	return <-c.Send(m, make(chan *dbus.Call, 1)).Done
}

func TestCall_withoutInterface(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	call := func(path dbus.ObjectPath, member string, args ...any) *dbus.Call {
		return callBare(f.client, f.conn.UniqueName(), path, member, args...)
	}
	var n uint32
	if err := call("/t/book", "Note", uint32(5)).Store(&n); err != nil || n != 5 {
		t.Errorf("Note gives %d, %v", n, err)
	}
	var title dbus.Variant
	if err := call("/t/book", "Get", bookName, "Title").Store(&title); err != nil || title.Value() != "Emil" {
		t.Errorf("Get gives %v, %v", title, err)
	}
	var xml string
	if err := call("/t", "Introspect").Store(&xml); err != nil || xml == "" {
		t.Errorf("Introspect gives %q, %v", xml, err)
	}
	wantError(t, call("/t/book", "Burn").Err, tp.ErrorDBusUnknownMethod)
	wantError(t, call("/t/book", "Note").Err, tp.ErrorDBusInvalidArgs)
	wantError(t, call("/t/none", "Get", bookName, "Title").Err, tp.ErrorDBusUnknownObject)
}

func TestPeer(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	for _, path := range []dbus.ObjectPath{"/t/book", "/t", "/t/none", "/else", "/"} {
		if err := f.object(path).Call("org.freedesktop.DBus.Peer.Ping", 0).Err; err != nil {
			t.Errorf("ping %s: %v", path, err)
		}
		var id string
		if err := f.object(path).Call("org.freedesktop.DBus.Peer.GetMachineId", 0).Store(&id); err != nil || len(id) != 32 {
			t.Errorf("machine id at %s is %q, %v", path, id, err)
		}
	}
}

// The longest prefix decides which loop a call comes to.
func TestServe(t *testing.T) {
	f := setUp(t)
	for _, path := range []dbus.ObjectPath{"/t/book", "/tool"} {
		f.conn.Export(newBook(path))
	}
	ping := func(path dbus.ObjectPath) error { return f.object(path).Call(bookName+".Close", 0).Err }
	if err := ping("/t/book"); err != nil {
		t.Error(err)
	}
	wantError(t, ping("/tool"), tp.ErrorDBusUnknownObject) // below "/t" only as text
	f.conn.Serve("", f.loop)
	if err := ping("/tool"); err != nil {
		t.Error(err)
	}
	f.conn.Unserve("/")
	wantError(t, ping("/tool"), tp.ErrorDBusUnknownObject)
	f.conn.Unserve("/t")
	wantError(t, ping("/t/book"), tp.ErrorDBusUnknownObject)
	f.conn.Serve("/t/book", f.loop)
	f.loop.Close()
	<-f.loop.Done()
	wantError(t, ping("/t/book"), tp.ErrorDBusUnknownObject)
}

// Calls arrive, replies and signals leave in order.
func TestOrder(t *testing.T) {
	const calls = 5000
	f := setUp(t)
	o := newBook("/t/book")
	o.Interfaces[0].Methods["Note"] = func(c *Call) {
		var n uint32
		c.Args(&n)
		f.conn.Emit("/t/book", signalNoted, n)
		c.Return(n)
		f.conn.Emit("/t/book", signalNoted, n+calls)
	}
	f.conn.Export(o)
	var got []string
	client := connect(t, f.address, dbus.WithIncomingInterceptor(func(m *dbus.Message) {
		if len(m.Body) == 1 {
			if n, ok := m.Body[0].(uint32); ok {
				got = append(got, fmt.Sprint(m.Type, n))
			}
		}
	}))
	if err := client.AddMatchSignal(dbus.WithMatchInterface(bookName)); err != nil {
		t.Fatal(err)
	}
	got = nil
	var want []string
	done := make(chan *dbus.Call, calls)
	for n := range uint32(calls) {
		client.Object(f.conn.UniqueName(), "/t/book").Go(bookName+".Note", 0, done, n)
		want = append(want, fmt.Sprint(dbus.TypeSignal, n), fmt.Sprint(dbus.TypeMethodReply, n), fmt.Sprint(dbus.TypeSignal, n+calls))
	}
	for range calls {
		if c := <-done; c.Err != nil {
			t.Fatal(c.Err)
		}
	}
	if err := client.BusObject().Call("org.freedesktop.DBus.GetId", 0).Err; err != nil {
		t.Fatal(err) // a round trip: the last signal is here
	}
	equal(t, got, want)
}
