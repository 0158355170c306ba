package xmpp

import (
	"fmt"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/xmpp/stanza"
)

// tracer logs what goes over the wire, at trace level only, and without what
// no log may hold: secrets, and what people write or send each other.
type tracer struct{ log *logrus.Entry }

func (t tracer) sent(e *stanza.Element)     { t.trace("Sent", e) }
func (t tracer) received(e *stanza.Element) { t.trace("Received", e) }

func (t tracer) trace(what string, e *stanza.Element) {
	if t.log.Logger.IsLevelEnabled(logrus.TraceLevel) {
		t.log.WithField("stanza", redact(e)).Trace(what)
	}
}

// privateSpaces are the namespaces of elements that hold secrets.
var privateSpaces = map[string]bool{nsSASL: true, nsRegister: true}

// privateNames are elements whose text is private in all namespaces: messages,
// the bytes of tubes and files, photos, passwords of rooms, answers in forms.
var privateNames = map[string]bool{
	"body": true, "subject": true, "p": true, "span": true, "data": true, "password": true, "digest": true, "BINVAL": true, "value": true,
}

// longestText is what any other text may have in a log.
const longestText = 80

// redact returns a copy fit for the log: private texts are replaced by their
// length, secrets by nothing.
func redact(e *stanza.Element) *stanza.Element {
	if privateSpaces[e.Space()] {
		return stanza.New(e.Space(), e.Local(), stanza.Text(redacted))
	}
	parts := make([]stanza.Part, 0, len(e.Attrs())+len(e.Children())+1)
	for _, a := range e.Attrs() {
		if e.Local() == "file" && a.Name == "name" || a.Name == "password" {
			a.Value = redacted
		}
		parts = append(parts, a)
	}
	text := e.Text()
	if text != "" && (privateNames[e.Local()] || len(text) > longestText) {
		text = fmt.Sprintf("[%d bytes]", len(text))
	}
	parts = append(parts, stanza.Text(text))
	for _, c := range e.Children() {
		parts = append(parts, redact(c))
	}
	return stanza.New(e.Space(), e.Local(), parts...)
}
