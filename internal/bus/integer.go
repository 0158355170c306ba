package bus

import (
	"math"

	"github.com/godbus/dbus/v5"
)

// Uint gives the value of any D-Bus integer, also in variants, that is not
// negative. Clients in Python send an int32 wherever introspection cannot tell
// them better, and Mission Control an int64 or uint32.
func Uint(v any) (uint64, bool) {
	if n, ok := unwrap(v).(uint64); ok {
		return n, true
	}
	n, ok := Int(v)
	return uint64(n), ok && n >= 0
}

// Int is [Uint] for what may be negative.
func Int(v any) (int64, bool) {
	switch n := unwrap(v).(type) {
	case byte:
		return int64(n), true
	case int16:
		return int64(n), true
	case uint16:
		return int64(n), true
	case int32:
		return int64(n), true
	case uint32:
		return int64(n), true
	case int64:
		return n, true
	case uint64:
		return int64(n), n <= math.MaxInt64
	}
	return 0, false
}

func unwrap(v any) any {
	for {
		variant, ok := v.(dbus.Variant)
		if !ok {
			return v
		}
		v = variant.Value()
	}
}

// asType gives a variant's value if it has the type, or if both are integers
// and the value fits.
func asType(v dbus.Variant, want string) (any, bool) {
	if v.Signature().String() == want {
		return v.Value(), true
	}
	n, signed := Int(v.Value())
	u, unsigned := Uint(v.Value())
	switch want {
	case "y":
		return byte(u), unsigned && u <= math.MaxUint8
	case "q":
		return uint16(u), unsigned && u <= math.MaxUint16
	case "u":
		return uint32(u), unsigned && u <= math.MaxUint32
	case "t":
		return u, unsigned
	case "n":
		return int16(n), signed && n >= math.MinInt16 && n <= math.MaxInt16
	case "i":
		return int32(n), signed && n >= math.MinInt32 && n <= math.MaxInt32
	case "x":
		return n, signed
	}
	return nil, false
}
