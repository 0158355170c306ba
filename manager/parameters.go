package manager

import (
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// Parameter is one account parameter of a protocol (Telepathy specification,
// Protocol.Parameters and Param_Spec).
type Parameter struct {
	Name      string
	Signature string // one of s b q u n as
	Flags     tp.ConnMgrParamFlags
	Default   any // nil when there is none; else of the Go type of Signature
}

// flags adds Has_Default to those that the table spells out.
func (p Parameter) flags() tp.ConnMgrParamFlags {
	if p.Default == nil {
		return p.Flags
	}
	return p.Flags | tp.ConnMgrParamFlagsHasDefault
}

// value is what Param_Spec tells: the default, or an empty value of the type
// where there is none.
func (p Parameter) value() any {
	if p.Default == nil {
		return zeroes[p.Signature]
	}
	return p.Default
}

var zeroes = map[string]any{
	"s": "", "b": false, "q": uint16(0), "u": uint32(0), "n": int16(0), "as": []string{},
}

// Values are the parameters of one request after checking: each declared
// parameter that was given or has a default, in the Go type of its signature.
type Values map[string]any

// parseValues checks what a client gave against the protocol's table. Every
// error is InvalidArgument and names the parameter (Telepathy specification,
// ConnectionManager.RequestConnection).
func parseValues(table []Parameter, given map[string]dbus.Variant) (Values, error) {
	if err := refuseUnknown(table, given); err != nil {
		return nil, err
	}
	values := make(Values, len(table))
	for _, p := range table {
		v, isGiven := given[p.Name]
		switch {
		case isGiven:
			value, fits := convert(p.Signature, v.Value())
			if !fits {
				return nil, tp.Errorf(tp.ErrorInvalidArgument,
					"parameter %q has type %q, expected %q", p.Name, v.Signature(), p.Signature)
			}
			values[p.Name] = value
		case p.Flags&tp.ConnMgrParamFlagsRequired != 0:
			return nil, tp.Errorf(tp.ErrorInvalidArgument, "parameter %q is missing", p.Name)
		case p.Default != nil:
			values[p.Name] = p.Default
		}
	}
	return values, nil
}

func refuseUnknown(table []Parameter, given map[string]dbus.Variant) error {
	var unknown []string
	for name := range given {
		if !slices.ContainsFunc(table, func(p Parameter) bool { return p.Name == name }) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	return tp.Errorf(tp.ErrorInvalidArgument, "unknown parameter: %s", strings.Join(unknown, ", "))
}

// convert turns a D-Bus value into the Go type of signature. Clients are free
// with integers (Sugar sends port, a q, as u), so any integer that fits is
// taken.
func convert(signature string, v any) (any, bool) {
	switch signature {
	case "s":
		s, is := v.(string)
		return s, is
	case "b":
		b, is := v.(bool)
		return b, is
	case "as":
		list, is := v.([]string)
		return list, is
	case "q":
		n, is := bus.Uint(v)
		return uint16(n), is && n <= 1<<16-1
	case "u":
		n, is := bus.Uint(v)
		return uint32(n), is && n <= 1<<32-1
	case "n":
		n, is := bus.Int(v)
		return int16(n), is && n >= -1<<15 && n < 1<<15
	}
	return nil, false
}

// text, flag, number and list read one parameter; absent gives the zero value.
func (v Values) text(name string) string   { s, _ := v[name].(string); return s }
func (v Values) flag(name string) bool     { b, _ := v[name].(bool); return b }
func (v Values) list(name string) []string { l, _ := v[name].([]string); return l }

func number[T uint16 | uint32 | int16](v Values, name string) T {
	n, _ := v[name].(T)
	return n
}
