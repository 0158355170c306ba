package blocking

import (
	"math"
	"sort"
	"strconv"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// rule is one item of a privacy list, XEP-0016 §2.1.
type rule struct {
	element *stanza.Element // as it stands in the list
	order   uint64
}

// rules are the items of a privacy list in the order in which the server looks
// at them: the first that fits decides (XEP-0016 §2.2).
type rules []rule

// parseRules reads a list. An item whose order can't be read comes last.
func parseRules(list *stanza.Element) rules {
	var all rules
	for item := range list.Each(NSPrivacy, "item") {
		order, err := strconv.ParseUint(item.Attr("order"), 10, 32)
		if err != nil {
			order = math.MaxUint32
		}
		all = append(all, rule{item, order})
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].order < all[j].order })
	return all
}

// isWhole tells whether the rule is for all kinds of stanzas: it names none of
// the four, or all of them.
func (r rule) isWhole() bool {
	kinds := 0
	for _, kind := range []string{"message", "iq", "presence-in", "presence-out"} {
		if r.element.Child(NSPrivacy, kind) != nil {
			kinds++
		}
	}
	return kinds == 0 || kinds == 4
}

// denied is the address to which the rule denies everything, if it is such a
// rule.
func (r rule) denied() (jid.JID, bool) {
	if r.element.Attr("type") != "jid" || r.element.Attr("action") != "deny" || !r.isWhole() {
		return jid.JID{}, false
	}
	who, err := jid.ParseLenient(r.element.Attr("value"))
	return who, err == nil
}

// blocked lists the addresses that are denied everything. Partly blocked is
// not blocked, and what is allowed before it is denied is not either; rules
// for groups and subscriptions are not looked at.
func (r rules) blocked() []jid.JID {
	list := []jid.JID{}
	allowed := make(map[jid.JID]bool)
	for _, item := range r {
		allows := item.element.Attr("action") == "allow"
		if item.element.Attr("type") == "" && (allows || item.isWhole()) {
			break // it is for everybody: what follows is never looked at
		}
		if who, is := item.denied(); is && !isCovered(allowed, who) && len(list) < maxEntries {
			list = append(list, who)
		}
		if allows && item.element.Attr("type") == "jid" {
			if who, err := jid.ParseLenient(item.element.Attr("value")); err == nil {
				allowed[who] = true
			}
		}
	}
	return list
}

// isCovered tells whether an address, or one that it is part of, is in the
// set (XEP-0016 §2.1).
func isCovered(set map[jid.JID]bool, who jid.JID) bool {
	if len(set) == 0 {
		return false
	}
	domain, _ := jid.ParseLenient(who.Domain())
	return set[who] || set[who.Bare()] || set[domain]
}

// deny puts a rule for each of the addresses in front, where nothing can allow
// them before. The others keep their numbers if there is room.
func (r rules) deny(who []jid.JID) rules {
	n := uint64(len(who))
	after := n + 1
	if len(r) > 0 && r[0].order > n {
		after = r[0].order
	} else {
		r = r.renumbered(after)
	}
	denied := make(rules, len(who), len(who)+len(r))
	for i, w := range who {
		denied[i] = newRule("deny", after-n+uint64(i), stanza.A("type", "jid"), stanza.A("value", w.String()))
	}
	return append(denied, r...)
}

// renumbered is the same in the same order, with numbers from first on.
func (r rules) renumbered(first uint64) rules {
	list := make(rules, len(r))
	for i, item := range r {
		order := first + uint64(i)
		list[i] = rule{item.element.With(stanza.A("order", strconv.FormatUint(order, 10))), order}
	}
	return list
}

// without leaves out what denies everything to the addresses. A list with
// nothing in it would be removed (XEP-0016 §2.8), which a server refuses while
// somebody uses it; so one is left that allows everything.
func (r rules) without(who []jid.JID) rules {
	gone := make(map[jid.JID]bool, len(who))
	for _, w := range who {
		gone[w] = true
	}
	var left rules
	for _, item := range r {
		if denied, is := item.denied(); !is || !gone[denied] {
			left = append(left, item)
		}
	}
	if len(left) == 0 {
		return rules{newRule("allow", 1)}
	}
	return left
}

func newRule(action string, order uint64, parts ...stanza.Part) rule {
	parts = append(parts, stanza.A("action", action), stanza.A("order", strconv.FormatUint(order, 10)))
	return rule{stanza.New(NSPrivacy, "item", parts...), order}
}
