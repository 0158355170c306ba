"""Uses test.Book as Sugar uses a connection manager; prints one result a line."""

import sys

import dbus

NAME = 'test.Book'


def show(label, call):
    try:
        result = call()
    except dbus.DBusException as e:
        result = e.get_dbus_name()
    print(label, repr(result) if not isinstance(result, str) else str(result))


def refused(call, *args):
    try:
        call(*args)
    except OverflowError:
        return True
    return False


bus = dbus.SessionBus()
book = bus.get_object(sys.argv[1], '/t/book')
iface = dbus.Interface(book, NAME)
props = dbus.Interface(book, dbus.PROPERTIES_IFACE)

# Marshalled by introspection: a plain number as u, an empty dict as a{sv}.
show('note', lambda: int(iface.Note(7)))
show('lookup', lambda: [[(int(page), str(word)) for page, word in iface.Lookup('x', {})[0]]])
show('negative', lambda: 'refused' if refused(iface.Note, -1) else 'sent')
# No introspection helps with what is in a variant.
show('set', lambda: props.Set(NAME, 'Pages', 300))
show('pages', lambda: int(props.Get(NAME, 'Pages')))
show('all', lambda: ' '.join(sorted(props.GetAll(NAME))))
# Without an interface, as CollabWrapper and the invited activity call.
show('bare note', lambda: int(book.Note(dbus.UInt32(8))))
show('bare get', lambda: book.Get(NAME, 'Title'))
show('bare introspect', lambda: 'test.Book' in book.Introspect())
show('bare guess', lambda: book.Note(9))  # sent as i
show('no method', lambda: iface.Burn())
show('no object', lambda: bus.get_object(sys.argv[1], '/t/none', introspect=False).Close(dbus_interface=NAME))
show('introspect nodes', lambda: '<node name="book"/>' in bus.get_object(sys.argv[1], '/t').Introspect())
