package si

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const (
	bytestreams = "http://jabber.org/protocol/bytestreams"
	inBand      = "http://jabber.org/protocol/ibb"
	fileProfile = "http://jabber.org/protocol/si/profile/file-transfer"
	tubes       = "http://telepathy.freedesktop.org/xmpp/tubes"
)

var parse = xmpptest.Element

// form is the list of methods as XEP-0096 example 1 has it.
const form = `<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data' type='form'>
	<field var='stream-method' type='list-single'>
	<option><value>http://jabber.org/protocol/bytestreams</value></option>
	<option><value>http://jabber.org/protocol/ibb</value></option></field></x></feature>`

func offer(attrs, children string) string {
	return `<si xmlns='http://jabber.org/protocol/si' ` + attrs + `>` + children + `</si>`
}

const (
	fileAttrs = `id='a0' profile='` + fileProfile + `' mime-type='text/plain'`
	multiple  = `<si-multiple xmlns='http://telepathy.freedesktop.org/xmpp/si-multiple'/>`
)

var offerTable = []struct {
	name, in string
	want     Offer
	err      error
}{
	{"XEP-0096 example 1", offer(fileAttrs, `<file xmlns='`+fileProfile+`' name='test.txt' size='1022'/>`+form),
		Offer{"a0", fileProfile, "text/plain", []string{bytestreams, inBand}, false}, nil},
	{"stream tube of gabble", offer(`id='1700000001-7' profile='`+tubes+`'`, `<muc-stream xmlns='`+tubes+`' tube='9'/>`+form+multiple),
		Offer{"1700000001-7", tubes, "", []string{bytestreams, inBand}, true}, nil},
	{"no id", offer(`profile='p'`, form), Offer{}, ErrNoID},
	{"long id", offer(`id='`+strings.Repeat("a", maxID+1)+`'`, form), Offer{}, ErrNoID},
	{"no form", offer(`id='a'`, multiple), Offer{}, ErrNoForm},
	{"empty form", offer(`id='a'`, `<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data'/></feature>`), Offer{ID: "a"}, nil},
	{"other fields, twice the same, empty ones", offer(`id='a'`, `<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data'>
		<field var='stream=method'><option><value>x</value></option></field><field var='stream-method'><option/><option><value/></option>
		<option><value>m</value></option><option><value>m</value></option></field></x></feature>`), Offer{ID: "a", Methods: []string{"m"}}, nil},
}

func TestParseOffer(t *testing.T) {
	for _, c := range offerTable {
		got, err := ParseOffer(parse(t, c.in))
		if err != c.err {
			t.Errorf("%s: %v, want %v", c.name, err, c.err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	many := strings.Builder{}
	for i := range 1000 {
		fmt.Fprintf(&many, "<option><value>%d</value></option>", i)
	}
	o, err := ParseOffer(parse(t, offer("id='a'", strings.Replace(form, "<option>", many.String()+"<option>", 1))))
	if err != nil || len(o.Methods) != maxMethods {
		t.Errorf("%d of 1002, %v", len(o.Methods), err)
	}
}

func TestOffer_element(t *testing.T) {
	want := parse(t, offer(`id='1700000001-7' profile='`+tubes+`'`, `<muc-stream xmlns='`+tubes+`' tube='9'/><feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data' type='form'><field var='stream-method' type='list-single'><option><value>`+bytestreams+`</value></option><option><value>`+inBand+`</value></option></field></x></feature>`+multiple))
	got := offerTable[1].want.Element(stanza.New(tubes, "muc-stream", stanza.A("tube", "9")))
	if !got.Equal(want) {
		t.Errorf("built %s, want %s", got, want)
	}
}

func TestOffer_accept(t *testing.T) {
	tube := stanza.New(tubes, "tube")
	single := `<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data' type='submit'><field var='stream-method'><value>` + bytestreams + `</value></field></x></feature>`
	both := `<si-multiple xmlns='http://telepathy.freedesktop.org/xmpp/si-multiple'><value>` + bytestreams + `</value><value>` + inBand + `</value></si-multiple>`
	for _, c := range []struct {
		name     string
		multiple bool
		known    []string
		want     string
		chosen   []string
	}{
		{"XEP-0096 example 5", false, []string{bytestreams, inBand}, single, []string{bytestreams}},
		{"si-multiple", true, []string{bytestreams, inBand}, both, []string{bytestreams, inBand}},
		{"si-multiple, the other order", true, []string{inBand, "x", bytestreams}, "", []string{inBand, bytestreams}},
		{"none", true, []string{"x"}, "", nil},
	} {
		o := offerTable[0].want
		o.Multiple = c.multiple
		chosen := o.Choose(c.known)
		if !slices.Equal(chosen, c.chosen) {
			t.Errorf("%s: chose %v", c.name, chosen)
		}
		answer := o.Accept(chosen, tube)
		if want := offer("", c.want+`<tube xmlns='`+tubes+`'/>`); c.want != "" && !answer.Equal(parse(t, want)) {
			t.Errorf("%s: built %s, want %s", c.name, answer, want)
		}
		again, err := o.Accepted(answer)
		if !slices.Equal(again, chosen) || (err == nil) != (len(chosen) > 0) {
			t.Errorf("%s: read back %v, %v", c.name, again, err)
		}
	}
}

// Nothing is used that was not offered, and nothing twice.
func TestOffer_accepted(t *testing.T) {
	o := offerTable[0].want
	for in, want := range map[string][]string{
		`<si-multiple xmlns='http://telepathy.freedesktop.org/xmpp/si-multiple'><value>x</value><value>` + inBand + `</value><value>` + inBand + `</value></si-multiple>`:                                                       {inBand},
		`<si-multiple xmlns='http://telepathy.freedesktop.org/xmpp/si-multiple'/>`:                                                                                                                                              nil,
		`<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data'><field var='stream-method'><value>x</value></field></x></feature>`:                                                                    nil,
		`<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data'><field var='stream-method'><value>` + inBand + `</value></field></x></feature>`:                                                       {inBand},
		`<feature xmlns='http://jabber.org/protocol/feature-neg'><x xmlns='jabber:x:data'><field var='other'/><field var='stream-method'><value>` + inBand + `</value><value>` + bytestreams + `</value></field></x></feature>`: {inBand},
		``: nil,
	} {
		got, err := o.Accepted(parse(t, offer("", in)))
		if !slices.Equal(got, want) || (err == nil) != (want != nil) {
			t.Errorf("%s: %v, %v", in, got, err)
		}
	}
	if _, err := o.Accepted(nil); err != ErrNoMethods {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	const ns = "<%s xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"
	for _, c := range []struct {
		name string
		got  *stanza.Error
		want string
	}{
		{"XEP-0095 §3, profile", BadProfile(), fmt.Sprintf(ns, "bad-request") + "<bad-profile xmlns='http://jabber.org/protocol/si'/>"},
		{"XEP-0095 §3, methods", NoValidStreams(), fmt.Sprintf(ns, "bad-request") + "<no-valid-streams xmlns='http://jabber.org/protocol/si'/>"},
		{"XEP-0095 §3, declined", Declined(), fmt.Sprintf(ns, "forbidden") + "<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Offer Declined</text>"},
	} {
		if want := parse(t, "<error type='cancel'>"+c.want+"</error>"); !c.got.Element().Equal(want) {
			t.Errorf("%s: built %s, want %s", c.name, c.got.Element(), want)
		}
	}
}

// FuzzParse asserts that offers read back as they were built, and that the
// answer to each can be read.
func FuzzParse(f *testing.F) {
	for _, c := range offerTable {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		offerTable[0].want.Accepted(e)
		o, err := ParseOffer(e)
		if err != nil {
			return
		}
		again, err := ParseOffer(o.Element())
		if diff := cmp.Diff(o, again); diff != "" || err != nil || len(o.Methods) > maxMethods || len(o.ID) > maxID {
			t.Errorf("%v (-read +again):\n%s", err, diff)
		}
		chosen := o.Choose([]string{bytestreams, inBand})
		if got, err := o.Accepted(o.Accept(chosen)); !slices.Equal(got, chosen) || err == nil != (len(chosen) > 0) {
			t.Errorf("chose %v, read %v, %v", chosen, got, err)
		}
	})
}
