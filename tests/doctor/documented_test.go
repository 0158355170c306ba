package doctor

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"telepathy-olpc/internal/doctor"
	"telepathy-olpc/tests/school"
)

// documented is the configuration of a kind in docs/school-server.md.
func documented(t *testing.T, language string) string {
	t.Helper()
	page, err := os.ReadFile("../../docs/school-server.md")
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(page), "```"+language+"\n")
	text, _, closed := strings.Cut(after, "```")
	if !found || !closed {
		t.Fatalf("no configuration in %s", language)
	}
	return text
}

// part is what a pattern's group matches.
func part(t *testing.T, text, pattern string) string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing like %s in\n%s", pattern, text)
	}
	return m[1]
}

// What people are told to copy makes a server that the doctor is content with. It
// gets the test's addresses, and the door by which the test makes the group.
func TestDoctor_documentedEjabberd(t *testing.T) {
	t.Parallel()
	text := documented(t, "yaml")
	s := school.StartTest(t, school.Options{CA: true, Edit: func(config string) string {
		door := part(t, config, `(?m)^(  - .*module: ejabberd_http,.*)$`)
		return strings.NewReplacer(
			"school.example", "school.test", `ip: "::"`, `ip: "127.0.0.1"`,
			"/etc/ejabberd/ejabberd.pem", part(t, config, `certfiles: \["(.*)"\]`),
			"port: 5222", "port: "+part(t, config, `port: (\d+), .*starttls: true`),
			"port: 5223", "port: "+part(t, config, `port: (\d+), .* tls: true`),
			"{port: 7777}", part(t, config, `mod_proxy65: (.*)`),
			"listen:\n", "listen:\n"+door+"\n",
			"modules:\n", "acme: {auto: false}\napi_permissions:\n"+part(t, config, `(?m)^(  tests: .*)$`)+"\nmodules:\n  mod_http_api: {}\n",
		).Replace(text)
	}})
	r := examine(t, at(s))
	for _, f := range r.Findings {
		if f.Group != "This laptop" && f.Level != doctor.OK {
			t.Errorf("%s is %s: %s", f.Step, f.Level, f.Found)
		}
	}
	leavesNothing(t, s, r)
}

// Prosody shows who is in its group, and the doctor's laptops are not.
func TestDoctor_documentedProsody(t *testing.T) {
	t.Parallel()
	text := documented(t, "lua")
	s := school.StartTest(t, school.Options{Kind: school.Prosody, CA: true, Members: []string{"ada"}, Edit: func(config string) string {
		dir := part(t, config, `data_path = "(.*)/data"`)
		const address = "127.0.0.1"
		before := strings.Join(regexp.MustCompile(`(?m)^(daemonize|data_path|run_as_root|interfaces|local_interfaces) =.*$`).FindAllString(config, -1), "\n")
		return before + "\n" + strings.NewReplacer(
			`proxy65_address = "school.example"`, `proxy65_address = "`+address+`"`,
			"/var/lib/prosody/school.example.key", dir+"/key.pem", "/var/lib/prosody/school.example.crt", dir+"/cert.pem",
			"school.example", "school.test",
			"/run/prosody", dir, "/var/log/prosody/prosody.log", part(t, config, `log = \{ info = "(.*)" \}`),
			"/etc/prosody", dir,
			"{ 5222 }", part(t, config, `c2s_ports = (.*)`), "{ 5223 }", part(t, config, `c2s_direct_tls_ports = (.*)`),
			"{ 7777 }", part(t, config, `proxy65_ports = (.*)`),
		).Replace(text)
	}})
	r := examine(t, at(s))
	for _, f := range r.Findings {
		if f.Group != "This laptop" && f.Level != doctor.OK && f.Step != "roster" {
			t.Errorf("%s is %s: %s", f.Step, f.Level, f.Found)
		}
	}
	expect(t, r, "roster", doctor.Warning, doctor.ListedOnly)
	leavesNothing(t, s, r)
}
