// Package tp holds the names, signatures and numbers of the Telepathy D-Bus
// interface specification 0.27 and of OLPC's extensions to it, as static data
// generated from telepathy-facts.json. Nothing refers to all interfaces at
// once, so that the linker keeps only what the program uses.
package tp

import "strings"

//go:generate go run ./gen

// Interface is the shape of one D-Bus interface. It is read-only.
type Interface struct {
	Name       string
	Methods    []Method
	Signals    []Member
	Properties []Property
}

// Method is one method with its arguments in wire order.
type Method struct {
	Name    string
	In, Out []Arg
}

// Member is one signal with its arguments in wire order.
type Member struct {
	Name string
	Args []Arg
}

// Arg is one argument; Type is a single complete D-Bus type. Name is empty
// where the specification gives none.
type Arg struct {
	Name, Type string
}

// Property is one D-Bus property. Name is without the interface.
type Property struct {
	Name, Type string
	Access     Access
	Immutable  bool // never changes in the object's life; for channels: belongs into NewChannels
}

// Access says which way a property goes, in the words of introspection data.
type Access string

// The accesses of the D-Bus specification, "Introspection Data Format".
const (
	AccessRead      Access = "read"
	AccessWrite     Access = "write"
	AccessReadWrite Access = "readwrite"
)

// Readable says whether Get and GetAll show the property.
func (a Access) Readable() bool { return a != AccessWrite }

// Writable says whether Set takes the property.
func (a Access) Writable() bool { return a != AccessRead }

// Signal names one signal of an interface and the signature of its body.
type Signal struct {
	Interface, Name, Signature string
}

// InSignature is the signature of a call's body.
func (m *Method) InSignature() string { return signature(m.In) }

// OutSignature is the signature of a reply's body.
func (m *Method) OutSignature() string { return signature(m.Out) }

// Method finds a method by name; nil when there is none.
func (i *Interface) Method(name string) *Method {
	for k := range i.Methods {
		if i.Methods[k].Name == name {
			return &i.Methods[k]
		}
	}
	return nil
}

// Property finds a property by name; nil when there is none.
func (i *Interface) Property(name string) *Property {
	for k := range i.Properties {
		if i.Properties[k].Name == name {
			return &i.Properties[k]
		}
	}
	return nil
}

func signature(args []Arg) string {
	if len(args) == 1 {
		return args[0].Type
	}
	var b strings.Builder
	for _, a := range args {
		b.WriteString(a.Type)
	}
	return b.String()
}
