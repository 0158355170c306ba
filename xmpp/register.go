package xmpp

import (
	"errors"
	"fmt"

	"telepathy-olpc/xmpp/stanza"
)

const (
	nsRegister = "jabber:iq:register"
	nsDataForm = "jabber:x:data"
)

// register makes the account, XEP-0077 §3.1, before it is logged in to. It
// fills in name and password; instructions are for people.
func (l *login) register() error {
	domain := l.cfg.Account.Domain()
	answer, err := l.wire.ask(stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("id", "register-form"), stanza.A("to", domain),
		stanza.New(nsRegister, "query")))
	if err != nil {
		return registerError(err)
	}
	filled, err := fillRegistration(answer.Child(nsRegister, "query"), l.cfg.Account.Local(), l.cfg.Password)
	if err != nil {
		return err
	}
	_, err = l.wire.ask(stanza.New(stanza.NSClient, "iq", stanza.A("type", "set"), stanza.A("id", "register"), stanza.A("to", domain), filled))
	if err != nil {
		return registerError(err)
	}
	l.cfg.Log.Debug("Account registered")
	return nil
}

// registerError gives the server's refusal its type.
func registerError(err error) error {
	var refusal *stanza.Error
	if errors.As(err, &refusal) {
		return &RegisterError{Condition: string(refusal.Condition), Text: refusal.Text}
	}
	return err
}

// fillRegistration answers what the server asks for. Its plain fields go
// before the data form that some servers, Prosody among them, send along with
// the same questions (XEP-0077 §4): the plain answer is enough there.
func fillRegistration(query *stanza.Element, name string, password Secret) (*stanza.Element, error) {
	asked := false
	for _, field := range query.Children() {
		if field.Space() != nsRegister {
			continue
		}
		switch field.Local() {
		case "instructions", "registered":
		case "username", "password":
			asked = true
		default:
			return nil, fmt.Errorf("%w: <%.40s/>", ErrRegistrationForm, field.Local())
		}
	}
	if asked {
		return stanza.New(nsRegister, "query",
			stanza.New(nsRegister, "username", stanza.Text(name)),
			stanza.New(nsRegister, "password", stanza.Text(password.Reveal()))), nil
	}
	form := query.Child(nsDataForm, "x")
	if form == nil {
		return nil, fmt.Errorf("%w: no form", ErrRegistrationForm)
	}
	return fillRegistrationForm(form, name, password)
}

// fillRegistrationForm answers a data form, XEP-0004, of which everything
// required must be name, password, or fixed by the server.
func fillRegistrationForm(form *stanza.Element, name string, password Secret) (*stanza.Element, error) {
	answers := map[string]string{"username": name, "password": password.Reveal()}
	parts := []stanza.Part{stanza.A("type", "submit")}
	asked := false
	for field := range form.Each(nsDataForm, "field") {
		value, known := answers[field.Attr("var")]
		if field.Attr("type") == "hidden" {
			value, known = field.Child(nsDataForm, "value").Text(), true
		} else if known {
			asked = true
		}
		if known {
			parts = append(parts, stanza.New(nsDataForm, "field", stanza.A("var", field.Attr("var")), stanza.New(nsDataForm, "value", stanza.Text(value))))
		} else if field.Child(nsDataForm, "required") != nil {
			return nil, fmt.Errorf("%w: field %.40q", ErrRegistrationForm, field.Attr("var"))
		}
	}
	if !asked {
		return nil, fmt.Errorf("%w: no field for the name", ErrRegistrationForm)
	}
	return stanza.New(nsRegister, "query", stanza.New(nsDataForm, "x", parts...)), nil
}
