package bus

import (
	"reflect"

	"github.com/godbus/dbus/v5"
)

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
