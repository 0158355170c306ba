package cmtest

import (
	"fmt"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/stanza"
)

// Matcher recognises events; its String says in a failure what was awaited.
type Matcher interface {
	Match(*Event) bool
	String() string
}

// Match is a matcher that can be made narrower; each step returns a new one.
type Match struct {
	words []string
	tests []func(*Event) bool
}

// Match implements [Matcher].
func (m Match) Match(e *Event) bool {
	for _, test := range m.tests {
		if !test(e) {
			return false
		}
	}
	return true
}

func (m Match) String() string { return strings.Join(m.words, " ") }

// Where narrows by a condition in the test's own words.
func (m Match) Where(words string, test func(*Event) bool) Match {
	return Match{append(m.words[:len(m.words):len(m.words)], words), append(m.tests[:len(m.tests):len(m.tests)], test)}
}

func ofKind(kind Kind, words string) Match {
	return Match{}.Where(words, func(e *Event) bool { return e.Kind == kind })
}

// Signal matches a D-Bus signal.
func Signal(s tp.Signal) Match {
	m := ofKind(KindSignal, "signal "+s.Interface+"."+s.Name)
	return m.Where("", func(e *Event) bool {
		return e.text(dbus.FieldInterface) == s.Interface && e.text(dbus.FieldMember) == s.Name
	})
}

// At narrows to one object.
func (m Match) At(path dbus.ObjectPath) Match {
	return m.Where("at "+string(path), func(e *Event) bool { return e.Path() == path })
}

// Args narrows by the first arguments, compared as [Same] does.
func (m Match) Args(want ...any) Match {
	return m.Where(fmt.Sprintf("with %v", want), func(e *Event) bool {
		for i, w := range want {
			if !Same(e.Arg(i), w) {
				return false
			}
		}
		return true
	})
}

// Reply matches the answer to a call.
func Reply(c *Call) Match { return answer(c, KindReply, "reply to") }

// Refusal matches the error that answers a call.
func Refusal(c *Call, name tp.ErrorName) Match {
	return answer(c, KindError, "refusal of").Where("with "+string(name), func(e *Event) bool {
		return e.ErrorName() == string(name)
	})
}

func answer(c *Call, kind Kind, words string) Match {
	return ofKind(kind, words+" "+c.String()).Where("", c.isAnsweredBy)
}

// NameAppeared matches a bus name getting an owner.
func NameAppeared(name string) Match { return ownerChanged(name, "appears", 2) }

// NameGone matches a bus name losing its owner.
func NameGone(name string) Match { return ownerChanged(name, "goes", 1) }

// ownerChanged matches a NameOwnerChanged that has an owner in the argument
// with the index, and none in the other one.
func ownerChanged(name, verb string, owner int) Match {
	changed := tp.Signal{Interface: "org.freedesktop.DBus", Name: "NameOwnerChanged"}
	return Signal(changed).Where("of "+name+": it "+verb, func(e *Event) bool {
		return e.Arg(0) == name && e.Arg(owner) != "" && e.Arg(3-owner) == ""
	})
}

// Exited matches the end of the process.
func Exited() Match { return ofKind(KindExited, "the process ends") }

// Reached matches the server's coming to a step that [At] is about.
func Reached(step Step) Match {
	return ofKind(KindStep, "the server is to "+string(step)).Where("", func(e *Event) bool { return e.Text == string(step) })
}

// StreamOpened matches a client's stream header.
func StreamOpened() Match { return ofKind(KindOpened, "the client opens a stream") }

// StreamClosed matches a client's </stream:stream>.
func StreamClosed() Match { return ofKind(KindClosed, "the client closes the stream") }

// LinkGone matches the end of a TCP connection, in whatever way.
func LinkGone() Match { return ofKind(KindGone, "the link ends") }

// Element matches a child of the stream by name: <auth/>, <starttls/>, <r/>, …
func Element(space, local string) Match {
	return ofKind(KindElement, fmt.Sprintf("<%s xmlns='%s'>", local, space)).Where("", func(e *Event) bool {
		return e.Element.Is(space, local)
	})
}

// nsClient is the namespace of stanzas, RFC 6120 §4.8.2.
const nsClient = "jabber:client"

// IQ matches a question by its type ("get", "set") and the namespace of its payload.
func IQ(kind, space string) Match {
	m := Element(nsClient, "iq").Attr("type", kind)
	return m.Where("about "+space, func(e *Event) bool { return payload(e.Element).Space() == space })
}

// IQAnswer matches an answer ("result", "error") to a question of the server with that id.
func IQAnswer(kind, id string) Match {
	return Element(nsClient, "iq").Attr("type", kind).Attr("id", id)
}

// Presence matches a presence stanza of any type; see [Match.Type].
func Presence() Match { return Element(nsClient, "presence") }

// Message matches a message stanza of any type; see [Match.Type].
func Message() Match { return Element(nsClient, "message") }

// Attr narrows by an attribute; an empty value means that it is absent or empty.
func (m Match) Attr(name, value string) Match {
	return m.Where(fmt.Sprintf("%s='%s'", name, value), func(e *Event) bool { return e.Element.Attr(name) == value })
}

// To narrows by the addressee as written.
func (m Match) To(address string) Match { return m.Attr("to", address) }

// Type narrows by the type attribute.
func (m Match) Type(kind string) Match { return m.Attr("type", kind) }

// Node narrows by the PEP or disco node that the payload or one of its children names.
func (m Match) Node(node string) Match {
	return m.Where("of node "+node, func(e *Event) bool {
		p := payload(e.Element)
		if p.Attr("node") == node {
			return true
		}
		for _, child := range p.Children() {
			if child.Attr("node") == node {
				return true
			}
		}
		return false
	})
}

// Having narrows to stanzas with a child of that name.
func (m Match) Having(space, local string) Match {
	return m.Where(fmt.Sprintf("having <%s xmlns='%s'>", local, space), func(e *Event) bool {
		return e.Element.Child(space, local) != nil
	})
}

// On narrows to one stream.
func (m Match) On(s *Stream) Match {
	return m.Where("on "+s.name, func(e *Event) bool { return e.Stream == s })
}

// payload is the first child of a stanza; nil when there is none.
func payload(el *stanza.Element) *stanza.Element {
	if children := el.Children(); len(children) > 0 {
		return children[0]
	}
	return nil
}
