// Command olpc-gadget is the OLPC server component: beside an XMPP server, it
// shows the children of a school to each other in views of bounded size, where
// a shared roster would show everybody to everybody.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/sirupsen/logrus"
)

// Exit codes: 0 when it was told to stop.
const (
	exitFailure = 1
	exitUsage   = 64
)

func main() {
	cfg, err := readConfig(os.Args[1:], os.LookupEnv)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "olpc-gadget: %v\n", err)
		os.Exit(exitUsage)
	}
	log := logrus.New()
	log.SetLevel(cfg.level)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, cfg, logrus.NewEntry(log)); err != nil {
		fmt.Fprintf(os.Stderr, "olpc-gadget: %v\n", err)
		os.Exit(exitFailure)
	}
}

// run is the life of the program.
func run(ctx context.Context, cfg config, log *logrus.Entry) error {
	p, err := newProgram(cfg, log)
	if err != nil {
		return err
	}
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	tellSystemd("READY=1")
	for {
		select {
		case <-reload:
			tellSystemd("RELOADING=1")
			next, err := readConfig(os.Args[1:], os.LookupEnv)
			if err != nil {
				log.WithError(err).Error("Configuration not read, the old one stays")
			} else {
				p.reload(next)
			}
			tellSystemd("READY=1")
		case <-ctx.Done():
			tellSystemd("STOPPING=1")
			return p.stop()
		}
	}
}
