package presence

import (
	"time"

	"telepathy-olpc/xmpp/pep"
	"telepathy-olpc/xmpp/stanza"
)

// PersonalEvents shares the account's personal events (XEP-0163) among those
// who publish and read them: own nodes go out through one queue, contacts'
// events go to who knows their node.
type PersonalEvents struct {
	*pep.Publisher
	readers map[string]func(pep.Event)
}

// NewPersonalEvents reads no node yet.
func NewPersonalEvents(h Host) *PersonalEvents {
	after := func(d time.Duration, label string, f func()) func() { return h.After(d, label, f).Stop }
	return &PersonalEvents{Publisher: pep.NewPublisher(h, after), readers: make(map[string]func(pep.Event))}
}

// Read has events of a node handled; there is one reader for each node.
func (p *PersonalEvents) Read(node string, handle func(pep.Event)) { p.readers[node] = handle }

// HandleMessage takes a message that is an event. One of a node nobody reads
// is taken too: it is no message for people.
func (p *PersonalEvents) HandleMessage(e *stanza.Element) bool {
	event, is := pep.ParseEvent(e)
	if !is {
		return false
	}
	if handle := p.readers[event.Node]; handle != nil {
		handle(event)
	}
	return true
}
