package bus

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/godbus/dbus/v5"
)

// Limits on what we send. Libdbus ends the connection of whoever exceeds its own.
const (
	maxDepthOut = 60       // of 64
	maxSend     = 64 << 20 // of 64 MiB for an array, and more for a message
)

var errTooDeep = errors.New("value is too deeply nested")

// outgoing is a message to be sent. Names are trusted to be valid, but for the
// error's, which may come from far away.
type outgoing struct {
	kind                     dbus.Type
	flags                    dbus.Flags
	path                     dbus.ObjectPath
	iface, member, errorName string
	dest                     string
	replySerial              uint32
	signature                string
	body                     []any
}

// appendTo encodes the message behind b. What it appended is to be cut off
// again if there is an error.
func (m *outgoing) appendTo(b []byte, serial uint32) ([]byte, error) {
	e := encoder{b: b, base: len(b)}
	e.b = append(e.b, 'l', byte(m.kind), byte(m.flags), 1)
	e.uint32(0) // the body's length, below
	e.uint32(serial)
	e.uint32(0) // the fields' length, below
	e.fields(m)
	binary.LittleEndian.PutUint32(e.b[e.base+12:], uint32(e.pos()-fixedLen))
	e.align(8)
	start := e.pos()
	if err := e.args(m.signature, m.body); err != nil {
		return e.b, err
	}
	if e.pos() > maxSend {
		return e.b, errTooLong
	}
	binary.LittleEndian.PutUint32(e.b[e.base+4:], uint32(e.pos()-start))
	return e.b, nil
}

// encoder appends marshalled values to b; the message begins at base.
type encoder struct {
	b    []byte
	base int
	err  error // the first one
}

func (e *encoder) pos() int { return len(e.b) - e.base }

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) align(n int) {
	for e.pos()&(n-1) != 0 {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) uint16(n uint16) {
	e.align(2)
	e.b = binary.LittleEndian.AppendUint16(e.b, n)
}

func (e *encoder) uint32(n uint32) {
	e.align(4)
	e.b = binary.LittleEndian.AppendUint32(e.b, n)
}

func (e *encoder) uint64(n uint64) {
	e.align(8)
	e.b = binary.LittleEndian.AppendUint64(e.b, n)
}

func (e *encoder) bool(v bool) {
	if v {
		e.uint32(1)
	} else {
		e.uint32(0)
	}
}

func (e *encoder) string(s string) {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		e.fail(errors.New("text is not UTF-8 or has a NUL"))
	}
	e.text(s)
}

func (e *encoder) path(p dbus.ObjectPath) {
	if !isPath(string(p)) {
		e.fail(fmt.Errorf("%q is not an object path", string(p)))
	}
	e.text(string(p))
}

func (e *encoder) text(s string) {
	e.uint32(uint32(len(s)))
	e.b = append(append(e.b, s...), 0)
}

func (e *encoder) bytes(b []byte) {
	e.uint32(uint32(len(b)))
	e.b = append(e.b, b...)
}

func (e *encoder) signature(s string) {
	e.b = append(append(append(e.b, byte(len(s))), s...), 0)
}

// fields appends the header's a(yv).
func (e *encoder) fields(m *outgoing) {
	if m.path != "" {
		e.field(dbus.FieldPath, 'o')
		e.path(m.path)
	}
	e.textField(dbus.FieldInterface, m.iface)
	e.textField(dbus.FieldMember, m.member)
	if m.errorName != "" && !isErrorName(m.errorName) {
		e.fail(fmt.Errorf("%q is not an error name", m.errorName))
	}
	e.textField(dbus.FieldErrorName, m.errorName)
	if m.replySerial != 0 {
		e.field(dbus.FieldReplySerial, 'u')
		e.uint32(m.replySerial)
	}
	e.textField(dbus.FieldDestination, m.dest)
	if m.signature != "" {
		e.field(dbus.FieldSignature, 'g')
		e.signature(m.signature)
	}
}

func (e *encoder) field(code dbus.HeaderField, kind byte) {
	e.align(8)
	e.b = append(e.b, byte(code), 1, kind, 0)
}

func (e *encoder) textField(code dbus.HeaderField, s string) {
	if s != "" {
		e.field(code, 's')
		e.string(s)
	}
}

// args appends a body of exactly the signature's types.
func (e *encoder) args(signature string, body []any) error {
	for k, v := range body {
		n := firstType(signature, 0)
		if n == 0 {
			return fmt.Errorf("%d arguments too many", len(body)-k)
		}
		e.value(signature[:n], v, 0)
		if e.err != nil {
			return fmt.Errorf("argument %d: %w", k+1, e.err)
		}
		signature = signature[n:]
	}
	if signature != "" {
		e.fail(fmt.Errorf("arguments %q are missing", signature))
	}
	return e.err
}

// value appends a value of a complete type. The common ones go without
// reflection.
func (e *encoder) value(s string, v any, depth int) {
	switch v := v.(type) {
	case string:
		if s == "s" {
			e.string(v)
			return
		}
	case uint32:
		if s == "u" {
			e.uint32(v)
			return
		}
	case bool:
		if s == "b" {
			e.bool(v)
			return
		}
	case dbus.ObjectPath:
		if s == "o" {
			e.path(v)
			return
		}
	case dbus.Variant:
		if s == "v" {
			e.variant(v, depth)
			return
		}
	case []byte:
		if s == "ay" {
			e.bytes(v)
			return
		}
	case map[string]dbus.Variant:
		if s == "a{sv}" {
			e.variantMap(v, depth)
			return
		}
	case nil:
		e.mismatch(s, reflect.Value{})
		return
	}
	e.reflect(s, reflect.ValueOf(v), depth)
}

func (e *encoder) mismatch(s string, v reflect.Value) {
	if !v.IsValid() {
		e.fail(fmt.Errorf("nothing there instead of type %q", s))
		return
	}
	e.fail(fmt.Errorf("value of Go type %s instead of type %q", v.Type(), s))
}

// variant appends a variant as what its signature says. Godbus' own encoder
// goes by the value, and so breaks messages with a struct that came in a call.
func (e *encoder) variant(v dbus.Variant, depth int) {
	s := v.Signature().String()
	if s == "" || len(s) > maxSignature || firstType(s, 0) != len(s) {
		e.fail(fmt.Errorf("variant of type %q", s))
		return
	}
	if depth > maxDepthOut {
		e.fail(errTooDeep)
		return
	}
	e.signature(s)
	e.value(s, v.Value(), depth+1)
}

func (e *encoder) variantMap(m map[string]dbus.Variant, depth int) {
	at := e.beginArray('{')
	for k, v := range m {
		e.align(8)
		e.string(k)
		e.variant(v, depth+2)
	}
	e.endArray('{', at)
}

// beginArray leaves room for the length and says where it is.
func (e *encoder) beginArray(kind byte) (at int) {
	e.uint32(0)
	at = len(e.b)
	e.align(alignment(kind))
	return at
}

// endArray writes the length, which counts from the first element.
func (e *encoder) endArray(kind byte, at int) {
	first := e.base + (at-e.base+alignment(kind)-1)&^(alignment(kind)-1)
	binary.LittleEndian.PutUint32(e.b[at-4:], uint32(len(e.b)-first))
}

// reflect appends a value of any Go type that fits.
func (e *encoder) reflect(s string, v reflect.Value, depth int) {
	if depth > maxDepthOut {
		e.fail(errTooDeep)
		return
	}
	for v.Kind() == reflect.Interface || v.Kind() == reflect.Pointer {
		if s == "v" && v.Kind() == reflect.Interface {
			e.open(v.Elem(), depth)
			return
		}
		v = v.Elem()
	}
	switch kind := v.Kind(); {
	case s == "v" && kind == reflect.Struct && v.Type() == variantType:
		e.variant(v.Interface().(dbus.Variant), depth)
	case s[0] == '(' && kind == reflect.Struct && v.Type() != variantType && v.Type() != signatureType:
		e.structure(s[1:len(s)-1], v, v.NumField(), v.Field, depth)
	case s[0] == '(' && kind == reflect.Slice && v.Type().Elem().Kind() == reflect.Interface:
		e.structure(s[1:len(s)-1], v, v.Len(), v.Index, depth) // a struct as it comes in a call
	case s == "a{sv}" && kind == reflect.Map && v.Type() == variantMapType:
		e.variantMap(v.Interface().(map[string]dbus.Variant), depth)
	case s[0] == 'a' && s[1] == '{' && kind == reflect.Map:
		e.dict(s, v, depth)
	case s == "ay" && kind == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		e.bytes(v.Bytes())
	case s[0] == 'a' && s[1] != '{' && (kind == reflect.Slice || kind == reflect.Array):
		at := e.beginArray(s[1])
		for k := range v.Len() {
			e.reflect(s[1:], v.Index(k), depth+1)
		}
		e.endArray(s[1], at)
	default:
		e.basic(s, v)
	}
}

// open appends what is in an interface as a variant.
func (e *encoder) open(v reflect.Value, depth int) {
	if !v.IsValid() {
		e.mismatch("v", v)
		return
	}
	if v.Type() == variantType {
		e.variant(v.Interface().(dbus.Variant), depth)
		return
	}
	s, err := signatureOf(v.Interface())
	if err != nil {
		e.fail(err)
		return
	}
	e.variant(dbus.MakeVariantWithSignature(v.Interface(), s), depth)
}

// structure appends the exported fields of a struct, or the items of a list.
func (e *encoder) structure(s string, v reflect.Value, n int, field func(int) reflect.Value, depth int) {
	whole := s
	e.align(8)
	for k := range n {
		f := field(k)
		if !f.CanInterface() {
			continue
		}
		one := firstType(s, 0)
		if one == 0 {
			e.mismatch("("+whole+")", v)
			return
		}
		e.reflect(s[:one], f, depth+1)
		s = s[one:]
	}
	if s != "" {
		e.mismatch("("+whole+")", v)
	}
}

func (e *encoder) dict(s string, v reflect.Value, depth int) {
	at := e.beginArray('{')
	key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
	for entries := v.MapRange(); entries.Next(); {
		key.SetIterKey(entries)
		value.SetIterValue(entries)
		e.align(8)
		e.reflect(s[2:3], key, depth+2)
		e.reflect(s[3:len(s)-1], value, depth+2)
	}
	e.endArray('{', at)
}

// basic appends a value of a basic type.
func (e *encoder) basic(s string, v reflect.Value) {
	switch kind := v.Kind(); {
	case s == "s" && kind == reflect.String && v.Type() != pathType:
		e.string(v.String())
	case s == "o" && kind == reflect.String && v.Type() == pathType:
		e.path(dbus.ObjectPath(v.String()))
	case s == "u" && (kind == reflect.Uint32 || kind == reflect.Uint):
		e.uint32(uint32(v.Uint()))
	case s == "b" && kind == reflect.Bool:
		e.bool(v.Bool())
	case s == "i" && (kind == reflect.Int32 || kind == reflect.Int):
		e.uint32(uint32(v.Int()))
	case s == "y" && kind == reflect.Uint8:
		e.b = append(e.b, byte(v.Uint()))
	case s == "q" && kind == reflect.Uint16:
		e.uint16(uint16(v.Uint()))
	case s == "n" && kind == reflect.Int16:
		e.uint16(uint16(v.Int()))
	case s == "t" && kind == reflect.Uint64:
		e.uint64(v.Uint())
	case s == "x" && kind == reflect.Int64:
		e.uint64(uint64(v.Int()))
	case s == "d" && kind == reflect.Float64:
		e.uint64(math.Float64bits(v.Float()))
	case s == "g" && kind == reflect.Struct && v.Type() == signatureType:
		e.signature(v.Interface().(dbus.Signature).String())
	default:
		e.mismatch(s, v) // descriptors among them: there is no way to send one
	}
}

// isPath checks an object path: D-Bus specification, "Valid Object Paths".
func isPath(s string) bool {
	if s == "/" {
		return true
	}
	if s == "" || s[0] != '/' || s[len(s)-1] == '/' {
		return false
	}
	for k := 1; k < len(s); k++ {
		if s[k] == '/' && s[k-1] == '/' || s[k] != '/' && !isNameByte(s[k]) {
			return false
		}
	}
	return true
}

// isErrorName checks the name of an error: D-Bus specification, "Interface names".
func isErrorName(s string) bool {
	if len(s) > 255 || !strings.Contains(s, ".") {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || '0' <= part[0] && part[0] <= '9' {
			return false
		}
		for k := range len(part) {
			if !isNameByte(part[k]) {
				return false
			}
		}
	}
	return true
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// fits says why a value cannot be sent as a complete type; nil if it can.
func fits(s string, v any) error {
	var e encoder
	e.value(s, v, 0)
	return e.err
}

// signatureOf is dbus.SignatureOf with an error in place of its panic.
func signatureOf(v any) (s dbus.Signature, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("no D-Bus type for %T: %v", v, p)
		}
	}()
	return dbus.SignatureOf(v), nil
}
