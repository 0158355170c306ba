package watch

import (
	"maps"
	"slices"
	"sort"
	"strings"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// connection is what is known of one.
type connection struct {
	w    *watcher
	name string
	path dbus.ObjectPath

	status     tp.ConnectionStatus
	self       string
	selfHandle uint32
	contacts   map[uint32]*contact          // who is on-line
	activities map[uint32]map[string]string // what they are, by room handle: name, type
	rooms      map[uint32]string            // addresses by handle
	channels   []channel
	asked      bool // who was on-line before
}

// contact is somebody on-line.
type contact struct {
	id, alias, status string
	activities        []activity
	told              bool // activities came as a signal
}

// activity is D-Bus' (su) of BuddyInfo.
type activity struct {
	ID   string
	Room uint32
}

// channel is one that is open.
type channel struct {
	path    dbus.ObjectPath
	kind    string // the last part of its type
	target  string
	members []uint32 // of a room
	tubes   []tube
}

// tube is one in a channel, whatever interface tells of it.
type tube struct {
	kind    string
	service string
	state   tp.TubeState
}

func newConnection(w *watcher, name string) *connection {
	return &connection{
		w: w, name: name, path: dbus.ObjectPath("/" + strings.ReplaceAll(name, ".", "/")), status: tp.ConnectionStatusDisconnected,
		contacts: make(map[uint32]*contact), activities: make(map[uint32]map[string]string), rooms: make(map[uint32]string),
	}
}

// read reads state and channels, which nobody learns anything from.
func (c *connection) read() {
	all := c.w.properties(c.name, c.path, tp.InterfaceConnection)
	c.self, _ = all["SelfID"].Value().(string)
	c.selfHandle, _ = all["SelfHandle"].Value().(uint32)
	delete(c.contacts, c.selfHandle)
	if status, ok := all["Status"].Value().(uint32); ok {
		c.status = tp.ConnectionStatus(status)
	}
	c.readChannels()
}

// readContacts asks who was on-line before we came, and what they do.
func (c *connection) readContacts() {
	var list map[uint32]map[string]dbus.Variant
	interfaces := []string{tp.InterfaceConnectionAliasing.Name, tp.InterfaceConnectionSimplePresence.Name}
	body := c.w.ask(c.name, c.path, tp.InterfaceConnectionContactList, "GetContactListAttributes", "asb", interfaces, false)
	if !stored(body, &list) {
		return
	}
	for handle, attributes := range list {
		var p presence
		if stored([]any{attributes[presenceAttribute].Value()}, &p) {
			c.setPresence(handle, p)
		}
		if who := c.contacts[handle]; who != nil {
			who.id, _ = attributes[idAttribute].Value().(string)
			who.alias, _ = attributes[aliasAttribute].Value().(string)
			c.readActivities(handle, who)
		}
	}
}

// The attributes that are asked for, and the one that is always there.
var (
	idAttribute       = tp.InterfaceConnection.Name + "/contact-id"
	aliasAttribute    = tp.InterfaceConnectionAliasing.Name + "/alias"
	presenceAttribute = tp.InterfaceConnectionSimplePresence.Name + "/presence"
)

// readActivities asks what a contact takes part in, once.
func (c *connection) readActivities(handle uint32, who *contact) {
	if who.told {
		return
	}
	who.told = true
	if body := c.w.ask(c.name, c.path, tp.InterfaceBuddyInfo, "GetActivities", "u", handle); body != nil {
		stored(body, &who.activities) // of another shape: none
	}
	c.readProperties(who.activities)
}

// readProperties asks what activities are.
func (c *connection) readProperties(list []activity) {
	for _, a := range list {
		if c.activities[a.Room] != nil {
			continue
		}
		var properties map[string]dbus.Variant
		if stored(c.w.ask(c.name, c.path, tp.InterfaceActivityProperties, "GetProperties", "u", a.Room), &properties) {
			c.setProperties(a.Room, properties)
		}
	}
}

func (c *connection) setProperties(room uint32, properties map[string]dbus.Variant) {
	texts := make(map[string]string)
	for _, key := range []string{"name", "type"} {
		texts[key], _ = properties[key].Value().(string)
	}
	c.activities[room] = texts
}

// presence is Simple_Presence, (uss).
type presence struct {
	Type            uint32
	Status, Message string
}

// setPresence keeps who is on-line.
func (c *connection) setPresence(handle uint32, p presence) {
	switch tp.ConnectionPresenceType(p.Type) {
	case tp.ConnectionPresenceTypeOffline, tp.ConnectionPresenceTypeUnset, tp.ConnectionPresenceTypeUnknown, tp.ConnectionPresenceTypeError:
		delete(c.contacts, handle)
		return
	}
	who := c.contacts[handle]
	if who == nil {
		if handle == c.selfHandle || len(c.contacts) >= maxContacts {
			return
		}
		who = &contact{id: c.inspect(tp.HandleTypeContact, handle)}
		c.contacts[handle] = who
		c.askLater(handle, who)
	}
	who.status = p.Status
}

// askLater asks for what signals have not told when the time is over in which
// asking would matter to anybody.
func (c *connection) askLater(handle uint32, who *contact) {
	c.w.loop.After(c.w.opts.Patience, "ask", func() {
		if c.contacts[handle] != who || c.w.all[c.name] != c {
			return
		}
		c.readActivities(handle, who)
		if who.alias == "" {
			c.readAlias(handle, who)
		}
		c.w.changed()
	})
}

func (c *connection) readAlias(handle uint32, who *contact) {
	var list map[uint32]map[string]dbus.Variant
	body := c.w.ask(c.name, c.path, tp.InterfaceConnectionContacts, "GetContactAttributes", "auasb",
		[]uint32{handle}, []string{tp.InterfaceConnectionAliasing.Name}, false)
	if stored(body, &list) {
		who.alias, _ = list[handle][aliasAttribute].Value().(string)
	}
}

// inspect gives the address that a handle stands for.
func (c *connection) inspect(kind tp.HandleType, handle uint32) string {
	var ids []string
	body := c.w.ask(c.name, c.path, tp.InterfaceConnection, "InspectHandles", "uau", uint32(kind), []uint32{handle})
	if !stored(body, &ids) || len(ids) != 1 {
		return ""
	}
	return ids[0]
}

// room gives the address of a room.
func (c *connection) room(handle uint32) string {
	if c.rooms[handle] == "" {
		c.rooms[handle] = c.inspect(tp.HandleTypeRoom, handle)
	}
	return c.rooms[handle]
}

// signals says what each signal changes; those of channels have the channels
// read again.
var signals = map[tp.Signal]func(*connection, []any){
	tp.SignalConnectionStatusChanged:     func(c *connection, _ []any) { c.read() },
	tp.SignalConnectionSelfHandleChanged: func(c *connection, _ []any) { c.read() },
	tp.SignalConnectionSimplePresencePresencesChanged: func(c *connection, body []any) {
		var list map[uint32]presence
		if stored(body, &list) {
			for _, handle := range slices.Sorted(maps.Keys(list)) {
				c.setPresence(handle, list[handle])
			}
		}
	},
	tp.SignalConnectionAliasingAliasesChanged: func(c *connection, body []any) {
		var list []struct {
			Handle uint32
			Alias  string
		}
		if stored(body, &list) {
			for _, a := range list {
				if who := c.contacts[a.Handle]; who != nil {
					who.alias = a.Alias
				}
			}
		}
	},
	tp.SignalBuddyInfoActivitiesChanged: func(c *connection, body []any) {
		var handle uint32
		var list []activity
		if stored(body, &handle, &list) && c.contacts[handle] != nil {
			c.contacts[handle].activities, c.contacts[handle].told = list, true
			c.readProperties(list)
		}
	},
	tp.SignalActivityPropertiesActivityPropertiesChanged: func(c *connection, body []any) {
		var room uint32
		var properties map[string]dbus.Variant
		if stored(body, &room, &properties) && len(c.activities) < maxContacts {
			c.setProperties(room, properties)
		}
	},
	tp.SignalConnectionRequestsNewChannels:   func(c *connection, _ []any) { c.readChannels() },
	tp.SignalConnectionRequestsChannelClosed: func(c *connection, _ []any) { c.readChannels() },
}

// channelSignals are those after which a channel looks different.
var channelSignals = []string{tp.SignalChannelGroupMembersChanged.Name, "TubeStateChanged", "TubeChannelStateChanged", "NewTube", "TubeClosed"}

func (c *connection) handleSignal(s bus.Signal) {
	if s.Path != c.path {
		if slices.Contains(channelSignals, s.Member) {
			c.readChannels()
		}
		return
	}
	for known, handle := range signals {
		if known.Interface == s.Interface && known.Name == s.Member {
			handle(c, s.Body)
		}
	}
}

// details is Channel_Details, (oa{sv}).
type details struct {
	Path       dbus.ObjectPath
	Properties map[string]dbus.Variant
}

// readChannels reads which channels are open and what happens in them.
func (c *connection) readChannels() {
	c.channels = nil
	var list []details
	all := c.w.properties(c.name, c.path, tp.InterfaceConnectionRequests)
	if !stored([]any{all["Channels"].Value()}, &list) {
		return
	}
	for _, d := range list {
		if ch, ok := c.readChannel(d); ok {
			c.channels = append(c.channels, ch)
		}
	}
	sort.Slice(c.channels, func(i, j int) bool { return c.channels[i].path < c.channels[j].path })
}

// readChannel leaves out the lists of contacts, which are no news.
func (c *connection) readChannel(d details) (channel, bool) {
	kind, _ := d.Properties[tp.InterfaceChannel.Name+".ChannelType"].Value().(string)
	if kind == tp.InterfaceChannelContactList.Name {
		return channel{}, false
	}
	ch := channel{path: d.Path, kind: kind[strings.LastIndex(kind, ".")+1:]}
	ch.target, _ = d.Properties[tp.InterfaceChannel.Name+".TargetID"].Value().(string)
	target, _ := d.Properties[tp.InterfaceChannel.Name+".TargetHandleType"].Value().(uint32)
	if kind == tp.InterfaceChannelText.Name && tp.HandleType(target) == tp.HandleTypeRoom {
		ch.kind = "Room"
		ch.members, _ = c.w.properties(c.name, d.Path, tp.InterfaceChannelGroup)["Members"].Value().([]uint32)
	}
	switch kind {
	case tp.InterfaceChannelTubes.Name:
		ch.tubes = c.readTubes(d.Path)
	case tp.InterfaceChannelDBusTube.Name:
		ch.tubes = c.readTube(d, "D-Bus", tp.PropertyChannelDBusTubeServiceName)
	case tp.InterfaceChannelStreamTube.Name:
		ch.tubes = c.readTube(d, "stream", tp.PropertyChannelStreamTubeService)
	}
	return ch, true
}

// readTubes lists the tubes of the older interface, a(uuusa{sv}u).
func (c *connection) readTubes(path dbus.ObjectPath) []tube {
	var list []struct {
		ID, Initiator, Type uint32
		Service             string
		Parameters          map[string]dbus.Variant
		State               uint32
	}
	if !stored(c.w.ask(c.name, path, tp.InterfaceChannelTubes, "ListTubes", ""), &list) {
		return nil
	}
	var tubes []tube
	for _, t := range list {
		kind := "stream"
		if tp.TubeType(t.Type) == tp.TubeTypeDBus {
			kind = "D-Bus"
		}
		tubes = append(tubes, tube{kind, t.Service, tp.TubeState(t.State)})
	}
	return tubes
}

func (c *connection) readTube(d details, kind, service string) []tube {
	t := tube{kind: kind}
	t.service, _ = d.Properties[service].Value().(string)
	state, _ := c.w.properties(c.name, d.Path, tp.InterfaceChannelTube)["State"].Value().(uint32)
	t.state = tp.TubeState(state)
	return []tube{t}
}
