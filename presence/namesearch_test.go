package presence

import (
	"fmt"
	"slices"
	"testing"

	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// prepare calls Prepare and gives the number of times then was called.
func (r *namesRig) prepare(contacts ...uint32) *int {
	calls := new(int)
	r.aliasing.Prepare(contacts, func() { *calls++ })
	return calls
}

func (r *namesRig) wantCalls(calls *int, want int, when string) {
	r.t.Helper()
	if *calls != want {
		r.t.Errorf("%s: called %d times, want %d", when, *calls, want)
	}
}

func TestAliasing_prepareAsksForNickThenVCard(t *testing.T) {
	r := newNamesRig(t)
	bob, eve := r.contact("bob@school.test"), r.contact("eve@school.test")
	r.appear("bob@school.test")
	r.appear("eve@school.test")
	calls := r.prepare(1, bob, eve, bob)
	r.wantCalls(calls, 0, "asked")
	r.next(pep.NodeNick, "bob@school.test").answer(namesParse(t, "<iq>"+namesNick("Bob")+"</iq>"), nil)
	r.refuse(pep.NodeNick, stanza.ItemNotFound)
	r.wantCalls(calls, 0, "eve has no nick")
	r.answer("vcard-temp", "<vCard xmlns='vcard-temp'><NICKNAME>Eve</NICKNAME></vCard>")
	r.wantCalls(calls, 1, "all known")
	r.called(bob, "Bob")
	r.called(eve, "Eve")
	r.heard() // nobody knew another name

	r.wantCalls(r.prepare(bob, eve), 1, "known before")
	r.unasked()
	r.fire("names sought")
	r.wantCalls(calls, 1, "time is over")
}

// Who does not answer is waited for five seconds, and not again.
func TestAliasing_prepareIsBounded(t *testing.T) {
	r := newNamesRig(t)
	bob := r.contact("bob@far.test")
	r.appear("bob@far.test")
	calls := r.prepare(bob)
	if !slices.ContainsFunc(r.timers, func(timer namesTimer) bool { return timer.label == "names sought" && timer.d == maxSearch }) {
		t.Errorf("timers: %v", r.timers)
	}
	r.fire("names sought")
	r.wantCalls(calls, 1, "time is over")
	r.called(bob, "bob@far.test")
	r.answer(pep.NodeNick, namesNick("Bob"))
	r.wantCalls(calls, 1, "late answer")
	r.heard("AliasesChanged [{2 Bob}]")
}

// An event ends the wait before the answer.
func TestAliasing_prepareHearsEvents(t *testing.T) {
	r := newNamesRig(t)
	r.appear("bob@school.test")
	calls := r.prepare(2)
	r.nickEvent("bob@school.test", "")
	r.wantCalls(calls, 0, "no nick, perhaps a vCard")
	r.nickEvent("bob@school.test", "Bob")
	r.wantCalls(calls, 1, "nick")
	r.refuse(pep.NodeNick, stanza.NotAuthorized)
	r.called(2, "Bob")
}

// The roster's name may be old: few contacts are asked, many are not.
func TestAliasing_prepareWithRosterNames(t *testing.T) {
	r := newNamesRig(t, namesItem("bob@school.test", "Old"), namesItem("off@school.test", "Off"), namesItem("eve@far.test", "Eve"))
	bob, off, eve := r.contact("bob@school.test"), r.contact("off@school.test"), r.contact("eve@far.test")
	r.appear("bob@school.test")
	r.appear("eve@far.test")
	calls := r.prepare(bob, off, eve)
	r.answer("to='bob@school.test'", namesNick("Bob"))
	r.wantCalls(calls, 1, "own server has answered")
	r.called(bob, "Bob")
	r.next("to='eve@far.test'")
	r.unasked()

	var items []string
	var all []uint32
	for i := range fewOnline + 1 {
		items = append(items, namesItem(fmt.Sprintf("c%d@school.test", i), "Child"))
	}
	r = newNamesRig(t, items...)
	for i := range fewOnline + 1 {
		who := fmt.Sprintf("c%d@school.test", i)
		r.appear(who)
		all = append(all, r.contact(who))
	}
	r.wantCalls(r.prepare(all...), 1, "many")
	r.wantCalls(r.prepare(all[0]), 1, "one of many")
	r.unasked()
}

// Somebody who comes back may have got another nick meanwhile.
func TestAliasing_prepareAgainAfterAbsence(t *testing.T) {
	r := newNamesRig(t)
	r.appear("bob@school.test")
	r.prepare(2)
	r.answer(pep.NodeNick, namesNick("Bob"))
	r.prepare(2)
	r.unasked()
	r.leave("bob@school.test")
	r.appear("bob@school.test")
	calls := r.prepare(2)
	r.answer(pep.NodeNick, namesNick("Robert"))
	r.wantCalls(calls, 1, "asked again")
	r.heard("AliasesChanged [{2 Robert}]")
}

func TestAliasing_prepareWithoutPEP(t *testing.T) {
	r := newNamesRig(t)
	r.noPEP = true
	r.appear("bob@school.test")
	calls := r.prepare(2)
	r.refuse("vcard-temp", stanza.InternalServerError)
	r.wantCalls(calls, 1, "refused")
	r.unasked()
}

// Silent servers do not keep the names of others from being asked for.
func TestAliasing_silentServers(t *testing.T) {
	r := newNamesRig(t)
	for i := range maxSearching {
		r.prepare(r.contact(fmt.Sprintf("m%d@silent.test", i)))
	}
	calls := r.prepare(r.contact("bob@school.test"))
	r.answer("bob@school.test", namesNick("Bob"))
	r.wantCalls(calls, 1, "of the own server")
	calls = r.prepare(r.contact("eve@far.test"))
	if len(r.asked) != maxSearching {
		t.Fatalf("%d asked at once, want %d", len(r.asked), maxSearching)
	}
	r.fire("name overdue")
	r.answer("eve@far.test", namesNick("Eve"))
	r.wantCalls(calls, 1, "asked after the silent")
	r.wantCalls(r.prepare(r.contact("m0@silent.test")), 1, "known to be silent")
}

func TestAliasing_searchesAreBounded(t *testing.T) {
	r := newNamesRig(t)
	for i := range maxSearching + maxSearches {
		r.prepare(r.contact(fmt.Sprintf("m%d@silent.test", i)))
	}
	r.wantCalls(r.prepare(r.contact("bob@silent.test")), 1, "one too many")
}

// Of many absent contacts without a name not all are asked.
func TestAliasing_prepareAbsent(t *testing.T) {
	r := newNamesRig(t)
	var all []uint32
	for i := range 3 * fewOnline {
		all = append(all, r.contact(fmt.Sprintf("c%d@school.test", i)))
	}
	r.prepare(all...)
	if n := len(r.asked) + len(r.aliasing.near.queue); n != fewOnline {
		t.Errorf("%d asked, want %d", n, fewOnline)
	}
}

// RequestAliases waits where nothing but the address is known.
func TestAliasing_request(t *testing.T) {
	r := newNamesRig(t, namesItem("bob@school.test", "Bob"))
	bob, eve := r.contact("bob@school.test"), r.contact("eve@far.test")
	occupant, service := r.contact("chess@rooms.school.test/Mary"), r.contact("far.test")
	var got [][]string
	request := func() {
		r.aliasing.request([]uint32{occupant, eve, bob, eve, service}, func(aliases []string) { got = append(got, aliases) })
	}
	request()
	r.answer(pep.NodeNick, namesNick("Eve"))
	request()
	r.unasked()
	for _, aliases := range got {
		if !slices.Equal(aliases, []string{"Mary", "Eve", "Bob", "Eve", "far.test"}) {
			t.Errorf("got %q", aliases)
		}
	}
	if len(got) != 2 {
		t.Errorf("answered %d times", len(got))
	}
	request = func() {
		r.aliasing.request([]uint32{r.contact("x@far.test")}, func(aliases []string) { got = append(got, aliases) })
	}
	request()
	r.fire("aliases requested")
	if len(got) != 3 || got[2][0] != "x@far.test" {
		t.Errorf("after five seconds: %q", got)
	}
}
