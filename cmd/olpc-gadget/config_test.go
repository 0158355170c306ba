package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sirupsen/logrus"
)

// environment is one that a test has made.
func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, p := range pairs {
			if n, v, _ := strings.Cut(p, "="); n == name {
				return v, true
			}
		}
		return "", false
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadConfig_precedence(t *testing.T) {
	path := write(t, "# the school\naddress = gadget.school.test\n\nsecret = of = file\nmax-views=3\nmax-size = 4\nlog-level = warning\nrooms = a.test, b.test,\n")
	c, err := readConfig([]string{"--config", path, "--max-views", "5"}, environment("OLPC_GADGET_MAX_VIEWS=4", "OLPC_GADGET_MAX_SIZE=6", "STATE_DIRECTORY=/s"))
	if err != nil {
		t.Fatal(err)
	}
	if c.address.String() != "gadget.school.test" || c.secret.Reveal() != "of = file" || c.limits.Views != 5 || c.limits.Size != 6 ||
		c.level != logrus.WarnLevel || !slices.Equal(c.rooms, []string{"a.test", "b.test"}) || !slices.Equal(c.domains, []string{"school.test"}) ||
		c.state != "/s" || c.server != "127.0.0.1" || c.port != 5347 {
		t.Errorf("%+v", c)
	}
	if s := fmt.Sprintf("%+v %#v", c, c); strings.Contains(s, "of = file") {
		t.Errorf("the secret is printed: %s", s)
	}
	c, err = readConfig([]string{"--address", "gadget.school.test"}, environment("OLPC_GADGET_SECRET=env", "OLPC_GADGET_CONFIG="+write(t, "secret = x\n")))
	if err != nil || c.secret.Reveal() != "env" {
		t.Errorf("secret %q, %v", c.secret.Reveal(), err)
	}
	c, err = readConfig([]string{"--address", "gadget.school.test", "--secret-file", write(t, "hush\n")}, environment())
	if err != nil || c.secret.Reveal() != "hush" {
		t.Errorf("secret %q, %v", c.secret.Reveal(), err)
	}
}

func TestReadConfig_refused(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"no address", "secret = x", "address is missing"},
		{"no secret", "address = g.s.test", "secret is missing"},
		{"no domain above", "address = gadget\nsecret = x", "not below a domain"},
		{"unknown name", "adress = g.s.test", "line 1: no setting \"adress\""},
		{"no equals sign", "address", "no setting"},
		{"metrics for everybody", "address = g.s.test\nsecret = x\nlisten = 0.0.0.0:80", "not an address of loopback"},
		{"number", "address = g.s.test\nsecret = x\nmax-views = 0", "not above 0"},
		{"port", "address = g.s.test\nsecret = x\nserver = localhost:99999", "server:"},
		{"level", "address = g.s.test\nsecret = x\nlog-level = loud", "log-level:"},
		{"secret in no file", "address = g.s.test\nsecret-file = /nowhere", "secret-file:"},
	} {
		_, err := readConfig([]string{"--config", write(t, c.file)}, environment())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	for _, args := range [][]string{{"--secret", "x"}, {"word"}, {"--config", "/nowhere"}} {
		if _, err := readConfig(args, environment()); err == nil {
			t.Errorf("%q is taken", args)
		}
	}
}

// FuzzConfig asserts that a file is taken or refused.
func FuzzConfig(f *testing.F) {
	f.Add("address = g.s.test\nsecret = x\nserver = [::1]:1\nlisten = none\n# x\ndomains = a,b\n")
	f.Fuzz(func(t *testing.T, text string) {
		values := make(map[string]string)
		if parseFile(strings.NewReader(text), values) != nil {
			return
		}
		delete(values, "secret-file")
		if c, err := newConfig(values); err == nil && (c.address.IsZero() || c.secret.IsEmpty() || len(c.domains) == 0) {
			t.Errorf("%q gives %+v", text, c)
		}
	})
}
