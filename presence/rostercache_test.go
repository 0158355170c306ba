package presence

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/roster"
	"telepathy-olpc/xmpp/stanza"
)

// listSession is one session of an account whose list is kept in a directory.
type listSession struct {
	*capsSetup
	list *ContactList
}

// listTest runs a test on a clock of its own; every session that it makes has
// the same directory.
func listTest(t *testing.T, directory string, test func(session func() *listSession)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		test(func() *listSession { return newListSession(t, directory) })
	})
}

func newListSession(t testing.TB, directory string) *listSession {
	s := &listSession{capsSetup: newCapsHere(t)}
	s.hub.directory = ""
	s.list = NewContactList(s.capsHost, s.people, s.Self(), directory, nil)
	t.Cleanup(s.end)
	return s
}

// load loads, and waits for it.
func (s *listSession) load() {
	s.do(s.list.Load)
	synctest.Wait()
}

// connect wants the request for the roster to have that version.
func (s *listSession) connect(versioned bool, want string) {
	s.t.Helper()
	s.do(func() { s.list.Connected(versioned) })
	if len(s.asked) != 1 {
		s.t.Fatalf("asked %v", s.asked)
	}
	if got := s.asked[0].iq.First().String(); got != want {
		s.t.Errorf("asked %s, want %s", got, want)
	}
}

// get answers the request with a payload and gives what the list is then.
func (s *listSession) get(payload string) (signals []capsSignal, all map[jid.JID]subscription) {
	s.t.Helper()
	q := s.asked[0]
	s.asked, s.signals = nil, nil
	s.do(func() { q.answer(sugarXML(s.t, "<iq type='result'>"+payload+"</iq>"), nil) })
	return s.signals, s.list.told
}

func (s *listSession) push(version, item string) {
	s.do(func() {
		s.list.HandlePush(sugarXML(s.t, "<iq type='set' id='1'><query xmlns='"+roster.NS+"' ver='"+version+"'>"+item+"</query></iq>"))
	})
}

func (s *listSession) end() {
	s.do(s.list.Close)
	s.list.cache.disk.Wait()
}

// askedFor is the request for the roster with a version, or without for "-".
func askedFor(version string) string {
	if version == "-" {
		return "<query xmlns='jabber:iq:roster'/>"
	}
	return "<query xmlns='jabber:iq:roster' ver='" + version + "'/>"
}

const (
	wholeList = "<query xmlns='jabber:iq:roster' ver='v1'><item jid='a@school.test' name='A' subscription='both'><group>g</group></item>" +
		"<item jid='b@school.test' subscription='from' ask='subscribe'/></query>"
	unchanged = ""
)

func TestContactList_unchangedSinceTheLastSession(t *testing.T) {
	listTest(t, t.TempDir(), func(session func() *listSession) {
		first := session()
		first.load()
		first.connect(true, askedFor(""))
		wantSignals, wantAll := first.get(wholeList)
		first.end()

		second := session()
		second.load()
		second.connect(true, askedFor("v1"))
		signals, all := second.get(unchanged)
		if diff := cmp.Diff(wantSignals, signals, cmp.AllowUnexported(capsSignal{})); diff != "" || len(signals) != 3 {
			t.Errorf("announced (-first +second):\n%s", diff)
		}
		if diff := cmp.Diff(wantAll, all, cmp.AllowUnexported(jid.JID{})); diff != "" || len(all) != 2 {
			t.Errorf("list (-first +second):\n%s", diff)
		}
		for _, name := range []string{"a@school.test", "b@school.test"} {
			one, two := first.list.item(capsJID(t, name)), second.list.item(capsJID(t, name))
			if diff := cmp.Diff(one, two, cmp.AllowUnexported(jid.JID{})); diff != "" {
				t.Errorf("%s (-first +second):\n%s", name, diff)
			}
		}
		second.push("v2", "<item jid='a@school.test' subscription='remove'/>")
		second.end()

		third := session()
		third.load()
		third.connect(true, askedFor("v2"))
		if _, all := third.get(unchanged); len(all) != 1 {
			t.Errorf("after a push: %v", all)
		}
	})
}

// A long session is saved before its end, and at most every few minutes.
func TestContactList_savedMeanwhile(t *testing.T) {
	dir := t.TempDir()
	listTest(t, dir, func(session func() *listSession) {
		s := session()
		s.connect(true, askedFor(""))
		s.get(wholeList)
		saved := func() string {
			synctest.Wait()
			cached, err := roster.Load(dir, s.Self())
			if err != nil || cached == nil {
				return fmt.Sprint("nothing, ", err)
			}
			return cached.Version
		}
		for _, c := range []struct {
			push    string
			minutes int
			want    string
		}{{"", 4, "nothing, <nil>"}, {"", 2, "v1"}, {"v2", 4, "v1"}, {"v3", 2, "v3"}, {"", 10, "v3"}} {
			if c.push != "" {
				s.push(c.push, "<item jid='c@school.test' name='"+c.push+"'/>")
			}
			s.do(func() {})
			time.Sleep(time.Duration(c.minutes) * time.Minute)
			if got := saved(); got != c.want {
				t.Errorf("saved is %s, want %s", got, c.want)
			}
		}
	})
}

// What is not there in time, or not to be trusted, only costs a whole roster.
func TestContactList_withoutCache(t *testing.T) {
	me := capsJID(t, "me@school.test")
	for _, c := range []struct {
		name      string
		versioned bool
		prepare   func(dir string, s *listSession)
		ask       string
	}{
		{"nothing saved", true, func(_ string, s *listSession) { s.load() }, ""},
		{"server without versions", false, func(_ string, s *listSession) { s.load() }, "-"},
		{"not loaded", true, func(string, *listSession) {}, ""},
		{"damaged", true, func(dir string, s *listSession) {
			for _, f := range saveList(t, dir, me) {
				if err := os.Truncate(f, 100); err != nil {
					t.Fatal(err)
				}
			}
			s.load()
		}, ""},
		{"another account", true, func(dir string, s *listSession) {
			saveList(t, dir, me)
			s.list.cache.account = capsJID(t, "other@school.test")
			s.load()
		}, ""},
		{"bound to another account", true, func(dir string, s *listSession) {
			s.list.cache.account = capsJID(t, "other@school.test")
			saveList(t, dir, s.list.cache.account)
			s.load()
		}, ""},
		{"no place", true, func(_ string, s *listSession) {
			s.list.cache.directory = ""
			s.load()
		}, ""},
		{"a file for a place", true, func(dir string, s *listSession) {
			s.list.cache.directory = saveList(t, dir, me)[0]
			s.load()
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			listTest(t, dir, func(session func() *listSession) {
				s := session()
				c.prepare(dir, s)
				s.connect(c.versioned, askedFor(c.ask))
				if _, all := s.get(wholeList); len(all) != 2 {
					t.Errorf("list %v", all)
				}
				s.end()
			})
		})
	}
}

func TestContactList_loadedTooLate(t *testing.T) {
	dir := t.TempDir()
	saveList(t, dir, capsJID(t, "me@school.test"))
	listTest(t, dir, func(session func() *listSession) {
		s := session()
		s.do(func() {
			s.list.Load()
			s.list.Connected(true)
		})
		synctest.Wait()
		if s.list.cache.loaded != nil {
			t.Error("kept")
		}
		if got := s.asked[0].iq.First().String(); got != askedFor("") {
			t.Errorf("asked %s", got)
		}
	})
}

// A roster that did not come is not saved, nor what was pushed meanwhile.
func TestContactList_failedFetchIsNotSaved(t *testing.T) {
	dir := t.TempDir()
	listTest(t, dir, func(session func() *listSession) {
		s := session()
		s.connect(true, askedFor(""))
		s.push("v9", "<item jid='a@school.test'/>")
		s.do(func() { s.asked[0].answer(nil, stanza.NewError(stanza.InternalServerError, "")) })
		s.push("v10", "<item jid='b@school.test'/>")
		s.end()
		if s.list.state != tp.ContactListStateFailure {
			t.Errorf("state %v", s.list.state)
		}
		if cached, err := roster.Load(dir, s.Self()); cached != nil || err != nil {
			t.Errorf("saved %v, error %v", cached, err)
		}
	})
}

// saveList saves a list of one contact, with version v7, and gives the files.
func saveList(t testing.TB, dir string, account jid.JID) []string {
	t.Helper()
	if err := roster.Save(dir, account, "v7", []*roster.Item{{JID: capsJID(t, "old@school.test")}}); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(files) != 1 {
		t.Fatalf("files %v, error %v", files, err)
	}
	return files
}

// BenchmarkContactList_close has 5,000 contacts saved, of which Disconnect waits
// for next to nothing.
func BenchmarkContactList_close(b *testing.B) {
	s := newListSession(b, b.TempDir())
	var items strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&items, "<item jid='contact%05d@school.test' subscription='both'/>", i)
	}
	answer, err := stanza.Parse("<iq type='result'><query xmlns='jabber:iq:roster' ver='v1'>" + items.String() + "</query></iq>")
	if err != nil {
		b.Fatal(err)
	}
	s.do(func() {
		s.list.Connected(true)
		s.asked[0].answer(answer, nil)
	})
	var waited time.Duration
	for b.Loop() {
		began := time.Now()
		s.do(func() {
			s.list.cache.unsaved = true
			s.list.Close()
		})
		waited += time.Since(began)
		s.list.cache.disk.Wait()
	}
	b.ReportMetric(float64(waited.Microseconds())/float64(b.N), "µs-waited/op")
}
