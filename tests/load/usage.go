package load

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// Usage is what a process takes.
type Usage struct {
	Memory, Peak int // KiB, resident
	CPU          time.Duration
}

// usageOf asks the kernel, proc(5).
func usageOf(pid int) (Usage, error) {
	var u Usage
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	for field, value := range map[string]*int{"VmRSS:": &u.Memory, "VmHWM:": &u.Peak} {
		_, after, _ := bytes.Cut(status, []byte(field))
		if _, err := fmt.Sscan(string(after), value); err != nil {
			return u, fmt.Errorf("read %s of process %d: %w", field, pid, err)
		}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	// User and system time are fields 14 and 15; the second, a name in brackets, may hold anything.
	var user, system time.Duration
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if _, err := fmt.Sscan(string(bytes.Join(fields[11:13], []byte(" "))), &user, &system); err != nil {
		return u, fmt.Errorf("read times of process %d: %w", pid, err)
	}
	const tick = time.Second / 100 // USER_HZ of Linux
	u.CPU = (user + system) * tick
	return u, nil
}
