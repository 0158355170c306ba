package stanza

import "encoding/xml"

// ErrorType says what an error's receiver may do about it, RFC 6120 §8.3.2.
type ErrorType string

// The types of errors.
const (
	TypeAuth     ErrorType = "auth"
	TypeCancel   ErrorType = "cancel"
	TypeContinue ErrorType = "continue"
	TypeModify   ErrorType = "modify"
	TypeWait     ErrorType = "wait"
)

// Condition says what is wrong, RFC 6120 §8.3.3.
type Condition string

// The conditions of RFC 6120.
const (
	BadRequest            Condition = "bad-request"
	Conflict              Condition = "conflict"
	FeatureNotImplemented Condition = "feature-not-implemented"
	Forbidden             Condition = "forbidden"
	Gone                  Condition = "gone"
	InternalServerError   Condition = "internal-server-error"
	ItemNotFound          Condition = "item-not-found"
	JIDMalformed          Condition = "jid-malformed"
	NotAcceptable         Condition = "not-acceptable"
	NotAllowed            Condition = "not-allowed"
	NotAuthorized         Condition = "not-authorized"
	PolicyViolation       Condition = "policy-violation"
	RecipientUnavailable  Condition = "recipient-unavailable"
	Redirect              Condition = "redirect"
	RegistrationRequired  Condition = "registration-required"
	RemoteServerNotFound  Condition = "remote-server-not-found"
	RemoteServerTimeout   Condition = "remote-server-timeout"
	ResourceConstraint    Condition = "resource-constraint"
	ServiceUnavailable    Condition = "service-unavailable"
	SubscriptionRequired  Condition = "subscription-required"
	UndefinedCondition    Condition = "undefined-condition"
	UnexpectedRequest     Condition = "unexpected-request"
)

// Conditions lists them all, so that tables can be held against them.
func Conditions() []Condition {
	return []Condition{
		BadRequest, Conflict, FeatureNotImplemented, Forbidden, Gone,
		InternalServerError, ItemNotFound, JIDMalformed, NotAcceptable,
		NotAllowed, NotAuthorized, PolicyViolation, RecipientUnavailable,
		Redirect, RegistrationRequired, RemoteServerNotFound,
		RemoteServerTimeout, ResourceConstraint, ServiceUnavailable,
		SubscriptionRequired, UndefinedCondition, UnexpectedRequest,
	}
}

// usualType gives the type that RFC 6120 §8.3.3 pairs with a condition where
// it is not [TypeCancel].
var usualType = map[Condition]ErrorType{
	BadRequest:           TypeModify,
	Forbidden:            TypeAuth,
	JIDMalformed:         TypeModify,
	NotAcceptable:        TypeModify,
	NotAuthorized:        TypeAuth,
	PolicyViolation:      TypeModify,
	RecipientUnavailable: TypeWait,
	Redirect:             TypeModify,
	RegistrationRequired: TypeAuth,
	RemoteServerTimeout:  TypeWait,
	ResourceConstraint:   TypeWait,
	SubscriptionRequired: TypeAuth,
	UnexpectedRequest:    TypeWait,
}

// Error is what goes wrong with one stanza.
type Error struct {
	Type      ErrorType
	Condition Condition
	Text      string   // for people; may be empty
	App       xml.Name // application's own condition; may be zero
}

// NewError returns an error with the type usual for its condition.
//
//go:noinline
func NewError(c Condition, text string) *Error {
	t, ok := usualType[c]
	if !ok {
		t = TypeCancel
	}
	return &Error{Type: t, Condition: c, Text: text}
}

// ErrorOf reads the error out of a stanza of type "error". It always gives
// one: a stanza that names no condition has [UndefinedCondition].
func ErrorOf(stanza *Element) *Error {
	e := NewError(UndefinedCondition, "")
	child := stanza.Child(stanza.Space(), "error")
	for _, c := range child.Children() {
		switch {
		case c.Is(NSStanzas, "text"):
			e.Text = c.Text()
		case c.Space() == NSStanzas:
			e.Condition = Condition(c.Local())
		default:
			e.App = c.Name()
		}
	}
	e.Type = NewError(e.Condition, "").Type
	if t := child.Attr("type"); t != "" {
		e.Type = ErrorType(t)
	}
	return e
}

func (e *Error) Error() string {
	s := string(e.Condition)
	if e.App.Local != "" {
		s += " (" + e.App.Local + ")"
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}

// Element returns the <error/> to put into a stanza of type "error".
func (e *Error) Element() *Element { return e.in(NSClient) }

// in is Element for a stream with this content namespace.
func (e *Error) in(space string) *Element {
	var text, app *Element
	if e.Text != "" {
		text = New(NSStanzas, "text", Text(e.Text))
	}
	if e.App.Local != "" {
		app = New(e.App.Space, e.App.Local)
	}
	return New(space, "error", A("type", string(e.Type)), New(NSStanzas, string(e.Condition)), text, app)
}

// Reply returns the result for an IQ: to where it came from, with its id. It
// states no sender, which a client's server knows best.
func Reply(iq *Element, parts ...Part) *Element {
	head := []Part{A("to", iq.Attr("from")), A("id", iq.Attr("id")), A("type", "result")}
	return New(iq.Space(), iq.Local(), append(head, parts...)...)
}

// ReplyError returns the error for a stanza. The caller must not answer an
// error, nor an IQ result (RFC 6120 §8.3.1).
func ReplyError(stanza *Element, e *Error) *Element {
	return Reply(stanza, A("type", "error"), e.in(stanza.Space()))
}
