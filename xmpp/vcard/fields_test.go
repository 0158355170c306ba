package vcard

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"telepathy-olpc/xmpp/stanza"
)

func TestParseFields_example(t *testing.T) {
	want := []Field{
		{"fn", nil, []string{"Peter Saint-Andre"}},
		{"n", nil, []string{"Saint-Andre", "Peter", "", "", ""}},
		{"nickname", nil, []string{"stpeter"}},
		{"url", nil, []string{"http://www.xmpp.org/xsf/people/stpeter.shtml"}},
		{"bday", nil, []string{"1966-08-06"}},
		{"org", nil, []string{"XMPP Standards Foundation"}},
		{"title", nil, []string{"Executive Director"}},
		{"role", nil, []string{"Patron Saint"}},
		{"tel", []string{"type=work", "type=voice"}, []string{"303-308-3282"}},
		{"adr", []string{"type=work"}, []string{"", "Suite 600", "1899 Wynkoop Street", "Denver", "CO", "80202", "USA"}},
		{"email", []string{"type=internet", "type=pref"}, []string{"stpeter@jabber.org"}},
		{"x-jabber", nil, []string{"stpeter@jabber.org"}},
		{"x-desc", nil, []string{"More information about me is located on my \n      personal website: http://www.saint-andre.com/"}},
	}
	if diff := cmp.Diff(want, ParseFields(parse(t, example))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseFields(t *testing.T) {
	one := func(name string, values ...string) []Field { return []Field{{name, nil, values}} }
	for _, c := range []struct {
		name, in string
		want     []Field
	}{
		{"none", "", nil},
		{"empty ones", "<FN/><N><GIVEN/></N><TEL><HOME/><NUMBER/></TEL><LABEL><LINE/></LABEL><ORG/><GEO/>", nil},
		{"not known", "<PHOTO><BINVAL>AA==</BINVAL></PHOTO><X-FOO>x</X-FOO><FN xmlns='x'>x</FN>", nil},
		{"email in the element itself, XEP-0153 §3.1", "<EMAIL>jcapulet@shakespeare.lit</EMAIL>", one("email", "jcapulet@shakespeare.lit")},
		{"number in the element itself", "<TEL> 1 <HOME/></TEL>", []Field{{"tel", []string{"type=home"}, []string{"1"}}}},
		{"parts by their other names", "<ADR><EXTADR>a</EXTADR><COUNTRY>b</COUNTRY></ADR>", one("adr", "", "a", "", "", "", "", "b")},
		{"parts without order", "<N><SUFFIX>b</SUFFIX><FAMILY>a</FAMILY></N>", one("n", "a", "", "", "", "b")},
		{"label", "<LABEL><LINE>a</LINE><LINE/><LINE>b\n</LINE></LABEL>", one("label", "a\n\nb")},
		{"units", "<ORG><ORGNAME>a</ORGNAME><ORGUNIT>b</ORGUNIT><ORGUNIT/><ORGUNIT>c</ORGUNIT></ORG>", one("org", "a", "b", "c")},
		{"units without name", "<ORG><ORGUNIT>b</ORGUNIT></ORG>", one("org", "", "b")},
		{"position", "<GEO><LAT>1.5</LAT><LON>-2</LON></GEO>", one("geo", "1.5", "-2")},
	} {
		if diff := cmp.Diff(c.want, ParseFields(parse(t, card(c.in)))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestParseFields_hostile(t *testing.T) {
	many := ParseFields(parse(t, card(strings.Repeat("<NOTE>x</NOTE>", 10_000))))
	if len(many) != maxFields {
		t.Errorf("%d fields", len(many))
	}
	huge := ParseFields(parse(t, card("<NOTE>"+strings.Repeat("x", 500_000)+"</NOTE><FN>Ada</FN>")))
	if diff := cmp.Diff([]Field{{"fn", nil, []string{"Ada"}}}, huge); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	units := ParseFields(parse(t, card("<ORG>"+strings.Repeat("<ORGUNIT>x</ORGUNIT>", 10_000)+"</ORG>")))
	if len(units) != 1 || len(units[0].Values) != maxUnits+1 {
		t.Errorf("%d organisations", len(units))
	}
}

func TestSetFields(t *testing.T) {
	all := []Field{
		{"fn", nil, []string{"Wee Ninja"}},
		{"n", nil, []string{"Ninja", "Wee", "", "", "-san"}},
		{"org", nil, []string{"Collabora, Ltd.", "Management Division", "Human Resources; Company Policy Enforcement"}},
		{"adr", []string{"type=work", "type=postal", "type=parcel"}, []string{"", "", "11 Kings Parade", "Cambridge", "Cambridgeshire", "CB2 1SJ", "UK"}},
		{"label", []string{"type=work"}, []string{"11 Kings Parade\nCambridge\nUK"}},
		{"tel", []string{"type=voice", "TYPE=WORK"}, []string{"+44 1223 362967"}},
		{"tel", nil, []string{"+44 7700 900753"}},
		{"url", nil, []string{"http://example.com/?a&b"}},
	}
	edit, err := SetFields(all)
	if err != nil {
		t.Fatal(err)
	}
	before := `<vCard xmlns='vcard-temp' version='3.0'><PHOTO><BINVAL>AA==</BINVAL></PHOTO><FN>x</FN><NICKNAME>stpeter</NICKNAME>` +
		`<X-FOO/><ROLE>x</ROLE><TEL><NUMBER>1</NUMBER></TEL></vCard>`
	checkXML(t, "all", edit(parse(t, before)), `<vCard xmlns='vcard-temp' version='3.0'><PHOTO><BINVAL>AA==</BINVAL></PHOTO>`+
		`<FN>Wee Ninja</FN><N><FAMILY>Ninja</FAMILY><GIVEN>Wee</GIVEN><MIDDLE/><PREFIX/><SUFFIX>-san</SUFFIX></N>`+
		`<ORG><ORGNAME>Collabora, Ltd.</ORGNAME><ORGUNIT>Management Division</ORGUNIT><ORGUNIT>Human Resources; Company Policy Enforcement</ORGUNIT></ORG>`+
		`<ADR><WORK/><POSTAL/><PARCEL/><POBOX/><EXTADD/><STREET>11 Kings Parade</STREET><LOCALITY>Cambridge</LOCALITY><REGION>Cambridgeshire</REGION>`+
		`<PCODE>CB2 1SJ</PCODE><CTRY>UK</CTRY></ADR><LABEL><WORK/><LINE>11 Kings Parade</LINE><LINE>Cambridge</LINE><LINE>UK</LINE></LABEL>`+
		`<TEL><VOICE/><WORK/><NUMBER>+44 1223 362967</NUMBER></TEL><TEL><NUMBER>+44 7700 900753</NUMBER></TEL><URL>http://example.com/?a&amp;b</URL>`+
		`<NICKNAME>stpeter</NICKNAME><X-FOO/></vCard>`)
	if edit, err = SetFields([]Field{{"nickname", nil, []string{"a"}}, {"nickname", nil, []string{"b"}}}); err != nil {
		t.Fatal(err)
	}
	checkXML(t, "nicknames", edit(parse(t, card("<FN>x</FN><NICKNAME>stpeter</NICKNAME>"))), card("<NICKNAME>a</NICKNAME><NICKNAME>b</NICKNAME>"))
	if edit, err = SetFields(nil); err != nil {
		t.Fatal(err)
	}
	checkXML(t, "none", edit(parse(t, card("<FN>x</FN><NICKNAME>a</NICKNAME><KEY/>"))), card("<NICKNAME>a</NICKNAME><KEY/>"))
}

func TestSetFields_refused(t *testing.T) {
	name := Field{"fn", nil, []string{"a"}}
	for _, c := range []struct {
		name   string
		fields []Field
	}{
		{"not known", []Field{{"x-foo", nil, []string{"a"}}}},
		{"photo", []Field{{"photo", nil, []string{"AA=="}}}},
		{"not lower case", []Field{{"FN", nil, []string{"a"}}}},
		{"twice", []Field{name, name}},
		{"no value", []Field{{"fn", nil, nil}}},
		{"two values", []Field{{"fn", nil, []string{"a", "b"}}}},
		{"too many parts", []Field{{"n", nil, make([]string, 6)}}},
		{"two numbers", []Field{{"tel", nil, []string{"1", "2"}}}},
		{"parameter where there is none", []Field{{"fn", []string{"type=home"}, []string{"a"}}}},
		{"parameter of another field", []Field{{"tel", []string{"type=x400"}, []string{"a"}}}},
		{"not a type", []Field{{"tel", []string{"language=de"}, []string{"a"}}}},
		{"too long", []Field{{"note", nil, []string{strings.Repeat("x", maxFieldsBytes)}}}},
		{"too many", make([]Field, 0)},
	} {
		if c.name == "too many" {
			for i := range maxFields + 1 {
				c.fields = append(c.fields, Field{"note", nil, []string{fmt.Sprint(i)}})
			}
		}
		if _, err := SetFields(c.fields); err == nil {
			t.Errorf("%s: accepted", c.name)
		}
	}
}

func TestSupportedFields(t *testing.T) {
	specs := map[string]FieldSpec{}
	for _, s := range SupportedFields() {
		if _, twice := specs[s.Name]; twice || s.Name != strings.ToLower(s.Name) {
			t.Errorf("field %q", s.Name)
		}
		specs[s.Name] = s
		// What is announced is taken.
		if _, err := SetFields([]Field{{s.Name, s.Parameters, []string{"x"}}}); err != nil {
			t.Error(err)
		}
	}
	for _, want := range []FieldSpec{
		{"fn", nil, false, 1},
		{"nickname", nil, true, math.MaxUint32},
		{"email", []string{"type=home", "type=work", "type=internet", "type=pref", "type=x400"}, false, math.MaxUint32},
	} {
		if diff := cmp.Diff(want, specs[want.Name]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// FuzzFields asserts that what is read of a vCard fits, and is read again after
// it was written into another.
func FuzzFields(f *testing.F) {
	f.Add(example)
	f.Add(card("<LABEL><HOME/><LINE>a</LINE><LINE/><LINE>b\n</LINE></LABEL><EMAIL>x</EMAIL>"))
	f.Add(card("<FN>a</FN><FN>b</FN><GEO><LAT>1</LAT></GEO><ORG><ORGUNIT>u</ORGUNIT></ORG>"))
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		fields := ParseFields(e)
		size := 0
		for i := range fields {
			size += fields[i].size()
		}
		if len(fields) > maxFields || size > maxFieldsBytes {
			t.Fatalf("%d fields of %d bytes", len(fields), size)
		}
		edit, err := SetFields(fields)
		if err != nil {
			return // what may be there once is there twice
		}
		if diff := cmp.Diff(fields, ParseFields(edit(empty())), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s (-first +again):\n%s", in, diff)
		}
	})
}

func BenchmarkParseFields(b *testing.B) {
	e := parse(b, example)
	b.ReportAllocs()
	for b.Loop() {
		ParseFields(e)
	}
}
