package presence

import (
	"fmt"
	"strings"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// Each step adds a name that counts more than those before.
func TestAliasing_precedence(t *testing.T) {
	r := newNamesRig(t)
	bob := r.contact("bob@school.test")
	r.called(bob, "bob@school.test")
	card := func(xml string) {
		r.cards.Request(namesJID("bob@school.test"), func(*stanza.Element, error) {})
		r.answer("vcard-temp", "<vCard xmlns='vcard-temp'>"+xml+"</vCard>")
	}
	card("<FN>Robert Example</FN>")
	r.called(bob, "Robert Example")
	r.push(namesItem("bob@school.test", "Rob"))
	r.called(bob, "Rob")
	card("<FN>Robert Example</FN><NICKNAME>Bobby</NICKNAME>")
	r.called(bob, "Bobby")
	r.people.HandlePresence(namesParse(t, "<presence from='bob@school.test/x'><nick xmlns='"+pep.NodeNick+"'>Bob P.</nick></presence>"))
	r.called(bob, "Bob P.")
	r.nickEvent("bob@school.test", "Bob E.")
	r.called(bob, "Bob E.")
	r.heard("AliasesChanged [{2 Robert Example}]", "AliasesChanged [{2 Rob}]", "AliasesChanged [{2 Bobby}]",
		"AliasesChanged [{2 Bob P.}]", "AliasesChanged [{2 Bob E.}]")

	// Presence does not take back what the node says; the node does.
	r.people.HandlePresence(namesParse(t, "<presence from='bob@school.test/x'><nick xmlns='"+pep.NodeNick+"'>Bob P.</nick></presence>"))
	r.called(bob, "Bob E.")
	r.nickEvent("bob@school.test", "")
	r.called(bob, "Bobby")
	r.heard("AliasesChanged [{2 Bobby}]")
}

func TestAliasing_occupantIsCalledByResource(t *testing.T) {
	r := newNamesRig(t)
	r.called(r.contact("chess@rooms.school.test/Eve"), "Eve")
}

func TestCleanName(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"as it is", "Ada, 2b", "Ada, 2b"},
		{"other scripts", "अदा", "अदा"},
		{"joiner within a word", "می\u200cخواهم", "می\u200cخواهم"},
		{"surrounding space", "  Ada\t", "Ada"},
		{"lines", "Ada\nfrom 2b\u2028x", "Ada from 2b x"},
		{"control characters", "A\x07d\u009fa", "Ada"},
		{"turned around", "\u202eadA\u2066", "adA"},
		{"nothing left", " \x01\n ", ""},
		{"too long", strings.Repeat("a", 300), strings.Repeat("a", 255)},
		{"cut between characters", strings.Repeat("é", 200), strings.Repeat("é", 127)},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := cleanName(row.in); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

// A name nobody was told before is no change; one is, if the address was told.
func TestAliasing_rosterNamesTogether(t *testing.T) {
	var items []string
	for i := range 5000 {
		items = append(items, namesItem(fmt.Sprintf("c%d@school.test", i), fmt.Sprintf("Child %d", i)))
	}
	r := newNamesRig(t, items...)
	r.heard()
	if n := len(r.aliasing.names) + len(r.aliasing.addressed); n > 0 {
		t.Errorf("%d contacts kept for their roster name", n)
	}

	r = newNamesRig(t)
	for i := range 5000 {
		r.aliasing.Attributes(r.contact(fmt.Sprintf("c%d@school.test", i)))
	}
	r.push(items...)
	if len(r.told) != 1 || !strings.HasSuffix(r.told[0], "{5001 Child 4999}]") {
		t.Errorf("%d signals, want one with all", len(r.told))
	}
	r.told = nil
	r.push(namesItem("c7@school.test", "Ada"), namesItem("c8@school.test", "Bob"), namesItem("c9@school.test", "Child 9"))
	r.heard("AliasesChanged [{9 Ada} {10 Bob}]")
}

// A stale name in ejabberd's shared roster hides neither a nick nor its change.
func TestAliasing_changedNickIsSeenOverRosterName(t *testing.T) {
	r := newNamesRig(t, namesItem("bob@school.test", "Old Bob"))
	bob := r.contact("bob@school.test")
	r.called(bob, "Old Bob")
	r.nickEvent("bob@school.test", "Bob")
	r.nickEvent("bob@school.test", "Bob")
	r.nickEvent("bob@school.test", "Robert")
	r.push(namesItem("bob@school.test", "Bob"))
	r.called(bob, "Robert")
	r.heard("AliasesChanged [{2 Bob}]", "AliasesChanged [{2 Robert}]")
}

func TestAliasing_eventWithoutPayloadIsAskedFor(t *testing.T) {
	r := newNamesRig(t, namesItem("bob@school.test", "Bob"))
	for _, item := range []string{"<item id='1'/>", "<retract id='1'/>"} {
		r.events.HandleMessage(namesParse(t, "<message from='bob@school.test'><event xmlns='"+pep.NSEvent+"'><items node='"+pep.NodeNick+"'>"+item+"</items></event></message>"))
		r.answer(pep.NodeNick, namesNick("Robert"))
	}
	r.heard("AliasesChanged [{2 Robert}]")
}

// A nick may come before anything else of its owner; strangers can't fill the
// memory with it.
func TestAliasing_nickOfStranger(t *testing.T) {
	r := newNamesRig(t)
	r.nickEvent("eve@far.test", "Eve")
	r.called(r.contact("eve@far.test"), "Eve")
	for i := range maxNames + 10 {
		r.aliasing.names[uint32(1000+i)] = &names{}
	}
	r.nickEvent("mallory@far.test", "Mallory")
	if _, known := r.handles.Contacts.Lookup(namesJID("mallory@far.test")); known {
		t.Error("one stranger too many is kept")
	}
	r.nickEvent("eve@far.test", strings.Repeat("e", 5000))
	r.called(r.contact("eve@far.test"), "Eve")
}

func TestAliasing_nameForContact(t *testing.T) {
	r := newNamesRig(t)
	bob := r.contact("bob@home.test")
	var results []error
	done := func(err error) { results = append(results, err) }
	r.aliasing.set(map[uint32]string{bob: " Dad\n"}, done)
	q := r.next("jabber:iq:roster", "name='Dad'", "jid='bob@home.test'")
	r.push("<item jid='bob@home.test' name='Dad' subscription='none'/>")
	q.answer(nil, nil)
	r.heard("AliasesChanged [{2 Dad}]")

	// The user's word is not drowned by the contact's, unless another client
	// of the user's says something else.
	r.nickEvent("bob@home.test", "Robert")
	r.called(bob, "Dad")
	r.push("<item jid='bob@home.test' name='Daddy' subscription='none'/>")
	r.heard("AliasesChanged [{2 Daddy}]")
	r.push("<item jid='bob@home.test' subscription='none'/>")
	r.heard("AliasesChanged [{2 Robert}]")

	// The answer may come before the push.
	r.aliasing.set(map[uint32]string{bob: "Papa"}, done)
	r.next("name='Papa'").answer(nil, nil)
	r.push("<item jid='bob@home.test' name='Papa' subscription='none'/>")
	r.heard("AliasesChanged [{2 Papa}]")
	if len(results) != 2 || results[0] != nil || results[1] != nil {
		t.Errorf("answers: %v", results)
	}
}

func TestAliasing_setRefuses(t *testing.T) {
	r := newNamesRig(t, namesItem("bob@school.test", "Bob"))
	occupant := r.contact("chess@rooms.school.test/Eve")
	for _, row := range []struct {
		name string
		to   map[uint32]string
		want tp.ErrorName
	}{
		{"no contact", map[uint32]string{99: "x"}, tp.ErrorInvalidArgument},
		{"occupant", map[uint32]string{occupant: "x"}, tp.ErrorInvalidArgument},
		{"too long", map[uint32]string{1: strings.Repeat("x", 256)}, tp.ErrorInvalidArgument},
		{"one of several", map[uint32]string{1: "Ada", 99: "x"}, tp.ErrorInvalidArgument},
		{"shared group", map[uint32]string{r.contact("bob@school.test"): "x"}, tp.ErrorPermissionDenied},
	} {
		t.Run(row.name, func(t *testing.T) {
			calls := 0
			r.aliasing.set(row.to, func(err error) {
				calls++
				if e, is := refusal(err).(*tp.Error); !is || e.Name != row.want {
					t.Errorf("got %v, want %v", err, row.want)
				}
			})
			if calls != 1 {
				t.Errorf("answered %d times", calls)
			}
			r.unasked()
		})
	}
	r.aliasing.set(nil, func(err error) {
		if err != nil {
			t.Errorf("nothing to set: %v", err)
		}
	})
	r.heard()
}
