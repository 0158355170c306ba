package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"telepathy-olpc/internal/console"
	"telepathy-olpc/internal/watch"
)

const watchUsage = `Usage: telepathy-olpc watch [options]

Shows what the running service does: connections, buddies, activities, rooms and
tubes. It only looks. Ctrl-C ends it.

`

// runWatch is the command "watch".
func runWatch(args []string) int {
	flags := flag.NewFlagSet("telepathy-olpc watch", flag.ContinueOnError)
	once := flags.Bool("once", false, "show what there is and exit, which takes some seconds")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), watchUsage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	show := showPlain
	if console.Is(os.Stdout) && !*once {
		fmt.Print("\x1b[?1049h\x1b[?25l") // another screen, without cursor
		defer fmt.Print("\x1b[?25h\x1b[?1049l")
		show = showLive
	}
	err := watch.Run(ctx, watch.Options{Show: func(p watch.Picture) {
		if *once && !p.Complete {
			return
		}
		if show(p) != nil || *once {
			stop()
		}
	}})
	if err != nil {
		fmt.Fprintln(os.Stderr, "telepathy-olpc watch:", err)
		return exitNoBus
	}
	return 0
}

// showPlain writes one picture below the other.
func showPlain(p watch.Picture) error {
	if err := p.Write(os.Stdout, 0, 0, false); err != nil {
		return err
	}
	_, err := fmt.Println()
	return err
}

// showLive writes over the picture before.
func showLive(p watch.Picture) error {
	columns, lines := console.Size(os.Stdout)
	note := "Ctrl-C ends"
	if !p.Complete {
		note = "asking who was there before…"
	}
	fmt.Printf("\x1b[H\x1b[2Jtelepathy-olpc watch  %s  %s\n\n", time.Now().Format(time.TimeOnly), note)
	return p.Write(os.Stdout, columns, lines-3, console.Colours(os.Stdout))
}
