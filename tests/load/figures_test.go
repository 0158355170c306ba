package load

import (
	"os"
	"path/filepath"
	"testing"
)

// The documents are what the tool makes of the figures.
func TestFigures_documents(t *testing.T) {
	const docs = "../../docs"
	dir := t.TempDir()
	for _, name := range []string{figuresFile, tableFile, chartFile} {
		text, err := os.ReadFile(filepath.Join(docs, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var all Figures
	if err := all.Read(docs); err != nil {
		t.Fatal(err)
	}
	if err := all.Write(dir); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{figuresFile, tableFile, chartFile} {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(docs, name)); err != nil || string(got) != string(want) {
			t.Errorf("docs/%s is not what go run ./tests/load/cmd scaling -n \"\" writes", name)
		}
	}
}

func TestFigures_guess(t *testing.T) {
	all := Figures{{Children: 100, Stanzas: 99_000}, {Children: 100, Component: true, Stanzas: 6_000}}
	for _, c := range []struct {
		component bool
		want      int64
	}{{false, 8_997_000}, {true, 60_000 * 3}} {
		n := 3_000
		if !c.component {
			c.want = int64(99_000 * 3_000 / 100 * 2_999 / 99)
		}
		if f, ok := all.guess(n, c.component); !ok || f.Stanzas != c.want {
			t.Errorf("component %v: %d stanzas, want %d", c.component, f.Stanzas, c.want)
		}
	}
	if _, ok := all[:1].guess(3_000, true); ok {
		t.Error("guessed without a figure")
	}
}
