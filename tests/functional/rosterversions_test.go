package functional

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
	"telepathy-olpc/xmpp/roster"
)

// versionedRoster is a list with a version, as servers send it.
const versionedRoster = "<query xmlns='" + roster.NS + "' ver='v1'><item jid='ann@away.test' name='Ann' subscription='both'><group>Friends</group></item>" +
	"<item jid='bob@away.test' subscription='from'/></query>"

// A second session asks whether the list has changed and, if it has not, has the
// same contacts; a file that was damaged meanwhile only costs a whole list.
func TestContactList_versions(t *testing.T) {
	t.Parallel()
	cache := t.TempDir()
	watch := watchRenames(t, filepath.Join(cache, "telepathy-olpc"))
	cm := cmtest.Start(t, cmtest.Env("XDG_CACHE_HOME="+cache), cmtest.RosterVersions, cmtest.Unanswered(rosterGet))
	session := func(ask, answer string) *cmtest.Connection {
		t.Helper()
		c := cm.Request()
		c.Login()
		question := cm.Expect(rosterGet)
		if got := question.Element.First().Attr("ver"); got != ask {
			t.Errorf("asked with version %q, want %q", got, ask)
		}
		cm.Server.Answer(question, answer)
		ann, bob := personOf(c, "ann@away.test"), personOf(c, "bob@away.test")
		cm.Expect(contactsChanged.At(c.Path).Args(
			map[uint32]subscription{ann.handle: {listYes, listYes, ""}, bob.handle: {listNo, listYes, ""}},
			map[uint32]string{ann.handle: ann.id, bob.handle: bob.id}, map[uint32]string{}))
		cm.Expect(cmtest.Signal(tp.SignalConnectionContactListContactListStateChanged).At(c.Path).Args(uint32(tp.ContactListStateSuccess)))
		cmtest.Equal(t, cm.Call(c.Path, tp.InterfaceConnectionAliasing, "GetAliases", []uint32{ann.handle}).Arg(0), map[uint32]string{ann.handle: "Ann"})
		groups := cm.Get(c.Path, tp.InterfaceConnectionContactGroups, "Groups")
		cmtest.Equal(t, cmtest.As[[]string](t, groups), []string{"Friends"})
		return c
	}
	session("", versionedRoster).Disconnect()
	file := watch.next(t, "roster-")
	stat, err := os.Stat(file)
	if err != nil || stat.Mode() != 0o600 {
		t.Errorf("file %v, error %v", stat, err)
	}

	session("v1", "").Disconnect()

	if err := os.Truncate(file, stat.Size()-20); err != nil {
		t.Fatal(err)
	}
	last := session("", versionedRoster)
	push(last, rosterItem("ann@away.test", "subscription='remove'"))
	personOf(last, "ann@away.test").expectRemoval(last)
	last.Disconnect()
	watch.next(t, "roster-")
}

// renames tells of files that take their place in a folder.
type renames struct {
	folder string
	events *os.File
	names  []string // told and not asked for yet
}

// watchRenames makes the folder and watches it.
func watchRenames(t *testing.T, folder string) *renames {
	t.Helper()
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	w := &renames{folder: folder, events: os.NewFile(uintptr(fd), "inotify")}
	t.Cleanup(func() { w.events.Close() })
	if _, err := unix.InotifyAddWatch(fd, folder, unix.IN_MOVED_TO); err != nil {
		t.Fatal(err)
	}
	return w
}

// next waits for a file whose name begins so, and gives its path.
func (w *renames) next(t *testing.T, prefix string) string {
	t.Helper()
	if err := w.events.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		for i, name := range w.names {
			if strings.HasPrefix(name, prefix) {
				w.names = w.names[i+1:]
				return filepath.Join(w.folder, name)
			}
		}
		w.names = nil
		buffer := make([]byte, 4096)
		n, err := w.events.Read(buffer)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("no file %s… within 30 s", prefix)
		}
		if err != nil {
			t.Fatal(err)
		}
		for at := 0; at < n; {
			begin := at + unix.SizeofInotifyEvent // whose last field is the length of the name
			end := begin + int(binary.NativeEndian.Uint32(buffer[begin-4:]))
			w.names = append(w.names, unix.ByteSliceToString(buffer[begin:end]))
			at = end
		}
	}
}
