package filetransfer

import "telepathy-olpc/xmpp/stanza"

// The types of Telepathy's two forms, and the namespace of forms.
const (
	typeService  = "http://telepathy.freedesktop.org/xmpp/file-transfer-service"
	typeMetadata = "http://telepathy.freedesktop.org/xmpp/file-transfer-metadata"
	nsData       = "jabber:x:data"
	serviceField = "ServiceName"
)

// FormType is the name of the field that says what a form is about, XEP-0068,
// and so of no metadata.
const FormType = "FORM_TYPE"

// What of the metadata counts.
const (
	maxFields        = 64
	maxValues        = 64
	maxMetadataBytes = 16 << 10
)

// parseForms reads the service and the metadata; of those that are over the
// limits, what comes first.
func parseForms(file *stanza.Element) (service string, metadata map[string][]string) {
	metadata = make(map[string][]string)
	for form := range file.Each(nsData, "x") {
		switch typeOf(form) {
		case typeService:
			for field := range form.Each(nsData, "field") {
				if field.Attr("var") == serviceField {
					service = clip(field.Child(nsData, "value").Text(), maxName)
				}
			}
		case typeMetadata:
			addFields(metadata, form)
		}
	}
	return service, metadata
}

func typeOf(form *stanza.Element) string {
	for field := range form.Each(nsData, "field") {
		if field.Attr("var") == FormType {
			return field.Child(nsData, "value").Text()
		}
	}
	return ""
}

func addFields(metadata map[string][]string, form *stanza.Element) {
	room := maxMetadataBytes
	for field := range form.Each(nsData, "field") {
		name := field.Attr("var")
		if name == FormType || name == "" {
			continue
		}
		values := []string{}
		for value := range field.Each(nsData, "value") {
			if room -= len(value.Text()); room < 0 || len(values) == maxValues {
				break
			}
			values = append(values, value.Text())
		}
		if room -= len(name); room < 0 || len(metadata) == maxFields {
			return
		}
		metadata[name] = values
	}
}

// forms builds what [parseForms] reads.
func (f *File) forms() []stanza.Part {
	var parts []stanza.Part
	if f.Service != "" {
		parts = append(parts, form(typeService, field(serviceField, f.Service)))
	}
	if len(f.Metadata) > 0 {
		var fields []stanza.Part
		for _, name := range keys(f.Metadata) {
			fields = append(fields, field(name, f.Metadata[name]...))
		}
		parts = append(parts, form(typeMetadata, fields...))
	}
	return parts
}

func form(typ string, fields ...stanza.Part) *stanza.Element {
	about := stanza.New(nsData, "field", stanza.A("var", FormType), stanza.A("type", "hidden"),
		stanza.New(nsData, "value", stanza.Text(typ)))
	return stanza.New(nsData, "x", append([]stanza.Part{stanza.A("type", "result"), about}, fields...)...)
}

func field(name string, values ...string) *stanza.Element {
	parts := []stanza.Part{stanza.A("var", name)}
	for _, v := range values {
		parts = append(parts, stanza.New(nsData, "value", stanza.Text(v)))
	}
	return stanza.New(nsData, "field", parts...)
}
