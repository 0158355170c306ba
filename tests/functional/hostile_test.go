package functional

import (
	"fmt"
	"strings"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/tests/cmtest"
)

// poison is what no server should send, and what no client should die of, with
// the stream error that belongs to it (RFC 6120 §4.9.3, §11). It works before
// the login as well as in the session.
var poison = map[string]struct{ xml, condition string }{
	"10,000-deep nesting": {strings.Repeat("<a>", 10_000), "policy-violation"},
	"endless text":        {"<message><body>" + strings.Repeat("spam and ", 1<<20), "policy-violation"},
	"endless attribute":   {"<message to='" + strings.Repeat("x", 8<<20), "policy-violation"},
	"endless name":        {"<" + strings.Repeat("x", 8<<20), "policy-violation"},
	"endless children":    {"<message>" + strings.Repeat("<x/>", 1<<20), "policy-violation"},
	"endless attributes":  {"<message " + many("%s='' ", 100_000) + "/>", "policy-violation"},
	"endless namespaces":  {"<message " + many("xmlns:%s='urn:x' ", 100_000) + "/>", "policy-violation"},

	"invalid UTF-8":        {"<message><body>\xff\xfe\xc0\xaf</body></message>", "not-well-formed"},
	"overlong UTF-8":       {"<message><body>\xc0\xbc\xe0\x80\xbc</body></message>", "not-well-formed"},
	"control characters":   {"<message><body>\x00\x01\x02</body></message>", "not-well-formed"},
	"forbidden references": {"<message><body>&#0;&#x1;&#xFFFF;&#xD800;</body></message>", "not-well-formed"},
	"wrong end tag":        {"<message><body></message></body>", "not-well-formed"},
	"attribute twice":      {"<message to='a' to='b'/>", "not-well-formed"},
	"undeclared prefix":    {"<evil:message/>", "not-well-formed"},

	"unknown entity":  {"<message><body>&laugh;</body></message>", "restricted-xml"},
	"document type":   {"<!DOCTYPE x [<!ENTITY a 'lol'>]><message><body>&a;</body></message>", "restricted-xml"},
	"external entity": {"<!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><message><body>&a;</body></message>", "restricted-xml"},
	"a billion laughs": {"<!DOCTYPE l [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>" +
		"<!ENTITY c '&b;&b;&b;&b;&b;&b;&b;&b;'>]><message>&c;</message>", "restricted-xml"},
	"comment":                {"<!-- nobody reads this --><message/>", "restricted-xml"},
	"processing instruction": {"<?php exit; ?><message/>", "restricted-xml"},

	"text between stanzas":      {"hello there", "bad-format"},
	"not XML at all":            {"HTTP/1.0 400 Bad Request\r\n\r\n", "bad-format"},
	"half an element and a cut": {"<message><bo", ""},
}

// many repeats a format with a new name each time.
func many(format string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, fmt.Sprintf("n%d", i))
	}
	return b.String()
}

// maxUnread is what fits into the buffers of a socket: who closes with more than
// that unread resets the connection, and its last words are lost.
const maxUnread = 4096

func TestHostile_inTheSession(t *testing.T) {
	for name, row := range poison {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cm := cmtest.Connect(t)
			stream := cm.Server.Stream()
			stream.Send(row.xml)
			stream.HangUp()
			cm.EndsBecause(network)
			cm.CheckMemory()
			if len(row.xml) < maxUnread && row.condition != "" {
				cm.Expect(cmtest.Element(nsStreams, "error").Having(nsStreamErrors, row.condition))
			}
			cm.Request().Login()
		})
	}
}

func TestHostile_beforeTheLogin(t *testing.T) {
	for name, row := range poison {
		for _, step := range []cmtest.Step{cmtest.StepSecureStream, cmtest.StepSecureFeatures, cmtest.StepAuth, cmtest.StepBind} {
			t.Run(name+" to "+string(step), func(t *testing.T) {
				t.Parallel()
				cm := cmtest.Start(t, cmtest.At(step, cmtest.Last(row.xml)))
				cm.Request().FailsBecause(network)
				cm.CheckMemory()
				cm.Server.Script()
				cm.Request().Login()
			})
		}
	}
}

// What is merely odd must not cost the session anything.
func TestHostile_oddButHarmless(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Forbid(cmtest.Signal(tp.SignalConnectionStatusChanged))
	cm.Forbid(cmtest.LinkGone())
	for _, xml := range []string{
		"<iq type='result' id='never-asked' from='stranger@elsewhere.test'/>",
		"<iq type='error' id='never-asked'/>",
		"<iq type='result'/>",
		"<iq/>",
		"<iq type='nonsense' id='1'/>",
		"<iq type='get' id='2'/>",
		"<iq type='set' id='3' from='@@@///'><query xmlns='jabber:iq:roster'/></iq>",
		"<presence from='not a jid @ all'/>",
		"<presence from='" + strings.Repeat("x", 5000) + "@school.test'/>",
		"<presence type='nonsense' from='bob@school.test'/>",
		"<presence type='error'/>",
		"<presence/>",
		"<message/>",
		"<message type='nonsense' from='bob@school.test'><body>x</body></message>",
		"<message xmlns='jabber:server'><body>wrong namespace</body></message>",
		"<iq xmlns='urn:wrong' type='get' id='4'><query xmlns='jabber:iq:version'/></iq>",
		"<features xmlns='http://etherx.jabber.org/streams'/>",
		"<success xmlns='" + nsSASL + "'/>",
		"<failure xmlns='" + nsSASL + "'><not-authorized/></failure>",
		"<proceed xmlns='" + nsTLS + "'/>",
		"<a xmlns='" + nsSM + "' h='4000000000'/>",
		"<r xmlns='" + nsSM + "'/>",
		"<unknown xmlns='urn:example'/>",
		"\n\n   \n",
	} {
		cm.Server.Send(xml)
	}
	cm.Sync()
}

// Each question gets an answer, RFC 6120 §8.2.3, and an error to what nobody
// knows; answers and errors get none.
func TestHostile_unknownQuestions(t *testing.T) {
	t.Parallel()
	cm := cmtest.Connect(t)
	cm.Forbid(cmtest.IQAnswer("error", "answer"))
	cm.Server.Send("<iq type='error' id='answer' from='bob@school.test/x'><query xmlns='urn:nobody:knows'/></iq>")
	cm.Server.Send("<iq type='get' id='question' from='bob@school.test/x'><query xmlns='urn:nobody:knows'/></iq>")
	refusal := cm.Expect(cmtest.IQAnswer("error", "question").To("bob@school.test/x"))
	if refusal.Element.Child("jabber:client", "error").Child("urn:ietf:params:xml:ns:xmpp-stanzas", "service-unavailable") == nil {
		t.Errorf("want service-unavailable: %s", refusal.Element)
	}
	cm.Sync()
}

func TestHostile_wrongNamespaces(t *testing.T) {
	for name, action := range map[cmtest.Step]cmtest.Action{
		cmtest.StepSecureStream: cmtest.Say("<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='urn:wrong' " +
			"from='school.test' id='x' version='1.0'>"),
		cmtest.StepSecureFeatures: cmtest.Say("<features xmlns='urn:wrong'/>"),
		cmtest.StepAuth:           cmtest.Say("<success xmlns='urn:wrong'/>"),
		cmtest.StepBind:           cmtest.Say("<iq xmlns='urn:wrong' type='result' id='{id}'/>"),
	} {
		t.Run(string(name), func(t *testing.T) {
			t.Parallel()
			// An element of another namespace may be passed over; then the login
			// times out.
			cm := cmtest.Start(t, cmtest.At(name, action), cmtest.Param("keepalive-interval", uint32(2)))
			cm.Request().FailsBecause(network)
			cm.Server.Script()
			cm.Request(cmtest.Param("keepalive-interval", nil)).Login()
		})
	}
}

// A server that asks for a billion rounds of hashing must not make the
// process stand still.
func TestHostile_scramIterations(t *testing.T) {
	t.Parallel()
	cm := cmtest.Start(t, cmtest.Mechanisms("SCRAM-SHA-1"), cmtest.ScramIterations(2_000_000_000))
	cm.Request().Fails(tp.ErrorAuthenticationFailed, authentication)
	cm.Server.Script()
	cm.Request().Login()
}
