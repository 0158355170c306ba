package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"telepathy-olpc/internal/console"
	"telepathy-olpc/internal/doctor"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
)

// passwordVariable holds the password of --account where there is no terminal
// to ask for it.
const passwordVariable = "TELEPATHY_OLPC_PASSWORD"

const doctorUsage = `Usage: telepathy-olpc doctor [options]

Goes through what Sugar needs to let children share: this laptop, the way to the
school's server, and the server, where it plays two new laptops and removes
their accounts again. Exit status: 0 all well, 1 warnings, 2 problems.

`

// runDoctor is the command "doctor".
func runDoctor(args []string) int {
	flags := flag.NewFlagSet("telepathy-olpc doctor", flag.ContinueOnError)
	server := flags.String("server", "", "name of the school's `server`; without it that of Sugar's account")
	host := flags.String("host", "", "where the server is, `address` or name, if DNS does not know")
	port := flags.Uint("port", 0, "`port` with TLS from the first byte (default 5223)")
	port2 := flags.Uint("starttls-port", 0, "`port` with STARTTLS (default 5222)")
	account := flags.String("account", "", "an account that exists, `name@server`, instead of throwaway ones; its password is asked for, or is in "+passwordVariable)
	asJSON := flags.Bool("json", false, "write a report for scripts")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), doctorUsage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return exitUsage
	}
	opts := doctor.Options{Server: *server, Host: *host, Port: uint16(*port), Port2: uint16(*port2)}
	if err := check(&opts, flags.Args(), *port, *port2, *account); err != nil {
		fmt.Fprintln(os.Stderr, "telepathy-olpc doctor:", err)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if *asJSON {
		report := doctor.Run(ctx, opts)
		if err := report.WriteJSON(os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "telepathy-olpc doctor:", err)
		}
		return report.Status
	}
	printer := newPrinter(os.Stdout)
	opts.Begun, opts.Found = printer.Begun, printer.Found
	report := doctor.Run(ctx, opts)
	printer.End(report)
	return report.Status
}

var (
	errArguments = errors.New("too many arguments")
	errPort      = errors.New("a port is a number up to 65535")
)

// check completes the options.
func check(opts *doctor.Options, rest []string, port, port2 uint, account string) error {
	if len(rest) > 0 {
		return errArguments
	}
	if port > 65535 || port2 > 65535 {
		return errPort
	}
	if account == "" {
		return nil
	}
	j, err := jid.Parse(account)
	if err != nil || j.Local() == "" {
		return fmt.Errorf("%q is no account: name@server is", account)
	}
	password, set := os.LookupEnv(passwordVariable)
	if !set {
		if password, err = console.Password("Password of " + j.Bare().String() + ": "); err != nil {
			return err
		}
	}
	opts.Account, opts.Password = j.Bare(), xmpp.NewSecret(password)
	return nil
}

// maxColumns keeps lines short enough to read.
const maxColumns = 110

func newPrinter(f *os.File) *doctor.Printer {
	p := &doctor.Printer{Out: f, Live: console.Is(f), Colours: console.Colours(f)}
	if p.Live {
		width, _ := console.Size(f)
		p.Width = min(width, maxColumns)
	}
	return p
}
