package store

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/sirupsen/logrus"
	"go.uber.org/goleak"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/xmpptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var byValue = cmp.Comparer(func(a, b jid.JID) bool { return a == b })

var addr = xmpptest.JID

func open(t testing.TB, dir string) (*File, State) {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	f := NewFile(dir, logrus.NewEntry(log))
	s, err := f.Load()
	if err != nil {
		t.Fatal(err)
	}
	return f, s
}

func wantState(t *testing.T, got, want State) {
	t.Helper()
	if diff := cmp.Diff(want, got, byValue); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func TestFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	f, s := open(t, dir)
	wantState(t, s, State{})
	ana, bob := addr(t, "ana@s"), addr(t, "bob@s")
	f.PutPublisher(Publisher{ana, true, false})
	f.PutPublisher(Publisher{ana, true, true})
	f.PutPublisher(Publisher{bob, true, true})
	f.PutPublisher(Publisher{bob, false, false})
	f.PutPublisher(Publisher{addr(t, "never@s"), false, false})
	f.PutActivity(olpc.Activity{ID: "a", Room: addr(t, "a@c")})
	f.PutActivity(olpc.Activity{ID: "b", Room: addr(t, "b@c")})
	f.DeleteActivity(addr(t, "b@c"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	want := State{Publishers: []Publisher{{ana, true, true}}, Activities: []olpc.Activity{{ID: "a", Room: addr(t, "a@c")}}}
	for range 2 {
		f, s = open(t, dir)
		wantState(t, s, want)
		if other, err := NewFile(dir, f.log).Load(); err == nil {
			t.Errorf("two at once: %v", other)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// What a crash leaves is read as far as it goes.
func TestFile_damaged(t *testing.T) {
	dir := t.TempDir()
	text := `{"publisher":"ana@s","hears":true}` + "\n" + "\x00\x00\n" + `{}` + "\n" + `[1]` + "\n" + strings.Repeat("x", 3*maxLine) + "\n" +
		`{"publisher":"@","hears":true}` + "\n" + `{"publisher":"bob@s","publishes":true}` + "\n" + `{"publisher":"ana@s"`
	if err := os.WriteFile(filepath.Join(dir, fileName), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, s := open(t, dir)
	defer f.Close()
	wantState(t, s, State{Publishers: []Publisher{{addr(t, "ana@s"), true, false}, {addr(t, "bob@s"), false, true}}})
}

// A journal does not grow for ever.
func TestFile_rewritten(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		f, _ := open(t, dir)
		for i := range 20_000 {
			f.PutActivity(olpc.Activity{ID: fmt.Sprint(round, i), Room: addr(t, fmt.Sprintf("r%d@c", i%10))})
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	f, s := open(t, dir)
	defer f.Close()
	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Size() > 100<<10 || len(s.Activities) != 10 || s.Activities[3].ID != "2 19993" {
		t.Errorf("%d bytes, %v, %v", info.Size(), s, err)
	}
}

func TestFile_noFolder(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := NewFile(path, nil).Load(); err == nil {
		t.Errorf("got %v", s)
	}
}

// FuzzFile asserts that whatever a file holds can be read, and is kept.
func FuzzFile(f *testing.F) {
	f.Add(`{"publisher":"ana@s","hears":true}` + "\n" + `{"room":"a@c","activity":"a"}` + "\n" + `{"publisher":"ana@s"}`)
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		first, s := open(t, dir)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second, again := open(t, dir)
		second.Close()
		wantState(t, again, s)
	})
}
