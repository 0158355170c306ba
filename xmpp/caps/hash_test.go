package caps

import (
	"errors"
	"strings"
	"testing"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

const inInfo = `<query xmlns='http://jabber.org/protocol/disco#info'>`

// exodus is XEP-0115 §5.2, psi is §5.3.
const (
	exodus = inInfo + `<identity category='client' type='pc' name='Exodus 0.9.1'/>
		<feature var='http://jabber.org/protocol/caps'/>
		<feature var='http://jabber.org/protocol/disco#info'/>
		<feature var='http://jabber.org/protocol/disco#items'/>
		<feature var='http://jabber.org/protocol/muc'/></query>`
	exodusVer = "QgayPKawpkPSDYmwT/WM94uAlu0="

	psi = inInfo + `<identity xml:lang='en' category='client' name='Psi 0.11' type='pc'/>
		<identity xml:lang='el' category='client' name='Ψ 0.11' type='pc'/>
		<feature var='http://jabber.org/protocol/caps'/>
		<feature var='http://jabber.org/protocol/disco#info'/>
		<feature var='http://jabber.org/protocol/disco#items'/>
		<feature var='http://jabber.org/protocol/muc'/>
		<x xmlns='jabber:x:data' type='result'>
		<field var='FORM_TYPE' type='hidden'><value>urn:xmpp:dataforms:softwareinfo</value></field>
		<field var='ip_version'><value>ipv4</value><value>ipv6</value></field>
		<field var='os'><value>Mac</value></field>
		<field var='os_version'><value>10.5.1</value></field>
		<field var='software'><value>Psi</value></field>
		<field var='software_version'><value>0.11</value></field></x></query>`
	psiVer = "q07IKJEyjvHSyhy//CH0CxmKi8w="
)

const (
	me        = `<identity category='client' type='pc' name='Sugar'/>`
	formType  = `<field var='FORM_TYPE' type='hidden'><value>urn:f</value></field>`
	otherForm = `<field var='FORM_TYPE' type='hidden'><value>urn:g</value></field>`
)

func form(fields string) string { return `<x xmlns='jabber:x:data' type='result'>` + fields + `</x>` }

func TestHash_vectors(t *testing.T) {
	for _, c := range []struct{ name, in, hash, want string }{
		{"XEP-0115 §5.2", exodus, "sha-1", exodusVer},
		{"XEP-0115 §5.3", psi, "sha-1", psiVer},
		{"§5.2 in another order", inInfo + `<feature var='http://jabber.org/protocol/muc'/>
			<feature var='http://jabber.org/protocol/disco#items'/><feature var='http://jabber.org/protocol/caps'/>
			<identity category='client' type='pc' name='Exodus 0.9.1'/>
			<feature var='http://jabber.org/protocol/disco#info'/></query>`, "sha-1", exodusVer},
	} {
		got, err := Hash(c.hash, info(t, c.in))
		if err != nil || got != c.want {
			t.Errorf("%s: got %q, error %v, want %q", c.name, got, err, c.want)
		}
		if err := Verify(Caps{Hash: c.hash, Ver: c.want}, info(t, c.in)); err != nil {
			t.Errorf("%s: not verified: %v", c.name, err)
		}
	}
}

func TestHash_functions(t *testing.T) {
	got, err := Hash("sha-256", info(t, exodus))
	if want := "Wr6IGEKhx6b9627gBmi/cCmpxXBc/GYq5zWuYfWGWoc="; err != nil || got != want { // by openssl dgst
		t.Errorf("sha-256: got %q, error %v, want %q", got, err, want)
	}
	for _, name := range []string{"", "md5", "SHA-1"} {
		if _, err := Hash(name, info(t, exodus)); !errors.Is(err, ErrUnknownHash) {
			t.Errorf("%q: error %v", name, err)
		}
	}
	if err := Verify(Caps{Hash: "sha-1", Ver: psiVer}, info(t, exodus)); err == nil {
		t.Error("another's hash is verified")
	}
}

// TestVerificationString has what XEP-0115 §5.1 and §5.4 say on forms, and the
// ways of two infos to one string.
func TestVerificationString(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"identity alone", me, "client/pc//Sugar<"},
		{"empty form", me + form(""), "client/pc//Sugar<"},
		{"form without type", me + form(`<field var='a'><value>b</value></field>`), "client/pc//Sugar<"},
		{"form whose type is not hidden", me + form(`<field var='FORM_TYPE'><value>urn:f</value></field>`), "client/pc//Sugar<"},
		{"form type without value", me + form(`<field var='FORM_TYPE' type='hidden'/>`), "client/pc//Sugar<"},
		{"form type twice the same", me + form(`<field var='FORM_TYPE' type='hidden'><value>urn:f</value><value>urn:f</value></field><field var='b'/>`), "client/pc//Sugar<urn:f<b<"},
		{"field and value empty", me + form(formType+`<field><value/></field>`), "client/pc//Sugar<urn:f<<<"},
		{"fields and values in order", me + form(formType+`<field var='b'><value>2</value><value>1</value></field><field var='a'/>`), "client/pc//Sugar<urn:f<a<b<1<2<"},
		{"forms in order", me + form(otherForm+`<field var='a'/>`) + form(formType+`<field var='b'/>`), "client/pc//Sugar<urn:f<b<urn:g<a<"},
		{"feature of more bytes", me + `<feature var='ä'/><feature var='z'/>`, "client/pc//Sugar<z<ä<"},

		{"no identity", `<feature var='a'/>`, ""},
		{"identity twice", me + me, ""},
		{"identity without type", `<identity category='client'/>`, ""},
		{"feature as identity", `<identity category='http:' xml:lang='jabber.org' name='protocol/muc'/>` + me, ""},
		{"slash in category", `<identity category='client/pc' type='x'/>`, ""},
		{"feature twice", me + `<feature var='a'/><feature var='b'/><feature var='a'/>`, ""},
		{"separator in name", `<identity category='client' type='pc' name='Sugar&lt;urn:a'/>`, ""},
		{"separator in feature", me + `<feature var='a&lt;b'/>`, ""},
		{"separator in value", me + form(formType+`<field var='b'><value>&lt;</value></field>`), ""},
		{"form twice", me + form(formType) + form(formType+`<field var='a'/>`), ""},
		{"form of two types", me + form(`<field var='FORM_TYPE' type='hidden'><value>urn:f</value><value>urn:g</value></field>`), ""},
		{"field twice", me + form(formType+`<field var='a'><value>1</value></field><field var='a'><value>2</value></field>`), ""},
		{"features as a form", me + `<feature var='urn:a'/>` + form(formType+`<field var='urn:h'/>`), ""},
	} {
		got, err := verificationString(info(t, inInfo+c.in+`</query>`))
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: got %q, error %v, want %q", c.name, got, err, c.want)
		}
		if err != nil && !errors.Is(err, ErrIllFormed) {
			t.Errorf("%s: error %v is of another kind", c.name, err)
		}
	}
}

// FuzzHash holds the hash to not depending on order, and to refusing or
// accepting an info and its mirror image alike.
func FuzzHash(f *testing.F) {
	for _, in := range []string{exodus, psi, inInfo + me + form("") + `</query>`, inInfo + me + me + `</query>`} {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		e, err := stanza.Parse(in)
		if err != nil {
			return
		}
		i, err := disco.ParseInfo(e)
		if err != nil {
			return
		}
		first, err1 := Hash("sha-1", i)
		second, err2 := Hash("sha-1", mirrored(i))
		if first != second || (err1 == nil) != (err2 == nil) {
			t.Errorf("%q, %v in one order, %q, %v in the other", first, err1, second, err2)
		}
		if s, err := verificationString(i); err == nil && strings.Count(s, "<") < 1+len(i.Features) {
			t.Errorf("string %q of %d features", s, len(i.Features))
		}
	})
}

// mirrored gives the same info in the opposite order.
func mirrored(i *disco.Info) *disco.Info {
	m := &disco.Info{}
	for _, id := range i.Identities {
		m.Identities = append([]disco.Identity{id}, m.Identities...)
	}
	for _, f := range i.Features {
		m.Features = append([]string{f}, m.Features...)
	}
	for _, f := range i.Forms {
		m.Forms = append([]disco.Form{f}, m.Forms...)
	}
	return m
}

func BenchmarkVerify(b *testing.B) {
	i := info(b, psi)
	c := Caps{Hash: "sha-1", Ver: psiVer}
	b.ReportAllocs()
	for b.Loop() {
		if err := Verify(c, i); err != nil {
			b.Fatal(err)
		}
	}
}

func info(t testing.TB, s string) *disco.Info {
	t.Helper()
	i, err := disco.ParseInfo(parse(t, s))
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var parse = xmpptest.Element
