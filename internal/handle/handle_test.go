package handle

import "testing"

func TestRepo(t *testing.T) {
	var r Repo[string]
	if _, known := r.ID(1); known {
		t.Error("an empty repository knows handle 1")
	}
	if got := r.Ensure("ada"); got != 1 {
		t.Errorf("first handle = %d, want 1", got)
	}
	if got := r.Ensure("bob"); got != 2 {
		t.Errorf("second handle = %d, want 2", got)
	}
	if got := r.Ensure("ada"); got != 1 {
		t.Errorf("handle of a known identifier = %d, want 1", got)
	}
	if id, known := r.ID(2); !known || id != "bob" {
		t.Errorf("ID(2) = %q, %v", id, known)
	}
	for _, h := range []uint32{0, 3, 1<<32 - 1} {
		if id, known := r.ID(h); known {
			t.Errorf("ID(%d) = %q, want none", h, id)
		}
	}
	if h, known := r.Lookup("bob"); h != 2 || !known {
		t.Errorf("Lookup(bob) = %d, %v", h, known)
	}
	if _, known := r.Lookup("carol"); known {
		t.Error("Lookup made a handle for carol")
	}
}
