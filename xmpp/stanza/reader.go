package stanza

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"slices"
	"strings"
)

// Limits bounds what one element at the top of the stream may cost; a zero
// field has its default.
type Limits struct {
	Bytes    int // on the wire
	Depth    int // the stanza itself is 1
	Children int // of any one element
	Attrs    int // of any one element
}

// The defaults leave room for a roster of 5,000 contacts and a photo in a
// vCard, and for nothing that would hurt an XO with 256 MB.
const (
	defaultBytes    = 1 << 20
	defaultDepth    = 64
	defaultChildren = 20_000
	defaultAttrs    = 128
)

func (l Limits) withDefaults() Limits {
	for _, f := range []struct {
		field *int
		value int
	}{{&l.Bytes, defaultBytes}, {&l.Depth, defaultDepth}, {&l.Children, defaultChildren}, {&l.Attrs, defaultAttrs}} {
		if *f.field <= 0 {
			*f.field = f.value
		}
	}
	return l
}

// ErrEnd is what [Reader.Next] returns at the end tag of the stream; the end
// of the bytes without it is [io.EOF], within an element
// [io.ErrUnexpectedEOF].
var ErrEnd = errors.New("end of stream")

// LimitError says which of the [Limits] the peer went over.
type LimitError struct{ What string }

func (e *LimitError) Error() string { return "too much in one stanza: " + e.What }

// StreamCondition is the stream error to answer with, RFC 6120 §4.9.3.14.
func (e *LimitError) StreamCondition() string { return "policy-violation" }

// SyntaxError is XML that is wrong, or that XMPP does not allow.
type SyntaxError struct {
	Condition string // the stream error to answer with, RFC 6120 §4.9.3
	What      string
}

func (e *SyntaxError) Error() string { return e.Condition + ": " + e.What }

// StreamCondition returns the condition.
func (e *SyntaxError) StreamCondition() string { return e.Condition }

// Stream error conditions that a reader finds cause for.
const (
	badFormat           = "bad-format"
	notWellFormed       = "not-well-formed"
	restrictedXML       = "restricted-xml"
	unsupportedEncoding = "unsupported-encoding"
)

// Reader reads a stream element by element. Its first error is final.
type Reader struct {
	in     window
	limits Limits
	err    error

	root     string // name of the stream's start tag as written, "" if none was read
	ended    bool   // the start tag was the end tag too
	bindings []binding
	renamed  string     // namespace that is read as NSClient; "" for none
	attrs    []rawAttr  // of the start tag being read
	kids     []*Element // of all elements that are open, outermost first
	texts    [][]byte   // of all elements that are open, by depth
	scratch  []byte
	known    interned
	cost     int
}

// binding is one namespace declaration in scope.
type binding struct{ prefix, space string }

// rawAttr is an attribute before namespaces are resolved.
type rawAttr struct{ prefix, local, value string }

// streamBindings holds where no stream header has said anything.
var streamBindings = []binding{{"xml", nsXML}, {"", NSClient}, {"stream", NSStream}}

// NewReader returns a reader of a stream, or, as long as [Reader.Open] is not
// called, of elements as they stand in a client's stream.
func NewReader(r io.Reader, limits Limits) *Reader {
	return &Reader{
		in:       window{src: r, buf: make([]byte, 8<<10)},
		limits:   limits.withDefaults(),
		bindings: slices.Clone(streamBindings),
		known:    interned{seed: maphash.MakeSeed()},
	}
}

// Parse reads one whole element, as it stands in a client's stream.
func Parse(s string) (*Element, error) {
	r := NewReader(strings.NewReader(s), Limits{Bytes: len(s) + 1})
	e, err := r.Next()
	if err != nil {
		return nil, err
	}
	if _, err := r.Next(); err != io.EOF {
		return nil, &SyntaxError{notWellFormed, "more than one element"}
	}
	return e, nil
}

// Buffered tells how many bytes were taken from the source and not yet read.
func (r *Reader) Buffered() int { return r.in.end - r.in.pos }

// Cost estimates the memory that the last element takes.
func (r *Reader) Cost() int { return r.cost }

// Open reads the header of a stream, with the XML declaration before it if
// there is one. A stream is restarted by another call. What comes in a
// component's stream is read as if it stood in a client's, from which it
// differs in the namespace alone.
func (r *Reader) Open() (*Element, error) {
	r.start()
	r.renamed = ""
	r.bindings = append(r.bindings[:0], streamBindings[0])
	r.skipSpace()
	if r.peek() != '<' {
		r.syntax(badFormat, "text instead of a stream")
	}
	r.expect('<')
	if r.accept('?') {
		r.declaration()
		r.skipSpace()
		r.expect('<')
	}
	header, empty := r.startTag()
	if r.err != nil {
		return nil, r.err
	}
	r.root, r.ended = header.raw, empty
	if r.resolve("") == NSComponent {
		r.renamed = NSComponent
		r.bind("", NSClient)
	}
	return header.element, nil
}

// Next reads the next element on the first level of the stream. The space
// between elements is passed over without end and costs nothing.
func (r *Reader) Next() (*Element, error) {
	if r.ended {
		r.fail(ErrEnd)
	}
	r.start()
	for r.err == nil && r.in.peek() != '<' {
		if c := r.in.next(); c == 0 && r.in.err != nil {
			r.fail(r.in.err)
		} else if !isSpace(c) {
			r.syntax(badFormat, "text between elements")
		}
		r.start()
	}
	r.expect('<')
	if r.root != "" && r.accept('/') {
		r.endTag(r.root)
		r.fail(ErrEnd)
	}
	e := r.element(1)
	if r.err != nil {
		return nil, r.err
	}
	r.cost += r.in.used()
	return e, nil
}

// start begins the account of one element.
func (r *Reader) start() {
	r.in.mark(r.limits.Bytes)
	r.cost = 0
}

// fail keeps the first error.
func (r *Reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) syntax(condition, format string, args ...any) {
	r.fail(&SyntaxError{condition, fmt.Sprintf(format, args...)})
}

// elementCost is about what an element takes beside its text.
const elementCost = 128

// element reads an element of which the "<" was read.
func (r *Reader) element(depth int) *Element {
	if depth > r.limits.Depth {
		r.fail(&LimitError{"depth"})
		return nil
	}
	r.cost += elementCost
	outer := len(r.bindings)
	tag, empty := r.startTag()
	if r.err != nil {
		return nil
	}
	if !empty {
		r.content(tag, depth)
	}
	r.bindings = r.bindings[:outer]
	return tag.element
}

// content reads all up to and including the end tag.
func (r *Reader) content(tag startTag, depth int) {
	if depth > len(r.texts) {
		r.texts = append(r.texts, nil)
	}
	text := r.texts[depth-1][:0]
	first := len(r.kids)
	for r.err == nil {
		text = r.text(text)
		if r.accept('/') {
			r.endTag(tag.raw)
			break
		}
		if r.accept('!') {
			text = r.cdata(text)
			continue
		}
		if len(r.kids)-first == r.limits.Children {
			r.fail(&LimitError{"children"})
			break
		}
		if kid := r.element(depth + 1); kid != nil {
			r.kids = append(r.kids, kid)
		}
	}
	if kids := r.kids[first:]; len(kids) > 0 {
		tag.element.children = slices.Clone(kids)
		clear(kids)
		r.kids = r.kids[:first]
		if len(bytes.TrimLeft(text, " \t\r\n")) == 0 {
			text = text[:0] // indentation
		}
	}
	tag.element.text = r.known.get(text)
	r.texts[depth-1] = keep(text)
}

// keep returns a buffer for use again, unless one large stanza has made it so
// big that it would be a burden for the life of the stream.
func keep(b []byte) []byte {
	if cap(b) > 64<<10 {
		return nil
	}
	return b
}

// startTag is a start tag that was read: the element and its name as written.
type startTag struct {
	element *Element
	raw     string
}

// startTag reads a start tag from behind its "<" on and tells whether it was
// an empty element's.
func (r *Reader) startTag() (tag startTag, empty bool) {
	tag.raw = r.name()
	r.attrs = r.attrs[:0]
	for r.err == nil {
		spaced := r.skipSpace()
		if r.accept('>') {
			break
		}
		if r.accept('/') {
			r.expect('>')
			empty = true
			break
		}
		if !spaced {
			r.syntax(notWellFormed, "tag %q", tag.raw)
		}
		r.attr()
	}
	if r.err != nil {
		return tag, false
	}
	prefix, local := splitName(tag.raw)
	tag.element = &Element{space: r.resolve(prefix), local: local, attrs: r.resolveAttrs()}
	return tag, empty
}

// attr reads one attribute, or namespace declaration.
func (r *Reader) attr() {
	prefix, local := splitName(r.name())
	r.skipSpace()
	r.expect('=')
	r.skipSpace()
	value := r.attrValue()
	for _, a := range r.attrs {
		if a.local == local && a.prefix == prefix {
			r.syntax(notWellFormed, "attribute %q twice", local)
		}
	}
	if len(r.attrs) == r.limits.Attrs {
		r.fail(&LimitError{"attributes"})
	}
	if r.err != nil {
		return
	}
	r.attrs = append(r.attrs, rawAttr{prefix, local, value})
	switch {
	case prefix == "" && local == "xmlns":
		r.bind("", value)
	case prefix == "xmlns" && (value == "" || local == "xmlns" || (local == "xml") != (value == nsXML)):
		r.syntax(notWellFormed, "namespace of prefix %q", local)
	case prefix == "xmlns":
		r.bind(local, value)
	}
}

// bind declares a prefix. Every name is looked up in what is declared, which
// is why there may not be much of it.
func (r *Reader) bind(prefix, space string) {
	const most = 256
	if len(r.bindings) == most {
		r.fail(&LimitError{"namespaces"})
		return
	}
	if r.renamed != "" && space == r.renamed {
		space = NSClient
	}
	r.bindings = append(r.bindings, binding{prefix, space})
}

// resolve gives the namespace of a prefix.
func (r *Reader) resolve(prefix string) string {
	for i := len(r.bindings) - 1; i >= 0; i-- {
		if r.bindings[i].prefix == prefix {
			return r.bindings[i].space
		}
	}
	if prefix != "" {
		r.syntax(notWellFormed, "undeclared prefix %q", prefix)
	}
	return ""
}

// resolveAttrs gives the attributes that an element keeps.
func (r *Reader) resolveAttrs() []Attr {
	n := 0
	for _, a := range r.attrs {
		if a.prefix == "" && a.local != "xmlns" || a.prefix == "xml" {
			n++
		} else if a.prefix != "" && a.prefix != "xmlns" {
			r.resolve(a.prefix)
		}
	}
	if n == 0 {
		return nil
	}
	attrs := make([]Attr, 0, n)
	for _, a := range r.attrs {
		switch {
		case a.prefix == "xml":
			attrs = append(attrs, Attr{"xml:" + a.local, a.value})
		case a.prefix == "" && a.local != "xmlns":
			attrs = append(attrs, Attr{a.local, a.value})
		}
	}
	return attrs
}

// endTag reads an end tag from behind its "</" on.
func (r *Reader) endTag(raw string) {
	if name := r.name(); r.err == nil && name != raw {
		r.syntax(notWellFormed, "end of %q within %q", name, raw)
	}
	r.skipSpace()
	r.expect('>')
}

// splitName divides a qualified name; [Reader.name] has seen to it that both
// parts are there.
func splitName(raw string) (prefix, local string) {
	if i := strings.IndexByte(raw, ':'); i >= 0 {
		return raw[:i], raw[i+1:]
	}
	return "", raw
}
