// Command telepathy-olpc is the Telepathy connection manager of Sugar. D-Bus
// starts it when a client asks for a connection, and it ends a few seconds
// after the last connection has gone. With a command it is something else: see
// the table commands.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	rtdebug "runtime/debug"
	"syscall"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/manager"
)

// Exit codes: 0 when all connections have ended in peace.
const (
	exitNoBus = 1
	exitTaken = 2
	exitUsage = 64
)

// gcPercent trades a little time for memory: with 5,000 contacts coming on-line
// the peak is 28 MB instead of 36, and an XO-1 has 256 MB for everything.
const gcPercent = 40

// ballastSize is what the garbage collector is made to believe is in use besides:
// memory that nobody touches, and that therefore is none. With a few contacts
// it would collect for each 1.6 MB that come and go, a long message of a tube
// several times; so it does half as often, for 1 to 2 MB more.
const ballastSize = 3 << 20

// version is that of debian/changelog, which the Makefile gives to the linker.
var version = "unknown"

// commands are what else the program can do; without one it is the service.
var commands = map[string]func(args []string) int{
	"doctor": runDoctor,
	"watch":  runWatch,
}

func main() {
	if len(os.Args) > 1 {
		if command, ok := commands[os.Args[1]]; ok {
			os.Exit(command(os.Args[2:]))
		}
	}
	rtdebug.SetGCPercent(gcPercent)
	defer runtime.KeepAlive(make([]byte, ballastSize))
	// All state is on loops, and what wakes what is one chain from socket to socket:
	// a second processor would only be woken for each link of it, which costs up to
	// half of the CPU time of a message.
	runtime.GOMAXPROCS(1)
	flags := flag.NewFlagSet("telepathy-olpc", flag.ContinueOnError)
	persist := flags.Bool("persist", false, "keep running without connections")
	debug := flags.Bool("debug", false, "log decisions to standard error (as TELEPATHY_OLPC_DEBUG=debug)")
	show := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return
		}
		os.Exit(exitUsage)
	}
	if *show {
		fmt.Println("telepathy-olpc", version)
		return
	}
	os.Exit(run(*persist, *debug))
}

func run(persist, debug bool) int {
	keeper := new(manager.Debug)
	log := newLog(debug, keeper)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	b, err := bus.Dial("", log)
	if err != nil {
		fmt.Fprintf(os.Stderr, "telepathy-olpc: session bus: %v\n", err)
		return exitNoBus
	}
	defer b.Close()
	s, err := manager.NewService(b, log, keeper, persist, manager.Gabble(), manager.Salut())
	if err != nil {
		fmt.Fprintf(os.Stderr, "telepathy-olpc: %v\n", err)
		return exitTaken
	}
	s.Run(ctx)
	return 0
}
