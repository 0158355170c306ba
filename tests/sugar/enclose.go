package sugar

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// enclosed is set in the environment of a program that runs in namespaces of its own: by [Enclose], or by somebody who has made
// them for a user who could not (tests/packages/try-sugar).
const enclosed = "SUGAR_TEST_ENCLOSED"

// Enclose runs this program again in network, PID and mount namespaces of its own and gives its exit status; inside is true in
// that second one, which goes on. There port 5223 is free, whatever the machine runs, and all processes end with the program,
// however it ends. A user who is not root gets a user namespace as well, in which they are.
func Enclose() (inside bool, status int, err error) {
	if os.Getenv(enclosed) != "" {
		if os.Getuid() != 0 {
			return true, 0, nil // whoever made the namespaces has prepared them too
		}
		return true, 0, errors.Join(loopbackUp(), ownSockets())
	}
	runtime.LockOSThread() // the program is killed when this thread ends
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), enclosed+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
	}
	if err := cmd.Start(); err != nil {
		return false, 1, fmt.Errorf("make namespaces, which needs root or user namespaces for everybody: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return false, max(exit.ExitCode(), 1), nil
	}
	return false, 0, err
}

// loopbackUp switches on the only interface of a new network namespace.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo); err != nil {
		return fmt.Errorf("switch on the loopback interface: %w", err)
	}
	return nil
}

// ownSockets covers the folders in which X has its sockets, whose owner must be root, which in a user namespace is somebody else.
func ownSockets() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	for _, dir := range []string{"/tmp/.X11-unix", "/tmp/.ICE-unix"} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			return fmt.Errorf("cover %s: %w", dir, err)
		}
	}
	return nil
}
