package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"telepathy-olpc/internal/doctor"
	"telepathy-olpc/manager"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/desktop"
	"telepathy-olpc/tests/school"
)

// A laptop from the moment before Sugar makes its account to the one when it is
// on-line. The school's name is taken from the account.
func TestDoctor_laptop(t *testing.T) {
	s := school.StartTest(t, school.Options{Kind: school.Prosody, Members: []string{"ada"}}) // an empty roster would be waited for
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	d, err := desktop.Start(ctx, desktop.Options{Binary: cmtest.Binary(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("XDG_DATA_DIRS", t.TempDir())
	opts := at(s)
	opts.Bus = d.Address

	r := examine(t, opts)
	laptop(t, r, "manager-files", doctor.Problem, doctor.NoManagerFiles)
	laptop(t, r, "mission-control", doctor.Warning, doctor.MissionAsleep)

	t.Setenv("XDG_DATA_DIRS", managerFiles(t))
	if err := d.Wake(ctx); err != nil {
		t.Fatal(err)
	}
	r = examine(t, opts)
	laptop(t, r, "service-files", doctor.OK, "")
	laptop(t, r, "manager-files", doctor.OK, "")
	laptop(t, r, "account", doctor.Problem, doctor.NoAccount)

	child := desktop.Child{Nick: "Ada", Color: "#FF2B34,#005FE4"}
	path, err := d.SchoolAccount(ctx, child, desktop.School{Domain: s.Domain, Host: s.Host, Port: s.DirectPort})
	if err != nil {
		t.Fatal(err)
	}
	for range d.Signals { // each may be the one after which it is on-line
		if a, err := d.Account(ctx, path); err == nil && a["ConnectionStatus"].Value() == uint32(0) {
			break
		}
	}
	opts.Server, opts.Host = "", ""
	r = examine(t, opts)
	laptop(t, r, "account", doctor.OK, "")
	if r.Server != s.Domain {
		t.Errorf("the school is %q", r.Server)
	}
	if got := r.Finding("room"); got.Level != doctor.OK {
		t.Errorf("room: %+v", got)
	}
}

func laptop(t *testing.T, r *doctor.Report, step string, level doctor.Level, cause doctor.Cause) {
	t.Helper()
	if got := r.Finding(step); got.Level != level || got.Cause != cause {
		t.Errorf("%s is %s, cause %q, %s; want %s, %q", step, got.Level, got.Cause, got.Found, level, cause)
	}
}

// managerFiles is a data folder with both.
func managerFiles(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	folder := filepath.Join(dir, "telepathy", "managers")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, d := range []manager.Definition{manager.Gabble(), manager.Salut()} {
		if err := os.WriteFile(filepath.Join(folder, d.Name+".manager"), []byte(d.ManagerFile()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// command runs the real program with the arguments for a school.
func command(t *testing.T, s *school.Server, args ...string) (stdout string, status int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), cmtest.Binary(t), append([]string{"doctor", "--server", s.Domain, "--host", s.Host,
		"--port", strconv.Itoa(int(s.DirectPort)), "--starttls-port", strconv.Itoa(int(s.Port))}, args...)...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "SSL_CERT_FILE=" + s.CAFile, "SSL_CERT_DIR=" + os.DevNull,
		"TELEPATHY_OLPC_PASSWORD=secret", "GORACE=atexit_sleep_ms=0"}
	var out, log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &log
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if log.Len() > 0 {
		t.Errorf("standard error: %s", &log)
	}
	return out.String(), cmd.ProcessState.ExitCode()
}

func TestDoctor_program(t *testing.T) {
	t.Parallel()
	well := school.StartTest(t, school.Options{CA: true})
	out, status := command(t, well)
	if status != 0 || !strings.Contains(out, "All is well") || strings.Contains(out, "\x1b") || strings.Contains(out, "\r") {
		t.Errorf("status %d, printed:\n%s", status, out)
	}

	closed := school.StartTest(t, school.Options{Kind: school.Prosody, Closed: true, Users: []school.User{{Name: "ada", Password: "secret"}}})
	out, status = command(t, closed, "--json")
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if got := r.Finding("registration"); status != 2 || r.Status != 2 || r.Server != closed.Domain || got.Cause != doctor.Closed || got.Means == "" {
		t.Errorf("status %d, report %+v", status, r)
	}

	out, status = command(t, closed, "--account", "ada@"+closed.Domain)
	if status != 1 || !strings.Contains(out, "ada@school.test/doctor") || strings.Contains(out, "secret") {
		t.Errorf("status %d, printed:\n%s", status, out)
	}
}

func TestDoctor_usage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--port", "70000"}, {"surplus"}, {"--account", "nobody"}, {"--unknown"}} {
		cmd := exec.CommandContext(t.Context(), cmtest.Binary(t), append([]string{"doctor"}, args...)...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}
		if out, err := cmd.Output(); cmd.ProcessState.ExitCode() != 64 || len(out) > 0 {
			t.Errorf("%q: %v, status %d, printed %q", args, err, cmd.ProcessState.ExitCode(), out)
		}
	}
}
