// Package muc is rooms: multi-user chat, XEP-0045, with self-ping, XEP-0410,
// and direct invitations, XEP-0249.
//
// A [Room] is one room that we are in, or on the way into or out of. It keeps
// who is there, as the server tells it, and says what changes through [Events].
// Invitations and the description of a room are read and built by functions
// without state, since they concern rooms that we are not in.
//
// Everything belongs to the connection's loop. Callbacks run within the
// handling of the stanza or timer that caused them, after the Room's own state
// has changed, and may call the Room's methods.
//
// Order: Joined comes first, with everybody who is there; messages that arrive
// before it follow it. Ended is last, comes once for each Room whatever
// happens, and nothing follows it. Between the two, the events make of the
// occupants of Joined what [Room.Occupants] gives.
//
// Who is who is what the room says of its occupants, never what an occupant
// says: a presence or message is believed for its sender alone. What a room
// can make us keep is bounded, see maxOccupants, maxPresenceBytes and maxHeld.
//
// When the room has forgotten us without a word (after a crash of the server,
// say), it is entered again under the same nick; whoever is gone by then has
// left, whoever is new has entered, and Rejoined says that it happened.
package muc
