package jid

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     JID // zero: refused
	}{
		{"full", "a@school.test/sugar", JID{"a", "school.test", "sugar"}},
		{"bare", "a@school.test", JID{"a", "school.test", ""}},
		{"domain", "school.test", JID{"", "school.test", ""}},
		{"domain and resource", "school.test/x", JID{"", "school.test", "x"}},
		{"letters are folded", "Ana@School.Test/Sugar", JID{"ana", "school.test", "Sugar"}},
		{"key hash", "9f3c00000000000000000000000000000000abcd@school.test", JID{"9f3c00000000000000000000000000000000abcd", "school.test", ""}},
		{"host without dots", "a@schoolserver", JID{"a", "schoolserver", ""}},
		{"IPv4", "a@192.168.0.1", JID{"a", "192.168.0.1", ""}},
		{"IPv6", "a@[::1]/x", JID{"a", "[::1]", "x"}},
		{"slashes and at-signs in the resource", "a@b/c/d@e", JID{"a", "b", "c/d@e"}},
		{"beyond ASCII", "josé@school.test/niño ♥", JID{"josé", "school.test", "niño ♥"}},
		{"empty", "", JID{}},
		{"empty local", "@b", JID{}},
		{"empty resource", "a@b/", JID{}},
		{"space in local", "a b@c", JID{}},
		{"quotes in local", `a"b@c`, JID{}},
		{"not UTF-8", "a\xff@b", JID{}},
		{"long local", strings.Repeat("a", 1024) + "@b", JID{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := Parse(c.in)
			if got != c.want || (err == nil) == c.want.IsZero() {
				t.Errorf("got %#v, %v; want %#v", got, err, c.want)
			}
		})
	}
}

func TestParseLenient(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     JID
	}{
		{"full", "a@b/c", JID{"a", "b", "c"}},
		{"bare", "a@b", JID{"a", "b", ""}},
		{"domain", "b", JID{"", "b", ""}},
		{"domain and resource", "b/c@d", JID{"", "b", "c@d"}},
		{"nothing is changed", "A B@C_d/ e  f ", JID{"A B", "C_d", " e  f "}},
		{"slashes in the resource", "a@b/c/d", JID{"a", "b", "c/d"}},
		{"emoji of a newer Unicode", "r@c/\U0001FAE9", JID{"r", "c", "\U0001FAE9"}},
		{"longest parts", part(1023) + "@" + part(1023) + "/" + part(1023), JID{part(1023), part(1023), part(1023)}},
		{"empty", "", JID{}},
		{"empty local", "@b", JID{}},
		{"empty domain", "a@", JID{}},
		{"empty domain before resource", "a@/c", JID{}},
		{"empty resource", "a@b/", JID{}},
		{"only a slash", "/", JID{}},
		{"long local", part(1024) + "@b", JID{}},
		{"long domain", "a@" + part(1024), JID{}},
		{"long resource", "a@b/" + part(1024), JID{}},
		{"not UTF-8", "a@b/\xff", JID{}},
		{"line end", "a@b/c\nd", JID{}},
		{"tab", "a\t@b", JID{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseLenient(c.in)
			if got != c.want || (err == nil) == c.want.IsZero() {
				t.Errorf("got %#v, %v; want %#v", got, err, c.want)
			}
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("the error repeats all of it: %v", err)
			}
		})
	}
}

func part(n int) string { return strings.Repeat("x", n) }

func TestNew(t *testing.T) {
	if got, err := New("Ana", "School.test", "X"); err != nil || got != (JID{"ana", "school.test", "X"}) {
		t.Errorf("got %#v, %v", got, err)
	}
	if got, err := New("a/b", "c", ""); err == nil {
		t.Errorf("a slash in the local part gave %#v", got)
	}
}

func TestJID_parts(t *testing.T) {
	j := JID{"a", "b", "c"}
	if j.Local() != "a" || j.Domain() != "b" || j.Resource() != "c" {
		t.Errorf("parts of %s", j)
	}
	if j.Bare() != (JID{"a", "b", ""}) || j.Bare().WithResource("c") != j || !j.Bare().IsBare() || j.IsBare() || j.IsZero() {
		t.Errorf("bare of %s", j)
	}
	if (JID{}).String() != "" || !(JID{}).IsZero() {
		t.Error("zero value")
	}
}

// FuzzParseLenient asserts that an address that was taken is written as it
// came, and that whatever the strict rules take the lenient ones do too.
func FuzzParseLenient(f *testing.F) {
	for _, s := range []string{"a@b/c", "a@b", "b", "b/c@d", "A@B/C", "a@b/", "@", "/", "a@[::1]/x", "\u200e@b", "a@xn--/x", "ﬁ@host."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if j, err := ParseLenient(s); err == nil && j.String() != s {
			t.Errorf("%q became %q", s, j)
		}
		strict, err := Parse(s)
		if err != nil {
			return
		}
		if lenient, err := ParseLenient(strict.String()); err != nil || lenient != strict {
			t.Errorf("%q is %#v strictly and %#v, %v leniently", s, strict, lenient, err)
		}
	})
}
