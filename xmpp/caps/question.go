package caps

import (
	"slices"

	"telepathy-olpc/xmpp/disco"
	"telepathy-olpc/xmpp/jid"
)

// question is one that is under way, until it is answered or time is up.
type question struct {
	version *version
	who     jid.JID
	stop    func() // the timer
	over    bool
}

// wants tells whether somebody should be asked: one holder at first, more at a
// time when those do not help.
func (v *version) wants() bool {
	return v.info == nil && v.underWay <= v.failed && v.underWay < maxPerVersion &&
		slices.ContainsFunc(v.holders, func(h holder) bool { return !h.asked })
}

// nodeOf gives the node that a holder is to be asked for.
func (v *version) nodeOf(h holder) string {
	if v.key.caps.Hash == "" {
		return "" // before XEP-0115 1.4: all of it, without asking for each extension
	}
	return Caps{Node: h.node, Ver: v.key.caps.Ver}.queryNode()
}

// requeue puts a version where its state says: into the queue if it wants to
// ask, away if nobody announces it and no answer can come.
func (r *Resolver) requeue(v *version) {
	switch wants := v.wants(); {
	case wants && v.place == nil:
		v.place = r.queue.PushBack(v)
	case !wants && v.place != nil:
		r.queue.Remove(v.place)
		v.place = nil
	}
	if v.refs == 0 && v.underWay == 0 && r.versions[v.key] == v {
		delete(r.versions, v.key)
	}
}

// next asks as many questions as may be under way. A version whose holders
// have enough questions before them waits at the end of the queue: one of
// those questions will end, and then it is looked at again.
func (r *Resolver) next() {
	if r.asking || r.closed {
		return // an answer that came at once; the loop below goes on
	}
	r.asking = true
	defer func() { r.asking = false }()
	for passed := 0; passed < maxLook && r.underWay < maxUnderWay && r.queue.Len() > 0; {
		v := r.queue.Front().Value.(*version)
		i := slices.IndexFunc(v.holders, func(h holder) bool { return !h.asked && r.perPerson[h.who.Bare()] < maxPerPerson })
		if i < 0 {
			passed++
			r.queue.MoveToBack(v.place)
			continue
		}
		v.holders[i].asked = true
		r.ask(v, v.holders[i])
	}
}

// ask sends a question.
func (r *Resolver) ask(v *version, h holder) {
	q := &question{version: v, who: h.who}
	v.underWay++
	r.underWay++
	r.perPerson[h.who.Bare()]++
	r.requeue(v)
	q.stop = r.cfg.After(patience, "capabilities overdue", func() { r.end(q, false) })
	disco.AskInfo(r.cfg.Asker, h.who, v.nodeOf(h), func(info *disco.Info, err error) { r.answered(q, info, err) })
}

// answered takes an answer, also one that comes late or from who is gone: a
// hash that is verified is verified.
func (r *Resolver) answered(q *question, info *disco.Info, err error) {
	k := q.version.key
	shared := k.only.IsZero()
	if err == nil && shared {
		err = Verify(k.caps, info)
	}
	if r.closed {
		return
	}
	if err != nil {
		r.cfg.Log.WithError(err).WithField("peer", q.who).Debug("No capabilities from this answer")
	}
	var changed []jid.JID
	switch {
	case info == nil:
	case err == nil && shared:
		r.unsaved = r.known.put(Known{k.caps.Hash, k.caps.Ver, info}) || r.unsaved
		changed = r.resolve(k, info)
	default:
		changed = r.believe(q.who, k, info)
	}
	r.end(q, err == nil)
	r.announce(changed)
}

// believe takes an answer that holds, if at all, for the contact who gave it.
func (r *Resolver) believe(who jid.JID, k key, info *disco.Info) []jid.JID {
	c, met := r.contacts[who]
	size := footprint(info)
	if !met || c.version.key != k || c.version.info != nil || r.unshared-c.unshared+size > maxUnsharedBytes {
		return nil // gone or changed meanwhile, known better from others, or too much
	}
	r.setInfo(who, info, size)
	return []jid.JID{who}
}

// end takes a question off the books and lets others have its place.
func (r *Resolver) end(q *question, helped bool) {
	if q.over {
		return
	}
	q.over = true
	q.stop()
	v, bare := q.version, q.who.Bare()
	v.underWay--
	if !helped {
		v.failed++
	}
	r.underWay--
	if r.perPerson[bare]--; r.perPerson[bare] == 0 {
		delete(r.perPerson, bare)
	}
	r.requeue(v)
	r.next()
}
