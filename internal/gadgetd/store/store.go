// Package store keeps what a server component must not forget when it
// restarts: who publishes, and which activities are public.
//
// What depends on the moment is not kept: who is on-line, what they look like,
// who has which view. It is told anew to whoever asks, and belongs to the one
// instance whose stream it came over. What is kept is a record per key, each
// written for itself, the last one counting: so a database that several
// instances share can take the place of the file.
package store

import (
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
)

// Publisher is somebody with whom the component has a subscription.
type Publisher struct {
	JID jid.JID // bare
	// Hears: the component's presence is sent there.
	Hears bool
	// Publishes: the component is sent theirs, and may show them.
	Publishes bool
}

// State is all that is kept.
type State struct {
	Publishers []Publisher
	Activities []olpc.Activity // that the component was invited to and has found public
}

// Store keeps it. All but Load and Close return at once and may be called from
// any goroutine; what cannot be written is tried again, and told to the log.
type Store interface {
	// Load gives what is kept. It blocks, and is called before anything else.
	Load() (State, error)
	// PutPublisher keeps a record; one that neither hears nor publishes is
	// removed.
	PutPublisher(Publisher)
	PutActivity(olpc.Activity)
	DeleteActivity(room jid.JID)
	// Close writes what is not yet written and ends; it blocks.
	Close() error
}
