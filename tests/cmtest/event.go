package cmtest

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/xmpp/stanza"
)

// Kind says what happened.
type Kind string

// What can happen. Only the kinds above KindSent can be expected; the rest is
// for the transcript.
const (
	KindCall    Kind = "call"   // a method call on the bus
	KindReply   Kind = "reply"  // the answer to one
	KindError   Kind = "error"  // its refusal
	KindSignal  Kind = "signal" // including the daemon's NameOwnerChanged
	KindOpened  Kind = "opened" // the client began an XML stream
	KindElement Kind = "stanza" // the server received a whole child of the stream
	KindClosed  Kind = "closed" // the client ended its XML stream
	KindStep    Kind = "step"   // the server comes to a step at which it does something special
	KindGone    Kind = "gone"   // the TCP connection ended
	KindExited  Kind = "exited" // the process of the connection manager ended

	KindSent Kind = "sent" // the server wrote
	KindNote Kind = "note" // the harness or the test remarks
)

// Event is one thing that happened.
type Event struct {
	Kind    Kind
	Source  string          // "bus", or the stream: "c2s 1", "c2s 2", …
	Element *stanza.Element // of KindElement
	Message *dbus.Message   // of the kinds of the bus
	Text    string          // of the kinds that have neither
	Stream  *Stream         // of the kinds of a stream

	at time.Duration // since the test began
}

// Arg is an argument of a call, reply or signal as godbus decodes it, a variant
// unwrapped. See [As] and [Equal] for giving it a type.
func (e *Event) Arg(i int) any {
	if e.Message == nil || i >= len(e.Message.Body) {
		return nil
	}
	if v, is := e.Message.Body[i].(dbus.Variant); is {
		return v.Value()
	}
	return e.Message.Body[i]
}

// Path is the object that a signal comes from or a call goes to.
func (e *Event) Path() dbus.ObjectPath {
	path, _ := e.header(dbus.FieldPath).(dbus.ObjectPath)
	return path
}

// ErrorName is the name of the D-Bus error of a KindError.
func (e *Event) ErrorName() string { return e.text(dbus.FieldErrorName) }

func (e *Event) header(field dbus.HeaderField) any {
	if e.Message == nil {
		return nil
	}
	return e.Message.Headers[field].Value()
}

func (e *Event) text(field dbus.HeaderField) string {
	s, _ := e.header(field).(string)
	return s
}

// replyTo is the serial of the call that a reply or error answers.
func (e *Event) replyTo() uint32 {
	serial, _ := e.header(dbus.FieldReplySerial).(uint32)
	return serial
}

// maxShown is how much of one event a transcript shows.
const maxShown = 3000

// String is the event's line in a transcript.
func (e *Event) String() string {
	line := strings.Map(printable, fmt.Sprintf("%8.3f  %-6s %s", e.at.Seconds(), e.Source, e.describe()))
	if len(line) > maxShown {
		line = fmt.Sprintf("%s… (%d bytes)", line[:maxShown], len(line))
	}
	return line
}

// printable replaces what a terminal would take for an order.
func printable(r rune) rune {
	if unicode.IsPrint(r) || r == '\n' {
		return r
	}
	return unicode.ReplacementChar
}

func (e *Event) describe() string {
	switch e.Kind {
	case KindCall:
		return fmt.Sprintf("→ #%d %s %s(%s)", e.Message.Serial(), e.object(), e.member(), body(e.Message))
	case KindReply:
		return fmt.Sprintf("← #%d (%s)", e.replyTo(), body(e.Message))
	case KindError:
		return fmt.Sprintf("✗ #%d %s(%s)", e.replyTo(), e.ErrorName(), body(e.Message))
	case KindSignal:
		return fmt.Sprintf("⚡ %s %s(%s)", e.object(), e.member(), body(e.Message))
	case KindElement:
		return "← " + e.Element.String()
	case KindSent:
		return "→ " + e.Text
	default:
		return "· " + string(e.Kind) + " " + e.Text
	}
}

// object is the path, shortened by what most begin with.
func (e *Event) object() string {
	return strings.TrimPrefix(string(e.Path()), "/org/freedesktop/Telepathy/")
}

// member is interface and member, shortened by what they all begin with.
func (e *Event) member() string {
	full := e.text(dbus.FieldMember)
	if iface := e.text(dbus.FieldInterface); iface != "" {
		full = iface + "." + full
	}
	return strings.TrimPrefix(full, "org.freedesktop.Telepathy.")
}

func body(m *dbus.Message) string {
	parts := make([]string, len(m.Body))
	for i, v := range m.Body {
		parts[i] = show(reflect.ValueOf(v))
	}
	return strings.Join(parts, ", ")
}

// show writes a decoded D-Bus value as one reads it: no variants, structs in
// round brackets, dictionaries in the order of their keys.
func show(v reflect.Value) string {
	if !v.IsValid() {
		return "nothing"
	}
	switch x := v.Interface().(type) {
	case dbus.Variant:
		return show(reflect.ValueOf(x.Value()))
	case []byte:
		return fmt.Sprintf("%q", x)
	case []any:
		return "(" + showAll(v) + ")"
	}
	switch v.Kind() {
	case reflect.Interface:
		return show(v.Elem())
	case reflect.Slice:
		return "[" + showAll(v) + "]"
	case reflect.String:
		return fmt.Sprintf("%q", v.String())
	case reflect.Map:
		parts := make([]string, 0, v.Len())
		for key, value := range v.Seq2() {
			parts = append(parts, show(key)+": "+show(value))
		}
		slices.Sort(parts)
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}

func showAll(list reflect.Value) string {
	parts := make([]string, list.Len())
	for i := range parts {
		parts[i] = show(list.Index(i))
	}
	return strings.Join(parts, ", ")
}
