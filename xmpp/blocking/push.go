package blocking

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// HandlePush takes a push in [NS] or [NSPrivacy] and gives its answer. Only
// the account itself may push; others are answered as they are for everything
// that nobody knows, and learn nothing from it.
func (l *List) HandlePush(iq *stanza.Element) *stanza.Element {
	if iq.Attr("type") != "set" || !l.mayPush(iq) {
		return stanza.ReplyError(iq, stanza.NewError(stanza.ServiceUnavailable, ""))
	}
	payload := iq.First()
	understood := payload.Space() == NS && l.handleCommand(payload) ||
		payload.Space() == NSPrivacy && l.handleListChange(payload)
	if !understood {
		return stanza.ReplyError(iq, stanza.NewError(stanza.BadRequest, ""))
	}
	return stanza.Reply(iq)
}

// mayPush tells whether a stanza comes from the account; ejabberd also writes
// the session itself as the sender, a name that nobody else can have.
func (l *List) mayPush(iq *stanza.Element) bool {
	if iq.Attr("from") == "" {
		return true
	}
	from, err := jid.ParseLenient(iq.Attr("from"))
	return err == nil && (from == l.cfg.Self.Bare() || from == l.cfg.Self)
}

// handleCommand takes what another session, or this one, has blocked or
// unblocked (XEP-0191 §3.3 to §3.5). It is false for what can't be understood:
// an unblock whose items are all broken must not count as one of everybody.
func (l *List) handleCommand(command *stanza.Element) bool {
	who := parseItems(command)
	everybody := command.Local() == "unblock" && len(command.Children()) == 0
	switch {
	case command.Local() != "block" && command.Local() != "unblock", len(who) == 0 && !everybody:
		return false
	case everybody:
		l.noteCleared()
	default:
		l.note(who, command.Local() == "block")
	}
	return true
}

func (l *List) note(who []jid.JID, blocked bool) {
	if t := l.running; t != nil {
		for _, w := range who {
			if len(t.pushed) < maxEntries {
				t.pushed[w] = blocked
			}
		}
	}
	switch {
	case !l.TellsContacts(): // not fetched yet, or kept by privacy lists
	case blocked:
		l.change(who, nil)
	default:
		l.change(nil, who)
	}
}

func (l *List) noteCleared() {
	if t := l.running; t != nil {
		t.cleared = true
		for who := range t.pushed {
			t.pushed[who] = false
		}
	}
	if l.TellsContacts() {
		l.change(nil, slices.Collect(l.All()))
	}
}

// handleListChange takes the news that a privacy list has changed, without
// what it holds now (XEP-0016 §2.6): the one in force is read again. When none
// was, another session may be about to put this one in force, which is not
// pushed.
func (l *List) handleListChange(query *stanza.Element) bool {
	list := query.Child(NSPrivacy, "list")
	if list == nil {
		return false
	}
	lists, used := l.way.(*privacy)
	if !used || l.stale || lists.inForce != "" && lists.inForce != list.Attr("name") {
		return true
	}
	l.stale = true
	l.start(func(t *task) {
		l.stale = false
		lists.fetch(func(all []jid.JID, err error) {
			if err == nil { // else keep what is known: no answer is not "nobody"
				l.replace(t, all)
			}
			l.end(func(error) {}, nil)
		})
	})
	return true
}
