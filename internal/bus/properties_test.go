package bus

import (
	"testing"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

const propertiesName = "org.freedesktop.DBus.Properties"

func TestProperties_get(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	for _, test := range []struct{ iface, name, want string }{
		{bookName, "Title", `"Emil"`},
		{"", "Title", `"Emil"`},
		{bookName, "Pages", "@u 175"},
		{bookName, "Index", `[(@u 1, "a"), (@u 2, "b")]`},
	} {
		var v dbus.Variant
		if err := f.object("/t/book").Call(propertiesName+".Get", 0, test.iface, test.name).Store(&v); err != nil {
			t.Errorf("get %q %s: %v", test.iface, test.name, err)
		}
		if test.name == "Index" {
			equal(t, v.Signature().String(), "a(us)")
			equal(t, v.Value(), any([][]any{{uint32(1), "a"}, {uint32(2), "b"}}))
			continue
		}
		equal(t, v.String(), test.want)
	}
}

func TestProperties_getAll(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	for iface, want := range map[string][]string{
		bookName:       {"Title", "Pages", "Index"}, // not the one that cannot be read
		"":             {"Title", "Pages", "Index"},
		propertiesName: nil,
	} {
		var all map[string]dbus.Variant
		if err := f.object("/t/book").Call(propertiesName+".GetAll", 0, iface).Store(&all); err != nil {
			t.Errorf("get all of %q: %v", iface, err)
		}
		if len(all) != len(want) {
			t.Errorf("%q has %v, want %v", iface, all, want)
		}
		for _, name := range want {
			if _, ok := all[name]; !ok {
				t.Errorf("%q lacks %s", iface, name)
			}
		}
	}
}

func TestProperties_set(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	for _, test := range []struct {
		name  string
		value any
		want  string
	}{
		{"Title", "Lotte", `"Lotte"`},
		{"Pages", uint32(200), "@u 200"},
		{"Pages", int32(201), "@u 201"}, // what dbus-python makes of a number
		{"Pages", int64(202), "@u 202"},
	} {
		if err := f.object("/t/book").Call(propertiesName+".Set", 0, bookName, test.name, dbus.MakeVariant(test.value)).Err; err != nil {
			t.Errorf("set %s: %v", test.name, err)
		}
		var v dbus.Variant
		if err := f.object("/t/book").Call(propertiesName+".Get", 0, bookName, test.name).Store(&v); err != nil {
			t.Error(err)
		}
		equal(t, v.String(), test.want)
	}
}

func TestProperties_errors(t *testing.T) {
	f := setUp(t)
	f.conn.Export(newBook("/t/book"))
	s := dbus.MakeVariant("x")
	for _, test := range []struct {
		name, method string
		args         []any
		want         tp.ErrorName
	}{
		{"get unknown interface", "Get", []any{"test.Nothing", "Title"}, tp.ErrorDBusUnknownInterface},
		{"get unknown property", "Get", []any{bookName, "Colour"}, tp.ErrorDBusUnknownProperty},
		{"get unknown property of any", "Get", []any{"", "Colour"}, tp.ErrorDBusUnknownProperty},
		{"get from standard interface", "Get", []any{propertiesName, "Title"}, tp.ErrorDBusUnknownProperty},
		{"get write-only", "Get", []any{bookName, "Secret"}, tp.ErrorDBusAccessDenied},
		{"get all of unknown interface", "GetAll", []any{"test.Nothing"}, tp.ErrorDBusUnknownInterface},
		{"set unknown interface", "Set", []any{"test.Nothing", "Title", s}, tp.ErrorDBusUnknownInterface},
		{"set unknown property", "Set", []any{bookName, "Colour", s}, tp.ErrorDBusUnknownProperty},
		{"set read-only", "Set", []any{bookName, "Index", s}, tp.ErrorDBusPropertyReadOnly},
		{"set wrong type", "Set", []any{bookName, "Pages", s}, tp.ErrorDBusInvalidArgs},
		{"set number for text", "Set", []any{bookName, "Title", dbus.MakeVariant(1)}, tp.ErrorDBusInvalidArgs},
		{"set negative", "Set", []any{bookName, "Pages", dbus.MakeVariant(int32(-1))}, tp.ErrorDBusInvalidArgs},
		{"set too large", "Set", []any{bookName, "Pages", dbus.MakeVariant(int64(1) << 32)}, tp.ErrorDBusInvalidArgs},
		{"setter's error", "Set", []any{bookName, "Title", dbus.MakeVariant("")}, tp.ErrorInvalidArgument},
		{"setter's other error", "Set", []any{bookName, "Secret", s}, tp.ErrorNotAvailable},
	} {
		t.Run(test.name, func(t *testing.T) {
			wantError(t, f.object("/t/book").Call(propertiesName+"."+test.method, 0, test.args...).Err, test.want)
		})
	}
}

// A getter of the wrong type is our mistake, and costs only its own property.
func TestProperties_brokenGetter(t *testing.T) {
	f := setUp(t)
	f.conn.strict = false
	errors := hookErrors(f.conn)
	o := newBook("/t/book")
	o.Interfaces[0].Properties["Title"] = func() any { return 5 }
	o.Interfaces[0].Properties["Index"] = func() any { return nil }
	f.conn.Export(o)
	wantError(t, f.object("/t/book").Call(propertiesName+".Get", 0, bookName, "Title").Err, tp.ErrorDBusFailed)
	var all map[string]dbus.Variant
	if err := f.object("/t/book").Call(propertiesName+".GetAll", 0, bookName).Store(&all); err != nil {
		t.Fatal(err)
	}
	equal(t, len(all), 1)
	f.onLoop(func() {
		equal(t, errors.messages(), []string{"Property not sent", "Property not sent", "Property not sent"})
	})
}

func TestInteger(t *testing.T) {
	for _, test := range []struct {
		v        any
		wantUint uint64
		isUint   bool
		wantInt  int64
		isInt    bool
	}{
		{byte(1), 1, true, 1, true},
		{int16(-2), 0, false, -2, true},
		{uint16(3), 3, true, 3, true},
		{int32(4), 4, true, 4, true},
		{uint32(5), 5, true, 5, true},
		{int64(6), 6, true, 6, true},
		{uint64(7), 7, true, 7, true},
		{uint64(1) << 63, 1 << 63, true, 0, false},
		{dbus.MakeVariant(dbus.MakeVariant(int32(8))), 8, true, 8, true},
		{"9", 0, false, 0, false},
		{true, 0, false, 0, false},
		{1.0, 0, false, 0, false},
		{nil, 0, false, 0, false},
	} {
		if n, ok := Uint(test.v); ok != test.isUint || ok && n != test.wantUint {
			t.Errorf("Uint(%T %v) = %d, %v", test.v, test.v, n, ok)
		}
		if n, ok := Int(test.v); ok != test.isInt || ok && n != test.wantInt {
			t.Errorf("Int(%T %v) = %d, %v", test.v, test.v, n, ok)
		}
	}
}

func TestAsType(t *testing.T) {
	for _, test := range []struct {
		v    any
		want string
		as   any
	}{
		{int32(255), "y", byte(255)},
		{int32(256), "y", nil},
		{uint32(65535), "q", uint16(65535)},
		{uint32(65536), "q", nil},
		{int32(7), "t", uint64(7)},
		{int32(-7), "t", nil},
		{int32(-32768), "n", int16(-32768)},
		{int32(-32769), "n", nil},
		{uint32(7), "i", int32(7)},
		{uint32(1) << 31, "i", nil},
		{uint32(7), "x", int64(7)},
		{uint64(1) << 63, "x", nil},
		{int32(1), "b", nil},
		{int32(1), "d", nil},
		{"1", "u", nil},
		{[]string{"a"}, "as", []string{"a"}},
	} {
		got, ok := asType(dbus.MakeVariant(test.v), test.want)
		if ok != (test.as != nil) {
			t.Errorf("%v as %s: %v", test.v, test.want, ok)
		}
		if ok {
			equal(t, got, test.as)
		}
	}
}
