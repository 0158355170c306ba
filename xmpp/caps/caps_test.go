package caps

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
)

var capsTable = []struct {
	name, in string
	want     Caps
	ok       bool
}{
	{"XEP-0115 §1.2", `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='http://code.google.com/p/exodus' ver='QgayPKawpkPSDYmwT/WM94uAlu0='/>`,
		Caps{Node: "http://code.google.com/p/exodus", Hash: "sha-1", Ver: exodusVer}, true},
	{"old form", `<c xmlns='http://jabber.org/protocol/caps' node='http://exodus.jabberstudio.org/caps' ver='0.9' ext='jingle ftrans'/>`,
		Caps{Node: "http://exodus.jabberstudio.org/caps", Ver: "0.9", Ext: "jingle ftrans"}, true},
	{"absent", `<show>away</show>`, Caps{}, false},
	{"other namespace", `<c xmlns='x' node='n' ver='v'/>`, Caps{}, false},
	{"empty", `<c xmlns='http://jabber.org/protocol/caps'/>`, Caps{}, false},
	{"without node", `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' ver='v'/>`, Caps{Hash: "sha-1", Ver: "v"}, false},
	{"without ver", `<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='n'/>`, Caps{Hash: "sha-1", Node: "n"}, false},
}

func TestParse(t *testing.T) {
	for _, c := range capsTable {
		got, ok := Parse(parse(t, `<presence>`+c.in+`</presence>`))
		if ok != c.ok {
			t.Errorf("%s: usable %v, want %v", c.name, ok, c.ok)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
		if ok && got.Element().String() != parse(t, c.in).String() && !got.Element().Equal(parse(t, c.in)) {
			t.Errorf("%s: built %s", c.name, got.Element())
		}
	}
	long := strings.Repeat("a", maxText+1)
	for _, c := range []Caps{{Node: long, Ver: "v"}, {Node: "n", Ver: long}, {Node: "n", Ver: "v", Hash: long}, {Node: "n", Ver: "v", Ext: long}} {
		if _, ok := Parse(stanza.New(stanza.NSClient, "presence", c.Element())); ok {
			t.Errorf("too long, and yet usable: %.40v", c)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range capsTable {
		f.Add(`<presence>` + c.in + `</presence>`)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		c, ok := Parse(e)
		if !ok {
			return
		}
		again, ok := Parse(stanza.New(stanza.NSClient, "presence", c.Element()))
		if !ok || again != c {
			t.Errorf("built and read again: %v, want %v", again, c)
		}
	})
}

func TestOwn(t *testing.T) {
	var own Own
	set := func(features ...string) bool {
		t.Helper()
		changed, err := own.Set(disco.Info{Identities: []disco.Identity{{Category: "client", Type: "pc", Name: "Sugar"}}, Features: features})
		if err != nil {
			t.Fatal(err)
		}
		return changed
	}
	if own.Caps() != (Caps{}) || own.Info() != nil {
		t.Error("announces something from the start")
	}
	if !set("b", "a", "b") || set("a", "b") {
		t.Error("order or repetition counts as a change, or the first is none")
	}
	first := own.Caps()
	if diff := cmp.Diff([]string{"a", "b"}, own.Info().Features); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if err := Verify(first, own.Info()); err != nil {
		t.Errorf("own announcement: %v", err)
	}
	if !set("a", "b", "c") || own.Caps() == first {
		t.Error("a new feature is no change")
	}
	if _, err := own.Set(disco.Info{Features: []string{"a"}}); !errors.Is(err, ErrIllFormed) || len(own.Info().Features) != 3 {
		t.Errorf("no identity: error %v, %d features now", err, len(own.Info().Features))
	}
}

func TestOwn_Answer(t *testing.T) {
	var own Own
	question := func(node string) *stanza.Element {
		return own.Answer(stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("id", "1"), stanza.A("from", "a@b/c"),
			stanza.New(disco.NSInfo, "query", stanza.A("node", node))))
	}
	if e := stanza.ErrorOf(question("")); e.Condition != stanza.ItemNotFound {
		t.Errorf("before anything is announced: %v", e)
	}
	var all []Caps
	for i := range keepEarlier + 1 {
		if _, err := own.Set(disco.Info{
			Identities: []disco.Identity{{Category: "client", Type: "pc"}},
			Features:   []string{strings.Repeat("f", i+1)},
		}); err != nil {
			t.Fatal(err)
		}
		all = append(all, own.Caps())
	}
	for i, c := range all {
		answer := question(c.queryNode())
		if i == 0 {
			if e := stanza.ErrorOf(answer); e.Condition != stanza.ItemNotFound {
				t.Errorf("forgotten announcement: %v", e)
			}
			continue
		}
		got, err := disco.ParseInfo(answer.Child(disco.NSInfo, "query"))
		if err != nil || Verify(c, got) != nil || got.Node != c.queryNode() {
			t.Errorf("announcement %d: %s", i, answer)
		}
	}
	if got, err := disco.ParseInfo(question("").Child(disco.NSInfo, "query")); err != nil || Verify(own.Caps(), got) != nil {
		t.Errorf("without node: %v", err)
	}
}
