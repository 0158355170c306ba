package dbuspeer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

var orders = []byteOrder{binary.LittleEndian, binary.BigEndian}

// raw is a message put together by hand. Each field is its value behind code and
// signature, already aligned: see text and number.
type raw struct {
	order  byteOrder // little endian if nil
	kind   byte
	flags  byte
	serial uint32
	fields []rawField
	body   []byte
}

type rawField struct {
	code      byte
	signature string
	value     func(order byteOrder, b []byte) []byte // appended, already aligned
}

func text(code byte, kind, s string) rawField {
	return rawField{code, kind, func(order byteOrder, b []byte) []byte {
		if kind == "g" {
			b = append(b, byte(len(s)))
		} else {
			b = order.AppendUint32(b, uint32(len(s)))
		}
		return append(append(b, s...), 0)
	}}
}

func number(code byte, n uint32) rawField {
	return rawField{code, "u", func(order byteOrder, b []byte) []byte { return order.AppendUint32(b, n) }}
}

func (m raw) bytes() []byte {
	mark := byte('l')
	if m.order == nil {
		m.order = binary.LittleEndian
	}
	if m.order == byteOrder(binary.BigEndian) {
		mark = 'B'
	}
	b := []byte{mark, m.kind, m.flags, 1}
	b = m.order.AppendUint32(b, uint32(len(m.body)))
	b = m.order.AppendUint32(b, m.serial)
	b = m.order.AppendUint32(b, 0)
	for _, f := range m.fields {
		b = append(padded(b), f.code, byte(len(f.signature)))
		b = append(append(b, f.signature...), 0)
		b = f.value(m.order, b)
	}
	m.order.PutUint32(b[12:], uint32(len(b)-fixedLen))
	return append(padded(b), m.body...)
}

// signal returns one that is valid, but for what is added.
func signal(more ...rawField) raw {
	return raw{kind: KindSignal, serial: 7, fields: append([]rawField{
		text(fieldPath, "o", "/a"), text(fieldInterface, "s", "a.b"), text(fieldMember, "s", "C")}, more...)}
}

// with returns it with a body.
func (m raw) with(signature string, body ...byte) raw {
	m.fields = append(m.fields, text(fieldSignature, "g", signature))
	m.body = body
	return m
}

func TestParseMessage_header(t *testing.T) {
	for _, order := range orders {
		m := raw{order: order, kind: KindError, flags: FlagNoReply, serial: 9, fields: []rawField{
			number(fieldReplySerial, 5), text(fieldErrorName, "s", "a.B"), text(fieldDestination, "s", ":1.2"),
			text(fieldSender, "s", "org.b-c"), text(fieldPath, "o", "/a/_1"), text(fieldInterface, "s", "x.y"),
			text(fieldMember, "s", "M"), text(200, "s", "of the future"), number(fieldUnixFDs, 0),
		}}.with("uu", 1, 2, 3, 4, 5, 6, 7, 8)
		got, err := ParseMessage(m.bytes())
		want := Header{Kind: KindError, Flags: FlagNoReply, Serial: 9, ReplySerial: 5,
			Path: "/a/_1", Interface: "x.y", Member: "M", ErrorName: "a.B",
			Destination: ":1.2", Sender: "org.b-c", Signature: "uu"}
		if err != nil || got != want {
			t.Errorf("%v: %v\n%s", order, err, cmp.Diff(want, got))
		}
	}
}

func TestParseMessage_required(t *testing.T) {
	all := map[byte]rawField{
		fieldPath: text(fieldPath, "o", "/"), fieldInterface: text(fieldInterface, "s", "a.b"),
		fieldMember: text(fieldMember, "s", "M"), fieldErrorName: text(fieldErrorName, "s", "a.b"),
		fieldReplySerial: number(fieldReplySerial, 1),
	}
	for kind := byte(KindCall); kind <= KindSignal; kind++ {
		for without := byte(0); without <= fieldReplySerial; without++ {
			m := raw{kind: kind, serial: 1}
			for code, f := range all {
				if code != without {
					m.fields = append(m.fields, f)
				}
			}
			_, err := ParseMessage(m.bytes())
			if needed := bytes.IndexByte(required[kind], without) >= 0; (err != nil) != needed {
				t.Errorf("kind %d without field %d: %v", kind, without, err)
			}
		}
	}
}

// deep returns a body of variants in variants.
func deep(n int) []byte {
	return append(bytes.Repeat([]byte{1, 'v', 0}, n-1), 1, 'y', 0, 0)
}

func TestParseMessage(t *testing.T) {
	long := strings.Repeat("a", 253)
	for _, c := range []struct {
		name string
		m    raw
		ok   bool
	}{
		{"signal", signal(), true},
		{"no kind", raw{serial: 1}, false},
		{"kind unknown", raw{kind: 5, serial: 1}, false},
		{"no serial", raw{kind: KindReturn, fields: []rawField{number(fieldReplySerial, 1)}}, false},
		{"answers serial 0", raw{kind: KindReturn, serial: 1, fields: []rawField{number(fieldReplySerial, 0)}}, false},
		{"return", raw{kind: KindReturn, serial: 1, fields: []rawField{number(fieldReplySerial, 1)}}, true},
		{"field 0", signal(number(0, 1)), false},
		{"field unknown", signal(number(11, 1)), true},
		{"field unknown, bad value", signal(text(11, "s", "\xff")), false},
		{"field twice", signal(text(fieldMember, "s", "C")), false},
		{"wrong type", signal(text(fieldSender, "g", "s")), false},
		{"path as string", signal(text(fieldContainerInstance, "s", "/a")), false},
		{"descriptors", signal(number(fieldUnixFDs, 1)), false},
		{"unique name", signal(text(fieldSender, "s", ":2.QWRh-_")), true},
		{"unique name, no dot", signal(text(fieldSender, "s", ":2")), false},
		{"name, no dot", signal(text(fieldSender, "s", "org")), false},
		{"name, digit first", signal(text(fieldSender, "s", "org.2")), false},
		{"name, empty element", signal(text(fieldSender, "s", "org..a")), false},
		{"name, dot first", signal(text(fieldSender, "s", ".org.a")), false},
		{"name, dot last", signal(text(fieldSender, "s", "org.a.")), false},
		{"name, longest", signal(text(fieldSender, "s", "a."+long)), true},
		{"name, too long", signal(text(fieldSender, "s", "ab."+long)), false},
		{"name, empty", signal(text(fieldSender, "s", "")), false},
		{"name, not UTF-8", signal(text(fieldSender, "s", "a.\xff")), false},
		{"name with NUL", signal(text(fieldSender, "s", "a.b\x00c")), false},
		{"error name", signal(text(fieldErrorName, "s", "a-b.c")), false},
		{"long header", signal(text(200, "s", strings.Repeat("x", maxFields))), false},
		{"long path", raw{kind: KindCall, serial: 1, fields: []rawField{
			text(fieldPath, "o", "/"+strings.Repeat("x", 1000)), text(fieldMember, "s", "M")}}, true},
		{"bad path", raw{kind: KindCall, serial: 1, fields: []rawField{
			text(fieldPath, "o", "/a/"), text(fieldMember, "s", "M")}}, false},
		{"empty path", raw{kind: KindCall, serial: 1, fields: []rawField{
			text(fieldPath, "o", ""), text(fieldMember, "s", "M")}}, false},
		{"member with dot", raw{kind: KindCall, serial: 1, fields: []rawField{
			text(fieldPath, "o", "/"), text(fieldMember, "s", "M.N")}}, false},
		{"interface of libraries", raw{kind: KindSignal, serial: 1, fields: []rawField{
			text(fieldPath, "o", "/a"), text(fieldInterface, "s", localName), text(fieldMember, "s", "Disconnected")}}, false},
		{"path of libraries", raw{kind: KindSignal, serial: 1, fields: []rawField{
			text(fieldPath, "o", localPath), text(fieldInterface, "s", "a.b"), text(fieldMember, "s", "C")}}, false},

		{"body without signature", raw{kind: KindSignal, serial: 7, fields: signal().fields, body: []byte{1}}, false},
		{"signature without body", signal().with("y"), false},
		{"bad signature", signal().with("a"), false},
		{"byte", signal().with("y", 1), true},
		{"too much", signal().with("y", 1, 2), false},
		{"true", signal().with("b", 1, 0, 0, 0), true},
		{"neither true nor false", signal().with("b", 2, 0, 0, 0), false},
		{"padding", signal().with("yu", 1, 0, 0, 0, 1, 2, 3, 4), true},
		{"padding not zero", signal().with("yu", 1, 0, 9, 0, 1, 2, 3, 4), false},
		{"string", signal().with("s", 2, 0, 0, 0, 'h', 'i', 0), true},
		{"string, longer than the body", signal().with("s", 255, 255, 255, 255, 'h', 'i', 0), false},
		{"string without end", signal().with("s", 2, 0, 0, 0, 'h', 'i', 1), false},
		{"string with NUL", signal().with("s", 2, 0, 0, 0, 0, 'i', 0), false},
		{"string not UTF-8", signal().with("s", 2, 0, 0, 0, 0xc0, 0x80, 0), false},
		{"surrogate", signal().with("s", 3, 0, 0, 0, 0xed, 0xa0, 0x80, 0), false},
		{"noncharacter", signal().with("s", 3, 0, 0, 0, 0xef, 0xbf, 0xbf, 0), true},
		{"object path", signal().with("o", 2, 0, 0, 0, '/', 'i', 0), true},
		{"not an object path", signal().with("o", 2, 0, 0, 0, 'i', '/', 0), false},
		{"signature", signal().with("g", 2, 'a', 's', 0), true},
		{"not a signature", signal().with("g", 2, 's', 'a', 0), false},
		{"array", signal().with("au", 4, 0, 0, 0, 1, 2, 3, 4), true},
		{"array of none", signal().with("at", 0, 0, 0, 0, 0, 0, 0, 0), true},
		{"array of none, no padding", signal().with("at", 0, 0, 0, 0), false},
		{"array of half a number", signal().with("au", 6, 0, 0, 0, 1, 2, 3, 4, 5, 6), false},
		{"array of bad booleans", signal().with("ab", 8, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0), false},
		{"array that ends within", signal().with("as", 6, 0, 0, 0, 2, 0, 0, 0, 'h', 'i', 0), false},
		{"array longer than the body", signal().with("au", 8, 0, 0, 0, 1, 2, 3, 4), false},
		{"array longer than allowed", signal().with("ay", append([]byte{1, 0, 0, 4}, make([]byte, maxArray+1)...)...), false},
		{"dictionary", signal().with("a{yy}", 2, 0, 0, 0, 0, 0, 0, 0, 1, 2), true},
		{"structure", signal().with("(yq)", 1, 0, 2, 3), true},
		{"descriptor", signal().with("h", 0, 0, 0, 0), false},
		{"array of no descriptors", signal().with("ah", 0, 0, 0, 0), true},
		{"variant", signal().with("v", 1, 'y', 0, 1), true},
		{"variant of two", signal().with("v", 2, 'y', 'y', 0, 1, 1), false},
		{"variant of none", signal().with("v", 0, 0), false},
		{"variants, deepest", signal().with("v", deep(maxDepth)...), true},
		{"variants, too deep", signal().with("v", deep(maxDepth+1)...), false},
		{"arrays, deepest", signal().with(strings.Repeat("a", 32)+"y", 0, 0, 0, 0), true},
		{"arrays, too deep", signal().with(strings.Repeat("a", 33)+"y", 0, 0, 0, 0), false},
		{"structures, deepest", signal().with(strings.Repeat("(", 32)+"y"+strings.Repeat(")", 32), 1), true},
		{"structures, too deep", signal().with(strings.Repeat("(", 33)+"y"+strings.Repeat(")", 33), 1), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := c.m.bytes()
			if _, err := ParseMessage(b); (err == nil) != c.ok || err != nil && !errors.Is(err, errFormat) {
				t.Errorf("%v", err)
			}
			for i := range min(len(b), 300) { // of every beginning, none is a message
				if _, err := ParseMessage(b[:i]); err == nil {
					t.Fatalf("the first %d of %d bytes pass", i, len(b))
				}
			}
			if _, err := ParseMessage(append(b, 0)); err == nil {
				t.Error("with a byte more it passes")
			}
		})
	}
}

func TestSetSender(t *testing.T) {
	for _, order := range orders {
		for _, old := range []string{"", ":1.9", ":2.QWRhQWRh"} {
			m := signal(rawField{200, "(ayt)", func(o byteOrder, b []byte) []byte { // its inside is aligned to eight
				return append(padded(o.AppendUint32(padded(b), 0)), 1, 2, 3, 4, 5, 6, 7, 8)
			}})
			m.order = order
			if old != "" {
				m.fields = append([]rawField{text(fieldSender, "s", old)}, m.fields...)
			}
			m = m.with("s", order.AppendUint32(nil, 0)...)
			m.body = append(m.body, 0)
			b := m.bytes()
			before, err := ParseMessage(b)
			if err != nil {
				t.Fatal(err)
			}
			got, err := SetSender(slices.Clip(bytes.Clone(b)), ":2.QWRh")
			if err != nil {
				t.Fatal(err)
			}
			after, err := ParseMessage(got)
			before.Sender = ":2.QWRh"
			if err != nil || after != before {
				t.Errorf("%v: %v\n%s", order, err, cmp.Diff(before, after))
			}
			if !bytes.Contains(got, []byte{1, 2, 3, 4, 5, 6, 7, 8}) || !bytes.HasSuffix(got, m.body) {
				t.Error("something else changed")
			}
			if inPlace, err := SetSender(append(make([]byte, 0, len(b)+senderRoom), b...), ":2.QWRh"); err != nil || !bytes.Equal(inPlace, got) {
				t.Errorf("in its own memory it becomes something else, %v", err)
			}
			again, err := SetSender(got, ":2.QWRh")
			if err != nil || &again[0] != &got[0] {
				t.Errorf("it is made anew to say the same, %v", err)
			}
		}
	}
	for name, b := range map[string][]byte{"empty": nil, "cut": signal().bytes()[:20], "bad field": signal(number(0, 1)).bytes()} {
		if _, err := SetSender(b, ":1.1"); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := SetSender(signal().bytes(), "no name"); err == nil {
		t.Error("any sender will do")
	}
}

func TestBuildError(t *testing.T) {
	for _, c := range []Header{{Serial: 5}, {Serial: 1 << 31, Destination: ":2.QWRh"}} {
		got, err := ParseMessage(BuildError(c, "a.B", "words"))
		want := Header{Kind: KindError, Flags: FlagNoReply, Serial: c.Serial, ReplySerial: c.Serial,
			ErrorName: "a.B", Sender: c.Destination, Signature: "s"}
		if err != nil || got != want {
			t.Errorf("%v\n%s", err, cmp.Diff(want, got))
		}
	}
}

// seeds are valid messages of all kinds, as another library writes them.
func seeds(t testing.TB) (list [][]byte) {
	values := []any{
		"text", "", byte(1), true, int16(-1), uint16(2), int32(-3), uint32(4), int64(-5), uint64(6), 7.5,
		dbus.ObjectPath("/a/b"), dbus.ParseSignatureMust("a{sv}"), dbus.MakeVariant(dbus.MakeVariant([]string{"x"})),
		[]string{"a", "bc", "def"}, []byte("bytes"), []bool{true, false}, []uint64{1, 2}, []uint64{}, []any{},
		map[string]dbus.Variant{"k": dbus.MakeVariant(map[byte][]int16{1: {2}})},
		struct {
			A byte
			B []struct{ C uint64 }
			D map[uint32]string
		}{1, []struct{ C uint64 }{{1}}, map[uint32]string{1: "x"}},
	}
	common := map[dbus.HeaderField]dbus.Variant{
		dbus.FieldPath:        dbus.MakeVariant(dbus.ObjectPath("/org/laptop/Test")),
		dbus.FieldInterface:   dbus.MakeVariant("org.laptop.Test"),
		dbus.FieldMember:      dbus.MakeVariant("Member"),
		dbus.FieldErrorName:   dbus.MakeVariant("org.laptop.Error"),
		dbus.FieldReplySerial: dbus.MakeVariant(uint32(3)),
		dbus.FieldDestination: dbus.MakeVariant(":2.QWRh"),
		dbus.FieldSender:      dbus.MakeVariant("org.laptop-x"),
	}
	for kind := dbus.TypeMethodCall; kind <= dbus.TypeSignal; kind++ {
		for i := range values {
			for _, order := range orders {
				m := dbus.Message{Type: kind, Headers: map[dbus.HeaderField]dbus.Variant{}, Body: values[i:min(i+2, len(values))]}
				for k, v := range common {
					m.Headers[k] = v
				}
				m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(m.Body...))
				var b bytes.Buffer
				if err := m.EncodeTo(&b, order); err != nil {
					t.Fatal(err)
				}
				out := b.Bytes()
				order.PutUint32(out[8:], 42) // EncodeTo leaves the serial to the connection
				list = append(list, out)
			}
		}
	}
	return list
}

func TestParseMessage_otherLibrary(t *testing.T) {
	for _, b := range seeds(t) {
		if _, err := ParseMessage(b); err != nil {
			t.Fatalf("%v\n%q", err, b)
		}
	}
}

// mutate changes a few bytes, mostly to such as matter.
func mutate(r *rand.Rand, b []byte) []byte {
	b = bytes.Clone(b)
	matter := []byte("\x00\x00\x01\x01\x02\x04\x08\x10\x20\x3f\x40\x7f\x80\xff/.:-_09aAzZsuoghvybntqxid(){}lB")
	for range 1 + r.IntN(2) {
		if at := r.IntN(len(b)); r.IntN(4) > 0 {
			b[at] = matter[r.IntN(len(matter))]
		} else {
			b[at] = byte(r.Uint32())
		}
	}
	if r.IntN(8) == 0 { // the end is not where it was, but the length is right
		n := 1 + r.IntN(8)
		if r.IntN(2) == 0 {
			b = append(b, make([]byte, n)...)
		} else {
			b, n = b[:max(fixedLen, len(b)-n)], -n
		}
		order := binary.ByteOrder(binary.LittleEndian)
		if b[0] == 'B' {
			order = binary.BigEndian
		}
		order.PutUint32(b[4:], uint32(int(order.Uint32(b[4:]))+n))
	}
	return b
}

// libdbus must not refuse anything that we take: it would end the connection of
// the program that gets it. The reverse is allowed, and happens rarely.
func TestParseMessage_libdbus(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var batch [][]byte
	all := seeds(t)
	for i := range 50_000 {
		batch = append(batch, mutate(r, all[i%len(all)]))
	}
	var in bytes.Buffer
	for _, b := range append(batch, all...) {
		binary.Write(&in, binary.LittleEndian, uint32(len(b)))
		in.Write(b)
	}
	cmd := exec.Command(python, "testdata/oracle.py")
	cmd.Stdin, cmd.Stderr = &in, os.Stderr
	if err := exec.Command(python, "-c", "import ctypes; ctypes.CDLL('libdbus-1.so.3')").Run(); err != nil {
		t.Skipf("%s with libdbus: %v", python, err)
	}
	verdict, err := cmd.Output()
	batch = append(batch, all...)
	if err != nil || len(verdict) != len(batch) {
		t.Fatalf("%d answers for %d messages, %v", len(verdict), len(batch), err)
	}
	taken, stricter := 0, map[string]int{}
	for i, b := range batch {
		_, err := ParseMessage(b)
		switch theirs := verdict[i] == 1; {
		case err == nil && !theirs:
			t.Errorf("libdbus refuses what we take: %q", b)
		case err != nil && theirs:
			stricter[fmt.Sprint(err)]++
		case err == nil:
			taken++
		}
	}
	t.Logf("both take %d of %d; only libdbus takes %v", taken, len(batch), stricter)
	if taken < len(batch)/20 {
		t.Error("too few messages are valid for this to mean much")
	}
}

// FuzzParseMessage asserts that what passes stays valid with another sender and
// then says the same.
func FuzzParseMessage(f *testing.F) {
	for _, b := range seeds(f) {
		f.Add(b)
	}
	f.Add(signal().with("v", deep(maxDepth)...).bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		h, err := ParseMessage(in)
		out, err2 := SetSender(append(make([]byte, 0, len(in)+senderRoom), in...), ":2.QWRh")
		if !bytes.Equal(in, before) {
			t.Fatal("the message was changed")
		}
		if err != nil {
			return
		}
		if err2 != nil {
			t.Fatal(err2)
		}
		h.Sender = ":2.QWRh"
		if again, err := ParseMessage(out); err != nil || again != h {
			t.Fatalf("%v\n%s", err, cmp.Diff(h, again))
		}
		r := NewReader(bytes.NewReader(append(out, out...)), MaxMessage)
		for range 2 {
			if b, err := r.Next(); err != nil || !bytes.Equal(b, out) {
				t.Fatalf("framed as %d bytes of %d, %v", len(b), len(out), err)
			}
		}
	})
}

func BenchmarkParseMessage(b *testing.B) {
	for name, m := range map[string][]byte{
		"call":  seeds(b)[0],
		"dict":  seeds(b)[40],
		"bytes": signal().with("ay", append(binary.LittleEndian.AppendUint32(nil, 1<<20), make([]byte, 1<<20)...)...).bytes(),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(m)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseMessage(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSetSender(b *testing.B) {
	m := seeds(b)[0]
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SetSender(slices.Clip(m), ":2.QWRh"); err != nil {
			b.Fatal(err)
		}
	}
}
