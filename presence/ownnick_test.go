package presence

import (
	"strings"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

const (
	namesGetCard = "<iq type='get'><vCard"
	namesSetCard = "<iq type='set'><vCard"
	namesPublish = "<publish node='" + pep.NodeNick + "'"
)

// namesResults collects how calls ended.
type namesResults struct {
	t    *testing.T
	list []error
}

func (n *namesResults) done(err error) { n.list = append(n.list, err) }

func (n *namesResults) want(count int) {
	n.t.Helper()
	if len(n.list) != count {
		n.t.Fatalf("%d calls answered, want %d", len(n.list), count)
	}
	for _, err := range n.list {
		if err != nil {
			n.t.Errorf("failed: %v", err)
		}
	}
}

func (r *namesRig) setSelf(nick string, results *namesResults) {
	r.aliasing.set(map[uint32]string{1: nick}, results.done)
}

// The nick is published and patched into the vCard, of which nothing is lost.
func TestAliasing_ownNick(t *testing.T) {
	r, results := newNamesRig(t), &namesResults{t: t}
	r.setSelf("Ada", results)
	publish := r.next(namesPublish)
	if nick, _ := pep.ParseNick(publish.iq.First().First().First().First()); nick != "Ada" {
		t.Errorf("published %q", nick)
	}
	r.nickEvent("ada@school.test", "Ada") // our own echo is no news
	publish.answer(nil, nil)
	r.heard("AliasesChanged [{1 Ada}]")
	results.want(0)

	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'><FN>Ada L.</FN><NICKNAME>Old</NICKNAME><X-LOST xmlns='other'>?</X-LOST><NOTE>2b</NOTE></vCard>")
	set := r.next(namesSetCard)
	for _, part := range []string{"<FN>Ada L.</FN><NICKNAME>Ada</NICKNAME>", "X-LOST", "<NOTE>2b</NOTE>"} {
		if !strings.Contains(set.iq.String(), part) {
			t.Errorf("%s is not in %s", part, set.iq)
		}
	}
	set.answer(nil, nil)
	results.want(1)
	r.heard()
	r.called(1, "Ada")
}

func TestAliasing_ownNickWithoutVCard(t *testing.T) {
	r, results := newNamesRig(t), &namesResults{t: t}
	r.setSelf("Ada", results)
	r.refuse(namesGetCard, stanza.ItemNotFound)
	r.next(namesSetCard, "<NICKNAME>Ada</NICKNAME>").answer(nil, nil)
	r.heard("AliasesChanged [{1 Ada}]")
	r.next(namesPublish).answer(nil, nil)
	results.want(1)
	r.heard()
}

// Without personal events, or without vCards, the other is enough.
func TestAliasing_ownNickHalf(t *testing.T) {
	r, results := newNamesRig(t), &namesResults{t: t}
	r.noPEP = true
	r.setSelf("Ada", results)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.next(namesSetCard).answer(nil, nil)
	results.want(1)
	r.heard("AliasesChanged [{1 Ada}]")
	r.unasked()

	r, results = newNamesRig(t), &namesResults{t: t}
	r.setSelf("Ada", results)
	r.next(namesPublish).answer(nil, nil)
	r.refuse(namesGetCard, stanza.ServiceUnavailable)
	results.want(1)
	r.heard("AliasesChanged [{1 Ada}]")

	r, results = newNamesRig(t), &namesResults{t: t}
	r.setSelf("Ada", results)
	r.refuse(namesPublish, stanza.Forbidden)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.next(namesSetCard).answer(nil, nil)
	results.want(1)
	r.heard("AliasesChanged [{1 Ada}]")
}

func TestAliasing_ownNickNotStored(t *testing.T) {
	for _, row := range []struct {
		err  error
		want tp.ErrorName
	}{
		{stanza.NewError(stanza.NotAllowed, ""), tp.ErrorPermissionDenied},
		{stanza.NewError(stanza.NotAcceptable, ""), tp.ErrorNotAvailable},
		{xmpp.ErrLost, tp.ErrorNetworkError},
	} {
		r := newNamesRig(t)
		var got error
		r.aliasing.set(map[uint32]string{1: "Ada"}, func(err error) { got = err })
		r.next(namesPublish).answer(nil, row.err)
		r.next(namesGetCard).answer(nil, row.err)
		if e, is := refusal(got).(*tp.Error); !is || e.Name != row.want {
			t.Errorf("%v: got %v, want %v", row.err, got, row.want)
		}
		r.heard()
		r.called(1, "ada@school.test")
	}
}

// Two quick changes end with the last, which alone is announced.
func TestAliasing_ownNickTwice(t *testing.T) {
	r, results := newNamesRig(t), &namesResults{t: t}
	r.setSelf("Ada", results)
	r.setSelf("Grace", results)
	r.next(namesPublish, "Ada").answer(nil, nil)
	r.nickEvent("ada@school.test", "Ada")
	r.next(namesPublish, "Grace").answer(nil, nil)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.next(namesSetCard, "<NICKNAME>Grace</NICKNAME>").answer(nil, nil)
	results.want(2)
	r.heard("AliasesChanged [{1 Grace}]")
	r.called(1, "Grace")
	r.unasked()
}

// A change that comes while the vCard is written is written after it.
func TestAliasing_ownNickChangedWhileWriting(t *testing.T) {
	r, results := newNamesRig(t), &namesResults{t: t}
	r.noPEP = true
	r.setSelf("Ada", results)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	first := r.next(namesSetCard)
	r.setSelf("Grace", results)
	r.unasked()
	first.answer(nil, nil)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'><NICKNAME>Ada</NICKNAME></vCard>")
	r.next(namesSetCard, "<NICKNAME>Grace</NICKNAME>").answer(nil, nil)
	results.want(2)
	r.heard("AliasesChanged [{1 Grace}]")
}

// When the last change comes to nothing, the one before counts.
func TestAliasing_ownNickLastFails(t *testing.T) {
	r := newNamesRig(t)
	r.noPEP = true
	var errs []error
	set := func(nick string) {
		r.aliasing.set(map[uint32]string{1: nick}, func(err error) { errs = append(errs, err) })
	}
	set("Ada")
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	first := r.next(namesSetCard)
	set("Grace")
	first.answer(nil, nil)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'/>")
	r.refuse(namesSetCard, stanza.NotAcceptable)
	if len(errs) != 2 || errs[0] != nil || errs[1] == nil {
		t.Errorf("answers %v", errs)
	}
	r.heard("AliasesChanged [{1 Ada}]")
}

// Success is announced also when the name is the same, as it is at each login.
func TestAliasing_ownNickAgain(t *testing.T) {
	r, results := newNamesRig(t), &namesResults{t: t}
	r.nickEvent("ada@school.test", "Ada") // what the server kept
	r.heard("AliasesChanged [{1 Ada}]")
	r.setSelf("Ada", results)
	r.next(namesPublish).answer(nil, nil)
	r.heard("AliasesChanged [{1 Ada}]")
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'><NICKNAME>Ada</NICKNAME></vCard>")
	results.want(1)
	r.heard()

	// and another client of the user's is heard
	r.nickEvent("ada@school.test", "Grace")
	r.heard("AliasesChanged [{1 Grace}]")
	r.setSelf("", results)
	r.next(namesPublish).answer(nil, nil)
	r.answer(namesGetCard, "<vCard xmlns='vcard-temp'><NICKNAME>Ada</NICKNAME></vCard>")
	r.next(namesSetCard).answer(nil, nil)
	results.want(2)
	r.heard("AliasesChanged [{1 ada@school.test}]")
}
