"""Three activities in one D-Bus tube, as python3-dbus has them.

Arguments: an address and a unique name for each of the three. Prints what is
wrong, or "ok".
"""
import sys
import time

import dbus
import dbus.connection
import dbus.service
from dbus.mainloop.glib import DBusGMainLoop
from gi.repository import GLib

PATH = '/org/laptop/Test'
IFACE = 'org.laptop.Test'
SIZE = 10 * 1024 * 1024

loop = GLib.MainLoop()
DBusGMainLoop(set_as_default=True)


class Activity(dbus.service.Object):
    def __init__(self, address, name):
        self.conn = dbus.connection.Connection(address)
        self.conn.set_unique_name(name)
        self.name = name
        self.heard = []
        self.called = 0
        super().__init__(self.conn, PATH)
        self.conn.add_signal_receiver(self.on_said, 'Said', IFACE, sender_keyword='sender',
                                      byte_arrays=True)
        self.conn.add_message_filter(self.on_message)
        self.misled = []

    @dbus.service.method(IFACE, in_signature='ay', out_signature='ay', byte_arrays=True)
    def Echo(self, data):
        self.called += 1
        return dbus.ByteArray(data)

    @dbus.service.signal(IFACE, signature='ay')
    def Said(self, data):
        pass

    def on_said(self, data, sender):
        self.heard.append((sender, len(data)))

    def on_message(self, conn, message):
        if message.get_destination() not in (None, self.name):
            self.misled.append(message.get_destination())
        return dbus.lowlevel.HANDLER_RESULT_NOT_YET_HANDLED

    def call(self, name, data):
        answer = []
        self.conn.call_async(name, PATH, IFACE, 'Echo', 'ay', (dbus.ByteArray(data),),
                             lambda v: answer.append(v), lambda e: answer.append(e), timeout=100.0, byte_arrays=True)
        wait(lambda: answer, 'answer of ' + name)
        return answer[0]


def wait(done, what):
    until = time.monotonic() + 100
    context = loop.get_context()
    GLib.timeout_add(1000, lambda: True)
    while not done():
        if time.monotonic() > until:
            sys.exit('waited in vain for the ' + what)
        context.iteration(True)


def main():
    import dbus.lowlevel
    args = sys.argv[1:]
    ada, bob, cy = everybody = [Activity(*args[i:i + 2]) for i in (0, 2, 4)]
    data = bytes(i * 7 % 251 for i in range(SIZE))

    ada.Said(b'hello')
    wait(lambda: all(a.heard for a in everybody), 'signal to all')
    if ada.call(bob.name, b'small') != b'small':
        sys.exit('a small call failed')
    if ada.call(bob.name, data) != data:
        sys.exit('a large call failed')
    if cy.call(cy.name, b'self') != b'self':
        sys.exit('a call to oneself failed')
    bob.Said(data)
    wait(lambda: all((bob.name, SIZE) in a.heard for a in everybody), 'large signal')
    nobody = ada.call(':2.bm9ib2R5', b'')
    if not isinstance(nobody, dbus.DBusException) or nobody.get_dbus_name() != 'org.freedesktop.DBus.Error.NameHasNoOwner':
        sys.exit('a call to nobody: %r' % nobody)
    if bob.called != 2 or cy.called != 1 or ada.called != 0:
        sys.exit('calls went elsewhere: %d %d %d' % (ada.called, bob.called, cy.called))
    for a in everybody:
        if a.misled:
            sys.exit('%s heard what was for %s' % (a.name, a.misled))
    print('ok')


main()
