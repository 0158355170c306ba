package tubes

import (
	"crypto/sha1"
	"encoding/base64"
	"strings"
)

// Limits of names in D-Bus: maxPlainNick is the longest nick that fits whole
// into a name of at most maxName bytes.
const (
	maxName      = 255
	maxPlainNick = 186
	nickPrefix   = 169 // of a longer one, followed by its hash
)

// Prefixes of unique names in rooms. Those of the newer kind follow from the
// nick, so that nobody can take another's; programs before made theirs up.
const (
	newPrefix = ":2."
	oldPrefix = ":1."
)

// forDBus replaces what D-Bus names cannot hold. The proto-XEP swaps the two
// characters that RFC 4648 §5 has for the first two.
var forDBus = strings.NewReplacer("+", "_", "/", "-", "=", "A")

// UniqueName returns the D-Bus name, in all tubes of a room, of the occupant
// with this nick, as the room has prepared it.
func UniqueName(nick string) string {
	b := []byte(nick)
	if len(b) > maxPlainNick {
		hash := sha1.Sum(b)
		b = append(b[:nickPrefix:nickPrefix], hash[:]...)
	}
	return newPrefix + forDBus.Replace(base64.StdEncoding.EncodeToString(b))
}

// CheckName tells whether an occupant may announce the name as its own: it is
// that of its nick, or of the older kind and one that D-Bus allows.
func CheckName(name, nick string) bool {
	rest, old := strings.CutPrefix(name, oldPrefix)
	if !old {
		return name == UniqueName(nick)
	}
	return len(name) <= maxName && !strings.Contains("."+rest+".", "..") && !strings.ContainsFunc(rest, isForeign)
}

// isForeign tells whether a unique name cannot hold the character, D-Bus
// specification, "Valid Names".
func isForeign(c rune) bool {
	return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.')
}
