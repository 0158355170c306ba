package xmpp

import (
	"errors"
	"fmt"
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
	ErrClosed             = errors.New("session closed")
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

// describe joins what was tried, the condition and the text if there is one.
func describe(what, condition, text string) string {
	if text == "" {
		return what + ": " + condition
	}
	return fmt.Sprintf("%s: %s (%s)", what, condition, text)
}
