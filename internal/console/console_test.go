package console

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestWrap(t *testing.T) {
	tests := []struct {
		name, text string
		width      int
		want       []string
	}{
		{"empty", "", 10, []string{""}},
		{"fits", "a b c", 5, []string{"a b c"}},
		{"at spaces", "one two three", 7, []string{"one two", "three"}},
		{"long word stays whole", "a incomprehensible b", 4, []string{"a", "incomprehensible", "b"}},
		{"letters, not bytes", "äöü ßß", 6, []string{"äöü ßß"}},
		{"without width", "one  two\nthree", 0, []string{"one two three"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Wrap(tt.text, tt.width); !slices.Equal(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"Ada Lovelace":       "Ada Lovelace",
		"\x1b[2Jgone":        "·[2Jgone",
		"a\nb\tc\x7f\u009bd": "a·b·c··d",
		"\u202egnp.exe":      "·gnp.exe",
		"Ñandú 🐦":            "Ñandú 🐦",
		"bad\xffbyte":        "bad·byte",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for text, want := range map[string]string{"": "", "four": "four", "fünf!": "fün…"} {
		if got := Cut(text, 4); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestIs_file(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if Is(f) || Colours(f) {
		t.Error("a file is taken for a terminal")
	}
	if w, h := Size(f); w != defaultWidth || h != defaultHeight {
		t.Errorf("size of a file is %d×%d", w, h)
	}
}
