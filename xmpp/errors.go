package xmpp

import (
	"errors"
	"fmt"

	"telepathy-olpc/xmpp/stanza"
)

// The ways in which a session fails or ends that carry nothing more.
// Compare with [errors.Is].
var (
	ErrEncryptionRequired = errors.New("server offers no encryption")
	ErrTLSFailed          = errors.New("TLS handshake failed")
	ErrTimeout            = errors.New("no answer in time")
	ErrLost               = errors.New("connection lost")
	ErrNotXMPP            = errors.New("peer does not speak XMPP as it should")
	ErrStreamClosed       = errors.New("server closed the stream")
	ErrRegistrationForm   = errors.New("registration asks for more than name and password")
)

// DNSError says that the name of the server could not be resolved.
type DNSError struct {
	Name string
	Err  error
}

func (e *DNSError) Error() string { return fmt.Sprintf("resolve %s: %v", e.Name, e.Err) }

// Unwrap returns the resolver's error.
func (e *DNSError) Unwrap() error { return e.Err }

// DialError says that no connection to the server could be made; the system's
// errno (refused, unreachable, …) is in its chain.
type DialError struct {
	Address string
	Err     error
}

func (e *DialError) Error() string { return fmt.Sprintf("connect to %s: %v", e.Address, e.Err) }

// Unwrap returns the system's error.
func (e *DialError) Unwrap() error { return e.Err }

// RegisterError is the server's refusal to make the account, XEP-0077 §3.1.
type RegisterError struct {
	Condition string // stanza error condition: "conflict", "not-acceptable", …
	Text      string
}

func (e *RegisterError) Error() string { return describe("register account", e.Condition, e.Text) }

// BindError is the server's refusal of the resource, RFC 6120 §7.7.2.1.
type BindError struct {
	Condition string // "conflict", "resource-constraint", …
	Text      string
}

func (e *BindError) Error() string { return describe("bind resource", e.Condition, e.Text) }

// StreamError is the server's last word, RFC 6120 §4.9.
type StreamError struct {
	Condition    string // "conflict", "host-unknown", "system-shutdown", …
	Text         string
	SeeOtherHost string // where the server wants us to go; never followed by itself
}

func (e *StreamError) Error() string { return describe("stream error", e.Condition, e.Text) }

// parseStreamError reads <stream:error/>, RFC 6120 §4.9.2.
func parseStreamError(e *stanza.Element) *StreamError {
	se := &StreamError{Condition: "undefined-condition"}
	for _, c := range e.Children() {
		switch {
		case c.Space() != nsStreams:
			// an application's own condition
		case c.Local() == "text":
			se.Text = c.Text()
		default:
			se.Condition = c.Local()
			if c.Local() == "see-other-host" {
				se.SeeOtherHost = c.Text()
			}
		}
	}
	return se
}

// readError gives an error of the stream's reader its type. Of a network's
// error it says no more than [ErrLost], since the way on is the same for all.
func readError(err error) error {
	switch {
	case err == stanza.ErrEnd:
		return ErrStreamClosed
	case errors.As(err, new(*stanza.LimitError)):
		return err
	case errors.As(err, new(*stanza.SyntaxError)):
		return fmt.Errorf("%w: %w", ErrNotXMPP, err)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// describe joins what was tried, the condition and the text if there is one.
func describe(what, condition, text string) string {
	if text == "" {
		return what + ": " + condition
	}
	return fmt.Sprintf("%s: %s (%s)", what, condition, text)
}
