package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	quoted   = regexp.MustCompile("`([^`\n]+)`")
	link     = regexp.MustCompile(`\]\(([^)#\s]+)\)`)
	treePath = regexp.MustCompile(`^(cmd|data|docs|internal|manager|presence|channels|scripts|tests|xmpp)/[\w./-]+$`)
	testName = regexp.MustCompile(`^(Test|Fuzz)\w+…?\w*$`)
	goTest   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)
	limit    = regexp.MustCompile(`^([Mm]ax|default)[A-Z]\w+$`)
	goLimit  = regexp.MustCompile(`(?m)^(?:const|\t) ?(([Mm]ax|default)[A-Z]\w+) +=`)
)

// TestDocs holds README and docs against the tree: files, folders, tests and limits that they name are there. In a test's
// name … stands for anything.
func TestDocs(t *testing.T) {
	root := ".."
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests, limits := names(t, root, "_test.go", goTest), names(t, root, ".go", goLimit)
	for _, page := range append(pages, filepath.Join(root, "README.md"), filepath.Join(root, "CHANGELOG.md")) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range quoted.FindAllStringSubmatch(string(text), -1) {
			switch name := m[1]; {
			case treePath.MatchString(name):
				if _, err := os.Stat(filepath.Join(root, name)); err != nil && !strings.HasPrefix(name, "data/") { // data is built
					t.Errorf("%s names %s, which is not there", page, name)
				}
			case testName.MatchString(name):
				pattern := regexp.MustCompile("(?m)^" + strings.ReplaceAll(name, "…", `\w*`) + "$")
				if !pattern.MatchString(tests) {
					t.Errorf("%s names the test %s, which is not there", page, name)
				}
			case limit.MatchString(name):
				if !strings.Contains(limits, "\n"+name+"\n") {
					t.Errorf("%s names the limit %s, which is not there", page, name)
				}
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
			}
		}
	}
}

// names lists what a pattern finds in the files that end so, one a line.
func names(t *testing.T, root, ending string, pattern *regexp.Regexp) string {
	t.Helper()
	var found strings.Builder
	found.WriteByte('\n')
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ending) {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			found.WriteString(m[1] + "\n")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found.String()
}
