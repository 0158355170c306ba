package text

import (
	"math"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// part is Message_Part. The first of a message is its header.
type part = map[string]dbus.Variant

// Keys of a part (specification, Message_Header_Key, Message_Body_Key and
// Delivery_Report_Header_Key).
const (
	keyToken     = "message-token"
	keySent      = "message-sent"
	keyReceived  = "message-received"
	keySender    = "message-sender"
	keySenderID  = "message-sender-id"
	keyNickname  = "sender-nickname"
	keyType      = "message-type"
	keyPendingID = "pending-message-id"
	keyInterface = "interface"
	keyHistory   = "scrollback"
	keyRescued   = "rescued"

	keyAlternative = "alternative"
	keyContentType = "content-type"
	keyContent     = "content"
	keyTruncated   = "truncated"

	keyDeliveryStatus  = "delivery-status"
	keyDeliveryToken   = "delivery-token"
	keyDeliveryError   = "delivery-error"
	keyDeliveryMessage = "delivery-error-message"
	keyDeliveryEcho    = "delivery-echo"
)

// plain is the one type of content there is.
const plain = "text/plain"

var contentTypes = []string{plain}

const partSupport = tp.MessagePartSupportFlags(0) // no attachments

// reporting says what is told of messages that were sent: that one has come back
// and, between two, that it has arrived.
func (c *Conversation) reporting() tp.DeliveryReportingSupportFlags {
	if c.cfg.Recipient == 0 {
		return tp.DeliveryReportingSupportFlagsReceiveFailures
	}
	return tp.DeliveryReportingSupportFlagsReceiveFailures | tp.DeliveryReportingSupportFlagsReceiveSuccesses
}

// messages is Channel.Interface.Messages.
func (c *Conversation) messages() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceChannelMessages,
		Methods: map[string]func(*bus.Call){
			"SendMessage":              c.sendMessage,
			"GetPendingMessageContent": c.getPendingMessageContent,
		},
		Properties: map[string]func() any{
			"SupportedContentTypes":    bus.Fixed(contentTypes),
			"MessageTypes":             bus.Fixed(types),
			"MessagePartSupportFlags":  bus.Fixed(partSupport),
			"PendingMessages":          func() any { return c.pendingMessages() },
			"DeliveryReportingSupport": bus.Fixed(c.reporting()),
		},
	}
}

func (c *Conversation) pendingMessages() [][]part {
	list := make([][]part, len(c.pending.list))
	for i := range list {
		list[i] = c.parts(&c.pending.list[i])
	}
	return list
}

func (c *Conversation) sendMessage(call *bus.Call) {
	var message []part
	var flags tp.MessageSendingFlags
	if !call.Args(&message, (*uint32)(&flags)) {
		return
	}
	o, err := parseMessage(message)
	if err == nil {
		o.Receipt = flags&tp.MessageSendingFlagsReportDelivery != 0 && c.cfg.Recipient != 0
		err = c.send(o, func(token string) { call.Return(token) })
	}
	if err != nil {
		call.Fail(err)
	}
}

// parseMessage reads what a client wants to send.
func parseMessage(message []part) (Outgoing, error) {
	var o Outgoing
	if len(message) < 2 {
		return o, tp.Errorf(tp.ErrorInvalidArgument, "the message is empty")
	}
	var err error
	if o.Type, err = parseHeader(message[0]); err != nil {
		return o, err
	}
	o.Text, err = parseBody(message[1:])
	return o, err
}

// notForClients are header keys that only we write (specification,
// SendMessage).
var notForClients = []string{keySender, keySenderID, keySent, keyReceived, keyPendingID}

// parseHeader reads the type. Keys that say nothing to the wire are passed over.
func parseHeader(header part) (tp.ChannelTextMessageType, error) {
	for _, key := range notForClients {
		if _, has := header[key]; has {
			return 0, tp.Errorf(tp.ErrorInvalidArgument, "a message to be sent can't have %q", key)
		}
	}
	if i, has := header[keyInterface]; has && i.Value() != "" {
		return 0, tp.Errorf(tp.ErrorInvalidArgument, "messages for %v are not supported", i.Value())
	}
	given, has := header[keyType]
	if !has {
		return tp.ChannelTextMessageTypeNormal, nil
	}
	n, is := bus.Uint(given.Value())
	if !is || n > math.MaxUint32 {
		return 0, tp.Errorf(tp.ErrorInvalidArgument, "%v is not a type of message", given.Value())
	}
	t := tp.ChannelTextMessageType(n)
	return t, checkType(t)
}

// parseBody joins the texts of a message, one below the other. Of several
// alternatives the first text counts; what is no text has to be one.
func parseBody(parts []part) (string, error) {
	var texts []string
	alternatives := make(map[string]bool) // whether there was a text among them
	for _, p := range parts {
		group, _ := p[keyAlternative].Value().(string)
		if group != "" && alternatives[group] {
			continue
		}
		text, err := parseText(p)
		switch {
		case err == nil:
			texts = append(texts, text)
			alternatives[group] = true
		case group == "":
			return "", err
		default:
			alternatives[group] = false
		}
	}
	for group, good := range alternatives {
		if !good {
			return "", tp.Errorf(tp.ErrorInvalidArgument, "no alternative of %q is of type %s", group, plain)
		}
	}
	return strings.Join(texts, "\n"), nil
}

// parseText reads a part that is plain text.
func parseText(p part) (string, error) {
	kind, _ := p[keyContentType].Value().(string)
	kind, _, _ = strings.Cut(kind, ";") // parameters, of which the character set is UTF-8 here
	if !strings.EqualFold(strings.TrimSpace(kind), plain) {
		return "", tp.Errorf(tp.ErrorInvalidArgument, "content of type %q can't be sent", kind)
	}
	if i, has := p[keyInterface]; has && i.Value() != "" {
		return "", tp.Errorf(tp.ErrorInvalidArgument, "content for %v can't be sent", i.Value())
	}
	text, is := p[keyContent].Value().(string)
	if !is {
		return "", tp.Errorf(tp.ErrorInvalidArgument, "content of type %s has to be text", plain)
	}
	return text, nil
}

func (c *Conversation) getPendingMessageContent(call *bus.Call) {
	var id uint32
	var wanted []uint32
	if !call.Args(&id, &wanted) {
		return
	}
	content, err := c.content(id, wanted)
	if err != nil {
		call.Fail(err)
		return
	}
	call.Return(content)
}

// content tells no more than PendingMessages does, since all of a message is
// there at once.
func (c *Conversation) content(id uint32, wanted []uint32) (map[uint32]dbus.Variant, error) {
	p, found := c.pending.find(id)
	if !found {
		return nil, tp.Errorf(tp.ErrorInvalidArgument, "message %d is not pending", id)
	}
	parts := c.parts(p)
	content := make(map[uint32]dbus.Variant, len(wanted))
	for _, n := range wanted {
		if n == 0 || int64(n) >= int64(len(parts)) {
			return nil, tp.Errorf(tp.ErrorInvalidArgument, "the message has no part %d", n)
		}
		content[n] = parts[n][keyContent]
	}
	return content, nil
}

// sentParts is a message of ours as others see it.
func (c *Conversation) sentParts(o *Outgoing, at int64) []part {
	header := make(part, 5)
	c.putSender(header, c.cfg.Self())
	header[keyType] = number(o.Type)
	header[keySent] = moment(at)
	header[keyToken] = word(o.Token)
	return []part{header, textPart(o.Text, false)}
}

// parts is a pending message.
func (c *Conversation) parts(p *pending) []part {
	header := make(part, 8)
	header[keyPendingID] = number(p.id)
	header[keyType] = number(p.kind())
	header[keyReceived] = moment(p.at)
	c.putSender(header, p.Sender)
	if !p.Sent.IsZero() {
		header[keySent] = moment(p.Sent.Unix())
	}
	if p.Token != "" {
		header[keyToken] = word(p.Token)
	}
	if p.Nickname != "" {
		header[keyNickname] = word(p.Nickname)
	}
	if p.Scrollback {
		header[keyHistory] = yes
	}
	if p.rescued {
		header[keyRescued] = yes
	}
	if p.report != nil {
		c.putReport(header, p.report)
		if p.Text == "" {
			return []part{header}
		}
	}
	return []part{header, textPart(p.Text, p.truncated)}
}

func (c *Conversation) putSender(header part, sender uint32) {
	if id, known := c.cfg.Handles.Contacts.ID(sender); known {
		header[keySender] = number(sender)
		header[keySenderID] = word(id.String())
	}
}

func textPart(text string, truncated bool) part {
	p := part{keyContentType: plainType, keyContent: word(text)}
	if truncated {
		p[keyTruncated] = yes
	}
	return p
}

// Godbus finds out by reflection of what type a variant is; a message has too
// many of them for that.
var (
	signatureS = dbus.SignatureOf("")
	signatureU = dbus.SignatureOf(uint32(0))
	signatureX = dbus.SignatureOf(int64(0))

	yes       = dbus.MakeVariant(true)
	plainType = word(plain)
)

func word(s string) dbus.Variant { return dbus.MakeVariantWithSignature(s, signatureS) }

func number[T ~uint32](n T) dbus.Variant {
	return dbus.MakeVariantWithSignature(uint32(n), signatureU)
}

// moment is Unix_Timestamp64.
func moment(at int64) dbus.Variant { return dbus.MakeVariantWithSignature(at, signatureX) }
