package stanza

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNew_leavesOutWhatIsEmpty(t *testing.T) {
	var none *Element
	got := New(NSClient, "iq", A("type", "get"), A("to", ""), none,
		New("jabber:iq:roster", "query", A("ver", "1"), New("jabber:iq:roster", "item", Text("a"), Text("b")))).String()
	want := `<iq type='get'><query xmlns='jabber:iq:roster' ver='1'><item>ab</item></query></iq>`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestWith_changesOnlyTheCopy(t *testing.T) {
	e := New(NSClient, "presence", A("from", "a@b"), A("type", "error"), New(NSClient, "show"))
	first := e.With(A("from", "c@d"), New(NSClient, "status"), Text("x"))
	second := e.With(A("from", ""), A("id", "1"), New(NSClient, "priority"))
	for _, c := range []struct {
		name string
		e    *Element
		want string
	}{
		{"original", e, `<presence from='a@b' type='error'><show/></presence>`},
		{"replaced and added", first, `<presence from='c@d' type='error'>x<show/><status/></presence>`},
		{"removed and added", second, `<presence type='error' id='1'><show/><priority/></presence>`},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestElement_nilIsEmpty(t *testing.T) {
	var e *Element
	if e.Name().Local != "" || e.Attr("a") != "" || e.HasAttr("a") || e.Text() != "" || e.First() != nil ||
		e.Child("a", "b") != nil || e.Is("", "") || e.String() != "" || !e.Equal(nil) || e.Equal(New("", "a")) {
		t.Error("nil element is not empty")
	}
	for range e.Each("a", "b") {
		t.Error("nil element has children")
	}
}

func TestElement_lookup(t *testing.T) {
	e := mustParse(t, `<x xmlns='a' id='' xml:lang='de'><y n='1'/><y xmlns='b'/><y n='2'/>text</x>`)
	var ns []string
	for y := range e.Each("a", "y") {
		ns = append(ns, y.Attr("n"))
	}
	if diff := cmp.Diff([]string{"1", "2"}, ns); diff != "" {
		t.Errorf("Each (-want +got):\n%s", diff)
	}
	for range e.Each("a", "y") {
		break
	}
	if e.Child("b", "y") != e.Children()[1] || e.First() != e.Children()[0] || e.Child("c", "y") != nil {
		t.Error("Child or First found another element")
	}
	if !e.HasAttr("id") || e.HasAttr("no") || e.Attr("xml:lang") != "de" || e.Text() != "text" {
		t.Error("attributes or text")
	}
}

func TestEqual(t *testing.T) {
	base := `<a b='1' c='2'>t<d/></a>`
	for _, c := range []struct {
		name, other string
		want        bool
	}{
		{"same", base, true},
		{"other order of attributes", `<a c='2' b='1'>t<d/></a>`, true},
		{"other namespace", `<a xmlns='x' b='1' c='2'>t<d/></a>`, false},
		{"other attribute", `<a b='1' c='3'>t<d/></a>`, false},
		{"other text", `<a b='1' c='2'>u<d/></a>`, false},
		{"other child", `<a b='1' c='2'>t<e/></a>`, false},
		{"more children", `<a b='1' c='2'>t<d/><d/></a>`, false},
	} {
		if got := mustParse(t, base).Equal(mustParse(t, c.other)); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestAppendXML_escapes(t *testing.T) {
	for _, c := range []struct{ name, in, wantAttr, wantText string }{
		{"plain", "Grüße 😀", "Grüße 😀", "Grüße 😀"},
		{"markup", `<&>'"]]>`, "&lt;&amp;&gt;&apos;&quot;]]&gt;", `&lt;&amp;&gt;'"]]&gt;`},
		{"space", "a\tb\nc\rd", "a&#x9;b&#xA;c&#xD;d", "a\tb\nc&#xD;d"},
		{"control", "a\x00b\x1bc\x0b", "a\uFFFDb\uFFFDc\uFFFD", "a\uFFFDb\uFFFDc\uFFFD"},
		{"not UTF-8", "a\xffb\xc3", "a\uFFFDb\uFFFD", "a\uFFFDb\uFFFD"},
		{"surrogate", "\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD", "\uFFFD\uFFFD\uFFFD"},
		{"not a character", "\uFFFE\uFFFF", "\uFFFD\uFFFD", "\uFFFD\uFFFD"},
		{"replacement itself", "\uFFFD", "\uFFFD", "\uFFFD"},
		{"delete", "\x7f", "\x7f", "\x7f"},
	} {
		got := New(NSClient, "a", A("b", c.in), Text(c.in)).String()
		want := "<a b='" + c.wantAttr + "'>" + c.wantText + "</a>"
		if got != want {
			t.Errorf("%s: got %q, want %q", c.name, got, want)
		}
		read, err := Parse(New(NSClient, "a", Text(c.in)).String())
		if err != nil || read.Text() != Clean(c.in) {
			t.Errorf("%s: Clean gives %q, a reader %q, %v", c.name, Clean(c.in), read.Text(), err)
		}
	}
}

func TestAppendXML_namespaces(t *testing.T) {
	e := New("a", "x", New("a", "y", New("", "z", New("b", "w"))))
	for _, c := range []struct{ parent, want string }{
		{"a", `<x><y><z xmlns=''><w xmlns='b'/></z></y></x>`},
		{"b", `<x xmlns='a'><y><z xmlns=''><w xmlns='b'/></z></y></x>`},
	} {
		if got := string(e.AppendXML(nil, c.parent)); got != c.want {
			t.Errorf("below %q: got %s, want %s", c.parent, got, c.want)
		}
	}
}

func mustParse(t testing.TB, s string) *Element {
	t.Helper()
	e, err := Parse(s)
	if err != nil {
		t.Fatalf("parse %s: %v", s, err)
	}
	return e
}
