package bus

import (
	"errors"
	"math"
	"reflect"

	"github.com/godbus/dbus/v5"
)

// maxDepthIn is how deep values of a call may be nested. The bus lets 64 pass;
// the rest is for what we put around a value when we send it on.
const maxDepthIn = 32

var errBody = errors.New("malformed or too deeply nested arguments")

// decodeBody takes the arguments out of a body. Their Go types are those that
// godbus' own decoder gives.
func decodeBody(m *message, body []byte) ([]any, error) {
	if !isSignature(m.signature) {
		return nil, errBody
	}
	d := decoder{order: m.order, rest: body}
	var args []any
	for s := m.signature; s != ""; {
		n := firstType(s, 0)
		args = append(args, d.value(s[:n], 0))
		s = s[n:]
	}
	if d.bad || len(d.rest) > 0 {
		return nil, errBody
	}
	return args, nil
}

// decoder takes marshalled values off rest, which begins at a multiple of
// eight in the message. Once bad is set, what it gives means nothing.
type decoder struct {
	order byteOrder
	rest  []byte
	pos   int
	bad   bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.rest) {
		d.bad, d.rest = true, nil
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	d.pos += n
	return b
}

func (d *decoder) align(n int) { d.take(-d.pos & (n - 1)) }

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	d.align(2)
	if b := d.take(2); b != nil {
		return d.order.Uint16(b)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	d.align(4)
	if b := d.take(4); b != nil {
		return d.order.Uint32(b)
	}
	return 0
}

func (d *decoder) uint64() uint64 {
	d.align(8)
	if b := d.take(8); b != nil {
		return d.order.Uint64(b)
	}
	return 0
}

func (d *decoder) bool() bool {
	n := d.uint32()
	if n > 1 {
		d.bad = true
	}
	return n == 1
}

func (d *decoder) string() string { return d.text(d.uint32()) }

func (d *decoder) signature() string { return d.text(uint32(d.byte())) }

// text takes n bytes and the NUL behind them.
func (d *decoder) text(n uint32) string {
	if uint64(n) >= uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return ""
	}
	s := string(d.take(int(n)))
	d.take(1)
	return s
}

// value takes one value of a complete type.
func (d *decoder) value(s string, depth int) any {
	if depth > maxDepthIn {
		d.bad, d.rest = true, nil
	}
	switch s[0] {
	case 's':
		return d.string()
	case 'u':
		return d.uint32()
	case 'b':
		return d.bool()
	case 'o':
		return dbus.ObjectPath(d.string())
	case 'v':
		return d.variant(depth)
	case 'a':
		if s[1] == '{' {
			return d.dict(s, depth)
		}
		return d.array(s, depth)
	case '(':
		return d.structure(s[1:len(s)-1], depth)
	}
	return d.rare(s[0])
}

func (d *decoder) rare(kind byte) any {
	switch kind {
	case 'y':
		return d.byte()
	case 'n':
		return int16(d.uint16())
	case 'q':
		return d.uint16()
	case 'i':
		return int32(d.uint32())
	case 'x':
		return int64(d.uint64())
	case 't':
		return d.uint64()
	case 'd':
		return math.Float64frombits(d.uint64())
	case 'h':
		return dbus.UnixFDIndex(d.uint32())
	}
	s, err := dbus.ParseSignature(d.signature())
	if err != nil {
		d.bad = true
	}
	return s
}

func (d *decoder) variant(depth int) dbus.Variant {
	text := d.signature()
	if firstType(text, 0) != len(text) || text == "" {
		d.bad, d.rest = true, nil
		return dbus.Variant{}
	}
	s, err := dbus.ParseSignature(text)
	if err != nil {
		d.bad = true
	}
	return dbus.MakeVariantWithSignature(d.value(text, depth+1), s)
}

func (d *decoder) structure(s string, depth int) []any {
	d.align(8)
	var fields []any
	for s != "" {
		n := firstType(s, 0)
		fields = append(fields, d.value(s[:n], depth+1))
		s = s[n:]
	}
	return fields
}

// elements begins an array and says at which position it ends.
func (d *decoder) elements(kind byte) (end int) {
	n := d.uint32()
	d.align(alignment(kind))
	if uint64(n) > uint64(len(d.rest)) {
		d.bad, d.rest = true, nil
		return d.pos
	}
	return d.pos + int(n)
}

// ended checks that an array's last element ended where the array does.
func (d *decoder) ended(end int) {
	if d.pos != end {
		d.bad = true
	}
}

// array takes an array that is no dictionary. The common ones go without reflection.
func (d *decoder) array(s string, depth int) any {
	end := d.elements(s[1])
	switch s[1] {
	case 'y':
		return append([]byte{}, d.take(end-d.pos)...)
	case 's':
		return collect(d, end, d.string)
	case 'u':
		return collect(d, end, d.uint32)
	case 'o':
		return collect(d, end, func() dbus.ObjectPath { return dbus.ObjectPath(d.string()) })
	case 'v':
		return collect(d, end, func() dbus.Variant { return d.variant(depth + 1) })
	case '(':
		return collect(d, end, func() []any { return d.structure(s[2:len(s)-1], depth+1) })
	}
	list := reflect.MakeSlice(goType(s), 0, 0)
	for d.pos < end && !d.bad {
		list = reflect.Append(list, reflect.ValueOf(d.value(s[1:], depth+1)))
	}
	d.ended(end)
	return list.Interface()
}

func collect[T any](d *decoder, end int, one func() T) []T {
	list := []T{}
	for d.pos < end && !d.bad {
		list = append(list, one())
	}
	d.ended(end)
	return list
}

// dict takes an array of entries.
func (d *decoder) dict(s string, depth int) any {
	end := d.elements('{')
	key, value := s[2:3], s[3:len(s)-1]
	if key == "s" && value == "v" {
		m := map[string]dbus.Variant{}
		for d.pos < end && !d.bad {
			d.align(8)
			k := d.string()
			m[k] = d.variant(depth + 2)
		}
		d.ended(end)
		return m
	}
	m := reflect.MakeMap(goType(s))
	for d.pos < end && !d.bad {
		d.align(8)
		k := d.value(key, depth+2)
		v := d.value(value, depth+2)
		if !d.bad {
			m.SetMapIndex(reflect.ValueOf(k), reflect.ValueOf(v))
		}
	}
	d.ended(end)
	return m.Interface()
}
