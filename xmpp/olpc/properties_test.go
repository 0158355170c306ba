package olpc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/xmpp/stanza"
)

const ns = " xmlns='" + NodeBuddyProperties + "'"

// As two Sugars sent it through telepathy-gabble and ejabberd, the key cut.
const goldenBuddy = `<properties xmlns='http://laptop.org/xmpp/buddy-properties'>` +
	`<property name='color' type='str'>#00EA11,#F8E800</property>` +
	`<property name='key' type='bytes'>QUFBQUIzTnphQzFrYzNNQUFBQ0I=</property></properties>`

func TestBuddyProperties(t *testing.T) {
	want := Properties{"key": []byte("AAAAB3NzaC1kc3MAAACB"), "color": "#00EA11,#F8E800"}
	got, ok := ParseBuddyProperties(parse(t, goldenBuddy))
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("ok %v (-want +got):\n%s", ok, diff)
	}
	checkXML(t, BuildBuddyProperties(want), goldenBuddy)
	checkXML(t, BuildBuddyProperties(nil), `<properties`+ns+`/>`)
}

func TestParseBuddyProperties(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Properties
		ok       bool
	}{
		{"nothing known", "<item xmlns='http://jabber.org/protocol/pubsub'/>", nil, false},
		{"foreign namespace", "<properties xmlns='other'/>", nil, false},
		{"empty", "<properties" + ns + "/>", Properties{}, true},
		{"deeper down", "<item xmlns='i'><x><properties" + ns + "><property name='a' type='str'>b</property></properties></x></item>", Properties{"a": "b"}, true},
		{"no name, no type, foreign child", "<properties" + ns + "><property type='str'>a</property><property name='n'>a</property><property xmlns='o' name='n' type='str'>a</property><other/></properties>", Properties{}, true},
		{"twice: last counts", "<properties" + ns + "><property name='n' type='str'>a</property><property name='n' type='int'>1</property></properties>", Properties{"n": int32(1)}, true},
	} {
		got, ok := ParseBuddyProperties(parse(t, c.in))
		if diff := cmp.Diff(c.want, got); diff != "" || ok != c.ok {
			t.Errorf("%s: ok %v (-want +got):\n%s", c.name, ok, diff)
		}
	}
	if _, ok := ParseBuddyProperties(nil); ok {
		t.Error("no payload is known")
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		typ, text string
		want      any // nil: the property is dropped
	}{
		{"str", "Ada <&> Ünï", "Ada <&> Ünï"},
		{"str", "", ""},
		{"str", "  a ", "  a "},
		{"bytes", "YWI=", []byte("ab")},
		{"bytes", "YWI", []byte("ab")},
		{"bytes", " YW\n\tI= ", []byte("ab")},
		{"bytes", "", []byte{}},
		{"bytes", "Y", nil},
		{"bytes", "Y?==", nil},
		{"int", "-2147483648", int32(-1 << 31)},
		{"int", "2147483648", nil},
		{"int", "", nil},
		{"int", "1.5", nil},
		{"uint", "4294967295", uint32(1<<32 - 1)},
		{"uint", "4294967296", nil},
		{"uint", "-1", nil},
		{"uint", "", nil},
		{"bool", "0", false},
		{"bool", "1", true},
		{"bool", "false", false},
		{"bool", "true", true},
		{"bool", "", nil},
		{"bool", "yes", nil},
		{"bool", "TRUE", nil},
		{"double", "1", nil},
		{"", "1", nil},
	} {
		got, ok := decode(c.typ, c.text)
		if diff := cmp.Diff(c.want, got); ok != (c.want != nil) || ok && diff != "" {
			t.Errorf("%s %q: ok %v (-want +got):\n%s", c.typ, c.text, ok, diff)
		}
	}
}

func TestSet(t *testing.T) {
	p := Properties{}
	for _, c := range []struct {
		name  string
		value any
		ok    bool
	}{
		{"s", "x", true}, {"ay", []byte{1}, true}, {"i", int32(-1), true}, {"u", uint32(1), true}, {"b", true, true},
		{"n", int16(-2), true}, {"q", uint16(2), true},
		{"d", 1.5, false}, {"x", int64(1), false}, {"as", []string{"a"}, false}, {"nil", nil, false}, {"", "x", false},
	} {
		if got := p.Set(c.name, c.value); got != c.ok {
			t.Errorf("Set(%q, %T): %v", c.name, c.value, got)
		}
	}
	want := Properties{"s": "x", "ay": []byte{1}, "i": int32(-1), "u": uint32(1), "b": true, "n": int32(-2), "q": uint32(2)}
	if diff := cmp.Diff(want, p); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	checkXML(t, BuildBuddyProperties(p), "<properties"+ns+"><property name='ay' type='bytes'>AQ==</property>"+
		"<property name='b' type='bool'>1</property><property name='i' type='int'>-1</property><property name='n' type='int'>-2</property>"+
		"<property name='q' type='uint'>2</property><property name='s' type='str'>x</property><property name='u' type='uint'>1</property></properties>")
}

func TestEqual(t *testing.T) {
	base := func(more ...any) Properties {
		p := Properties{"key": []byte("k"), "n": int32(1)}
		for i := 0; i < len(more); i += 2 {
			p[more[i].(string)] = more[i+1]
		}
		return p
	}
	for _, c := range []struct {
		name string
		a, b Properties
		want bool
	}{
		{"same", base(), base(), true},
		{"nil and empty", nil, Properties{}, true},
		{"other bytes", base(), base("key", []byte("l")), false},
		{"other int", base(), base("n", int32(2)), false},
		{"other type", base(), base("n", uint32(1)), false},
		{"bytes and string", base(), base("key", "k"), false},
		{"string and bytes", base("key", "k"), base(), false},
		{"one more", base(), base("x", true), false},
		{"one less", base("x", true), base(), false},
		{"other name", base("x", true), base("y", true), false},
	} {
		if got := c.a.Equal(c.b); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestCheck(t *testing.T) {
	many := Properties{}
	for i := range MaxProperties + 1 {
		many[fmt.Sprint(i)] = true
	}
	for _, c := range []struct {
		name string
		p    Properties
		ok   bool
	}{
		{"none", nil, true},
		{"as Sugar's", Properties{"key": make([]byte, 580), "color": "#00EA11,#F8E800"}, true},
		{"too many", many, false},
		{"just fits", Properties{"s": strings.Repeat("x", MaxPropertiesBytes-1)}, true},
		{"too long", Properties{"s": strings.Repeat("x", MaxPropertiesBytes)}, false},
		{"bytes count as base64", Properties{"b": make([]byte, MaxPropertiesBytes*3/4+1)}, false},
	} {
		if err := c.p.Check(); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// What one client may publish, another must take.
func TestParseProperties_limits(t *testing.T) {
	full := Properties{"key": strings.Repeat("k", MaxPropertiesBytes-3)}
	if got, _ := ParseBuddyProperties(BuildBuddyProperties(full)); !got.Equal(full) || full.Check() != nil {
		t.Error("a set that passes Check is not read whole")
	}
	huge := BuildBuddyProperties(Properties{"a": strings.Repeat("x", 1<<20), "key": "k"})
	if got, _ := ParseBuddyProperties(huge); !got.Equal(Properties{"key": "k"}) {
		t.Errorf("one huge property hides %d others", len(got))
	}
	var b strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&b, "<property name='%d' type='bool'>1</property>", i)
	}
	many := "<properties" + ns + ">" + b.String() + "<property name='0' type='bool'>0</property></properties>"
	got, _ := ParseBuddyProperties(parse(t, many))
	if len(got) != MaxProperties || got["0"] != false {
		t.Errorf("%d properties, the first is %v", len(got), got["0"])
	}
}

// FuzzProperties asserts that what is read fits, and reads the same once it is
// written.
func FuzzProperties(f *testing.F) {
	f.Add(goldenBuddy)
	f.Add("<properties" + ns + "><property name='b' type='bool'>true</property><property name='i' type='int'>+7</property></properties>")
	f.Add("<properties" + ns + "><property name='e' type='bytes'/><property name='e' type='str'/></properties>")
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		p, ok := ParseBuddyProperties(e)
		if !ok {
			return
		}
		if len(p) > MaxProperties {
			t.Fatalf("%d properties", len(p))
		}
		if again, ok := ParseBuddyProperties(BuildBuddyProperties(p)); !ok || p.Check() == nil && !again.Equal(p) {
			t.Fatalf("%s\nreads as %v, which reads as %v", in, p, again)
		}
	})
}
