// Command demo tells, live, the story of two children whose laptops meet on a school server: real mission-control, a real
// server, the connection manager that was built here, all on throwaway buses, folders and ports. It is behind "make run".
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"telepathy-olpc/tests/school"
)

func main() {
	server := flag.String("server", string(school.Ejabberd), "school server: ejabberd or prosody")
	binary := flag.String("binary", "bin/telepathy-olpc", "connection manager")
	stay := flag.Bool("stay", false, "keep everything running until Ctrl-C when the story is told")
	flag.Parse()
	path, err := filepath.Abs(*binary)
	if err != nil || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	d := newDemo(school.Kind(*server), path, os.Stdout)
	d.stay = *stay
	os.Exit(run(ctx, d))
}

// run plays all scenes, cleans up, and gives the exit status.
func run(ctx context.Context, d *demo) int {
	err := d.play(ctx)
	if err == nil && d.stay {
		d.stayUntil(ctx)
	}
	stopped := ctx.Err() != nil
	if err != nil && !stopped {
		d.story.fail(err, d.logs())
	}
	if cleanup := d.cleanUp(); cleanup != nil {
		err = errors.Join(err, cleanup)
		fmt.Fprintln(os.Stderr, "demo: clean up:", cleanup)
	}
	switch {
	case err == nil:
		d.story.end()
		return 0
	case stopped:
		d.story.tell(nobody, "Stopped and cleaned up.")
		return 130
	}
	return 1
}
