package cmtest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// process is the activated binary: not our child, so it is watched through a
// pidfd.
type process struct {
	pid      int
	fd       int
	expected atomic.Bool // the end of the process is part of the test
	exited   chan struct{}
}

func watchProcess(t testing.TB, pid int, q *queue) *process {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatalf("watch process %d: %v", pid, err)
	}
	p := &process{pid: pid, fd: fd, exited: make(chan struct{})}
	go p.watch(q)
	return p
}

func (p *process) watch(q *queue) {
	defer close(p.exited)
	for {
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}, -1)
		if err != unix.EINTR {
			break
		}
	}
	q.add(&Event{Kind: KindExited, Source: "cm", Text: fmt.Sprintf("process %d", p.pid)})
	if !p.expected.Load() {
		q.fail(fmt.Sprintf("process %d ended by itself", p.pid))
	}
}

// finish wants the process to be gone soon after its bus.
func (p *process) finish(t testing.TB) {
	defer unix.Close(p.fd)
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Errorf("process %d outlives its bus", p.pid)
		unix.PidfdSendSignal(p.fd, unix.SIGQUIT, nil, 0) // its goroutines go into the log
		<-p.exited
	}
}

// maxMemory is far above what the binary needs, with the race detector's
// share, and far below what hostile input could make of it.
const maxMemory = 400 << 10 // KiB

// CheckMemory fails the test if the process was ever too big.
func (cm *CM) CheckMemory() {
	cm.T.Helper()
	if peak := cm.PeakMemory(); peak > maxMemory {
		cm.T.Errorf("the process needed %d KiB", peak)
	}
}

// PeakMemory is how big the process ever was, in KiB.
func (cm *CM) PeakMemory() int {
	cm.T.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cm.process.pid))
	must(cm.T, err)
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var peak int
	_, err = fmt.Sscan(after, &peak)
	must(cm.T, err)
	return peak
}

// Signal sends a signal to the process.
func (cm *CM) Signal(signal syscall.Signal) {
	cm.T.Helper()
	must(cm.T, unix.PidfdSendSignal(cm.process.fd, signal, nil, 0))
}

// Descriptors counts the open file descriptors of the process.
func (cm *CM) Descriptors() int {
	cm.T.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cm.process.pid))
	must(cm.T, err)
	return len(open)
}

// Sockets are the files in the folders where the process makes its sockets.
func (cm *CM) Sockets() []string {
	cm.T.Helper()
	var all []string
	for _, folder := range []string{"xdg_runtime_dir", "tmpdir"} {
		files, err := filepath.Glob(filepath.Join(cm.daemon.dir, "home", folder, "*"))
		must(cm.T, err)
		all = append(all, files...)
	}
	return all
}

// Goroutines ends the process and counts its goroutines in what Go's runtime
// then writes to the log. The runtime's own come and go as it likes and do not
// count.
func (cm *CM) Goroutines() int {
	cm.T.Helper()
	cm.ExpectExitOn(func() { cm.Signal(syscall.SIGQUIT) }, patience)
	_, dump, _ := strings.Cut(cm.log(), "SIGQUIT: quit")
	return strings.Count(dump, "\ncreated by telepathy-olpc/") + strings.Count(dump, "\ncreated by github.com/")
}

// checkLog wants no panic and no race in the log.
func checkLog(t testing.TB, log string) {
	t.Helper()
	for _, bad := range []string{"panic", "DATA RACE", "fatal error:"} {
		if i := strings.Index(log, bad); i >= 0 {
			t.Errorf("the log has %q:\n%s", bad, excerpt(log, i))
		}
	}
}

// checkSecrets wants no secret where everybody can read it.
func checkSecrets(t testing.TB, where, text string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(text, secret); i >= 0 {
			t.Errorf("the %s has the secret %q:\n%s", where, secret, excerpt(text, i))
		}
	}
}

// excerpt is a piece of text around an index.
func excerpt(text string, i int) string {
	return text[max(0, i-500):min(len(text), i+5000)]
}
