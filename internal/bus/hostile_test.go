package bus

import (
	"bufio"
	"encoding/binary"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// raw is a message to be built by hand.
type raw struct {
	order               byteOrder // little endian if nil
	flags               byte
	dest, iface, member string
	path                string
	signature           string
	body                []byte
	extra               []byte // one more header field, as it is
}

func (m raw) bytes(serial uint32) []byte {
	order, mark := m.order, byte('l')
	if order == nil {
		order = binary.LittleEndian
	}
	if order == byteOrder(binary.BigEndian) {
		mark = 'B'
	}
	var fields []byte
	field := func(code dbus.HeaderField, kind byte, text string) {
		if text == "" {
			return
		}
		for len(fields)%8 != 0 {
			fields = append(fields, 0)
		}
		fields = append(fields, byte(code), 1, kind, 0)
		if kind == 'g' {
			fields = append(fields, byte(len(text)))
		} else {
			fields = order.AppendUint32(fields, uint32(len(text)))
		}
		fields = append(append(fields, text...), 0)
	}
	field(dbus.FieldPath, 'o', m.path)
	field(dbus.FieldInterface, 's', m.iface)
	field(dbus.FieldMember, 's', m.member)
	field(dbus.FieldDestination, 's', m.dest)
	field(dbus.FieldSignature, 'g', m.signature)
	if m.extra != nil {
		for len(fields)%8 != 0 {
			fields = append(fields, 0)
		}
		fields = append(fields, m.extra...)
	}
	b := []byte{mark, byte(dbus.TypeMethodCall), m.flags, 1}
	b = order.AppendUint32(b, uint32(len(m.body)))
	b = order.AppendUint32(b, serial)
	b = order.AppendUint32(b, uint32(len(fields)))
	b = append(b, fields...)
	for len(b)%8 != 0 {
		b = append(b, 0)
	}
	return append(b, m.body...)
}

// rawClient puts bytes of its own on the bus.
type rawClient struct {
	t      testing.TB
	dest   string
	socket net.Conn
	r      *bufio.Reader
	serial uint32
}

func dialRaw(t testing.TB, f *fixture) *rawClient {
	t.Helper()
	socket, err := dialAddress(f.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	c := &rawClient{t: t, dest: driverName, socket: socket, r: bufio.NewReader(socket)}
	if err := authenticate(socket, c.r); err != nil {
		t.Fatal(err)
	}
	c.ask(raw{path: string(driverPath), iface: driverInterface, member: "Hello"})
	c.dest = f.conn.UniqueName()
	return c
}

func (c *rawClient) send(m raw) {
	c.t.Helper()
	c.serial++
	m.dest = c.dest
	if _, err := c.socket.Write(m.bytes(c.serial)); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a call and gives the answer.
func (c *rawClient) ask(m raw) *dbus.Message {
	c.t.Helper()
	c.send(m)
	for {
		answer, err := dbus.DecodeMessage(c.r)
		if err != nil {
			c.t.Fatal(err)
		}
		if answer.Headers[dbus.FieldReplySerial].Value() == c.serial {
			return answer
		}
	}
}

// askError is ask for what should fail.
func (c *rawClient) askError(m raw, want tp.ErrorName) {
	c.t.Helper()
	if name := c.ask(m).Headers[dbus.FieldErrorName].Value(); name != string(want) {
		c.t.Errorf("error is %v, want %s", name, want)
	}
}

func (c *rawClient) note(order byteOrder) raw {
	return raw{order: order, path: "/t/book", iface: bookName, member: "Note", signature: "u", body: order.AppendUint32(nil, 7)}
}

// ok checks that an ordinary call still works.
func (c *rawClient) ok() {
	c.t.Helper()
	if answer := c.ask(c.note(binary.LittleEndian)); answer.Type != dbus.TypeMethodReply || answer.Body[0] != uint32(7) {
		c.t.Errorf("answer is %v", answer)
	}
}

func TestHostile_headers(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	c := dialRaw(t, f)
	c.ok()

	t.Run("big endian", func(t *testing.T) {
		answer := c.ask(c.note(binary.BigEndian))
		equal(t, answer.Body, []any{uint32(7)})
	})
	t.Run("unknown flags", func(t *testing.T) {
		m := c.note(binary.LittleEndian)
		m.flags = 0xf8 // all but those that mean something
		equal(t, c.ask(m).Body, []any{uint32(7)})
	})
	t.Run("unknown field", func(t *testing.T) {
		m := c.note(binary.LittleEndian)
		m.extra = []byte{200, 1, 'u', 0, 1, 0, 0, 0}
		equal(t, c.ask(m).Body, []any{uint32(7)})
	})
	t.Run("huge path", func(t *testing.T) {
		m := c.note(binary.LittleEndian)
		m.path = "/" + strings.Repeat("a", maxFields)
		c.send(m) // not answered: without a header there is nobody to answer
		c.ok()
	})
	t.Run("longest names", func(t *testing.T) {
		long := strings.Repeat("a", 253)
		c.askError(raw{path: "/t/book", iface: "a." + long, member: long}, tp.ErrorDBusUnknownInterface)
	})
	t.Run("body that is too long", func(t *testing.T) {
		body := binary.LittleEndian.AppendUint32(nil, maxBody)
		body = append(body, make([]byte, maxBody)...)
		m := raw{path: "/t/book", iface: bookName, member: "Note", signature: "ay", body: body}
		c.askError(m, tp.ErrorDBusLimitsExceeded)
		m.flags = byte(dbus.FlagNoReplyExpected)
		c.send(m)
		c.ok()
	})
	c.ok()
}

// nested marshals an int in n variants; the outermost has no signature of its own.
func nested(n int) []byte {
	b := []byte{}
	for range n - 1 {
		b = append(b, 1, 'v', 0)
	}
	b = append(b, 1, 'u', 0)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return append(b, 7, 0, 0, 0)
}

// Bodies at the limit of what the bus delivers. Whatever depth comes in must
// not end the connection when a handler sends it on.
func TestHostile_depth(t *testing.T) {
	f := setUp(t)
	f.conn.strict = false
	o := newBook("/t/book")
	echo := &tp.Interface{Name: "test.Echo", Methods: []tp.Method{
		{Name: "Echo", In: []tp.Arg{{Type: "v"}}, Out: []tp.Arg{{Type: "v"}}},
	}}
	echoed := tp.Signal{Interface: echo.Name, Name: "Echoed", Signature: "a{sv}"}
	o.Interfaces = append(o.Interfaces, Interface{Facts: echo, Methods: map[string]func(*Call){"Echo": func(c *Call) {
		var v dbus.Variant
		if !c.Args(&v) {
			return
		}
		wrapped := v
		for range 3 {
			f.conn.Emit("/t/book", echoed, map[string]dbus.Variant{"v": wrapped})
			wrapped = dbus.MakeVariant(wrapped)
		}
		c.Return(v)
	}}})
	f.conn.Export(o)
	c := dialRaw(t, f)
	for n := 1; n <= 64; n++ {
		answer := c.ask(raw{path: "/t/book", iface: echo.Name, member: "Echo", signature: "v", body: nested(n)})
		if got := answer.Type == dbus.TypeMethodReply; got != (n <= maxDepthIn) {
			t.Errorf("%d variants: answered %v", n, got)
		}
		c.ok()
	}
}

// Whatever our encoder lets pass, the bus takes.
func TestHostile_depthOut(t *testing.T) {
	f := setUp(t)
	f.conn.strict = false
	refused := hookErrors(f.conn)
	for name, wrap := range map[string]func(v dbus.Variant) any{
		"variants":     func(v dbus.Variant) any { return v },
		"arrays":       func(v dbus.Variant) any { return []dbus.Variant{v} },
		"dictionaries": func(v dbus.Variant) any { return map[string]dbus.Variant{"": v} },
		"structs":      func(v dbus.Variant) any { return struct{ V dbus.Variant }{v} },
		"all":          func(v dbus.Variant) any { return []map[uint32]struct{ V []any }{{1: {[]any{v}}}} },
	} {
		before := len(refused.messages())
		v := dbus.MakeVariant("")
		for n := range 70 {
			f.conn.Emit("/t", tp.Signal{Interface: bookName, Name: "Deep", Signature: "v"}, v)
			if _, err := f.conn.ask("GetId", ""); err != nil {
				t.Fatalf("the bus does not like %d nested %s: %v", n, name, err)
			}
			v = dbus.MakeVariant(wrap(v))
		}
		if got := len(refused.messages()) - before; got == 0 {
			t.Errorf("%d of 70 messages with nested %s were refused", got, name)
		}
	}
}

// Types that no method has are refused, call by call.
func TestHostile_types(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	c := dialRaw(t, f)
	entry := []byte{5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9}
	for _, test := range []struct {
		signature string
		body      []byte
	}{
		{"a{by}", entry},
		{"a{uy}", entry},
		{"a{gs}", make([]byte, 8)},
		{"a{dv}", make([]byte, 8)},
		{"a{ov}", make([]byte, 8)},
		{"a(a{gv})", make([]byte, 8)},
		{"h", make([]byte, 4)},
		{strings.Repeat("a", 32) + "i", make([]byte, 4)},
		{strings.Repeat("(", 32) + "i" + strings.Repeat(")", 32), make([]byte, 4)},
		{strings.Repeat("a", 32) + strings.Repeat("(", 32) + "i" + strings.Repeat(")", 32), make([]byte, 4)},
		{strings.Repeat("ai", 127), make([]byte, 4*127)},
	} {
		t.Run(test.signature, func(t *testing.T) {
			c.t = t
			c.askError(raw{path: "/t/book", iface: bookName, member: "Note", signature: test.signature, body: test.body}, tp.ErrorDBusInvalidArgs)
			c.ok()
		})
	}
}

// A loop that stands still does not let its calls fill the memory.
func TestHostile_flood(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	c := dialRaw(t, f)
	goOn := make(chan struct{})
	f.loop.Post("wait", func() { <-goOn })
	body := binary.LittleEndian.AppendUint32(nil, maxBody/2)
	body = append(body, make([]byte, maxBody/2)...)
	m := raw{path: "/t/book", iface: bookName, member: "Note", signature: "ay", body: body, flags: byte(dbus.FlagNoReplyExpected)}
	for range maxPending / (maxBody / 2) {
		c.send(m)
	}
	m.flags = 0
	c.askError(m, tp.ErrorDBusLimitsExceeded)
	close(goOn)
	f.onLoop(func() {})
	c.ok()
	equal(t, f.conn.pending.Load(), int64(0))
}

// The bus refuses a call with descriptors, because we have not asked for any.
func TestHostile_descriptors(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := openFiles(t)
	for _, method := range []string{"Note", "Burn", "Close"} {
		err := f.object("/t/book").Call(bookName+"."+method, 0, dbus.UnixFD(null.Fd())).Err
		wantError(t, err, "org.freedesktop.DBus.Error.NotSupported")
	}
	if err := f.object("/t/book").Call(bookName+".Close", 0).Err; err != nil {
		t.Error(err)
	}
	if after := openFiles(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(files)
}
