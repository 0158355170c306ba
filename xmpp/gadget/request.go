package gadget

import (
	"strconv"

	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// Criteria say who or what is sought; all of them must be true. Without any,
// anybody will do: the answer is a random choice.
type Criteria struct {
	// Of buddies.
	JID   jid.JID
	Alias string // part of the name, in any letters
	// Of activities.
	Activity     olpc.Activity // either part may be left open
	Participants []jid.JID     // all of them
	// Of both: each with the same type and value.
	Properties olpc.Properties
}

// IsRandom tells whether nothing in particular is sought.
func (c Criteria) IsRandom() bool {
	return c.JID.IsZero() && c.Alias == "" && c.Activity == olpc.Activity{} && len(c.Participants) == 0 && len(c.Properties) == 0
}

// Request asks for a view, or, without its name, once.
type Request struct {
	Kind     Kind
	View     string // the client's name for it, unique among its views of both kinds; "" for a search
	Size     int    // most results; of a view above 0, of a search 0 for as many as there are
	Criteria Criteria
}

// IQ builds the question.
func (r Request) IQ(to jid.JID) *stanza.Element {
	local := "view"
	if r.View == "" {
		local = "query"
	}
	payload := stanza.New(r.Kind.Namespace(), local, stanza.A("id", r.View), size(r.Size), r.Criteria.element(r.Kind))
	return stanza.New(stanza.NSClient, "iq", stanza.A("type", "get"), stanza.A("to", to.String()), payload)
}

func (c Criteria) element(k Kind) *stanza.Element {
	if k == Buddies {
		return stanza.New(NSBuddy, "buddy", stanza.A("jid", c.JID.String()), stanza.A("alias", c.Alias), sought(c.Properties, olpc.NodeBuddyProperties))
	}
	parts := []stanza.Part{stanza.A("id", c.Activity.ID), stanza.A("room", c.Activity.Room.String()), sought(c.Properties, olpc.NodeActivityProperties)}
	for _, p := range c.Participants {
		parts = append(parts, stanza.New(NSActivity, "buddy", stanza.A("jid", p.String())))
	}
	return stanza.New(NSActivity, "activity", parts...)
}

// sought builds properties that are looked for, if there are any.
func sought(p olpc.Properties, space string) *stanza.Element {
	if len(p) == 0 {
		return nil
	}
	return propertiesElement(p, space)
}

// Limits on one question: what a component has to look for.
const (
	maxSought       = 16
	maxParticipants = 16
)

// ParseRequest reads a question, which is the IQ's first child. The error is the
// answer to one that cannot be understood: a question taken for another would
// be answered with what nobody asked for.
func ParseRequest(iq *stanza.Element) (Request, *stanza.Error) {
	payload := iq.First()
	kind, ok := kindOf(payload.Space())
	if !ok {
		return Request{}, stanza.NewError(stanza.ServiceUnavailable, "")
	}
	if iq.Attr("type") != "get" {
		return Request{}, stanza.NewError(stanza.NotAllowed, "Views and searches are asked for with get")
	}
	r := Request{Kind: kind}
	if s := payload.Attr("size"); s != "" {
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil || n == 0 {
			return Request{}, badRequest("size is no number above 0")
		}
		r.Size = int(n)
	}
	switch payload.Local() {
	case "view":
		if r.View = payload.Attr("id"); r.View == "" || len(r.View) > maxIDBytes || r.Size == 0 {
			return Request{}, badRequest("A view has an id and a size")
		}
	case "query":
	default:
		return Request{}, stanza.NewError(stanza.FeatureNotImplemented, "")
	}
	var err *stanza.Error
	r.Criteria, err = parseCriteria(kind, payload)
	return r, err
}

// parseCriteria reads the one child that says what is sought. None, and the
// <random/> of the first programs, seek anybody.
func parseCriteria(kind Kind, payload *stanza.Element) (Criteria, *stanza.Error) {
	children := payload.Children()
	switch {
	case len(children) > 1:
		return Criteria{}, stanza.NewError(stanza.FeatureNotImplemented, "One set of criteria at a time")
	case len(children) == 0 || children[0].Is(payload.Space(), "random"):
		return Criteria{}, nil
	case kind == Buddies && children[0].Is(NSBuddy, "buddy"):
		return parseBuddyCriteria(children[0])
	case kind == Activities && children[0].Is(NSActivity, "activity"):
		return parseActivityCriteria(children[0])
	}
	return Criteria{}, badRequest("Neither buddy nor activity")
}

func parseBuddyCriteria(e *stanza.Element) (Criteria, *stanza.Error) {
	c := Criteria{JID: parseAddress(e.Attr("jid")), Alias: e.Attr("alias")}
	if c.JID.IsZero() && e.Attr("jid") != "" {
		return Criteria{}, stanza.NewError(stanza.JIDMalformed, "")
	}
	if len(c.Alias) > maxAliasBytes {
		return Criteria{}, badRequest("alias is too long")
	}
	var err *stanza.Error
	c.Properties, err = parseSought(e, olpc.NodeBuddyProperties)
	return c, err
}

func parseActivityCriteria(e *stanza.Element) (Criteria, *stanza.Error) {
	c := Criteria{Activity: olpc.ActivityOf(e, "id", "activity")}
	if c.Activity.Room.IsZero() && e.Attr("room") != "" {
		return Criteria{}, stanza.NewError(stanza.JIDMalformed, "")
	}
	if c.Activity.ID == "" && e.Attr("id")+e.Attr("activity") != "" {
		return Criteria{}, badRequest("id is too long")
	}
	for b := range e.Each(NSActivity, "buddy") {
		if len(c.Participants) == maxParticipants {
			return Criteria{}, stanza.NewError(stanza.PolicyViolation, "Too many participants")
		}
		who := parseAddress(b.Attr("jid"))
		if who.IsZero() {
			return Criteria{}, stanza.NewError(stanza.JIDMalformed, "")
		}
		c.Participants = append(c.Participants, who)
	}
	var err *stanza.Error
	c.Properties, err = parseSought(e, olpc.NodeActivityProperties)
	return c, err
}

// parseSought reads the properties that are looked for. One that cannot be read
// matches nothing, which is not the same as everything.
func parseSought(e *stanza.Element, space string) (olpc.Properties, *stanza.Error) {
	set := e.Child(space, "properties")
	if len(set.Children()) > maxSought {
		return nil, stanza.NewError(stanza.PolicyViolation, "Too many properties")
	}
	p := parseProperties(set)
	if len(p) < len(set.Children()) {
		return nil, badRequest("A property cannot be read")
	}
	if len(p) == 0 {
		return nil, nil
	}
	return p, nil
}

func badRequest(text string) *stanza.Error { return stanza.NewError(stanza.BadRequest, text) }

// Content is what a view begins with, or what a search has found.
type Content struct {
	Kind       Kind
	View       string // "" of a search
	Size       int
	Buddies    []Buddy
	Activities []Activity
}

// Element builds the payload of the answer.
func (c Content) Element() *stanza.Element {
	local := "view"
	if c.View == "" {
		local = "query"
	}
	parts := []stanza.Part{stanza.A("id", c.View), size(c.Size)}
	return stanza.New(c.Kind.Namespace(), local, append(parts, entries(c.Buddies, c.Activities)...)...)
}

func entries(buddies []Buddy, activities []Activity) []stanza.Part {
	parts := make([]stanza.Part, 0, len(buddies)+len(activities))
	for _, b := range buddies {
		parts = append(parts, b.element(NSBuddy, "buddy"))
	}
	for _, a := range activities {
		parts = append(parts, a.element())
	}
	return parts
}

// ParseContent reads an answer. It tells whether there is one in the reply.
func ParseContent(reply *stanza.Element) (Content, bool) {
	for _, e := range reply.Children() {
		kind, ok := kindOf(e.Space())
		if !ok || e.Local() != "view" && e.Local() != "query" {
			continue
		}
		c := Content{Kind: kind, View: bounded(e.Attr("id"), maxIDBytes)}
		if n, err := strconv.ParseUint(e.Attr("size"), 10, 31); err == nil {
			c.Size = int(n)
		}
		if kind == Buddies {
			c.Buddies = parseBuddies(e, NSBuddy, "buddy")
		} else {
			c.Activities = parseActivities(e)
		}
		return c, true
	}
	return Content{}, false
}

// Close names a view that its client wants no more of.
type Close struct {
	Kind Kind
	View string
}

// Message builds the message that says so, which has no answer.
func (c Close) Message(to jid.JID) *stanza.Element {
	return stanza.New(stanza.NSClient, "message", stanza.A("to", to.String()), stanza.New(c.Kind.Namespace(), "close", stanza.A("id", c.View)))
}

// ParseClose reads which views a message closes.
func ParseClose(message *stanza.Element) []Close {
	if !message.Is(stanza.NSClient, "message") || message.Attr("type") == "error" {
		return nil
	}
	var list []Close
	for _, e := range message.Children() {
		kind, ok := kindOf(e.Space())
		id := bounded(e.Attr("id"), maxIDBytes)
		if ok && e.Local() == "close" && id != "" && len(list) < MaxEntries {
			list = append(list, Close{kind, id})
		}
	}
	return list
}
