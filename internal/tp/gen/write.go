package main

import (
	"bytes"
	"fmt"
	"strings"
)

// writer collects one file's source. Identifiers are unique over all files of
// the package; the first collision is kept in err.
type writer struct {
	bytes.Buffer
	seen map[string]string // identifier -> what it stands for
	err  error
}

func (w *writer) printf(f string, a ...any) { fmt.Fprintf(w, f, a...) }

// name claims an identifier for what.
func (w *writer) name(id, what string) string {
	if other, ok := w.seen[id]; ok && w.err == nil {
		w.err = fmt.Errorf("%s and %s would both be %s", other, what, id)
	}
	w.seen[id] = what
	return id
}

// known looks a word of the facts up; one we have not met is an error.
func (w *writer) known(words map[string]string, word string) string {
	if words[word] == "" && w.err == nil {
		w.err = fmt.Errorf("unknown word %q in the facts", word)
	}
	return words[word]
}

func (w *writer) interfaces(f facts) {
	for _, i := range f.Interfaces {
		short := shortName(i.Name)
		w.printf("// Interface%s is %s.\n", short, i.Name)
		w.printf("var %s = &Interface{\nName: %q,\n", w.name("Interface"+short, i.Name), i.Name)
		w.methods(i.Methods)
		w.signalTable(i.Signals)
		w.propertyTable(i.Properties)
		w.printf("}\n\n")
		w.signals(i, short)
		w.propertyNames(i, short)
		w.attributes(i, short)
	}
}

func (w *writer) methods(ms []member) {
	if len(ms) == 0 {
		return
	}
	w.printf("Methods: []Method{\n")
	for _, m := range ms {
		w.printf("{Name: %q", m.Name)
		w.args("In", m.Args, func(a arg) bool { return !a.Out })
		w.args("Out", m.Args, func(a arg) bool { return a.Out })
		w.printf("},\n")
	}
	w.printf("},\n")
}

func (w *writer) signalTable(ss []member) {
	if len(ss) == 0 {
		return
	}
	w.printf("Signals: []Member{\n")
	for _, s := range ss {
		w.printf("{Name: %q", s.Name)
		w.args("Args", s.Args, func(arg) bool { return true })
		w.printf("},\n")
	}
	w.printf("},\n")
}

func (w *writer) args(field string, all []arg, want func(arg) bool) {
	var list []string
	for _, a := range all {
		if want(a) {
			list = append(list, fmt.Sprintf("{%q, %q}", a.Name, a.Type))
		}
	}
	if len(list) > 0 {
		w.printf(", %s: []Arg{%s}", field, strings.Join(list, ", "))
	}
}

var accesses = map[string]string{"read": "AccessRead", "write": "AccessWrite", "readwrite": "AccessReadWrite"}

func (w *writer) propertyTable(ps []property) {
	if len(ps) == 0 {
		return
	}
	w.printf("Properties: []Property{\n")
	for _, p := range ps {
		w.printf("{Name: %q, Type: %q, Access: %s", p.Name, p.Type, w.known(accesses, p.Access))
		if p.Immutable {
			w.printf(", Immutable: true")
		}
		w.printf("},\n")
	}
	w.printf("},\n")
}

func (w *writer) signals(i iface, short string) {
	if len(i.Signals) == 0 {
		return
	}
	w.printf("// Signals of %s.\nvar (\n", i.Name)
	for _, s := range i.Signals {
		var sig strings.Builder
		for _, a := range s.Args {
			sig.WriteString(a.Type)
		}
		id := w.name("Signal"+short+ident(s.Name), i.Name+"."+s.Name)
		w.printf("%s = Signal{%q, %q, %q}\n", id, i.Name, s.Name, sig.String())
	}
	w.printf(")\n\n")
}

func (w *writer) propertyNames(i iface, short string) {
	if len(i.Properties) == 0 {
		return
	}
	w.printf("// Qualified names of the properties of %s.\nconst (\n", i.Name)
	for _, p := range i.Properties {
		full := i.Name + "." + p.Name
		w.printf("%s = %q\n", w.name("Property"+short+ident(p.Name), full), full)
	}
	w.printf(")\n\n")
}

func (w *writer) attributes(i iface, short string) {
	if len(i.ContactAttributes) == 0 {
		return
	}
	w.printf("// Contact attributes of %s.\nconst (\n", i.Name)
	for _, a := range i.ContactAttributes {
		full := i.Name + "/" + a.Name
		w.printf("%s = %q // %s\n", w.name("ContactAttribute"+short+ident(a.Name), full), full, a.Type)
	}
	w.printf(")\n\n")
}

var enumTypes = map[string]string{"u": "uint32", "y": "byte"}

func (w *writer) enums(f facts) {
	for _, e := range f.Enums {
		id := w.name(ident(e.name), e.name)
		what := "one of the numbers"
		if e.Kind == "flags" {
			what = "a set of the bits"
		}
		w.printf("// %s is %s %s.\ntype %s %s\n\n", id, what, e.name, id, w.known(enumTypes, e.Type))
		w.printf("// The values of [%s].\nconst (\n", id)
		for _, v := range e.Values {
			w.printf("%s %s = %s\n", w.name(id+ident(v[0]), e.name+"_"+v[0]), id, v[1])
		}
		w.printf(")\n\n")
	}
}

const errorPrefix = "org.freedesktop.Telepathy.Error."

func (w *writer) errors(f facts) {
	w.printf("// Errors of the Telepathy specification.\nconst (\n")
	for _, e := range f.Errors {
		id := w.name("Error"+ident(strings.TrimPrefix(e, errorPrefix)), e)
		w.printf("%s ErrorName = %q\n", id, e)
	}
	w.printf(")\n")
}

// shortName is an interface's name without what all of them share.
func shortName(name string) string {
	name = strings.TrimPrefix(name, "org.freedesktop.Telepathy.")
	name = strings.TrimPrefix(name, "org.laptop.Telepathy.")
	name = strings.ReplaceAll(name, ".Interface.", ".")
	name = strings.ReplaceAll(name, ".Type.", ".")
	return ident(name)
}

// ident joins a name's words, each with an upper-case first letter.
func ident(name string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == '_' || r == '-' || r == '.' }) {
		if word == "id" {
			word = "ID"
		}
		b.WriteString(strings.ToUpper(word[:1]))
		b.WriteString(word[1:])
	}
	return b.String()
}
