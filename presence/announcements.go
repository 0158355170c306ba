package presence

import (
	"errors"
	"slices"

	"telepathy-olpc/internal/tp"
	"telepathy-olpc/xmpp/jid"
	"telepathy-olpc/xmpp/olpc"
	"telepathy-olpc/xmpp/stanza"
)

// announcements is what the user tells about itself. All of it is known here;
// what others may know of it is published.
type announcements struct {
	properties olpc.Properties // of the user; nil until set
	list       []*announcement
	told       []olpc.Activity // as last announced to clients
	current    olpc.Activity
}

// announcement is an activity the user takes part in.
type announcement struct {
	olpc.Activity
	// byJoining is set as long as no client has announced it: who joins is
	// shown in the activity although Sugar's clients announce only what they
	// have started.
	byJoining bool
	invitees  []jid.JID // who were invited and have not come yet
}

func (o *announcements) find(room jid.JID) *announcement {
	if i := slices.IndexFunc(o.list, func(x *announcement) bool { return x.Room == room }); i >= 0 {
		return o.list[i]
	}
	return nil
}

func (o *announcements) activities() []olpc.Activity {
	list := make([]olpc.Activity, len(o.list))
	for i, x := range o.list {
		list[i] = x.Activity
	}
	return list
}

// described gives an announced activity with its properties.
func (a *Activities) described(o *announcement) olpc.ActivityProperties {
	return olpc.ActivityProperties{Activity: o.Activity, Properties: a.book[o.Room].properties}
}

// isPublic tells whether everybody may see that the user is in that room.
func (a *Activities) isPublic(room jid.JID) bool {
	o := a.own.find(room)
	return o != nil && a.described(o).Visible()
}

// public lists what the user takes part in and everybody may see.
func (a *Activities) public() []olpc.ActivityProperties {
	var list []olpc.ActivityProperties
	for _, o := range a.own.list {
		if x := a.described(o); x.Visible() {
			list = append(list, x)
		}
	}
	return list
}

// Connected publishes what was set before. First it clears what a session that
// crashed may have left.
func (a *Activities) Connected() {
	if !a.host.HasPEP() {
		return
	}
	nodes := []node{nodeActivities, nodeDescriptions, nodeProperties, nodeCurrent}
	if a.own.properties == nil {
		nodes = slices.DeleteFunc(nodes, func(n node) bool { return n == nodeProperties })
	}
	a.publish(func(err error) {
		if err != nil && !a.closed {
			a.host.Log().WithError(err).Warn("The server does not publish; others may not see this child")
		}
	}, nodes...)
}

// publish brings nodes up to date, in this order. done is called when each of
// them is published or can't be.
func (a *Activities) publish(done func(error), nodes ...node) {
	left := len(nodes)
	var failed error
	for _, n := range nodes {
		a.events.Publish(nodeNames[n], a.payload(n), func(err error) {
			failed = errors.Join(failed, err)
			if left--; left == 0 {
				done(failed)
			}
		})
	}
}

// payload builds what a node of the user holds now.
func (a *Activities) payload(n node) *stanza.Element {
	switch n {
	case nodeProperties:
		return olpc.BuildBuddyProperties(a.own.properties)
	case nodeDescriptions:
		return olpc.BuildActivityProperties(a.public())
	case nodeActivities:
		list := []olpc.Activity{}
		for _, x := range a.public() {
			list = append(list, x.Activity)
		}
		return olpc.BuildActivities(list)
	}
	if a.isPublic(a.own.current.Room) {
		return olpc.BuildCurrentActivity(a.own.current)
	}
	return olpc.BuildCurrentActivity(olpc.Activity{})
}

// setProperties replaces the user's own properties. Before CONNECTED they are
// kept until then.
func (a *Activities) setProperties(p olpc.Properties, done func(error)) {
	if a.host.IsConnected() && !a.host.HasPEP() {
		done(errNoPEP())
		return
	}
	if err := p.Check(); err != nil {
		done(tp.Errorf(tp.ErrorInvalidArgument, "%v", err))
		return
	}
	a.own.properties = p
	if !a.host.IsConnected() {
		done(nil)
		return
	}
	a.publish(done, nodeProperties)
}

// announce adds an activity to those of the user.
func (a *Activities) announce(x olpc.Activity, done func(error)) {
	if o := a.own.find(x.Room); o != nil && !o.byJoining {
		done(tp.Errorf(tp.ErrorInvalidArgument, "the activity in that room is announced already"))
		return
	}
	list := slices.DeleteFunc(a.own.activities(), inRoom(x.Room))
	a.setAnnounced(append(list, x), []olpc.Activity{x}, done)
}

// setAnnounced replaces the activities of the user. Those in named are what the
// client named. What changes nothing that everybody may see needs nobody's
// consent: so it is with what Sugar shares, until it has said what it is.
func (a *Activities) setAnnounced(list, named []olpc.Activity, done func(error)) {
	// What a reader would not take is not written.
	if read, _ := olpc.ParseActivities(olpc.BuildActivities(list)); !slices.Equal(read, list) {
		done(tp.Errorf(tp.ErrorInvalidArgument, "an activity without id, a room given twice, or more than %d activities", olpc.MaxActivities))
		return
	}
	before := a.public()
	defer a.inviteGadget()
	a.replace(list)
	for _, x := range named {
		a.own.find(x.Room).byJoining = false
	}
	a.tellOwn()
	if equalLists(before, a.public()) {
		done(nil)
		return
	}
	a.publish(done, nodeDescriptions, nodeActivities, nodeCurrent)
}

// replace makes list what the user announces.
func (a *Activities) replace(list []olpc.Activity) {
	before := a.own.list
	next := make([]*announcement, len(list))
	for i, x := range list {
		if next[i] = a.own.find(x.Room); next[i] == nil {
			next[i] = &announcement{}
		}
		next[i].Activity = x
		a.acquire(x.Room)
	}
	a.own.list = next
	for _, o := range before {
		a.release(o.Room)
	}
	if a.own.find(a.own.current.Room) == nil && !a.isJoined(a.own.current.Room) {
		a.own.current = olpc.Activity{}
	}
}

// tellOwn announces the user's own activities, private ones as well: from this
// Sugar learns the room of what it has just shared.
func (a *Activities) tellOwn() {
	list := a.own.activities()
	if slices.Equal(list, a.own.told) {
		return
	}
	a.own.told = list
	for _, x := range list {
		a.tellProperties(a.book[x.Room])
	}
	a.host.Emit(tp.SignalBuddyInfoActivitiesChanged, a.host.SelfHandle(), a.references(list))
}

// setCurrent changes what the user looks at; the zero value is nothing. What
// everybody may see of it is decided when it is published. Sugar says so of an
// activity of others as soon as its window opens, which is before the user is in
// the room; nothing of it is published until then.
func (a *Activities) setCurrent(x olpc.Activity, done func(error)) {
	if x != (olpc.Activity{}) {
		o := a.own.find(x.Room)
		if o == nil && !a.isJoined(x.Room) && !a.IsKnown(x.Room) {
			done(tp.Errorf(tp.ErrorInvalidArgument, "can't set an activity as current without announcing it"))
			return
		}
		if o != nil {
			x.ID = o.ID
		}
	}
	a.own.current = x
	a.publish(done, nodeCurrent)
}

// setDescription changes what one of the user's activities is. Those in the
// room and those invited are told first, everybody else then.
func (a *Activities) setDescription(room jid.JID, p olpc.Properties, done func(error)) {
	o := a.own.find(room)
	if err := a.mayDescribe(o, room, p); err != nil {
		done(err)
		return
	}
	x := a.book[room]
	before := a.described(o)
	x.properties = p
	a.host.Send(olpc.BuildRoomMessage(a.described(o)))
	a.inviteAgain(o)
	a.publishChange(before, a.described(o), func(err error) {
		a.tellProperties(x)
		done(err)
	})
}

// mayDescribe checks what a client wants to say of an activity.
func (a *Activities) mayDescribe(o *announcement, room jid.JID, p olpc.Properties) error {
	switch {
	case o == nil:
		return tp.Errorf(tp.ErrorInvalidArgument, "can't set properties of an activity without announcing it")
	case !a.isJoined(room):
		return tp.Errorf(tp.ErrorInvalidArgument, "can't set properties of an activity without being in it")
	}
	if err := p.Check(); err != nil {
		return tp.Errorf(tp.ErrorInvalidArgument, "%v", err)
	}
	others := slices.DeleteFunc(a.public(), func(x olpc.ActivityProperties) bool { return x.Room == room })
	all := append(others, olpc.ActivityProperties{Activity: o.Activity, Properties: p})
	if read, _ := olpc.ParseActivityProperties(olpc.BuildActivityProperties(all)); len(p) > 0 && !equalLists(read, all) {
		return tp.Errorf(tp.ErrorInvalidArgument, "the properties of all activities together are too much")
	}
	return nil
}

func equalLists(a, b []olpc.ActivityProperties) bool {
	return slices.EqualFunc(a, b, func(x, y olpc.ActivityProperties) bool {
		return x.Activity == y.Activity && x.Properties.Equal(y.Properties)
	})
}

// publishChange publishes what everybody may see of a change to one of the
// user's activities.
func (a *Activities) publishChange(before, after olpc.ActivityProperties, done func(error)) {
	defer a.inviteGadget()
	switch {
	case before.Visible() != after.Visible() && a.own.current.Room == after.Room:
		a.publish(done, nodeDescriptions, nodeActivities, nodeCurrent)
	case before.Visible() != after.Visible():
		a.publish(done, nodeDescriptions, nodeActivities)
	case after.Visible():
		a.publish(done, nodeDescriptions)
	default:
		done(nil)
	}
}
