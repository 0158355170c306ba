package load

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Figures are those of schools of several sizes, by their number of children.
type Figures []Figure

// Names in the folder of the documents.
const (
	figuresFile = "scaling.json"
	tableFile   = "scaling.md"
	chartFile   = "scaling.svg"
)

// What is between these lines in the document is written by the tool.
const (
	tableBegin = "<!-- figures: go run ./tests/load/cmd scaling -->"
	tableEnd   = "<!-- end of figures -->"
)

// Read reads what was measured before, if anything was.
func (all *Figures) Read(docs string) error {
	text, err := os.ReadFile(filepath.Join(docs, figuresFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return json.Unmarshal(text, all)
}

// Put adds a figure, or replaces that of an earlier run.
func (all *Figures) Put(f Figure) {
	*all = slices.DeleteFunc(*all, func(o Figure) bool { return o.Children == f.Children && o.Component == f.Component })
	*all = append(*all, f)
	slices.SortFunc(*all, func(a, b Figure) int {
		if a.Children != b.Children {
			return a.Children - b.Children
		}
		return strings.Compare(kindOf(a), kindOf(b))
	})
}

// Write writes the figures, the table and the chart.
func (all Figures) Write(docs string) error {
	text, err := json.MarshalIndent(all, "", "\t")
	if err != nil {
		return err
	}
	files := map[string]string{figuresFile: string(text) + "\n", chartFile: all.chart()}
	page, err := os.ReadFile(filepath.Join(docs, tableFile))
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(page), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the figures: %s … %s", tableFile, tableBegin, tableEnd)
	}
	files[tableFile] = before + tableBegin + "\n\n" + all.table() + "\n" + tableEnd + after
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(docs, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func kindOf(f Figure) string {
	if f.Component {
		return "component"
	}
	return "shared roster"
}

// of are the figures of one kind.
func (all Figures) of(component bool) Figures {
	return slices.DeleteFunc(slices.Clone(all), func(f Figure) bool { return f.Component != component })
}

func (all Figures) find(children int, component bool) (Figure, bool) {
	i := slices.IndexFunc(all, func(f Figure) bool { return f.Children == children && f.Component == component })
	if i < 0 {
		return Figure{}, false
	}
	return all[i], true
}

// extrapolated are the sizes that no test machine has room for.
var extrapolated = []int{3_000, 50_000}

// guess extrapolates from the biggest school of its kind: what grows with the
// pairs of children, and what grows with their number.
func (all Figures) guess(n int, component bool) (f Figure, ok bool) {
	kind := all.of(component)
	if len(kind) == 0 {
		return Figure{}, false
	}
	last := kind[len(kind)-1]
	ratio := float64(n) / float64(last.Children)
	if !component {
		ratio *= float64(n-1) / float64(last.Children-1)
	}
	f = Figure{Children: n, Component: component}
	f.Stanzas, f.Bytes, f.News = int64(float64(last.Stanzas)*ratio), int64(float64(last.Bytes)*ratio), int64(float64(last.News)*ratio)
	f.Server.CPU, f.Gadget.CPU = time.Duration(float64(last.Server.CPU)*ratio), time.Duration(float64(last.Gadget.CPU)*ratio)
	return f, true
}

func (all Figures) table() string {
	var b strings.Builder
	b.WriteString("| children | | stanzas to all | to one | MB to all | ratio | full after | asked for | news | server CPU, memory | component CPU, memory |\n")
	b.WriteString("|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, f := range all {
		ratio := ""
		if other, ok := all.find(f.Children, true); ok && !f.Component {
			ratio = fmt.Sprintf("%.1f", float64(f.Stanzas)/float64(other.Stanzas))
		}
		gadget := "–"
		if f.Component {
			gadget = fmt.Sprintf("%s, %d MB", seconds(f.Gadget.CPU), f.Gadget.Peak/1024)
		}
		fmt.Fprintf(&b, "| %d | %s | %s | %s | %.1f | %s | %s | %d | %s | %s, %d MB | %s |\n", f.Children, kindOf(f),
			thousands(f.Stanzas), thousands(f.Stanzas/int64(f.Children)), megabytes(f.Bytes), ratio, seconds(f.Full), f.Fetched, thousands(f.News),
			seconds(f.Server.CPU), f.Server.Peak/1024, gadget)
	}
	b.WriteString("\nExtrapolated from the biggest of each kind, pairs of children for the shared roster and children for the component:\n\n")
	b.WriteString("| children | | stanzas to all | to one | GB to all | ratio | news | server CPU | component CPU |\n|---:|---|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, n := range extrapolated {
		few, is := all.guess(n, true)
		for _, component := range []bool{true, false} {
			f, ok := all.guess(n, component)
			if !ok || !is {
				continue
			}
			ratio, gadget := "", seconds(f.Gadget.CPU)
			if !component {
				ratio, gadget = fmt.Sprintf("%.0f", float64(f.Stanzas)/float64(few.Stanzas)), "–"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %.1f | %s | %s | %s | %s |\n", thousands(int64(n)), kindOf(f), thousands(f.Stanzas),
				thousands(f.Stanzas/int64(n)), megabytes(f.Bytes)/1000, ratio, thousands(f.News), seconds(f.Server.CPU), gadget)
		}
	}
	return b.String()
}

func seconds(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 10*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	case d < 10*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	}
	return fmt.Sprintf("%.0f h", d.Hours())
}

// thousands writes a number with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
