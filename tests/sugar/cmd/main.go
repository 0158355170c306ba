// Command cmd has two unmodified Sugars share activities on throwaway school servers.
//
//	go run ./tests/sugar/cmd -server prosody -steps chat,invite
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"telepathy-olpc/tests/school"
	"telepathy-olpc/tests/sugar"
)

// How children find each other.
const (
	byRoster = "roster" // all are on everybody's list
	byGadget = "gadget" // the server component shows them
)

// lines are the schools.
var lines = []struct {
	server school.Kind
	by     string
}{
	{school.Ejabberd, byRoster},
	{school.Prosody, byRoster},
	{school.Ejabberd, byGadget},
	{school.Prosody, byGadget},
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "", "school server: ejabberd or prosody; default one after the other")
	flag.StringVar(&o.by, "by", "", "how children find each other: by a shared roster or by olpc-gadget; default one after the other")
	flag.StringVar(&o.steps, "steps", "", "only these steps, separated by commas; default all")
	flag.StringVar(&o.binary, "binary", "bin/telepathy-olpc", "connection manager; installed for the one that is")
	flag.StringVar(&o.gadget, "gadget", "bin/olpc-gadget", "server component")
	flag.StringVar(&o.out, "out", "bin/test-sugar", "folder for reports, logs and screenshots; what the last run left there goes")
	flag.BoolVar(&o.login, "login", false, "homes in /home and sockets in /run/user, as after a login; both must be writable")
	limit := flag.Duration("limit", 15*time.Minute, "longest run")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	inside, status, err := sugar.Enclose()
	if err == nil && inside {
		err = o.run(*limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-sugar:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// installed is what stands for the connection manager of this machine, which [sugar.Options] has no path for.
const installed = "installed"

type options struct {
	server, by, steps, binary, gadget, out string
	login                                  bool
}

// run plays the wanted steps in the wanted schools.
func (o options) run(limit time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if o.binary == installed {
		o.binary = ""
	}
	for _, path := range []*string{&o.binary, &o.gadget, &o.out} {
		var err error
		if *path == "" {
			continue
		}
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	runs, err := o.choose()
	if err := errors.Join(err, sugar.Installed()); err != nil {
		return err
	}
	var errs []error
	for _, r := range runs {
		if err := sugar.Run(ctx, r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", filepath.Base(r.Out), err))
		}
	}
	return errors.Join(errs...)
}

// choose makes the options of each run.
func (o options) choose() ([]sugar.Options, error) {
	var runs []sugar.Options
	for _, l := range lines {
		if o.server != "" && o.server != string(l.server) || o.by != "" && o.by != l.by {
			continue
		}
		r := sugar.Options{Binary: o.binary, Login: o.login, Server: l.server, Out: filepath.Join(o.out, string(l.server)), Report: os.Stdout}
		if l.by == byGadget {
			r.Gadget, r.Out = o.gadget, r.Out+"-"+l.by
		}
		if o.steps != "" {
			r.Steps = strings.Split(o.steps, ",")
		}
		runs = append(runs, r)
	}
	if len(runs) == 0 {
		return nil, fmt.Errorf("no school on %q by %q; -h tells what there is", o.server, o.by)
	}
	var errs []error
	for _, r := range runs {
		errs = append(errs, sugar.CheckSteps(r.Steps))
		for _, program := range []string{r.Binary, r.Gadget} {
			if _, err := os.Stat(program); program != "" {
				errs = append(errs, err)
			}
		}
	}
	return runs, errors.Join(errs...)
}
