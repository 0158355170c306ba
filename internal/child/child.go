// Package child starts programs that cannot outlive this one: servers and buses of tests and of the demo.
package child

import (
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// grace is how long Stop waits between asking and killing, and how long a killed program's descendants may hold its output.
const grace = 8 * time.Second

// Process is one running program in a process group of its own, so that Ctrl-C at the terminal reaches its owner alone.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait; valid when done is closed
}

// Start runs cmd. The program is killed when this process dies, however that happens.
//
// When cmd.Stdout is not an *os.File, [Process.Done] waits for descendants that still hold it as well.
func Start(cmd *exec.Cmd) (*Process, error) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.WaitDelay = grace
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The signal comes when the thread that started the program ends, hence the thread stays (golang.org/issue/27505).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// Pid is the program's process id, and its group's.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done is closed when the program has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how the program ended, nil for exit status 0; only after [Process.Done].
func (p *Process) Err() error { return p.err }

// Stop asks the program to end, kills its group when it does not within some seconds, and returns when it has gone.
func (p *Process) Stop() error {
	if err := p.signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
		return p.signal(syscall.SIGKILL) // whatever it left in its group
	case <-time.After(grace):
		return p.Kill()
	}
}

// Kill ends the program's group at once and returns when the program has gone.
func (p *Process) Kill() error {
	err := p.signal(syscall.SIGKILL)
	<-p.done
	return err
}

func (p *Process) signal(s syscall.Signal) error {
	err := syscall.Kill(-p.Pid(), s)
	if err == nil || errors.Is(err, syscall.ESRCH) {
		return nil
	}
	return fmt.Errorf("send %v to %s: %w", s, p.cmd.Path, err)
}
