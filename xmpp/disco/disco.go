// Package disco asks what an entity is and can do, and what it holds, and
// answers the same questions about ourselves (XEP-0030), with the forms of
// XEP-0128. Values are not changed once they were made and may be shared;
// queries and their answers belong to the connection's loop.
package disco

import (
	"errors"
	"fmt"
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// Namespaces of the two questions, which are features of whoever answers them.
const (
	NSInfo  = "http://jabber.org/protocol/disco#info"
	NSItems = "http://jabber.org/protocol/disco#items"
)

// What one answer may hold. The largest seen in the field are a server's, with
// about a hundred features in 8 KiB.
const (
	maxIdentities = 64
	maxFeatures   = 1024
	maxForms      = 16
	maxFields     = 128
	maxValues     = 256
	maxInfoBytes  = 64 << 10 // of all texts together
	maxItems      = 10_000   // a conference service lists its rooms
)

// What is wrong with an answer.
var (
	ErrNoQuery = errors.New("answer without its payload")
	ErrTooMuch = errors.New("answer over the limits")
)

// Asker sends a question and calls done once, on the loop, with the result or
// an error.
type Asker interface {
	Ask(iq *stanza.Element, done func(reply *stanza.Element, err error))
}

// Identity says what an entity is, XEP-0030 §3.1.
type Identity struct{ Category, Type, Lang, Name string }

// Info is an entity, or one of its nodes, described.
type Info struct {
	Node       string
	Identities []Identity
	Features   []string
	Forms      []Form
}

// Item is an entity or a node that belongs to another.
type Item struct {
	JID        jid.JID
	Node, Name string
}

// Has tells whether the feature is there.
func (i *Info) Has(feature string) bool { return i != nil && slices.Contains(i.Features, feature) }

// Is tells whether one of the identities is of this category and type.
func (i *Info) Is(category, typ string) bool {
	return i != nil && slices.ContainsFunc(i.Identities, func(id Identity) bool {
		return id.Category == category && id.Type == typ
	})
}

// Size is what the texts take, in bytes.
func (i *Info) Size() int {
	n := len(i.Node)
	for _, id := range i.Identities {
		n += len(id.Category) + len(id.Type) + len(id.Lang) + len(id.Name)
	}
	for _, f := range i.Features {
		n += len(f)
	}
	for _, f := range i.Forms {
		n += f.size()
	}
	return n
}

// InfoQuery builds the question for info; node may be empty.
func InfoQuery(to jid.JID, node string) *stanza.Element { return query(NSInfo, to, node) }

// ItemsQuery builds the question for items; node may be empty.
func ItemsQuery(to jid.JID, node string) *stanza.Element { return query(NSItems, to, node) }

func query(space string, to jid.JID, node string) *stanza.Element {
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", to.String()),
		stanza.New(space, "query", stanza.A("node", node)))
}

// AskInfo asks for info and reads the answer.
func AskInfo(a Asker, to jid.JID, node string, done func(*Info, error)) {
	a.Ask(InfoQuery(to, node), func(reply *stanza.Element, err error) {
		if err != nil {
			done(nil, fmt.Errorf("info of %s: %w", to, err))
			return
		}
		info, err := ParseInfo(reply.Child(NSInfo, "query"))
		if err != nil {
			err = fmt.Errorf("info of %s: %w", to, err)
		}
		done(info, err)
	})
}

// AskItems asks for items and reads the answer.
func AskItems(a Asker, to jid.JID, node string, done func([]Item, error)) {
	a.Ask(ItemsQuery(to, node), func(reply *stanza.Element, err error) {
		if err != nil {
			done(nil, fmt.Errorf("items of %s: %w", to, err))
			return
		}
		items, err := ParseItems(reply.Child(NSItems, "query"))
		if err != nil {
			err = fmt.Errorf("items of %s: %w", to, err)
		}
		done(items, err)
	})
}

// ParseInfo reads a query's payload. Everything is kept as it came, twice what
// is there twice, for XEP-0115 judges by it; an answer over the limits is
// refused whole, as a part of it would say something else.
func ParseInfo(query *stanza.Element) (*Info, error) {
	if !query.Is(NSInfo, "query") {
		return nil, ErrNoQuery
	}
	info := &Info{Node: query.Attr("node")}
	if n := countChildren(query, "feature"); n > maxFeatures {
		return nil, ErrTooMuch
	} else if n > 0 {
		info.Features = make([]string, 0, n)
	}
	for _, c := range query.Children() {
		switch {
		case c.Is(NSInfo, "identity"):
			info.Identities = append(info.Identities, Identity{c.Attr("category"), c.Attr("type"), c.Attr("xml:lang"), c.Attr("name")})
		case c.Is(NSInfo, "feature"):
			info.Features = append(info.Features, c.Attr("var"))
		case c.Is(nsData, "x"):
			form, err := parseForm(c)
			if err != nil {
				return nil, err
			}
			info.Forms = append(info.Forms, form)
		}
		if len(info.Identities) > maxIdentities || len(info.Forms) > maxForms {
			return nil, ErrTooMuch
		}
	}
	if info.Size() > maxInfoBytes {
		return nil, ErrTooMuch
	}
	return info, nil
}

func countChildren(query *stanza.Element, local string) (n int) {
	for range query.Each(NSInfo, local) {
		n++
	}
	return n
}

// ParseItems reads a query's payload. Items without a usable address are
// passed over, and so is what is over the limit.
func ParseItems(query *stanza.Element) ([]Item, error) {
	if !query.Is(NSItems, "query") {
		return nil, ErrNoQuery
	}
	var items []Item
	for c := range query.Each(NSItems, "item") {
		if len(items) == maxItems {
			break
		}
		who, err := jid.ParseLenient(c.Attr("jid"))
		if err != nil {
			continue // one bad item must not hide the others
		}
		items = append(items, Item{who, c.Attr("node"), c.Attr("name")})
	}
	return items, nil
}

// Element builds the payload that [ParseInfo] reads.
func (i *Info) Element() *stanza.Element {
	parts := make([]stanza.Part, 0, 1+len(i.Identities)+len(i.Features)+len(i.Forms))
	parts = append(parts, stanza.A("node", i.Node))
	for _, id := range i.Identities {
		parts = append(parts, stanza.New(NSInfo, "identity", stanza.A("category", id.Category),
			stanza.A("type", id.Type), stanza.A("xml:lang", id.Lang), stanza.A("name", id.Name)))
	}
	for _, f := range i.Features {
		parts = append(parts, stanza.New(NSInfo, "feature", stanza.A("var", f)))
	}
	for _, f := range i.Forms {
		parts = append(parts, f.element())
	}
	return stanza.New(NSInfo, "query", parts...)
}

// Answer builds the answer to a question for info. What is known of a node is
// found by the caller's function, which gives nil for no such node.
func Answer(iq *stanza.Element, find func(node string) *Info) *stanza.Element {
	query := iq.Child(NSInfo, "query")
	if iq.Attr("type") != "get" || query == nil {
		return stanza.ReplyError(iq, stanza.NewError(stanza.BadRequest, ""))
	}
	node := query.Attr("node")
	info := find(node)
	if info == nil {
		return stanza.ReplyError(iq, stanza.NewError(stanza.ItemNotFound, "")) // XEP-0030 §7
	}
	named := *info
	named.Node = node // the answer repeats the node asked for, XEP-0030 §3.2
	return stanza.Reply(iq, named.Element())
}

// AnswerItems builds the answer of somebody who holds no items.
func AnswerItems(iq *stanza.Element) *stanza.Element {
	query := iq.Child(NSItems, "query")
	switch {
	case iq.Attr("type") != "get" || query == nil:
		return stanza.ReplyError(iq, stanza.NewError(stanza.BadRequest, ""))
	case query.Attr("node") != "":
		return stanza.ReplyError(iq, stanza.NewError(stanza.ItemNotFound, ""))
	}
	return stanza.Reply(iq, stanza.New(NSItems, "query"))
}
