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

func main() {
	server := flag.String("server", "", "school server: ejabberd or prosody; default one after the other")
	steps := flag.String("steps", "", "only these steps, separated by commas; default all")
	binary := flag.String("binary", "bin/telepathy-olpc", "connection manager")
	out := flag.String("out", "bin/test-sugar", "folder for reports, logs and screenshots; what the last run left there goes")
	limit := flag.Duration("limit", 15*time.Minute, "longest run")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	inside, status, err := sugar.Enclose()
	if err == nil && inside {
		err = run(*server, *steps, *binary, *out, *limit)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "test-sugar:", err)
		os.Exit(1)
	}
	os.Exit(status)
}

// run plays the steps on the wanted servers.
func run(server, steps, binary, out string, limit time.Duration) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	kinds := school.Kinds
	if server != "" {
		kinds = []school.Kind{school.Kind(server)}
	}
	var wanted []string
	if steps != "" {
		wanted = strings.Split(steps, ",")
	}
	binary, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	if out, err = filepath.Abs(out); err != nil {
		return err
	}
	_, err = os.Stat(binary)
	if err := errors.Join(err, sugar.CheckSteps(wanted), sugar.Installed()); err != nil {
		return err
	}
	var errs []error
	for _, kind := range kinds {
		opts := sugar.Options{Binary: binary, Server: kind, Steps: wanted, Out: filepath.Join(out, string(kind)), Report: os.Stdout}
		if err := sugar.Run(ctx, opts); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", kind, err))
		}
	}
	return errors.Join(errs...)
}
