# A client of telepathy-glib, as a desktop program would write it: prepares an
# account's connection and prints as JSON what the library makes of it.
#
#   contact.py /org/freedesktop/Telepathy/Account/…
#
# Exit status 77: the library is not installed.
import json
import sys

try:
    import gi
    gi.require_version('TelepathyGLib', '0.12')
    from gi.repository import GLib, TelepathyGLib as Tp
except (ImportError, ValueError) as why:
    print(why, file=sys.stderr)
    sys.exit(77)

CONNECTION = [Tp.Connection.get_feature_quark_connected(),
              Tp.Connection.get_feature_quark_capabilities(),
              Tp.Connection.get_feature_quark_contact_list()]
CONTACT = [Tp.ContactFeature.ALIAS, Tp.ContactFeature.PRESENCE]


def call(begin, finish):
    """Runs the main loop until an asynchronous call has its result."""
    loop = GLib.MainLoop()
    results = []

    def done(source, result, *_):
        results.append(result)
        loop.quit()
    begin(done)
    loop.run()
    return finish(results[0])


bus = Tp.DBusDaemon.dup()
factory = Tp.SimpleClientFactory.new(bus)
factory.add_contact_features(CONTACT)
factory.add_connection_features(CONNECTION)
account = factory.ensure_account(sys.argv[1], {})
call(lambda done: account.prepare_async([Tp.Account.get_feature_quark_core()], done, None), account.prepare_finish)
connection = account.get_connection()
call(lambda done: connection.prepare_async(CONNECTION, done, None), connection.prepare_finish)
self_contact = connection.get_self_contact()
call(lambda done: connection.upgrade_contacts_async([self_contact], CONTACT, done, None), connection.upgrade_contacts_finish)
json.dump({
    'status': connection.get_status()[0],
    'identifier': self_contact.get_identifier(),
    'alias': self_contact.get_alias(),
    'presence': self_contact.get_presence_status(),
    'contacts': [contact.get_identifier() for contact in connection.dup_contact_list()],
    'channel classes': connection.get_capabilities().dup_channel_classes_variant().n_children(),
    'prepared': [connection.is_prepared(feature) for feature in CONNECTION],
}, sys.stdout)
