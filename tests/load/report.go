package load

import (
	"fmt"
	"strings"
	"time"
)

// Report is what a run has measured.
type Report struct {
	Children  int
	Arrival   time.Duration // of all children
	Own       Usage         // of the process that simulates them, then
	Connected time.Duration // of the laptop
	Look      Measure       // it shows everybody
	Change    Measure       // one in ten changed nick and colour
	Gone      time.Duration // one in ten left, until the laptop shows none of them
	Return    Measure       // they came back
	Rest      Cost          // nothing happened
	Crowd     Traffic       // of all children together, in TLS
	Heard     Flow          // what the children were told
}

// Measure is how soon the laptop showed what the children had done, or was
// connected to see, and what that cost.
type Measure struct {
	Shown    time.Duration // with key and colour
	Complete time.Duration // with nick and activities
	Cost
}

// Cost is of the laptop's connection manager.
type Cost struct {
	Usage
	Traffic
	Calls, Signals int // on D-Bus
}

func (c Cost) since(earlier Cost) Cost {
	c.CPU -= earlier.CPU
	return Cost{c.Usage, c.Traffic.since(earlier.Traffic), c.Calls - earlier.Calls, c.Signals - earlier.Signals}
}

// String is the report for people.
func (r *Report) String() string {
	var b strings.Builder
	tell := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	tell("%d children arrived in %.1f s; simulating them takes %s", r.Children, r.Arrival.Seconds(), r.Own)
	tell("they sent %.1f MB and were sent %.1f MB in TLS; they heard %d messages and %d presences",
		megabytes(r.Crowd.Out.Bytes), megabytes(r.Crowd.In.Bytes), r.Heard.Messages, r.Heard.Presences)
	tell("laptop connected after %d ms", r.Connected.Milliseconds())
	for _, row := range []struct {
		what string
		m    Measure
	}{{"first look", r.Look}, {"one in ten changed", r.Change}, {"one in ten came back", r.Return}} {
		tell("%s: key and colour after %d ms, nick and activities after %d ms", row.what, row.m.Shown.Milliseconds(), row.m.Complete.Milliseconds())
		tell("%s", row.m.Cost)
	}
	tell("one in ten gone after %d ms", r.Gone.Milliseconds())
	tell("at rest:\n%s", r.Rest)
	return b.String()
}

func (c Cost) String() string {
	return fmt.Sprintf("    %s\n    in  %s\n    out %s\n    D-Bus %d calls, %d signals", c.Usage, c.In, c.Out, c.Calls, c.Signals)
}

func (u Usage) String() string {
	return fmt.Sprintf("%.1f MB (at most %.1f MB) and %d ms of CPU", float64(u.Memory)/1024, float64(u.Peak)/1024, u.CPU.Milliseconds())
}

func (f Flow) String() string {
	return fmt.Sprintf("%d stanzas (%d messages, %d presences, %d iq), %.2f MB", f.Stanzas(), f.Messages, f.Presences, f.IQ, megabytes(f.Bytes))
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }
