"""A client by GLib's own implementation of D-Bus, which does not use libdbus."""
import sys
from gi.repository import Gio, GLib

flags = Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT
bus = Gio.DBusConnection.new_for_address_sync(sys.argv[1], flags, None, None)
try:
    bus.call_sync(':2.b3RoZXI', '/', 'org.laptop.Test', 'Hear', GLib.Variant('(ay)', (bytes(100000),)),
                  None, Gio.DBusCallFlags.NONE, 20000, None)
except GLib.Error as e:
    print(e.message, flush=True)
