package xmpp

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"telepathy-olpc/xmpp/stanza"
)

func TestErrors_say(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&DNSError{Name: "school.test", Err: io.EOF}, "resolve school.test: EOF"},
		{&DialError{Address: "school.test:5222", Err: syscall.ECONNREFUSED}, "connect to school.test:5222: connection refused"},
		{&RegisterError{Condition: "conflict", Text: "Taken"}, "register account: conflict (Taken)"},
		{&BindError{Condition: "conflict"}, "bind resource: conflict"},
		{&StreamError{Condition: "reset"}, "stream error: reset"},
		{&SASLError{Condition: "not-authorized", Text: "No"}, "authenticate: not-authorized (No)"},
		{&stanza.LimitError{What: "depth"}, "too much in one stanza: depth"},
		{&stanza.SyntaxError{Condition: "restricted-xml", What: "comment"}, "restricted-xml: comment"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if !errors.Is(&DialError{Err: syscall.ECONNREFUSED}, syscall.ECONNREFUSED) || !errors.Is(&DNSError{Err: io.EOF}, io.EOF) {
		t.Error("the cause is hidden")
	}
}

func TestReadError(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{stanza.ErrEnd, ErrStreamClosed},
		{io.EOF, ErrLost},
		{io.ErrUnexpectedEOF, ErrLost},
		{syscall.ECONNRESET, ErrLost},
		{&stanza.SyntaxError{Condition: "bad-format"}, ErrNotXMPP},
	} {
		if got := readError(c.err); !errors.Is(got, c.want) {
			t.Errorf("%v: got %v, want %v", c.err, got, c.want)
		}
	}
	limit := &stanza.LimitError{What: "depth"}
	if got := readError(limit); got != error(limit) {
		t.Errorf("got %v, want %v", got, limit)
	}
}

func TestParseSASLFailure(t *testing.T) {
	for in, want := range map[string]SASLError{
		"<failure xmlns='" + nsSASL + "'><account-disabled/><text xml:lang='en'>Ask the teacher</text></failure>": {"account-disabled", "Ask the teacher"},
		"<failure xmlns='" + nsSASL + "'/>": {"not-authorized", ""},
	} {
		if got := parseSASLFailure(parse(t, in)); *got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
}
