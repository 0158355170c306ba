package manager

import (
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/manager/connection"
)

// Protocol is one protocol of a connection manager. The table in it is the one
// source of the Protocol object on the bus, of the older ConnectionManager
// methods and of the .manager file (Telepathy specification, Protocol).
type Protocol struct {
	Name        string
	EnglishName string
	Icon        string
	VCardField  string
	Parameters  []Parameter
	// ConnectionInterfaces and Channels say what a Connection may offer.
	ConnectionInterfaces []string
	Channels             []channels.Class
	Statuses             map[string]connection.StatusSpec
	// Identify names the account that the parameters belong to.
	Identify func(Values) (string, error)
	// Normalize gives a contact's identifier its canonical form; nil where
	// that makes no sense off-line.
	Normalize func(string) (string, error)
	// Configure turns checked parameters into a Connection's configuration.
	// Its error is the answer to RequestConnection.
	Configure func(Values) (connection.Config, error)
}

// interfaces lists the optional interfaces of the Protocol object.
func (p *Protocol) interfaces() []string {
	if p.Statuses == nil {
		return []string{}
	}
	return []string{tp.InterfaceProtocolPresence.Name}
}

// paramSpec is Param_Spec, (susv).
type paramSpec struct {
	Name      string
	Flags     tp.ConnMgrParamFlags
	Signature string
	Default   dbus.Variant
}

func (p *Protocol) paramSpecs() []paramSpec {
	specs := make([]paramSpec, len(p.Parameters))
	for i, param := range p.Parameters {
		specs[i] = paramSpec{param.Name, param.flags(), param.Signature, dbus.MakeVariant(param.value())}
	}
	return specs
}

// properties are the Protocol object's own, in the form of its Get and GetAll.
func (p *Protocol) properties() map[string]func() any {
	return map[string]func() any{
		"Interfaces":                bus.Fixed(p.interfaces()),
		"Parameters":                func() any { return p.paramSpecs() },
		"ConnectionInterfaces":      bus.Fixed(p.ConnectionInterfaces),
		"RequestableChannelClasses": bus.Fixed(connection.RequestableChannelClasses(p.Channels)),
		"VCardField":                bus.Fixed(p.VCardField),
		"EnglishName":               bus.Fixed(p.EnglishName),
		"Icon":                      bus.Fixed(p.Icon),
		"AuthenticationTypes":       bus.Fixed([]string{}),
	}
}

// immutable is the Protocol's entry in ConnectionManager.Protocols: all its
// properties under their full names.
func (p *Protocol) immutable() map[string]dbus.Variant {
	all := make(map[string]dbus.Variant)
	for _, i := range p.object("/").Interfaces {
		for name, get := range i.Properties {
			all[i.Facts.Name+"."+name] = dbus.MakeVariant(get())
		}
	}
	return all
}

// object is the Protocol object, to be exported at path.
func (p *Protocol) object(path dbus.ObjectPath) bus.Object {
	o := bus.Object{Path: path, Interfaces: []bus.Interface{{
		Facts:      tp.InterfaceProtocol,
		Properties: p.properties(),
		Methods: map[string]func(*bus.Call){
			"IdentifyAccount":  p.identifyAccount,
			"NormalizeContact": p.normalizeContact,
		},
	}}}
	if p.Statuses != nil {
		o.Interfaces = append(o.Interfaces, bus.Interface{
			Facts:      tp.InterfaceProtocolPresence,
			Properties: map[string]func() any{"Statuses": bus.Fixed(p.Statuses)},
		})
	}
	return o
}

func (p *Protocol) identifyAccount(call *bus.Call) {
	var given map[string]dbus.Variant
	if !call.Args(&given) {
		return
	}
	values, err := parseValues(p.Parameters, given)
	if err != nil {
		call.Fail(err)
		return
	}
	id, err := p.Identify(values)
	if err != nil {
		call.Fail(err)
		return
	}
	call.Return(id)
}

func (p *Protocol) normalizeContact(call *bus.Call) {
	var id string
	if !call.Args(&id) {
		return
	}
	if p.Normalize == nil {
		call.Fail(tp.Errorf(tp.ErrorNotImplemented, "%s identifiers are not known before connecting", p.Name))
		return
	}
	normal, err := p.Normalize(id)
	if err != nil {
		call.Fail(err)
		return
	}
	call.Return(normal)
}

// pathName is the protocol's name as it stands in object paths and bus names.
func (p *Protocol) pathName() string {
	return strings.ReplaceAll(p.Name, "-", "_")
}
