package cmtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// build makes the binary once for all tests of the process.
var build = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("CM_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	dir, err := os.MkdirTemp("", "cmtest-bin-")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "telepathy-olpc")
	cmd := exec.Command("go", "build", "-race", "-o", path, "telepathy-olpc/cmd/telepathy-olpc")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the connection manager: %w\n%s", err, out)
	}
	return path, nil
})

// Binary is the path of the connection manager that a CM runs, for other
// harnesses that share it.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := build()
	must(t, err)
	return path
}

// buildDir is what [Main] removes.
var buildDir string

// Main is the TestMain of a package that uses cmtest: it runs the tests, removes
// the binary that they shared and looks for goroutines left behind.
func Main(m *testing.M) {
	code := m.Run()
	if buildDir != "" {
		os.RemoveAll(buildDir)
	}
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
