package stanza

import (
	"strings"
	"testing"
)

// TestPlainWords has each byte at each place of a word.
func TestPlainWords(t *testing.T) {
	for c := range 256 {
		plain := c >= ' ' && c < 0x80 && !strings.ContainsRune(`<>&'"`, rune(c))
		for at := range 20 {
			text := []byte("ABCDEFGHIJKLMNOPQRST")
			text[at] = byte(c)
			want := 16
			if !plain {
				want = min(at/8*8, 16)
			}
			if got, again := plainWords(text), plainWords(string(text)); got != want || again != want {
				t.Errorf("byte %#x at %d: %d and %d, not %d", c, at, got, again, want)
			}
		}
	}
	if plainWords("") != 0 || plainWords("1234567") != 0 {
		t.Error("what is less than a word counts")
	}
}
