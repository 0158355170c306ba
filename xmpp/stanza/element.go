package stanza

import (
	"encoding/xml"
	"iter"
	"slices"
)

// Namespaces that the stream itself is made of, RFC 6120 §4.8 and §8.3, and
// XEP-0114 §3.
const (
	NSClient    = "jabber:client"
	NSComponent = "jabber:component:accept"
	NSStream    = "http://etherx.jabber.org/streams"
	NSStanzas   = "urn:ietf:params:xml:ns:xmpp-stanzas"
	nsXML       = "http://www.w3.org/XML/1998/namespace"
)

// Element is one element with all that is in it. All methods can be called on
// nil, which is the empty answer of [Element.Child]: nil has no name, no
// attributes, no text and no children.
type Element struct {
	space, local string
	attrs        []Attr
	children     []*Element
	text         string
}

// Part is what [New] puts an element together from: an [Attr], a [Text] or an
// *[Element].
type Part interface{ addTo(e *Element) }

// Attr is an attribute without namespace, or "xml:lang".
type Attr struct{ Name, Value string }

// Text is character data.
type Text string

// A returns the attribute with this name; with an empty value it stands for
// the absence of the attribute.
func A(name, value string) Attr { return Attr{name, value} }

// New builds an element in one expression. Attributes with an empty value and
// nil elements are left out, so that optional parts need no condition. The
// namespace is that of this element alone: children state their own.
//
//go:noinline
func New(space, local string, parts ...Part) *Element {
	e := &Element{space: space, local: local}
	for _, p := range parts {
		p.addTo(e)
	}
	return e
}

// With returns a copy with the parts added: an attribute replaces one of its
// name (or, empty, removes it), children and text are appended.
func (e *Element) With(parts ...Part) *Element {
	c := *e
	c.attrs, c.children = slices.Clone(e.attrs), slices.Clip(e.children)
	for _, p := range parts {
		p.addTo(&c)
	}
	return &c
}

func (a Attr) addTo(e *Element) {
	i := slices.IndexFunc(e.attrs, func(b Attr) bool { return b.Name == a.Name })
	switch {
	case i >= 0 && a.Value == "":
		e.attrs = slices.Delete(e.attrs, i, i+1)
	case i >= 0:
		e.attrs[i] = a
	case a.Value != "":
		e.attrs = append(e.attrs, a)
	}
}

func (t Text) addTo(e *Element) { e.text += string(t) }

func (e *Element) addTo(parent *Element) {
	if e != nil {
		parent.children = append(parent.children, e)
	}
}

// Name returns namespace and local name.
func (e *Element) Name() xml.Name { return xml.Name{Space: e.Space(), Local: e.Local()} }

// Space returns the namespace.
func (e *Element) Space() string {
	if e == nil {
		return ""
	}
	return e.space
}

// Local returns the name without namespace.
func (e *Element) Local() string {
	if e == nil {
		return ""
	}
	return e.local
}

// Is tells whether this is the element's name.
//
//go:noinline
func (e *Element) Is(space, local string) bool {
	return e != nil && e.local == local && e.space == space
}

// Attr returns the value of an attribute, "" if there is none.
func (e *Element) Attr(name string) string {
	value, _ := e.lookup(name)
	return value
}

// HasAttr tells an absent attribute from an empty one.
func (e *Element) HasAttr(name string) bool {
	_, ok := e.lookup(name)
	return ok
}

// Attrs returns all attributes, in the order in which they were written. The
// slice is not to be changed.
func (e *Element) Attrs() []Attr {
	if e == nil {
		return nil
	}
	return e.attrs
}

// lookup is not inlined: its loop would be copied to 250 places.
//
//go:noinline
func (e *Element) lookup(name string) (string, bool) {
	if e != nil {
		for i := range e.attrs {
			if e.attrs[i].Name == name {
				return e.attrs[i].Value, true
			}
		}
	}
	return "", false
}

// Text returns the element's own character data, without that of children.
func (e *Element) Text() string {
	if e == nil {
		return ""
	}
	return e.text
}

// Children returns the child elements in their order. The slice is not to be
// changed.
func (e *Element) Children() []*Element {
	if e == nil {
		return nil
	}
	return e.children
}

// First returns the first child element, for which an IQ is asked, or nil.
func (e *Element) First() *Element {
	if e == nil || len(e.children) == 0 {
		return nil
	}
	return e.children[0]
}

// Child returns the first child with this name, or nil.
//
//go:noinline
func (e *Element) Child(space, local string) *Element {
	for _, c := range e.Children() {
		if c.Is(space, local) {
			return c
		}
	}
	return nil
}

// Each iterates over the children with this name.
func (e *Element) Each(space, local string) iter.Seq[*Element] {
	return func(yield func(*Element) bool) {
		for _, c := range e.Children() {
			if c.Is(space, local) && !yield(c) {
				return
			}
		}
	}
}

// Equal tells whether two trees say the same; the order of attributes says
// nothing.
func (e *Element) Equal(o *Element) bool {
	if e == nil || o == nil {
		return e == o
	}
	missing := func(a Attr) bool {
		value, has := o.lookup(a.Name)
		return !has || value != a.Value
	}
	return e.Is(o.space, o.local) && e.text == o.text &&
		len(e.attrs) == len(o.attrs) && !slices.ContainsFunc(e.attrs, missing) &&
		slices.EqualFunc(e.children, o.children, (*Element).Equal)
}
