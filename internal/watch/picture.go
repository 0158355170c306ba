package watch

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"telepathy-olpc/internal/console"
	"telepathy-olpc/internal/tp"
)

// Line is one line of a [Picture].
type Line struct {
	Depth int // 0 connections, 1 headings, 2 what is below them
	Text  string
}

// Picture is what there is at a moment.
type Picture struct {
	Lines []Line
	// Complete: what was there before we came has been asked for.
	Complete bool
}

var statusNames = map[tp.ConnectionStatus]string{
	tp.ConnectionStatusConnected: "connected", tp.ConnectionStatusConnecting: "connecting", tp.ConnectionStatusDisconnected: "not connected",
}

var stateNames = map[tp.TubeState]string{
	tp.TubeStateLocalPending: "offered to us", tp.TubeStateRemotePending: "offered", tp.TubeStateOpen: "open",
}

// picture draws everything.
func (w *watcher) picture() Picture {
	p := Picture{Complete: w.isComplete()}
	for _, c := range w.sorted() {
		p.Lines = append(p.Lines, c.lines()...)
	}
	if len(p.Lines) == 0 {
		p.Lines = []Line{{0, "No connection. Sugar makes one when it comes up."}}
	}
	return p
}

func (c *connection) lines() []Line {
	title := cmp.Or(c.self, c.name) + "  " + statusNames[c.status]
	lines := []Line{{0, title}}
	add := func(heading string, texts []string) {
		if len(texts) == 0 {
			return
		}
		lines = append(lines, Line{1, fmt.Sprintf("%s %d", heading, len(texts))})
		for _, text := range texts {
			lines = append(lines, Line{2, text})
		}
	}
	add("Buddies", c.buddyTexts())
	add("Activities", c.activityTexts())
	add("Rooms", c.roomTexts())
	add("Tubes", c.tubeTexts())
	add("Other channels", c.otherTexts())
	return lines
}

// name is what a contact is called.
func (who *contact) name() string { return cmp.Or(who.alias, who.id) }

func (c *connection) buddyTexts() []string {
	var texts []string
	for _, who := range c.contacts {
		text := fmt.Sprintf("%-24s %s", who.name(), who.status)
		for _, a := range who.activities {
			text += "  " + c.activityName(a.Room)
		}
		texts = append(texts, strings.TrimRight(text, " "))
	}
	slices.Sort(texts)
	return texts
}

// activityName is what children call an activity.
func (c *connection) activityName(room uint32) string {
	if name := c.activities[room]["name"]; name != "" {
		return "“" + name + "”"
	}
	return cmp.Or(c.activities[room]["type"], c.room(room))
}

func (c *connection) activityTexts() []string {
	who := make(map[uint32][]string)
	for _, contact := range c.contacts {
		for _, a := range contact.activities {
			who[a.Room] = append(who[a.Room], contact.name())
		}
	}
	var texts []string
	for _, room := range slices.Sorted(maps.Keys(who)) {
		slices.Sort(who[room])
		texts = append(texts, fmt.Sprintf("%-24s %s  %s", c.activityName(room), c.activities[room]["type"], strings.Join(who[room], ", ")))
	}
	return texts
}

func (c *connection) roomTexts() []string {
	var texts []string
	for _, ch := range c.channels {
		if ch.kind == "Room" {
			texts = append(texts, fmt.Sprintf("%s  %d inside", ch.target, len(ch.members)))
		}
	}
	return texts
}

func (c *connection) tubeTexts() []string {
	var texts []string
	for _, ch := range c.channels {
		for _, t := range ch.tubes {
			texts = append(texts, fmt.Sprintf("%-7s %s  %s  %s", t.kind, t.service, stateNames[t.state], ch.target))
		}
	}
	return texts
}

func (c *connection) otherTexts() []string {
	var texts []string
	for _, ch := range c.channels {
		if ch.kind != "Room" && len(ch.tubes) == 0 {
			texts = append(texts, fmt.Sprintf("%-14s %s", ch.kind, ch.target))
		}
	}
	return texts
}

// Write shows a picture in at most that many columns and lines, 0 for any
// number, with bold headings if colours are welcome.
func (p Picture) Write(out io.Writer, columns, lines int, colours bool) error {
	list := p.Lines
	cut := 0
	if lines > 0 && len(list) > lines {
		cut = len(list) - lines + 1
		list = list[:lines-1]
	}
	var b strings.Builder
	for _, line := range list {
		text := strings.Repeat("  ", line.Depth) + console.Printable(line.Text)
		if columns > 0 {
			text = console.Cut(text, columns)
		}
		if colours && line.Depth < 2 {
			text = "\x1b[1m" + text + "\x1b[0m"
		}
		b.WriteString(text + "\n")
	}
	if cut > 0 {
		fmt.Fprintf(&b, "… and %d lines more\n", cut)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
