package main

import (
	"fmt"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/tp"
)

// Names of what mission-control's clients are and call.
const (
	clientPath     = dbus.ObjectPath("/org/freedesktop/Telepathy/Client/Sugar")
	clientName     = "org.freedesktop.Telepathy.Client.Sugar"
	clientFace     = "org.freedesktop.Telepathy.Client"
	approverFace   = clientFace + ".Approver"
	handlerFace    = clientFace + ".Handler"
	dispatcherName = "org.freedesktop.Telepathy.ChannelDispatcher"
	claimMethod    = "org.freedesktop.Telepathy.ChannelDispatchOperation.Claim"
)

// client is what Sugar's shell is for mission-control, which would close the channel of a file that comes if nobody was there
// to look after it: it claims each, for its activities to take.
type client struct{ bus *dbus.Conn }

// export puts the client on a child's bus.
func (c client) export() error {
	for _, face := range []string{approverFace, handlerFace, tp.InterfaceDBusProperties.Name} {
		if err := c.bus.Export(c, clientPath, face); err != nil {
			return err
		}
	}
	reply, err := c.bus.RequestName(clientName, dbus.NameFlagDoNotQueue)
	if err == nil && reply != dbus.RequestNameReplyPrimaryOwner {
		err = fmt.Errorf("%s is taken", clientName)
	}
	return err
}

// properties say that the client handles everything, as Sugar's does, and is to be asked about files.
func (c client) properties(face string) map[string]dbus.Variant {
	switch face {
	case clientFace:
		return map[string]dbus.Variant{"Interfaces": dbus.MakeVariant([]string{approverFace, handlerFace})}
	case handlerFace:
		return map[string]dbus.Variant{"HandlerChannelFilter": dbus.MakeVariant([]map[string]dbus.Variant{{}})}
	case approverFace:
		files := map[string]dbus.Variant{
			tp.PropertyChannelChannelType:      dbus.MakeVariant(tp.InterfaceChannelFileTransfer.Name),
			tp.PropertyChannelTargetHandleType: dbus.MakeVariant(uint32(tp.HandleTypeContact)),
		}
		return map[string]dbus.Variant{"ApproverChannelFilter": dbus.MakeVariant([]map[string]dbus.Variant{files})}
	}
	return nil
}

// GetAll serves the properties of an interface.
func (c client) GetAll(face string) (map[string]dbus.Variant, *dbus.Error) {
	return c.properties(face), nil
}

// Get serves one.
func (c client) Get(face, name string) (dbus.Variant, *dbus.Error) {
	value, is := c.properties(face)[name]
	if !is {
		return value, dbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{name})
	}
	return value, nil
}

// channel is one that mission-control asks about.
type channel struct {
	Path       dbus.ObjectPath
	Properties map[string]dbus.Variant
}

// HandleChannels has nothing to do: activities find their channels by the connection's signals.
func (c client) HandleChannels(_, _ dbus.ObjectPath, _ []channel, _ []dbus.ObjectPath, _ uint64, _ map[string]dbus.Variant) *dbus.Error {
	return nil
}

// AddDispatchOperation claims channels, behind the answer as Sugar does.
func (c client) AddDispatchOperation(_ []channel, operation dbus.ObjectPath, _ map[string]dbus.Variant) *dbus.Error {
	c.bus.Object(dispatcherName, operation).Go(claimMethod, 0, nil)
	return nil
}
