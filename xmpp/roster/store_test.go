package roster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
)

// account is one that nobody has.
func account() jid.JID { return jid.JID{} }

// stored is a roster as it lies in the file, with the right checksum.
func stored(body string) string { return checksum([]byte(body)) + "\n" + body }

// pointers gives items as a [Roster] has them.
func pointers(items []Item) []*Item {
	list := make([]*Item, len(items))
	for i := range items {
		list[i] = &items[i]
	}
	return list
}

func TestSaveLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "not", "yet", "there")
	juliet, nurse := addr(t, "juliet@example.com/balcony"), addr(t, "nurse@example.com")
	items := []Item{
		{JID: addr(t, "b@s"), Name: "tab\tline\nquotes '\"<&> ä\ufffd", Groups: []string{"A\r\n", "B & C"}, Subscription: Both, Ask: true, Approved: true},
		{JID: addr(t, "a@s'\"&"), Subscription: To},
		{JID: addr(t, "c@s"), Subscription: From},
		{JID: addr(t, "s")},
	}
	sorted := []Item{items[3], items[0], items[2], items[1]}
	for _, version := range []string{"v1", "<2 '\n"} {
		if err := Save(dir, juliet, version, pointers(items)); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir, juliet.Bare())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&Cached{version, sorted}, got, byValue); diff != "" {
			t.Errorf("loaded (-want +got):\n%s", diff)
		}
	}
	if got, err := Load(dir, nurse); got != nil || err != nil {
		t.Errorf("another account's: %v, error %v", got, err)
	}
	for _, name := range filesIn(t, dir, 1) {
		if strings.Contains(name, "juliet") || strings.Contains(name, "example") {
			t.Errorf("the name %q tells whose it is", name)
		}
	}
}

// What is no use is not kept, nor what was there before.
func TestSave_nothing(t *testing.T) {
	one := []*Item{{JID: addr(t, "a@s")}}
	for _, c := range []struct {
		name, version string
		items         []*Item
	}{{"no version", "", one}, {"no contacts", "v", nil}, {"endless version", strings.Repeat("v", maxVersion+1), one}} {
		dir := t.TempDir()
		for _, err := range []error{Save(dir, account(), "v", one), Save(dir, account(), c.version, c.items)} {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		}
		filesIn(t, dir, 0)
	}
}

func TestSave_impossible(t *testing.T) {
	one := []*Item{{JID: addr(t, "a@s")}}
	if err := Save("", account(), "v", one); err != nil {
		t.Errorf("no directory: %v", err)
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, fileName(account())), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Load(dir, account()); err == nil {
		t.Error("a folder was read")
	}
	if Save(dir, account(), "v", one) == nil || Save("/proc/none", account(), "v", one) == nil {
		t.Error("saved where it cannot be")
	}
	filesIn(t, dir, 1)
}

func TestSave_bounded(t *testing.T) {
	dir := t.TempDir()
	if err := Save(dir, account(), "v", []*Item{{JID: addr(t, "a@s")}}); err != nil {
		t.Fatal(err)
	}
	var many []*Item
	for i := range maxFileBytes / maxName {
		many = append(many, &Item{JID: addr(t, fmt.Sprint(i, "@s")), Name: strings.Repeat("n", maxName)})
	}
	if Save(dir, account(), "w", many) == nil {
		t.Error("saved a file that is too large")
	}
	if got, err := Load(dir, account()); err != nil || got.Version != "v" {
		t.Errorf("the old file is gone: %v, error %v", got, err)
	}
	worst := &Item{JID: addr(t, "a@s"), Name: strings.Repeat("'", maxName)}
	for i := range maxGroups {
		worst.Groups = append(worst.Groups, fmt.Sprintf("%02d", i)+strings.Repeat("&", maxName-2))
	}
	if err := Save(dir, account(), "w", []*Item{worst}); err != nil {
		t.Fatal(err)
	}
	if got, err := Load(dir, account()); err != nil || !got.Items[0].equal(worst) {
		t.Errorf("the largest item: error %v", err)
	}
}

func TestLoad_hostile(t *testing.T) {
	const item = `<item jid='a@s'/>`
	for _, c := range []struct {
		name, file string
		want       int // items; -1 for an error
	}{
		{"good", stored(query(item + "\n" + item)), 2},
		{"no items", stored(query("")), 0},
		{"empty", "", -1},
		{"checksum alone", checksum(nil), -1},
		{"no checksum", query(item), -1},
		{"wrong checksum", stored(query(""))[:64] + "\n" + query(item), -1},
		{"cut short", stored(query(item))[:100], -1},
		{"zeros at the end", stored(query(item)) + "\x00\x00", -1},
		{"end is missing", stored(`<query xmlns='jabber:iq:roster' ver='v'>` + item), -1},
		{"no version", stored(`<query xmlns='jabber:iq:roster'>` + item + `</query>`), -1},
		{"endless version", stored(`<query xmlns='jabber:iq:roster' ver='` + strings.Repeat("v", maxVersion+1) + `'/>`), -1},
		{"other namespace", stored(`<query xmlns='x' ver='v'>` + item + `</query>`), -1},
		{"other element", stored(query(item + `<other jid='a@s'/>`)), -1},
		{"removal", stored(query(`<item jid='a@s' subscription='remove'/>`)), -1},
		{"no address", stored(query(item + `<item/>`)), -1},
		{"binary", stored("\x00\xff"), -1},
		{"deep", stored(query(strings.Repeat("<item jid='a@s'>", 10_000))), -1},
		{"endless groups", stored(query(`<item jid='a@s'>` + strings.Repeat("<group>g</group>", maxGroups+1) + `</item>`)), -1},
		{"endless item", stored(query(`<item jid='a@s' name='` + strings.Repeat("n", maxFileItem) + `'/>`)), -1},
		{"endless file", stored(query(strings.Repeat(item, maxFileBytes/len(item)))), -1},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName(account())), []byte(c.file), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Load(dir, account())
		switch {
		case c.want < 0 && (err == nil || got != nil):
			t.Errorf("%s: loaded %v, error %v", c.name, got, err)
		case c.want >= 0 && (err != nil || len(got.Items) != c.want):
			t.Errorf("%s: loaded %v, error %v; want %d items", c.name, got, err, c.want)
		}
	}
}

func TestIsVersioned(t *testing.T) {
	for features, want := range map[string]bool{
		`<features><ver xmlns='urn:xmpp:features:rosterver'/></features>`: true,
		`<features><ver xmlns='urn:other'/></features>`:                   false,
		`<features/>`: false,
	} {
		if got := IsVersioned(parse(t, features)); got != want {
			t.Errorf("%s: %t", features, got)
		}
	}
	if IsVersioned(nil) {
		t.Error("nothing at all has versions")
	}
}

// filesIn fails when there are more or fewer files.
func filesIn(t *testing.T, dir string, want int) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != want {
		t.Errorf("in the directory: %v, error %v; want %d", entries, err, want)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// FuzzRead holds what is read from a file to the limits, and to be the same
// when it is written and read once more.
func FuzzRead(f *testing.F) {
	f.Add(query(`<item jid='a@s' name='&#10;' subscription='both' ask='subscribe' approved='1'><group>g</group></item><item jid='b@s/x'/>`))
	f.Add(query(`<item jid='a@s' subscription='remove'/>`))
	f.Add(string(build("v", []*Item{{Groups: []string{"g", "h"}}})))
	f.Fuzz(func(t *testing.T, body string) {
		first, err := read(strings.NewReader(stored(body)))
		if err != nil {
			return
		}
		items := slices.DeleteFunc(pointers(first.Items), func(i *Item) bool { return len(i.Groups) > maxGroups || len(i.Name) > maxName })
		if len(items) != len(first.Items) || len(items) > maxItems {
			t.Errorf("over the limits: %v", first)
		}
		again := build(first.Version, items)
		second, err := read(strings.NewReader(stored(string(again))))
		if err != nil {
			t.Fatalf("written as %s: %v", again, err)
		}
		if third := build(second.Version, pointers(second.Items)); !bytes.Equal(again, third) || len(second.Items) != len(first.Items) {
			t.Errorf("written as %s, then as %s", again, third)
		}
	})
}

// BenchmarkSave is what the disk has to do, beside the loop, with 5,000
// contacts.
func BenchmarkSave(b *testing.B) {
	dir, items := b.TempDir(), slices.Collect(fetchSchool(b, school(b, 5000), 5000).All())
	b.ReportAllocs()
	for b.Loop() {
		if err := Save(dir, account(), "v", items); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLoad reads them again.
func BenchmarkLoad(b *testing.B) {
	dir, items := b.TempDir(), slices.Collect(fetchSchool(b, school(b, 5000), 5000).All())
	if err := Save(dir, account(), "v", items); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if cached, err := Load(dir, account()); err != nil || len(cached.Items) != len(items) {
			b.Fatalf("%v, error %v", cached, err)
		}
	}
}
