// Package dbuswire is what both ends of D-Bus know of types, as the D-Bus
// specification writes them: signatures, alignment and lengths.
package dbuswire

// Limits on types: D-Bus specification, "Valid Signatures".
const (
	MaxSignature = 255
	maxNested    = 32 // arrays in arrays, and structures in structures
)

// IsSignature tells whether s is a list of complete types, maybe empty.
func IsSignature(s string) bool {
	if len(s) > MaxSignature {
		return false
	}
	for s != "" {
		n := FirstType(s)
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

// IsOneType tells whether s is one complete type, as a variant has.
func IsOneType(s string) bool {
	return s != "" && len(s) <= MaxSignature && FirstType(s) == len(s)
}

// FirstType gives the length of the first complete type of a signature, or 0 if
// there is none.
func FirstType(s string) int { return firstType(s, 0, 0) }

// firstType is FirstType inside of so many others.
func firstType(s string, arrays, structures int) int {
	if s == "" || arrays > maxNested || structures > maxNested {
		return 0
	}
	switch s[0] {
	case 'a':
		if len(s) > 1 && s[1] == '{' {
			return dictType(s, arrays+1, structures+1)
		}
		if n := firstType(s[1:], arrays+1, structures); n > 0 {
			return 1 + n
		}
		return 0
	case '(':
		at := 1
		for at < len(s) && s[at] != ')' {
			n := firstType(s[at:], arrays, structures+1)
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
	if IsBasic(s[0]) {
		return 1
	}
	return 0
}

// dictType is firstType for what begins with "a{".
func dictType(s string, arrays, structures int) int {
	if len(s) < 3 || !IsBasic(s[2]) {
		return 0
	}
	n := firstType(s[3:], arrays, structures)
	if n == 0 || 3+n >= len(s) || s[3+n] != '}' {
		return 0
	}
	return 3 + n + 1
}

// IsBasic tells whether a type is no container, so that a dictionary can have it
// for its keys.
func IsBasic(kind byte) bool { return FixedSize(kind) > 0 || kind == 's' || kind == 'o' || kind == 'g' }

// FixedSize gives the length of a value, which is also its alignment; 0 if it
// varies.
func FixedSize(kind byte) int {
	switch kind {
	case 'y':
		return 1
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 'h':
		return 4
	case 'x', 't', 'd':
		return 8
	}
	return 0
}

// Alignment gives the boundary that a type begins at: D-Bus specification,
// "Summary of D-Bus marshalling".
func Alignment(kind byte) int {
	switch kind {
	case 'g', 'v':
		return 1
	case 's', 'o', 'a':
		return 4
	case '(', '{':
		return 8
	}
	return FixedSize(kind)
}
