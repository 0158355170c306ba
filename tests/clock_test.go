package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// wallClock is what makes a number of a time, or a time of a number: it then follows the clock on the wall, which is set while
// the program runs, and is of no use for how long something takes.
var wallClock = regexp.MustCompile(`\.Unix(Nano|Milli|Micro)?\(\)|time\.Unix(Milli|Micro)?\(`)

// toldTimes are the files that need such numbers, because they tell times to others or to the next run.
var toldTimes = map[string]string{
	"channels/room/subject.go":          "when a subject was set",
	"channels/text/conversation.go":     "when a message came",
	"channels/text/messages.go":         "when a message was sent",
	"channels/text/reports.go":          "when a report came",
	"channels/filetransfer/request.go":  "when a file was changed",
	"channels/filetransfer/transfer.go": "when a file was changed",
	"channels/filetransfer/lateconn.go": "a deadline that has passed",
	"channels/tubes/dbus.go":            "a name that no other tube had",
	"xmpp/socks5/client.go":             "a deadline that has passed",
	"manager/debug.go":                  "when a line was logged",
	"internal/dbuspeer/keyring.go":      "the age of cookies in a file, D-Bus specification",
}

// TestClock has a laptop's clock be set, forwards or backwards, without any timer of the program running early, late or never:
// what is measured is measured with times that have their monotonic reading.
func TestClock(t *testing.T) {
	root := ".."
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if entry.IsDir() || err != nil || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "tests/") || toldTimes[name] != "" {
			return err
		}
		text, err := os.ReadFile(path)
		for _, found := range wallClock.FindAll(text, -1) {
			t.Errorf("%s has %s: a time that jumps when the clock is set", name, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
