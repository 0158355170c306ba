"""What the test sees of Sugar's shell, and does in it as its child would."""
import types

from gi.repository import Gdk
from gi.repository import Gio
from gi.repository import GLib

import jarabe.frame
from jarabe.journal import misc
from jarabe.model import bundleregistry
from jarabe.model import invites
from jarabe.model import neighborhood
from jarabe.model import shell
from jarabe.model.buddy import get_owner_instance
from jarabe.view.buddymenu import BuddyMenu
from sugar3.graphics.xocolor import XoColor


def desktop():
    """Is the shell complete?"""
    return jarabe.frame._view is not None


def _colors(thing):
    return thing.props.color.to_string() if thing.props.color else ''


def _others():
    return [b for b in neighborhood.get_model().get_buddies()
            if not b.is_owner()]


def _address(buddy):
    return str(buddy.props.contact_id).split('/')[0]


def buddies():
    found = []
    for b in _others():
        current = b.props.current_activity
        found.append({
            'address': _address(b), 'nick': str(b.props.nick),
            'colors': _colors(b), 'key': str(b.props.key),
            'current': current.activity_id if current else '',
        })
    return found


def activities():
    found = []
    for a in neighborhood.get_model().get_activities():
        found.append({
            'id': str(a.activity_id), 'name': str(a.props.name),
            'bundle': a.props.bundle.get_bundle_id() if a.props.bundle else '',
            'colors': _colors(a), 'private': bool(a.props.private),
            'buddies': sorted(str(b.props.nick) for b in a.get_buddies()),
            'current': sorted(str(b.props.nick)
                              for b in a.get_current_buddies()),
        })
    return found


def invitations():
    return [{'bundle': i.get_bundle_id(), 'title': i.get_activity_title(),
             'colors': i.get_color().to_string()}
            for i in invites.get_instance()]


def state():
    """For the report of a failure."""
    people = buddies()
    for b in people:
        b['key'] = b['key'][:20] + '…'
    return {'buddies': people, 'activities': activities(),
            'invitations': invitations()}


def _like(found, wanted):
    """The first that has all that is wanted; of a list, at least that."""
    for thing in found:
        if all(set(v) <= set(thing[k]) if isinstance(v, list)
               else thing[k] == v for k, v in wanted.items()):
            return thing
    return None


def buddy(wanted):
    return _like(buddies(), wanted)


def nobody(wanted):
    return _like(buddies(), wanted) is None


def activity(wanted):
    return _like(activities(), wanted)


def no_activity(activity_id):
    return _like(activities(), {'id': activity_id}) is None


def without(activity_id, nick):
    """Is somebody not seen in an activity any more?"""
    a = _like(activities(), {'id': activity_id})
    return a is None or nick not in a['buddies']


def invitation(wanted):
    return _like(invitations(), wanted)


def show_neighborhood():
    shell.get_model().set_zoom_level(shell.ShellModel.ZOOM_MESH)
    # away from the owner in the middle, whose palette would come up
    display = Gdk.Display.get_default()
    pointer = display.get_default_seat().get_pointer()
    pointer.warp(display.get_default_screen(), 300, 880)


def launch(bundle_id, activity_id):
    """Start an activity, or join it: what a click on its icon does."""
    color = None
    if activity_id:
        a = neighborhood.get_model().get_activity(activity_id)
        color = a.get_color()
    bundle = bundleregistry.get_registry().get_bundle(bundle_id)
    misc.launch(bundle, activity_id=activity_id or None, color=color)


def active(activity_id):
    """Is an activity in front, and can it be asked to invite?"""
    a = shell.get_model().get_active_activity()
    return a is not None and a.get_activity_id() == activity_id and \
        a.get_service() is not None


def invite(address):
    """Choose "Invite to …" in the menu of a buddy."""
    model = [b for b in _others() if _address(b) == address][0]
    BuddyMenu._invite_friend_cb(types.SimpleNamespace(_buddy=model), None)


def accept():
    """Choose "Join" in the menu of the invitation.

    The shell calls HandleWith as soon as the activity has its bus name;
    mission-control refuses while it does not know that name yet, and the shell
    gives up. Children click again then, and so does this.
    """
    invitation = list(invites.get_instance())[0]
    original = invitation._handle_with_reply_cb

    def heard(error=None):
        if error is not None and len(refused) < 20:
            refused.append(error)
            GLib.timeout_add(500, retry)
        else:
            original(error)

    def retry():
        invitation._call_handle_with()
        return False

    refused = []
    invitation._handle_with_reply_cb = heard
    invitation.join()
    invites.get_instance().remove_invite(invitation)


def set_colors(colors):
    get_owner_instance().props.color = XoColor(colors)


def set_nick(nick):
    Gio.Settings.new('org.sugarlabs.user').set_string('nick', nick)


def go_offline():
    neighborhood.get_model()._server_account.disable()


def go_online():
    neighborhood.get_model()._server_account.enable()


def screenshot(path):
    root = Gdk.get_default_root_window()
    picture = Gdk.pixbuf_get_from_window(
        root, 0, 0, root.get_width(), root.get_height())
    picture.savev(path, 'png', [], [])
