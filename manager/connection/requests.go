package connection

import (
	"fmt"
	"slices"

	"github.com/godbus/dbus/v5"

	"telepathy-olpc/channels"
	"telepathy-olpc/channels/contactlist"
	"telepathy-olpc/channels/filetransfer"
	"telepathy-olpc/channels/room"
	"telepathy-olpc/channels/roomlist"
	"telepathy-olpc/channels/text"
	"telepathy-olpc/channels/tubes"
	"telepathy-olpc/channels/view"
	"telepathy-olpc/internal/bus"
	"telepathy-olpc/internal/tp"
)

// channelTypes is the table of what can be requested. What is not in it is
// neither served nor announced.
var channelTypes = []struct {
	classes []channels.Class
	serve   func(*Connection) channels.Server
}{
	{contactlist.Classes, func(c *Connection) channels.Server { return c.lists }},
	{room.Classes, func(c *Connection) channels.Server { return conferences{c} }},
	{text.Classes, func(c *Connection) channels.Server { return c.chats }},
	{roomlist.Classes, func(c *Connection) channels.Server { return c.roomLists }},
	{filetransfer.Classes, func(c *Connection) channels.Server { return c.files }},
	{tubes.Classes, func(c *Connection) channels.Server { return c.tubes }},
	{view.Classes, func(c *Connection) channels.Server { return c.views }},
}

// ChannelClasses lists the channel classes of every Connection.
func ChannelClasses() []channels.Class {
	var all []channels.Class
	for _, t := range channelTypes {
		all = append(all, t.classes...)
	}
	return all
}

// channelDetails is Channel_Details, (oa{sv}).
type channelDetails struct {
	Path       dbus.ObjectPath
	Properties map[string]dbus.Variant
}

// channelInfo is Channel_Info, (osuu), of the older ListChannels.
type channelInfo struct {
	Path       dbus.ObjectPath
	Type       string
	HandleType tp.HandleType
	Handle     uint32
}

// requests serves Connection.Interface.Requests and the older channel methods
// of Connection.
type requests struct {
	conn    *Connection
	servers []channels.Server // one for each of channelTypes
	open    []*channels.Channel
}

func newRequests(c *Connection) *requests {
	r := &requests{conn: c}
	for _, t := range channelTypes {
		r.servers = append(r.servers, t.serve(c))
	}
	return r
}

func (c *Connection) serveRequests() serving {
	r := c.requests
	return serving{Interface: bus.Interface{
		Facts: tp.InterfaceConnectionRequests,
		Methods: map[string]func(*bus.Call){
			"CreateChannel": c.whileConnected(r.createChannel),
			"EnsureChannel": c.whileConnected(r.ensureChannel),
		},
		Properties: map[string]func() any{
			"Channels":                  func() any { return r.details(r.open) },
			"RequestableChannelClasses": bus.Fixed(RequestableChannelClasses(ChannelClasses())),
		},
	}}
}

func (r *requests) details(list []*channels.Channel) []channelDetails {
	details := make([]channelDetails, len(list))
	for i, ch := range list {
		details[i] = channelDetails{ch.Path, ch.Details()}
	}
	return details
}

func (r *requests) createChannel(call *bus.Call) {
	r.take(call, false, func(ch *channels.Channel, _ bool) { call.Return(ch.Path, ch.Details()) })
}

func (r *requests) ensureChannel(call *bus.Call) {
	r.take(call, true, func(ch *channels.Channel, yours bool) { call.Return(yours, ch.Path, ch.Details()) })
}

// take reads a request from the bus and gives it to the type that serves it.
func (r *requests) take(call *bus.Call, ensure bool, answer func(*channels.Channel, bool)) {
	var properties map[string]dbus.Variant
	if !call.Args(&properties) {
		return
	}
	kind, is := properties[tp.PropertyChannelChannelType].Value().(string)
	if !is {
		call.Fail(tp.Errorf(tp.ErrorInvalidArgument, "%s is missing", tp.PropertyChannelChannelType))
		return
	}
	var ids []string
	if id, is := properties[tp.PropertyChannelTargetID].Value().(string); is {
		ids = []string{id}
	}
	handleType, _ := bus.Uint(properties[tp.PropertyChannelTargetHandleType].Value())
	r.conn.whenResolvable(tp.HandleType(handleType), ids, func() {
		target, err := r.target(properties)
		if err != nil {
			call.Fail(err)
			return
		}
		r.route(call, &channels.Request{Kind: kind, Target: target, Properties: properties, Ensure: ensure, Answer: answer})
	})
}

// target resolves TargetHandleType with TargetHandle or TargetID.
func (r *requests) target(properties map[string]dbus.Variant) (channels.Target, error) {
	number := func(name string) (uint32, bool) {
		n, is := bus.Uint(properties[name].Value())
		return uint32(n), is && n <= 1<<32-1
	}
	kind, _ := number(tp.PropertyChannelTargetHandleType)
	handle, byHandle := number(tp.PropertyChannelTargetHandle)
	id, byID := properties[tp.PropertyChannelTargetID].Value().(string)
	t := channels.Target{Type: tp.HandleType(kind)}
	switch {
	case byHandle && byID:
		return t, tp.Errorf(tp.ErrorInvalidArgument, "give TargetHandle or TargetID, not both")
	case t.Type == tp.HandleTypeNone && (byID || byHandle && handle != 0):
		return t, tp.Errorf(tp.ErrorInvalidArgument, "a target needs its TargetHandleType")
	case t.Type == tp.HandleTypeNone:
		return t, nil
	case !byHandle && !byID:
		return t, tp.Errorf(tp.ErrorInvalidArgument, "TargetHandle or TargetID is missing")
	}
	var err error
	if byID {
		if handle, err = r.conn.ensureHandle(t.Type, id); err != nil {
			return t, err
		}
	}
	t.Handle = handle
	t.ID, err = r.conn.inspect(t.Type, handle)
	return t, err
}

// route gives the request to the type that serves it. Who gets the channel of a
// room uses it.
func (r *requests) route(call *bus.Call, req *channels.Request) {
	answer := req.Answer
	req.Answer = func(ch *channels.Channel, yours bool) {
		r.conn.users.use(ch.Target, call.Sender())
		answer(ch, yours)
	}
	req.Fail = call.Fail
	for i, t := range channelTypes {
		fits, err := req.Match(t.classes)
		if err != nil {
			req.Fail(err)
			return
		}
		if fits {
			r.servers[i].Request(req)
			return
		}
	}
	req.Fail(tp.Errorf(tp.ErrorNotImplemented, "channels of type %q to targets of type %d are not offered", req.Kind, req.Target.Type))
}

// requestChannel serves the older RequestChannel, which takes an existing
// channel as well as a new one.
func (r *requests) requestChannel(call *bus.Call) {
	var kind string
	var target channels.Target
	var suppress bool
	if !call.Args(&kind, &target.Type, &target.Handle, &suppress) {
		return
	}
	if target.Type != tp.HandleTypeNone {
		var err error
		if target.ID, err = r.conn.inspect(target.Type, target.Handle); err != nil {
			call.Fail(tp.Errorf(tp.ErrorInvalidHandle, "%v", err))
			return
		}
	} else if target.Handle != 0 {
		call.Fail(tp.Errorf(tp.ErrorInvalidHandle, "a handle without a type"))
		return
	}
	r.route(call, &channels.Request{
		Kind: kind, Target: target, Ensure: true,
		Answer: func(ch *channels.Channel, _ bool) { call.Return(ch.Path) },
	})
}

func (r *requests) listChannels(call *bus.Call) {
	list := make([]channelInfo, len(r.open))
	for i, ch := range r.open {
		list[i] = channelInfo{ch.Path, ch.Type.Name, ch.Target.Type, ch.Target.Handle}
	}
	call.Return(list)
}

// ChannelPath makes an object path below the Connection's.
func (c *Connection) ChannelPath(name string) dbus.ObjectPath {
	return dbus.ObjectPath(fmt.Sprintf("%s/%s", c.path, name))
}

// Export puts a channel's object on the bus.
func (c *Connection) Export(o bus.Object) {
	o.Called = c.channelCalled
	c.bus.Export(o)
}

// EmitFrom sends a signal of a channel.
func (c *Connection) EmitFrom(path dbus.ObjectPath, s tp.Signal, args ...any) {
	c.bus.Emit(path, s, args...)
}

// Opened answers those who asked for the channel, then announces it: NewChannels
// must not come before the reply (specification, EnsureChannel), and NewChannel
// follows it. The first request owns the channel.
func (c *Connection) Opened(ch *channels.Channel, answered ...*channels.Request) {
	r := c.requests
	r.open = append(r.open, ch)
	for i, req := range answered {
		req.Answer(ch, i == 0)
	}
	c.Emit(tp.SignalConnectionRequestsNewChannels, r.details([]*channels.Channel{ch}))
	c.Emit(tp.SignalConnectionNewChannel, ch.Path, ch.Type.Name, ch.Target.Type, ch.Target.Handle, ch.Requested)
}

// Closed takes the channel off the bus: Closed, ChannelClosed, and then the
// object goes.
func (c *Connection) Closed(ch *channels.Channel) {
	r := c.requests
	i := slices.Index(r.open, ch)
	if i < 0 {
		return
	}
	r.open = slices.Delete(r.open, i, i+1)
	ch.Emit(tp.SignalChannelClosed)
	c.Emit(tp.SignalConnectionRequestsChannelClosed, ch.Path)
	c.rooms.ChannelClosed(ch.Path)
	c.users.closed(ch)
	c.bus.Unexport(ch.Path)
}

// closeAll closes every channel because the Connection is over.
func (r *requests) closeAll() {
	for len(r.open) > 0 {
		r.conn.Closed(r.open[len(r.open)-1])
	}
}
