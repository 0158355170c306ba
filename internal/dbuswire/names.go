package dbuswire

import "strings"

// maxName is the longest that a name may be: D-Bus specification, "Valid Names".
// Paths have no such limit.
const maxName = 255

// charClass is what may begin and what may follow in one element of a name.
type charClass struct{ begin, rest func(byte) bool }

var (
	inInterface = charClass{isLetter, isWord}
	inBusName   = charClass{func(c byte) bool { return isLetter(c) || c == '-' }, isWordOrHyphen}
	inUnique    = charClass{isWordOrHyphen, isWordOrHyphen}
	inPath      = charClass{isWord, isWord}
)

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func isWord(c byte) bool { return isLetter(c) || '0' <= c && c <= '9' }

func isWordOrHyphen(c byte) bool { return isWord(c) || c == '-' }

// elements counts those of s between separators; 0 if one is bad or empty.
func (class charClass) elements(s string, separator byte) int {
	n, atBegin := 1, true
	for i := range len(s) {
		c := s[i]
		switch {
		case atBegin && class.begin(c):
			atBegin = false
		case !atBegin && c == separator:
			n++
			atBegin = true
		case atBegin || !class.rest(c):
			return 0
		}
	}
	if atBegin {
		return 0
	}
	return n
}

// IsBusName tells whether s is a unique or a well-known name: D-Bus
// specification, "Bus names".
func IsBusName(s string) bool {
	if len(s) > maxName {
		return false
	}
	if unique, ok := strings.CutPrefix(s, ":"); ok {
		return inUnique.elements(unique, '.') > 1
	}
	return inBusName.elements(s, '.') > 1
}

// IsInterface tells whether s is the name of an interface or of an error.
func IsInterface(s string) bool { return len(s) <= maxName && inInterface.elements(s, '.') > 1 }

// IsMember tells whether s is the name of a method or signal.
func IsMember(s string) bool { return len(s) <= maxName && inInterface.elements(s, '.') == 1 }

// IsPath tells whether s is an object path.
func IsPath(s string) bool {
	return s == "/" || len(s) > 1 && s[0] == '/' && inPath.elements(s[1:], '/') > 0
}
