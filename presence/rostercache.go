package presence

import (
	"os"
	"path/filepath"
	"sync"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/roster"
)

// CacheDirectory is where what was learned is kept between sessions; empty if
// there is no such place.
func CacheDirectory() string {
	base, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "telepathy-olpc")
}

// rosterCache keeps the contact list between sessions (RFC 6121 §2.6). The loop
// never waits for the disk: what is not loaded in time is not used, and nobody
// waits until all is saved.
type rosterCache struct {
	host      Host
	account   jid.JID // bare
	directory string  // empty for none

	loaded  *roster.Cached // until it is taken
	taken   bool           // what is loaded now comes too late
	fetched bool           // there is a roster to save
	unsaved bool
	saving  *loop.Timer
	closed  bool
	disk    sync.WaitGroup // goroutines that read or write the file; they end by themselves
}

// load reads the file, to be there when the session is.
func (c *rosterCache) load() {
	c.disk.Go(func() {
		cached, err := roster.Load(c.directory, c.account)
		c.host.After(0, "contact list loaded", func() { // After is for any goroutine
			if err != nil {
				c.host.Log().WithError(err).Debug("Contact list not loaded")
			}
			if !c.taken {
				c.loaded = cached
			}
		})
	})
}

// take gives what to fetch the roster with: nil from a server without versions,
// a zero value if nothing is known of this account.
func (c *rosterCache) take(versioned bool) *roster.Cached {
	cached := c.loaded
	c.taken, c.loaded = true, nil
	switch {
	case !versioned:
		return nil
	case cached == nil || c.host.Self().Bare() != c.account:
		return &roster.Cached{}
	}
	return cached
}

// got is called when the roster is there. It is saved when there was none with
// its version.
func (c *rosterCache) got(r *roster.Roster, was *roster.Cached) {
	c.fetched = was != nil && c.host.Self().Bare() == c.account
	if c.fetched && r.Version() != was.Version {
		c.changed(r)
	}
}

// changed is called when the roster has changed, and has it saved some time.
func (c *rosterCache) changed(r *roster.Roster) {
	if !c.fetched || c.closed {
		return
	}
	c.unsaved = true
	if c.saving == nil {
		c.saving = c.host.After(saveEvery, "contact list to be saved", func() {
			c.saving = nil
			c.save(r)
		})
	}
}

// close has what is not saved yet saved.
func (c *rosterCache) close(r *roster.Roster) {
	c.taken, c.closed, c.loaded = true, true, nil
	c.saving.Stop()
	c.save(r)
}

// save copies the list, not the contacts, which are never changed.
func (c *rosterCache) save(r *roster.Roster) {
	if !c.unsaved {
		return
	}
	c.unsaved = false
	items := make([]*roster.Item, 0, r.Len())
	for i := range r.All() {
		items = append(items, i)
	}
	directory, account, version, log := c.directory, c.account, r.Version(), c.host.Log()
	c.disk.Go(func() {
		if err := roster.Save(directory, account, version, items); err != nil {
			log.WithError(err).Debug("Contact list not saved")
		}
	})
}
