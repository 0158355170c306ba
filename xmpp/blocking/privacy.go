package blocking

import (
	"errors"
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// NSPrivacy is the namespace of privacy lists.
const NSPrivacy = "jabber:iq:privacy"

// ownList is the list made when none is in force. ejabberd and MongooseIM give
// other names to theirs, which are in force once they have them.
const ownList = "telepathy-olpc"

// privacy keeps the block list in the privacy list that is in force for this
// session, XEP-0016. Lists that other clients made are extended and shortened
// by items that deny everything to one address; all other items keep their
// form and their order.
type privacy struct {
	asker   Asker
	inForce string // list that was in force last time, "" for none
}

// names are the lists that the server keeps, XEP-0016 §2.3.
type names struct {
	active, deflt string
	all           []string
}

// inForce is the list that decides: the session's, if it has one, else the
// account's (XEP-0016 §2.2).
func (n names) inForce() string {
	if n.active != "" {
		return n.active
	}
	return n.deflt
}

func parseNames(query *stanza.Element) names {
	n := names{
		active: query.Child(NSPrivacy, "active").Attr("name"),
		deflt:  query.Child(NSPrivacy, "default").Attr("name"),
	}
	for list := range query.Each(NSPrivacy, "list") {
		n.all = append(n.all, list.Attr("name"))
	}
	return n
}

// fetch reads who is blocked. Without a list in force it is nobody.
func (p *privacy) fetch(done func([]jid.JID, error)) {
	p.read(func(list rules, err error) {
		if p.inForce == "" {
			list = nil
		}
		done(list.blocked(), err)
	})
}

// edit changes the list in force; to block, one that is not in force yet will
// do. All that is blocked afterwards is known.
func (p *privacy) edit(who []jid.JID, block bool, done func([]jid.JID, error)) {
	p.read(func(list rules, err error) {
		if err == nil && block && len(list)+len(who) > maxEntries {
			err = errTooLong
		}
		switch {
		case err != nil:
			done(nil, err)
			return
		case block:
			list = list.deny(who)
		case p.inForce == "":
			done([]jid.JID{}, nil)
			return
		default:
			list = list.without(who)
		}
		p.write(list, func(err error) { done(list.blocked(), err) })
	})
}

// read asks which list is in force and what it holds. What is not in force is
// read if it is our own; no list is an empty one.
func (p *privacy) read(done func(rules, error)) {
	p.ask("get", nil, func(reply *stanza.Element, err error) {
		n := parseNames(reply.Child(NSPrivacy, "query"))
		if err != nil {
			done(nil, err)
			return
		}
		p.inForce = n.inForce()
		if p.inForce == "" && !slices.Contains(n.all, ownList) {
			done(nil, nil)
			return
		}
		name := stanza.New(NSPrivacy, "list", stanza.A("name", p.name()))
		p.ask("get", name, func(reply *stanza.Element, err error) {
			if isCondition(err, stanza.ItemNotFound) {
				err = nil
			}
			done(parseRules(reply.Child(NSPrivacy, "query").Child(NSPrivacy, "list")), err)
		})
	})
}

// name is the list to be changed.
func (p *privacy) name() string {
	if p.inForce != "" {
		return p.inForce
	}
	return ownList
}

// write sends the whole list and has it obeyed.
func (p *privacy) write(list rules, done func(error)) {
	items := []stanza.Part{stanza.A("name", p.name())}
	for _, r := range list {
		items = append(items, r.element)
	}
	p.set(stanza.New(NSPrivacy, "list", items...), func(err error) {
		if err != nil || p.inForce != "" {
			done(err)
			return
		}
		p.enforce(done)
	})
}

// enforce puts the own list in force: for the account, or for this session
// where another one would have to obey it too (XEP-0016 §2.5).
func (p *privacy) enforce(done func(error)) {
	name := stanza.A("name", ownList)
	p.set(stanza.New(NSPrivacy, "default", name), func(err error) {
		if isCondition(err, stanza.Conflict) {
			p.set(stanza.New(NSPrivacy, "active", name), p.enforced(done))
			return
		}
		p.enforced(done)(err)
	})
}

func (p *privacy) enforced(done func(error)) func(error) {
	return func(err error) {
		if err == nil {
			p.inForce = ownList
		}
		done(err)
	}
}

func (p *privacy) set(payload *stanza.Element, done func(error)) {
	p.ask("set", payload, func(_ *stanza.Element, err error) { done(err) })
}

func (p *privacy) ask(kind string, payload *stanza.Element, done func(*stanza.Element, error)) {
	p.asker.Ask(stanza.New(stanza.NSClient, "iq", stanza.A("type", kind), stanza.New(NSPrivacy, "query", payload)), done)
}

func isCondition(err error, c stanza.Condition) bool {
	var refused *stanza.Error
	return errors.As(err, &refused) && refused.Condition == c
}
