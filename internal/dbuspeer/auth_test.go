package dbuspeer

import (
	"bufio"
	"bytes"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const guid = "0123456789abcdef0123456789abcdef"

// testDoor is one of user 1000, at which a program of another user may knock.
func testDoor(access Access, peer uint32) door {
	d := door{
		guid: guid, access: access, self: 1000, peer: func() uint32 { return peer },
		keys:   &keyring{owner: &user.User{Uid: "1000", Username: "ada"}},
		offers: []string{external, cookieSHA1},
	}
	if access == Localhost {
		d.offers = append(d.offers, anonymous)
	}
	return d
}

// knock has a conversation and gives what was answered.
func (d door) knock(in string) (answers []string, left string, err error) {
	r := bufio.NewReader(strings.NewReader(in))
	var out bytes.Buffer
	err = d.admit(r, &out)
	rest, _ := io.ReadAll(r)
	text := strings.TrimSuffix(out.String(), "\r\n")
	if text != "" {
		answers = strings.Split(text, "\r\n")
	}
	return answers, string(rest), err
}

func TestAdmit(t *testing.T) {
	const (
		uid      = "31303030" // 1000
		ok       = "OK " + guid
		rejected = "REJECTED EXTERNAL DBUS_COOKIE_SHA1"
	)
	for _, c := range []struct {
		name   string
		access Access
		peer   uint32
		in     []string
		want   []string
		let    bool
	}{
		{"as libdbus does", SameUser, 1000, []string{"AUTH EXTERNAL " + uid, "NEGOTIATE_UNIX_FD", "BEGIN"}, []string{ok, "ERROR descriptors cannot travel"}, true},
		{"as GDBus does", SameUser, 1000, []string{"AUTH", "AUTH EXTERNAL " + uid, "BEGIN"}, []string{rejected, ok}, true},
		{"as sd-bus does", SameUser, 1000, []string{"AUTH EXTERNAL", "DATA", "BEGIN"}, []string{"DATA", ok}, true},
		{"with identity later", SameUser, 1000, []string{"AUTH EXTERNAL", "DATA " + uid, "BEGIN"}, []string{"DATA", ok}, true},
		{"another user", SameUser, 1001, []string{"AUTH EXTERNAL 31303031", "BEGIN"}, []string{rejected}, false},
		{"another user, let in", Localhost, 1001, []string{"AUTH EXTERNAL 31303031", "BEGIN"}, []string{ok}, true},
		{"says to be us", Localhost, 1001, []string{"AUTH EXTERNAL " + uid, "BEGIN"}, []string{rejected + " ANONYMOUS"}, false},
		{"nobody known", Localhost, nobody, []string{"AUTH EXTERNAL", "DATA", "BEGIN"}, []string{"DATA", rejected + " ANONYMOUS"}, false},
		{"without a name", Localhost, 1001, []string{"AUTH ANONYMOUS 7472616365", "BEGIN"}, []string{ok}, true},
		{"without a name or trace", Localhost, 1001, []string{"AUTH ANONYMOUS", "BEGIN"}, []string{ok}, true},
		{"without a name, not allowed", SameUser, 1000, []string{"AUTH ANONYMOUS 7472616365", "BEGIN"}, []string{rejected}, false},
		{"BEGIN first", SameUser, 1000, []string{"BEGIN"}, nil, false},
		{"BEGIN within", SameUser, 1000, []string{"AUTH EXTERNAL", "BEGIN"}, []string{"DATA"}, false},
		{"taken back", SameUser, 1000, []string{"AUTH EXTERNAL " + uid, "CANCEL", "BEGIN"}, []string{ok, rejected}, false},
		{"an error after OK", SameUser, 1000, []string{"AUTH EXTERNAL " + uid, "ERROR", "BEGIN"}, []string{ok, rejected}, false},
		{"nonsense", SameUser, 1000, []string{"HELLO", "", "DATA", "NEGOTIATE_UNIX_FD", "AUTH EXTERNAL zz", "AUTH EXTERNAL " + uid, "AUTH", "BEGIN"},
			[]string{"ERROR", "ERROR", "ERROR", "ERROR", rejected, ok, "ERROR"}, true},
		{"unknown mechanism", SameUser, 1000, []string{"AUTH KERBEROS_V4", "AUTH EXTERNAL " + uid, "BEGIN"}, []string{rejected, ok}, true},
		{"cookie of another user", SameUser, 1000, []string{"AUTH DBUS_COOKIE_SHA1 " + hex.EncodeToString([]byte("bob")), "BEGIN"}, []string{rejected}, false},
		{"cookie of nobody", SameUser, 1000, []string{"AUTH DBUS_COOKIE_SHA1", "DATA", "BEGIN"}, []string{"DATA", rejected}, false},
		{"no end", SameUser, 1000, []string{"AUTH EXTERNAL " + uid}, []string{ok}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := "\x00" + strings.Join(c.in, "\r\n") + "\r\n"
			got, left, err := testDoor(c.access, c.peer).knock(in + "first message")
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("answers: -want +got\n%s", d)
			}
			if (err == nil) != c.let || c.let && left != "first message" {
				t.Errorf("let in: %v, with %q left", err, left)
			}
		})
	}
}

func TestAdmit_limits(t *testing.T) {
	d := testDoor(SameUser, 1000)
	for name, in := range map[string]string{
		"nothing":       "",
		"no NUL first":  "AUTH EXTERNAL 31303030\r\nBEGIN\r\n",
		"long line":     "\x00" + strings.Repeat("A", maxLine+10) + "\r\nAUTH EXTERNAL 31303030\r\nBEGIN\r\n",
		"many lines":    "\x00" + strings.Repeat("AUTH\r\n", maxLines) + "AUTH EXTERNAL 31303030\r\nBEGIN\r\n",
		"not ASCII":     "\x00\xff\r\nAUTH EXTERNAL 31303030\r\nBEGIN\r\n",
		"NUL in a line": "\x00\x00\r\nAUTH EXTERNAL 31303030\r\nBEGIN\r\n",
	} {
		if _, _, err := d.knock(in); err == nil {
			t.Errorf("%s: let in", name)
		}
	}
}

// The client's side of DBUS_COOKIE_SHA1, with what only our user can read.
func TestAdmit_cookie(t *testing.T) {
	for _, c := range []struct {
		name string
		hash func(server, client, cookie string) string
		ok   bool
	}{
		{"right", func(s, c, k string) string { return s + ":" + c + ":" + k }, true},
		{"other cookie", func(s, c, k string) string { return s + ":" + c + ":" + k + "0" }, false},
		{"other order", func(s, c, k string) string { return c + ":" + s + ":" + k }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			x := exchange{door: testDoor(SameUser, 1000)}
			x.keys.dir = filepath.Join(t.TempDir(), "keys")
			answer, _ := x.answer("AUTH DBUS_COOKIE_SHA1 " + hex.EncodeToString([]byte("ada")))
			question, err := hex.DecodeString(strings.TrimPrefix(answer, "DATA "))
			var context, id, challenge string
			if _, err2 := fmt.Sscan(string(question), &context, &id, &challenge); err != nil || err2 != nil {
				t.Fatalf("asked %q: %v, %v", answer, err, err2)
			}
			file, err := os.ReadFile(filepath.Join(x.keys.dir, context))
			var gotID, made, cookie string
			if _, err2 := fmt.Sscan(string(file), &gotID, &made, &cookie); err != nil || err2 != nil || gotID != id {
				t.Fatalf("keyring %q: %v, %v", file, err, err2)
			}
			sum := sha1.Sum([]byte(c.hash(challenge, "c1", cookie)))
			answer, _ = x.answer("DATA " + hex.EncodeToString([]byte("c1 "+hex.EncodeToString(sum[:]))))
			if (answer == "OK "+guid) != c.ok || x.let != c.ok {
				t.Errorf("answer %q, let in %v", answer, x.let)
			}
		})
	}
}

func TestKeyring(t *testing.T) {
	k := &keyring{dir: filepath.Join(t.TempDir(), "keys")}
	id, cookie, err := k.cookie()
	if err != nil {
		t.Fatal(err)
	}
	again, same, err := k.cookie()
	if err != nil || again != id || same != cookie {
		t.Errorf("a young cookie is not used again, %v", err)
	}
	for name, mode := range map[string]os.FileMode{k.dir: 0o700 | os.ModeDir, k.file(): 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	old := func(age time.Duration) string { return fmt.Sprint(time.Now().Add(-age).Unix()) }
	os.WriteFile(k.file(), []byte("7 "+old(reuseFor+time.Minute)+" aa\n8 "+old(keepFor+time.Minute)+" bb\nx y z\n9\n-1 0 c\n"+
		"10 "+old(-time.Hour)+" of the future\n"), 0o600)
	id, _, err = k.cookie()
	b, _ := os.ReadFile(k.file())
	if err != nil || id != "8" || !strings.HasPrefix(string(b), "7 ") || strings.Count(string(b), "\n") != 2 {
		t.Errorf("id %s, %v, file\n%s", id, err, b)
	}
	left, _ := os.ReadDir(k.dir)
	if len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
}

func TestKeyring_notPrivate(t *testing.T) {
	k := &keyring{dir: filepath.Join(t.TempDir(), "keys")}
	if err := os.Mkdir(k.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		do   func() error
		ok   bool
	}{
		{"others may read", func() error { return os.Chmod(k.dir, 0o755) }, false},
		{"private", func() error { return os.Chmod(k.dir, 0o700) }, true},
		{"locked", func() error { return os.WriteFile(k.file()+".lock", nil, 0o600) }, false},
		{"locked for long", func() error {
			long := time.Now().Add(-2 * staleLock)
			return os.Chtimes(k.file()+".lock", long, long)
		}, true},
		{"no home", func() error { k.dir = ""; return nil }, false},
	} {
		if err := c.do(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := k.cookie(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// FuzzAdmit asserts that nobody of another user gets in, and that all answers
// are whole lines of ASCII.
func FuzzAdmit(f *testing.F) {
	f.Add("\x00AUTH EXTERNAL 31303030\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", true)
	f.Add("\x00AUTH\r\nAUTH DBUS_COOKIE_SHA1 616461\r\nDATA 6331203030\r\nCANCEL\r\nBEGIN\r\n", false)
	f.Add("\x00AUTH ANONYMOUS\r\nERROR\r\nDATA\r\nBEGIN\r\n", false)
	f.Fuzz(func(t *testing.T, in string, own bool) {
		d := testDoor(SameUser, map[bool]uint32{true: 1000, false: 1001}[own])
		answers, _, err := d.knock(in)
		if err == nil && !own {
			t.Fatalf("%q lets in another user", in)
		}
		for _, a := range answers {
			if a == "" || strings.ContainsFunc(a, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("answer %q", a)
			}
		}
	})
}
