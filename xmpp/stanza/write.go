package stanza

import (
	"strings"
	"unicode/utf8"
)

// String returns the element as it stands in a client's stream.
func (e *Element) String() string { return string(e.AppendXML(nil, NSClient)) }

// AppendXML appends the element to dst, as a child of an element in the
// namespace given. What XML cannot carry is replaced by U+FFFD: a control
// character in a message must not cost the stream.
func (e *Element) AppendXML(dst []byte, parentNS string) []byte {
	if e == nil {
		return dst
	}
	dst = e.appendStart(dst, parentNS)
	if e.text == "" && len(e.children) == 0 {
		return append(dst, "/>"...)
	}
	dst = append(dst, '>')
	dst = appendEscaped(dst, e.text, &escapeInText)
	for _, c := range e.children {
		dst = c.AppendXML(dst, e.space)
	}
	dst = append(dst, "</"...)
	dst = append(dst, e.local...)
	return append(dst, '>')
}

// AppendOpen appends only the start tag, which must be ended by other means:
// it opens a stream or changes it.
func (e *Element) AppendOpen(dst []byte, parentNS string) []byte {
	return append(e.appendStart(dst, parentNS), '>')
}

func (e *Element) appendStart(dst []byte, parentNS string) []byte {
	dst = append(dst, '<')
	dst = append(dst, e.local...)
	if e.space != parentNS {
		dst = appendAttr(dst, "xmlns", e.space)
	}
	for _, a := range e.attrs {
		dst = appendAttr(dst, a.Name, a.Value)
	}
	return dst
}

func appendAttr(dst []byte, name, value string) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, "='"...)
	dst = appendEscaped(dst, value, &escapeInAttr)
	return append(dst, '\'')
}

// escapes says of each byte what is written for it: itself (""), something
// else, or what look takes a decision on.
type escapes [256]string

// look marks the bytes of which the whole rune must be seen.
const look = "look"

// In an attribute tabs and line ends are written as references, since a reader
// turns them into spaces otherwise (XML 1.0 §3.3.3); in a text only the
// carriage return is in danger (§2.11).
var (
	escapeInText = newEscapes(map[byte]string{'\t': "", '\n': "", '\r': "&#xD;"})
	escapeInAttr = newEscapes(map[byte]string{'\t': "&#x9;", '\n': "&#xA;", '\r': "&#xD;", '\'': "&apos;", '"': "&quot;"})
)

func newEscapes(special map[byte]string) escapes {
	var t escapes
	for i := range t {
		if i < ' ' || i >= utf8.RuneSelf {
			t[i] = look
		}
	}
	t['<'], t['>'], t['&'] = "&lt;", "&gt;", "&amp;"
	for c, s := range special {
		t[c] = s
	}
	return t
}

func appendEscaped(dst []byte, s string, table *escapes) []byte {
	done := 0
	for i := plainWords(s); i < len(s); {
		escape := table[s[i]]
		size := 1
		if escape == look {
			var c rune
			c, size = utf8.DecodeRuneInString(s[i:])
			escape = ""
			if !isChar(c) || c == utf8.RuneError && size == 1 {
				escape = string(utf8.RuneError)
			}
		}
		if escape != "" {
			dst = append(dst, s[done:i]...)
			dst = append(dst, escape...)
			done = i + size
		}
		i += size
	}
	return append(dst, s[done:]...)
}

// Clean returns a text as its reader will get it: what XML cannot carry is
// replaced by U+FFFD.
func Clean(s string) string {
	return strings.Map(func(c rune) rune {
		if !isChar(c) {
			return utf8.RuneError
		}
		return c
	}, s)
}

// isChar tells what XML 1.0 §2.2 allows in a document.
func isChar(c rune) bool {
	switch {
	case c < ' ':
		return c == '\t' || c == '\n' || c == '\r'
	case c >= 0xD800 && c <= 0xDFFF:
		return false
	}
	return c <= 0x10FFFF && c != 0xFFFE && c != 0xFFFF
}
