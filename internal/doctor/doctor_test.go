package doctor

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/stanza"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Every cause says what it means and what to do, and the page for people who
// look by symptom names it.
func TestDiagnoses(t *testing.T) {
	source, err := os.ReadFile("causes.go")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	causes := regexp.MustCompile(`Cause += "([a-z0-9-]+)"`).FindAllSubmatch(source, -1)
	for _, c := range causes {
		d, ok := diagnoses[Cause(c[1])]
		if !ok || d.level != Warning && d.level != Problem {
			t.Errorf("%s has no diagnosis", c[1])
		}
		if d.Means == "" || d.Do+d.Ejabberd+d.Prosody == "" {
			t.Errorf("%s does not say what it means and what to do", c[1])
		}
		if !strings.Contains(string(page), "`"+string(c[1])+"`") {
			t.Errorf("docs/troubleshooting.md does not name %s", c[1])
		}
	}
	if len(causes) != len(diagnoses) {
		t.Errorf("%d causes, %d diagnoses", len(causes), len(diagnoses))
	}
}

func TestSteps_unique(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range steps {
		if seen[s.id] || seen[s.title] || s.run == nil {
			t.Errorf("step %s: id or title is there twice, or nothing is done", s.id)
		}
		seen[s.id], seen[s.title] = true, true
	}
}

// Each reason for which a certificate is refused is decided.
func TestCertificateCauses(t *testing.T) {
	for r := xmpp.CertificateInvalid; !strings.HasPrefix(r.String(), "CertificateReason("); r++ {
		if _, ok := certificateCauses[r]; !ok {
			t.Errorf("nothing is said of a certificate that is %s", r)
		}
	}
}

func TestRegisterCause(t *testing.T) {
	tests := []struct {
		name      string
		condition stanza.Condition
		text      string
		want      Cause
	}{
		{"closed", stanza.ServiceUnavailable, "", Closed},
		{"by an access rule", stanza.NotAllowed, "", Closed},
		{"ejabberd's limit", stanza.ResourceConstraint, "Users are not allowed to register accounts so quickly", Throttled},
		{"Prosody's limit", stanza.PolicyViolation, "Too many registrations from this IP address recently", Throttled},
		{"ejabberd's picture", stanza.NotAcceptable, "The CAPTCHA verification has failed", NeedsForm},
		{"weak password", stanza.NotAcceptable, "", Unregistered},
		{"already there", stanza.Conflict, "", Unregistered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := registerCause(&xmpp.RegisterError{Condition: string(tt.condition), Text: tt.text}); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestPrinter(t *testing.T) {
	findings := []Finding{
		{Group: way, Title: "Name", Level: OK, Found: "school.test is 192.0.2.1"},
		{Group: way, Title: "Port for TLS", Level: Problem, Cause: NoDirectPort, Found: "port 5223: \x1b[2Jrefused",
			Advice: Advice{Means: "no child gets on-line", Prosody: "c2s_direct_tls_ports"}},
		{Group: server, Title: "Login", Level: Skipped, Found: "no way"},
	}
	tests := []struct {
		name    string
		printer Printer
		want    string
	}{
		{"piped", Printer{}, "\nThe way to the server\n" +
			"  ok       Name                school.test is 192.0.2.1\n" +
			"  problem  Port for TLS        port 5223: ·[2Jrefused\n" +
			"           means     no child gets on-line\n" +
			"           Prosody   c2s_direct_tls_ports\n" +
			"\nThe server\n" +
			"  skipped  Login               no way\n" +
			"\n1 problem, 0 warnings. Begin with the first one: the others may come from it.\n"},
		{"terminal", Printer{Live: true, Colours: true, Width: 50},
			"  \x1b[2m…        \x1b[0mName…\r\x1b[K\n\x1b[1mThe way to the server\x1b[0m\n" +
				"  \x1b[32mok       \x1b[0mName                school.test is\n" +
				"                               192.0.2.1\n" +
				"  \x1b[2m…        \x1b[0mPort for TLS…\r\x1b[K" +
				"  \x1b[1;31mproblem  \x1b[0mPort for TLS        port 5223:\n" +
				"                               ·[2Jrefused\n" +
				"           \x1b[2mmeans     \x1b[0mno child gets on-line\n" +
				"           \x1b[2mProsody   \x1b[0mc2s_direct_tls_ports\n" +
				"  \x1b[2m…        \x1b[0mLogin…\r\x1b[K\n\x1b[1mThe server\x1b[0m\n" +
				"  \x1b[2mskipped  \x1b[0mLogin               no way\n" +
				"\n\x1b[1;31m1 problem, 0 warnings. Begin with the first one: the others may come from it.\x1b[0m\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out strings.Builder
			p := tt.printer
			p.Out = &out
			for _, f := range findings {
				p.Begun(f.Title)
				p.Found(f)
			}
			p.End(&Report{Findings: findings, Status: 2})
			if out.String() != tt.want {
				t.Errorf("printed\n%s\nwant\n%s\n%[1]q", &out, tt.want)
			}
		})
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Microsecond: "1.2 ms", 250 * time.Millisecond: "250 ms", 2345 * time.Millisecond: "2.3 s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
