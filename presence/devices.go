package presence

import (
	"slices"
	"time"

	"telepathy-olpc/internal/loop"
	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
)

const (
	// presenceWithin is how long somebody of whom no device is known may take
	// to appear: who has just come into a room with us is about to.
	presenceWithin = 2 * time.Second
	// answerWithin is how long somebody may take to whom we have made ourselves
	// known: programs there have [introduction] to ask who we are.
	answerWithin = introduction + 2*time.Second
	// infoWithin is how long devices may take to tell what they can do.
	infoWithin = 10 * time.Second
	// maxAsked bounds the questions for one search.
	maxAsked = 4
)

// deviceSearch is the search for a device that can do something.
type deviceSearch struct {
	c       *Capabilities
	who     jid.JID // bare, or the one device there is
	also    []jid.JID
	feature string
	done    func(device jid.JID, err error)
	asked   []jid.JID
	told    map[jid.JID]bool // of the asked ones: whether it has the feature
	timer   *loop.Timer
	met     bool // some device is known
	over    bool
}

// FindDevice finds the device of a contact that has a feature, the best of
// several. What is not known yet is asked for: right after somebody has come,
// nothing is, and who is seen in views alone has to be asked for one. In also are
// further devices that the contact is known to have.
// The address may be full, then it is about that device. done is called once, at
// once or later: without a device with Offline, when there is none, NotCapable,
// or NotAvailable, when none has answered.
func (c *Capabilities) FindDevice(who jid.JID, also []jid.JID, feature string, done func(device jid.JID, err error)) {
	s := &deviceSearch{c: c, who: who, also: also, feature: feature, done: done, told: make(map[jid.JID]bool)}
	c.searches = append(c.searches, s)
	within := presenceWithin
	if len(s.devices()) == 0 && c.acquaintances.Introduce(who) {
		within = answerWithin
	}
	s.timer = c.host.After(within, "contact's presence overdue", s.overdue)
	s.look()
}

// look is called when something may be known that was not.
func (s *deviceSearch) look() {
	devices := s.devices()
	if s.over || len(devices) == 0 {
		return
	}
	if !s.met {
		s.met = true
		s.timer.Stop()
		s.timer = s.c.host.After(infoWithin, "contact's capabilities overdue", s.overdue)
	}
	waiting := false
	for _, d := range devices {
		info := s.c.resolver.Info(d)
		has, told := s.told[d]
		switch {
		case has || info.Has(s.feature):
			s.end(d, nil)
			return
		case !told && info == nil:
			waiting = waiting || s.ask(d)
		}
	}
	if !waiting {
		s.end(jid.JID{}, tp.Errorf(tp.ErrorNotCapable, "%s can't do that", s.who))
	}
}

// devices are those of the contact, the best first.
func (s *deviceSearch) devices() []jid.JID {
	if !s.who.IsBare() {
		return []jid.JID{s.who}
	}
	devices := slices.Concat(s.also, s.c.acquaintances.Devices(s.who))
	if person := s.c.people.Find(s.who); person != nil {
		devices = append(person.Resources(), devices...)
	}
	return slices.DeleteFunc(slices.Clone(devices), func(d jid.JID) bool { return d == s.c.host.Self() })
}

// ask asks a device what it can do, unless that was done; it tells whether an
// answer is awaited.
func (s *deviceSearch) ask(device jid.JID) bool {
	if slices.Contains(s.asked, device) {
		return true
	}
	if len(s.asked) == maxAsked {
		return false
	}
	s.asked = append(s.asked, device)
	disco.AskInfo(s.c.host, device, "", func(info *disco.Info, err error) {
		if err != nil {
			s.c.host.Log().WithError(err).Debug("Device does not tell what it can do")
		}
		s.told[device] = info.Has(s.feature)
		s.look()
	})
	return true
}

func (s *deviceSearch) overdue() {
	if s.met {
		s.end(jid.JID{}, tp.Errorf(tp.ErrorNotAvailable, "%s does not tell what it can do", s.who))
		return
	}
	s.end(jid.JID{}, tp.Errorf(tp.ErrorOffline, "%s is not there", s.who))
}

func (s *deviceSearch) end(device jid.JID, err error) {
	if s.over {
		return
	}
	s.over = true
	s.timer.Stop()
	s.c.searches = slices.DeleteFunc(s.c.searches, func(o *deviceSearch) bool { return o == s })
	s.done(device, err)
}

// searchAgain has the searches for devices of these people look again.
func (c *Capabilities) searchAgain(who ...jid.JID) {
	for _, s := range slices.Clone(c.searches) {
		if slices.ContainsFunc(who, func(j jid.JID) bool { return j.Bare() == s.who }) {
			s.look()
		}
	}
}

// endSearches answers who still waits for a device because the session is over.
func (c *Capabilities) endSearches() {
	for len(c.searches) > 0 {
		c.searches[0].end(jid.JID{}, errDisconnected())
	}
}
