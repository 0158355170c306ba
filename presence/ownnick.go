package presence

import (
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/vcard"
)

// ownNick is the state of changes of the user's own name.
type ownNick struct {
	latest    int    // number of the last change asked for
	announced int    // and of the last that was announced
	pending   int    // changes that are not over
	stored    string // what the server has of them, as far as is known
	isStored  bool
}

// setOwn publishes the user's name as personal event (XEP-0172) and as nickname
// in the vCard (XEP-0054), since other programs read the one or the other. It
// is announced when the first is done. done is called when both are over;
// servers may lack either, so one of them is enough.
func (a *Aliasing) setOwn(nick string, done func(error)) {
	o := &a.own
	o.latest++
	o.pending++
	number, parts, stored := o.latest, 1, false
	part := func(err error) {
		if err != nil {
			a.host.Log().WithError(err).Debug("Own name not stored")
		} else {
			stored = true
			a.handleStored(number, nick)
		}
		if parts--; parts > 0 {
			return
		}
		if stored {
			err = nil
		}
		a.endOwn()
		done(err)
	}
	if a.host.HasPEP() {
		parts++
		a.events.Publish(pep.NodeNick, pep.BuildNick(nick), part)
	}
	a.cards.Edit(vcard.SetNickname(nick), part)
}

// handleStored takes note of what the server has, unless that is about to
// change: of two quick changes only the last is announced.
func (a *Aliasing) handleStored(number int, nick string) {
	o := &a.own
	o.stored, o.isStored = nick, true
	if number == o.latest && o.announced != number {
		a.setSelf(nick)
	}
}

// endOwn ends one change. If the last of them came to nothing, the one before
// counts.
func (a *Aliasing) endOwn() {
	o := &a.own
	if o.pending--; o.pending > 0 {
		return
	}
	if o.isStored && o.announced != o.latest {
		a.setSelf(o.stored)
	}
	o.isStored = false
}

// setSelf makes nick the own name and announces it, be it new or not: that is
// the sign of success (Aliasing.SetAliases).
func (a *Aliasing) setSelf(nick string) {
	self := a.host.SelfHandle()
	a.own.announced = a.own.latest
	n := a.of(self)
	n.nick, n.published = nick, nick != ""
	if !n.formal {
		n.card = nick
	}
	a.host.Emit(tp.SignalConnectionAliasingAliasesChanged, []pair{{self, a.Alias(self)}})
}
