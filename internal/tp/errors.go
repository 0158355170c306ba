package tp

import "fmt"

// ErrorName is the D-Bus name of an error. The generated constants are those
// of the Telepathy specification.
type ErrorName string

// Errors of D-Bus itself, D-Bus specification, "Standard Interfaces", and
// libdbus' dbus-protocol.h.
const (
	ErrorDBusFailed           ErrorName = "org.freedesktop.DBus.Error.Failed"
	ErrorDBusInvalidArgs      ErrorName = "org.freedesktop.DBus.Error.InvalidArgs"
	ErrorDBusPropertyReadOnly ErrorName = "org.freedesktop.DBus.Error.PropertyReadOnly"
	ErrorDBusAccessDenied     ErrorName = "org.freedesktop.DBus.Error.AccessDenied"
	ErrorDBusLimitsExceeded   ErrorName = "org.freedesktop.DBus.Error.LimitsExceeded"
	ErrorDBusUnknownInterface ErrorName = "org.freedesktop.DBus.Error.UnknownInterface"
	ErrorDBusUnknownMethod    ErrorName = "org.freedesktop.DBus.Error.UnknownMethod"
	ErrorDBusUnknownObject    ErrorName = "org.freedesktop.DBus.Error.UnknownObject"
	ErrorDBusUnknownProperty  ErrorName = "org.freedesktop.DBus.Error.UnknownProperty"
)

// Error is what a D-Bus client gets instead of a reply.
type Error struct {
	Name    ErrorName
	Message string // for a developer's eyes; clients decide by Name
}

// Errorf makes an [Error] with a formatted message. Two hundred copies of it
// would only make the program larger.
//
//go:noinline
func Errorf(name ErrorName, format string, a ...any) *Error {
	return &Error{Name: name, Message: fmt.Sprintf(format, a...)}
}

// Error gives the name and the message.
func (e *Error) Error() string {
	if e.Message == "" {
		return string(e.Name)
	}
	return string(e.Name) + ": " + e.Message
}
