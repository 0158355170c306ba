package olpc

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// Properties describe a buddy or an activity. A value is a string, []byte,
// int32, uint32 or bool; values are not changed once they are in.
type Properties map[string]any

// property is the local name of the element that holds one.
const property = "property"

// Set stores a property, the narrower integers as those that have an encoding.
// It tells whether the value has one; if not, nothing is stored.
func (p Properties) Set(name string, value any) bool {
	switch v := value.(type) {
	case int16:
		value = int32(v)
	case uint16:
		value = uint32(v)
	}
	if _, _, ok := encode(value); !ok || name == "" {
		return false
	}
	p[name] = value
	return true
}

// Equal tells whether both sets say the same. Any difference counts, also a
// property that is only in one of them.
func (p Properties) Equal(o Properties) bool {
	return maps.EqualFunc(p, o, func(a, b any) bool {
		left, ok := a.([]byte)
		if !ok {
			_, isBytes := b.([]byte)
			return !isBytes && a == b
		}
		right, ok := b.([]byte)
		return ok && bytes.Equal(left, right)
	})
}

// Check returns an error if the set is more than other clients can be expected
// to take; a stanza too large even costs the connection to the server.
func (p Properties) Check() error {
	if len(p) > MaxProperties {
		return fmt.Errorf("%d properties, at most %d are allowed", len(p), MaxProperties)
	}
	size := 0
	for name, value := range p {
		_, text, _ := encode(value)
		size += len(name) + len(text)
	}
	if size > MaxPropertiesBytes {
		return fmt.Errorf("properties of %d bytes, at most %d are allowed", size, MaxPropertiesBytes)
	}
	return nil
}

// Build returns an element of the name given for each property, in order of
// name: what is the same is written the same.
func (p Properties) Build(space, local string) []stanza.Part {
	parts := make([]stanza.Part, 0, len(p)+2)
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if typ, text, ok := encode(p[name]); ok {
			parts = append(parts, stanza.New(space, local,
				stanza.A("name", name), stanza.A("type", typ), stanza.Text(text)))
		}
	}
	return parts
}

// ParseChildren reads the properties that are children of e, elements of its
// namespace and the local name given, as far as limit bytes go, and tells how
// many it took. A property that does not fit, has no name or a value that is
// not of its type is passed over; of two with one name the last counts, as with
// every reader before.
func ParseChildren(e *stanza.Element, local string, limit int) (Properties, int) {
	p := make(Properties)
	used := 0
	for c := range e.Each(e.Space(), local) {
		name, text := c.Attr("name"), c.Text()
		size := len(name) + len(text)
		if name == "" || used+size > limit {
			continue
		}
		if _, replaced := p[name]; !replaced && len(p) == MaxProperties {
			continue
		}
		if value, ok := decode(c.Attr("type"), text); ok {
			p[name] = value
			used += size
		}
	}
	return p, used
}

// encode returns a value's type and text on the wire. The first programs that
// spoke this read 0 and 1 for a bool and nothing else.
func encode(value any) (typ, text string, ok bool) {
	switch v := value.(type) {
	case string:
		return "str", v, true
	case []byte:
		return "bytes", base64.StdEncoding.EncodeToString(v), true
	case int32:
		return "int", strconv.FormatInt(int64(v), 10), true
	case uint32:
		return "uint", strconv.FormatUint(uint64(v), 10), true
	case bool:
		if v {
			return "bool", "1", true
		}
		return "bool", "0", true
	}
	return "", "", false
}

// decode reads a value. An empty text is the empty value of a str and of
// bytes, which telepathy-gabble loses though it sends it (an activity without
// tags), and no value of the other types.
func decode(typ, text string) (any, bool) {
	switch typ {
	case "str":
		return text, true
	case "bytes":
		b, err := decodeBase64(text)
		return b, err == nil
	case "int":
		n, err := strconv.ParseInt(text, 10, 32)
		return int32(n), err == nil
	case "uint":
		n, err := strconv.ParseUint(text, 10, 32)
		return uint32(n), err == nil
	case "bool":
		switch text {
		case "0", "false":
			return false, true
		case "1", "true":
			return true, true
		}
	}
	return nil, false
}

// decodeBase64 reads base64 with or without padding, also when a writer broke
// or indented its lines.
func decodeBase64(s string) ([]byte, error) {
	s = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '\r' || r == '\n' {
			return -1
		}
		return r
	}, s)
	return base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
}
