package sugar

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestChosen(t *testing.T) {
	for _, tt := range []struct {
		name         string
		wanted, want []string
	}{
		{"all", nil, []string{"neighborhood", "chat", "invite", "journalft", "memorize", "pippy", "calculate", "read", "write", "profile", "return"}},
		{"one, and what it needs", []string{"invite"}, []string{"neighborhood", "invite"}},
		{"in the order of the story", []string{"return", "chat"}, []string{"neighborhood", "chat", "return"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range chosen(tt.wanted) {
				got = append(got, s.name)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("plays %q, want %q", got, tt.want)
			}
		})
	}
	if err := CheckSteps([]string{"chat", "chatt"}); err == nil || !strings.Contains(err.Error(), "chatt") {
		t.Errorf("a step that is not there gives %v", err)
	}
}

// agent is a process that the test plays: it answers each question with the next of its lines, and ends after the last.
func agent(t *testing.T, answers ...string) *Process {
	t.Helper()
	ours, theirs := net.Pipe()
	go func() {
		defer theirs.Close()
		fmt.Fprintln(theirs, `{"role": "sugar_shell", "pid": 7, "bundle": ""}`)
		questions := bufio.NewScanner(theirs)
		for _, a := range answers {
			if !questions.Scan() {
				return
			}
			fmt.Fprintln(theirs, a)
		}
	}()
	p, err := meet(ours)
	if err != nil {
		t.Fatal(err)
	}
	if p.hello.PID != 7 {
		t.Errorf("hello is %+v", p.hello)
	}
	t.Cleanup(func() {
		ours.Close()
		<-p.gone
	})
	return p
}

func TestProcess_answers(t *testing.T) {
	p := agent(t, `{"id": 1, "result": [["Bob", "hello"]]}`, `{"id": 2, "error": "KeyError: 'x'"}`)
	var lines [][]string
	if err := p.call(t.Context(), &lines, "lines"); err != nil || len(lines) != 1 || lines[0][1] != "hello" {
		t.Errorf("got %q, %v", lines, err)
	}
	if err := p.until(t.Context(), nil, "told", "Bob", "hello"); err == nil || !strings.Contains(err.Error(), "KeyError") {
		t.Errorf("an error of the function gives %v", err)
	}
}

func TestProcess_gone(t *testing.T) {
	p := agent(t, `{"id": 1, "result": null}`)
	if err := p.close(t.Context()); err != nil {
		t.Errorf("closing gives %v", err)
	}
	if err := p.call(t.Context(), nil, "lines"); !errors.Is(err, errGone) && !strings.Contains(err.Error(), "closed") {
		t.Errorf("a question to nobody gives %v", err)
	}
}

func TestProcess_patience(t *testing.T) {
	p := agent(t, `{"id": 99, "result": 1}`, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.until(ctx, nil, "told", "Bob", "hello"); err == nil || !strings.Contains(err.Error(), `told["Bob" "hello"]`) {
		t.Errorf("what was awaited is not in %v", err)
	}
}

func TestReport(t *testing.T) {
	var out strings.Builder
	r := &report{out: &out, folder: "there"}
	if !r.check("chat", "Bob joins", func() error { return nil }) || r.end() != nil {
		t.Error("what passes does not pass")
	}
	if r.check("chat", "they chat", func() error { return errors.New("waited in vain") }) || !errors.Is(r.end(), errFailed) {
		t.Error("what fails does not fail")
	}
	for _, want := range []string{"PASS  chat", "FAIL  chat", "      waited in vain", "1 passed, 1 failed", "session.log"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// A folder that no run has written is not emptied.
func TestPrepareOut(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "homework")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareOut(dir); err == nil {
		t.Error("taken")
	}
	if err := os.WriteFile(filepath.Join(dir, "report.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := prepareOut(dir); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("not emptied")
	}
}
