package dbuswire

import (
	"strings"
	"testing"
)

func TestIsSignature(t *testing.T) {
	for s, want := range map[string]bool{
		"": true, "s": true, "a{sv}(iad)ay": true, "a{s(ii)}": true, "aa{ya{yv}}": true,
		"a": false, "()": false, "(": false, "(s": false, "s)": false, "{sv}": false, "a{vs}": false,
		"a{s}": false, "a{sss}": false, "a{(s)s}": false, "a{sv": false, "z": false, "r": false, "e": false,
		strings.Repeat("y", 255): true, strings.Repeat("y", 256): false,
		strings.Repeat("a{y", 32) + "y" + strings.Repeat("}", 32):                         true,
		strings.Repeat("a{y", 33) + "y" + strings.Repeat("}", 33):                         false,
		strings.Repeat("a", 32) + strings.Repeat("(", 32) + "y" + strings.Repeat(")", 32): true,
	} {
		if got := IsSignature(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestFirstType(t *testing.T) {
	for s, want := range map[string]int{
		"": 0, "s": 1, "su": 1, "asu": 2, "a{sv}u": 5, "(iad)ay": 5, "vv": 1, "aa(y(yy))s": 9, "a": 0, ")": 0,
	} {
		if got := FirstType(s); got != want {
			t.Errorf("%q: %d", s, got)
		}
		if one := want > 0 && want == len(s); IsOneType(s) != one {
			t.Errorf("%q is one type: %v", s, !one)
		}
	}
}

func TestAlignment(t *testing.T) {
	for kinds, want := range map[string]int{"ygv": 1, "nq": 2, "biuhsoa": 4, "xtd({": 8} {
		for _, kind := range []byte(kinds) {
			if got := Alignment(kind); got != want {
				t.Errorf("%c: %d", kind, got)
			}
			if n := FixedSize(kind); n != 0 && n != want {
				t.Errorf("%c: %d bytes long", kind, n)
			}
		}
	}
}

// FuzzSignature asserts that first types follow each other and make the whole.
func FuzzSignature(f *testing.F) {
	f.Add("a{sv}(iad)ay")
	f.Fuzz(func(t *testing.T, s string) {
		whole, rest := IsSignature(s), s
		for n := FirstType(rest); n > 0; n = FirstType(rest) {
			if !IsSignature(rest[:n]) && n <= MaxSignature {
				t.Fatalf("%q in %q", rest[:n], s)
			}
			rest = rest[n:]
		}
		if (rest == "" && len(s) <= MaxSignature) != whole {
			t.Fatalf("%q: %v, left %q", s, whole, rest)
		}
	})
}
