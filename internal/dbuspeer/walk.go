package dbuspeer

import (
	"bytes"
	"encoding/binary"
	"unicode/utf8"

	"telepathy-olpc/internal/dbuswire"
)

// Limits on values: D-Bus specification, "Container types".
const (
	maxArray = 64 << 20
	maxDepth = 64 // of containers, variants among them
)

// walker goes over marshalled values. It begins at a multiple of eight in the
// message, as headers and bodies do. What comes after a method has returned
// false means nothing.
type walker struct {
	order binary.ByteOrder
	b     []byte
	pos   int
}

// align goes on to a boundary, over zeros only.
func (w *walker) align(n int) bool {
	for w.pos&(n-1) != 0 {
		if w.pos >= len(w.b) || w.b[w.pos] != 0 {
			return false
		}
		w.pos++
	}
	return true
}

func (w *walker) take(n int) ([]byte, bool) {
	if n < 0 || n > len(w.b)-w.pos {
		return nil, false
	}
	w.pos += n
	return w.b[w.pos-n : w.pos : w.pos], true
}

func (w *walker) byte() (byte, bool) {
	b, ok := w.take(1)
	if !ok {
		return 0, false
	}
	return b[0], true
}

func (w *walker) uint32() (uint32, bool) {
	if !w.align(4) {
		return 0, false
	}
	b, ok := w.take(4)
	if !ok {
		return 0, false
	}
	return w.order.Uint32(b), true
}

// text takes n bytes that contain no NUL, and the one behind them.
func (w *walker) text(n uint32) ([]byte, bool) {
	if int64(n) >= int64(len(w.b)-w.pos) {
		return nil, false
	}
	b, _ := w.take(int(n))
	end, _ := w.byte()
	return b, end == 0 && bytes.IndexByte(b, 0) < 0
}

func (w *walker) string() ([]byte, bool) {
	n, ok := w.uint32()
	if !ok {
		return nil, false
	}
	b, ok := w.text(n)
	return b, ok && utf8.Valid(b)
}

func (w *walker) path() ([]byte, bool) {
	b, ok := w.string()
	return b, ok && dbuswire.IsPath(string(b))
}

func (w *walker) signature() (string, bool) {
	n, ok := w.byte()
	if !ok {
		return "", false
	}
	b, ok := w.text(uint32(n))
	return string(b), ok && dbuswire.IsSignature(string(b))
}

// values goes over values of all types of a valid signature.
func (w *walker) values(signature string, depth int) bool {
	for signature != "" {
		n := dbuswire.FirstType(signature)
		if !w.value(signature[:n], depth) {
			return false
		}
		signature = signature[n:]
	}
	return true
}

// value goes over one value of a complete type.
func (w *walker) value(s string, depth int) (ok bool) {
	if depth > maxDepth {
		return false
	}
	switch kind := s[0]; kind {
	case 's':
		_, ok = w.string()
	case 'o':
		_, ok = w.path()
	case 'g':
		_, ok = w.signature()
	case 'v':
		_, ok = w.variant(depth)
	case 'a':
		ok = w.array(s[1:], depth)
	case '(', '{':
		ok = w.align(8) && w.values(s[1:len(s)-1], depth+1)
	default:
		size := dbuswire.FixedSize(kind)
		ok = w.align(size) && w.fixed(kind, size)
	}
	return ok
}

// fixed goes over n bytes of values of one fixed size, which are aligned.
func (w *walker) fixed(kind byte, n int) bool {
	b, ok := w.take(n)
	if !ok || n%dbuswire.FixedSize(kind) != 0 || kind == 'h' && n > 0 {
		return false // 'h' counts descriptors, of which there are none
	}
	if kind != 'b' {
		return true
	}
	for ; len(b) > 0; b = b[4:] {
		if w.order.Uint32(b) > 1 {
			return false
		}
	}
	return true
}

// variant goes over a variant and gives its type.
func (w *walker) variant(depth int) (string, bool) {
	s, ok := w.signature()
	if !ok || !dbuswire.IsOneType(s) {
		return "", false
	}
	return s, w.value(s, depth+1)
}

// array goes over an array of the type.
func (w *walker) array(element string, depth int) bool {
	n, ok := w.uint32()
	if !ok || n > maxArray || !w.align(dbuswire.Alignment(element[0])) || int64(n) > int64(len(w.b)-w.pos) {
		return false
	}
	if dbuswire.FixedSize(element[0]) > 0 {
		return w.fixed(element[0], int(n))
	}
	end := w.pos + int(n)
	for w.pos < end {
		if !w.value(element, depth+1) {
			return false
		}
	}
	return w.pos == end
}
