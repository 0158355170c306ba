package stanza

import (
	"encoding/xml"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestErrorOf(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     Error
	}{
		{"all of it",
			`<iq type='error'><error type='wait'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>Taken</text><closed xmlns='app'/></error></iq>`,
			Error{TypeWait, Conflict, "Taken", xml.Name{Space: "app", Local: "closed"}}},
		{"type missing", `<iq type='error'><error><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, Error{TypeAuth, Forbidden, "", xml.Name{}}},
		{"condition missing", `<iq type='error'><error type='modify'/></iq>`, Error{TypeModify, UndefinedCondition, "", xml.Name{}}},
		{"error missing", `<iq type='error'/>`, Error{TypeCancel, UndefinedCondition, "", xml.Name{}}},
		{"condition unknown", `<iq type='error'><error><odd xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, Error{TypeCancel, "odd", "", xml.Name{}}},
		{"error of another namespace", `<iq type='error'><error xmlns='x'><conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, Error{TypeCancel, UndefinedCondition, "", xml.Name{}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(&c.want, ErrorOf(mustParse(t, c.in))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestError_everyConditionReturns(t *testing.T) {
	for _, c := range Conditions() {
		e := NewError(c, "why")
		e.App = xml.Name{Space: "app", Local: "own"}
		got := ErrorOf(New(NSClient, "message", A("type", "error"), e.Element()))
		if diff := cmp.Diff(e, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c, diff)
		}
		if want := string(c) + " (own): why"; e.Error() != want {
			t.Errorf("got %q, want %q", e.Error(), want)
		}
	}
}

func TestReply(t *testing.T) {
	iq := mustParse(t, `<iq type='get' id='7' from='a@b/c' to='d@e/f'><ping xmlns='urn:xmpp:ping'/></iq>`)
	for _, c := range []struct {
		name string
		got  *Element
		want string
	}{
		{"result", Reply(iq), `<iq to='a@b/c' id='7' type='result'/>`},
		{"payload", Reply(iq, New("x", "y")), `<iq to='a@b/c' id='7' type='result'><y xmlns='x'/></iq>`},
		{"error", ReplyError(iq, NewError(ItemNotFound, "")), `<iq to='a@b/c' id='7' type='error'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`},
		{"asked by the server", Reply(iq.With(A("from", ""))), `<iq id='7' type='result'/>`},
		{"in a component's stream", ReplyError(New("c", "iq", A("id", "1")), NewError(Gone, "")), `<iq xmlns='c' id='1' type='error'><error type='cancel'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`},
	} {
		if got := c.got.String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
