// Package doctor examines what Sugar needs to let children share: the laptop's
// desktop session, the way to the school's server, and the server itself. It
// does there what two new laptops would do, and then removes their accounts.
//
// What is examined is the table [steps], what can be wrong the table
// [diagnoses]. Steps run one after the other on the goroutine that calls
// [Run]; each gives one [Finding]. Nothing is left behind: accounts, rooms and
// nodes that an examination makes go with it, also when its context ends.
package doctor

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/jid"
)

// Options say what to examine. The zero value is the school of Sugar's account.
type Options struct {
	Server   string      // domain; "" is that of Account, or of Sugar's account
	Host     string      // where the server is, if DNS does not know; "" asks DNS for Server
	Port     uint16      // with TLS from the first byte; 0 is 5223
	Port2    uint16      // with STARTTLS; 0 is 5222
	Account  jid.JID     // an account that exists; zero makes throwaway ones
	Password xmpp.Secret // of Account
	Bus      string      // address of the session bus; "" is the environment's

	Resolver *net.Resolver  // nil is the system's
	RootCAs  *x509.CertPool // nil is the system's
	Patience time.Duration  // for one question; 0 is the default

	Begun func(title string) // a step begins; may be nil
	Found func(Finding)      // and has ended; may be nil
}

// defaultPatience is longer than any healthy server takes, and short enough
// for somebody who waits for the end of all steps.
const defaultPatience = 10 * time.Second

// The ports of RFC 6120 §14.7, and what Sugar uses.
const (
	directPort uint16 = 5223
	plainPort  uint16 = 5222
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK      Level = "ok"
	Warning Level = "warning"
	Problem Level = "problem"
	Skipped Level = "skipped"
)

// Finding is what a step came to.
type Finding struct {
	Step  string        `json:"step"`
	Group string        `json:"group"`
	Title string        `json:"title"`
	Level Level         `json:"level"`
	Found string        `json:"found"`           // what was seen
	Cause Cause         `json:"cause,omitempty"` // what it is, of warnings and problems
	Took  time.Duration `json:"took_ns"`
	Advice
}

// Report is a whole examination.
type Report struct {
	Server   string    `json:"server"`
	Status   int       `json:"status"` // 0 all well, 1 warnings, 2 problems
	Findings []Finding `json:"findings"`
}

// Count tells how many findings are of a level.
func (r *Report) Count(l Level) int {
	n := 0
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Finding is that of a step; it is zero for one that there is not.
func (r *Report) Finding(step string) Finding {
	for _, f := range r.Findings {
		if f.Step == step {
			return f
		}
	}
	return Finding{}
}

// step is one thing to look at.
type step struct {
	id, group, title string
	run              func(*exam, context.Context) verdict
}

// The groups of steps.
const (
	laptop = "This laptop"
	way    = "The way to the server"
	server = "The server"
	after  = "Afterwards"
)

// steps is the examination, in its order. A step that cannot be done because of
// an earlier one says so itself.
var steps = []step{
	{"session-bus", laptop, "Session bus", (*exam).sessionBus},
	{"service-files", laptop, "Service files", (*exam).serviceFiles},
	{"manager-files", laptop, "Manager files", (*exam).managerFiles},
	{"mission-control", laptop, "Mission control", (*exam).missionControl},
	{"account", laptop, "Sugar's account", (*exam).sugarAccount},

	{"dns", way, "Name", (*exam).dns},
	{"srv", way, "Service records", (*exam).srv},
	{"port-5223", way, "Port for TLS", (*exam).directPort},
	{"port-5222", way, "Port for STARTTLS", (*exam).plainPort},
	{"tls", way, "Encryption", (*exam).encryption},
	{"certificate", way, "Certificate", (*exam).certificate},

	{"registration", server, "A new laptop", (*exam).registration},
	{"login", server, "Login", (*exam).login},
	{"second-laptop", server, "A second laptop", (*exam).secondLaptop},
	{"pep", server, "Personal events", (*exam).personalEvents},
	{"roster", server, "Seeing each other", (*exam).roster},
	{"conference", server, "Conference service", (*exam).conference},
	{"room", server, "Shared activity", (*exam).room},
	{"proxy", server, "File transfer", (*exam).proxy},
	{"round-trip", server, "Round trip", (*exam).roundTrip},

	{"clean-up", after, "Left behind", (*exam).cleanUp},
}

// verdict is what a step says: of which diagnosis it is and what it saw.
type verdict struct {
	cause   Cause // "" is all well
	found   string
	skipped bool
}

func fine(found string) verdict         { return verdict{found: found} }
func bad(c Cause, found string) verdict { return verdict{cause: c, found: found} }
func skip(why string) verdict           { return verdict{found: why, skipped: true} }
func failed(c Cause, err error) verdict { return bad(c, err.Error()) }
func (v verdict) finding(s step) Finding {
	f := Finding{Step: s.id, Group: s.group, Title: s.title, Level: OK, Found: v.found}
	switch {
	case v.skipped:
		f.Level = Skipped
	case v.cause != "":
		d := diagnoses[v.cause]
		f.Level, f.Cause, f.Advice = d.level, v.cause, d.Advice
	}
	return f
}

// Run examines everything. When ctx ends it goes no further, and cleans up.
func Run(ctx context.Context, opts Options) *Report {
	e := newExam(opts)
	defer e.close()
	report := new(Report)
	for _, s := range steps {
		if e.opts.Begun != nil {
			e.opts.Begun(s.title)
		}
		began := time.Now()
		f := e.examine(ctx, s).finding(s)
		f.Took = time.Since(began)
		report.Findings = append(report.Findings, f)
		if e.opts.Found != nil {
			e.opts.Found(f)
		}
	}
	report.Server = e.domain
	switch {
	case report.Count(Problem) > 0:
		report.Status = 2
	case report.Count(Warning) > 0 || ctx.Err() != nil:
		report.Status = 1
	}
	return report
}

// cleanUpTime bounds the last step, which has to be done whatever happened.
const cleanUpTime = 20 * time.Second

func (e *exam) examine(ctx context.Context, s step) verdict {
	if s.group == after {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
		defer cancel()
		return s.run(e, limited)
	}
	if ctx.Err() != nil {
		return skip("interrupted")
	}
	return s.run(e, ctx)
}
