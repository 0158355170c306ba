// Command cmd fills a throwaway school server with simulated children and tells
// what they cost the connection manager of one laptop.
//
//	go run ./tests/load/cmd -n 200
//
// With "scaling" it brings schools of several sizes on-line instead, with a shared
// roster and with the server component, and writes what that took into
// docs/scaling.md and docs/scaling.svg.
//
//	go run ./tests/load/cmd scaling -n 50,100,250
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"telepathy-olpc/tests/load"
	"telepathy-olpc/tests/school"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "scaling" {
		scale(os.Args[2:])
		return
	}
	children := flag.Int("n", 200, "children to simulate; Prosody can cope with some fifty")
	server := flag.String("server", string(school.Ejabberd), "school server: ejabberd or prosody")
	binary := flag.String("binary", "bin/telepathy-olpc", "connection manager")
	rest := flag.Duration("rest", 10*time.Second, "how long nothing happens at the end")
	limit := flag.Duration("limit", 10*time.Minute, "longest run")
	flag.Parse()
	path, err := filepath.Abs(*binary)
	if err != nil || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *limit)
	defer cancel()
	report, err := load.Run(ctx, load.Options{Children: *children, Server: school.Kind(*server), Binary: path, Rest: *rest, Log: os.Stdout})
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
	fmt.Print("\n", report)
}
