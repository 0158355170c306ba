package school

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

//go:embed prosody.cfg.lua.tmpl
var prosodyConfig string

// prosody runs Debian's Prosody 0.12. Accounts are made by writing its files, which it reads at each log-in.
type prosody struct{}

func (prosody) configure(s *Server) error {
	var members strings.Builder
	for _, u := range s.opts.Users {
		fmt.Fprintf(&members, "%s@%s\n", u.Name, s.Domain)
	}
	for _, name := range s.opts.Members {
		fmt.Fprintf(&members, "%s@%s\n", name, s.Domain)
	}
	// mod_groups: a group whose name begins with + is shown to everybody.
	groups := "[+" + sharedGroup + "]\n" + members.String()
	if err := os.WriteFile(filepath.Join(s.dir, "groups.txt"), []byte(groups), 0o600); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(s.dir, "data"), 0o700); err != nil {
		return err
	}
	return s.render("prosody.cfg.lua", prosodyConfig)
}

func (prosody) command(s *Server) (argv, env []string, err error) {
	const program = "/usr/bin/prosody"
	if _, err := os.Stat(program); err != nil {
		return nil, nil, errors.New("prosody is not installed (Debian package prosody)")
	}
	return []string{program, "-F", "--config", filepath.Join(s.dir, "prosody.cfg.lua")}, nil, nil
}

func (prosody) prepare(context.Context, *Server) error { return nil }

func (prosody) register(_ context.Context, s *Server, u User) error {
	dir := prosodyAccounts(s)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text := fmt.Sprintf("return {\n\t[\"password\"] = %q;\n};\n", u.Password)
	return os.WriteFile(filepath.Join(dir, prosodyName(u.Name)+".dat"), []byte(text), 0o600)
}

func (prosody) accounts(_ context.Context, s *Server) ([]string, error) {
	entries, err := os.ReadDir(prosodyAccounts(s))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".dat"); ok {
			if name, err := url.PathUnescape(name); err == nil {
				names = append(names, name)
			}
		}
	}
	return names, err
}

func prosodyAccounts(s *Server) string {
	return filepath.Join(s.dir, "data", prosodyName(s.Domain), "accounts")
}

// prosodyName is a name as Prosody's datamanager makes file names of it: all but letters and digits as %xx.
func prosodyName(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	return b.String()
}
