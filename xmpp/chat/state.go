package chat

import "telepathy-olpc/xmpp/stanza"

// NSStates is the namespace, and the feature, of chat states, XEP-0085.
const NSStates = "http://jabber.org/protocol/chatstates"

// State is what somebody is doing in a conversation, XEP-0085 §4.
type State string

// The states.
const (
	Active    State = "active"
	Composing State = "composing"
	Paused    State = "paused"
	Inactive  State = "inactive"
	Gone      State = "gone"
)

// Element returns the child of a message that tells the state.
func (s State) Element() *stanza.Element { return stanza.New(NSStates, string(s)) }

// parseState finds the state in a message, "" if there is none.
func parseState(e *stanza.Element) State {
	for _, c := range e.Children() {
		if c.Space() != NSStates {
			continue
		}
		switch s := State(c.Local()); s {
		case Active, Composing, Paused, Inactive, Gone:
			return s
		}
	}
	return ""
}
