"""Eyes and hands of the test inside the unmodified shell and activities of Sugar.

Python loads this file because it is on PYTHONPATH. The shell and each activity
then connect to the test's socket and say who they are; for all other programs
it does nothing. The test sends questions, one JSON object a line:

    {"id": 1, "call": "buddies", "args": [], "until": false}

The call is a function of sugar_shell.py or sugar_activity.py, which runs in
the main loop like everything of Sugar, and is answered with "result" or
"error". One that is to be made "until" it gives something is made again on
each turn of the main loop, since nothing can change between two turns.
"""
import os
import sys


def role():
    """The module with the functions for this process, None for others."""
    argv = sys.orig_argv
    if 'jarabe.main' in argv:
        return 'sugar_shell'
    if any(os.path.basename(a) == 'sugar-activity3' for a in argv[:2]):
        return 'sugar_activity'
    return None


def start(address, module):
    import importlib
    import json
    import socket
    import traceback

    from gi.repository import GLib

    connection = socket.socket(socket.AF_UNIX)
    connection.connect(address)
    requests = connection.makefile('rb', buffering=0)
    waiting = []

    def send(message):
        connection.sendall(json.dumps(message, default=str).encode() + b'\n')

    def attempt(request):
        """Answer a question if that can be done now."""
        try:
            functions = importlib.import_module(module)
            result = getattr(functions, request['call'])(*request['args'])
            if not result and request['until']:
                return False
            send({'id': request['id'], 'result': result})
        except Exception:
            send({'id': request['id'], 'error': traceback.format_exc()})
        return True

    def look():
        for request in list(waiting):
            if attempt(request):
                waiting.remove(request)

    class Turns(GLib.Source):
        """Prepared on each turn of the main loop, and never ready."""

        def prepare(self):
            look()
            return False, -1

        def check(self):
            return False

        def dispatch(self, callback, args):
            return True

    def readable(source, condition):
        line = requests.readline()
        if not line:
            return False
        waiting.append(json.loads(line.decode()))
        return True

    turns = Turns()
    turns.set_priority(GLib.PRIORITY_HIGH)  # so that no ready source hides it
    turns.attach()
    GLib.io_add_watch(connection, GLib.IO_IN | GLib.IO_HUP, readable)
    send({
        'role': module, 'pid': os.getpid(),
        'bundle': os.environ.get('SUGAR_BUNDLE_ID', ''),
    })
    start.alive = turns, requests  # as long as the process


_address = os.environ.get('SUGAR_TEST_SOCKET')
_module = role()
if _address and _module:
    start(_address, _module)
