package bus

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"telepathy-olpc/internal/tp"
)

type nestedStruct struct {
	Name   string
	Inner  entryOf
	Values []dbus.Variant
	Map    map[uint32]entryOf
}

// bodies have one of every type, and the shapes that Telepathy uses.
var bodies = []struct {
	name      string
	signature string
	body      []any
}{
	{"nothing", "", nil},
	{"basic types", "ybnqiuxtdsogv", []any{
		byte(1), true, int16(-2), uint16(3), int32(-4), uint32(5), int64(-6), uint64(7), 8.5, "nine",
		dbus.ObjectPath("/ten"), dbus.ParseSignatureMust("a{sv}"), dbus.MakeVariant(uint16(12)),
	}},
	{"Go's own numbers", "iu", []any{-1, uint(1)}},
	{"enums", "uu", []any{tp.ConnectionStatusConnecting, tp.HandleTypeRoom}},
	{"arrays", "aybasaoavat", []any{
		[]byte{1, 2, 3}, false, []string{"a", "", "ü"}, []dbus.ObjectPath{"/", "/a"},
		[]dbus.Variant{dbus.MakeVariant("x"), dbus.MakeVariant(int64(1))}, []uint64{1, 2},
	}[:]},
	{"empty arrays", "ayasaua(us)a{sv}a{ut}at", []any{
		[]byte{}, []string{}, []uint32{}, []entryOf{}, map[string]dbus.Variant{}, map[uint32]uint64{}, []uint64{},
	}},
	{"nothing in place of containers", "asa{sv}a{us}ay", []any{[]string(nil), map[string]dbus.Variant(nil), map[uint32]string(nil), []byte(nil)}},
	{"Go arrays", "ayau", []any{[2]byte{1, 2}, [1]uint32{3}}},
	{"structs", "y(us)a(us)", []any{byte(1), entryOf{1, "a"}, []entryOf{{2, "b"}, {3, "c"}}}},
	{"pointer to struct", "(us)", []any{&entryOf{1, "a"}}},
	{"nested", "(s(us)ava{u(us)})", []any{nestedStruct{"n", entryOf{1, "a"}, []dbus.Variant{dbus.MakeVariant(true)}, map[uint32]entryOf{4: {5, "f"}}}}},
	{"dictionaries", "a{sv}a{us}a{sa{sv}}a{u(us)}", []any{
		map[string]dbus.Variant{"a": dbus.MakeVariant([]string{"b"})}, map[uint32]string{7: "g"},
		map[string]map[string]dbus.Variant{"x": {"y": dbus.MakeVariant(1)}}, map[uint32]entryOf{1: {2, "z"}},
	}},
	{"any values", "a{sv}av", []any{map[string]any{"a": uint32(1), "b": "c"}, []any{"a", byte(2)}}},
	{"NewChannels", "a(oa{sv})", []any{[]struct {
		Path       dbus.ObjectPath
		Properties map[string]dbus.Variant
	}{{"/c/1", map[string]dbus.Variant{tp.PropertyChannelTargetHandleType: dbus.MakeVariant(tp.HandleTypeContact)}}}}},
	{"unexported fields", "(u)", []any{struct {
		Seen   uint32
		hidden string
	}{1, "x"}}},
	// What came in a call, and goes out again. Godbus would change it.
	{"variant among any values as decoded", "a{sv}", []any{map[string]any{"d": dbus.MakeVariant(entryOf{1, "e"})}}},
	{"structs as decoded", "(us)a(us)v", []any{
		[]any{uint32(1), "a"}, [][]any{{uint32(2), "b"}},
		dbus.MakeVariantWithSignature([]any{uint32(3), "c"}, dbus.ParseSignatureMust("(us)")),
	}},
}

// encode gives a whole message as it goes out.
func encode(t testing.TB, signature string, body []any) []byte {
	t.Helper()
	m := outgoing{kind: dbus.TypeSignal, path: "/t", iface: bookName, member: "Noted", signature: signature, body: body}
	b, err := m.appendTo([]byte("before"), 4711) // alignment counts from the message's beginning
	if err != nil {
		t.Fatal(err)
	}
	return b[len("before"):]
}

// Ours and godbus' codec understand each other.
func TestCodec_likeGodbus(t *testing.T) {
	for _, test := range bodies {
		t.Run(test.name, func(t *testing.T) {
			b := encode(t, test.signature, test.body)
			theirs, err := dbus.DecodeMessage(bytes.NewReader(b))
			if err != nil {
				t.Fatalf("godbus: %v", err)
			}
			if theirs.Serial() != 4711 || theirs.Headers[dbus.FieldMember].Value() != "Noted" {
				t.Errorf("godbus reads %v", theirs)
			}
			var buf bytes.Buffer
			m, raw, err := readMessage(bytes.NewReader(b), &buf)
			if err != nil {
				t.Fatal(err)
			}
			ours, err := decodeBody(&m, raw)
			if err != nil {
				t.Fatal(err)
			}
			equalArgs(t, ours, theirs.Body)

			// And the other way round, in the other byte order.
			var big bytes.Buffer
			if strings.Contains(test.name, "as decoded") {
				return
			}
			theirs.Body = test.body
			if err := theirs.EncodeTo(&big, binary.BigEndian); err != nil {
				t.Fatalf("godbus: %v", err)
			}
			if m, raw, err = readMessage(&big, &buf); err != nil {
				t.Fatal(err)
			}
			again, err := decodeBody(&m, raw)
			if err != nil {
				t.Fatal(err)
			}
			equalArgs(t, again, ours)
		})
	}
}

func equalArgs(t testing.TB, got, want []any) {
	t.Helper()
	options := cmp.Options{cmp.AllowUnexported(dbus.Variant{}, dbus.Signature{}), cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(want, got, options); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEncode_refused(t *testing.T) {
	deep := dbus.MakeVariant(1)
	for range 100 {
		deep = dbus.MakeVariant(deep)
	}
	var none *entryOf
	for _, test := range []struct {
		name, signature string
		body            []any
		want            string
	}{
		{"too many", "u", []any{uint32(1), uint32(2)}, "1 arguments too many"},
		{"too few", "us", []any{uint32(1)}, `arguments "s" are missing`},
		{"other type", "u", []any{"1"}, `value of Go type string instead of type "u"`},
		{"other sign", "u", []any{int32(1)}, "instead of type"},
		{"path as text", "s", []any{dbus.ObjectPath("/")}, "instead of type"},
		{"text as path", "o", []any{"/"}, "instead of type"},
		{"plain value as variant", "v", []any{"x"}, "instead of type"},
		{"variant as text", "s", []any{dbus.MakeVariant("x")}, "instead of type"},
		{"map as array", "as", []any{map[string]string{}}, "instead of type"},
		{"array as map", "a{sv}", []any{[]string{}}, "instead of type"},
		{"map with other key", "a{us}", []any{map[string]string{"a": "b"}}, "instead of type"},
		{"too many fields", "(u)", []any{entryOf{}}, "instead of type"},
		{"too few fields", "(usu)", []any{entryOf{}}, "instead of type"},
		{"variant as struct", "(sv)", []any{dbus.MakeVariant(1)}, "instead of type"},
		{"nil", "s", []any{nil}, "nothing there"},
		{"nil pointer", "(us)", []any{none}, "nothing there"},
		{"nil in a map", "a{sv}", []any{map[string]any{"a": nil}}, "nothing there"},
		{"channel", "a{sv}", []any{map[string]any{"a": make(chan int)}}, "no D-Bus type"},
		{"empty variant", "v", []any{dbus.Variant{}}, `variant of type ""`},
		{"variant that lies", "v", []any{dbus.MakeVariantWithSignature("x", dbus.ParseSignatureMust("u"))}, "instead of type"},
		{"variant of two types", "v", []any{dbus.MakeVariantWithSignature("x", dbus.ParseSignatureMust("ss"))}, `variant of type "ss"`},
		{"too deep", "v", []any{deep}, "too deeply nested"},
		{"descriptor", "h", []any{dbus.UnixFD(0)}, "instead of type"},
		{"descriptor's index", "h", []any{dbus.UnixFDIndex(0)}, "instead of type"},
		{"no UTF-8", "as", []any{[]string{"a\xff"}}, "text is not UTF-8"},
		{"NUL", "a{ss}", []any{map[string]string{"a\x00": ""}}, "text is not UTF-8 or has a NUL"},
		{"too long", "ay", []any{make([]byte, maxSend)}, "too long"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m := outgoing{kind: dbus.TypeMethodReply, replySerial: 1, signature: test.signature, body: test.body}
			if _, err := m.appendTo(nil, 1); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

func TestNames_valid(t *testing.T) {
	for path, want := range map[string]bool{
		"/": true, "/a": true, "/a/B_9": true,
		"": false, "a": false, "//": false, "/a/": false, "/a//b": false, "/a-b": false, "/ä": false, "/a\x00": false,
	} {
		if got := isPath(path); got != want || got != dbus.ObjectPath(path).IsValid() {
			t.Errorf("isPath(%q) = %v", path, got)
		}
	}
	for name, want := range map[string]bool{
		"a.b": true, "org.x_9.Error": true,
		"": false, "a": false, ".a": false, "a.": false, "a..b": false, "a.9": false, "a.b-c": false, "a.\x00": false,
		"a." + strings.Repeat("b", 253): true, "a." + strings.Repeat("b", 254): false,
	} {
		if got := isErrorName(name); got != want {
			t.Errorf("isErrorName(%q) = %v", name, got)
		}
	}
	for s, want := range map[string]bool{
		"": true, "s": true, "a{sv}as(u(ss))": true, "aaay": true, "a{s(uv)}": true,
		"a": false, "(": false, ")": false, "()": false, "(s": false, "s)": false, "a{": false, "a{s": false, "a{s}": false,
		"a{sv": false, "a{svv}": false, "a{vs}": false, "a{(s)s}": false, "{sv}": false, "z": false, "s\x00": false, "s\xff": false,
		strings.Repeat("a", 32) + "y": true, strings.Repeat("a", 33) + "y": false,
		strings.Repeat("y", 255): true, strings.Repeat("y", 256): false,
	} {
		if got := isSignature(s); got != want {
			t.Errorf("isSignature(%q) = %v", s, got)
		}
	}
}

// A message that is cut off anywhere is an error, and nothing worse.
func TestReadMessage_cutOff(t *testing.T) {
	for _, test := range bodies {
		b := encode(t, test.signature, test.body)
		for n := range b {
			var buf bytes.Buffer
			_, _, err := readMessage(bytes.NewReader(b[:n]), &buf)
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d of %d bytes: %v", test.name, n, len(b), err)
			}
		}
	}
}

// The same for a body, with every signature that lets a part of it begin.
func TestDecodeBody_cutOff(t *testing.T) {
	for _, test := range bodies {
		var buf bytes.Buffer
		m, body, err := readMessage(bytes.NewReader(encode(t, test.signature, test.body)), &buf)
		if err != nil {
			t.Fatal(err)
		}
		for n := range body {
			if args, err := decodeBody(&m, body[:n]); err == nil {
				t.Errorf("%s, %d of %d bytes: %v", test.name, n, len(body), args)
			}
		}
		m.signature += "y"
		if args, err := decodeBody(&m, body); err == nil {
			t.Errorf("%s: %v", test.name, args)
		}
	}
}

func TestDecodeBody_malformed(t *testing.T) {
	for _, test := range []struct{ name, signature, body string }{
		{"array ends in an element", "au", "\x03\x00\x00\x00abcd"},
		{"dictionary ends in an entry", "a{sv}", "\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01y\x00\x01"},
		{"array longer than the body", "au", "\x08\x00\x00\x00abcd"},
		{"array of four gigabytes", "ay", "\xff\xff\xff\xffabcd"},
		{"text of four gigabytes", "s", "\xff\xff\xff\xffabcd"},
		{"truth of three", "b", "\x03\x00\x00\x00"},
		{"variant without type", "v", "\x00\x00"},
		{"variant of two types", "v", "\x02yy\x00\x01\x02"},
		{"variant of an unknown type", "v", "\x01z\x00\x01"},
		{"signature that is none", "g", "\x01z\x00"},
		{"more than the types", "y", "ab"},
		{"unknown type", "z", "a"},
	} {
		m := message{order: binary.LittleEndian, signature: test.signature}
		if args, err := decodeBody(&m, []byte(test.body)); !errors.Is(err, errBody) {
			t.Errorf("%s: %v, %v", test.name, args, err)
		}
	}
}

func TestParseHeader_malformed(t *testing.T) {
	good := raw{path: "/t", member: "M"}.bytes(1)
	for _, test := range []struct {
		name  string
		spoil func(b []byte)
		want  string
	}{
		{"byte order", func(b []byte) { b[0] = 'x' }, "unknown byte order"},
		{"version", func(b []byte) { b[3] = 2 }, "unknown protocol version"},
		{"body too long for any bus", func(b []byte) { b[7] = 0x10 }, "too long"},
		{"fields too long for any bus", func(b []byte) { b[15] = 0x10 }, "too long"},
		{"field's type", func(b []byte) { b[18] = 'v' }, errHeader.Error()},
		{"text longer than the fields", func(b []byte) { b[20] = 99 }, errHeader.Error()},
		{"text much longer", func(b []byte) { b[20], b[21], b[22], b[23] = 255, 255, 255, 255 }, errHeader.Error()},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := append([]byte(nil), good...)
			test.spoil(b)
			var buf bytes.Buffer
			if _, _, err := readMessage(bytes.NewReader(b), &buf); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q", err, test.want)
			}
		})
	}
}

// FuzzReadMessage reads whatever comes, as godbus would.
func FuzzReadMessage(f *testing.F) {
	for _, test := range bodies {
		f.Add(encode(f, test.signature, test.body))
	}
	f.Add(raw{order: binary.BigEndian, path: "/t", iface: bookName, member: "M", signature: "v", body: nested(40)}.bytes(1))
	f.Add(raw{path: "/t", member: "M", signature: "a{by}", body: []byte{5, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9}}.bytes(1))
	f.Fuzz(func(t *testing.T, b []byte) {
		var buf bytes.Buffer
		m, body, err := readMessage(bytes.NewReader(b), &buf)
		if err != nil {
			return
		}
		args, err := decodeBody(&m, body)
		if err != nil {
			return
		}
		if theirs, err := dbus.DecodeMessage(bytes.NewReader(b)); err == nil {
			equalArgs(t, args, theirs.Body)
		}
	})
}

// FuzzDecodeBody decodes arguments of any type and sends them on.
func FuzzDecodeBody(f *testing.F) {
	for _, test := range bodies {
		var buf bytes.Buffer
		_, body, err := readMessage(bytes.NewReader(encode(f, test.signature, test.body)), &buf)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(test.signature, body, false)
		f.Add(test.signature, body, true)
	}
	f.Add("v", nested(40), false)
	f.Fuzz(func(t *testing.T, signature string, body []byte, big bool) {
		m := message{order: binary.LittleEndian, signature: signature}
		if big {
			m.order = binary.BigEndian
		}
		args, err := decodeBody(&m, body)
		if err != nil {
			return
		}
		out := outgoing{kind: dbus.TypeMethodReply, replySerial: 1, signature: signature, body: args}
		sent, err := out.appendTo(nil, 1)
		if err != nil {
			return // text that the bus would not have let pass, or a descriptor
		}
		var buf bytes.Buffer
		if m, body, err = readMessage(bytes.NewReader(sent), &buf); err != nil {
			t.Fatal(err)
		}
		again, err := decodeBody(&m, body)
		if err != nil {
			t.Fatal(err)
		}
		equalArgs(t, again, args)
	})
}
