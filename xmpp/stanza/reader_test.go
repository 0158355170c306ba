package stanza

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

const header = `<?xml version='1.0' encoding='UTF-8'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='s1' from='school.test' version='1.0' xml:lang='en'>`

func TestReader_reads(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     *Element
	}{
		{"empty element", `<iq/>`, New(NSClient, "iq")},
		{"both quotes", `<iq a='"' b="'"/>`, New(NSClient, "iq", A("a", `"`), A("b", "'"))},
		{"space in tags", "<iq\n a = '1' \t></iq >", New(NSClient, "iq", A("a", "1"))},
		{"references", `<a b='&lt;&#65;&#x1F600;'>&amp;&gt;&apos;&quot;&#xA;</a>`, New(NSClient, "a", A("b", "<A😀"), Text("&>'\"\n"))},
		{"space in attributes", "<a b=' 1\t2\r\n3\n'/>", New(NSClient, "a", A("b", " 1 2 3 "))},
		{"line ends in text", "<a>1\r\n2\r3\n</a>", New(NSClient, "a", Text("1\n2\n3\n"))},
		{"CDATA", `<a>1<![CDATA[<&]]]]>2</a>`, New(NSClient, "a", Text("1<&]]2"))},
		{"text around children", `<a>1<b>2</b>3</a>`, New(NSClient, "a", Text("13"), New(NSClient, "b", Text("2")))},
		{"indentation is dropped", "<a>\n <b> </b>\n</a>", New(NSClient, "a", New(NSClient, "b", Text(" ")))},
		{"prefixes", `<p:a xmlns:p='x' p:q='1' xml:lang='de'><p:b xmlns:p='y'/><c/></p:a>`, New("x", "a", A("xml:lang", "de"), New("y", "b"), New(NSClient, "c"))},
		{"default namespace undone", `<a xmlns='x'><b xmlns=''/><c/></a>`, New("x", "a", New("", "b"), New("x", "c"))},
		{"stream's prefix", `<stream:error/>`, New(NSStream, "error")},
		{"names beyond ASCII", `<é ü·='1'/>`, New(NSClient, "é", A("ü·", "1"))},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, slow := range []bool{false, true} {
				var src io.Reader = strings.NewReader(header + " " + c.in)
				if slow {
					src = iotest.OneByteReader(src)
				}
				r := NewReader(src, Limits{})
				if _, err := r.Open(); err != nil {
					t.Fatalf("Open: %v", err)
				}
				got, err := r.Next()
				if err != nil {
					t.Fatalf("Next: %v", err)
				}
				if diff := cmp.Diff(c.want, got); diff != "" {
					t.Errorf("one byte at a time: %v (-want +got):\n%s", slow, diff)
				}
			}
		})
	}
}

func TestReader_refuses(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"text between stanzas", `x<iq/>`, badFormat},
		{"comment", `<!-- c -->`, restrictedXML},
		{"comment inside", `<a><!-- c --></a>`, restrictedXML},
		{"document type", `<!DOCTYPE a [<!ENTITY b "c">]>`, restrictedXML},
		{"document type inside", `<a><!DOCTYPE b></a>`, restrictedXML},
		{"processing instruction", `<?php ?>`, restrictedXML},
		{"processing instruction inside", `<a><?php ?></a>`, restrictedXML},
		{"entity", `<a>&nbsp;</a>`, restrictedXML},
		{"entity in attribute", `<a b='&x;'/>`, restrictedXML},
		{"zero byte", "\x00", badFormat},
		{"zero byte inside", "<a>\x00</a>", notWellFormed},
		{"control character", "<a>\x01</a>", notWellFormed},
		{"control character by reference", "<a>&#1;</a>", notWellFormed},
		{"control character in attribute", "<a b='\x01'/>", notWellFormed},
		{"control character in CDATA", "<a><![CDATA[\x01]]></a>", notWellFormed},
		{"surrogate by reference", "<a>&#xD800;</a>", notWellFormed},
		{"reference beyond Unicode", "<a>&#x110000;</a>", notWellFormed},
		{"reference without end", "<a>&lt</a>", notWellFormed},
		{"reference without digits", "<a>&#;</a>", notWellFormed},
		{"endless reference", "<a>&#000000000000000000000065;</a>", notWellFormed},
		{"not UTF-8", "<a>\xff</a>", notWellFormed},
		{"not UTF-8 in attribute", "<a b='\xc3'/>", notWellFormed},
		{"wrong end tag", `<a><b></a>`, notWellFormed},
		{"end of stream inside", `<a></stream:stream>`, notWellFormed},
		{"other end at the top", `</a>`, notWellFormed},
		{"attribute twice", `<a b='1' b='2'/>`, notWellFormed},
		{"attribute without value", `<a b/>`, notWellFormed},
		{"attribute without quotes", `<a b=1/>`, notWellFormed},
		{"attribute without space", `<a b='1'c='2'/>`, notWellFormed},
		{"markup in attribute", `<a b='<'/>`, notWellFormed},
		{"space before name", `< a/>`, notWellFormed},
		{"digit first", `<1/>`, notWellFormed},
		{"two colons", `<a:b:c/>`, notWellFormed},
		{"empty prefix", `<:a/>`, notWellFormed},
		{"empty local name", `<stream:/>`, notWellFormed},
		{"prefix unknown", `<p:a/>`, notWellFormed},
		{"prefix of attribute unknown", `<a p:b='1'/>`, notWellFormed},
		{"prefix out of scope", `<a><b xmlns:p='x'/><p:c/></a>`, notWellFormed},
		{"prefix bound to nothing", `<a xmlns:p=''/>`, notWellFormed},
		{"xml bound to another", `<a xmlns:xml='x'/>`, notWellFormed},
		{"another bound to xml", `<a xmlns:x='http://www.w3.org/XML/1998/namespace'/>`, notWellFormed},
		{"xmlns bound", `<a xmlns:xmlns='x'/>`, notWellFormed},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(strings.NewReader(header+c.in), Limits{})
			if _, err := r.Open(); err != nil {
				t.Fatalf("Open: %v", err)
			}
			e, err := r.Next()
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.StreamCondition() != c.want {
				t.Fatalf("got %v, %v; want %s", e, err, c.want)
			}
			if _, again := r.Next(); again != err {
				t.Errorf("second error %v, want the first, %v", again, err)
			}
		})
	}
}

func TestReader_limits(t *testing.T) {
	limits := Limits{Bytes: 1000, Depth: 4, Children: 5, Attrs: 3}
	many := func(s string) string { return strings.Repeat(s, 300) }
	for _, c := range []struct{ name, in, want string }{
		{"text", "<a>" + many("text") + "</a>", "bytes"},
		{"attribute", "<a b='" + many("text") + "'/>", "bytes"},
		{"name", "<" + many("text") + "/>", "bytes"},
		{"attribute's name", "<a " + many("text") + "='1'/>", "bytes"},
		{"CDATA", "<a><![CDATA[" + many("text") + "]]></a>", "bytes"},
		{"space in tag", "<a" + many("    ") + "/>", "bytes"},
		{"depth", "<a><a><a><a><a/></a></a></a></a>", "depth"},
		{"children", "<a><b/><b/><b/><b/><b/><b/></a>", "children"},
		{"attributes", "<a b='1' c='1' d='1' e='1'/>", "attributes"},
		{"namespaces", "<a a='1' xmlns:b='1' xmlns:c='1' xmlns:d='1'/>", "attributes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewReader(strings.NewReader(c.in), limits).Next()
			var limit *LimitError
			if !errors.As(err, &limit) || limit.What != c.want {
				t.Errorf("got %v, want a limit of %s", err, c.want)
			}
		})
	}
	t.Run("namespaces in scope", func(t *testing.T) {
		var b strings.Builder
		for i := range 50 {
			fmt.Fprintf(&b, "<a xmlns:a%d='1' xmlns:b%[1]d='1' xmlns:c%[1]d='1' xmlns:d%[1]d='1' xmlns:e%[1]d='1' xmlns:f%[1]d='1'>", i)
		}
		_, err := NewReader(strings.NewReader(b.String()), Limits{}).Next()
		var limit *LimitError
		if !errors.As(err, &limit) || limit.What != "namespaces" {
			t.Errorf("got %v", err)
		}
	})
	t.Run("just within", func(t *testing.T) {
		in := "<a b='1' c='1' d='1'><a/><a/><a/><a/><a><a><a>" + many("abc") + "</a></a></a></a>"
		r := NewReader(strings.NewReader(in+many(" ")+many("\n")+in), Limits{Bytes: len(in), Depth: 4, Children: 5, Attrs: 3})
		for range 2 {
			if _, err := r.Next(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestReader_endlessTokenTakesNoMemory(t *testing.T) {
	for _, begin := range []string{"<a>", "<a b='", "<", "<a ", "<a", "<a><![CDATA[", "<a>&"} {
		for _, endless := range []string{"x", " ", "<b>", "<b/>", "\xf0"} {
			r := NewReader(io.MultiReader(strings.NewReader(begin), &repeat{endless, 256 << 20}), Limits{})
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			if _, err := r.Next(); err == nil {
				t.Errorf("%q then %q: no error", begin, endless)
			}
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
				t.Errorf("%q then %q: %d bytes allocated", begin, endless, got)
			}
		}
	}
}

// repeat gives its text over and over.
type repeat struct {
	text string
	left int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left < len(p) {
		return 0, io.EOF
	}
	n := 0
	for r.text != "" && n+len(r.text) <= len(p) {
		n += copy(p[n:], r.text)
	}
	r.left -= n
	return n, nil
}

func TestReader_cutAnywhere(t *testing.T) {
	const one = `<iq type='get'><a xmlns='b'>t&amp;<![CDATA[x]]></a></iq>`
	whole := header + one
	for n := range len(whole) {
		r := NewReader(strings.NewReader(whole[:n]), Limits{})
		_, err := r.Open()
		want := io.ErrUnexpectedEOF
		if err == nil {
			_, err = r.Next()
			if n == len(header) {
				want = io.EOF
			}
		}
		if err != want {
			t.Errorf("cut at %d: got %v, want %v", n, err, want)
		}
	}
}

func TestReader_end(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name string
		src  io.Reader
		want error
	}{
		{"closed", strings.NewReader(header + "<iq/> </stream:stream> "), ErrEnd},
		{"cut", strings.NewReader(header + "<iq/> "), io.EOF},
		{"failed", io.MultiReader(strings.NewReader(header+"<iq/>"), iotest.ErrReader(broken)), broken},
		{"failed inside", io.MultiReader(strings.NewReader(header+"<iq/><iq"), iotest.ErrReader(broken)), broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := NewReader(c.src, Limits{})
			if _, err := r.Open(); err != nil {
				t.Fatal(err)
			}
			if e, err := r.Next(); err != nil || !e.Is(NSClient, "iq") {
				t.Fatalf("got %v, %v", e, err)
			}
			if _, err := r.Next(); err != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("closed in its header", func(t *testing.T) {
		r := NewReader(strings.NewReader(`<s:stream xmlns:s='x'/>`), Limits{})
		if _, err := r.Open(); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Next(); err != ErrEnd {
			t.Errorf("got %v, want %v", err, ErrEnd)
		}
	})
}

func TestReader_Open(t *testing.T) {
	want := New(NSStream, "stream", A("id", "s1"), A("from", "school.test"), A("version", "1.0"), A("xml:lang", "en"))
	r := NewReader(strings.NewReader(header+`<iq/>`+"\n"+header+`<iq/>rest`), Limits{})
	for range 2 { // the second is a restart
		got, err := r.Open()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if _, err := r.Next(); err != nil {
			t.Fatal(err)
		}
	}
	if r.Buffered() != len("rest") {
		t.Errorf("%d bytes left, want 4", r.Buffered())
	}
	for _, c := range []struct{ name, in, want string }{
		{"another protocol", "HTTP/1.1 400 Bad Request\r\n\r\n", badFormat},
		{"another greeting", "220 mail.school.test ESMTP\r\n", badFormat},
		{"encoding", `<?xml version='1.0' encoding='ISO-8859-1'?><a/>`, unsupportedEncoding},
		{"document type", `<?xml version='1.0'?><!DOCTYPE html>`, restrictedXML},
		{"processing instruction", `<?xsl a?>`, restrictedXML},
		{"declaration without end", `<?xml version='1.0'>`, notWellFormed},
		{"bad tag", `<stream:stream xmlns:stream='x`, ""},
	} {
		_, err := NewReader(strings.NewReader(c.in), Limits{}).Open()
		var syntax *SyntaxError
		if errors.As(err, &syntax); err == nil || c.want != "" && (syntax == nil || syntax.Condition != c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
}

func TestReader_Cost(t *testing.T) {
	r := NewReader(strings.NewReader(`<a/> <b><c>text</c></b>`), Limits{})
	for _, want := range []int{len(`<a/>`) + elementCost, len(`<b><c>text</c></b>`) + 2*elementCost} {
		if _, err := r.Next(); err != nil || r.Cost() != want {
			t.Errorf("got %d, %v; want %d", r.Cost(), err, want)
		}
	}
}

func TestReader_sourceThatGivesNothing(t *testing.T) {
	if _, err := NewReader(&repeat{"", 1 << 30}, Limits{}).Next(); err != io.ErrNoProgress {
		t.Errorf("got %v", err)
	}
}

func TestParse_one(t *testing.T) {
	for _, in := range []string{"", "<a/><b/>", "<a/>b", "<a"} {
		if e, err := Parse(in); err == nil {
			t.Errorf("%q gave %v", in, e)
		}
	}
}

// FuzzReader asserts that what is read can be written and read again with the
// same meaning, and that the limits hold.
func FuzzReader(f *testing.F) {
	for _, s := range []string{
		`<iq type='get'><query xmlns='jabber:iq:roster'/></iq>`, `<a b='&lt;&#65;'>&amp;<![CDATA[<]]></a>`,
		`<p:a xmlns:p='x' p:q='1' xml:lang='de'><p:b xmlns:p='y'/><c/></p:a>`, "<a>1\r\n2\r3\n</a>", `<é ü='1'/>`,
		`<!DOCTYPE a>`, `<a xmlns=''><b xmlns='x'/></a>`, header + `<iq/></stream:stream>`, "<a b='\t\n'/>", "<a>\uFFFD\xff</a>",
	} {
		f.Add(s, true)
		f.Add(s, false)
	}
	limits := Limits{Bytes: 4096, Depth: 8, Children: 16, Attrs: 8}
	f.Fuzz(func(t *testing.T, in string, open bool) {
		r := NewReader(strings.NewReader(in), limits)
		if open {
			if _, err := r.Open(); err != nil {
				return
			}
		}
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			checkLimits(t, e, limits, 1)
			again, err := Parse(e.String())
			if err != nil || !again.Equal(e) {
				t.Fatalf("%q reads as\n%s, which reads as\n%v, %v", in, e, again, err)
			}
		}
	})
}

func checkLimits(t *testing.T, e *Element, l Limits, depth int) {
	if depth > l.Depth || len(e.Children()) > l.Children || len(e.attrs) > l.Attrs || len(e.Text()) > l.Bytes {
		t.Fatalf("over the limits: %s", e)
	}
	for _, c := range e.Children() {
		checkLimits(t, c, l, depth+1)
	}
}

// A component's stream differs from a client's in its namespace alone.
func TestReader_componentStream(t *testing.T) {
	r := NewReader(strings.NewReader("<stream:stream xmlns='jabber:component:accept' xmlns:stream='http://etherx.jabber.org/streams'>"+
		"<message><body>a</body><x xmlns='y'><message xmlns='jabber:component:accept'/><z xmlns='jabber:client'/></x></message></stream:stream>"), Limits{})
	if _, err := r.Open(); err != nil {
		t.Fatal(err)
	}
	got, err := r.Next()
	want := New(NSClient, "message", New(NSClient, "body", Text("a")), New("y", "x", New(NSClient, "message"), New(NSClient, "z")))
	if err != nil || !got.Equal(want) {
		t.Errorf("got %s, %v", got, err)
	}
	plain := NewReader(strings.NewReader("<message xmlns='jabber:component:accept'/>"), Limits{})
	if got, err := plain.Next(); err != nil || got.Space() != NSComponent {
		t.Errorf("outside such a stream: %s in %q, %v", got, got.Space(), err)
	}
}
