package vcard

import (
	"strings"
	"testing"

	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/xmpptest"
)

// The vCard of XEP-0054 §3.1, with the attribute of §7 and two things that
// are in nobody's specification.
const example = `<vCard xmlns='vcard-temp' version='3.0'>` +
	`<FN>Peter Saint-Andre</FN><N><FAMILY>Saint-Andre</FAMILY><GIVEN>Peter</GIVEN><MIDDLE/></N><NICKNAME>stpeter</NICKNAME>` +
	`<URL>http://www.xmpp.org/xsf/people/stpeter.shtml</URL><BDAY>1966-08-06</BDAY>` +
	`<ORG><ORGNAME>XMPP Standards Foundation</ORGNAME><ORGUNIT/></ORG><TITLE>Executive Director</TITLE><ROLE>Patron Saint</ROLE>` +
	`<TEL><WORK/><VOICE/><NUMBER>303-308-3282</NUMBER></TEL><TEL><WORK/><FAX/><NUMBER/></TEL>` +
	`<ADR><WORK/><EXTADD>Suite 600</EXTADD><STREET>1899 Wynkoop Street</STREET><LOCALITY>Denver</LOCALITY><REGION>CO</REGION>` +
	`<PCODE>80202</PCODE><CTRY>USA</CTRY></ADR><EMAIL><INTERNET/><PREF/><USERID>stpeter@jabber.org</USERID></EMAIL>` +
	`<JABBERID>stpeter@jabber.org</JABBERID><DESC>
      More information about me is located on my 
      personal website: http://www.saint-andre.com/
    </DESC><X-EVOLUTION a='1'>x<Y/></X-EVOLUTION><NICKNAME xmlns='other'>kept</NICKNAME></vCard>`

var (
	addr  = xmpptest.JID
	parse = xmpptest.Element
)

// card wraps elements into a vCard.
func card(elements string) string { return "<vCard xmlns='vcard-temp'>" + elements + "</vCard>" }

// checkXML compares what was built with what is specified.
func checkXML(t *testing.T, name string, got *stanza.Element, want string) {
	t.Helper()
	if !got.Equal(parse(t, want)) {
		t.Errorf("%s:\ngot  %s\nwant %s", name, got, want)
	}
}

func TestAlias(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"XEP-0054", example, "stpeter"},
		{"none", card(""), ""},
		{"no nickname", card("<FN> Ada L. </FN>"), "Ada L."},
		{"empty nickname", card("<NICKNAME/><NICKNAME> </NICKNAME><FN>Ada</FN>"), "Ada"},
		{"a comma is not a list", card("<NICKNAME>Ada, 2b</NICKNAME>"), "Ada, 2b"},
		{"not a name", card("<NICKNAME>" + strings.Repeat("x", 1024) + "</NICKNAME><FN>Ada</FN>"), "Ada"},
		{"another namespace", card("<NICKNAME xmlns='x'>Ada</NICKNAME>"), ""},
	} {
		if got := Alias(parse(t, c.in)); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if Alias(nil) != "" {
		t.Error("an alias without vCard")
	}
}

func TestSetNickname(t *testing.T) {
	for _, c := range []struct{ name, nick, in, want string }{
		{"replaced", "Ada", example, strings.Replace(example, "stpeter<", "Ada<", 1)},
		{"the same", "stpeter", example, example},
		{"recorded", "Alicia", card("<NICKNAME>Alice</NICKNAME>"), card("<NICKNAME>Alicia</NICKNAME>")},
		{"first one", "Ada", card("<FN>Ada L.</FN>"), card("<FN>Ada L.</FN><NICKNAME>Ada</NICKNAME>")},
		{"no vCard", "Ada", card(""), card("<NICKNAME>Ada</NICKNAME>")},
		{"several", "Ada", card("<NICKNAME>a</NICKNAME><FN/><NICKNAME>b</NICKNAME>"), card("<NICKNAME>Ada</NICKNAME><FN/>")},
		{"taken away", "", card("<NICKNAME>Ada</NICKNAME><FN>Ada L.</FN>"), card("<FN>Ada L.</FN>")},
	} {
		before := parse(t, c.in)
		checkXML(t, c.name, SetNickname(c.nick)(before), c.want)
		checkXML(t, c.name+": original", before, c.in)
	}
}

// FuzzSetNickname asserts that a change of name changes nothing else.
func FuzzSetNickname(f *testing.F) {
	f.Add(example, "Ada")
	f.Add(card("<NICKNAME>a</NICKNAME><FN/><NICKNAME>b</NICKNAME>"), "")
	f.Add("<vCard xmlns='vcard-temp' xml:lang='de' prodid='x&lt;' version=''><FN/></vCard>", "<>")
	f.Fuzz(func(t *testing.T, in, nick string) {
		before, err := stanza.Parse(in)
		if err != nil || !before.Is(NS, "vCard") {
			return
		}
		after := SetNickname(nick)(before)
		if !SetNickname("")(after).Equal(SetNickname("")(before)) {
			t.Fatalf("%s became %s", before, after)
		}
		if name := strings.TrimSpace(nick); name != "" && len(name) < maxAlias && Alias(after) != name {
			t.Fatalf("%s has not the name %q", after, nick)
		}
	})
}
