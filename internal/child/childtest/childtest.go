// Package childtest looks for programs that a test's servers and buses left behind.
package childtest

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// WithHome lists the command lines of all processes whose HOME is a folder. A server or bus that is started with such a HOME
// hands it to its descendants, however they detach themselves.
func WithHome(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range files {
		env, err := os.ReadFile(f)
		if err != nil || !bytes.Contains(append([]byte{0}, env...), []byte("\x00HOME="+folder+"\x00")) {
			continue // another user's, or gone meanwhile
		}
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		if err == nil {
			found = append(found, string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
		}
	}
	return found
}
