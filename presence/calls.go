package presence

import (
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// whileConnected answers Disconnected unless the status is CONNECTED.
func whileConnected(h Host, serve func(*bus.Call)) func(*bus.Call) {
	return func(call *bus.Call) {
		if !h.IsConnected() {
			call.Fail(errDisconnected())
			return
		}
		serve(call)
	}
}

// contactsOf takes the contacts that are the only argument of a call. It
// answers the call when one of them is none.
func contactsOf(h Host, call *bus.Call) ([]uint32, bool) {
	var contacts []uint32
	if !call.Args(&contacts) {
		return nil, false
	}
	for _, contact := range contacts {
		if _, known := h.Handles().Contacts.ID(contact); !known {
			call.Fail(errNoContact(contact))
			return nil, false
		}
	}
	return contacts, true
}

// contactOf takes the contact that is the only argument of a call.
func contactOf(h Host, call *bus.Call) (uint32, bool) {
	var contact uint32
	if !call.Args(&contact) {
		return 0, false
	}
	if _, known := h.Handles().Contacts.ID(contact); !known {
		call.Fail(errNoContact(contact))
		return 0, false
	}
	return contact, true
}

func errNoContact(contact uint32) error {
	return tp.Errorf(tp.ErrorInvalidHandle, "%d is not a contact", contact)
}
