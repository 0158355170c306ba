package presence

import (
	"strconv"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/stanza"
)

// StatusSpec is Simple_Status_Spec, (ubb).
type StatusSpec struct {
	Type           tp.ConnectionPresenceType
	MaySetOnSelf   bool
	CanHaveMessage bool
}

// status is one row of the table between Telepathy's statuses and XMPP's
// presence (RFC 6121 §4.7.2.1).
type status struct {
	name string
	spec StatusSpec
	show string // <show/> of an available presence
}

var statuses = []status{
	{"available", StatusSpec{tp.ConnectionPresenceTypeAvailable, true, true}, ""},
	{"chat", StatusSpec{tp.ConnectionPresenceTypeAvailable, true, true}, "chat"},
	{"away", StatusSpec{tp.ConnectionPresenceTypeAway, true, true}, "away"},
	{"xa", StatusSpec{tp.ConnectionPresenceTypeExtendedAway, true, true}, "xa"},
	{"dnd", StatusSpec{tp.ConnectionPresenceTypeBusy, true, true}, "dnd"},
	{"offline", StatusSpec{tp.ConnectionPresenceTypeOffline, false, false}, ""},
	{"unknown", StatusSpec{tp.ConnectionPresenceTypeUnknown, false, false}, ""},
	{"error", StatusSpec{tp.ConnectionPresenceTypeError, false, true}, ""},
}

// statusOfShow gives the index in statuses of an available presence.
func statusOfShow(show string) uint8 {
	for i, s := range statuses {
		if s.show == show && s.spec.MaySetOnSelf {
			return uint8(i)
		}
	}
	return 0
}

// Statuses are the statuses a user or contact can have, by name.
func Statuses() map[string]StatusSpec {
	specs := make(map[string]StatusSpec, len(statuses))
	for _, s := range statuses {
		specs[s.name] = s.spec
	}
	return specs
}

// findStatus finds a status by name.
func findStatus(name string) (status, bool) {
	for _, s := range statuses {
		if s.name == name {
			return s, true
		}
	}
	return status{}, false
}

// simple is Simple_Presence, (uss).
type simple struct {
	Type    tp.ConnectionPresenceType
	Status  string
	Message string
}

var (
	available = simple{tp.ConnectionPresenceTypeAvailable, "available", ""}
	offline   = simple{tp.ConnectionPresenceTypeOffline, "offline", ""}
	unknown   = simple{tp.ConnectionPresenceTypeUnknown, "unknown", ""}
)

// maxStatusMessage bounds the own status message, in bytes: every contact gets
// it, and a server that refuses the stanza would end the session.
const maxStatusMessage = 4096

// attributePresence is what Contacts calls a contact's presence.
var attributePresence = tp.InterfaceConnectionSimplePresence.Name + "/presence"

// SimplePresence serves Connection.Interface.SimplePresence.
type SimplePresence struct {
	host   Host
	people *People
	own    status // what the user set, before as well as after connecting
	text   string // with this message
	extras []func() *stanza.Element
	sent   []func()
}

// NewSimplePresence gives the user the status available.
func NewSimplePresence(h Host, p *People) *SimplePresence {
	return &SimplePresence{host: h, people: p, own: statuses[0]}
}

// Interface is the D-Bus side.
func (p *SimplePresence) Interface() bus.Interface {
	return bus.Interface{
		Facts: tp.InterfaceConnectionSimplePresence,
		Methods: map[string]func(*bus.Call){
			"SetPresence":  p.setPresence,
			"GetPresences": p.getPresences,
		},
		Properties: map[string]func() any{
			"Statuses":                   func() any { return Statuses() },
			"MaximumStatusMessageLength": bus.Fixed(uint32(0)),
		},
	}
}

// Attributes tells the presence of a contact to the Contacts interface.
func (p *SimplePresence) Attributes(contact uint32) map[string]any {
	return map[string]any{attributePresence: p.of(contact)}
}

// Extend has every presence of ours carry what part gives when it is sent,
// such as capabilities; nil is left out.
func (p *SimplePresence) Extend(part func() *stanza.Element) {
	p.extras = append(p.extras, part)
}

// Follow has f called after each presence that went to everybody, for those who
// have to be told apart, such as rooms.
func (p *SimplePresence) Follow(f func()) { p.sent = append(p.sent, f) }

// send sends the own presence to everybody.
func (p *SimplePresence) send() {
	p.host.Send(p.Build())
	for _, f := range p.sent {
		f()
	}
}

// Resend publishes the own presence again because an extra part has changed.
// Nobody's status has changed by that.
func (p *SimplePresence) Resend() {
	if p.host.IsConnected() {
		p.send()
	}
}

// Build makes the own presence as it is to be sent now, to everybody or, with
// an address added, to a room.
func (p *SimplePresence) Build() *stanza.Element {
	e := buildPresence(p.own, p.text, p.host.Priority())
	for _, part := range p.extras {
		e = e.With(part())
	}
	return e
}

// Connected publishes the status that was set before and announces it.
func (p *SimplePresence) Connected() { p.publish() }

func (p *SimplePresence) setPresence(call *bus.Call) {
	var name, message string
	if !call.Args(&name, &message) {
		return
	}
	s, known := findStatus(name)
	if !known || !s.spec.MaySetOnSelf {
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "status %q can't be set", name))
		return
	}
	if len(message) > maxStatusMessage {
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "the status message is longer than %d bytes", maxStatusMessage))
		return
	}
	changed := s.name != p.own.name || message != p.text
	p.own, p.text = s, message
	if changed && p.host.IsConnected() {
		p.publish()
	}
	call.Return()
}

func (p *SimplePresence) publish() {
	p.send()
	self := p.host.SelfHandle()
	p.host.Emit(tp.SignalConnectionSimplePresencePresencesChanged, map[uint32]simple{self: p.of(self)})
}

// buildPresence makes the undirected available presence, RFC 6121 §4.2.
func buildPresence(s status, text string, priority int8) *stanza.Element {
	parts := []stanza.Part{}
	if s.show != "" {
		parts = append(parts, stanza.New(stanza.NSClient, "show", stanza.Text(s.show)))
	}
	if text != "" {
		parts = append(parts, stanza.New(stanza.NSClient, "status", stanza.Text(text)))
	}
	if priority != 0 {
		parts = append(parts, stanza.New(stanza.NSClient, "priority", stanza.Text(strconv.Itoa(int(priority)))))
	}
	return stanza.New(stanza.NSClient, "presence", parts...)
}

func (p *SimplePresence) getPresences(call *bus.Call) {
	var contacts []uint32
	if !call.Args(&contacts) {
		return
	}
	if !p.host.IsConnected() {
		call.Fail(tp.Errorf(tp.ErrorDisconnected, "the connection is not connected"))
		return
	}
	told := make(map[uint32]simple, len(contacts))
	for _, contact := range contacts {
		if _, known := p.host.Handles().Contacts.ID(contact); !known {
			call.Fail(tp.Errorf(tp.ErrorInvalidHandle, "%d is not a contact", contact))
			return
		}
		told[contact] = p.of(contact)
	}
	call.Return(told)
}

// of is the presence of one contact as last announced.
func (p *SimplePresence) of(contact uint32) simple {
	if contact == p.host.SelfHandle() {
		return simple{p.own.spec.Type, p.own.name, p.text}
	}
	bare, _ := p.host.Handles().Contacts.ID(contact)
	if c := p.people.Find(bare); c != nil {
		return c.shown
	}
	return unknown
}
