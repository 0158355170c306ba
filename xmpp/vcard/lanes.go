package vcard

import (
	"slices"

	"telepathy-olpc/xmpp/jid"
)

// Limits on requests for the vCards of contacts. The own server's do not wait
// for those of others, of which one that never answers keeps its places busy
// until the time is over.
const (
	// maxUnderWay leaves a server time for others when an address book asks
	// for everybody's. All foreign servers together have as many places.
	maxUnderWay = 8
	// maxForeign is how many of these one foreign server can have.
	maxForeign = 2
	// maxWaiting bounds what a program may have us ask for, well above the
	// largest roster.
	maxWaiting = 20_000
)

// lanes are the requests that wait, a lane for each server.
type lanes struct {
	home    string // the own server
	lanes   map[string]*lane
	abroad  []string // foreign servers for which something waits, whose turn it is first
	foreign int      // under way to foreign servers
	waiting int
}

// lane is what one server is asked.
type lane struct {
	waiting  []jid.JID // in order
	underWay int
}

func newLanes(home string) lanes { return lanes{home: home, lanes: make(map[string]*lane)} }

// add has a request wait; false if too many do.
func (l *lanes) add(who jid.JID) bool {
	if l.waiting == maxWaiting {
		return false
	}
	server := who.Domain()
	at := l.lanes[server]
	if at == nil {
		at = &lane{}
		l.lanes[server] = at
	}
	if server != l.home && len(at.waiting) == 0 {
		l.abroad = append(l.abroad, server)
	}
	at.waiting = append(at.waiting, who)
	l.waiting++
	return true
}

// take gives the request that is next, if there is a place for one.
func (l *lanes) take() (who jid.JID, free bool) {
	if at := l.lanes[l.home]; at != nil && len(at.waiting) > 0 && at.underWay < maxUnderWay {
		return l.begin(at), true
	}
	if l.foreign == maxUnderWay {
		return jid.JID{}, false
	}
	// Few servers can have used up their places, so this looks at few.
	i := slices.IndexFunc(l.abroad, func(server string) bool { return l.lanes[server].underWay < maxForeign })
	if i < 0 {
		return jid.JID{}, false
	}
	server := l.abroad[i]
	at := l.lanes[server]
	who = l.begin(at)
	l.foreign++
	l.abroad = slices.Delete(l.abroad, i, i+1)
	if len(at.waiting) > 0 {
		l.abroad = append(l.abroad, server)
	}
	return who, true
}

func (l *lanes) begin(at *lane) jid.JID {
	who := at.waiting[0]
	if at.waiting = at.waiting[1:]; len(at.waiting) == 0 {
		at.waiting = nil // a long queue is not kept for the next one
	}
	at.underWay++
	l.waiting--
	return who
}

// done gives back the place of a request that take gave.
func (l *lanes) done(who jid.JID) {
	server := who.Domain()
	at := l.lanes[server]
	at.underWay--
	if server != l.home {
		l.foreign--
	}
	if at.underWay == 0 && len(at.waiting) == 0 {
		delete(l.lanes, server)
	}
}
