// Package handle keeps the handles of one Connection: small numbers that stand
// for contacts, rooms, lists and groups on D-Bus (Telepathy specification,
// Connection, "Handles").
//
// Handles count up from 1 in order of first use and live as long as the
// Connection does (HasImmortalHandles), so a Repo only ever grows. A Repo is
// part of its Connection's state and is used on that Connection's loop only.
package handle

import "telepathy-olpc/xmpp/jid"

// Repo numbers identifiers of one handle type.
type Repo[ID comparable] struct {
	handles map[ID]uint32
	ids     []ID // ids[h-1] is the identifier of handle h
}

// Ensure returns the handle of id, a new one when id has none yet.
//
//go:noinline
func (r *Repo[ID]) Ensure(id ID) uint32 {
	if h, known := r.handles[id]; known {
		return h
	}
	if r.handles == nil {
		r.handles = make(map[ID]uint32)
	}
	r.ids = append(r.ids, id)
	h := uint32(len(r.ids))
	r.handles[id] = h
	return h
}

// Lookup returns the handle of id and whether it has one.
func (r *Repo[ID]) Lookup(id ID) (uint32, bool) {
	h, known := r.handles[id]
	return h, known
}

// ID returns the identifier behind h and whether h is a handle of this Repo.
//
//go:noinline
func (r *Repo[ID]) ID(h uint32) (ID, bool) {
	if h == 0 || uint64(h) > uint64(len(r.ids)) {
		var none ID
		return none, false
	}
	return r.ids[h-1], true
}

// Set holds the handle spaces of one Connection. A number means nothing
// without its type: contact 3 and room 3 are strangers.
type Set struct {
	Contacts Repo[jid.JID] // bare JIDs, and full JIDs of room occupants
	Rooms    Repo[jid.JID] // bare JIDs
	Lists    Repo[string]  // names of ContactList channels
	Groups   Repo[string]  // names of roster groups
}
