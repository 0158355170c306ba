package bus

import (
	"reflect"

	"github.com/godbus/dbus/v5"
)

// Limits on signatures: D-Bus specification, "Valid Signatures".
const (
	maxSignature = 255
	maxTypeDepth = 32
)

// firstType gives the length of the first complete type of a signature; 0 if
// there is none. The depth is that of the type itself.
func firstType(s string, depth int) int {
	if s == "" || depth > maxTypeDepth {
		return 0
	}
	switch s[0] {
	case 'a':
		if len(s) > 1 && s[1] == '{' {
			return dictType(s, depth+1)
		}
		if n := firstType(s[1:], depth+1); n > 0 {
			return 1 + n
		}
		return 0
	case '(':
		at := 1
		for at < len(s) && s[at] != ')' {
			n := firstType(s[at:], depth+1)
			if n == 0 {
				return 0
			}
			at += n
		}
		if at == 1 || at == len(s) {
			return 0 // empty, or without an end
		}
		return at + 1
	case 'v':
		return 1
	}
	if basicTypes[s[0]] == nil {
		return 0
	}
	return 1
}

// dictType is firstType for what begins with "a{".
func dictType(s string, depth int) int {
	if len(s) < 3 || basicTypes[s[2]] == nil {
		return 0
	}
	n := firstType(s[3:], depth)
	if n == 0 || 3+n >= len(s) || s[3+n] != '}' {
		return 0
	}
	return 3 + n + 1
}

// isSignature says whether s is a list of complete types, maybe empty.
func isSignature(s string) bool {
	if len(s) > maxSignature {
		return false
	}
	for s != "" {
		n := firstType(s, 0)
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

// alignment gives the boundary that a type begins at: D-Bus specification,
// "Summary of D-Bus marshalling".
func alignment(kind byte) int {
	switch kind {
	case 'y', 'g', 'v':
		return 1
	case 'n', 'q':
		return 2
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 4
}

// basicTypes has the Go types of what may be a dictionary's key. They are
// godbus', for dbus.Store, and so are those of goType.
var basicTypes = [256]reflect.Type{
	'y': reflect.TypeFor[byte](),
	'b': reflect.TypeFor[bool](),
	'n': reflect.TypeFor[int16](),
	'q': reflect.TypeFor[uint16](),
	'i': reflect.TypeFor[int32](),
	'u': reflect.TypeFor[uint32](),
	'x': reflect.TypeFor[int64](),
	't': reflect.TypeFor[uint64](),
	'd': reflect.TypeFor[float64](),
	's': reflect.TypeFor[string](),
	'g': reflect.TypeFor[dbus.Signature](),
	'o': reflect.TypeFor[dbus.ObjectPath](),
	'h': reflect.TypeFor[dbus.UnixFDIndex](),
}

// goType gives the Go type of one complete type.
func goType(s string) reflect.Type {
	switch {
	case s[0] == 'v':
		return variantType
	case s[0] == '(':
		return reflect.TypeFor[[]any]()
	case s[0] != 'a':
		return basicTypes[s[0]]
	case s[1] == '{':
		return reflect.MapOf(basicTypes[s[2]], goType(s[3:len(s)-1]))
	}
	return reflect.SliceOf(goType(s[1:]))
}

var (
	variantType    = reflect.TypeFor[dbus.Variant]()
	variantMapType = reflect.TypeFor[map[string]dbus.Variant]()
	signatureType  = reflect.TypeFor[dbus.Signature]()
	pathType       = reflect.TypeFor[dbus.ObjectPath]()
)
