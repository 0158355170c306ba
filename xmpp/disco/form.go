package disco

import "telepathy-olpc/xmpp/stanza"

// nsData is the namespace of forms, XEP-0004.
const nsData = "jabber:x:data"

// formType is the field that says what a form is about, XEP-0068.
const formType = "FORM_TYPE"

// Form describes an entity further, XEP-0128.
type Form struct{ Fields []Field }

// Field is one line of a form.
type Field struct {
	Var, Type string
	Values    []string
}

// IsFormType tells whether this is the field that names the form's type.
func (f *Field) IsFormType() bool { return f.Var == formType }

// Type returns the form's type: the value of its hidden field FORM_TYPE, or ""
// if it has none and so says nothing that can be understood.
func (f *Form) Type() string {
	for i := range f.Fields {
		if l := &f.Fields[i]; l.IsFormType() && l.Type == "hidden" && len(l.Values) > 0 {
			return l.Values[0]
		}
	}
	return ""
}

func (f *Form) size() int {
	n := 0
	for _, l := range f.Fields {
		n += len(l.Var) + len(l.Type)
		for _, v := range l.Values {
			n += len(v)
		}
	}
	return n
}

// parseForm reads a form, which may be empty.
func parseForm(x *stanza.Element) (Form, error) {
	var form Form
	for c := range x.Each(nsData, "field") {
		if len(form.Fields) == maxFields {
			return Form{}, ErrTooMuch
		}
		field := Field{Var: c.Attr("var"), Type: c.Attr("type")}
		for v := range c.Each(nsData, "value") {
			if len(field.Values) == maxValues {
				return Form{}, ErrTooMuch
			}
			field.Values = append(field.Values, v.Text())
		}
		form.Fields = append(form.Fields, field)
	}
	return form, nil
}

// element builds what [parseForm] reads.
func (f *Form) element() *stanza.Element {
	parts := []stanza.Part{stanza.A("type", "result")}
	for _, l := range f.Fields {
		line := []stanza.Part{stanza.A("var", l.Var), stanza.A("type", l.Type)}
		for _, v := range l.Values {
			line = append(line, stanza.New(nsData, "value", stanza.Text(v)))
		}
		parts = append(parts, stanza.New(nsData, "field", line...))
	}
	return stanza.New(nsData, "x", parts...)
}
