package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/internal/gadgetd"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
)

// config is what the program is told.
type config struct {
	address jid.JID
	server  string
	port    uint16
	secret  xmpp.Secret
	domains []string
	rooms   []string
	state   string // folder
	listen  string // of metrics and health; "" for none
	level   logrus.Level
	limits  gadgetd.Limits
}

// option is one thing that can be set: as name in the file, as --name on the
// command line, as OLPC_GADGET_NAME in the environment. The command line counts
// before the environment, and that before the file.
type option struct {
	name, usage string
	secret      bool // not on the command line, where everybody on the machine reads it
	set         func(*config, string) error
}

// options are all of them.
var options = []option{
	{name: "address", usage: "address of the component, such as gadget.school.example", set: setAddress},
	{name: "server", usage: "host and port where the server listens for components (default 127.0.0.1:5347)", set: setServer},
	{name: "secret", usage: "what the server knows the component by", secret: true, set: func(c *config, v string) error { c.secret = xmpp.NewSecret(v); return nil }},
	{name: "secret-file", usage: "file that holds the secret alone", set: setSecretFile},
	{name: "domains", usage: "domains whose accounts are served, with commas (default what follows the first dot of the address)", set: setList(func(c *config) *[]string { return &c.domains })},
	{name: "rooms", usage: "services whose rooms may be activities (default all below the domains)", set: setList(func(c *config) *[]string { return &c.rooms })},
	{name: "state", usage: "folder for what must survive a restart (default /var/lib/olpc-gadget, or STATE_DIRECTORY)", set: func(c *config, v string) error { c.state = v; return nil }},
	{name: "listen", usage: "loopback address for /metrics and /health, or none (default 127.0.0.1:9347)", set: setListen},
	{name: "log-level", usage: "error, warning, info, debug, or trace (default info)", set: setLevel},
	{name: "max-publishers", usage: "accounts that can publish", set: setNumber(func(c *config) *int { return &c.limits.Publishers })},
	{name: "max-views", usage: "views of one account", set: setNumber(func(c *config) *int { return &c.limits.Views })},
	{name: "max-size", usage: "buddies or activities in one view", set: setNumber(func(c *config) *int { return &c.limits.Size })},
	{name: "max-requests", usage: "questions of one account in a minute", set: setNumber(func(c *config) *int { return &c.limits.Requests })},
	{name: "max-activities", usage: "activities of one account", set: setNumber(func(c *config) *int { return &c.limits.Activities })},
	{name: "max-rooms", usage: "rooms that the component is in", set: setNumber(func(c *config) *int { return &c.limits.Rooms })},
}

// readConfig puts together what file, environment and command line say.
func readConfig(args []string, lookup func(string) (string, bool)) (config, error) {
	values := make(map[string]string)
	flags := flag.NewFlagSet("olpc-gadget", flag.ContinueOnError)
	given := make(map[string]string)
	path := flags.String("config", "", "file with lines of name = value")
	for _, o := range options {
		if !o.secret {
			flags.Func(o.name, o.usage, func(v string) error { given[o.name] = v; return nil })
		}
	}
	if err := flags.Parse(args); err != nil {
		return config{}, err
	}
	if flags.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if *path == "" {
		*path, _ = lookup("OLPC_GADGET_CONFIG")
	}
	if *path != "" {
		if err := readFile(*path, values); err != nil {
			return config{}, err
		}
	}
	for _, o := range options {
		if v, ok := lookup("OLPC_GADGET_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))); ok {
			values[o.name] = v
		}
	}
	maps.Copy(values, given)
	if dir, ok := lookup("STATE_DIRECTORY"); ok && values["state"] == "" {
		values["state"] = dir // systemd's
	}
	return newConfig(values)
}

// newConfig makes a config of texts, over the defaults.
func newConfig(values map[string]string) (config, error) {
	c := config{server: "127.0.0.1", port: 5347, state: "/var/lib/olpc-gadget", listen: "127.0.0.1:9347", level: logrus.InfoLevel, limits: gadgetd.DefaultLimits}
	for _, o := range options {
		if v, ok := values[o.name]; ok {
			if err := o.set(&c, v); err != nil {
				return config{}, fmt.Errorf("%s: %w", o.name, err)
			}
		}
	}
	if c.address.IsZero() {
		return config{}, errors.New("address is missing")
	}
	if c.secret.IsEmpty() {
		return config{}, errors.New("secret is missing: it belongs into the file, into secret-file or into OLPC_GADGET_SECRET")
	}
	if len(c.domains) == 0 {
		_, parent, _ := strings.Cut(c.address.Domain(), ".")
		c.domains = []string{parent}
	}
	return c, nil
}

// readFile reads lines of name = value; # begins a comment line.
func readFile(path string, values map[string]string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := parseFile(f, values); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func parseFile(r io.Reader, values map[string]string) error {
	in := bufio.NewScanner(r)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		name = strings.TrimSpace(name)
		if !ok || !slices.ContainsFunc(options, func(o option) bool { return o.name == name }) {
			return fmt.Errorf("line %d: no setting %q", n, name)
		}
		values[name] = strings.TrimSpace(value)
	}
	return in.Err()
}

func setAddress(c *config, v string) error {
	address, err := jid.New("", v, "")
	if err == nil && !strings.Contains(v, ".") {
		err = errors.New("not below a domain")
	}
	c.address = address
	return err
}

func setServer(c *config, v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return err
	}
	n, err := strconv.ParseUint(port, 10, 16)
	c.server, c.port = host, uint16(n)
	return err
}

func setSecretFile(c *config, v string) error {
	text, err := os.ReadFile(v)
	if err != nil {
		return err
	}
	c.secret = xmpp.NewSecret(strings.TrimSpace(string(text)))
	return nil
}

// setListen keeps figures and health on loopback: they tell how many children
// are where.
func setListen(c *config, v string) error {
	if c.listen = v; v == "none" {
		c.listen = ""
		return nil
	}
	host, _, err := net.SplitHostPort(v)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return errors.New("not an address of loopback")
	}
	return nil
}

func setLevel(c *config, v string) (err error) {
	c.level, err = logrus.ParseLevel(v)
	return err
}

func setList(field func(*config) *[]string) func(*config, string) error {
	return func(c *config, v string) error {
		*field(c) = nil
		for _, name := range strings.Split(v, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			domain, err := jid.New("", name, "")
			if err != nil {
				return err
			}
			*field(c) = append(*field(c), domain.Domain())
		}
		return nil
	}
}

func setNumber(field func(*config) *int) func(*config, string) error {
	return func(c *config, v string) error {
		n, err := strconv.Atoi(v)
		if err == nil && n <= 0 {
			err = errors.New("not above 0")
		}
		*field(c) = n
		return err
	}
}
