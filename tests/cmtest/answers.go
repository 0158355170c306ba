package cmtest

import (
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// answerRule answers the questions that its matcher recognises; with a nil
// answer it leaves them to the test.
type answerRule struct {
	matcher Matcher
	answer  func(*Event) (kind, payload string)
}

// Namespaces of what a server is asked after the login.
const (
	nsDiscoInfo  = "http://jabber.org/protocol/disco#info"
	nsDiscoItems = "http://jabber.org/protocol/disco#items"
	nsRoster     = "jabber:iq:roster"
	nsVCard      = "vcard-temp"
	nsPubsub     = "http://jabber.org/protocol/pubsub"
	nsPing       = "urn:xmpp:ping"
	nsPrivate    = "jabber:iq:private"
	nsCarbons    = "urn:xmpp:carbons:2"
)

// Conference is the server's room service.
const Conference = "conference." + Domain

// answer answers an IQ as the rules of the test say, else as a server does.
// Questions to anybody but the server and oneself wait for the test.
func (s *Stream) answer(iq *stanza.Element) {
	if kind := iq.Attr("type"); kind != "get" && kind != "set" {
		return
	}
	e := &Event{Kind: KindElement, Source: s.name, Stream: s, Element: iq}
	for _, r := range s.script.rules {
		if r.matcher.Match(e) {
			if r.answer != nil {
				kind, payload := r.answer(e)
				s.sayAnswer(iq, kind, payload)
			}
			return
		}
	}
	switch to := iq.Attr("to"); to {
	case "", Account, Domain:
		s.sayAnswer(iq, "result", s.serverAnswer(iq))
	case Conference:
		if payload(iq).Space() == nsDiscoInfo {
			s.sayAnswer(iq, "result", "<query xmlns='"+nsDiscoInfo+"'><identity category='conference' type='text' name='Rooms'/>"+
				"<feature var='http://jabber.org/protocol/muc'/></query>")
		}
	}
}

// serverAnswer is the payload of a result; "-" where the server knows nothing of it.
func (s *Stream) serverAnswer(iq *stanza.Element) string {
	question := payload(iq)
	isGet := iq.Attr("type") == "get"
	switch question.Space() {
	case nsRoster:
		if isGet {
			return "<query xmlns='" + nsRoster + "'>" + strings.Join(s.script.roster, "") + "</query>"
		}
		return ""
	case nsVCard:
		if isGet {
			return s.script.vcard
		}
		return ""
	case nsDiscoInfo:
		return s.discoInfo(iq)
	case nsDiscoItems:
		if iq.Attr("to") == Domain {
			return "<query xmlns='" + nsDiscoItems + "'><item jid='" + Conference + "'/></query>"
		}
		return "<query xmlns='" + nsDiscoItems + "'/>"
	case nsPubsub:
		return pubsubAnswer(question, isGet)
	case nsPrivate:
		if isGet {
			return question.String()
		}
		return ""
	case nsPing, nsSession, nsCarbons:
		return ""
	}
	return unknownQuestion
}

// unknownQuestion stands for the error service-unavailable.
const unknownQuestion = "-"

func (s *Stream) discoInfo(iq *stanza.Element) string {
	const features = "<identity category='pubsub' type='pep'/><feature var='http://jabber.org/protocol/pubsub#publish'/>" +
		"<feature var='" + nsDiscoInfo + "'/><feature var='vcard-temp'/>"
	if iq.Attr("to") == Domain {
		return "<query xmlns='" + nsDiscoInfo + "'><identity category='server' type='im' name='Test'/>" + features + "</query>"
	}
	return "<query xmlns='" + nsDiscoInfo + "'><identity category='account' type='registered'/>" + features + "</query>"
}

// pubsubAnswer accepts what is published and knows no items.
func pubsubAnswer(pubsub *stanza.Element, isGet bool) string {
	if isGet {
		return unknownQuestion
	}
	publish := pubsub.Child(nsPubsub, "publish")
	if publish == nil {
		return ""
	}
	return "<pubsub xmlns='" + nsPubsub + "'><publish node='" + escape(publish.Attr("node")) + "'><item id='1'/></publish></pubsub>"
}

func (s *Stream) sayAnswer(iq *stanza.Element, kind, payload string) {
	if payload == unknownQuestion {
		kind, payload = "error", stanzaError("cancel", "service-unavailable")
	}
	s.wasAnswered(iq)
	s.Send(s.reply(iq, kind, payload))
}

// reflectPresence gives broadcast presence back to its sender, RFC 6121 §4.2.2.
func (s *Stream) reflectPresence(el *stanza.Element) {
	if el.Local() != "presence" || el.Attr("to") != "" || el.Attr("type") != "" {
		return
	}
	s.Send(el.With(stanza.A("from", s.address()), stanza.A("to", s.address())).String())
}
