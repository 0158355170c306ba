package vcard

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"telepathy-olpc/xmpp/stanza"
)

// Limits on what is read of one vCard.
const (
	maxFields      = 100
	maxFieldsBytes = 16 << 10
	maxUnits       = 16 // of an organisation
)

// Field is a Contact_Info_Field of Telepathy's interface
// Connection.Interface.ContactInfo: the name of a vCard field (RFC 2426) in
// lower case, parameters such as "type=home", and the value, in parts if it
// is structured.
type Field struct {
	Name       string
	Parameters []string
	Values     []string
}

// size is about what the field takes in memory.
func (f *Field) size() int {
	n := 72 + len(f.Name)
	for _, list := range [][]string{f.Parameters, f.Values} {
		for _, s := range list {
			n += 16 + len(s)
		}
	}
	return n
}

// FieldSpec is a Field_Spec: what [SetFields] takes.
type FieldSpec struct {
	Name       string
	Parameters []string // that may be used; empty: none may
	Nickname   bool     // the field is overwritten when the alias is set
	Max        uint32   // how often the field may be there
}

// shape says how the value of a field is written in vcard-temp.
type shape int

const (
	plain      shape = iota // the element's text
	structured              // a child for each part
	label                   // a child for each line
	org                     // a child for each part, the last one repeated
)

// kind is a field that both sides know.
type kind struct {
	element string // in vcard-temp
	name    string // in Telepathy
	shape   shape
	parts   []string // elements with the value
	types   []string // elements that qualify it
	once    bool     // may not be repeated
}

var addressTypes = []string{"HOME", "WORK", "POSTAL", "PARCEL", "DOM", "INTL", "PREF"}

// kinds is the DTD of XEP-0054 §9 as far as Telepathy has words for it. PHOTO
// is the avatar; AGENT, CATEGORIES, CLASS, KEY, LOGO and SOUND are left as they
// are.
var kinds = []kind{
	{element: "FN", name: "fn", once: true},
	{element: "N", name: "n", shape: structured, once: true, parts: []string{"FAMILY", "GIVEN", "MIDDLE", "PREFIX", "SUFFIX"}},
	{element: "NICKNAME", name: nickname},
	{element: "BDAY", name: "bday"},
	{element: "ADR", name: "adr", shape: structured, types: addressTypes,
		parts: []string{"POBOX", "EXTADD", "STREET", "LOCALITY", "REGION", "PCODE", "CTRY"}},
	{element: "LABEL", name: "label", shape: label, types: addressTypes, parts: []string{"LINE"}},
	{element: "TEL", name: "tel", shape: structured, parts: []string{"NUMBER"},
		types: []string{"HOME", "WORK", "VOICE", "FAX", "PAGER", "MSG", "CELL", "VIDEO", "BBS", "MODEM", "ISDN", "PCS", "PREF"}},
	{element: "EMAIL", name: "email", shape: structured, parts: []string{"USERID"},
		types: []string{"HOME", "WORK", "INTERNET", "PREF", "X400"}},
	{element: "JABBERID", name: "x-jabber"},
	{element: "MAILER", name: "mailer"},
	{element: "TZ", name: "tz"},
	{element: "GEO", name: "geo", shape: structured, once: true, parts: []string{"LAT", "LON"}},
	{element: "TITLE", name: "title"},
	{element: "ROLE", name: "role"},
	{element: "ORG", name: "org", shape: org, parts: []string{"ORGNAME", "ORGUNIT"}},
	{element: "NOTE", name: "note"},
	{element: "PRODID", name: "prodid"},
	{element: "REV", name: "rev"},
	{element: "SORT-STRING", name: "sort-string"},
	{element: "UID", name: "uid"},
	{element: "URL", name: "url"},
	{element: "DESC", name: "x-desc"},
}

const nickname = "nickname"

// misnamed gives the name under which a part is also found: both were in the
// drafts on which XEP-0054 is built.
var misnamed = map[string]string{"EXTADD": "EXTADR", "CTRY": "COUNTRY"}

// SupportedFields lists what [SetFields] takes.
func SupportedFields() []FieldSpec {
	specs := make([]FieldSpec, len(kinds))
	for i, k := range kinds {
		specs[i] = FieldSpec{Name: k.name, Nickname: k.name == nickname, Max: math.MaxUint32}
		if k.once {
			specs[i].Max = 1
		}
		for _, t := range k.types {
			specs[i].Parameters = append(specs[i].Parameters, typeParameter(t))
		}
	}
	return specs
}

func typeParameter(element string) string { return "type=" + strings.ToLower(element) }

// ParseFields reads the fields of a vCard, in its order, without those that
// are empty, not known, or more than is kept of one vCard.
func ParseFields(card *stanza.Element) []Field {
	var fields []Field
	left := maxFieldsBytes
	for _, e := range card.Children() {
		if len(fields) == maxFields {
			break
		}
		k := find(func(k *kind) bool { return e.Is(NS, k.element) })
		if k == nil {
			continue
		}
		f, ok := k.parse(e)
		if size := f.size(); ok && size <= left {
			fields = append(fields, f)
			left -= size
		}
	}
	return fields
}

// find returns the kind that matches, or nil.
func find(matches func(*kind) bool) *kind {
	for i := range kinds {
		if matches(&kinds[i]) {
			return &kinds[i]
		}
	}
	return nil
}

// parse reads a field; it tells whether there is anything in it.
func (k *kind) parse(e *stanza.Element) (Field, bool) {
	f := Field{Name: k.name, Values: k.values(e)}
	for _, t := range k.types {
		if e.Child(NS, t) != nil {
			f.Parameters = append(f.Parameters, typeParameter(t))
		}
	}
	return f, slices.ContainsFunc(f.Values, func(s string) bool { return s != "" })
}

func (k *kind) values(e *stanza.Element) []string {
	switch k.shape {
	case structured:
		values := make([]string, len(k.parts))
		for i, part := range k.parts {
			values[i] = text(e.Child(NS, part))
			if values[i] == "" {
				values[i] = text(e.Child(NS, misnamed[part]))
			}
		}
		if len(values) == 1 && values[0] == "" {
			values[0] = text(e) // the number in TEL itself: XEP-0054 §7 knows that it happens
		}
		return values
	case label:
		var lines []string
		for line := range e.Each(NS, "LINE") {
			lines = append(lines, text(line))
		}
		return []string{strings.TrimSpace(strings.Join(lines, "\n"))}
	case org:
		values := []string{text(e.Child(NS, k.parts[0]))}
		for unit := range e.Each(NS, k.parts[1]) {
			if s := text(unit); s != "" && len(values) <= maxUnits {
				values = append(values, s)
			}
		}
		return values
	default:
		return []string{text(e)}
	}
}

func text(e *stanza.Element) string { return strings.TrimSpace(e.Text()) }

// SetFields returns the Edit that replaces the fields of a vCard by those
// given, or an error if they are not as [SupportedFields] says, or are more
// than would be read again. What Telepathy
// has no words for stays, and so does the nickname if no field names one: the
// clients that set these fields are told to leave it out.
func SetFields(fields []Field) (Edit, error) {
	elements := make([]*stanza.Element, 0, len(fields))
	count := make(map[string]int)
	size := 0
	for _, f := range fields {
		k := find(func(k *kind) bool { return k.name == f.Name })
		if k == nil {
			return nil, fmt.Errorf("field %q is not supported", f.Name)
		}
		if count[f.Name]++; k.once && count[f.Name] > 1 {
			return nil, fmt.Errorf("field %q may be there only once", f.Name)
		}
		if size += f.size(); size > maxFieldsBytes || len(elements) == maxFields {
			return nil, errors.New("more fields than a vCard may have")
		}
		e, err := k.build(f)
		if err != nil {
			return nil, err
		}
		elements = append(elements, e)
	}
	var names []string
	for _, k := range kinds {
		if k.name != nickname || count[nickname] > 0 {
			names = append(names, k.element)
		}
	}
	return func(card *stanza.Element) *stanza.Element { return replace(card, names, elements...) }, nil
}

// build writes a field.
func (k *kind) build(f Field) (*stanza.Element, error) {
	var parts []stanza.Part
	for _, p := range f.Parameters {
		i := slices.IndexFunc(k.types, func(t string) bool { return strings.EqualFold(p, typeParameter(t)) })
		if i < 0 {
			return nil, fmt.Errorf("field %q cannot have parameter %q", f.Name, p)
		}
		parts = append(parts, stanza.New(NS, k.types[i]))
	}
	least, most := k.counts()
	if n := len(f.Values); n < least || n > most {
		return nil, fmt.Errorf("field %q with %d values, wanted %d to %d", f.Name, n, least, most)
	}
	switch k.shape {
	case structured, org:
		for i, value := range f.Values {
			parts = append(parts, stanza.New(NS, k.parts[min(i, len(k.parts)-1)], stanza.Text(value)))
		}
	case label:
		for line := range strings.Lines(f.Values[0]) {
			parts = append(parts, stanza.New(NS, k.parts[0], stanza.Text(strings.TrimRight(line, "\r\n"))))
		}
	default:
		parts = append(parts, stanza.Text(f.Values[0]))
	}
	return stanza.New(NS, k.element, parts...), nil
}

// counts returns how many values a field may have. Parts at the end of a
// structured one may be left out.
func (k *kind) counts() (least, most int) {
	switch k.shape {
	case structured:
		return 1, len(k.parts)
	case org:
		return 1, 1 + maxUnits
	}
	return 1, 1
}
