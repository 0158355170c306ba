package dbuspeer

// Limits on types: D-Bus specification, "Valid Signatures".
const (
	maxSignature = 255
	maxNested    = 32 // arrays in arrays, and structures in structures
)

// isSignature tells whether s is a list of complete types, maybe empty.
func isSignature(s string) bool {
	if len(s) > maxSignature {
		return false
	}
	for s != "" {
		n := firstType(s, 0, 0)
		if n == 0 {
			return false
		}
		s = s[n:]
	}
	return true
}

// isOneType tells whether s is one complete type, as a variant has.
func isOneType(s string) bool {
	return s != "" && len(s) <= maxSignature && firstType(s, 0, 0) == len(s)
}

// firstType gives the length of the first complete type, or 0 if it is bad.
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
	if isBasic(s[0]) {
		return 1
	}
	return 0
}

// dictType is firstType for what begins with "a{".
func dictType(s string, arrays, structures int) int {
	if len(s) < 3 || !isBasic(s[2]) {
		return 0
	}
	n := firstType(s[3:], arrays, structures)
	if n == 0 || 3+n >= len(s) || s[3+n] != '}' {
		return 0
	}
	return 3 + n + 1
}

// skipType gives the length of the first type of a valid signature.
func skipType(s string) int {
	n, open := 0, 0
	for {
		switch s[n] {
		case '(', '{':
			open++
		case ')', '}':
			open--
		}
		n++
		if open == 0 && s[n-1] != 'a' {
			return n
		}
	}
}

func isBasic(kind byte) bool { return fixedSize(kind) > 0 || kind == 's' || kind == 'o' || kind == 'g' }

// fixedSize gives the length of a value, which is also its alignment; 0 if it
// varies.
func fixedSize(kind byte) int {
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

// alignment gives the boundary that a type begins at: D-Bus specification,
// "Summary of D-Bus marshalling".
func alignment(kind byte) int {
	switch kind {
	case 'g', 'v':
		return 1
	case 's', 'o', 'a':
		return 4
	case '(', '{':
		return 8
	}
	return fixedSize(kind)
}
