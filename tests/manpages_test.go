package tests

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	manFlag = regexp.MustCompile(`(?m)^\.(?:It|Op) Fl Fl ([a-z0-9-]+)`)
	goFlag  = regexp.MustCompile(`(?:flags\.\w+\(|\{name: )"([a-z0-9-]+)", (?:"|false|0|usage: "[^"]*", set)`)
	goEnv   = regexp.MustCompile(`"([A-Z]+_OLPC_[A-Z]+|OLPC_[A-Z_]+)"`)
)

// TestManPages holds each manual page against its program: all flags that there
// are, with an explanation, and none that there is not; and all variables of
// the environment that are the program's own.
func TestManPages(t *testing.T) {
	pages, err := filepath.Glob("../data/man/*.8")
	if err != nil || len(pages) == 0 {
		t.Fatal("no manual pages", err)
	}
	for _, page := range pages {
		name := strings.TrimSuffix(filepath.Base(page), ".8")
		t.Run(name, func(t *testing.T) {
			text := read(t, page)
			var source strings.Builder
			files, err := filepath.Glob("../cmd/" + name + "/*.go")
			if err != nil || len(files) == 0 {
				t.Fatal("no program", err)
			}
			for _, f := range files {
				if !strings.HasSuffix(f, "_test.go") {
					source.WriteString(read(t, f))
				}
			}
			named, flags := found(manFlag, text), found(goFlag, source.String())
			for _, f := range flags {
				if !strings.Contains(text, "\n.It Fl Fl "+f) {
					t.Errorf("--%s is not explained", f)
				}
			}
			for _, f := range named {
				if !slices.Contains(flags, f) {
					t.Errorf("--%s is not there", f)
				}
			}
			for _, v := range found(goEnv, source.String()) {
				if !strings.Contains(text, v) {
					t.Errorf("%s is not explained", v)
				}
			}
		})
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// found lists the first groups of all matches, each once.
func found(pattern *regexp.Regexp, text string) []string {
	var list []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		list = append(list, m[1])
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestVersion holds the changelogs together: the one for Debian has the version,
// the one for people begins with it.
func TestVersion(t *testing.T) {
	first := regexp.MustCompile(`^telepathy-olpc \(([^)]+)\)`).FindStringSubmatch(read(t, "../debian/changelog"))
	if first == nil {
		t.Fatal("debian/changelog has no version")
	}
	entry := regexp.MustCompile(`(?m)^## \[.*`).FindString(read(t, "../CHANGELOG.md"))
	if !strings.Contains(entry, first[1]) {
		t.Errorf("debian/changelog begins with %s, CHANGELOG.md with %q", first[1], entry)
	}
}
