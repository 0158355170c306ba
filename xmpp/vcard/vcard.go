// Package vcard reads people's vCards and changes the account's own one
// (vcard-temp, XEP-0054), with the photo that XEP-0153 makes of it.
//
// A vCard stays the element tree that it is on the wire, so that nothing is lost
// of what another program put there; functions read out of it what Telepathy
// knows: a name, the fields of ContactInfo, a photo. A [Manager] and its
// callbacks belong to the connection's loop.
package vcard

import (
	"slices"
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// NS is the namespace of vCards, and the feature of who has one.
const NS = "vcard-temp"

// maxAlias is the longest name that is taken for one, as long as the longest
// that can be had in a room (RFC 7622 §3.4).
const maxAlias = 1023

// Alias returns the name by which a person wants to be called: the nickname,
// else the formatted name, else "".
func Alias(card *stanza.Element) string {
	for _, local := range []string{"NICKNAME", "FN"} {
		for e := range card.Each(NS, local) {
			if name := strings.TrimSpace(e.Text()); name != "" && len(name) <= maxAlias {
				return name
			}
		}
	}
	return ""
}

// Edit makes a changed vCard out of one, which it returns if there is nothing
// to change.
type Edit func(card *stanza.Element) *stanza.Element

// SetNickname returns the Edit that makes name the nickname; an empty one takes
// it away. The name is not taken for a list, though XEP-0054 separates several
// nicknames by commas: a child may well be called "Ada, 2b".
func SetNickname(name string) Edit {
	return func(card *stanza.Element) *stanza.Element {
		var nickname *stanza.Element
		if name != "" {
			nickname = stanza.New(NS, "NICKNAME", stanza.Text(name))
		}
		return replace(card, []string{"NICKNAME"}, nickname)
	}
}

// replace returns the vCard with other elements in place of those that have
// one of the names, where the first of them was. Nil elements are left out.
func replace(card *stanza.Element, names []string, with ...*stanza.Element) *stanza.Element {
	parts := make([]stanza.Part, 0, len(card.Children())+len(with))
	insert := func() {
		for _, e := range with {
			parts = append(parts, e)
		}
		with = nil
	}
	for _, e := range card.Children() {
		if e.Space() == NS && slices.Contains(names, e.Local()) {
			insert()
			continue
		}
		parts = append(parts, e)
	}
	insert()
	return emptied(card).With(parts...)
}

// emptied returns the vCard with its attributes and without what is in it. It
// goes by way of the start tag, since a tree does not list attributes.
func emptied(card *stanza.Element) *stanza.Element {
	open := string(card.AppendOpen(nil, stanza.NSClient))
	e, err := stanza.Parse(open + "</" + card.Local() + ">")
	if err != nil { // too many attributes, of which XEP-0054 knows none
		return stanza.New(NS, "vCard")
	}
	return e
}

// empty is the vCard of who has none.
func empty() *stanza.Element { return stanza.New(NS, "vCard") }
