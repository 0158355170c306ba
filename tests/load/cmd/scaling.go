package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"telepathy-olpc/tests/load"
)

// scale is the subcommand.
func scale(args []string) {
	flags := flag.NewFlagSet("scaling", flag.ExitOnError)
	sizes := flags.String("n", "50,100", "children, one number for each school; none writes the documents anew")
	kinds := flags.String("with", "component,roster", "what makes children see each other")
	binary := flags.String("binary", "bin/olpc-gadget", "the component")
	buddies := flags.Int("buddies", 40, "size of the view of buddies")
	activities := flags.Int("activities", 20, "size of the view of activities")
	docs := flags.String("docs", "docs", "folder for scaling.json, scaling.md and scaling.svg")
	limit := flags.Duration("limit", 20*time.Minute, "longest run of one school")
	_ = flags.Parse(args) // which ends the program
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	path, err := filepath.Abs(*binary)
	check(err)
	var all load.Figures
	check(all.Read(*docs))
	for size := range strings.FieldsFuncSeq(*sizes, func(r rune) bool { return r == ',' }) {
		n, err := strconv.Atoi(size)
		check(err)
		for kind := range strings.SplitSeq(*kinds, ",") {
			ctx, cancel := context.WithTimeout(ctx, *limit)
			f, err := load.Scaling(ctx, load.ScalingOptions{
				Children: n, Component: kind == "component", Binary: path, Buddies: *buddies, Activities: *activities, Log: os.Stdout,
			})
			cancel()
			check(err)
			fmt.Printf("%+v\n\n", *f)
			all.Put(*f)
			check(all.Write(*docs))
		}
	}
	check(all.Write(*docs))
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}
