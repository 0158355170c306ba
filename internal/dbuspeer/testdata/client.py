"""A client as Sugar's activities make it, with dbus-python: it says what it
gets on standard output and ends with the tube, or on request."""
import sys
import dbus
import dbus.connection
import dbus.mainloop.glib
import dbus.service
from gi.repository import GLib

dbus.mainloop.glib.DBusGMainLoop(set_as_default=True)
loop = GLib.MainLoop()
address, role = sys.argv[1:]
bus = dbus.connection.Connection(address)
INTERFACE = 'org.laptop.Test'
PATH = '/org/laptop/Test'


def say(*words):
    print(*words, flush=True)


def heard(text, sender=None):
    say('signal', text, 'from', sender)


class Object(dbus.service.Object):
    @dbus.service.method(INTERFACE, in_signature='sa{sv}', out_signature='s', sender_keyword='sender')
    def Echo(self, text, more, sender):
        return '%s %s from %s' % (text, sorted(more), sender)

    @dbus.service.method(INTERFACE, in_signature='ay', out_signature='u', byte_arrays=True)
    def Count(self, data):
        return len(data)

    @dbus.service.method(INTERFACE, in_signature='', out_signature='')
    def Quit(self):
        loop.quit()

    @dbus.service.signal(INTERFACE, signature='s')
    def Said(self, text):
        pass


def error_of(f, *args):
    try:
        return f(*args)
    except dbus.DBusException as e:
        return e.get_dbus_name()


bus.add_signal_receiver(heard, 'Said', INTERFACE, sender_keyword='sender')
bus.call_on_disconnection(lambda c: (say('disconnected'), loop.quit()))
o = Object(bus, PATH)
say('connected')


def call(member, signature, *args):
    return bus.call_blocking(':2.b3RoZXI', PATH, INTERFACE, member, signature, args, timeout=20)


if role == 'once':
    say(error_of(call, 'Hear', ''))
if role == 'caller':
    say('reply', call('Echo', 'sa{sv}', 'hi', {'k': dbus.Struct((1, 'x'), variant_level=1)}))
    say('count', call('Count', 'ay', dbus.ByteArray(bytes(10 << 20))))
    say('bus', error_of(lambda: bus.call_blocking('org.freedesktop.DBus', '/', 'org.freedesktop.DBus', 'ListNames', '', (), timeout=20)))
    o.Said('to all')
loop.run()
