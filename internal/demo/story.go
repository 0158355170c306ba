package main

import (
	"fmt"
	"io"
	"os"
	"time"
)

// voice is who speaks, with a colour of the terminal.
type voice struct{ name, colour string }

var (
	nobody    = voice{}
	theSchool = voice{"School", "36"}
	voices    = []voice{{"Alice", "35"}, {"Bob", "33"}}
)

// story prints; one goroutine calls it.
type story struct {
	out    io.Writer
	colour bool
	begin  time.Time
}

// newStory uses colours when out is a terminal and NO_COLOR is not set (no-color.org).
func newStory(out io.Writer) *story {
	return &story{out: out, colour: isTerminal(out) && os.Getenv("NO_COLOR") == "", begin: time.Now()}
}

func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// heading opens a scene.
func (s *story) heading(text string) { fmt.Fprintf(s.out, "\n%s\n", s.paint("1", text)) }

// tell prints a line of now.
func (s *story) tell(v voice, text string) { s.at(time.Now(), v, text) }

// at prints a line of some moment.
func (s *story) at(when time.Time, v voice, text string) {
	fmt.Fprintf(s.out, "%6.2f s  %s  %s\n", when.Sub(s.begin).Seconds(), s.paint(v.colour, fmt.Sprintf("%-6s", v.name)), text)
}

func (s *story) fail(err error, logs string) {
	fmt.Fprintf(s.out, "\n%s %v\n%s", s.paint("1;31", "It did not work out:"), err, logs)
}

func (s *story) end() {
	fmt.Fprintf(s.out, "\n%s\n", s.paint("1;32", fmt.Sprintf("All as it should be, in %.1f s; everything is cleaned up.", time.Since(s.begin).Seconds())))
}

func (s *story) paint(code, text string) string {
	if !s.colour || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
