package load

import (
	"context"
	"testing"
	"time"

	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/tests/school"
)

func TestMain(m *testing.M) { cmtest.Main(m) }

// A small class on both servers: every child is seen as it is, at once and
// whatever it does, and what is measured is there.
func TestRun(t *testing.T) {
	for _, kind := range school.Kinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			report, err := Run(ctx, Options{Children: 12, Server: kind, Binary: cmtest.Binary(t), Rest: time.Millisecond, Log: t.Output()})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%s", report)
			for what, n := range map[string]int{
				"presences of the laptop": report.Look.In.Presences, "IQs of the laptop": report.Look.Out.IQ,
				"bytes of the laptop": int(report.Look.In.Bytes), "bytes of the children": int(report.Crowd.In.Bytes),
				"presences of the children": report.Heard.Presences, "memory": report.Look.Memory,
			} {
				if n < 12 {
					t.Errorf("%s: %d", what, n)
				}
			}
		})
	}
}

func TestRun_stopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Options{Children: 1, Server: school.Prosody, Binary: "/bin/false", Log: t.Output()}); err == nil {
		t.Error("no error")
	}
}
