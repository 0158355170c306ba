package caps

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/disco"
)

// kind makes the info of one kind of client.
func kind(t testing.TB, name string, features ...string) Known {
	t.Helper()
	i := &disco.Info{Identities: []disco.Identity{{Category: "client", Type: "pc", Name: name}}, Features: features}
	ver, err := Hash("sha-1", i)
	if err != nil {
		t.Fatal(err)
	}
	return Known{"sha-1", ver, i}
}

func TestSaveLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	a, b, c := kind(t, "a", "urn:x"), kind(t, "b"), Known{"sha-1", psiVer, info(t, psi)}
	for _, step := range []struct {
		name       string
		save, want []Known
	}{
		{"first", []Known{a, c}, []Known{a, c}},
		{"what was there stays", []Known{b, a}, []Known{b, a, c}},
		{"nothing new", nil, []Known{b, a, c}},
	} {
		if err := Save(dir, step.save); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		got, err := Load(dir)
		if err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
	onlyFile(t, dir)
}

func TestLoad_hostile(t *testing.T) {
	good := kind(t, "good", "urn:x")
	line := func(k Known) string {
		var b strings.Builder
		if err := write(&b, []Known{k}); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	lie := Known{"sha-1", good.Ver, kind(t, "good", "urn:lie").Info}
	for _, c := range []struct {
		name, in string
		want     int
		wantErr  bool
	}{
		{"empty", "", 0, false},
		{"good", line(good), 1, false},
		{"lie", line(lie) + line(good), 1, false},
		{"unknown hash", line(Known{"md5", "x", good.Info}), 0, false},
		{"other element", `<known xmlns='x' hash='sha-1'/>` + line(good), 1, false},
		{"cut short", line(good) + line(good)[:40], 1, true},
		{"binary", line(good) + "\x00\xff", 1, true},
		{"not XML", "[]", 0, true},
		{"deep", strings.Repeat("<a>", 10_000), 0, true},
		{"huge line", "<known x='" + strings.Repeat("a", maxLineBytes) + "'/>", 0, true},
		{"huge file", strings.Repeat(line(kind(t, "g", strings.Repeat("f", 10_000))), 300), 0, true},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(c.in), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir)
		if (err != nil) != c.wantErr {
			t.Errorf("%s: error %v", c.name, err)
		}
		if c.name == "huge file" && len(got) < 150 || c.name != "huge file" && len(got) != c.want {
			t.Errorf("%s: %d known, want %d", c.name, len(got), c.want)
		}
		if err := Save(dir, []Known{good}); err != nil {
			t.Errorf("%s: not replaced: %v", c.name, err)
		}
	}
}

func TestLoad_noFile(t *testing.T) {
	for _, dir := range []string{"", t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if known, err := Load(dir); known != nil || err != nil {
			t.Errorf("%q: %v, error %v", dir, known, err)
		}
	}
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, fileName), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir); err == nil {
		t.Error("a pipe was read")
	}
}

func TestSave_impossible(t *testing.T) {
	known := []Known{kind(t, "a")}
	if err := Save("", known); err != nil {
		t.Errorf("no directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if Save(file, known) == nil || Save("/proc/none", known) == nil {
		t.Error("saved where there is no directory")
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, fileName), 0o700); err != nil {
		t.Fatal(err)
	}
	if Save(dir, known) == nil {
		t.Error("replaced a directory")
	}
	onlyFile(t, dir)
	if err := write(fullDisk{}, known); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("full disk: error %v", err)
	}
}

func TestSave_bounded(t *testing.T) {
	dir := t.TempDir()
	var many []Known
	for i := range 200 {
		many = append(many, kind(t, fmt.Sprint(i), strings.Repeat("f", 30_000)))
	}
	for range 2 {
		if err := Save(dir, many); err != nil {
			t.Fatal(err)
		}
		stat, err := os.Stat(filepath.Join(dir, fileName))
		if err != nil || stat.Size() > maxFileBytes || stat.Size() < maxFileBytes/2 {
			t.Errorf("size %d, error %v", stat.Size(), err)
		}
	}
	if known, err := Load(dir); err != nil || len(known) < 50 {
		t.Errorf("%d known, error %v", len(known), err)
	}
}

// fullDisk is where nothing can be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// onlyFile fails when something was left lying about.
func onlyFile(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != fileName {
		t.Errorf("in the directory: %v, error %v", entries, err)
	}
}

func TestCache_forgets(t *testing.T) {
	var c cache
	first := kind(t, "first")
	c.put(first)
	for i := range maxKnown - 1 {
		c.put(kind(t, fmt.Sprint(i)))
	}
	if c.get(hashKey{"sha-1", first.Ver}) == nil {
		t.Error("forgotten before it is full")
	}
	c.put(kind(t, "one more"))
	if c.get(hashKey{"sha-1", first.Ver}) == nil || len(c.byHash) != maxKnown || len(c.all()) != maxKnown {
		t.Errorf("the one just used is forgotten, or %d are known", len(c.byHash))
	}
	if c.put(first) {
		t.Error("new the second time")
	}
	for i := range 100 {
		c.put(kind(t, "large", strings.Repeat("f", 60_000+i)))
	}
	if c.bytes > maxKnownBytes || len(c.byHash) > 20 {
		t.Errorf("%d known in %d bytes", len(c.byHash), c.bytes)
	}
}

// FuzzRead holds a file to the truth: whatever is in it, what comes out is
// verified.
func FuzzRead(f *testing.F) {
	var b strings.Builder
	if err := write(&b, []Known{kind(f, "a", "urn:x"), {"sha-1", psiVer, info(f, psi)}}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.String())
	f.Add(b.String()[:100])
	f.Fuzz(func(t *testing.T, in string) {
		known, _ := read(strings.NewReader(in))
		for _, k := range known {
			if err := Verify(Caps{Hash: k.Hash, Ver: k.Ver}, k.Info); err != nil {
				t.Errorf("%v: %v", k, err)
			}
		}
	})
}
