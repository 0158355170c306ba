"""What the test sees of Sugar's shell, and does in it as its child would."""
import hashlib
import os
import types

from gi.repository import Gdk
from gi.repository import Gio
from gi.repository import GLib
from gi.repository import Gtk

import jarabe.frame
from jarabe.frame.activitiestray import BaseTransferButton
from jarabe.frame.activitiestray import IncomingTransferButton
from jarabe.journal import misc
from jarabe.journal import model as journal
from jarabe.journal import palettes
from jarabe.model import bundleregistry
from jarabe.model import filetransfer
from jarabe.model import friends
from jarabe.model import invites
from jarabe.model import neighborhood
from jarabe.model import shell
from jarabe.model.buddy import get_owner_instance
from jarabe.view.buddymenu import BuddyMenu
from sugar3.datastore import datastore
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
            'invitations': invitations(), 'files': files()}


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
        a.get_service() is not None and \
        a.props.launch_status == shell.Activity.LAUNCHED


def _menu(address):
    """What is needed of the menu of a buddy."""
    model = [b for b in _others() if _address(b) == address][0]
    return types.SimpleNamespace(_buddy=model)


def invite(address):
    """Choose "Invite to …" in the menu of a buddy.

    The shell waits for the activity's answer then. So nothing of the shell's
    may be under way that the activity waits for, such as a grab of the X
    server: as with a click, everything else is done and flushed before.
    """
    def clicked():
        Gdk.Display.get_default().sync()
        BuddyMenu._invite_friend_cb(menu, None)

    menu = _menu(address)
    GLib.idle_add(clicked, priority=GLib.PRIORITY_LOW)


def make_friend(address):
    """Choose "Make friend" in the menu of a buddy."""
    BuddyMenu._make_friend_cb(_menu(address), None)


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


# Files from Journal to Journal.

def _entries(title):
    found, _count = datastore.find({'title': title})
    return [e for e in found if e.metadata['title'] == title]


def keep(title, description, mime_type, path):
    """Put a file into the Journal."""
    entry = datastore.create()
    entry.metadata['title'] = title
    entry.metadata['description'] = description
    entry.metadata['mime_type'] = mime_type
    entry.metadata['icon-color'] = _colors(get_owner_instance())
    entry.file_path = path
    datastore.write(entry)


def read_entry(title, bundle_id):
    """Open an entry of the Journal with an activity."""
    bundle = bundleregistry.get_registry().get_bundle(bundle_id)
    misc.launch(bundle, object_id=_entries(title)[0].object_id)


def friend_is_there(nick):
    return any(f.is_present() and f.get_nick() == nick
               for f in friends.get_model())


def send_to(nick, title):
    """Choose "Send to" and a friend in the menu of a Journal entry."""
    if not filetransfer.file_transfer_available():
        raise RuntimeError('the Journal does not offer to send')
    friend = [f for f in friends.get_model()
              if f.is_present() and f.get_nick() == nick][0]
    entry = journal.get(_entries(title)[0].object_id)
    palettes.ObjectPalette._ObjectPalette__friend_selected_cb(
        types.SimpleNamespace(_metadata=entry, emit=print), None, friend)


def _widgets(widget):
    yield widget
    if isinstance(widget, Gtk.Container):
        for child in widget.get_children():
            yield from _widgets(child)


def _transfers():
    """The buttons of files that come or go, which are in the frame."""
    return [w for top in Gtk.Window.list_toplevels() for w in _widgets(top)
            if isinstance(w, BaseTransferButton)]


def _transfer(title):
    for button in _transfers():
        if button.file_transfer.title == title:
            return button
    return None


def files():
    found = []
    for button in _transfers():
        f = button.file_transfer
        found.append({
            'title': str(f.title), 'description': str(f.description),
            'type': str(f.mime_type), 'size': int(f.file_size),
            'from': str(f.buddy.props.nick)
            if isinstance(button, IncomingTransferButton) else '',
            'state': int(f.props.state),
        })
    return found


def offered(wanted):
    return _like(files(), dict(wanted, state=filetransfer.FT_STATE_PENDING))


def accept_file(title):
    """Choose "Accept" in the menu of a file that is offered."""
    palette = _transfer(title).create_palette()
    palette._IncomingTransferPalette__accept_activate_cb(None)


def complete(wanted):
    """Has a file gone or come as a whole?"""
    return _like(files(), dict(wanted, state=filetransfer.FT_STATE_COMPLETED))


def kept(title):
    """Has a file come, and has the Journal taken it from where it came to?"""
    transfer = _transfer(title).file_transfer
    return transfer.props.state == filetransfer.FT_STATE_COMPLETED and \
        not os.path.exists(transfer.destination_path)


def journal_sum(title):
    """The SHA-256 of a file in the Journal."""
    with open(_entries(title)[0].file_path, 'rb') as f:
        return hashlib.sha256(f.read()).hexdigest()


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
