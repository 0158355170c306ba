package doctor

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"telepathy-olpc/internal/console"
)

// Printer shows an examination to people as it goes on.
type Printer struct {
	Out     io.Writer
	Live    bool // show which step is under way, and rub that out again
	Colours bool
	Width   int // columns; 0 has long lines

	group string
}

// colours of the levels, ECMA-48 §8.3.117.
var colours = map[Level]string{OK: "32", Warning: "33", Problem: "1;31", Skipped: "2"}

// Columns of what stands before a finding.
const (
	levelColumns = 9
	titleColumns = 20
	indent       = "  "
)

// Begun shows that a step is under way.
func (p *Printer) Begun(title string) {
	if p.Live {
		fmt.Fprintf(p.Out, "%s%s%s…", indent, p.paint(Skipped, pad("…", levelColumns)), title)
	}
}

// Found shows what it came to.
func (p *Printer) Found(f Finding) {
	if p.Live {
		fmt.Fprint(p.Out, "\r\x1b[K")
	}
	if f.Group != p.group {
		p.group = f.Group
		fmt.Fprintf(p.Out, "\n%s\n", p.bold(f.Group))
	}
	head := indent + p.paint(f.Level, pad(string(f.Level), levelColumns)) + pad(f.Title, titleColumns)
	margin := strings.Repeat(" ", len(indent)+levelColumns+titleColumns)
	p.lines(head, margin, f.Found)
	if f.Cause == "" {
		return
	}
	for _, a := range []struct{ label, text string }{
		{"means", f.Means}, {"do", f.Do}, {"ejabberd", f.Ejabberd}, {"Prosody", f.Prosody},
	} {
		if a.text != "" {
			margin := strings.Repeat(" ", len(indent)+levelColumns)
			p.lines(margin+p.paint(Skipped, pad(a.label, levelColumns+1)), margin+strings.Repeat(" ", levelColumns+1), a.text)
		}
	}
}

// lines shows a text behind a head, further lines behind a margin.
func (p *Printer) lines(head, margin, text string) {
	width := 0
	if p.Width > 0 {
		width = max(p.Width-len(margin), 20)
	}
	for i, line := range console.Wrap(console.Printable(text), width) {
		if i > 0 {
			head = margin
		}
		fmt.Fprintln(p.Out, strings.TrimRight(head+line, " "))
	}
}

// End shows what all came to.
func (p *Printer) End(r *Report) {
	problems, warnings := r.Count(Problem), r.Count(Warning)
	level, text := OK, "All is well: children on this server can find each other and share."
	switch {
	case problems > 0:
		level, text = Problem, fmt.Sprintf("%s, %s. Begin with the first one: the others may come from it.", number(problems, "problem"), number(warnings, "warning"))
	case warnings > 0:
		level, text = Warning, number(warnings, "warning")+". Children can share."
	case r.Status != 0:
		level, text = Warning, "Interrupted."
	}
	fmt.Fprintf(p.Out, "\n%s\n", p.paint(level, text))
}

func (p *Printer) paint(l Level, text string) string { return p.escape(colours[l], text) }

func (p *Printer) bold(text string) string { return p.escape("1", text) }

func (p *Printer) escape(code, text string) string {
	if !p.Colours {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func pad(text string, columns int) string {
	return text + strings.Repeat(" ", max(1, columns-len([]rune(text))))
}

// WriteJSON writes a report for scripts.
func (r *Report) WriteJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
