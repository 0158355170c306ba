package connection

import "testing"

func TestEscape(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"letters and digits", "ada1", "ada1"},
		{"leading digit", "1ada", "_31ada"},
		{"address", "a@b.c/d", "a_40b_2ec_2fd"},
		{"underscore is escaped too", "a_b", "a_5fb"},
		{"UTF-8 byte by byte", "é", "_c3_a9"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := escape(row.in); got != row.want {
				t.Errorf("escape(%q) = %q, want %q", row.in, got, row.want)
			}
		})
	}
}
