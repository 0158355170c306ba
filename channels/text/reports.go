package text

import (
	"slices"
	"time"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/stanza"
)

// What is remembered of messages that were sent, to say what became of them.
const (
	maxRemembered = 256 // as many can be on their way
	maxEcho       = 1 << 10
)

// sent is a message of ours.
type sent struct {
	token   string
	at      int64 // Unix time
	kind    tp.ChannelTextMessageType
	text    string // or what fits into maxEcho
	cut     bool   // the text is longer
	receipt bool   // somebody waits for it to arrive
}

// memory has the latest messages of ours, the latest last.
type memory []sent

func (m *memory) add(o Outgoing, at int64) {
	if len(*m) == maxRemembered {
		(*m)[0] = sent{}
		*m = (*m)[1:]
	}
	text := clip(o.Text, maxEcho)
	*m = append(*m, sent{o.Token, at, o.Type, text, len(text) < len(o.Text), o.Receipt})
}

// take finds a message and forgets it.
func (m *memory) take(token string) (sent, bool) {
	for i := len(*m) - 1; i >= 0; i-- {
		if s := (*m)[i]; s.token == token {
			*m = slices.Delete(*m, i, i+1)
			return s, true
		}
	}
	return sent{}, false
}

// wants tells whether somebody waits for a message to arrive.
func (m memory) wants(token string) bool {
	return slices.ContainsFunc(m, func(s sent) bool { return s.token == token && s.receipt })
}

// report says what became of a message.
type report struct {
	sent   sent
	status tp.DeliveryStatus
	reason tp.ChannelTextSendError // of a failure
	detail string                  // of a failure, for debugging
}

// sendErrors says why a message came back, RFC 6120 §8.3.3.
var sendErrors = map[stanza.Condition]tp.ChannelTextSendError{
	stanza.BadRequest:            tp.ChannelTextSendErrorUnknown,
	stanza.Conflict:              tp.ChannelTextSendErrorUnknown,
	stanza.FeatureNotImplemented: tp.ChannelTextSendErrorNotImplemented,
	stanza.Forbidden:             tp.ChannelTextSendErrorPermissionDenied,
	stanza.Gone:                  tp.ChannelTextSendErrorInvalidContact,
	stanza.InternalServerError:   tp.ChannelTextSendErrorUnknown,
	stanza.ItemNotFound:          tp.ChannelTextSendErrorInvalidContact,
	stanza.JIDMalformed:          tp.ChannelTextSendErrorInvalidContact,
	stanza.NotAcceptable:         tp.ChannelTextSendErrorPermissionDenied, // not, or no more, in the room, XEP-0045 §7.4
	stanza.NotAllowed:            tp.ChannelTextSendErrorPermissionDenied,
	stanza.NotAuthorized:         tp.ChannelTextSendErrorPermissionDenied,
	stanza.PolicyViolation:       tp.ChannelTextSendErrorTooLong, // ejabberd's and Prosody's word for it
	stanza.RecipientUnavailable:  tp.ChannelTextSendErrorOffline,
	stanza.Redirect:              tp.ChannelTextSendErrorInvalidContact,
	stanza.RegistrationRequired:  tp.ChannelTextSendErrorPermissionDenied,
	stanza.RemoteServerNotFound:  tp.ChannelTextSendErrorInvalidContact,
	stanza.RemoteServerTimeout:   tp.ChannelTextSendErrorOffline,
	stanza.ResourceConstraint:    tp.ChannelTextSendErrorUnknown, // the other's mailbox is full
	stanza.ServiceUnavailable:    tp.ChannelTextSendErrorOffline, // what a server says that keeps nothing, RFC 6121 §8.5.2
	stanza.SubscriptionRequired:  tp.ChannelTextSendErrorPermissionDenied,
	stanza.UndefinedCondition:    tp.ChannelTextSendErrorUnknown,
	stanza.UnexpectedRequest:     tp.ChannelTextSendErrorUnknown,
}

// Delivered reports that a message has arrived, to who asked for that when
// sending it. Sugar never asks, and would never acknowledge the report.
func (c *Conversation) Delivered(token string) {
	if !c.sent.wants(token) {
		return
	}
	s, _ := c.sent.take(token)
	c.reportOn(report{sent: s, status: tp.DeliveryStatusDelivered}, "")
}

// Failed reports that a message has come back. One that we have not sent, or
// long ago, has not: tokens can't be guessed, so it is a forgery.
func (c *Conversation) Failed(token string, why *stanza.Error) {
	s, known := c.sent.take(token)
	if !known {
		return
	}
	r := report{sent: s, status: tp.DeliveryStatusPermanentlyFailed, reason: sendErrors[why.Condition], detail: string(why.Condition)}
	if why.Type == stanza.TypeWait {
		r.status = tp.DeliveryStatusTemporarilyFailed
	}
	c.reportOn(r, clip(why.Text, maxEcho))
	c.Channel.Emit(tp.SignalChannelTextSendError, r.reason, uint32(s.at), s.kind, s.text)
}

func (c *Conversation) reportOn(r report, text string) {
	c.accept(pending{Message: Message{Sender: c.cfg.Recipient, Text: text}, at: time.Now().Unix(), report: &r})
}

func (c *Conversation) putReport(header part, r *report) {
	header[keyDeliveryStatus] = number(r.status)
	header[keyDeliveryToken] = word(r.sent.token)
	if r.status == tp.DeliveryStatusDelivered {
		return
	}
	if r.reason != tp.ChannelTextSendErrorUnknown {
		header[keyDeliveryError] = number(r.reason)
	}
	header[keyDeliveryMessage] = word(r.detail)
	echo := c.sentParts(&Outgoing{Token: r.sent.token, Type: r.sent.kind, Text: r.sent.text}, r.sent.at)
	echo[1] = textPart(r.sent.text, r.sent.cut)
	header[keyDeliveryEcho] = dbus.MakeVariant(echo)
}
