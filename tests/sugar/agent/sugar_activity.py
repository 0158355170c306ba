"""What the test sees of an activity, and does in it as its child would."""
from gi.repository import GLib
from gi.repository import Gtk

from sugar3.activity.activity import Activity


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


def state():
    """For the report of a failure."""
    activity = _activity()
    if activity is None:
        return 'no window yet'
    return {'id': activity.get_id(), 'shared': activity.get_shared(),
            'participants': participants(),
            'lines': lines() if hasattr(activity, 'chatbox') else None}


def close():
    GLib.idle_add(_activity().close)  # after the answer
