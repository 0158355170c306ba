package bus

import (
	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// handleGet is org.freedesktop.DBus.Properties.Get.
func handleGet(call *Call) {
	var iface, name string
	if !call.Args(&iface, &name) {
		return
	}
	i, p, err := call.object.property(iface, name)
	if err != nil {
		call.Fail(err)
		return
	}
	if !p.Access.Readable() {
		call.fail(tp.ErrorDBusAccessDenied, name+" cannot be read")
		return
	}
	v, err := i.get(p)
	if err != nil {
		call.fail(tp.ErrorDBusFailed, "internal error")
		call.conn.defect(err, "Property not sent", i.Facts.Name+"."+p.Name)
		return
	}
	call.Return(v)
}

// handleGetAll is org.freedesktop.DBus.Properties.GetAll. Without an interface
// it gives the properties of all.
func handleGetAll(call *Call) {
	var name string
	if !call.Args(&name) {
		return
	}
	all := map[string]dbus.Variant{}
	if name == "" {
		for k := range call.object.Interfaces {
			call.addAll(all, &call.object.Interfaces[k])
		}
		call.Return(all)
		return
	}
	if i := call.object.own(name); i != nil {
		call.addAll(all, i)
	} else if !call.object.has(name) {
		call.Fail(tp.Errorf(tp.ErrorDBusUnknownInterface, "%s has no interface %q", call.path, name))
		return
	}
	call.Return(all)
}

// addAll adds the readable properties of an interface. One that is broken does
// not hide the others.
func (call *Call) addAll(all map[string]dbus.Variant, i *Interface) {
	for k := range i.Facts.Properties {
		p := &i.Facts.Properties[k]
		if !p.Access.Readable() {
			continue
		}
		v, err := i.get(p)
		if err != nil {
			call.conn.defect(err, "Property not sent", i.Facts.Name+"."+p.Name)
			continue
		}
		all[p.Name] = v
	}
}

// handleSet is org.freedesktop.DBus.Properties.Set. The reply follows the
// signals that the setter emitted.
func handleSet(call *Call) {
	var iface, name string
	var v dbus.Variant
	if !call.Args(&iface, &name, &v) {
		return
	}
	i, p, err := call.object.property(iface, name)
	if err != nil {
		call.Fail(err)
		return
	}
	if !p.Access.Writable() {
		call.fail(tp.ErrorDBusPropertyReadOnly, name+" is read-only")
		return
	}
	value, ok := asType(v, p.Type)
	if !ok {
		call.Fail(tp.Errorf(tp.ErrorDBusInvalidArgs, "%s has type %q, not %q", name, p.Type, v.Signature()))
		return
	}
	if err := i.Setters[p.Name](value); err != nil {
		call.Fail(err)
		return
	}
	call.Return()
}

// property finds a property; an empty interface stands for any.
func (o *Object) property(iface, name string) (*Interface, *tp.Property, error) {
	for k := range o.Interfaces {
		i := &o.Interfaces[k]
		if iface != "" && iface != i.Facts.Name {
			continue
		}
		if p := i.Facts.Property(name); p != nil {
			return i, p, nil
		}
	}
	if iface != "" && !o.has(iface) {
		return nil, nil, tp.Errorf(tp.ErrorDBusUnknownInterface, "%s has no interface %q", o.Path, iface)
	}
	return nil, nil, tp.Errorf(tp.ErrorDBusUnknownProperty, "%s has no property %q", o.Path, name)
}

// get asks the getter and makes sure that what it gives can be sent.
func (i *Interface) get(p *tp.Property) (dbus.Variant, error) {
	value := i.Properties[p.Name]()
	if err := fits(p.Type, value); err != nil {
		return dbus.Variant{}, err
	}
	return dbus.MakeVariantWithSignature(value, dbus.ParseSignatureMust(p.Type)), nil
}
