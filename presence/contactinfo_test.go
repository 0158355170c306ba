package presence

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

func TestContactInfo_announcedOnce(t *testing.T) {
	r := newNamesRig(t)
	info := NewContactInfo(r, r.cards)
	bob := r.contact("bob@school.test")
	if a := info.Attributes(bob); a != nil {
		t.Errorf("attributes of nothing: %v", a)
	}
	ask := func(card string) {
		r.cards.Request(namesJID("bob@school.test"), func(*stanza.Element, error) {})
		r.answer("vcard-temp", card)
	}
	card := "<vCard xmlns='vcard-temp'><FN>Bob</FN><TEL><HOME/><NUMBER>1</NUMBER></TEL></vCard>"
	ask(card)
	r.heard("ContactInfoChanged 2 [{fn [] [Bob]} {tel [type=home] [1]}]")
	ask(card)
	r.heard()
	want := map[string]any{tp.ContactAttributeConnectionContactInfoInfo: []vcard.Field{
		{Name: "fn", Values: []string{"Bob"}}, {Name: "tel", Parameters: []string{"type=home"}, Values: []string{"1"}},
	}}
	if diff := cmp.Diff(want, info.Attributes(bob)); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	ask("<vCard xmlns='vcard-temp'/>")
	r.heard("AliasesChanged [{2 bob@school.test}]", "ContactInfoChanged 2 []")
}

// What is asked for anew is announced even if it is the same.
func TestContactInfo_refreshed(t *testing.T) {
	r := newNamesRig(t)
	info := NewContactInfo(r, r.cards)
	bob := r.contact("bob@school.test")
	for range 2 {
		info.refresh([]uint32{bob, bob})
		r.answer("vcard-temp", "<vCard xmlns='vcard-temp'><FN>Bob</FN></vCard>")
		r.unasked()
		r.heard("ContactInfoChanged 2 [{fn [] [Bob]}]")
	}
	info.refresh([]uint32{bob})
	r.refuse("vcard-temp", stanza.Forbidden)
	r.heard()
}

// Who knows what the vCard says asks no more.
func TestContactInfo_request(t *testing.T) {
	r := newNamesRig(t)
	info := NewContactInfo(r, r.cards)
	bob := r.contact("bob@school.test")
	var got [][]vcard.Field
	var failed error
	request := func() {
		info.request(bob, func(fields []vcard.Field, err error) { got, failed = append(got, fields), err })
	}
	request()
	r.refuse("vcard-temp", stanza.RemoteServerTimeout)
	if e, is := refusal(failed).(*tp.Error); !is || e.Name != tp.ErrorNetworkError {
		t.Errorf("got %v", failed)
	}
	request()
	r.answer("vcard-temp", "<vCard xmlns='vcard-temp'><FN>Bob</FN></vCard>")
	request()
	r.unasked()
	want := [][]vcard.Field{nil, {{Name: "fn", Values: []string{"Bob"}}}, {{Name: "fn", Values: []string{"Bob"}}}}
	if diff := cmp.Diff(want, got); diff != "" || failed != nil {
		t.Errorf("error %v, (-want +got):\n%s", failed, diff)
	}
}

// Setting the fields is announced before it is answered, and leaves the alias
// to SetAliases.
func TestContactInfo_set(t *testing.T) {
	r := newNamesRig(t)
	info := NewContactInfo(r, r.cards)
	var results []string
	set := func(fields ...vcard.Field) {
		info.set(fields, func(err error) {
			if err != nil {
				results = append(results, string(refusal(err).(*tp.Error).Name))
				return
			}
			results = append(results, "set")
			r.heard("ContactInfoChanged 1 [{nickname [] [Ada]} {fn [] [Ada L.]}]")
		})
	}
	r.cards.Request(r.Self().Bare(), func(*stanza.Element, error) {})
	r.answer("vcard-temp", "<vCard xmlns='vcard-temp'><NICKNAME>Ada</NICKNAME><FN>A.</FN></vCard>")
	r.heard("AliasesChanged [{1 Ada}]", "ContactInfoChanged 1 [{nickname [] [Ada]} {fn [] [A.]}]")
	set(vcard.Field{Name: "fn", Values: []string{"Ada L."}})
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'><NICKNAME>Ada</NICKNAME><FN>A.</FN></vCard>")
	r.next(namesSetCard, "Ada L.").answer(nil, nil)
	set(vcard.Field{Name: "shoe-size", Values: []string{"44"}})
	set(vcard.Field{Name: "fn", Values: []string{"Ada"}})
	r.refuse(namesGetCard, stanza.NotAllowed)
	want := []string{"set", string(tp.ErrorInvalidArgument), string(tp.ErrorPermissionDenied)}
	if diff := cmp.Diff(want, results); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
}

func TestContactInfo_supportedFields(t *testing.T) {
	specs := make(map[string]fieldSpec)
	for _, s := range supportedFields() {
		specs[s.Name] = s
	}
	for _, row := range []struct {
		name  string
		flags tp.ContactInfoFieldFlags
	}{
		{"fn", tp.ContactInfoFieldFlagsParametersExact},
		{"nickname", tp.ContactInfoFieldFlagsParametersExact | tp.ContactInfoFieldFlagsOverwrittenByNickname},
		{"tel", 0},
	} {
		if s, there := specs[row.name]; !there || s.Flags != row.flags || s.Max == 0 {
			t.Errorf("%s: %+v, want flags %d", row.name, s, row.flags)
		}
	}
}

func TestVCards_readersSeeWhatIsWrittenTogether(t *testing.T) {
	r := newNamesRig(t)
	var seen []string
	r.cards.Read(func(who jid.JID, card *stanza.Element) { seen = append(seen, who.String()+" "+vcard.Alias(card)) })
	done := 0
	for _, name := range []string{"Ada", "Grace"} {
		r.cards.Edit(vcard.SetNickname(name), func(error) { done++ })
	}
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.next(namesSetCard).answer(nil, nil)
	r.cards.Edit(vcard.SetNickname("Mary"), func(error) { done++ })
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.refuse(namesSetCard, stanza.NotAllowed)
	r.cards.Edit(vcard.SetNickname("Mary"), func(error) { done++ })
	r.refuse(namesGetCard, stanza.NotAllowed)
	if diff := cmp.Diff([]string{"ada@school.test Grace"}, seen); diff != "" || done != 4 {
		t.Errorf("%d done, seen (-want +got):\n%s", done, diff)
	}
}

// Each condition has a fate that was decided.
func TestRefusal(t *testing.T) {
	for _, c := range stanza.Conditions() {
		want := tp.ErrorNotAvailable
		switch c {
		case stanza.Forbidden, stanza.NotAllowed, stanza.NotAuthorized:
			want = tp.ErrorPermissionDenied
		case stanza.RemoteServerNotFound, stanza.RemoteServerTimeout:
			want = tp.ErrorNetworkError
		}
		if e, is := refusal(stanza.NewError(c, "")).(*tp.Error); !is || e.Name != want {
			t.Errorf("%s: got %v, want %s", c, e, want)
		}
	}
	if e, is := refusal(vcard.ErrTimeout).(*tp.Error); !is || e.Name != tp.ErrorNetworkError {
		t.Errorf("timeout: got %v", e)
	}
}
