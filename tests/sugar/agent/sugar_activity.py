"""What the test sees of an activity, and does in it as its child would."""
import hashlib
import urllib.request

from gi.repository import GLib
from gi.repository import Gtk
from gi.repository import TelepathyGLib

from sugar3.activity.activity import Activity

TUBES = TelepathyGLib.IFACE_CHANNEL_TYPE_TUBES


def _activity():
    for window in Gtk.Window.list_toplevels():
        if isinstance(window, Activity):
            return window
    return None


def identity():
    """The activity's id once it is there to be used."""
    activity = _activity()
    return activity.get_id() if activity and activity.get_mapped() else None


def share(private):
    _activity().share(private=private)


def shared():
    """Is the activity shared, or joined?"""
    return _activity().get_shared()


def participants():
    """The nicks of the others who have come into the activity.

    Sugar does not take those out again who leave.
    """
    activity = _activity().shared_activity
    if activity is None:
        return []
    return sorted(str(b.props.nick) for b in activity.get_joined_buddies())


def in_it(nicks):
    """Have these, and no others, come into the activity?"""
    return participants() == sorted(nicks)


def say(text):
    """Write into the entry of Chat."""
    entry = _activity()._entry
    entry.props.text = text
    entry.emit('activate')


def lines():
    """Chat's log: who said what."""
    said = []
    for line in _activity().chatbox.get_log().splitlines():
        fields = line.split('\t')
        if len(fields) > 4:
            said.append([fields[1], fields[4]])
    return said


def told(nick, text):
    return [nick, text] in lines()


def times(nick, text):
    """How often a line is in Chat's log."""
    return lines().count([nick, text])


# Activities with CollabWrapper

_messages = []


def listen():
    """Remember messages from now on."""
    _activity()._collab.connect(
        'message', lambda collab, buddy, message:
        _messages.append([str(buddy.props.nick), message]))
    return True


def post(message):
    _activity()._collab.post(message)


def heard(nick, message):
    return [nick, message] in _messages


# Memorize

def turn_over(n):
    """Click on a card."""
    _activity().game.card_flipped(None, n)


# Pippy

def _code():
    return _activity()._source_tabs.get_text_buffer()


def write_code(text):
    """Type at the end of the program."""
    code = _code()
    code.insert(code.get_end_iter(), text)


def code():
    return _code().props.text


def code_is(wanted):
    return code() == wanted


# Calculate

def in_tube(number):
    """Are so many in the D-Bus tube? Those who are know their own name."""
    tube = _activity()._tube_conn
    return tube is not None and len(tube.participants) == number


def calculate(term):
    """Type something and press Enter."""
    activity = _activity()
    activity.text_entry.set_text(term)
    activity.process()


def equations():
    """Who has calculated what."""
    return [[e.owner, str(e.equation), str(e.result)]
            for e in _activity().old_eqs]


def calculated(nick, result):
    return any(e[0] == nick and e[2] == result for e in equations())


# Read

def offers_book():
    return _activity()._fileserver_tube_id is not None


def wants_book():
    """Has Read been told of the tube, and tried?"""
    return not _activity()._want_document


def get_book():
    """Get the book as Read means to: two of its calls fail on Python 3."""
    tubes = _activity().shared_activity.telepathy_tubes_chan[TUBES]
    tube = [t[0] for t in tubes.ListTubes() if t[3] == 'read-activity-http'][0]
    address, port = tubes.AcceptStreamTube(
        tube, TelepathyGLib.SocketAddressType.IPV4,
        TelepathyGLib.SocketAccessControl.LOCALHOST, 0)
    url = 'http://%s:%d/document' % (address, int(port))
    with urllib.request.urlopen(url, timeout=20) as document:
        return hashlib.sha256(document.read()).hexdigest()


def opened():
    """Is a book open?"""
    return _activity()._view is not None


# Write

def write_names():
    return sorted(_activity().participants.values())


def in_write(number):
    """Are so many in AbiWord's tube?"""
    return getattr(_activity(), 'tube_id', None) is not None and \
        len(set(write_names())) == number


def state():
    """For the report of a failure."""
    activity = _activity()
    if activity is None:
        return 'no window yet'
    found = {'id': activity.get_id(), 'shared': activity.get_shared(),
             'participants': participants()}
    for mark, look in (('chatbox', lines), ('_source_tabs', code),
                       ('old_eqs', equations)):
        if hasattr(activity, mark):
            found[look.__name__] = look()
    if _messages:
        found['messages'] = _messages
    return found


def close():
    GLib.idle_add(_activity().close)  # after the answer
