package school

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"text/template"
)

//go:embed ejabberd.yml.tmpl
var ejabberdConfig string

// ejabberd runs Debian's ejabberd as a plain Erlang program: without distribution, hence without a node name, a cookie or epmd,
// which all instances on a machine would share. Administration goes through its HTTP API instead of ejabberdctl.
type ejabberd struct{}

func (ejabberd) configure(s *Server) error {
	return s.render("ejabberd.yml", ejabberdConfig)
}

func (ejabberd) command(s *Server) (argv, env []string, err error) {
	// Debian puts ejabberd beside its Erlang libraries in a folder named after the architecture.
	found, err := filepath.Glob("/usr/lib/*/ejabberd-*/ebin")
	if err != nil || len(found) == 0 {
		return nil, nil, errors.New("ejabberd is not installed (Debian package ejabberd)")
	}
	argv = []string{"erl", "-noinput",
		"+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", // idle schedulers do not spin on a small machine
		"-mnesia", "dir", fmt.Sprintf("%q", filepath.Join(s.dir, "spool")), "-s", "ejabberd"}
	env = []string{
		"ERL_LIBS=" + filepath.Dir(filepath.Dir(found[0])),
		"ERL_CRASH_DUMP=" + filepath.Join(s.dir, "crash.dump"),
		"EJABBERD_CONFIG_PATH=" + filepath.Join(s.dir, "ejabberd.yml"),
		"EJABBERD_LOG_PATH=" + filepath.Join(s.dir, logFile),
	}
	return argv, env, nil
}

// sharedGroup is the name the XS gave to its group.
const sharedGroup = "Online"

func (e ejabberd) prepare(ctx context.Context, s *Server) error {
	if s.opts.Roster == RosterNone {
		return nil
	}
	err := e.call(ctx, s, "srg_create", map[string]any{
		"group": sharedGroup, "host": s.Domain, "label": sharedGroup, "description": sharedGroup, "display": sharedGroup}, nil)
	if err != nil {
		return err
	}
	return e.call(ctx, s, "srg_user_add", map[string]any{
		"user": string(s.opts.Roster), "host": s.Domain, "group": sharedGroup, "grouphost": s.Domain}, nil)
}

func (e ejabberd) register(ctx context.Context, s *Server, u User) error {
	return e.call(ctx, s, "register", map[string]any{"user": u.Name, "host": s.Domain, "password": u.Password}, nil)
}

func (e ejabberd) accounts(ctx context.Context, s *Server) ([]string, error) {
	var names []string
	err := e.call(ctx, s, "registered_users", map[string]any{"host": s.Domain}, &names)
	return names, err
}

// call runs an administration command, docs.ejabberd.im/developer/ejabberd-api.
func (ejabberd) call(ctx context.Context, s *Server, command string, args map[string]any, result any) error {
	body, err := json.Marshal(args)
	if err != nil {
		return err
	}
	url := fmt.Sprintf("http://%s:%d/api/%s", s.Host, s.apiPort, command)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", command, resp.Status, answer)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer, result)
}

// configuration is what the templates know.
type configuration struct {
	*Server
	Options Options
	Dir     string
	APIPort uint16
	Shared  bool
	Log     string
	Root    bool
	Secret  string
}

// render writes a configuration file from its template.
func (s *Server) render(name, text string) error {
	t, err := template.New(name).Parse(text)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = t.Execute(&b, configuration{s, s.opts, s.dir, s.apiPort, s.opts.Roster != RosterNone, filepath.Join(s.dir, logFile), os.Getuid() == 0, ComponentSecret})
	if err != nil {
		return err
	}
	config := b.String()
	if s.opts.Edit != nil {
		config = s.opts.Edit(config)
	}
	return os.WriteFile(filepath.Join(s.dir, name), []byte(config), 0o600)
}
