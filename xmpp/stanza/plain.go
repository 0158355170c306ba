package stanza

// plainWords tells how many bytes at the beginning of s, in words of eight, are
// ASCII from the space on without the five that XML has names for: nothing that
// a reader or writer has to decide on. Long texts are base64 most of the time,
// and a look at each byte takes as long there as encryption.
func plainWords[T string | []byte](s T) int {
	n := 0
	for ; len(s)-n >= 8; n += 8 {
		w := s[n : n+8]
		x := uint64(w[0]) | uint64(w[1])<<8 | uint64(w[2])<<16 | uint64(w[3])<<24 |
			uint64(w[4])<<32 | uint64(w[5])<<40 | uint64(w[6])<<48 | uint64(w[7])<<56
		// The second is right because of the first: of bytes below 0x80 only one
		// below the space has its highest bit set when the space is taken off.
		if x&highs != 0 || (x-ones*' ')&highs != 0 ||
			has(x|ones*('<'^'>'), '<'|'>') || has(x|ones*('&'^'\''), '&'|'\'') || has(x, '"') {
			break
		}
	}
	return n
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// has tells whether a byte of x is c.
func has(x uint64, c byte) bool {
	x ^= ones * uint64(c)
	return (x-ones)&^x&highs != 0
}
