package presence

import (
	"time"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

// VCards shares people's vCards among the interfaces that tell what is in
// them: whoever asks for one, all get to read it.
type VCards struct {
	*vcard.Manager
	host    Host
	readers []func(who jid.JID, card *stanza.Element)
	latest  *stanza.Element // the own one as it is being written
}

// NewVCards knows no vCard yet. The account is the own address as far as it is
// known before the server has told.
func NewVCards(h Host, account jid.JID) *VCards {
	after := func(d time.Duration, label string, f func()) func() { return h.After(d, label, f).Stop }
	return &VCards{Manager: vcard.NewManager(h, after, account), host: h}
}

// Read has each vCard that comes in, and the own one when it is changed, given
// to read, before who asked for it hears of it.
func (v *VCards) Read(read func(who jid.JID, card *stanza.Element)) {
	v.readers = append(v.readers, read)
}

// Request asks for a vCard, as [vcard.Manager.Request] does.
func (v *VCards) Request(who jid.JID, done func(card *stanza.Element, err error)) {
	v.Manager.Request(who, func(card *stanza.Element, err error) {
		if err == nil {
			v.tell(who, card)
		}
		done(card, err)
	})
}

// Edit changes the own vCard, as [vcard.Manager.Edit] does. Readers see the
// vCard that was written, with all changes that were written together.
func (v *VCards) Edit(change vcard.Edit, done func(error)) {
	v.Manager.Edit(func(card *stanza.Element) *stanza.Element {
		v.latest = change(card)
		return v.latest
	}, func(err error) {
		card := v.latest
		v.latest = nil
		if err == nil && card != nil {
			v.tell(v.host.Self().Bare(), card)
		}
		done(err)
	})
}

func (v *VCards) tell(who jid.JID, card *stanza.Element) {
	for _, read := range v.readers {
		read(who, card)
	}
}
