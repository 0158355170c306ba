package load

import (
	"context"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// In a bigger school a child is told as much with the component, and more in
// proportion with a shared roster.
func TestScaling(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "olpc-gadget")
	if out, err := exec.Command("go", "build", "-o", binary, "telepathy-olpc/cmd/olpc-gadget").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	perChild := func(n int, component bool) float64 {
		t.Helper()
		f, err := Scaling(ctx, ScalingOptions{Children: n, Component: component, Binary: binary, Buddies: 4, Activities: 2, Log: t.Output()})
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v", *f)
		if f.Bytes < f.Stanzas || f.News <= 0 || f.Server.Memory == 0 || (f.Gadget.Memory > 0) != component {
			t.Errorf("measured %+v", *f)
		}
		return float64(f.Stanzas) / float64(n)
	}
	const small, big = 16, 40
	if few, many := perChild(small, true), perChild(big, true); many > 1.3*few {
		t.Errorf("with the component a child is told %.0f stanzas among %d and %.0f among %d", few, small, many, big)
	}
	if few, many := perChild(small, false), perChild(big, false); many < 1.8*few {
		t.Errorf("with a shared roster a child is told %.0f stanzas among %d and %.0f among %d", few, small, many, big)
	}
}
