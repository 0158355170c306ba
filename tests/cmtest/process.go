package cmtest

import (
	"fmt"
	"strings"
	"sync/atomic"
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
	q.add(&Event{Kind: KindExited, Source: sourceBus, Text: fmt.Sprintf("process %d", p.pid)})
	if !p.expected.Load() {
		q.fail(fmt.Sprintf("process %d ended by itself", p.pid))
	}
}

// finish stops the bus and wants the process to go with it.
func (p *process) finish(t testing.TB, d *daemon) {
	defer unix.Close(p.fd)
	p.expected.Store(true)
	d.stop()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Errorf("process %d outlives its bus", p.pid)
		unix.PidfdSendSignal(p.fd, unix.SIGQUIT, nil, 0) // its goroutines go into the log
		<-p.exited
	}
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

// checkSecrets wants no secret in the log.
func checkSecrets(t testing.TB, log string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if i := strings.Index(log, secret); i >= 0 {
			t.Errorf("the log has the secret %q:\n%s", secret, excerpt(log, i))
		}
	}
}

// excerpt is a piece of text around an index.
func excerpt(text string, i int) string {
	return text[max(0, i-500):min(len(text), i+5000)]
}
