package xmpp

import "fmt"

// redacted stands wherever a [Secret] would have been printed.
const redacted = "[redacted]"

// Secret is a text that no log, error or dump shows: neither fmt with any verb,
// nor encoding/json, nor a logger that walks structs (the text lies behind a
// pointer). Only [Secret.Reveal] gives it back.
type Secret struct{ text *string }

// NewSecret wraps a text.
func NewSecret(text string) Secret { return Secret{&text} }

// Reveal returns the text; the zero Secret is empty.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsEmpty tells whether there is nothing to keep secret.
func (s Secret) IsEmpty() bool { return s.Reveal() == "" }

// Format implements [fmt.Formatter], which goes before every other way of
// printing and holds for all verbs.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, redacted) }

// MarshalText keeps the text out of JSON and of anything else that encodes.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
