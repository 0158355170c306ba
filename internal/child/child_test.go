package child

import (
	"bytes"
	"io"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStop_asksFirst(t *testing.T) {
	var out bytes.Buffer
	p := start(t, &out, "trap 'echo asked; exit 3' TERM; echo up; while :; do read x; done")
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, "asked") || p.Err() == nil {
		t.Errorf("printed %q and ended with %v", got, p.Err())
	}
}

func TestKill_takesDescendants(t *testing.T) {
	var out bytes.Buffer
	p := start(t, &out, "echo up; sleep 1000 & sleep 1000")
	if err := p.Kill(); err != nil { // Done waits for the output, which the descendants hold
		t.Fatal(err)
	}
	if err := p.Stop(); err != nil { // on what has gone
		t.Error(err)
	}
}

func TestStart_missing(t *testing.T) {
	if _, err := Start(exec.Command("/nonexistent")); err == nil {
		t.Error("no error")
	}
}

// start runs a shell script that prints "up" when it is ready.
func start(t *testing.T, out *bytes.Buffer, script string) *Process {
	t.Helper()
	cmd := exec.Command("sh", "-c", script)
	up := &firstWrite{to: out, came: make(chan struct{})}
	cmd.Stdout = up
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stdin.Close() })
	p, err := Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-up.came
	return p
}

// firstWrite tells when something has been written.
type firstWrite struct {
	to   io.Writer
	came chan struct{}
	told bool
}

func (w *firstWrite) Write(p []byte) (int, error) {
	if !w.told {
		w.told = true
		close(w.came)
	}
	return w.to.Write(p)
}
