package tp

// D-Bus' own interfaces, which every object has: D-Bus specification,
// "Standard Interfaces".
var (
	InterfaceDBusIntrospectable = &Interface{
		Name:    "org.freedesktop.DBus.Introspectable",
		Methods: []Method{{Name: "Introspect", Out: []Arg{{"xml_data", "s"}}}},
	}
	InterfaceDBusPeer = &Interface{
		Name: "org.freedesktop.DBus.Peer",
		Methods: []Method{
			{Name: "Ping"},
			{Name: "GetMachineId", Out: []Arg{{"machine_uuid", "s"}}},
		},
	}
	InterfaceDBusProperties = &Interface{
		Name: "org.freedesktop.DBus.Properties",
		Methods: []Method{
			{Name: "Get", In: []Arg{{"interface_name", "s"}, {"property_name", "s"}}, Out: []Arg{{"value", "v"}}},
			{Name: "GetAll", In: []Arg{{"interface_name", "s"}}, Out: []Arg{{"properties", "a{sv}"}}},
			{Name: "Set", In: []Arg{{"interface_name", "s"}, {"property_name", "s"}, {"value", "v"}}},
		},
		Signals: []Member{{
			Name: "PropertiesChanged",
			Args: []Arg{{"interface_name", "s"}, {"changed_properties", "a{sv}"}, {"invalidated_properties", "as"}},
		}},
	}
)

// SignalDBusPropertiesChanged announces changed properties. Few Telepathy
// interfaces use it (Room2, RoomConfig1, Subject2); most have signals of their own.
var SignalDBusPropertiesChanged = Signal{"org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as"}
