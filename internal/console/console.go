// Package console is what programs for people need to know of the terminal
// they run in: whether there is one, how wide it is, how to ask for a password
// and how to put long text into lines.
package console

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Is tells whether a file is a terminal that understands escape sequences.
func Is(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil && os.Getenv("TERM") != "dumb"
}

// Colours tells whether colours are welcome there, https://no-color.org.
func Colours(f *os.File) bool { return Is(f) && os.Getenv("NO_COLOR") == "" }

// defaultWidth and defaultHeight are for terminals that do not tell.
const (
	defaultWidth  = 80
	defaultHeight = 24
)

// Size gives the columns and lines of a terminal.
func Size(f *os.File) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return defaultWidth, defaultHeight
	}
	return int(size.Col), int(size.Row)
}

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New("no terminal to ask for the password")

// Password asks for a password without showing what is typed.
func Password(prompt string) (string, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return "", errNoTerminal
	}
	defer tty.Close()
	state, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		return "", errNoTerminal
	}
	silent := *state
	silent.Lflag &^= unix.ECHO
	silent.Lflag |= unix.ICANON | unix.ISIG
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, &silent); err != nil {
		return "", err
	}
	defer unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, state)
	fmt.Fprint(tty, prompt)
	line, err := bufio.NewReader(tty).ReadString('\n')
	fmt.Fprintln(tty)
	if err != nil && err != io.EOF {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}

// Printable is a text from outside as a terminal may get it: without anything
// that moves the cursor or changes what is there.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError, r < ' ', r >= 0x7f && r < 0xa0, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069:
			return '·'
		default:
			return r
		}
	}, text)
}

// Wrap puts a text into lines of at most that many columns where it has
// spaces; width 0 and less is one line.
func Wrap(text string, width int) []string {
	var lines []string
	line, columns := "", 0
	for _, word := range strings.Fields(text) {
		n := utf8.RuneCountInString(word)
		if line != "" && width > 0 && columns+1+n > width {
			lines = append(lines, line)
			line, columns = "", 0
		}
		if line != "" {
			line += " "
			columns++
		}
		line += word
		columns += n
	}
	return append(lines, line)
}

// Cut shortens a text to that many columns, with … for what is left out.
func Cut(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	runes := []rune(text)
	return string(runes[:max(0, width-1)]) + "…"
}
