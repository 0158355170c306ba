package connection

import (
	"errors"
	"io"
	"syscall"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/stanza"
)

// ending is why a Connection is over, as ConnectionError and StatusChanged
// tell it (Telepathy specification, Connection). The account manager tries
// again by itself when the reason is Network_Error, and Sugar stops registering
// when the error is RegistrationExists, so the choice matters.
type ending struct {
	err     tp.ErrorName // empty: no ConnectionError, as it was asked for
	reason  tp.ConnectionStatusReason
	message string // for debugging
	server  string // the server's own words, if any
}

var requested = ending{reason: tp.ConnectionStatusReasonRequested}

// details are those of ConnectionError.
func (e ending) details() map[string]dbus.Variant {
	d := map[string]dbus.Variant{"debug-message": dbus.MakeVariant(e.message)}
	if e.server != "" {
		d["server-message"] = dbus.MakeVariant(e.server)
	}
	return d
}

// ofTubes is why the connections of stream tubes end with the Connection: only
// what the user wants is no loss (specification, StreamTube.ConnectionClosed).
func (e ending) ofTubes() *tp.Error {
	if e.err == "" {
		return tp.Errorf(tp.ErrorCancelled, "the connection was closed")
	}
	return tp.Errorf(tp.ErrorConnectionLost, "the connection has ended")
}

// Fates of a connection that several causes share. What may pass by itself is
// one of the first three: mission-control tries again after these errors only,
// and not after ConnectionRefused or ServiceBusy, however well these would fit
// a server that is down or has no time.
var (
	fateNetwork = ending{err: tp.ErrorNetworkError, reason: tp.ConnectionStatusReasonNetworkError}
	fateFailed  = ending{err: tp.ErrorConnectionFailed, reason: tp.ConnectionStatusReasonNetworkError}
	fateLost    = ending{err: tp.ErrorConnectionLost, reason: tp.ConnectionStatusReasonNetworkError}

	fateAuth         = ending{err: tp.ErrorAuthenticationFailed, reason: tp.ConnectionStatusReasonAuthenticationFailed}
	fateForbidden    = ending{err: tp.ErrorPermissionDenied, reason: tp.ConnectionStatusReasonAuthenticationFailed}
	fateNoRegister   = ending{err: tp.ErrorNotAvailable, reason: tp.ConnectionStatusReasonAuthenticationFailed}
	fateExists       = ending{err: tp.ErrorRegistrationExists, reason: tp.ConnectionStatusReasonNameInUse}
	fateReplaced     = ending{err: tp.ErrorConnectionReplaced, reason: tp.ConnectionStatusReasonNameInUse}
	fateAlready      = ending{err: tp.ErrorAlreadyConnected, reason: tp.ConnectionStatusReasonNameInUse}
	fateNoEncryption = ending{err: tp.ErrorEncryptionNotAvailable, reason: tp.ConnectionStatusReasonEncryptionError}
	fateEncryption   = ending{err: tp.ErrorEncryptionError, reason: tp.ConnectionStatusReasonEncryptionError}
)

// certificateErrors maps what is wrong with a certificate.
var certificateErrors = map[xmpp.CertificateReason]ending{
	xmpp.CertificateNotProvided:         {err: tp.ErrorCertNotProvided, reason: tp.ConnectionStatusReasonCertNotProvided},
	xmpp.CertificateUntrusted:           {err: tp.ErrorCertUntrusted, reason: tp.ConnectionStatusReasonCertUntrusted},
	xmpp.CertificateExpired:             {err: tp.ErrorCertExpired, reason: tp.ConnectionStatusReasonCertExpired},
	xmpp.CertificateNotActivated:        {err: tp.ErrorCertNotActivated, reason: tp.ConnectionStatusReasonCertNotActivated},
	xmpp.CertificateFingerprintMismatch: {err: tp.ErrorCertFingerprintMismatch, reason: tp.ConnectionStatusReasonCertFingerprintMismatch},
	xmpp.CertificateHostnameMismatch:    {err: tp.ErrorCertHostnameMismatch, reason: tp.ConnectionStatusReasonCertHostnameMismatch},
	xmpp.CertificateSelfSigned:          {err: tp.ErrorCertSelfSigned, reason: tp.ConnectionStatusReasonCertSelfSigned},
	xmpp.CertificateRevoked:             {err: tp.ErrorCertRevoked, reason: tp.ConnectionStatusReasonCertRevoked},
	xmpp.CertificateInsecure:            {err: tp.ErrorCertInsecure, reason: tp.ConnectionStatusReasonCertInsecure},
	xmpp.CertificateLimitExceeded:       {err: tp.ErrorCertLimitExceeded, reason: tp.ConnectionStatusReasonCertLimitExceeded},
	xmpp.CertificateInvalid:             {err: tp.ErrorCertInvalid, reason: tp.ConnectionStatusReasonCertOtherError},
}

// saslErrors maps the conditions of RFC 6120 §6.5; any other is fateAuth.
var saslErrors = map[string]ending{
	"encryption-required":    fateNoEncryption,
	"temporary-auth-failure": fateFailed,
}

// registerErrors maps the conditions a registration is refused with, XEP-0077
// §3.1; any other is fateNoRegister.
var registerErrors = map[string]ending{
	string(stanza.Conflict):           fateExists,
	string(stanza.NotAcceptable):      fateForbidden,
	string(stanza.Forbidden):          fateForbidden,
	string(stanza.NotAllowed):         fateForbidden,
	string(stanza.ResourceConstraint): fateFailed, // ejabberd: too many registrations from this address
}

// streamErrors maps the conditions of RFC 6120 §4.9.3; any other is
// fateNetwork. A conflict while logging in is in conflictWhileConnecting.
var streamErrors = map[string]ending{
	"conflict":                 fateReplaced,
	"connection-timeout":       fateLost,
	"host-gone":                fateAuth,
	"host-unknown":             fateAuth,
	"internal-server-error":    fateFailed,
	"not-authorized":           fateAuth,
	"policy-violation":         fateLost,
	"remote-connection-failed": fateFailed,
	"reset":                    fateLost,
	"resource-constraint":      fateFailed,
	"see-other-host":           fateFailed,
	"system-shutdown":          fateLost,
}

// plainErrors maps the errors that carry no condition, most specific first. A
// handshake that was cut says nothing about encryption.
var plainErrors = []struct {
	err  error
	fate ending
}{
	{xmpp.ErrRegistrationForm, fateNoRegister},
	{xmpp.ErrEncryptionRequired, fateNoEncryption},
	{xmpp.ErrStreamClosed, fateLost},
	{xmpp.ErrLost, fateLost},
	{io.EOF, fateFailed},
	{syscall.ECONNRESET, fateFailed},
	{xmpp.ErrTLSFailed, fateEncryption},
	{xmpp.ErrNotXMPP, fateNetwork},
	{xmpp.ErrTimeout, fateFailed},
}

// endingOf tells clients why the session ended that was in the given status.
func endingOf(err error, was tp.ConnectionStatus) ending {
	e := fateOf(err)
	if was == tp.ConnectionStatusConnecting && e == fateReplaced {
		e = fateAlready // nothing of ours was replaced yet
	}
	e.server = serverWords(err)
	e.message = err.Error()
	return e
}

func fateOf(err error) ending {
	var (
		certificate *xmpp.CertificateError
		sasl        *xmpp.SASLError
		register    *xmpp.RegisterError
		stream      *xmpp.StreamError
		bind        *xmpp.BindError
		dial        *xmpp.DialError
		limit       *stanza.LimitError
	)
	switch {
	case errors.As(err, &certificate):
		return lookUp(certificateErrors, certificate.Reason, certificateErrors[xmpp.CertificateInvalid])
	case errors.As(err, &sasl):
		return lookUp(saslErrors, sasl.Condition, fateAuth)
	case errors.As(err, &register):
		return lookUp(registerErrors, register.Condition, fateNoRegister)
	case errors.As(err, &stream):
		return lookUp(streamErrors, stream.Condition, fateNetwork)
	case errors.As(err, &bind):
		return lookUp(bindErrors, bind.Condition, fateFailed)
	case errors.As(err, &limit):
		return fateNetwork
	}
	for _, p := range plainErrors {
		if errors.Is(err, p.err) {
			return p.fate
		}
	}
	if errors.As(err, &dial) {
		return fateFailed
	}
	return fateNetwork
}

// bindErrors maps the conditions of RFC 6120 §7.7.2; any other is fateFailed.
var bindErrors = map[string]ending{
	string(stanza.Conflict):           fateAlready,
	string(stanza.ResourceConstraint): fateFailed,
	string(stanza.NotAllowed):         fateAuth,
}

func lookUp[K comparable](table map[K]ending, key K, other ending) ending {
	if e, known := table[key]; known {
		return e
	}
	return other
}

// serverWords is the text a server sent with its refusal.
func serverWords(err error) string {
	var sasl *xmpp.SASLError
	var register *xmpp.RegisterError
	var stream *xmpp.StreamError
	var bind *xmpp.BindError
	switch {
	case errors.As(err, &sasl):
		return sasl.Text
	case errors.As(err, &register):
		return register.Text
	case errors.As(err, &stream):
		return stream.Text
	case errors.As(err, &bind):
		return bind.Text
	}
	return ""
}
