package stanza

import (
	"bytes"
	"hash/maphash"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// window is the part of the input at hand. A byte of 0, which XML forbids,
// stands for "no more": err says why.
type window struct {
	src      io.Reader
	buf      []byte
	pos, end int
	before   int // bytes that went through buf earlier
	limit    int // position in the input that must not be passed
	begin    int // position in the input of the last mark
	err      error
}

// mark allows n more bytes.
func (w *window) mark(n int) {
	w.begin = w.before + w.pos
	w.limit = w.begin + n
}

// used tells how many bytes were read since the mark.
func (w *window) used() int { return w.before + w.pos - w.begin }

// fill gets more input and tells whether there is some.
func (w *window) fill() bool {
	if w.err != nil {
		return false
	}
	w.before += w.end
	w.pos, w.end = 0, 0
	for tries := 0; w.end == 0 && w.err == nil; tries++ {
		w.end, w.err = w.src.Read(w.buf)
		if tries == 100 && w.err == nil {
			w.err = io.ErrNoProgress
		}
	}
	return w.end > 0
}

// peek gives the next byte and leaves it there.
func (w *window) peek() byte {
	if w.pos == w.end && !w.fill() {
		return 0
	}
	if w.before+w.pos >= w.limit {
		w.err = &LimitError{"bytes"}
		w.pos = w.end
		return 0
	}
	return w.buf[w.pos]
}

// next takes the next byte.
func (w *window) next() byte {
	c := w.peek()
	if w.pos < w.end {
		w.pos++
	}
	return c
}

// rest gives what can be read without asking the source, within the limit.
func (w *window) rest() []byte {
	return w.buf[w.pos:max(w.pos, min(w.end, w.limit-w.before))]
}

// next takes one byte that must be there.
func (r *Reader) next() byte {
	if r.err != nil {
		return 0
	}
	c := r.in.next()
	if c == 0 {
		r.cut()
	}
	return c
}

// peek looks at one byte that must be there.
func (r *Reader) peek() byte {
	if r.err != nil {
		return 0
	}
	c := r.in.peek()
	if c == 0 {
		r.cut()
	}
	return c
}

// cut notes that the input ended, or had a zero byte, in the middle.
func (r *Reader) cut() {
	switch r.in.err {
	case nil:
		r.syntax(notWellFormed, "zero byte")
	case io.EOF:
		r.fail(io.ErrUnexpectedEOF)
	default:
		r.fail(r.in.err)
	}
}

// accept takes the byte if it is the next one.
func (r *Reader) accept(c byte) bool {
	if r.peek() != c || r.err != nil {
		return false
	}
	r.in.pos++
	return true
}

// expect takes the byte, which must be the next one.
func (r *Reader) expect(c byte) {
	if got := r.next(); got != c && r.err == nil {
		r.syntax(notWellFormed, "%q instead of %q", got, c)
	}
}

// skipSpace passes over white space and tells whether there was some.
func (r *Reader) skipSpace() bool {
	found := false
	for isSpace(r.peek()) {
		r.in.pos++
		found = true
	}
	return found
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

// span returns the bytes up to the first one in stop, and whether any was
// beyond ASCII. They are good until the next read.
func (r *Reader) span(stop *byteSet) (b []byte, plain bool) {
	b, plain = r.run(stop)
	if len(b) < len(r.in.rest()) {
		r.in.pos += len(b)
		return b, plain
	}
	whole := r.scratch[:0] // the window ends before the span does
	for r.peek() != 0 {
		more, ascii := r.run(stop)
		whole = append(whole, more...)
		r.in.pos += len(more)
		plain = plain && ascii
		if len(r.in.rest()) > 0 {
			break
		}
	}
	r.scratch = keep(whole)
	return whole, plain
}

// run is the part of a span that lies in the window. Nothing is taken.
func (r *Reader) run(stop *byteSet) (b []byte, plain bool) {
	rest := r.in.rest()
	var bits byte
	n := 0
	if stop != endsName { // a name ends at much that is plain
		n = plainWords(rest)
	}
	for n < len(rest) && !stop[rest[n]] {
		bits |= rest[n]
		n++
	}
	return rest[:n], bits < utf8.RuneSelf
}

// byteSet is a set of bytes.
type byteSet [256]bool

func newByteSet(contains func(c byte) bool) *byteSet {
	var s byteSet
	for i := range s {
		s[i] = contains(byte(i))
	}
	return &s
}

// The bytes at which a name, a text or an attribute's value takes a decision.
var (
	endsName = newByteSet(func(c byte) bool { return !isNameByte(c) })
	endsText = newByteSet(func(c byte) bool { return c < ' ' && c != '\t' && c != '\n' || c == '<' || c == '&' })
	endsAttr = newByteSet(func(c byte) bool { return c < ' ' || c == '<' || c == '&' || c == '"' || c == '\'' })
)

// name reads a qualified name, XML 1.0 §2.3 and Namespaces in XML §4.
func (r *Reader) name() string {
	b, _ := r.span(endsName)
	if r.err == nil && !isQName(b) {
		r.badName(b)
	}
	return r.known.get(b)
}

// badName says what stands where a name should be.
func (r *Reader) badName(b []byte) {
	if c := r.peek(); len(b) == 0 && (c == '!' || c == '?') {
		r.syntax(restrictedXML, "comment, declaration or processing instruction")
		return
	}
	r.syntax(notWellFormed, "name %.32q", b)
}

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' ||
		c == '_' || c == ':' || c == '-' || c == '.' || c >= utf8.RuneSelf
}

// isQName tells whether b is a name, or two with a colon between.
func isQName(b []byte) bool {
	prefix, local, both := bytes.Cut(b, []byte{':'})
	return isNCName(prefix) && (!both || isNCName(local))
}

func isNCName(b []byte) bool {
	for i := 0; i < len(b); {
		c, size := rune(b[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRune(b[i:])
		}
		if !isNameStart(c) && (i == 0 || !isNameRest(c)) {
			return false
		}
		i += size
	}
	return len(b) > 0
}

// isNameStart is production [4] of XML 1.0, without the colon.
func isNameStart(c rune) bool {
	switch {
	case c < utf8.RuneSelf:
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_'
	case c >= 0xC0 && c <= 0x2FF:
		return c != 0xD7 && c != 0xF7
	}
	return c >= 0x370 && c <= 0x1FFF && c != 0x37E || c >= 0x200C && c <= 0x200D ||
		c >= 0x2070 && c <= 0x218F || c >= 0x2C00 && c <= 0x2FEF || c >= 0x3001 && c <= 0xD7FF ||
		c >= 0xF900 && c <= 0xFDCF || c >= 0xFDF0 && c < utf8.RuneError || c >= 0x10000 && c <= 0xEFFFF
}

// isNameRest is what production [4a] adds.
func isNameRest(c rune) bool {
	return c >= '0' && c <= '9' || c == '-' || c == '.' || c == 0xB7 ||
		c >= 0x300 && c <= 0x36F || c == 0x203F || c == 0x2040
}

// attrValue reads a quoted value. White space in it becomes spaces, XML 1.0
// §3.3.3.
func (r *Reader) attrValue() string {
	quote := r.next()
	if r.err == nil && quote != '"' && quote != '\'' {
		r.syntax(notWellFormed, "attribute without quotes")
	}
	b, plain := r.span(endsAttr)
	if r.peek() != quote {
		b, plain = r.specialValue(b, plain, quote)
	}
	r.expect(quote)
	if !plain {
		r.checkChars(b)
	}
	return r.known.get(b)
}

// specialValue reads the rest of a value that is not all plain characters, up
// to the quote.
func (r *Reader) specialValue(begin []byte, plain bool, quote byte) ([]byte, bool) {
	b := slices.Clone(begin)
	for r.peek() != quote && r.err == nil {
		switch c := r.next(); {
		case c == '&':
			b = r.reference(b)
		case c == '<' || c < ' ' && !isSpace(c):
			r.syntax(notWellFormed, "attribute holds %q", c)
		case c == '\r' && r.peek() == '\n':
			// the line feed that follows stands for both
		case isSpace(c):
			b = append(b, ' ')
		default:
			b = append(b, c)
		}
		more, ascii := r.run(endsAttr)
		b = append(b, more...)
		r.in.pos += len(more)
		plain = plain && ascii
	}
	return b, plain
}

// text appends character data up to the next "<", which it takes.
func (r *Reader) text(b []byte) []byte {
	from, plain := len(b), true
	for r.peek() != 0 {
		more, ascii := r.run(endsText)
		b = append(b, more...)
		r.in.pos += len(more)
		plain = plain && ascii
		if len(r.in.rest()) == 0 {
			continue
		}
		switch c := r.next(); {
		case c == '<':
			if !plain {
				r.checkChars(b[from:])
			}
			return b
		case c == '&':
			b = r.reference(b)
		case c != '\r':
			r.syntax(notWellFormed, "character %U", c)
		case r.peek() != '\n':
			b = append(b, '\n') // XML 1.0 §2.11
		}
	}
	return b
}

// cdata appends a CDATA section from behind its "<!" on.
func (r *Reader) cdata(b []byte) []byte {
	for _, c := range []byte("[CDATA[") {
		if !r.accept(c) {
			r.syntax(restrictedXML, "comment or declaration")
			return b
		}
	}
	from := len(b)
	for r.err == nil && !bytes.HasSuffix(b[from:], []byte("]]>")) {
		switch c := r.next(); {
		case c != '\r':
			b = append(b, c)
		case r.peek() != '\n':
			b = append(b, '\n')
		}
	}
	if r.err != nil {
		return b
	}
	b = b[:len(b)-len("]]>")]
	r.checkChars(b[from:])
	return b
}

// reference appends what stands for a reference from behind its "&" on. Of
// entities only XML's own five are allowed, RFC 6120 §11.1.
func (r *Reader) reference(b []byte) []byte {
	const longest = len("#x0010FFFF")
	var name [longest]byte
	n := 0
	for c := r.next(); c != ';' && r.err == nil; c = r.next() {
		if n == longest || !isNameByte(c) && c != '#' {
			r.syntax(notWellFormed, "reference")
			return b
		}
		name[n] = c
		n++
	}
	if r.err != nil {
		return b
	}
	switch s := string(name[:n]); {
	case s == "lt":
		return append(b, '<')
	case s == "gt":
		return append(b, '>')
	case s == "amp":
		return append(b, '&')
	case s == "apos":
		return append(b, '\'')
	case s == "quot":
		return append(b, '"')
	case !strings.HasPrefix(s, "#"):
		r.syntax(restrictedXML, "entity %q", s)
		return b
	default:
		return r.charReference(b, s[1:])
	}
}

func (r *Reader) charReference(b []byte, digits string) []byte {
	base := 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	c, err := strconv.ParseUint(digits, base, 32)
	if err != nil || !isChar(rune(c)) {
		r.syntax(notWellFormed, "character reference %q", digits)
		return b
	}
	return utf8.AppendRune(b, rune(c))
}

// checkChars holds text to UTF-8 and to the characters of XML.
func (r *Reader) checkChars(b []byte) {
	for i := 0; i < len(b); {
		c, size := utf8.DecodeRune(b[i:])
		if !isChar(c) || c == utf8.RuneError && size == 1 {
			r.syntax(notWellFormed, "character %U", c)
			return
		}
		i += size
	}
}

// declaration reads <?xml … ?> from behind its "<?" on. XMPP is UTF-8 (RFC
// 6120 §11.6).
func (r *Reader) declaration() {
	if target := r.name(); target != "xml" {
		r.syntax(restrictedXML, "processing instruction")
		return
	}
	for r.skipSpace() && r.peek() != '?' {
		name := r.name()
		r.skipSpace()
		r.expect('=')
		r.skipSpace()
		value := r.attrValue()
		if name == "encoding" && r.err == nil && !strings.EqualFold(value, "utf-8") {
			r.syntax(unsupportedEncoding, "%.32q", value)
		}
	}
	r.expect('?')
	r.expect('>')
}

// interned keeps short texts that were met of late, so that names, namespaces
// and addresses that come again and again take memory once. It is of fixed
// size: a new text takes the place of another.
type interned struct {
	seed  maphash.Seed
	slots [512]string
}

// get returns b as a string.
func (t *interned) get(b []byte) string {
	const longest = 64
	if len(b) == 0 {
		return ""
	}
	if len(b) > longest {
		return string(b)
	}
	slot := &t.slots[maphash.Bytes(t.seed, b)%uint64(len(t.slots))]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
