package presence

import (
	"errors"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp"
	"telepathy-olpc/xmpp/stanza"
	"telepathy-olpc/xmpp/vcard"
)

// refusals gives the answer to what the server refused, RFC 6120 §8.3.3; any
// other condition is NotAvailable.
var refusals = map[stanza.Condition]tp.ErrorName{
	stanza.Forbidden:            tp.ErrorPermissionDenied,
	stanza.NotAllowed:           tp.ErrorPermissionDenied,
	stanza.NotAuthorized:        tp.ErrorPermissionDenied,
	stanza.RemoteServerNotFound: tp.ErrorNetworkError,
	stanza.RemoteServerTimeout:  tp.ErrorNetworkError,
}

// refusal gives the answer to a call that needed the server and got err.
func refusal(err error) error {
	var known *tp.Error
	var refused *stanza.Error
	switch {
	case errors.As(err, &known):
		return known
	case errors.As(err, &refused):
		if name, listed := refusals[refused.Condition]; listed {
			return tp.Errorf(name, "%v", err)
		}
	case errors.Is(err, xmpp.ErrLost), errors.Is(err, xmpp.ErrTimeout), errors.Is(err, vcard.ErrTimeout):
		return tp.Errorf(tp.ErrorNetworkError, "%v", err)
	}
	return tp.Errorf(tp.ErrorNotAvailable, "%v", err)
}
