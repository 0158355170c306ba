"""Tells of each message on standard input, behind its length in four bytes,
whether libdbus takes it: one byte, 0 or 1."""
import ctypes
import struct
import sys

lib = ctypes.CDLL('libdbus-1.so.3')
lib.dbus_message_demarshal.restype = ctypes.c_void_p
lib.dbus_message_demarshal.argtypes = [ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p]
lib.dbus_message_unref.argtypes = [ctypes.c_void_p]
data = sys.stdin.buffer.read()
at, out = 0, bytearray()
error = ctypes.create_string_buffer(64)
while at < len(data):
    size, = struct.unpack_from('<I', data, at)
    message = data[at + 4:at + 4 + size]
    at += 4 + size
    lib.dbus_error_init(error)
    m = lib.dbus_message_demarshal(message, size, error)
    out.append(1 if m else 0)
    if m:
        lib.dbus_message_unref(m)
    else:
        lib.dbus_error_free(error)
sys.stdout.buffer.write(out)
