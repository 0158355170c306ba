package caps

import (
	"container/list"
	"io"
	"slices"
	"time"

	"github.com/sirupsen/logrus"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
)

// Bounds on what contacts can make us do and keep.
const (
	maxContacts      = 50_000
	maxUnderWay      = 16      // questions to all contacts
	maxPerPerson     = 2       // questions to the clients of one account, so that one does not fill them all
	maxPerVersion    = 4       // questions about one hash, once holders fail
	maxLook          = 64      // hashes passed over in search of one that can be asked for
	maxUnsharedBytes = 4 << 20 // infos that hold for one contact only
)

// patience is how long a holder of a hash has before the next is asked. A late
// answer still counts.
const patience = 15 * time.Second

// Config says what a [Resolver] works with.
type Config struct {
	Asker disco.Asker
	// After calls f on the loop when d has passed, unless it was stopped.
	After func(d time.Duration, label string, f func()) (stop func())
	// Changed names the contacts of whom [Resolver.Info] says something new,
	// all that one answer concerns at once.
	Changed func(contacts []jid.JID)
	Log     *logrus.Entry // nil logs nothing
}

// Resolver finds out what the clients of contacts can do, by their full
// addresses.
type Resolver struct {
	cfg      Config
	contacts map[jid.JID]contact
	versions map[key]*version // those that contacts announce
	queue    list.List        // of *version that want to ask
	known    cache
	unsaved  bool // known has what no snapshot has

	underWay  int             // questions
	perPerson map[jid.JID]int // questions, by bare address
	unshared  int             // bytes
	asking    bool            // within next
	closed    bool
}

// contact is what is known of a client. While it announces something unknown,
// that is what it could do before.
type contact struct {
	version  *version
	info     *disco.Info // nil if nothing is known
	unshared int         // bytes of info, if it is of no other contact
}

// key tells apart what contacts announce: a hash that can be verified, whoever
// announces it, or else what one contact says.
type key struct {
	caps Caps // for a hash without node, which has no part in it
	only jid.JID
}

// version is one thing that contacts announce.
type version struct {
	key      key
	info     *disco.Info // nil until known
	refs     int         // contacts
	holders  []holder    // who can be asked, while info is not known
	underWay int         // questions
	failed   int         // questions that brought nothing
	place    *list.Element
}

type holder struct {
	who   jid.JID
	node  string // as announced
	asked bool
}

// NewResolver makes a resolver; nothing happens before [Resolver.Seen].
func NewResolver(cfg Config) *Resolver {
	if cfg.Log == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		cfg.Log = logrus.NewEntry(silent)
	}
	return &Resolver{cfg: cfg, contacts: make(map[jid.JID]contact), versions: make(map[key]*version), perPerson: make(map[jid.JID]int)}
}

// Seen takes what a contact's presence announces. It tells whether
// [Resolver.Info] changed at once; if it changes later, Changed says so.
func (r *Resolver) Seen(from jid.JID, c Caps) (changed bool) {
	k := keyOf(from, c)
	before, met := r.contacts[from]
	if r.closed || met && before.version.key == k || !met && len(r.contacts) >= maxContacts {
		return false
	}
	v := r.version(k)
	v.refs++
	r.contacts[from] = contact{v, before.info, before.unshared}
	if met {
		r.leave(from, before.version)
	}
	if v.info != nil {
		r.setInfo(from, v.info, 0)
		return before.info != v.info
	}
	v.holders = append(v.holders, holder{who: from, node: c.Node})
	r.requeue(v)
	r.next()
	return false
}

// Forget drops a contact that went offline.
func (r *Resolver) Forget(who jid.JID) {
	c, met := r.contacts[who]
	if !met {
		return
	}
	r.unshared -= c.unshared
	delete(r.contacts, who)
	r.leave(who, c.version)
	r.next()
}

// Info tells what a contact's client can do, nil if that is not known. It is
// shared and not to be changed.
func (r *Resolver) Info(who jid.JID) *disco.Info { return r.contacts[who].info }

// Learn takes what is known without a question: our own announcement, so that
// nobody with the same software is asked.
func (r *Resolver) Learn(c Caps, info *disco.Info) {
	r.Restore([]Known{{c.Hash, c.Ver, info}})
}

// Restore takes what was known in an earlier session, as [Load] gives it.
func (r *Resolver) Restore(known []Known) {
	var changed []jid.JID
	for _, k := range slices.Backward(known) { // the first was used last
		r.known.put(k)
		changed = append(changed, r.resolve(key{caps: Caps{Hash: k.Hash, Ver: k.Ver}}, k.Info)...)
	}
	r.announce(changed)
	r.next()
}

// Unsaved tells whether something was learned since the last snapshot.
func (r *Resolver) Unsaved() bool { return r.unsaved }

// Snapshot gives what is worth to be saved by [Save].
func (r *Resolver) Snapshot() []Known {
	r.unsaved = false
	return r.known.all()
}

// Close ends it: nothing is asked and Changed is not called any more.
func (r *Resolver) Close() { r.closed = true }

func keyOf(from jid.JID, c Caps) key {
	if hashes[c.Hash] != nil {
		return key{caps: Caps{Hash: c.Hash, Ver: c.Ver}}
	}
	return key{c, from}
}

// version finds what contacts announce, or adds it.
func (r *Resolver) version(k key) *version {
	v := r.versions[k]
	if v == nil {
		v = &version{key: k}
		if k.only.IsZero() {
			v.info = r.known.get(hashKey{k.caps.Hash, k.caps.Ver})
		}
		r.versions[k] = v
	}
	return v
}

// leave is called when a contact does not announce the version any more.
func (r *Resolver) leave(who jid.JID, v *version) {
	v.refs--
	v.holders = slices.DeleteFunc(v.holders, func(h holder) bool { return h.who == who })
	r.requeue(v)
}

// setInfo changes what is known of a contact.
func (r *Resolver) setInfo(who jid.JID, info *disco.Info, unshared int) {
	c := r.contacts[who]
	r.unshared += unshared - c.unshared
	r.contacts[who] = contact{c.version, info, unshared}
}

// resolve takes what a version stands for and gives the contacts concerned.
func (r *Resolver) resolve(k key, info *disco.Info) []jid.JID {
	v := r.versions[k]
	if v == nil || v.info != nil {
		return nil
	}
	v.info = info
	contacts := make([]jid.JID, len(v.holders))
	for i, h := range v.holders {
		contacts[i] = h.who
		r.setInfo(h.who, info, 0)
	}
	v.holders = nil
	r.requeue(v)
	return contacts
}

func (r *Resolver) announce(contacts []jid.JID) {
	if len(contacts) > 0 && !r.closed {
		r.cfg.Changed(contacts)
	}
}
