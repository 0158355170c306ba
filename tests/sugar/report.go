package sugar

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// report tells line by line what passed and what failed, and at the end where to look.
type report struct {
	out            io.Writer
	folder         string
	began          time.Time
	passed, failed int
}

func (r *report) title(text string) { fmt.Fprintf(r.out, "\n%s\n", text) }

// check makes one check and gives whether it passed.
func (r *report) check(step, what string, do func() error) bool {
	began := time.Now()
	err := do()
	took := time.Since(began).Seconds()
	if err == nil {
		r.passed++
		fmt.Fprintf(r.out, "PASS  %-14s %-60s %6.1f s\n", step, what, took)
		return true
	}
	r.failed++
	fmt.Fprintf(r.out, "FAIL  %-14s %-60s %6.1f s\n", step, what, took)
	r.note("%v", err)
	return false
}

// note explains what stands above it.
func (r *report) note(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), "\n")
	fmt.Fprintln(r.out, "      "+strings.ReplaceAll(text, "\n", "\n      "))
}

// guide says where to look when a check has failed.
const guide = `look there, for each child, at
  failed-*.png    the screen at the end of the step that failed
  session.log     the bus and what it starts: mission-control, and the connection manager with all its stanzas
  shell.log       the shell; Sugar's own logs, one for each activity, are in the folder sugar
and at server.log, the school server's, and gadget.log, the component's if there is one`

// end sums up.
func (r *report) end() error {
	fmt.Fprintf(r.out, "%d passed, %d failed in %.0f s; screenshots and logs: %s\n", r.passed, r.failed, time.Since(r.began).Seconds(), r.folder)
	if r.failed == 0 {
		return nil
	}
	r.note(guide)
	return errFailed
}
