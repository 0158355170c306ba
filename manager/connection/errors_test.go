package connection

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"testing"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/stanza"
)

func TestEndingOf(t *testing.T) {
	const connecting, connected = tp.ConnectionStatusConnecting, tp.ConnectionStatusConnected
	for _, row := range []struct {
		name   string
		err    error
		was    tp.ConnectionStatus
		want   tp.ErrorName
		reason tp.ConnectionStatusReason
	}{
		{"wrong password", &xmpp.SASLError{Condition: "not-authorized"}, connecting, tp.ErrorAuthenticationFailed, tp.ConnectionStatusReasonAuthenticationFailed},
		{"unknown SASL condition", &xmpp.SASLError{Condition: "bad-weather"}, connecting, tp.ErrorAuthenticationFailed, tp.ConnectionStatusReasonAuthenticationFailed},
		{"server busy at SASL", &xmpp.SASLError{Condition: "temporary-auth-failure"}, connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"registered already", &xmpp.RegisterError{Condition: "conflict"}, connecting, tp.ErrorRegistrationExists, tp.ConnectionStatusReasonNameInUse},
		{"registration closed", &xmpp.RegisterError{Condition: "service-unavailable"}, connecting, tp.ErrorNotAvailable, tp.ConnectionStatusReasonAuthenticationFailed},
		{"registration refused", &xmpp.RegisterError{Condition: "not-allowed"}, connecting, tp.ErrorPermissionDenied, tp.ConnectionStatusReasonAuthenticationFailed},
		{"registration throttled", &xmpp.RegisterError{Condition: "resource-constraint"}, connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"registration form", fmt.Errorf("register: %w", xmpp.ErrRegistrationForm), connecting, tp.ErrorNotAvailable, tp.ConnectionStatusReasonAuthenticationFailed},
		{"replaced", &xmpp.StreamError{Condition: "conflict"}, connected, tp.ErrorConnectionReplaced, tp.ConnectionStatusReasonNameInUse},
		{"resource in use", &xmpp.StreamError{Condition: "conflict"}, connecting, tp.ErrorAlreadyConnected, tp.ConnectionStatusReasonNameInUse},
		{"server shuts down", &xmpp.StreamError{Condition: "system-shutdown"}, connected, tp.ErrorConnectionLost, tp.ConnectionStatusReasonNetworkError},
		{"see other host", &xmpp.StreamError{Condition: "see-other-host"}, connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"unknown stream error", &xmpp.StreamError{Condition: "bad-weather"}, connected, tp.ErrorNetworkError, tp.ConnectionStatusReasonNetworkError},
		{"resource refused", &xmpp.BindError{Condition: "conflict"}, connecting, tp.ErrorAlreadyConnected, tp.ConnectionStatusReasonNameInUse},
		{"expired certificate", fmt.Errorf("tls: %w", &xmpp.CertificateError{Reason: xmpp.CertificateExpired}), connecting, tp.ErrorCertExpired, tp.ConnectionStatusReasonCertExpired},
		{"no encryption", xmpp.ErrEncryptionRequired, connecting, tp.ErrorEncryptionNotAvailable, tp.ConnectionStatusReasonEncryptionError},
		{"handshake cut", fmt.Errorf("%w: %w", xmpp.ErrTLSFailed, io.EOF), connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"handshake failed", fmt.Errorf("%w: bad record", xmpp.ErrTLSFailed), connecting, tp.ErrorEncryptionError, tp.ConnectionStatusReasonEncryptionError},
		{"refused", &xmpp.DialError{Address: "h:1", Err: syscall.ECONNREFUSED}, connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"unreachable", &xmpp.DialError{Address: "h:1", Err: syscall.EHOSTUNREACH}, connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"name unknown", &xmpp.DNSError{Name: "h", Err: errors.New("no such host")}, connecting, tp.ErrorNetworkError, tp.ConnectionStatusReasonNetworkError},
		{"silence at login", xmpp.ErrTimeout, connecting, tp.ErrorConnectionFailed, tp.ConnectionStatusReasonNetworkError},
		{"silence later", fmt.Errorf("%w: no answer", xmpp.ErrLost), connected, tp.ErrorConnectionLost, tp.ConnectionStatusReasonNetworkError},
		{"stream closed", xmpp.ErrStreamClosed, connected, tp.ErrorConnectionLost, tp.ConnectionStatusReasonNetworkError},
		{"nonsense", xmpp.ErrNotXMPP, connecting, tp.ErrorNetworkError, tp.ConnectionStatusReasonNetworkError},
		{"stanza too large", &stanza.LimitError{What: "bytes"}, connected, tp.ErrorNetworkError, tp.ConnectionStatusReasonNetworkError},
		{"anything else", errors.New("whatever"), connected, tp.ErrorNetworkError, tp.ConnectionStatusReasonNetworkError},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := endingOf(row.err, row.was)
			if got.err != row.want || got.reason != row.reason {
				t.Errorf("got %s, reason %d; want %s, reason %d", got.err, got.reason, row.want, row.reason)
			}
			if got.message == "" {
				t.Error("no message for debugging")
			}
		})
	}
}

func TestCertificateErrors_complete(t *testing.T) {
	// A reason without a name is past the last one.
	for reason := xmpp.CertificateReason(0); !strings.HasPrefix(reason.String(), "CertificateReason("); reason++ {
		if _, mapped := certificateErrors[reason]; !mapped {
			t.Errorf("%v has no Telepathy error", reason)
		}
	}
}
