package xmpp

import (
	"errors"
	"fmt"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/stanza"
)

// begin goes on with the old session where there is one, otherwise binds a
// resource. It is the last step of a login.
func (l *login) begin() error {
	result := &outcome{
		wire:     l.wire,
		features: l.wire.features,
		managed:  l.wire.features.Child(nsManagement, "sm") != nil,
	}
	var err error
	if l.old != nil {
		result.self, result.resumed = l.old.self, true
		result.handled, err = l.resume(l.old)
	} else {
		result.self, err = l.bind(l.cfg.Resource)
	}
	if err != nil {
		return err
	}
	l.result = result
	return nil
}

// bind asks for a resource, RFC 6120 §7, and takes what the server gives if it
// has other ideas.
func (l *login) bind(resource string) (jid.JID, error) {
	var wish *stanza.Element
	if resource != "" {
		wish = stanza.New(nsBind, "resource", stanza.Text(resource))
	}
	answer, err := l.wire.ask(stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("id", "bind"), stanza.New(nsBind, "bind", wish)))
	var refusal *stanza.Error
	if errors.As(err, &refusal) {
		if wish != nil && (refusal.Condition == stanza.Conflict || refusal.Condition == stanza.BadRequest || refusal.Condition == stanza.NotAcceptable) {
			return l.bind("")
		}
		return jid.JID{}, &BindError{Condition: string(refusal.Condition), Text: refusal.Text}
	}
	if err != nil {
		return jid.JID{}, err
	}
	self, err := jid.ParseLenient(answer.Child(nsBind, "bind").Child(nsBind, "jid").Text())
	if err != nil || self.IsBare() {
		return jid.JID{}, fmt.Errorf("%w: no address in the answer to bind", ErrNotXMPP)
	}
	return self, l.startSession()
}

// startSession is for servers of before 2011, which deliver nothing to a
// resource without it, RFC 3921 §3. Where it is optional it does nothing.
func (l *login) startSession() error {
	offer := l.wire.features.Child(nsSession, "session")
	if offer == nil || offer.Child(nsSession, "optional") != nil {
		return nil
	}
	_, err := l.wire.ask(stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("id", "session"), stanza.New(nsSession, "session")))
	var refusal *stanza.Error
	if errors.As(err, &refusal) {
		return &BindError{Condition: string(refusal.Condition), Text: refusal.Text}
	}
	return err
}
