package disco

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const inInfo = `<query xmlns='http://jabber.org/protocol/disco#info'`

// A conference service as XEP-0030 example 2 has it, and what else comes.
var infoTable = []struct {
	name, in string
	want     *Info
	err      error
}{
	{"XEP-0030 example 2", inInfo + `>
		<identity category='conference' type='text' name='Play-Specific Chatrooms'/>
		<identity category='directory' type='chatroom' name='Play-Specific Chatrooms'/>
		<feature var='http://jabber.org/protocol/disco#info'/>
		<feature var='http://jabber.org/protocol/disco#items'/>
		<feature var='http://jabber.org/protocol/muc'/>
		<feature var='jabber:iq:register'/></query>`,
		&Info{
			Identities: []Identity{
				{Category: "conference", Type: "text", Name: "Play-Specific Chatrooms"},
				{Category: "directory", Type: "chatroom", Name: "Play-Specific Chatrooms"},
			},
			Features: []string{NSInfo, NSItems, "http://jabber.org/protocol/muc", "jabber:iq:register"},
		}, nil},
	{"node, language and form", inInfo + ` node='n#v'><identity category='client' type='pc' xml:lang='el' name='Ψ'/>
		<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:f</value></field>
		<field var='os'><value>a</value><value/></field><field/></x></query>`,
		&Info{
			Node:       "n#v",
			Identities: []Identity{{"client", "pc", "el", "Ψ"}},
			Forms: []Form{{[]Field{
				{Var: "FORM_TYPE", Type: "hidden", Values: []string{"urn:f"}},
				{Var: "os", Values: []string{"a", ""}}, {},
			}}},
		}, nil},
	{"empty", inInfo + `/>`, &Info{}, nil},
	{"empty form", inInfo + `><x xmlns='jabber:x:data'/></query>`, &Info{Forms: []Form{{}}}, nil},
	{"twice the same", inInfo + `><feature var='a'/><feature var='a'/></query>`, &Info{Features: []string{"a", "a"}}, nil},
	{"attributes missing", inInfo + `><identity/><feature/></query>`, &Info{Identities: []Identity{{}}, Features: []string{""}}, nil},
	{"unknown children", inInfo + `><other/><feature xmlns='x' var='no'/><feature var='yes'/></query>`, &Info{Features: []string{"yes"}}, nil},
	{"not a query", `<vCard xmlns='vcard-temp'/>`, nil, ErrNoQuery},
	{"other namespace", `<query xmlns='http://jabber.org/protocol/disco#items'/>`, nil, ErrNoQuery},
	{"too many features", inInfo + `>` + strings.Repeat(`<feature var='a'/>`, maxFeatures+1) + `</query>`, nil, ErrTooMuch},
	{"too many identities", inInfo + `>` + strings.Repeat(`<identity/>`, maxIdentities+1) + `</query>`, nil, ErrTooMuch},
	{"too many forms", inInfo + `>` + strings.Repeat(`<x xmlns='jabber:x:data'/>`, maxForms+1) + `</query>`, nil, ErrTooMuch},
	{"too many fields", inInfo + `><x xmlns='jabber:x:data'>` + strings.Repeat(`<field/>`, maxFields+1) + `</x></query>`, nil, ErrTooMuch},
	{"too many values", inInfo + `><x xmlns='jabber:x:data'><field>` + strings.Repeat(`<value/>`, maxValues+1) + `</field></x></query>`, nil, ErrTooMuch},
	{"too long", inInfo + `><feature var='` + strings.Repeat("a", maxInfoBytes+1) + `'/></query>`, nil, ErrTooMuch},
}

func TestParseInfo(t *testing.T) {
	for _, c := range infoTable {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseInfo(parse(t, c.in))
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("info (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := ParseInfo(nil); !errors.Is(err, ErrNoQuery) {
		t.Errorf("no element: error %v", err)
	}
}

func TestInfo_questions(t *testing.T) {
	info := &Info{Identities: []Identity{{Category: "pubsub", Type: "pep"}}, Features: []string{"a"}}
	if !info.Has("a") || info.Has("b") || !info.Is("pubsub", "pep") || info.Is("pubsub", "service") {
		t.Error("Has or Is")
	}
	info = nil
	if info.Has("a") || info.Is("a", "b") {
		t.Error("nothing known, and yet it has something")
	}
}

func TestParseItems(t *testing.T) {
	const in = `<query xmlns='http://jabber.org/protocol/disco#items'`
	for _, c := range []struct {
		name, in string
		want     []Item
		err      error
	}{
		{"XEP-0030 example 18", in + `><item jid='people.shakespeare.lit' name='Directory of Characters'/><item jid='plays.shakespeare.lit' node='n'/></query>`,
			[]Item{{addr(t, "people.shakespeare.lit"), "", "Directory of Characters"}, {addr(t, "plays.shakespeare.lit"), "n", ""}}, nil},
		{"empty", in + `/>`, nil, nil},
		{"bad items", in + `><item/><item jid='@'/><other/><item jid='a'/></query>`, []Item{{JID: addr(t, "a")}}, nil},
		{"not a query", `<x/>`, nil, ErrNoQuery},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseItems(parse(t, c.in))
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(jid.JID{})); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
		})
	}
	got, err := ParseItems(parse(t, in+`>`+strings.Repeat(`<item jid='a'/>`, maxItems+5)+`</query>`))
	if err != nil || len(got) != maxItems {
		t.Errorf("too many items: %d kept, error %v", len(got), err)
	}
}

// scripted answers each question at once.
type scripted func(iq *stanza.Element) (*stanza.Element, error)

func (s scripted) Ask(iq *stanza.Element, done func(*stanza.Element, error)) { done(s(iq)) }

func TestAskInfo(t *testing.T) {
	refusal := stanza.NewError(stanza.ItemNotFound, "")
	for _, c := range []struct {
		name, reply string
		err         error
		want        *Info
	}{
		{"answered", `<iq type='result'>` + inInfo + `><feature var='a'/></query></iq>`, nil, &Info{Features: []string{"a"}}},
		{"empty result", `<iq type='result'/>`, ErrNoQuery, nil},
		{"refused", "", refusal, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			asker := scripted(func(iq *stanza.Element) (*stanza.Element, error) {
				want := `<iq type='get' to='a@b/c'><query xmlns='http://jabber.org/protocol/disco#info' node='n#v'/></iq>`
				if iq.String() != want {
					t.Errorf("asked %s, want %s", iq, want)
				}
				if c.reply == "" {
					return nil, c.err
				}
				return parse(t, c.reply), nil
			})
			calls := 0
			AskInfo(asker, addr(t, "a@b/c"), "n#v", func(info *Info, err error) {
				calls++
				if !errors.Is(err, c.err) {
					t.Errorf("error %v, want %v", err, c.err)
				}
				if diff := cmp.Diff(c.want, info); diff != "" {
					t.Errorf("info (-want +got):\n%s", diff)
				}
			})
			if calls != 1 {
				t.Errorf("told %d times", calls)
			}
		})
	}
}

func TestAskItems(t *testing.T) {
	for _, c := range []struct {
		name, reply, err string
		want             int
	}{
		{"answered", `<iq type='result'><query xmlns='http://jabber.org/protocol/disco#items'><item jid='a'/><item jid='b'/></query></iq>`, "", 2},
		{"empty result", `<iq type='result'/>`, "items of b: answer without its payload", 0},
		{"refused", "", "items of b: lost", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			asker := scripted(func(iq *stanza.Element) (*stanza.Element, error) {
				if want := `<iq type='get' to='b'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>`; iq.String() != want {
					t.Errorf("asked %s, want %s", iq, want)
				}
				if c.reply == "" {
					return nil, errors.New("lost")
				}
				return parse(t, c.reply), nil
			})
			AskItems(asker, addr(t, "b"), "", func(items []Item, err error) {
				got := ""
				if err != nil {
					got = err.Error()
				}
				if len(items) != c.want || got != c.err {
					t.Errorf("%d items, error %q; want %d, %q", len(items), got, c.want, c.err)
				}
			})
		})
	}
}

func TestAnswer(t *testing.T) {
	own := &Info{Identities: []Identity{{"client", "pc", "", "Sugar"}}, Features: []string{"a"},
		Forms: []Form{{[]Field{{"FORM_TYPE", "hidden", []string{"urn:f"}}}}}}
	find := func(node string) *Info {
		if node == "" || node == "n#v" {
			return own
		}
		return nil
	}
	rest := `<identity category='client' type='pc' name='Sugar'/><feature var='a'/>` +
		`<x xmlns='jabber:x:data' type='result'><field var='FORM_TYPE' type='hidden'><value>urn:f</value></field></x></query></iq>`
	for _, c := range []struct{ name, iq, want string }{
		{"no node", `<iq type='get' id='1' from='a'>` + inInfo + `/></iq>`, `<iq type='result' id='1' to='a'>` + inInfo + `>` + rest},
		{"node", `<iq type='get' id='1' from='a'>` + inInfo + ` node='n#v'/></iq>`, `<iq type='result' id='1' to='a'>` + inInfo + ` node='n#v'>` + rest},
		{"other node", `<iq type='get' id='1' from='a'>` + inInfo + ` node='n#w'/></iq>`, "item-not-found"},
		{"set", `<iq type='set' id='1' from='a'>` + inInfo + `/></iq>`, "bad-request"},
	} {
		got := Answer(parse(t, c.iq), find)
		if want, err := stanza.Parse(c.want); err == nil {
			if !got.Equal(want) {
				t.Errorf("%s: got %s, want %s", c.name, got, want)
			}
		} else if e := stanza.ErrorOf(got); got.Attr("type") != "error" || string(e.Condition) != c.want {
			t.Errorf("%s: got %s, want error %s", c.name, got, c.want)
		}
	}
}

func TestAnswerItems(t *testing.T) {
	const in = `<query xmlns='http://jabber.org/protocol/disco#items'`
	for _, c := range []struct{ name, iq, want string }{
		{"no node", `<iq type='get' id='1' from='a'>` + in + `/></iq>`, `<iq type='result' id='1' to='a'>` + in + `/></iq>`},
		{"node", `<iq type='get' id='1' from='a'>` + in + ` node='n'/></iq>`, "item-not-found"},
		{"set", `<iq type='set' id='1' from='a'>` + in + `/></iq>`, "bad-request"},
	} {
		got := AnswerItems(parse(t, c.iq))
		if want, err := stanza.Parse(c.want); err == nil {
			if !got.Equal(want) {
				t.Errorf("%s: got %s, want %s", c.name, got, want)
			}
		} else if e := stanza.ErrorOf(got); got.Attr("type") != "error" || string(e.Condition) != c.want {
			t.Errorf("%s: got %s, want error %s", c.name, got, c.want)
		}
	}
}

// FuzzParseInfo holds an answer to its limits, and to saying the same once it
// was built and read again.
func FuzzParseInfo(f *testing.F) {
	for _, c := range infoTable {
		if len(c.in) < 4096 {
			f.Add(c.in)
		}
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		info, err := ParseInfo(e)
		if err != nil {
			return
		}
		if len(info.Features) > maxFeatures || len(info.Identities) > maxIdentities || len(info.Forms) > maxForms || info.Size() > maxInfoBytes {
			t.Fatalf("over the limits: %d bytes", info.Size())
		}
		again, err := ParseInfo(info.Element())
		if err != nil {
			t.Fatalf("own writing not understood: %v", err)
		}
		if diff := cmp.Diff(info, again); diff != "" {
			t.Errorf("built and read again (-want +got):\n%s", diff)
		}
	})
}

func BenchmarkParseInfo(b *testing.B) {
	own := &Info{Identities: []Identity{{"client", "pc", "", "Sugar"}}}
	for i := range 40 {
		own.Features = append(own.Features, fmt.Sprintf("http://jabber.org/protocol/feature-%d", i))
	}
	query := own.Element()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseInfo(query); err != nil {
			b.Fatal(err)
		}
	}
}

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)
