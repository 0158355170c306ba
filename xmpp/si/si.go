// Package si is the negotiation of streams: Stream Initiation (XEP-0095) with
// the list of methods by Feature Negotiation (XEP-0020) and, among programs
// that know Telepathy's si-multiple, with several methods to try in turn. It
// parses and builds, and keeps nothing.
package si

import (
	"encoding/xml"
	"errors"
	"slices"

	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of what is in an offer.
const (
	NS         = "http://jabber.org/protocol/si"
	NSMultiple = "http://telepathy.freedesktop.org/xmpp/si-multiple"

	nsFeatureNeg = "http://jabber.org/protocol/feature-neg"
	nsData       = "jabber:x:data"
)

// fieldMethod is the field that says how the bytes may go, XEP-0095 §3.
const fieldMethod = "stream-method"

const (
	maxID      = 256 // bytes of an offer's id: programs use 8 to 40
	maxMethods = 16  // that are looked at; there are four in the world
)

// What is wrong with an offer or with its answer.
var (
	ErrNoID      = errors.New("offer without a usable id")
	ErrNoMethods = errors.New("no method both know")
	ErrNoForm    = errors.New("offer without a form of methods")
)

// Offer is what the initiator says of a stream; what is special to the profile
// lies beside it in the element.
type Offer struct {
	ID       string // of the stream, not of the stanza
	Profile  string
	MimeType string   // may be empty
	Methods  []string // namespaces, the most wanted first
	Multiple bool     // more than one method may be accepted
}

// ParseOffer reads an offer's <si/>.
func ParseOffer(e *stanza.Element) (Offer, error) {
	o := Offer{
		ID: e.Attr("id"), Profile: e.Attr("profile"), MimeType: e.Attr("mime-type"),
		Multiple: e.Child(NSMultiple, "si-multiple") != nil,
	}
	if o.ID == "" || len(o.ID) > maxID {
		return Offer{}, ErrNoID
	}
	form := e.Child(nsFeatureNeg, "feature").Child(nsData, "x")
	if form == nil {
		return Offer{}, ErrNoForm
	}
	for field := range form.Each(nsData, "field") {
		if field.Attr("var") != fieldMethod {
			continue
		}
		for option := range field.Each(nsData, "option") {
			o.Methods = appendMethod(o.Methods, option.Child(nsData, "value"))
		}
	}
	return o, nil
}

// appendMethod adds a method that is not there yet.
func appendMethod(list []string, value *stanza.Element) []string {
	method := value.Text()
	if method == "" || len(list) == maxMethods || slices.Contains(list, method) {
		return list
	}
	return append(list, method)
}

// Element builds what [ParseOffer] reads, with the profile's own children.
func (o Offer) Element(payload ...stanza.Part) *stanza.Element {
	var options []stanza.Part
	for _, m := range o.Methods {
		options = append(options, stanza.New(nsData, "option", stanza.New(nsData, "value", stanza.Text(m))))
	}
	parts := []stanza.Part{stanza.A("id", o.ID), stanza.A("profile", o.Profile), stanza.A("mime-type", o.MimeType)}
	parts = append(parts, payload...)
	parts = append(parts, negotiation("form", append([]stanza.Part{stanza.A("type", "list-single")}, options...)...))
	if o.Multiple {
		parts = append(parts, stanza.New(NSMultiple, "si-multiple"))
	}
	return stanza.New(NS, "si", parts...)
}

// negotiation builds the form with the one field, XEP-0020.
func negotiation(typ string, field ...stanza.Part) *stanza.Element {
	return stanza.New(nsFeatureNeg, "feature", stanza.New(nsData, "x", stanza.A("type", typ),
		stanza.New(nsData, "field", append([]stanza.Part{stanza.A("var", fieldMethod)}, field...)...)))
}

// Choose returns those of the methods we know, in our order, that the offer
// has; only the first if it wants one.
func (o Offer) Choose(known []string) []string {
	var chosen []string
	for _, m := range known {
		if slices.Contains(o.Methods, m) {
			chosen = append(chosen, m)
		}
	}
	if len(chosen) > 1 && !o.Multiple {
		chosen = chosen[:1]
	}
	return chosen
}

// Accept builds the answer to the offer: with the methods chosen, and the
// profile's own children.
func (o Offer) Accept(methods []string, payload ...stanza.Part) *stanza.Element {
	var answer *stanza.Element
	var values []stanza.Part
	for _, m := range methods {
		if o.Multiple {
			values = append(values, stanza.New(NSMultiple, "value", stanza.Text(m)))
		} else {
			values = append(values, stanza.New(nsData, "value", stanza.Text(m)))
		}
	}
	if o.Multiple {
		answer = stanza.New(NSMultiple, "si-multiple", values...)
	} else {
		answer = negotiation("submit", values...)
	}
	return stanza.New(NS, "si", append([]stanza.Part{answer}, payload...)...)
}

// Accepted reads which of the offer's methods the answer's <si/> wants tried,
// in its order.
func (o Offer) Accepted(e *stanza.Element) ([]string, error) {
	var methods []string
	for v := range e.Child(NSMultiple, "si-multiple").Each(NSMultiple, "value") {
		methods = appendMethod(methods, v)
	}
	if len(methods) == 0 {
		for field := range e.Child(nsFeatureNeg, "feature").Child(nsData, "x").Each(nsData, "field") {
			if field.Attr("var") == fieldMethod && len(methods) == 0 {
				methods = appendMethod(methods, field.Child(nsData, "value"))
			}
		}
	}
	methods = slices.DeleteFunc(methods, func(m string) bool { return !slices.Contains(o.Methods, m) })
	if len(methods) == 0 {
		return nil, ErrNoMethods
	}
	return methods, nil
}

// BadProfile is the answer to an offer whose profile nobody here knows,
// XEP-0095 §3.
func BadProfile() *stanza.Error { return bad("bad-profile") }

// NoValidStreams is the answer to an offer without a method known here.
func NoValidStreams() *stanza.Error { return bad("no-valid-streams") }

// bad is a bad request with a condition of SI.
func bad(condition string) *stanza.Error {
	return &stanza.Error{Type: stanza.TypeCancel, Condition: stanza.BadRequest, App: xml.Name{Space: NS, Local: condition}}
}

// Declined is the answer to an offer that the user does not want.
func Declined() *stanza.Error {
	return &stanza.Error{Type: stanza.TypeCancel, Condition: stanza.Forbidden, Text: "Offer Declined"}
}
